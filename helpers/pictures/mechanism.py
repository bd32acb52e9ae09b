"""Drawings of how a part works: attention, heads, next words, a decoding step, a beam search."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from helpers.pictures.shapes import draw_arrow, draw_box, draw_cells, draw_panel, new_canvas
from helpers.pictures.style import (
    BRICK,
    CROSS,
    DECODER,
    DECODER_TINT,
    ENCODER,
    INK,
    MUTED,
    OFF,
    SLATE,
    TEAL,
    VIOLET,
    escape_dollars,
    in_house_style,
    new_figure,
)


@in_house_style
def self_attention(length: int = 4, d_model: int = 4) -> Figure:
    """The same drawing for self-attention: one sequence makes all three."""
    return _mechanism(length, length, d_model, crossing=False)


@in_house_style
def cross_attention(target: int = 3, source: int = 5, d_model: int = 4) -> Figure:
    """The mechanism in detail, with true shapes: what makes queries, keys, values and scores."""
    return _mechanism(target, source, d_model, crossing=True)


@in_house_style
def heads(num_heads: int = 4, d_model: int = 8, length: int = 3) -> Figure:
    """Splitting d_model columns among heads, attending in each, and merging again."""
    if d_model % num_heads:
        raise ValueError(f"d_model={d_model} must be divisible by num_heads={num_heads}")
    d_k = d_model // num_heads
    figure, axes = new_canvas(2.7, (0, 8.4), (-0.3, 2.3))
    shades = (TEAL, VIOLET, BRICK, SLATE)
    room = 2.3 / num_heads
    cell = min(0.24, 1.9 / d_model, 0.84 * room / length)
    middle = 1.15
    half = length * cell / 2

    def columns(x: float, y: float, start: int, count: int, colour: str) -> None:
        tint = to_rgba(colour, alpha=0.15)
        for row in range(length):
            for column in range(count):
                corner = (x + (start + column) * cell, y + (length - 1 - row) * cell)
                axes.add_patch(Rectangle(corner, cell, cell, fc=tint, ec=colour, lw=1))

    left, right = 0.15, 8.25 - d_model * cell
    before, after = 2.95, 5.45 - d_k * cell  # where a head's table is, and where its output is
    for x, title in (
        (left, "Q, K or V\n(length, d_model)"),
        (right, "merged, for W_O to mix\n(length, d_model)"),
    ):
        for h in range(num_heads):
            columns(x, middle - half, h * d_k, d_k, shades[h % 4])
        at = min(x + d_model * cell / 2, 7.45)
        axes.text(at, middle - half - 0.1, title, ha="center", va="top", fontsize=9)
    for h in range(num_heads):
        y = 2.3 - room * (h + 0.5)
        for x in (before, after):
            columns(x, y - half, 0, d_k, shades[h % 4])
        draw_arrow(axes, (left + d_model * cell + 0.08, middle), (before - 0.08, y), OFF, 1.3)
        draw_arrow(axes, (after + d_k * cell + 0.08, y), (right - 0.08, middle), OFF, 1.3)
        between = (before + d_k * cell + after) / 2
        axes.text(between, y, f"head {h + 1}: attention", ha="center", va="center", fontsize=9)
    caption = f"each table (length, d_k = {d_k})"
    axes.text(4.2, -0.12, caption, ha="center", va="top", fontsize=9, color=MUTED)
    figure.alt = (
        f"A matrix of {d_model} columns is split into {num_heads} heads of {d_k} columns; each "
        "head attends on its own; the results are put side by side again."
    )
    return figure


@in_house_style
def descent(
    loss: Callable[[np.ndarray], np.ndarray], visited: Sequence[float], span: tuple[float, float]
) -> Figure:
    """A loss over its one parameter, and an arrow along it for each step between visited values.

    The picture shows `span` of the parameter, and more where a step leaves it.
    """
    if len(visited) < 2:
        raise ValueError(f"visited must have at least 2 values, got {len(visited)}")
    figure, (axes,) = new_figure(3.4)
    span = (min(span[0], min(visited) - 0.5), max(span[1], max(visited) + 0.5))
    across = np.linspace(*span, 200)
    axes.plot(across, loss(across), color=MUTED, linewidth=2)
    places = [(w, float(loss(np.asarray(w)))) for w in visited]
    for number, (start, end) in enumerate(pairwise(places), start=1):
        if abs(end[0] - start[0]) < 0.02 * (span[1] - span[0]):
            break  # too short to be seen
        draw_arrow(axes, start, end, TEAL, 1.8)
        middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
        axes.annotate(
            f"step {number}", middle, (6, 6), textcoords="offset points", color=TEAL, fontsize=9.5
        )
    axes.plot(*zip(*places, strict=True), "o", color=TEAL, markersize=5)
    axes.set(xlabel="the parameter w", ylabel="loss", xlim=span)
    axes.set_ylim(bottom=-0.05 * loss(across).max())
    figure.alt = (
        "A valley, the loss over the parameter w, and the steps down its side: w goes "
        f"from {', '.join(f'{w:.2f}' for w in visited[:-1])} to {visited[-1]:.2f}."
    )
    return figure


@in_house_style
def backward(values: Mapping[str, float], gradients: Mapping[str, float]) -> Figure:
    """Two layers that multiply: their numbers on the way forward, the gradients on the way back.

    `values` holds input, w1, hidden, w2, prediction and loss, and `gradients` all of these that
    have one: w1, hidden, w2 and prediction.
    """
    told = {name: f"{number:g}".replace("-", "−") for name, number in values.items()}
    slope = {name: f"{number:g}".replace("-", "−") for name, number in gradients.items()}
    figure, axes = new_canvas(3.1, (0, 8.4), (0, 3.1))
    width, top, low = 1.3, 2.15, 1.05
    left = {"input": 1.1, "hidden": 3.3, "prediction": 5.5, "loss": 7.4}
    for name, x in left.items():
        wide = 0.9 if name == "loss" else width
        draw_box(axes, (x, top, wide, 0.62), f"{name}\n{told[name]}", MUTED, fontsize=10)
    axes.text(0.05, top + 0.31, "forward", va="center", fontsize=10.5, weight="bold")
    axes.text(0.05, low + 0.31, "backward", va="center", fontsize=10.5, weight="bold", color=TEAL)
    for name, start, end in (("w1", "input", "hidden"), ("w2", "hidden", "prediction")):
        ends = left[start] + width, left[end]
        draw_arrow(axes, (ends[0] + 0.04, top + 0.31), (ends[1] - 0.04, top + 0.31))
        factor = f"· {name} = {told[name]}"
        axes.text(sum(ends) / 2, top + 0.44, factor, ha="center", fontsize=9.5)
        share = f"{name} gets\n{told[start]} · ({slope[end]}) = {slope[name]}"
        axes.text(sum(ends) / 2, 0.28, share, ha="center", va="center", fontsize=10, color=TEAL)
        draw_arrow(axes, (left[end] + 0.1, low - 0.03), (sum(ends) / 2 + 0.25, 0.5), TEAL)
    draw_arrow(axes, (left["prediction"] + width + 0.04, top + 0.31), (7.36, top + 0.31))
    for name in ("hidden", "prediction"):
        text = f"gradient\n{slope[name]}"
        draw_box(axes, (left[name], low, width, 0.62), text, TEAL, fontsize=10, tint="white")
    axes.plot([7.85, 7.85], [top - 0.04, low + 0.31], color=TEAL, lw=1.8)
    draw_arrow(axes, (7.86, low + 0.31), (left["prediction"] + width + 0.04, low + 0.31), TEAL, 1.8)
    ends = left["prediction"] - 0.04, left["hidden"] + width + 0.04
    draw_arrow(axes, (ends[0], low + 0.31), (ends[1], low + 0.31), TEAL, 1.8)
    factor = f"· w2 = {told['w2']}"
    axes.text(sum(ends) / 2, low + 0.44, factor, ha="center", fontsize=9.5, color=TEAL)
    figure.alt = (
        f"Forward: the input {told['input']} times w1 = {told['w1']} is hidden = {told['hidden']}, "
        f"times w2 = {told['w2']} is the prediction {told['prediction']}, and the loss is "
        f"{told['loss']}. Backward: the prediction's gradient is {slope['prediction']}, times w2 "
        f"it is {slope['hidden']} at hidden; w2 gets {slope['w2']} and w1 gets {slope['w1']}."
    )
    return figure


@in_house_style
def next_word(tokens: Sequence[str]) -> Figure:
    """Next-word prediction: above, what a model reads; below, the same tokens shifted by one."""
    if not 3 <= len(tokens) <= 8:
        raise ValueError(f"tokens must be 3 to 8 to be drawn, got {len(tokens)}")
    read, answers = tokens[:-1], tokens[1:]
    figure, axes = new_canvas(2.9, (0, 8.4), (0, 2.9))
    left, step = 1.35, 6.95 / len(read)
    fontsize = min(10.5, 84 * step / max(map(len, tokens)))
    for y, name, role, row in (
        (2.1, "it reads", DECODER, read),
        (0.25, "it should\npredict", MUTED, answers),
    ):
        axes.text(left - 0.2, y + 0.25, name, ha="right", va="center", fontsize=10.5)
        for i, token in enumerate(row):
            bounds = (left + i * step, y, 0.88 * step, 0.5)
            draw_box(axes, bounds, escape_dollars(token), role, fontsize=fontsize)
    draw_box(axes, (left, 1.2, 6.95 - 0.12 * step, 0.45), "the model", DECODER, bold=True)
    for i in range(len(read)):
        x = left + (i + 0.44) * step
        draw_arrow(axes, (x, 2.08), (x, 1.67), MUTED)
        draw_arrow(axes, (x, 1.18), (x, 0.77), MUTED)
    pairs = ", ".join(f"at {a} it should predict {b}" for a, b in zip(read, answers, strict=True))
    figure.alt = f"A model reads one sentence and predicts the next word at every place: {pairs}."
    return figure


@in_house_style
def decoding_step(read: Sequence[str], writes: str, source: Sequence[str]) -> Figure:
    """One step of writing with a cache: `read` so far, the word that it writes, the source."""
    if not 1 <= len(read) <= 8 or not 1 <= len(source) <= 12:
        raise ValueError(
            f"read must have 1 to 8 tokens and source 1 to 12 to be drawn, "
            f"got {len(read)} and {len(source)}"
        )
    figure, axes = new_canvas(5.3, (0.7, 8.4), (-0.1, 5.2))
    x, cell = 4.5, 0.2
    rows = {
        f"last token: {read[-1]}": (0.0, MUTED),
        "embedding + position": (0.66, DECODER),
        "masked self-attention": (1.6, DECODER),
        "cross-attention": (2.48, CROSS),
        "feed-forward": (3.36, DECODER),
        "linear, the likeliest word": (4.2, DECODER),
    }
    for name, (y, role) in rows.items():
        draw_box(axes, (x - 1.1, y, 2.2, 0.44), name, role, thick=role == CROSS, fontsize=9.5)
    bottoms = [y for y, _ in rows.values()]
    for lower, upper in pairwise(bottoms):
        draw_arrow(axes, (x, lower + 0.44), (x, upper - 0.01))
    draw_panel(axes, (0.95, 1.36, 6.8, 2.64), DECODER)
    axes.text(1.1, 3.78, "× N", color=DECODER, weight="bold", fontsize=10, va="center")
    draw_arrow(axes, (x, 4.64), (x, 4.92))
    axes.text(x, 5.02, writes, ha="center", va="center", weight="bold", fontsize=10.5)

    # Right, in the layer: what self-attention keeps. Only the last cell is new.
    left, y = x + 1.55, 1.82
    draw_cells(axes, left, y + cell / 2, 1, len(read), DECODER, cell)
    new = left + (len(read) - 1) * cell
    axes.add_patch(Rectangle((new, y - cell / 2), cell, cell, fc=DECODER, ec=DECODER))
    draw_arrow(axes, (left - 0.04, y), (x + 1.11, y), DECODER, 1.8)
    note = "this layer's K, V so far:\none is added (filled)"
    axes.text(left - 0.1, y + 0.22, note, fontsize=9, va="bottom")

    # Left, in the layer: what cross-attention keeps. The layer makes it from the memory.
    y, small = 2.7, min(cell, 2.0 / len(source))
    right = x - 1.45
    start = right - len(source) * small
    middle = (start + right) / 2
    draw_cells(axes, start, y + small / 2, 1, len(source), CROSS, small)
    draw_arrow(axes, (right + 0.04, y), (x - 1.11, y), CROSS, 2.4)
    note = "this layer's K, V of\nthe memory, made once"
    axes.text(middle, y + 0.2, note, fontsize=9, va="bottom", ha="center")
    draw_box(axes, (middle - 0.72, 1.6, 1.44, 0.44), "own W_K, W_V", DECODER, fontsize=9.5)
    draw_arrow(axes, (middle, 2.04), (middle, y - small / 2 - 0.03), CROSS, 2.4)
    draw_box(
        axes, (middle - 1.1, 0.0, 2.2, 0.6), "encoder:\nran once, before", ENCODER, fontsize=9.5
    )
    draw_arrow(axes, (middle, 0.6), (middle, 1.58), CROSS, 2.4)
    axes.text(middle + 0.12, 0.97, "memory", color=CROSS, weight="bold", fontsize=9.5, va="center")

    axes.plot([x + 0.75, 8.2, 8.2], [5.02, 5.02, 0.22], color=INK, lw=1.3)
    draw_arrow(axes, (8.2, 0.22), (x + 1.12, 0.22))
    axes.text(
        8.1, 4.6, "is read in the\nnext step", fontsize=9, ha="right", va="center", color=MUTED
    )
    figure.alt = (
        f"One step of decoding. The last token, {read[-1]}, goes up through embedding and N layers "
        "of masked self-attention, cross-attention and feed-forward, and "
        f"{writes} comes out, which the next step reads. Inside each layer, self-attention's cache "
        f"holds keys and values of {len(read)} words, one of them new. Cross-attention's holds "
        f"those of the memory's {len(source)} vectors: the encoder hands over the memory, and the "
        "layer's own W_K and W_V made them, once."
    )
    return figure


def _mechanism(target: int, source: int, d_model: int, crossing: bool) -> Figure:
    if min(target, source, d_model) < 1 or max(target, source, d_model) > 8:
        raise ValueError(
            "target, source and d_model must lie in 1 to 8 to be drawn, "
            f"got {target}, {source}, {d_model}"
        )
    role = DECODER if crossing else ENCODER
    other, mixed = (CROSS, CROSS) if crossing else (ENCODER, MUTED)
    figure, axes = new_canvas(4.3, (0.25, 9.1), (0, 4.5))
    size = 0.2
    wide = d_model * size
    query_y, key_y, value_y = 3.85, 2.5, 1.15
    top, low = (query_y, 1.95) if crossing else (key_y, key_y)  # upper edges of the inputs
    rows = ("T", "S") if crossing else ("L", "L")
    inputs = [("memory" if crossing else "x", low, rows[1], source, other)]
    if crossing:
        inputs.append(("decoder states", top, rows[0], target, role))
    for name, y, letter, count, own in inputs:
        draw_cells(axes, 0.35, y, count, d_model, own)
        axes.text(0.35, y + 0.12, f"{name}\n({letter}={count}, d_model)", fontsize=9)

    for label, y, start, own in (
        ("W_Q", query_y - target * size / 2, top - target * size / 2, role),
        ("W_K", key_y - source * size / 2, low - source * size / 2, other),
        ("W_V", value_y - source * size / 2, low - source * size / 2, other),
    ):
        # Whatever a matrix reads, it has the colour of the layer that looks and that it belongs to.
        draw_box(axes, (1.95, y - 0.17, 0.62, 0.34), label, role, bold=True, fontsize=9.5)
        draw_arrow(axes, (0.4 + wide, start), (1.94, y), own, 1.6)
        draw_arrow(axes, (2.57, y), (2.92, y), own, 1.6)
    for name, y, count, own in (
        (f"Q ({rows[0]}, d_k)", query_y, target, role),
        (f"K ({rows[1]}, d_k)", key_y, source, other),
        (f"V ({rows[1]}, d_k)", value_y, source, other),
    ):
        draw_cells(axes, 2.97, y, count, d_model, own)
        axes.text(2.97, y + 0.06, name, fontsize=9)

    x, y = 4.75, 3.45
    draw_cells(axes, x, y, target, source, mixed)
    shape = f"{rows[0]} × {rows[1]} = {target} × {source}"
    axes.text(x, y + 0.1, f"scores  Q Kᵀ / √d_k\n{shape}", fontsize=9)
    draw_arrow(axes, (3.05 + wide, query_y - 0.2), (x - 0.06, y - 0.12), role, 1.6)
    draw_arrow(axes, (3.05 + wide, key_y - 0.3), (x - 0.06, y - 0.45), other, 1.6)
    below = y - target * size
    axes.text(
        x + source * size / 2,
        below - 0.36,
        "mask, softmax\nalong each row",
        ha="center",
        va="center",
        fontsize=9,
    )
    draw_arrow(axes, (x + source * size / 2, below - 0.02), (x + source * size / 2, below - 0.18))
    weights_y = below - 1.05
    draw_arrow(axes, (x + source * size / 2, below - 0.54), (x + source * size / 2, below - 0.7))
    draw_cells(axes, x, weights_y + 0.33, target, source, mixed)
    axes.text(x, weights_y + 0.14 - target * size, f"weights  {target} × {source}", fontsize=9)
    draw_box(axes, (6.3, 1.18, 0.46, 0.34), "× V", mixed, bold=True, fontsize=9.5)
    draw_arrow(axes, (x + source * size + 0.03, weights_y + 0.1), (6.29, 1.38), mixed, 1.6)
    bottom = value_y - source * size / 2  # the middle of V
    axes.plot(
        [3.05 + wide, 6.53, 6.53], [bottom, bottom, 1.0], color=other, lw=1.6, solid_capstyle="butt"
    )
    draw_arrow(axes, (6.53, 0.98), (6.53, 1.17), other, 1.6)
    draw_box(axes, (7.0, 1.18, 0.5, 0.34), "W_O", role, bold=True, fontsize=9.5)
    draw_arrow(axes, (6.76, 1.35), (6.99, 1.35))
    draw_arrow(axes, (7.5, 1.35), (7.9, 1.35))
    above = 1.35 + target * size / 2
    draw_cells(axes, 7.95, above, target, d_model, role)
    axes.text(7.95, above + 0.12, f"output\n({rows[0]}={target}, d_model)", fontsize=9)
    if crossing:  # a frame around all that the layer owns and computes
        floor = min(0.02, value_y - source * size - 0.1)
        frame = Rectangle((1.68, floor), 6.0, 4.3 - floor)
        frame.set(fill=False, edgecolor=role, linewidth=1.0)
        axes.add_patch(frame)
        axes.text(
            7.6,
            floor + 0.08,
            "cross-attention in one decoder layer",
            ha="right",
            fontsize=9,
            color=role,
        )
    figure.alt = (
        (
            f"Cross-attention with {target} target states and {source} memory vectors: W_Q makes "
            "the queries from the decoder's states; W_K and W_V make keys and values from the "
            "memory; all four matrices are in the decoder's colour, inside a frame that says: "
            "cross-attention in one decoder layer. The memory comes from outside it; "
        )
        if crossing
        else f"Self-attention on {target} vectors: W_Q, W_K and W_V all read the same x; "
    ) + (
        f"queries and keys give {target} by {source} scores, mask and softmax along the rows give "
        f"the weights, the weights mix the values, W_O gives {target} output vectors."
    )
    return figure


@in_house_style
def beam_tree(
    steps: Sequence[Sequence[tuple[float, Sequence[str]]]],
    best: Sequence[str],
    greedy: Sequence[str] = (),
) -> Figure:
    """The hypotheses a beam search keeps: a column for each step, the most probable on top.

    steps[t] holds (log-probability, tokens) of each hypothesis kept after step t; a line leads to
    the one that it continues. The path of `best`, a list of tokens, is drawn in colour, and that
    of `greedy` is dashed, as far as the beam keeps it. A note says what steps after `best` are for.
    """
    widest = max(map(len, steps))
    figure, (axes,) = new_figure(1.1 + 0.72 * widest)
    axes.set_axis_off()
    best, greedy = tuple(best), tuple(greedy)
    for column, kept in enumerate(steps):
        earlier = {tuple(tokens): row for row, (_, tokens) in enumerate(steps[column - 1])}
        for row, (total, tokens) in enumerate(kept):
            tokens = tuple(tokens)
            on_path, dashed = best[: len(tokens)] == tokens, greedy[: len(tokens)] == tokens
            colour = DECODER if on_path else MUTED
            parent = earlier.get(tokens[:-1]) if column else None
            if parent is not None:
                ends = [column - 1, column], [-parent, -row]  # the boxes cover the ends
                axes.plot(*ends, color=colour, linewidth=3.5 if on_path else 1, zorder=1)
                if dashed:
                    axes.plot(*ends, color=INK, linewidth=1.6, linestyle="--", zorder=1)
            text = f"{escape_dollars(tokens[-1])}\n{total:.2f}"
            box: dict[str, Any] = dict(boxstyle="round,pad=0.25", edgecolor=colour, linewidth=1.2)
            if dashed:
                box |= dict(edgecolor=INK, linestyle="--", linewidth=1.6)
            box["facecolor"] = DECODER_TINT if on_path else "white"
            axes.text(column, -row, text, ha="center", va="center", fontsize=9, bbox=box)
    axes.set(xlim=(-0.5, len(steps) - 0.5), ylim=(0.2 - widest, 0.4))
    if len(steps) > len(best):
        note = "the winner has ended:\ncan another overtake it?"
        axes.text(len(steps) - 0.6, 0.2 - widest, note, ha="right", fontsize=9.5, color=MUTED)
    if greedy:
        key = "coloured: what the beam returns       dashed: what greedy decoding wrote"
        axes.set_title(key, fontsize=9.5, weight="normal")
    figure.alt = (
        f"A tree over {len(steps)} steps with up to {widest} hypotheses a step; "
        f"the best path reads: {' '.join(best)}."
        + (f" Greedy's, dashed: {' '.join(greedy)}." if greedy else "")
    )
    return figure
