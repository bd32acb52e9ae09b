"""Drawings of the architecture, in one visual language: blue encoder, ochre decoder, and the
memory and cross-attention in magenta. `minimap` opens every notebook.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers.pictures.shapes import TINTS, draw_arrow, draw_box, draw_cells, draw_panel, new_canvas
from helpers.pictures.style import (
    CROSS,
    DECODER,
    ENCODER,
    INK,
    MUTED,
    OFF,
    SLATE,
    TEAL,
    in_house_style,
)

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

    `lit` is one name or several. Raises ValueError for an unknown name, listing the known ones.
    """
    names = [lit] if isinstance(lit, str) else list(lit)
    known = {*_MINIMAP, *_GROUPS}
    for name in names:
        if name not in known:
            raise ValueError(f"lit must be among {sorted(known)}, got {name!r}")
    on = {box for name in names for box in _GROUPS.get(name, (name,))}
    figure, axes = new_canvas(1.75, (-0.95, 6.02), (-0.52, 1.58))
    axes.text(-0.92, 1, "encoder", color=ENCODER, weight="bold", va="center", fontsize=9.5)
    axes.text(-0.92, 0, "decoder", color=DECODER, weight="bold", va="center", fontsize=9.5)
    for name, (label, x, y, role) in _MINIMAP.items():
        lit_box = name in on
        draw_box(
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
        draw_arrow(axes, (x + 0.9, y), (to + 0.04, y), MUTED, 1.1)
    crossing = {"memory", "cross-attention"} <= on
    draw_arrow(
        axes, (3.47, 0.62), (3.47, 0.38), CROSS if crossing else OFF, 2.6 if crossing else 1.2
    )
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
    figure, axes = new_canvas(height + 0.1, (0, 8.4), (-0.1, height))
    draw_panel(axes, (0.45, 1.5, 3.0, encoder_top - 1.5), ENCODER)
    draw_panel(axes, (4.55, 1.5, 3.4, decoder_top - 1.5), DECODER)
    label: dict[str, Any] = {"weight": "bold", "fontsize": 11.5}
    axes.text(0.5, encoder_top + 0.17, "ENCODER  × N", color=ENCODER, **label)
    axes.text(7.9, decoder_top + 0.17, "DECODER  × N", color=DECODER, ha="right", **label)
    left, right = 1.95, 6.25
    for x, role, tokens in ((left, ENCODER, "source tokens"), (right, DECODER, "target tokens")):
        draw_box(axes, (x - 1.05, 0.0, 2.1, 0.4), tokens, MUTED, fontsize=9.5)
        draw_box(axes, (x - 1.05, 0.72, 2.1, 0.44), "embedding + position", role, fontsize=9.5)
        draw_arrow(axes, (x, 0.4), (x, 0.71))
    parts = ("masked self-attention", "cross-attention", "feed-forward")
    encoded = _sublayers(axes, left, ("self-attention", "feed-forward"), ENCODER, norm_first, step)
    decoded = _sublayers(axes, right, parts, DECODER, norm_first, step)
    above = encoder_top + 0.75
    draw_box(
        axes, (left - 1.05, above, 2.1, 0.5), "memory  (B, S, d_model)", CROSS, True, fontsize=9
    )
    draw_box(axes, (right - 1.05, decoder_top + 0.75, 2.1, 0.44), "linear + softmax", DECODER)
    draw_arrow(axes, (right, decoder_top + 1.19), (right, decoder_top + 1.55))
    probabilities = "next-token probabilities  (B, T, vocab)"
    axes.text(right, decoder_top + 1.66, probabilities, ha="center", fontsize=9.5)
    for x, start, top in ((left, encoded, encoder_top), (right, decoded, decoder_top)):
        if norm_first:  # one more norm on top of each stack
            draw_arrow(axes, (x, start), (x, top + 0.36))
            start = top + 0.61
            bounds = (x - 0.65, start - 0.24, 1.3, 0.24)
            draw_box(axes, bounds, "last norm", INK, fontsize=8.8, tint="white")
        draw_arrow(axes, (x, start), (x, top + 0.73))
    cross = _base(1, norm_first, step) + 0.26
    path = ([left + 1.05, 4.0, 4.0], [above + 0.25, above + 0.25, cross])
    axes.plot(*path, color=CROSS, lw=3.2, solid_joinstyle="miter")
    draw_arrow(axes, (3.98, cross), (right - 1.22, cross), CROSS, 3.2)
    order = "pre-norm" if norm_first else "post-norm, as in the paper"
    last = "On top of each stack is one last norm. " if norm_first else ""
    figure.alt = (
        f"The Transformer ({order}). Left, the encoder: source tokens, embedding and position, "
        "then N times self-attention and feed-forward, giving the memory. Right, the decoder: "
        "target tokens, embedding and position, then N times masked self-attention, "
        f"cross-attention and feed-forward, then linear and softmax. {last}A thick line carries "
        "the memory into cross-attention, where W_K and W_V make keys and values of it."
    )
    return figure


@in_house_style
def first_look(source: Sequence[str], written: Sequence[str], next_word: str) -> Figure:
    """The Transformer with three parts and no small labels, while it writes `next_word`."""
    figure, axes = new_canvas(4.3, (0, 8.4), (-0.35, 3.95))
    left, right = 2.0, 6.3
    axes.text(left, -0.15, " ".join(source), ha="center", va="center", fontsize=10)
    draw_arrow(axes, (left, 0.03), (left, 0.42), ENCODER, 2)
    box = (0.6, 0.45, 2.8, 1.15)
    draw_box(axes, box, "encoder\nreads the German", ENCODER, bold=True, fontsize=11)
    draw_arrow(axes, (left, 1.62), (left, 2.08), ENCODER, 2)
    cell = 0.27
    start = left - len(source) * cell / 2
    draw_cells(axes, start, 2.13 + cell, 1, len(source), CROSS, cell)
    note = "memory: a vector for each word"
    axes.text(left, 2.57, note, ha="center", va="bottom", fontsize=9.5, color=CROSS)

    axes.text(right, -0.15, " ".join(written), ha="center", va="center", fontsize=10)
    draw_arrow(axes, (right, 0.03), (right, 0.62), DECODER, 2)
    draw_panel(axes, (4.9, 0.45, 2.8, 2.5), DECODER)
    axes.text(right, 1.12, "decoder", ha="center", va="center", weight="bold", fontsize=11)
    axes.text(right, 0.82, "writes the English", ha="center", va="center", fontsize=10.5)
    draw_arrow(axes, (right, 1.3), (right, 1.98), DECODER, 2)
    box = (5.2, 2.0, 2.2, 0.53)
    draw_box(axes, box, "cross-attention", CROSS, bold=True, thick=True, fontsize=10.5)
    draw_arrow(axes, (right, 2.55), (right, 3.3), DECODER, 2)
    label = f"next word: {next_word}"
    axes.text(right, 3.5, label, ha="center", va="center", weight="bold", fontsize=10.5)
    draw_arrow(axes, (start + len(source) * cell + 0.06, 2.265), (5.18, 2.265), CROSS, 3.2)
    figure.alt = (
        f"The encoder reads {' '.join(source)} and makes the memory, a vector for each word. A "
        "thick line leads from the memory to cross-attention, which is inside the decoder. The "
        f"decoder has written {' '.join(written)}, and its next word is {next_word}."
    )
    return figure


@in_house_style
def stack(num_layers: int = 6) -> Figure:
    """The stack expanded: one memory, and a bus that brings it to every decoder layer."""
    if num_layers < 1:
        raise ValueError(f"num_layers must be at least 1, got {num_layers}")
    step = 0.72
    height = 1.5 + step * num_layers
    figure, axes = new_canvas(height + 0.1, (0, 8.4), (-0.15, height - 0.05))
    left, right, bus = 1.25, 6.6, 4.5
    for x, wide, role, word in ((left, 2.3, ENCODER, "source"), (right, 3.4, DECODER, "target")):
        draw_box(axes, (x - wide / 2, 0, wide, 0.42), f"{word} + position", MUTED, fontsize=9.5)
        for i in range(num_layers):
            y = 0.75 + step * i
            draw_box(axes, (x - wide / 2, y, wide, 0.48), "", role)
            draw_arrow(axes, (x, y - (0.33 if i == 0 else step - 0.48)), (x, y - 0.01))
    top = 0.75 + step * (num_layers - 1) + 0.24
    memory = (2.85, top - 0.34, 1.3, 0.68)
    label = "memory\n(B, S, d_model)"
    draw_box(axes, memory, label, CROSS, bold=True, thick=True, fontsize=8.8)
    draw_arrow(axes, (left + 1.15, top), (2.84, top), CROSS, 2.6)
    axes.plot([4.15, bus], [top, top], color=CROSS, lw=3)
    axes.plot([bus, bus], [0.99, top], color=CROSS, lw=3)
    for i in range(num_layers):
        y = 0.75 + step * i + 0.24
        axes.text(left, y, f"encoder layer {i + 1}", ha="center", va="center", fontsize=10)
        axes.text(7.55, y, f"decoder layer {i + 1}", ha="center", va="center", fontsize=10)
        label = "cross-attention\nown W_K, W_V"
        draw_box(axes, (5.0, y - 0.19, 1.7, 0.38), label, CROSS, fontsize=8.4)
        axes.plot([bus], [y], "o", color=CROSS, markersize=6)
        draw_arrow(axes, (bus, y), (4.99, y), CROSS, 2.2)
    if num_layers > 1:
        note = "computed once,\nread by every\ndecoder layer"
        axes.text(3.5, top - 0.55, note, ha="center", va="top", color=MUTED, fontsize=9)
    draw_arrow(axes, (right, top + 0.24), (right, top + 0.62))
    axes.text(right, top + 0.72, "linear + softmax", ha="center", fontsize=9.5)
    figure.alt = (
        f"{num_layers} encoder layers on the left, {num_layers} decoder layers on the right. The "
        "top encoder layer's output is the memory; a vertical bus carries it with an arrow into "
        "the cross-attention of every decoder layer, which has its own W_K and W_V. No encoder "
        "layer but the last is connected to the decoder."
    )
    return figure


@in_house_style
def pre_post_norm(first: str = "sub-layer", second: str = "sub-layer") -> Figure:
    """Two sub-layers on top of each other in either order of norm and residual."""
    figure, axes = new_canvas(5.0, (0, 8.4), (-0.35, 5.0))
    for road, title, post in (
        (1.0, "post-norm (the paper)", True),
        (5.3, "pre-norm (norm_first)", False),
    ):
        beside = road + 1.75
        axes.text(road + 0.9, 4.75, title, ha="center", weight="bold", fontsize=10.5)
        axes.text(road, -0.15, "x", ha="center", va="center", fontsize=11, style="italic")
        axes.text(road - 0.13, 0.65, "residual", rotation=90, ha="right", va="center", fontsize=9)
        stop = 0.0  # where the road has got to
        for start, sublayer in ((0.15, first), (2.25, second)):
            plus = start + (1.0 if post else 1.6)
            draw_arrow(axes, (road, stop), (road, plus - 0.14), INK, 3)
            axes.text(road, plus, "+", ha="center", va="center", fontsize=15, weight="bold")
            axes.plot([road, beside, beside], [start, start, plus], color=MUTED, lw=1.2, zorder=0)
            draw_arrow(axes, (beside, plus), (road + 0.16, plus), MUTED, 1.2)
            for i, name in enumerate((sublayer,) if post else ("norm", sublayer)):
                box = (beside - 0.75, start + 0.3 + 0.57 * i, 1.5, 0.4)
                draw_box(axes, box, name, MUTED, bold=name != "norm", fontsize=9.5)
            stop = plus + 0.14
            if post:
                draw_arrow(axes, (road, stop), (road, stop + 0.26), INK, 3)
                draw_box(axes, (road - 0.75, stop + 0.27, 1.5, 0.4), "norm", MUTED, fontsize=9.5)
                stop += 0.67
        draw_arrow(axes, (road, stop), (road, 4.55), INK, 3)
    named = "two sub-layers" if first == second else f"{first} and then {second}"
    figure.alt = (
        f"Two columns, each with {named} beside a thick line, the residual, that runs from x "
        "at the bottom to the top. Post-norm: on the line are a plus sign, a norm, a plus sign and "
        "a norm. Pre-norm: on the line are two plus signs and nothing else; each norm is beside "
        "it, in front of its sub-layer."
    )
    return figure


@in_house_style
def decoder_layer() -> Figure:
    """The pre-norm decoder layer: three sub-layers beside the residual, and where the norms sit."""
    figure, axes = new_canvas(6.9, (0, 8.4), (-0.4, 6.5))
    road, beside, wide, step = 7.1, 5.3, 2.0, 1.68
    inside, top = 0.12, 5.22  # the frame of the layer
    draw_panel(axes, (3.95, inside, 3.95, top - inside), DECODER)
    title: dict[str, Any] = {"weight": "bold", "fontsize": 11}
    axes.text(3.98, top + 0.15, "decoder layer  × N", color=DECODER, **title)
    axes.text(road, -0.22, "y", ha="center", va="center", fontsize=11, style="italic")
    axes.text(road + 0.13, 1.05, "residual", rotation=90, ha="left", va="center", fontsize=9)
    stop = -0.08  # where the road has got to
    parts = ("masked self-attention", "cross-attention", "feed-forward")
    for i, name in enumerate(parts):
        start = 0.3 + step * i
        plus = start + 1.34
        crossing = name == "cross-attention"
        draw_arrow(axes, (road, stop), (road, plus - 0.14), INK, 3)
        axes.text(road, plus, "+", ha="center", va="center", fontsize=15, weight="bold")
        axes.plot([road, beside, beside], [start, start, plus], color=MUTED, lw=1.2, zorder=0)
        draw_arrow(axes, (beside, plus), (road - 0.16, plus), MUTED, 1.2)
        draw_box(axes, (beside - wide / 2, start + 0.17, wide, 0.34), "norm", MUTED, fontsize=9.5)
        box = (beside - wide / 2, start + 0.69, wide, 0.42)
        draw_box(axes, box, name, CROSS if crossing else DECODER, True, crossing, 9.5)
        stop = plus + 0.14
    last = top + 0.36  # the norm on top of the stack
    draw_arrow(axes, (road, stop), (road, last - 0.01), INK, 3)
    draw_box(
        axes, (road - 0.65, last, 1.3, 0.38), "last norm", INK, True, fontsize=9.5, tint="white"
    )
    draw_arrow(axes, (road, last + 0.39), (road, 6.22), INK, 3)
    axes.text(road, 6.36, "to the output", ha="center", va="center", fontsize=9.5)

    across = 0.3 + step + 0.9  # the height of cross-attention
    left = 1.4
    draw_box(axes, (left - 0.85, across - 0.26, 1.7, 0.52), "memory", CROSS, True, True, 10.5)
    draw_arrow(axes, (left + 0.87, across), (beside - wide / 2 - 0.03, across), CROSS, 3.2)
    axes.text(left, -0.22, "x", ha="center", va="center", fontsize=11, style="italic")
    draw_arrow(axes, (left, -0.08), (left, 0.29), INK, 3)
    draw_box(axes, (left - 0.95, 0.3, 1.9, 0.85), "encoder layer  × N", ENCODER, True)
    draw_arrow(axes, (left, 1.16), (left, 1.6), INK, 3)
    draw_box(
        axes, (left - 0.65, 1.61, 1.3, 0.38), "last norm", INK, True, fontsize=9.5, tint="white"
    )
    draw_arrow(axes, (left, 2.0), (left, across - 0.28), INK, 3)
    figure.alt = (
        "Left, the encoder: x, N layers, one norm on top, and the memory. Right, a pre-norm "
        "decoder layer: beside a thick line, the residual, which runs from y to the top with "
        "nothing on it but three plus signs, are masked self-attention, cross-attention and "
        "feed-forward, each with a norm in front of it. An arrow carries the memory straight into "
        "cross-attention, past the norm. On top of the N decoder layers, on the line itself, is "
        "one more norm."
    )
    return figure


@in_house_style
def residual_road() -> Figure:
    """Three sub-layers on the road, and three beside it: how much of a gradient of 1 arrives."""
    figure, axes = new_canvas(3.9, (0, 8.4), (-0.25, 3.7))
    centres, wide = (2.1, 4.1, 6.1), 1.0
    rows = (
        (2.72, "without residuals, the sub-layers are on the road", (0.001, 0.01, 0.1, 1)),
        (0.55, "with residuals, they are beside it", (1.33, 1.21, 1.1, 1)),
    )
    for y, title, arriving in rows:
        beside = y < 1
        axes.text(0.1, y + (1.13 if beside else 0.62), title, weight="bold", fontsize=10)
        axes.text(0.45, y, "x", ha="center", va="center", fontsize=12, style="italic")
        axes.text(7.8, y, "loss", ha="center", va="center", fontsize=10.5)
        stops = [0.65, *centres, 7.45]
        room = 0.13 if beside else wide / 2  # what a stop takes of the road, to either side
        for i, (left, right) in enumerate(pairwise(stops)):
            start, end = left + room * (i > 0), right - room * (i < 3)
            draw_arrow(axes, (start, y), (end, y), INK, 2.2 if beside else 1.3)
            colour, middle = MUTED, (left + right) / 2
            draw_arrow(axes, (middle + 0.4, y - 0.36), (middle - 0.4, y - 0.36), colour, 1.3)
            axes.text(middle, y - 0.58, f"{arriving[i]:g}", ha="center", va="center", fontsize=10)
        for x in centres:
            up = y + 0.55 if beside else y
            draw_box(axes, (x - wide / 2, up - 0.2, wide, 0.4), "sub-layer", MUTED, fontsize=9.5)
            if beside:
                axes.text(x, y, "+", ha="center", va="center", fontsize=14, weight="bold")
                axes.plot([x - 0.7, x - 0.7], [y, up], color=INK, lw=1.3)
                draw_arrow(axes, (x - 0.7, up), (x - 0.51, up))
                draw_arrow(axes, (x, up - 0.21), (x, y + 0.13))
    axes.text(0.1, 2.14, "gradient", fontsize=9, color=MUTED, va="center")
    axes.text(0.1, -0.03, "gradient", fontsize=9, color=MUTED, va="center")
    figure.alt = (
        "Two roads from x to the loss. Above, three sub-layers stand on the road, and a gradient "
        "of 1 shrinks to 0.1, 0.01 and 0.001 on its way back. Below, they stand beside the road "
        "and add to it, and the gradient of 1 becomes 1.1, 1.21 and 1.33."
    )
    return figure


@in_house_style
def processes() -> Figure:
    """Two processes share a batch: with all the weights in each, or with half of them in each."""
    figure, axes = new_canvas(4.1, (0, 8.4), (-0.3, 3.85))
    panels = (
        (0.15, "DistributedDataParallel", False, "gradients: mean over processes"),
        (4.3, "fully sharded (FSDP)", True, "a layer's weights: gathered, used, dropped"),
    )
    for left, title, sharded, between in panels:
        axes.text(left + 1.98, 3.68, title, ha="center", va="center", weight="bold", fontsize=11)
        for index, x in enumerate((left, left + 2.1)):
            draw_panel(axes, (x, 0.0, 1.86, 3.42), MUTED)
            axes.text(
                x + 0.93, 3.24, f"process {index + 1}", ha="center", va="center", fontsize=9.5
            )
            names = ("weights", "gradients", "moments" if sharded else "Adam's moments")
            for row, name in enumerate(names):
                y = 2.42 - 0.66 * row
                half = 0.8 if sharded else 1.6
                start = x + 0.13 + (0.8 * index if sharded else 0)
                if sharded:
                    bounds = (x + 0.13, y, 1.6, 0.5)
                    draw_box(axes, bounds, "", OFF, tint="white")
                draw_box(axes, (start, y, half, 0.5), name, TEAL, fontsize=9, tint="#E1F2EF")
            word = ("1st, 3rd, 5th …", "2nd, 4th, 6th …")[index]
            share = (x + 0.13, 0.14, 1.6, 0.68)
            draw_box(axes, share, f"batch: the\n{word} row", SLATE, fontsize=9, tint="#EEF1F5")
        axes.annotate(
            "",
            xy=(left + 2.22, 2.0),
            xytext=(left + 1.74, 2.0),
            arrowprops=dict(arrowstyle="<|-|>", color=INK, linewidth=2.2),
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
def parallel_step() -> Figure:
    """One training step of two processes, with numbers: what each computes, and what is summed."""
    figure, axes = new_canvas(2.7, (0, 8.4), (-0.55, 2.25))
    heads = ("part of the batch", "gradient of\nits mean loss", "times its share\nof the tokens")
    columns = (1.3, 3.05, 4.8)
    for x, text in zip(
        (*columns, 6.95), (*heads, "sum: the gradient\nof the whole batch"), strict=True
    ):
        axes.text(x, 2.02, text, ha="center", va="center", fontsize=9.5, weight="bold")
    for index, (tokens, slope) in enumerate(((9, 2), (1, 12))):
        y = 1.0 - 0.85 * index
        part = f"{tokens} token{'s' if tokens > 1 else ''}"
        scaled = f"{slope} × {tokens}/10 = {slope * tokens / 10}"
        axes.text(0.02, y + 0.27, f"process\n{index + 1}", va="center", fontsize=9.5)
        for x, text in zip(columns, (part, str(slope), scaled), strict=True):
            draw_box(axes, (x - 0.65, y, 1.3, 0.54), text, SLATE, fontsize=10, tint="#EEF1F5")
        for x in columns[:2]:
            draw_arrow(axes, (x + 0.66, y + 0.27), (x + 1.09, y + 0.27))
        draw_arrow(axes, (5.46, y + 0.27), (6.2, 0.93 - 0.2 * index))
    draw_box(axes, (6.22, 0.5, 1.5, 0.66), "1.8 + 1.2 = 3.0", TEAL, True, tint="#E1F2EF")
    wrong = "The plain mean of the two gradients, (2 + 12) / 2 = 7, would be wrong."
    axes.text(4.2, -0.33, wrong, ha="center", va="center", fontsize=9.5)
    figure.alt = (
        "One training step of two processes. Process 1 has 9 tokens and the gradient 2, times 9/10 "
        "makes 1.8. Process 2 has 1 token and the gradient 12, times 1/10 makes 1.2. Their sum, "
        "3.0, is the gradient of the whole batch; the plain mean of the gradients would be 7."
    )
    return figure


@in_house_style
def readers() -> Figure:
    """Where the queries and the memory come from in six models: one wiring, other memories."""
    rows = (
        ("translation", "English words so far", "German words", "T × S"),
        ("captions (here)", "words of the caption", "patches of a picture", "9 × 64"),
        ("Whisper", "text so far", "30 s of sound", "448 × 1,500"),
        ("Stable Diffusion 1", "places of a noisy picture", "words of the prompt", "4,096 × 77"),
        ("Perceiver", "latent vectors, learned", "pixels of a picture", "512 × 50,176"),
        ("Flamingo", "text so far", "n pictures, 64 vectors each", "T × 64 n, masked"),
    )
    step = 0.62
    figure, axes = new_canvas(0.75 + step * len(rows), (0, 8.4), (-0.1, 0.65 + step * len(rows)))
    top = step * len(rows) + 0.3
    heads = ((2.95, "queries from"), (5.65, "memory: keys and values from"), (7.75, "scores"))
    for x, text in heads:
        axes.text(x, top, text, ha="center", va="center", weight="bold", fontsize=10)
    for i, (name, asks, asked, shape) in enumerate(rows):
        y = step * (len(rows) - 1 - i) + 0.02
        axes.text(0.05, y + 0.22, name, va="center", fontsize=9.8, weight="bold")
        draw_box(axes, (1.9, y, 2.1, 0.44), asks, DECODER, fontsize=9)
        draw_box(axes, (4.6, y, 2.1, 0.44), asked, CROSS, fontsize=9)
        draw_arrow(axes, (4.59, y + 0.22), (4.02, y + 0.22), CROSS, 2.2)
        axes.text(7.75, y + 0.22, shape, ha="center", va="center", fontsize=9.5)
    figure.alt = "Cross-attention in six models. " + "; ".join(
        f"{name}: queries from {asks}, memory from {asked}, scores {shape}"
        for name, asks, asked, shape in rows
    )
    return figure


# What comes before the memory, the memory, what comes before cross-attention, and after it.
_ELSEWHERE: dict[str, tuple[tuple[str, ...], str, tuple[str, ...], tuple[str, ...]]] = {
    "Whisper": (
        ("30 seconds\nof sound", "two\nconvolutions", "encoder"),
        "memory\n1,500 vectors",
        ("text so far", "masked self-\nattention"),
        ("feed-forward", "next piece\nof text"),
    ),
    "Stable Diffusion": (
        ("prompt", "text encoder"),
        "memory\n77 vectors",
        ("noisy picture\n4,096 places", "self-attention\n(no mask)"),
        ("feed-forward", "a little\nless noise"),
    ),
    "Perceiver": (
        ("a picture", "its pixels"),
        "memory\n50,176 vectors",
        ("512 learned\nvectors",),
        ("self-attention\namong the 512", "what it is"),
    ),
    "Flamingo": (
        ("pictures", "image\nencoder", "Perceiver"),
        "memory: 64\nvectors each",
        ("text so far", "layer of a\nfrozen model"),
        ("gate\ntanh(α)", "next frozen\nlayer"),
    ),
}


@in_house_style
def elsewhere(name: str) -> Figure:
    """The wiring of another model, drawn like the mini-map: what is read above, who reads below.

    Raises ValueError for an unknown name, listing the known ones.
    """
    if name not in _ELSEWHERE:
        raise ValueError(f"name must be among {sorted(_ELSEWHERE)}, got {name!r}")
    read, memory, before, after = _ELSEWHERE[name]
    figure, axes = new_canvas(1.95, (-0.15, 6.15), (-0.52, 1.58))
    above = [(3 - len(read) + i, label, ENCODER) for i, label in enumerate(read)]
    above.append((3, memory, CROSS))
    below = [(3 - len(before) + i, label, DECODER) for i, label in enumerate(before)]
    below += [(3, "cross-\nattention", CROSS)]
    below += [(4 + i, label, DECODER) for i, label in enumerate(after)]
    for y, boxes in ((1, above), (0, below)):
        for x, label, role in boxes:
            lit = role == CROSS
            bounds = (x + 0.02, y - 0.36, 0.92, 0.72)
            draw_box(axes, bounds, label, role, bold=lit, thick=lit, fontsize=8.6)
        for x, _, _ in boxes[1:]:
            draw_arrow(axes, (x - 0.06, y), (x + 0.01, y), MUTED, 1.1)
    draw_arrow(axes, (3.48, 0.62), (3.48, 0.38), CROSS, 2.6)
    listed = [", ".join(label.replace("\n", " ") for _, label, _ in row) for row in (above, below)]
    figure.alt = (
        f"The wiring of {name}. Above, what is read: {listed[0]}. Below, who reads: {listed[1]}. "
        "A thick arrow leads from the memory down to cross-attention."
    )
    return figure


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
        draw_box(
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
        bounds = (x - 1.2, pill, 2.4, 0.24)
        draw_box(axes, bounds, text, OFF, fontsize=8.8, tint="white", ink=MUTED)
        if norm_first:
            fork, plus = pill - 0.14, base + 0.72
            draw_arrow(axes, (x, previous), (x, pill - 0.01))
            draw_arrow(axes, (x, pill + 0.24), (x, base - 0.01))
            axes.plot([x, x], [base + 0.52, plus - 0.09], color=INK, lw=1.3)
            axes.text(x, plus, "+", ha="center", va="center", fontsize=12, weight="bold")
            entry, previous = x + side * 0.1, plus + 0.08
        else:
            fork, plus = base - 0.23, pill + 0.12
            draw_arrow(axes, (x, previous), (x, base - 0.01))
            draw_arrow(axes, (x, base + 0.52), (x, pill - 0.01))
            entry, previous = x + side * 1.2, pill + 0.24
        axes.plot([x, outside, outside], [fork, fork, plus], color=MUTED, lw=1.2)
        draw_arrow(axes, (outside, plus), (entry, plus), MUTED, 1.2)
    return previous
