"""Pictures of grids: attention maps, masks, small matrices, images.

Rows are queries, columns are keys, everywhere.
"""

import textwrap
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle

from helpers.pictures.shapes import TINTS
from helpers.pictures.style import (
    CROSS,
    CROSS_TINT,
    DECODER,
    DECODER_TINT,
    ENCODER,
    INK,
    MUTED,
    OFF,
    ROLES,
    WIDTH,
    Numbers,
    as_array,
    escape_dollars,
    in_house_style,
    new_figure,
)


@in_house_style
def attention_map(
    weights: Numbers,
    source_tokens: Sequence[str],
    target_tokens: Sequence[str],
    gold: Collection[tuple[int, int]] | None = None,
    role: str = "cross",
    title: str | None = None,
    mask: Numbers | None = None,
    rows: str | None = None,
    outlined: Collection[int] = (),
) -> Figure:
    """One map of attention weights (target, source), from white (0) to the role's colour (1).

    Rows are target_tokens, the queries; columns are source_tokens, the keys. Cells in `gold`,
    pairs (target index, source index), are outlined. Where `mask` (target, source) is False, the
    cell is hatched: it could not be attended to. `rows` is written above the rows' labels and says
    what they are, such as "about to write". The rows whose indices are in `outlined` get a frame.
    Raises ValueError if labels do not fit.
    """
    grid = _matrix(weights, len(target_tokens), len(source_tokens))
    figure, (axes,) = new_figure(1.5 + 0.36 * len(target_tokens))
    _draw_map(axes, grid, source_tokens, target_tokens, gold, role)
    _title_rows(axes, rows)
    if mask is not None:
        _hatch(axes, ~_matrix(mask, *grid.shape).astype(bool))
        axes.set_xlabel("hatched: hidden by the mask", fontsize=9, color=MUTED)
    for row in outlined:
        _frame_row(axes, row, len(source_tokens))
    axes.set_title(title or "", pad=12)
    bar = figure.colorbar(axes.images[0], ax=axes, shrink=0.8, pad=0.02)
    bar.set_label("attention weight")
    bar.outline.set_visible(False)
    figure.alt = _describe_map(grid, source_tokens, target_tokens, title, rows)
    if mask is not None:
        figure.alt += " Cells that the mask hides are hatched."
    if outlined:
        figure.alt += f" Outlined rows: {', '.join(target_tokens[row] for row in outlined)}."
    return figure


@in_house_style
def attention_maps(
    weights: Numbers,
    source_tokens: Sequence[str],
    target_tokens: Sequence[str],
    titles: Sequence[str],
    gold: Collection[tuple[int, int]] | None = None,
    role: str = "cross",
    row: int | None = None,
    rows: str | None = None,
) -> Figure:
    """Small multiples on one scale: weights (maps, target, source), a title for each map.

    `row` names a target token by its index: its row is outlined in each map, with its numbers.
    `rows` says what the rows' labels are, as in `attention_map`.
    """
    grids = as_array(weights)
    if grids.ndim != 3 or len(grids) != len(titles):
        raise ValueError(
            f"weights must be ({len(titles)}, target, source) for {len(titles)} titles, "
            f"got {grids.shape}"
        )
    columns = min(2, len(grids)) if len(source_tokens) > 5 else min(4, len(grids))
    lines = -(-len(grids) // columns)
    figure, axes = new_figure(lines * (1.25 + 0.27 * len(target_tokens)), columns, lines)
    for ax in axes[len(grids) :]:
        ax.set(xticks=[], yticks=[])
        ax.set_axis_off()
    for ax, grid, title in zip(axes, grids, titles, strict=False):
        grid = _matrix(grid, len(target_tokens), len(source_tokens))
        _draw_map(ax, grid, source_tokens, target_tokens, gold, role, numbers=False)
        _title_rows(ax, rows)
        if row is not None:
            _frame_row(ax, row, len(source_tokens))
            _write_weights(ax, grid[row : row + 1], row, 7.5)
        ax.set_title(title, pad=8)
    figure.alt = f"{len(grids)} attention maps side by side. "
    if row is None:
        maps = (
            _describe_map(g, source_tokens, target_tokens, t, rows)
            for g, t in zip(grids, titles, strict=True)
        )
        figure.alt += " ".join(maps)
    else:
        looks = [
            f"{title} at {_strongest(grid[row], source_tokens)}"
            for title, grid in zip(titles, grids, strict=True)
        ]
        figure.alt += (
            f"Where the outlined row, {target_tokens[row]}, looks most: {', '.join(looks)}."
        )
    return figure


@in_house_style
def attention_steps(
    scores: Numbers,
    scaled: Numbers,
    masked: Numbers,
    weights: Numbers,
    source_tokens: Sequence[str],
    target_tokens: Sequence[str],
    role: str = "encoder",
) -> Figure:
    """Scores, scaled, masked, softmax: four grids of real numbers; masked cells are hatched.

    Positive scores are blue and negative ones grey; the weights have the colour of `role`.
    """
    figure, axes = new_figure(1.7 + 0.42 * len(target_tokens), 4)
    titles = ("1  scores", "2  ÷ √d_k", "3  mask", "4  softmax")
    limit = np.abs(as_array(scores)).max()
    size = 8.5 if len(source_tokens) < 5 else 7.5
    blocked = ~np.isfinite(as_array(masked))
    for index, (ax, grid) in enumerate(zip(axes, (scores, scaled, masked, weights), strict=True)):
        grid = _matrix(grid, len(target_tokens), len(source_tokens))
        hidden = blocked if index > 1 else np.zeros_like(blocked)
        colours = _sequential(ROLES[role]) if index == 3 else _diverging()
        low, high = (0, 1) if index == 3 else (-limit, limit)
        ax.imshow(np.where(hidden, 0, grid), cmap=colours, vmin=low, vmax=high, aspect="auto")
        _write_numbers(ax, grid, hidden, "−∞" if index == 2 else "0", 2 if index == 3 else 1, size)
        _token_axes(ax, source_tokens, target_tokens if index == 0 else [""] * len(grid))
        ax.set_title(titles[index], pad=8)
    figure.alt = (
        "Four grids with the same rows and columns: scores, scores divided by the square root of "
        f"d_k, scores with {int(blocked.sum())} masked cells at minus infinity, and weights after "
        "softmax, where the masked cells are 0 and each row sums to 1. "
        f"{_rows_of(scores, 'Scores', target_tokens)} {_rows_of(weights, 'Weights', target_tokens)}"
    )
    return figure


@in_house_style
def grids(
    matrices: Mapping[str, Numbers],
    row_labels: Sequence[str] | None = None,
    column_labels: Sequence[str] | None = None,
    role: str = "encoder",
    alike: bool = True,
) -> Figure:
    """Small matrices side by side with their numbers; colour shows sign and size.

    If the matrices hold different kinds of things, `alike=False` gives each a colour scale of its
    own, and gives shares two digits throughout.
    """
    arrays = {title: np.atleast_2d(as_array(m)) for title, m in matrices.items()}
    rows = max(len(a) for a in arrays.values())
    figure, axes = new_figure(
        1.1 + 0.36 * rows + (0.4 if column_labels else 0),
        len(arrays),
        width_ratios=[a.shape[1] + 0.6 for a in arrays.values()],
    )
    limit = max(np.abs(a).max() for a in arrays.values()) or 1.0
    for index, (ax, (title, array)) in enumerate(zip(axes, arrays.items(), strict=True)):
        if not alike:
            limit = np.abs(array).max() or 1.0
        ax.imshow(array, cmap=_diverging(ROLES[role]), vmin=-limit, vmax=limit, aspect="auto")
        nothing_hidden = np.zeros(array.shape, dtype=bool)
        _write_numbers(ax, array, nothing_hidden, "", whole=alike or np.abs(array).max() > 1)
        names = column_labels if column_labels and len(column_labels) == array.shape[1] else None
        fits = row_labels and index == 0 and len(row_labels) == len(array)
        beside = row_labels if row_labels and fits else [""] * len(array)
        _token_axes(ax, names or [""] * array.shape[1], beside)
        ax.set_title(title, pad=8)
    figure.alt = "Matrices with their numbers, side by side. " + " ".join(
        _rows_of(a, f"{title} ({a.shape[0]} by {a.shape[1]})") for title, a in arrays.items()
    )
    title, table = list(arrays.items())[-1]
    labels = row_labels or (), column_labels or ()
    if len(arrays) == 1 and table.shape == tuple(map(len, labels)):  # its names can be read aloud
        each = [
            f"{row}: " + ", ".join(f"{c} {n:z.2f}" for c, n in zip(labels[1], r, strict=True))
            for row, r in zip(labels[0], table, strict=True)
        ]
        figure.alt = f"Table of {title}. {'. '.join(each)}."
    return figure


@in_house_style
def mask_grid(
    masks: Mapping[str, Numbers],
    column_labels: Sequence[Sequence[str]],
    row_labels: Sequence[Sequence[str]],
    roles: Sequence[str] = (),
) -> Figure:
    """Masks side by side: a dot on a tint where looking is allowed, hatching where it is not.

    `roles` says whose masks they are: "encoder" (the default), "decoder" or "cross".
    """
    roles = roles or ["encoder"] * len(masks)
    arrays = {title: as_array(m).astype(bool) for title, m in masks.items()}
    tallest = max(len(a) for a in arrays.values())
    figure, axes = new_figure(
        1.4 + 0.26 * tallest, len(arrays), width_ratios=[a.shape[1] + 2 for a in arrays.values()]
    )
    items = zip(axes, arrays.items(), column_labels, row_labels, roles, strict=True)
    for ax, (title, allowed), columns, rows, role in items:
        _matrix(allowed, len(rows), len(columns))
        _check_role(role)
        ax.imshow(np.zeros(allowed.shape), cmap=_sequential(CROSS), vmin=0, vmax=1)
        for t, s in np.ndindex(*allowed.shape):
            corner = (s - 0.46, t - 0.46)
            if allowed[t, s]:
                ax.add_patch(Rectangle(corner, 0.92, 0.92, color=TINTS[ROLES[role]], linewidth=0))
                ax.add_patch(Circle((s, t), 0.16, color=ROLES[role]))
            else:
                ax.add_patch(
                    Rectangle(corner, 0.92, 0.92, fill=False, hatch="////", ec=OFF, linewidth=0)
                )
        _token_axes(ax, columns, rows)
        ax.set_title(title, pad=14)
    figure.supxlabel("dot: True, may attend · hatched: False, hidden", fontsize=9, color=MUTED)
    figure.alt = "Masks as grids, rows look at columns. " + "; ".join(
        f"{title}: {int(a.sum())} of {a.size} cells allowed" for title, a in arrays.items()
    )
    return figure


@in_house_style
def positions(encoding: Numbers) -> Figure:
    """Positions (length, d_model): the table, and the similarity over the distance."""
    table = as_array(encoding)
    figure, (heat, similar) = new_figure(3.1, 2, width_ratios=[1.1, 1])
    image = heat.imshow(table, cmap=_diverging(), vmin=-1, vmax=1, aspect="auto")
    heat.set(title="the table", xlabel="column", ylabel="position")
    figure.colorbar(image, ax=heat, shrink=0.7)
    middle = len(table) // 2
    distance = np.arange(len(table)) - middle
    similar.plot(distance, table @ table[middle], color=INK, linewidth=1.8)
    similar.set(title="similarity", xlabel="distance from the middle", ylabel="dot product")
    similar.set_ylim(bottom=0)
    figure.alt = (
        "Two panels: the table of positions as a heat map, with fast waves on the left and slow "
        "ones on the right; the dot product of the middle position with all others, highest at "
        "distance 0 and the same to both sides."
    )
    return figure


@in_house_style
def cache_growth(panels: Mapping[str, tuple[Numbers, Sequence[str]]]) -> Figure:
    """What is computed at each step: {title: (counts (steps, tokens), token labels)}.

    A panel whose title names self-attention has the decoder's colour, the others the memory's.

    counts are 2 where keys and values are computed in that step, 1 where they are kept from an
    earlier one, 0 where there is nothing yet. Rows are steps, from the top down.
    """
    arrays = {title: (as_array(grid), labels) for title, (grid, labels) in panels.items()}
    rows = max(len(grid) for grid, _ in arrays.values())
    widths = [grid.shape[1] + 1 for grid, _ in arrays.values()]
    figure, axes = new_figure(1.6 + 0.22 * rows, len(arrays), width_ratios=widths)
    for ax, (title, (grid, labels)) in zip(axes, arrays.items(), strict=True):
        own = title.startswith("self")
        shades = ["white", *((DECODER_TINT, DECODER) if own else (CROSS_TINT, CROSS))]
        colours = LinearSegmentedColormap.from_list("kept", shades, 3)
        ax.imshow(grid, cmap=colours, vmin=0, vmax=2, aspect="auto")
        _token_axes(ax, labels, [str(step) for step in range(1, len(grid) + 1)])
        ax.set_title(title, pad=8)
    axes[0].set_ylabel("step")
    counts = ", ".join(
        f"{title}: {int((grid == 2).sum())} computed, {int((grid == 1).sum())} kept"
        for title, (grid, _) in arrays.items()
    )
    figure.alt = f"Keys and values over the steps of decoding. {counts}."
    return figure


@in_house_style
def image_grid(images: Numbers, titles: Sequence[str], columns: int = 4) -> Figure:
    """Images (count, 3, height, width), red, green and blue from 0 to 1, with titles below."""
    arrays = as_array(images)
    if arrays.ndim != 4 or arrays.shape[1] != 3 or len(arrays) != len(titles):
        raise ValueError(
            f"images must be ({len(titles)}, 3, height, width) for {len(titles)} titles, "
            f"got {arrays.shape}"
        )
    rows = -(-len(arrays) // columns)
    # A row is as high as a picture is wide, plus two lines for a title, or one for a number.
    figure, axes = new_figure(
        (WIDTH / columns + (0.4 if columns < 8 else 0.15)) * rows, columns, rows
    )
    for ax in axes:
        ax.set(xticks=[], yticks=[])
        ax.set_axis_off()
    for ax, image, title in zip(axes, arrays, titles, strict=False):
        ax.imshow(image.transpose(1, 2, 0))
        ax.set_title(textwrap.fill(title, 24), y=0, pad=-4, va="top", fontsize=9.5, weight="normal")
    figure.alt = f"{len(arrays)} small pictures: {'; '.join(titles)}."
    return figure


@in_house_style
def attention_on_image(
    image: Numbers, weights: Numbers, words: Sequence[str], columns: int = 5
) -> Figure:
    """Where each word looked: weights (words, patches) as frames and a veil over the image.

    The patches are a square grid, row by row. The less a patch was attended to, the more it fades
    towards white; the strongest have a frame. Each panel is scaled to its own largest weight, which
    is in its title.
    """
    grid, picture = as_array(weights), as_array(image).transpose(1, 2, 0)
    side = round(grid.shape[-1] ** 0.5)
    if grid.ndim != 2 or len(grid) != len(words) or side**2 != grid.shape[-1]:
        raise ValueError(
            f"weights must be ({len(words)}, side²) for {len(words)} words, got {grid.shape}"
        )
    rows = -(-len(words) // columns)
    figure, axes = new_figure(2.0 * rows, columns, rows)
    height, width = picture.shape[:2]
    for ax in axes:
        ax.set(xticks=[], yticks=[])
        ax.set_axis_off()
    strongest = []
    for ax, word, row in zip(axes, words, grid, strict=False):
        share = (row / row.max()).reshape(side, side)
        extent = (0, width, height, 0)
        ax.imshow(picture, extent=extent)
        veil = np.ones((side, side, 4))
        veil[..., 3] = 0.7 * (1 - share)
        ax.imshow(veil, extent=extent, interpolation="nearest")
        across, down = width / side, height / side
        for y, x in zip(*np.nonzero(share >= 0.33), strict=True):
            frame = dict(edgecolor=CROSS, facecolor="none", linewidth=2.2, alpha=share[y, x])
            box = (x * across + 0.3, y * down + 0.3), across - 0.6, down - 0.6
            ax.add_patch(Rectangle(*box, **frame))
        ax.set_title(f"{word}  {row.max():.2f}", fontsize=10)
        place = divmod(int(row.argmax()), side)
        strongest.append(f"{word} at row {place[0] + 1}, column {place[1] + 1}")
    figure.alt = (
        f"The picture once for each word. Its {side} by {side} patches keep their colours where "
        f"the word attends to them, and fade elsewhere. Strongest: {'; '.join(strongest)}."
    )
    return figure


def _matrix(values: Numbers, rows: int, columns: int) -> np.ndarray:
    grid = as_array(values)
    if grid.shape != (rows, columns):
        raise ValueError(
            f"weights must be (target, source) = ({rows}, {columns}) for {rows} target tokens and "
            f"{columns} source tokens, got {grid.shape}"
        )
    return grid


def _sequential(colour: str) -> LinearSegmentedColormap:
    return LinearSegmentedColormap.from_list("role", ["white", colour])


def _diverging(colour: str = ENCODER) -> LinearSegmentedColormap:
    return LinearSegmentedColormap.from_list("signed", ["#9CA3AF", "white", colour])


def _token_axes(axes: Axes, columns: Sequence[str], rows: Sequence[str]) -> None:
    angle = 45 if max(map(len, columns), default=0) > 2 else 0
    axes.xaxis.tick_top()
    axes.set_xticks(
        range(len(columns)),
        [escape_dollars(c) for c in columns],
        rotation=angle,
        ha="left" if angle else "center",
        rotation_mode="anchor" if angle else None,
    )
    axes.set_yticks(range(len(rows)), [escape_dollars(r) for r in rows])
    axes.tick_params(length=0, pad=3)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _write_numbers(
    axes: Axes,
    grid: np.ndarray,
    hidden: np.ndarray,
    instead: str,
    digits: int = 2,
    size: float = 9,
    whole: bool = True,
) -> None:
    """Write numbers in the cells, `instead` in hidden ones; `whole` numbers get no digits."""
    shown = grid[np.isfinite(grid)]
    digits = 0 if whole and (shown == shown.round()).all() else digits
    paper = {"facecolor": "white", "edgecolor": "none", "pad": 1.2}  # behind it, no hatching
    for row, column in np.ndindex(*grid.shape):
        if hidden[row, column]:
            box = Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, hatch="////", ec=OFF, lw=0)
            axes.add_patch(box)
        places = 0 if abs(grid[row, column]) >= 10 else digits  # so that neighbours do not touch
        text = f"{grid[row, column]:z.{places}f}".replace("-", "−")
        red, green, blue, _ = axes.images[-1].to_rgba(grid[row, column])
        dark = not hidden[row, column] and 0.3 * red + 0.59 * green + 0.11 * blue < 0.5
        colour = "white" if dark else INK
        middle: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": size, "color": colour}
        if hidden[row, column]:
            axes.text(column, row, instead, bbox=paper, **middle)
        else:
            axes.text(column, row, text, **middle)


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise ValueError(f"role must be one of {sorted(ROLES)}, got {role!r}")


def _draw_map(
    axes: Axes,
    grid: np.ndarray,
    source_tokens: Sequence[str],
    target_tokens: Sequence[str],
    gold: Collection[tuple[int, int]] | None,
    role: str,
    numbers: bool = True,
) -> None:
    _check_role(role)
    axes.imshow(grid, cmap=_sequential(ROLES[role]), vmin=0, vmax=1, aspect="auto")
    _token_axes(axes, source_tokens, target_tokens)
    for edge in np.arange(len(target_tokens) + 1) - 0.5:
        axes.axhline(edge, color=OFF, linewidth=0.4)
    for edge in np.arange(len(source_tokens) + 1) - 0.5:
        axes.axvline(edge, color=OFF, linewidth=0.4)
    for target, source in gold or ():
        corner = (source - 0.46, target - 0.46)
        axes.add_patch(Rectangle(corner, 0.92, 0.92, fill=False, edgecolor=INK, linewidth=1.6))
    if numbers and len(source_tokens) <= 14:
        _write_weights(axes, grid, 0, 9)


def _frame_row(axes: Axes, row: int, columns: int) -> None:
    """A frame around one row of a map."""
    frame = Rectangle((-0.46, row - 0.46), columns - 0.08, 0.92, fill=False)
    frame.set(edgecolor=INK, linewidth=1.6)
    axes.add_patch(frame)


def _title_rows(axes: Axes, title: str | None) -> None:
    """Write in the empty corner, above the rows' labels, what these labels are."""
    if title:
        corner: dict[str, Any] = {"xy": (0, 1), "xycoords": "axes fraction", "xytext": (-3, 5)}
        look: dict[str, Any] = {"fontsize": 9, "color": MUTED, "ha": "right", "va": "bottom"}
        axes.annotate(f"{title} ↓", textcoords="offset points", **corner, **look)


def _write_weights(axes: Axes, grid: np.ndarray, first: int, size: float) -> None:
    """The weights of 0.05 and more; the grid's first row is the map's row `first`."""
    for row, column in np.argwhere(grid >= 0.05):
        value = grid[row, column]
        middle: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": size}
        colour = "white" if value > 0.6 else INK
        axes.text(column, first + row, f"{value:.2f}", color=colour, **middle)


def _hatch(axes: Axes, hidden: np.ndarray) -> None:
    for row, column in np.argwhere(hidden):
        corner = (column - 0.46, row - 0.46)
        axes.add_patch(Rectangle(corner, 0.92, 0.92, fill=False, hatch="////", ec=OFF, linewidth=0))


def _strongest(weights: np.ndarray, tokens: Sequence[str]) -> str:
    return f"{tokens[int(weights.argmax())]} ({weights.max():.2f})"


def _rows_of(grid: Numbers, title: str, names: Sequence[str] = ()) -> str:
    """The numbers of a small matrix, or the first row of a larger one, for `figure.alt`."""
    rows = [", ".join(f"{n:z.2f}".removesuffix(".00") for n in row) for row in as_array(grid)]
    if as_array(grid).size > 16:
        return f"{title}, first row: {rows[0]}."
    named = [f"{name} {row}" for name, row in zip(names, rows, strict=True)] if names else rows
    return f"{title}: {'; '.join(named)}."


def _describe_map(
    grid: np.ndarray,
    source_tokens: Sequence[str],
    target_tokens: Sequence[str],
    title: str | None,
    rows: str | None = None,
) -> str:
    strongest = [
        f"{target} at {_strongest(grid[row], source_tokens)}"
        for row, target in enumerate(target_tokens)
        if grid[row].max() > 0
    ]
    name = f"{title}. " if title else ""
    meaning = f" ({rows})" if rows else ""
    return f"{name}Attention map; each row{meaning} looks most at: {', '.join(strongest[:16])}."
