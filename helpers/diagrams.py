"""Drawings of the architecture, in one visual language: blue encoder, ochre decoder, and the
memory and cross-attention in magenta. `minimap` opens every notebook; the others stand where
their part is built. Every function returns a Figure with its description in `figure.alt`.
"""

from collections.abc import Sequence
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

from helpers.plots import (
    CROSS,
    CROSS_TINT,
    DECODER,
    DECODER_TINT,
    DPI,
    ENCODER,
    ENCODER_TINT,
    INK,
    MUTED,
    OFF,
    WIDTH,
    in_house_style,
)

TINTS = {ENCODER: ENCODER_TINT, DECODER: DECODER_TINT, CROSS: CROSS_TINT, MUTED: "#F3F4F6"}

# The boxes of the mini-map: label, x, row (1 encoder, 0 decoder), role.
_MINIMAP = {
    "source embedding": ("embed", 0, 1, ENCODER),
    "self-attention": ("self-attention", 1, 1, ENCODER),
    "encoder feed-forward": ("feed-forward", 2, 1, ENCODER),
    "memory": ("memory", 3, 1, CROSS),
    "target embedding": ("embed", 0, 0, DECODER),
    "masked self-attention": ("masked\nself-attention", 1, 0, DECODER),
    "cross-attention": ("cross-\nattention", 3, 0, CROSS),
    "decoder feed-forward": ("feed-forward", 4, 0, DECODER),
    "output": ("output", 5, 0, DECODER),
}
# Names that light several boxes at once.
_GROUPS = {
    "attention": ("self-attention", "masked self-attention", "cross-attention"),
    "embedding": ("source embedding", "target embedding"),
    "feed-forward": ("encoder feed-forward", "decoder feed-forward"),
    "encoder": ("source embedding", "self-attention", "encoder feed-forward", "memory"),
    "decoder": ("target embedding", "masked self-attention", "decoder feed-forward", "output"),
    "all": tuple(_MINIMAP),
}


@in_house_style
def minimap(lit: str | Sequence[str]) -> Figure:
    """The whole Transformer in two rows, with the parts of this notebook lit.

    `lit` is one name or several. Raises ValueError for an unknown name and lists the known ones.
    """
    names = [lit] if isinstance(lit, str) else list(lit)
    known = {*_MINIMAP, *_GROUPS}
    for name in names:
        if name not in known:
            raise ValueError(f"lit must be among {sorted(known)}, got {name!r}")
    on = {box for name in names for box in _GROUPS.get(name, (name,))}
    figure, axes = _canvas(1.75, (-0.95, 6.02), (-0.52, 1.58))
    axes.text(-0.92, 1, "encoder", color=ENCODER, weight="bold", va="center", fontsize=9.5)
    axes.text(-0.92, 0, "decoder", color=DECODER, weight="bold", va="center", fontsize=9.5)
    for name, (label, x, y, role) in _MINIMAP.items():
        lit_box = name in on
        _box(
            axes,
            (x + 0.05, y - 0.36, 0.84, 0.72),
            label,
            role if lit_box else OFF,
            bold=lit_box,
            thick=lit_box,
            fontsize=8.8,
            tint=TINTS[role] if lit_box else "white",
            ink=INK if lit_box else MUTED,
        )
    for x, y, to in ((0, 1, 1), (1, 1, 2), (2, 1, 3), (0, 0, 1), (1, 0, 3), (3, 0, 4), (4, 0, 5)):
        _arrow(axes, (x + 0.9, y), (to + 0.04, y), MUTED, 1.1)
    crossing = bool(on & {"memory", "cross-attention"})
    _arrow(axes, (3.47, 0.62), (3.47, 0.38), CROSS if crossing else OFF, 2.6 if crossing else 1.2)
    listed = ", ".join(name for name in _MINIMAP if name in on)
    figure.alt = (
        "Map of the Transformer: the encoder's row (embed, self-attention, feed-forward, memory) "
        "above the decoder's (embed, masked self-attention, cross-attention, feed-forward, "
        f"output), an arrow from memory down to cross-attention. Lit: {listed}."
    )
    return figure


@in_house_style
def transformer(norm_first: bool = False) -> Figure:
    """The labelled architecture: encoder left, decoder right, the memory between them."""
    step = 1.4 if norm_first else 1.2
    encoder_top, decoder_top = 2.05 + 2 * step, 2.05 + 3 * step
    height = decoder_top + 2.1
    figure, axes = _canvas(height + 0.1, (0, 8.4), (-0.1, height))
    _panel(axes, (0.45, 1.5, 3.0, encoder_top - 1.5), ENCODER)
    _panel(axes, (4.55, 1.5, 3.4, decoder_top - 1.5), DECODER)
    label = {"weight": "bold", "fontsize": 11.5}
    axes.text(0.5, encoder_top + 0.17, "ENCODER  × N", color=ENCODER, **label)
    axes.text(7.9, decoder_top + 0.17, "DECODER  × N", color=DECODER, ha="right", **label)
    left, right = 1.95, 6.25
    for x, role, tokens in ((left, ENCODER, "source tokens"), (right, DECODER, "target tokens")):
        _box(axes, (x - 1.05, 0.0, 2.1, 0.4), tokens, MUTED, fontsize=9.5)
        _box(axes, (x - 1.05, 0.72, 2.1, 0.44), "embedding + position", role, fontsize=9.5)
        _arrow(axes, (x, 0.4), (x, 0.71))
    parts = ("masked self-attention", "cross-attention", "feed-forward")
    encoded = _sublayers(axes, left, ("self-attention", "feed-forward"), ENCODER, norm_first, step)
    decoded = _sublayers(axes, right, parts, DECODER, norm_first, step)
    above = encoder_top + 0.75
    _box(axes, (left - 1.05, above, 2.1, 0.5), "memory  (B, S, d_model)", CROSS, True, fontsize=9)
    _arrow(axes, (left, encoded), (left, above - 0.02))
    _box(axes, (right - 1.05, decoder_top + 0.75, 2.1, 0.44), "linear + softmax", DECODER)
    _arrow(axes, (right, decoded), (right, decoder_top + 0.74))
    _arrow(axes, (right, decoder_top + 1.19), (right, decoder_top + 1.55))
    probabilities = "next-token probabilities  (B, T, vocab)"
    axes.text(right, decoder_top + 1.66, probabilities, ha="center", fontsize=9.5)
    if norm_first:
        for x, y, side in ((left, encoder_top, 0.12), (right, decoder_top, -0.12)):
            align = "left" if side > 0 else "right"
            axes.text(x + side, y + 0.45, "norm", fontsize=9, color=MUTED, ha=align)
    cross = _base(1, norm_first, step) + 0.26
    path = ([left + 1.05, 4.0, 4.0], [above + 0.25, above + 0.25, cross])
    axes.plot(*path, color=CROSS, lw=3.2, solid_joinstyle="miter")
    _arrow(axes, (3.98, cross), (right - 1.22, cross), CROSS, 3.2)
    axes.text(4.1, cross + 0.75, "memory", color=CROSS, fontsize=9.5, rotation=90, weight="bold")
    order = "pre-norm" if norm_first else "post-norm, as in the paper"
    figure.alt = (
        f"The Transformer ({order}). Left, the encoder: source tokens, embedding and position, "
        "then N times self-attention and feed-forward, giving the memory. Right, the decoder: "
        "target tokens, embedding and position, then N times masked self-attention, "
        "cross-attention and feed-forward, then linear and softmax. A thick line carries the "
        "memory into cross-attention, where W_K and W_V make keys and values of it."
    )
    return figure


@in_house_style
def stack(num_layers: int = 6) -> Figure:
    """The stack expanded: one memory, and a bus that brings it to every decoder layer."""
    if num_layers < 1:
        raise ValueError(f"num_layers must be at least 1, got {num_layers}")
    step = 0.72
    height = 1.5 + step * num_layers
    figure, axes = _canvas(height + 0.1, (0, 8.4), (-0.15, height - 0.05))
    left, right = 1.6, 6.6
    for x, role, name in ((left, ENCODER, "encoder"), (right, DECODER, "decoder")):
        word = "source" if role == ENCODER else "target"
        _box(axes, (x - 1.2, 0, 2.4, 0.42), f"{word} + position", MUTED, fontsize=9.5)
        for i in range(num_layers):
            y = 0.75 + step * i
            _box(axes, (x - 1.2, y, 2.4, 0.48), f"{name} layer {i + 1}", role, fontsize=10)
            _arrow(axes, (x, y - (0.33 if i == 0 else step - 0.48)), (x, y - 0.01))
    top = 0.75 + step * (num_layers - 1) + 0.24
    _box(
        axes,
        (3.2, top - 0.34, 1.3, 0.68),
        "memory\n(B, S, d_model)",
        CROSS,
        bold=True,
        thick=True,
        fontsize=8.8,
    )
    _arrow(axes, (left + 1.2, top), (3.19, top), CROSS, 2.6)
    axes.plot([4.5, 4.85], [top, top], color=CROSS, lw=3)
    axes.plot([4.85, 4.85], [0.99, top], color=CROSS, lw=3)
    for i in range(num_layers):
        y = 0.75 + step * i + 0.24
        axes.plot([4.85], [y], "o", color=CROSS, markersize=6)
        _arrow(axes, (4.85, y), (right - 1.21, y), CROSS, 2.2)
    if num_layers > 1:
        note = "computed once,\nread by every\ndecoder layer"
        axes.text(3.85, top - 0.55, note, ha="center", va="top", color=MUTED, fontsize=9)
    _arrow(axes, (right, top + 0.24), (right, top + 0.62))
    axes.text(right, top + 0.72, "linear + softmax", ha="center", fontsize=9.5)
    figure.alt = (
        f"{num_layers} encoder layers on the left, {num_layers} decoder layers on the right. The "
        "top encoder layer's output is the memory; a vertical bus carries it with an arrow into "
        "every decoder layer. No encoder layer but the last is connected to the decoder."
    )
    return figure


@in_house_style
def cross_attention(target: int = 3, source: int = 5, d_model: int = 4) -> Figure:
    """The mechanism in detail with true shapes: who makes queries, keys, values, and the scores."""
    return _mechanism(target, source, d_model, crossing=True)


@in_house_style
def self_attention(length: int = 4, d_model: int = 4) -> Figure:
    """The same drawing for self-attention: one sequence makes all three."""
    return _mechanism(length, length, d_model, crossing=False)


@in_house_style
def heads(num_heads: int = 4, d_model: int = 8, length: int = 3) -> Figure:
    """Splitting d_model columns among heads, attending in each, and merging again."""
    if d_model % num_heads:
        raise ValueError(f"d_model={d_model} must be divisible by num_heads={num_heads}")
    d_k = d_model // num_heads
    figure, axes = _canvas(2.9, (0, 8.4), (-0.35, 2.55))
    shades = (ENCODER, CROSS, DECODER, MUTED)
    cell = min(0.24, 1.9 / d_model, 0.8 * 2.3 / num_heads / length)
    middle = 1.2

    def columns(x, y, start, count, role):
        for row in range(length):
            for column in range(count):
                corner = (x + (start + column) * cell, y + (length - 1 - row) * cell)
                axes.add_patch(Rectangle(corner, cell, cell, fc=TINTS[role], ec=role, lw=1))

    half = length * cell / 2
    for x, title in (
        (0.1, "one matrix\n(length, d_model)"),
        (6.3, "merged again\n(length, d_model)"),
    ):
        for h in range(num_heads):
            columns(x, middle - half, h * d_k, d_k, shades[h % 4])
        axes.text(
            x + d_model * cell / 2, middle - half - 0.16, title, ha="center", va="top", fontsize=9
        )
    room = 2.3 / num_heads
    for h in range(num_heads):
        y = 2.35 - room * (h + 0.5) - half
        role = shades[h % 4]
        columns(3.1, y, 0, d_k, role)
        _arrow(axes, (0.2 + d_model * cell, middle), (3.02, y + half), OFF, 1.3)
        axes.text(3.2 + d_k * cell, y + half, f"head {h + 1}: attention", va="center", fontsize=9)
        _arrow(axes, (5.0 + d_k * cell * 0.5, y + half), (6.22, middle), OFF, 1.3)
    axes.text(3.1, -0.3, f"each (length, d_k = {d_k})", fontsize=9, color=MUTED)
    figure.alt = (
        f"A matrix of {d_model} columns is split into {num_heads} heads of {d_k} columns; each "
        "head attends on its own; the results are put side by side again."
    )
    return figure


@in_house_style
def pre_post_norm() -> Figure:
    """The two orders of norm and residual around a sub-layer, side by side."""
    figure, axes = _canvas(3.5, (0, 8.4), (-0.1, 3.4))
    for x, title, order in (
        (2.1, "post-norm (the paper)", ("sub-layer", "+", "norm")),
        (6.3, "pre-norm (norm_first)", ("norm", "sub-layer", "+")),
    ):
        axes.text(x, 3.15, title, ha="center", weight="bold", fontsize=10.5)
        axes.text(x, 0.0, "x", ha="center", va="center", fontsize=11, style="italic")
        centres = (0.8, 1.6, 2.4)
        previous = 0.12
        for name, y in zip(order, centres, strict=True):
            if name == "+":
                axes.text(x, y, "+", ha="center", va="center", fontsize=15, weight="bold")
                _arrow(axes, (x, previous), (x, y - 0.16))
                previous = y + 0.16
                start = 0.28
                axes.plot([x, x + 1.25, x + 1.25], [start, start, y], color=CROSS, lw=2)
                _arrow(axes, (x + 1.26, y), (x + 0.16, y), CROSS, 2)
                axes.text(
                    x + 1.33,
                    (start + y) / 2,
                    "residual",
                    rotation=90,
                    va="center",
                    fontsize=9,
                    color=MUTED,
                )
                continue
            plain = name == "norm"
            _box(
                axes, (x - 0.8, y - 0.2, 1.6, 0.4), name, MUTED if plain else ENCODER, fontsize=9.5
            )
            _arrow(axes, (x, previous), (x, y - 0.21))
            previous = y + 0.2
        _arrow(axes, (x, previous), (x, 2.95))
    figure.alt = (
        "Two columns. Post-norm: x goes through the sub-layer, x is added, then the norm. "
        "Pre-norm: x goes through the norm and the sub-layer, then x is added; nothing stands on "
        "the residual path."
    )
    return figure


@in_house_style
def decoding_step(read: Sequence[str], writes: str, source: Sequence[str]) -> Figure:
    """One step of writing with a cache: `read` so far, the word that it writes, the source."""
    if not 1 <= len(read) <= 8 or not 1 <= len(source) <= 12:
        raise ValueError(
            f"read must have 1 to 8 tokens and source 1 to 12 to be drawn, "
            f"got {len(read)} and {len(source)}"
        )
    figure, axes = _canvas(5.3, (0, 8.4), (-0.1, 5.2))
    x, cell = 4.2, 0.24
    rows = {
        f"last token: {read[-1]}": (0.0, MUTED),
        "embedding + position": (0.72, DECODER),
        "masked self-attention": (1.6, DECODER),
        "cross-attention": (2.48, CROSS),
        "feed-forward": (3.36, DECODER),
        "linear, the likeliest word": (4.2, DECODER),
    }
    for name, (y, role) in rows.items():
        _box(axes, (x - 1.15, y, 2.3, 0.44), name, role, thick=role == CROSS, fontsize=9.5)
    bottoms = [y for y, _ in rows.values()]
    for lower, upper in pairwise(bottoms):
        _arrow(axes, (x, lower + 0.44), (x, upper - 0.01))
    _panel(axes, (x - 1.35, 1.4, 2.7, 2.6), DECODER)
    axes.text(x - 1.28, 4.07, "× N", color=DECODER, weight="bold", fontsize=10)
    _arrow(axes, (x, 4.64), (x, 4.92))
    axes.text(x, 5.02, writes, ha="center", va="center", weight="bold", fontsize=10.5)

    # Right: what self-attention keeps. All but the last cell were there before this step.
    left, y = x + 1.65, 1.82
    _cells(axes, left, y + cell / 2, 1, len(read), DECODER, cell)
    new = left + (len(read) - 1) * cell
    axes.add_patch(Rectangle((new, y - cell / 2), cell, cell, fc=DECODER, ec=DECODER))
    _arrow(axes, (left - 0.04, y), (x + 1.16, y), DECODER, 1.8)
    note = "K, V of the words so far:\none is added (filled)"
    axes.text(left, y + 0.28, note, fontsize=9, va="bottom")

    # Left: what cross-attention keeps, and where it came from.
    right, y = x - 1.7, 2.7
    start = right - len(source) * min(cell, 2.3 / len(source))
    small = min(cell, 2.3 / len(source))
    _cells(axes, start, y + small / 2, 1, len(source), CROSS, small)
    _arrow(axes, (right + 0.04, y), (x - 1.16, y), CROSS, 2.4)
    axes.text(
        right, y + 0.28, "K, V of the memory,\nmade once", fontsize=9, va="bottom", ha="right"
    )
    _box(axes, (0.25, 0.0, 2.25, 0.66), "encoder:\nran once, before", ENCODER, fontsize=9.5)
    _arrow(axes, (1.375, 0.66), (1.375, y - small / 2 - 0.03), CROSS, 2.4)
    axes.text(1.5, 1.55, "memory", color=CROSS, weight="bold", fontsize=9.5, va="center")

    axes.plot([x + 0.75, 8.2, 8.2], [5.02, 5.02, 0.22], color=INK, lw=1.3)
    _arrow(axes, (8.2, 0.22), (x + 1.17, 0.22))
    axes.text(
        8.1, 3.6, "is read in the\nnext step", fontsize=9, ha="right", va="center", color=MUTED
    )
    figure.alt = (
        f"One step of decoding. The last token, {read[-1]}, goes up through embedding, masked "
        f"self-attention, cross-attention and feed-forward, and {writes} comes out, which the next "
        f"step reads. Self-attention's cache holds keys and values of {len(read)} words, one of "
        f"them new. Cross-attention's holds those of the memory's {len(source)} vectors, made once "
        "after the encoder ran."
    )
    return figure


@in_house_style
def processes() -> Figure:
    """Two processes share a batch: with all the weights in each, or with half of them in each."""
    figure, axes = _canvas(4.1, (0, 8.4), (-0.3, 3.85))
    panels = (
        (0.15, "DistributedDataParallel", False, "gradients: mean over processes"),
        (4.3, "fully sharded (FSDP)", True, "a layer's weights: gathered, used, dropped"),
    )
    for left, title, sharded, between in panels:
        axes.text(left + 1.98, 3.68, title, ha="center", va="center", weight="bold", fontsize=11)
        for index, x in enumerate((left, left + 2.1)):
            _panel(axes, (x, 0.0, 1.86, 3.42), MUTED)
            axes.text(x + 0.93, 3.24, f"process {index}", ha="center", va="center", fontsize=9.5)
            names = ("weights", "gradients", "moments" if sharded else "Adam's moments")
            for row, name in enumerate(names):
                y = 2.42 - 0.66 * row
                half = 0.8 if sharded else 1.6
                start = x + 0.13 + (0.8 * index if sharded else 0)
                if sharded:
                    place = (x + 0.13, y, 1.6, 0.5)
                    _box(axes, place, "", OFF, tint="white")
                _box(axes, (start, y, half, 0.5), name, DECODER, fontsize=9)
            word = ("1st, 3rd, 5th …", "2nd, 4th, 6th …")[index]
            _box(axes, (x + 0.13, 0.14, 1.6, 0.68), f"batch: the\n{word} row", ENCODER, fontsize=9)
        axes.annotate(
            "",
            xy=(left + 2.22, 2.0),
            xytext=(left + 1.74, 2.0),
            arrowprops=dict(arrowstyle="<|-|>", color=CROSS, linewidth=2.2),
        )
        axes.text(left + 1.98, -0.06, between, ha="center", va="top", fontsize=9, color=INK)
    figure.alt = (
        "Two pairs of processes. Left, DistributedDataParallel: each process holds all weights, "
        "gradients and Adam's moments, and every other row of the batch; gradients are averaged. "
        "Right, fully sharded: each holds its half of weights, gradients and moments, and every "
        "other row of the batch; a layer's weights are gathered when they are needed."
    )
    return figure


@in_house_style
def readers() -> Figure:
    """Who asks and what is asked in six models: one wiring, other memories."""
    rows = (
        ("translation", "English words so far", "German words", "T × S"),
        ("captions (here)", "words of the caption", "patches of a picture", "9 × 64"),
        ("Whisper", "text so far", "30 s of sound", "448 × 1,500"),
        ("Stable Diffusion 1", "places of a noisy picture", "words of the prompt", "4,096 × 77"),
        ("Perceiver", "latent vectors, learned", "pixels of a picture", "512 × 50,176"),
        ("Flamingo", "text so far", "n pictures, 64 vectors each", "T × 64 n"),
    )
    step = 0.62
    figure, axes = _canvas(0.75 + step * len(rows), (0, 8.4), (-0.1, 0.65 + step * len(rows)))
    top = step * len(rows) + 0.3
    heads = ((2.95, "queries from"), (5.65, "memory: keys and values from"), (7.75, "scores"))
    for x, text in heads:
        axes.text(x, top, text, ha="center", va="center", weight="bold", fontsize=10)
    for i, (name, asks, asked, shape) in enumerate(rows):
        y = step * (len(rows) - 1 - i) + 0.02
        axes.text(0.05, y + 0.22, name, va="center", fontsize=9.8, weight="bold")
        _box(axes, (1.9, y, 2.1, 0.44), asks, DECODER, fontsize=9)
        _box(axes, (4.6, y, 2.1, 0.44), asked, CROSS, fontsize=9)
        _arrow(axes, (4.59, y + 0.22), (4.02, y + 0.22), CROSS, 2.2)
        axes.text(7.75, y + 0.22, shape, ha="center", va="center", fontsize=9.5)
    figure.alt = "Cross-attention in six models. " + "; ".join(
        f"{name}: queries from {asks}, memory from {asked}, scores {shape}"
        for name, asks, asked, shape in rows
    )
    return figure


# ---- Parts --------------------------------------------------------------------------------


def _canvas(height: float, xlim, ylim) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="white")
    axes = figure.add_axes((0.01, 0.01, 0.98, 0.98))
    axes.set(xlim=xlim, ylim=ylim)
    axes.set_axis_off()
    return figure, axes


def _box(
    axes: Axes, place, label, role, bold=False, thick=False, fontsize=10.0, tint=None, ink=INK
) -> None:
    x, y, width, height = place
    axes.add_patch(
        FancyBboxPatch(
            (x, y),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=0.07",
            facecolor=tint or TINTS[role],
            edgecolor=role,
            linewidth=2.6 if thick else 1.5,
        )
    )
    axes.text(
        x + width / 2,
        y + height / 2,
        label,
        ha="center",
        va="center",
        fontsize=fontsize,
        color=ink,
        weight="bold" if bold else "normal",
        linespacing=1.2,
    )


def _panel(axes: Axes, place, role: str) -> None:
    x, y, width, height = place
    axes.add_patch(
        FancyBboxPatch(
            (x, y),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=0.14",
            facecolor="none",
            edgecolor=role,
            linewidth=1.8,
        )
    )


def _arrow(axes: Axes, start, end, colour=INK, width=1.3) -> None:
    axes.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>",
            mutation_scale=7 + 2.5 * width,
            color=colour,
            linewidth=width,
            shrinkA=0,
            shrinkB=0,
        )
    )


def _base(index: int, norm_first: bool, step: float) -> float:
    """Bottom of the index-th sub-layer's box."""
    return step * index + (2.3 if norm_first else 1.95)


def _sublayers(
    axes: Axes, x: float, names: Sequence[str], role: str, norm_first: bool, step: float
) -> float:
    """Sub-layers from bottom to top, each with its norm and its residual; returns where it ends."""
    side = 1 if role == DECODER else -1
    outside = x + side * (1.5 if role == DECODER else 1.28)
    previous = 1.16
    for index, name in enumerate(names):
        base = _base(index, norm_first, step)
        crossing = name == "cross-attention"
        label = "cross-attention\nQ from below · own W_K, W_V" if crossing else name
        _box(
            axes,
            (x - 1.2, base, 2.4, 0.52),
            label,
            CROSS if crossing else role,
            bold=crossing,
            thick=crossing,
            fontsize=8.8 if crossing else 10,
        )
        pill = base - 0.36 if norm_first else base + 0.64
        text = "norm" if norm_first else "add & norm"
        place = (x - 1.2, pill, 2.4, 0.24)
        _box(axes, place, text, OFF, fontsize=8.8, tint="white", ink=MUTED)
        if norm_first:
            fork, plus = pill - 0.14, base + 0.72
            _arrow(axes, (x, previous), (x, pill - 0.01))
            _arrow(axes, (x, pill + 0.24), (x, base - 0.01))
            axes.plot([x, x], [base + 0.52, plus - 0.09], color=INK, lw=1.3)
            axes.text(x, plus, "+", ha="center", va="center", fontsize=12, weight="bold")
            entry, previous = x + side * 0.1, plus + 0.08
        else:
            fork, plus = base - 0.23, pill + 0.12
            _arrow(axes, (x, previous), (x, base - 0.01))
            _arrow(axes, (x, base + 0.52), (x, pill - 0.01))
            entry, previous = x + side * 1.2, pill + 0.24
        axes.plot([x, outside, outside], [fork, fork, plus], color=MUTED, lw=1.2)
        _arrow(axes, (outside, plus), (entry, plus), MUTED, 1.2)
    return previous


def _cells(axes: Axes, x, y, rows, columns, role, size=0.2, hatch=None) -> None:
    """A grid of cells whose upper left corner is (x, y)."""
    for row in range(rows):
        for column in range(columns):
            axes.add_patch(
                Rectangle(
                    (x + column * size, y - (row + 1) * size),
                    size,
                    size,
                    facecolor=TINTS[role],
                    edgecolor=role,
                    linewidth=1.1,
                    hatch=hatch,
                )
            )


def _mechanism(target: int, source: int, d_model: int, crossing: bool) -> Figure:
    if min(target, source, d_model) < 1 or max(target, source, d_model) > 8:
        raise ValueError(
            "target, source and d_model must lie in 1 to 8 to be drawn, "
            f"got {target}, {source}, {d_model}"
        )
    role = DECODER if crossing else ENCODER
    other = CROSS if crossing else ENCODER
    figure, axes = _canvas(4.5, (0, 8.4), (0, 4.5))
    size = 0.2
    wide = d_model * size
    top, low = 3.85, 1.95  # upper edges of the two inputs
    names = ("decoder states", "memory") if crossing else ("x", "x, the same")
    _cells(axes, 0.35, top, target, d_model, role)
    _cells(axes, 0.35, low, source, d_model, other)
    rows = ("T", "S") if crossing else ("L", "L")
    axes.text(0.35, top + 0.12, f"{names[0]}\n({rows[0]}={target}, d_model)", fontsize=9)
    axes.text(0.35, low + 0.12, f"{names[1]}\n({rows[1]}={source}, d_model)", fontsize=9)

    query_y, key_y, value_y = top, 2.5, 1.15
    for label, y, start, own in (
        ("W_Q", query_y - target * size / 2, top - target * size / 2, role),
        ("W_K", key_y - source * size / 2, low - source * size / 2, other),
        ("W_V", value_y - source * size / 2, low - source * size / 2, other),
    ):
        _box(axes, (1.95, y - 0.17, 0.62, 0.34), label, own, bold=True, fontsize=9.5)
        _arrow(axes, (0.4 + wide, start), (1.94, y), own, 1.6)
        _arrow(axes, (2.57, y), (2.92, y), own, 1.6)
    for name, y, count, own in (
        (f"Q ({rows[0]}, d_k)", query_y, target, role),
        (f"K ({rows[1]}, d_k)", key_y, source, other),
        (f"V ({rows[1]}, d_k)", value_y, source, other),
    ):
        _cells(axes, 2.97, y, count, d_model, own)
        axes.text(2.97, y + 0.06, name, fontsize=9)

    x, y = 4.75, 3.45
    _cells(axes, x, y, target, source, CROSS)
    shape = f"{rows[0]} × {rows[1]} = {target} × {source}"
    axes.text(x, y + 0.1, f"scores  Q Kᵀ / √d_k\n{shape}", fontsize=9)
    _arrow(axes, (3.05 + wide, query_y - 0.2), (x - 0.06, y - 0.12), role, 1.6)
    _arrow(axes, (3.05 + wide, key_y - 0.3), (x - 0.06, y - 0.45), other, 1.6)
    below = y - target * size
    axes.text(
        x + source * size / 2,
        below - 0.36,
        "mask, softmax\nalong each row",
        ha="center",
        va="center",
        fontsize=9,
    )
    _arrow(axes, (x + source * size / 2, below - 0.02), (x + source * size / 2, below - 0.18))
    weights_y = below - 1.05
    _arrow(axes, (x + source * size / 2, below - 0.54), (x + source * size / 2, below - 0.7))
    _cells(axes, x, weights_y + 0.33, target, source, CROSS)
    axes.text(x, weights_y + 0.2 - target * size, f"weights  {target} × {source}", fontsize=9)
    _box(axes, (6.3, 1.18, 0.46, 0.34), "× V", CROSS, bold=True, fontsize=9.5)
    _arrow(axes, (x + source * size + 0.03, weights_y + 0.1), (6.29, 1.38), CROSS, 1.6)
    bottom = 0.3
    axes.plot(
        [3.05 + wide, 6.53, 6.53], [bottom, bottom, 1.0], color=other, lw=1.6, solid_capstyle="butt"
    )
    _arrow(axes, (6.53, 0.98), (6.53, 1.17), other, 1.6)
    _box(axes, (7.0, 1.18, 0.5, 0.34), "W_O", role, bold=True, fontsize=9.5)
    _arrow(axes, (6.76, 1.35), (6.99, 1.35))
    _arrow(axes, (7.25, 1.52), (7.25, 1.95))
    _cells(axes, 6.85, 2.0 + target * size, target, d_model, role)
    axes.text(6.85, 2.12 + target * size, f"output\n({rows[0]}={target}, d_model)", fontsize=9)
    figure.alt = (
        (
            f"Cross-attention with {target} target states and {source} memory vectors: W_Q makes "
            "the queries from the decoder's states; W_K and W_V make keys and values from the "
            "memory; "
        )
        if crossing
        else f"Self-attention on {target} vectors: W_Q, W_K and W_V all read the same x; "
    ) + (
        f"queries and keys give {target} by {source} scores, mask and softmax along the rows give "
        f"the weights, the weights mix the values, W_O gives {target} output vectors."
    )
    return figure
