"""Pictures of sound: a spectrogram, and the attention to it. Time runs to the right."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from helpers.pictures.maps import _sequential
from helpers.pictures.style import (
    CROSS,
    DECODER,
    DECODER_TINT,
    ENCODER,
    INK,
    MUTED,
    OFF,
    WIDTH,
    Numbers,
    as_array,
    escape_dollars,
    in_house_style,
    new_figure,
)

Timing = tuple[str, float, float]  # a word, its start and its end in seconds


@in_house_style
def spectrogram(picture: Numbers, seconds: float, words: Sequence[Timing] = ()) -> Figure:
    """The first `seconds` of a log-mel spectrogram (bands, columns of 10 ms), words above it."""
    figure, (axes,) = new_figure(2.9)
    _draw_sound(axes, picture, seconds)
    _write_words(axes, words)
    _draw_beginnings(axes, words)
    axes.set_xlabel("seconds")
    said = f" Above it the words: {', '.join(word for word, *_ in words)}." if words else ""
    figure.alt = (
        f"Spectrogram of {seconds:.1f} seconds: time to the right, pitch upwards in "
        f"{len(as_array(picture))} bands, darker where it is louder.{said}"
    )
    return figure


@in_house_style
def attention_to_sound(
    picture: Numbers,
    weights: Numbers,
    tokens: Sequence[str],
    seconds: float,
    words: Sequence[Timing] = (),
) -> Figure:
    """A spectrogram, and under it, along the same time, who looked where: (tokens, moments).

    Rows are the queries that write `tokens`. Each row's colours are scaled to its own largest
    weight, which is written at its end. `words` are written above the sound, and lines through both
    panels mark where they begin. Raises ValueError unless there is one row for each token.
    """
    grid = as_array(weights)
    if grid.ndim != 2 or len(grid) != len(tokens):
        raise ValueError(
            f"weights must be ({len(tokens)}, moments) for {len(tokens)} tokens, got {grid.shape}"
        )
    figure, (sound, map_) = new_figure(
        2.3 + 0.27 * len(tokens), 1, 2, sharex=True, height_ratios=[1.5, 0.26 * len(tokens)]
    )
    _draw_sound(sound, picture, seconds)
    _write_words(sound, words)
    _draw_beginnings(sound, words)
    highest = grid.max(1, keepdims=True)
    map_.imshow(
        grid / highest,
        cmap=_sequential(CROSS),
        vmin=0,
        vmax=1,
        aspect="auto",
        extent=(0, seconds, len(tokens) - 0.5, -0.5),
        interpolation="nearest",
    )
    for edge in np.arange(len(tokens) + 1) - 0.5:
        map_.axhline(edge, color=OFF, linewidth=0.4)
    for row, value in enumerate(highest[:, 0]):
        map_.text(seconds * 1.008, row, f"{value:.2f}", va="center", fontsize=9, color=MUTED)
    _draw_beginnings(map_, words)
    map_.set_yticks(range(len(tokens)), [escape_dollars(t) for t in tokens])
    map_.tick_params(axis="y", length=0)
    map_.set(xlabel="seconds", xlim=(0, seconds))
    places = (row.argmax() * seconds / grid.shape[1] for row in grid)
    looks = ", ".join(f"{t} at {p:.2f} s" for t, p in zip(tokens, places, strict=True))
    figure.alt = (
        f"A spectrogram of {seconds:.1f} seconds, and under it, over the same time, one row of "
        f"attention for each token written. Each looks most at: {looks}."
    )
    return figure


@in_house_style
def heads_over_sound(
    maps: Mapping[str, Numbers], seconds: float, marked: Collection[str], columns: int = 6
) -> Figure:
    """Small multiples: {title: weights (tokens, moments)}; those in `marked` have a thick frame."""
    rows = -(-len(maps) // columns)
    figure, axes = new_figure(0.35 + 1.12 * rows, columns, rows)
    for ax in axes:
        ax.set(xticks=[], yticks=[])
        ax.set_axis_off()
    for ax, (title, weights) in zip(axes, maps.items(), strict=False):
        grid = as_array(weights)
        ax.set_axis_on()
        ax.imshow(
            grid / grid.max(1, keepdims=True),
            cmap=_sequential(CROSS),
            vmin=0,
            vmax=1,
            aspect="auto",
            extent=(0, seconds, len(grid), 0),
            interpolation="nearest",
        )
        ax.set_title(title, fontsize=9, weight="bold" if title in marked else "normal", pad=4)
        for spine in ax.spines.values():
            spine.set(visible=True, color=INK if title in marked else OFF)
            spine.set_linewidth(2.2 if title in marked else 0.6)
    figure.supxlabel("rows: tokens, from the top · columns: time", fontsize=9, color=MUTED)
    figure.alt = (
        f"{len(maps)} small maps of attention, tokens downwards and time to the right: "
        f"{'; '.join(maps)}. In a thick frame: {'; '.join(t for t in maps if t in marked)}."
    )
    return figure


@in_house_style
def words_kept(kept: Numbers, words: Sequence[Timing], seconds: float, length: float) -> Figure:
    """Which words are left when a piece of the sound is silenced: kept (pieces, words), boolean.

    Row i is the sentence with `length` seconds from i · length silenced (hatched). A word that is
    still written is a filled box at its time; a word that is gone is an empty box.
    """
    grid = as_array(kept).astype(bool)
    figure, (axes,) = new_figure(1.1 + 0.27 * len(grid))
    axes.set(xlim=(0, seconds), ylim=(len(grid) - 0.5, -0.5), xlabel="seconds")
    for row, written in enumerate(grid):
        for (_, left, right), there in zip(words, written, strict=True):
            fill, edge = (DECODER_TINT, DECODER) if there else ("white", OFF)
            box = Rectangle((left, row - 0.36), right - left, 0.72, lw=0.9, fc=fill, ec=edge)
            axes.add_patch(box)
        start = row * length
        silenced = min(length, seconds - start)
        axes.add_patch(
            Rectangle((start, row - 0.48), silenced, 0.96, fill=False, hatch="/////", lw=1.3)
        )
    _write_words(axes, words)
    names = [f"{i * length:.1f} s" for i in range(len(grid))]
    axes.set_yticks(range(len(grid)), names)
    axes.tick_params(axis="y", length=0)
    axes.set_ylabel("silence from")
    lost = (
        ", ".join(word for (word, *_), there in zip(words, row, strict=True) if not there)
        for row in grid
    )
    told = (f"from {n}: {gone or 'nothing'}" for n, gone in zip(names, lost, strict=True))
    figure.alt = (
        f"The words that are gone when {length:g} seconds of the sound are silenced, "
        f"{'; '.join(told)}."
    )
    return figure


def _draw_sound(axes: Axes, picture: Numbers, seconds: float) -> None:
    shown = as_array(picture)[:, : round(seconds * 100)]
    axes.imshow(
        shown,
        cmap=_sequential(ENCODER),
        aspect="auto",
        origin="lower",
        extent=(0, seconds, 0, len(shown)),
        interpolation="nearest",
    )
    axes.set(ylabel="mel band", yticks=[0, len(shown) // 2, len(shown)], xlim=(0, seconds))


def _write_words(axes: Axes, words: Sequence[Timing]) -> None:
    """Words above the axes, each at the middle of its time, or one line higher if it would touch.

    The limits of the axes must be those of the finished figure.
    """
    (left, right), (_, top) = axes.get_xlim(), axes.get_ylim()
    letter = 0.105 * (right - left) / WIDTH  # the width of one, in seconds
    ends = [left, left]  # of the words written so far, in each of the two lines
    for word, start, end in words:
        half = letter * (len(word) + 1) / 2
        middle = min(max((start + end) / 2, left + half), right - half)
        line = int(middle - half < ends[0])
        ends[line] = middle + half
        axes.annotate(
            escape_dollars(word),
            (middle, top),
            (0, 4 + 13 * line),
            textcoords="offset points",
            ha="center",
            fontsize=9,
            annotation_clip=False,
        )


def _draw_beginnings(axes: Axes, words: Sequence[Timing]) -> None:
    for _, start, _ in words:
        axes.axvline(start, color=MUTED, linewidth=0.7, linestyle=(0, (2, 2)))
