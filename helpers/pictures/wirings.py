"""The wirings of notebook 11 as small drawings: what goes from the encoder to the decoder."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers.pictures.shapes import draw_arrow, draw_box, new_canvas
from helpers.pictures.style import CROSS, DECODER, ENCODER, INK, MUTED, in_house_style

DRAWN = {  # in the order in which they are drawn, three in a row: what each one shows
    "full": "the last encoder layer leads to both decoder layers",
    "layer by layer": "each encoder layer leads to the decoder layer at its height",
    "none": "nothing connects the two, and the decoder looks at the target again",
    "first only": "the last encoder layer leads to the first decoder layer",
    "last only": "the last encoder layer leads to the last decoder layer",
    "shuffled": "as full, but the encoder reads another sentence",
    "mean": "the last encoder layer leads to both decoder layers, but through a single vector",
    "recurrent": "a chain of states leads through one vector into another chain",
    "recurrent with cross-attention": "as recurrent, and every state of the first chain leads to "
    "every state of the second",
}
WIDE, HIGH = 2.8, 1.6  # of one drawing
LAYERS = (0.3, 0.82)  # heights of the two layers' lower edges


@in_house_style
def wirings(names: Sequence[str] = tuple(DRAWN)) -> Figure:
    """Encoders and decoders, three in a row, and in magenta what leads from one to the other.

    Raises ValueError for a name that is not in DRAWN.
    """
    for name in names:
        if name not in DRAWN:
            raise ValueError(f"no drawing of {name!r}, only of {', '.join(DRAWN)}")
    described = "; ".join(f"{name}: {DRAWN[name]}" for name in names)
    rows = -(-len(names) // 3)
    figure, axes = new_canvas(rows * HIGH, (0, 3 * WIDE), (0, rows * HIGH))
    for place, name in enumerate(names):
        x, y = WIDE * (place % 3), HIGH * (rows - 1 - place // 3)
        axes.text(x + WIDE / 2, y + 1.42, name, ha="center", va="center", weight="bold")
        if name.startswith("recurrent"):
            _chains(axes, x, y, attends="cross-attention" in name)
        else:
            _stacks(axes, x, y, name)
    figure.alt = f"An encoder on the left, a decoder on the right. {described}."
    return figure


def _note(axes: Axes, x: float, y: float, text: str) -> None:
    axes.text(x, y, text, ha="center", va="center", fontsize=9, color=MUTED)


def _stacks(axes: Axes, x: float, y: float, name: str) -> None:
    """Two encoder layers, two decoder layers, and the way between them that `name` stands for."""
    for i, bottom in enumerate(LAYERS):
        for left, role, word in ((0.15, ENCODER, "encoder"), (1.75, DECODER, "decoder")):
            draw_box(axes, (x + left, y + bottom, 0.9, 0.34), f"{word} {i + 1}", role, fontsize=9)
            if i == 1:
                middle = x + left + 0.45
                draw_arrow(axes, (middle, y + LAYERS[0] + 0.34), (middle, y + bottom))
    start, end, bus = x + 1.05, x + 1.74, x + 1.42
    low, high = (y + bottom + 0.17 for bottom in LAYERS)
    if name == "none":
        _note(axes, x + 1.4, y + 0.73, "looks at\nthe target\nagain")
    else:
        straight = {"layer by layer": [low, high], "first only": []}.get(name, [high])
        for height in straight:
            draw_arrow(axes, (start, height), (end, height), CROSS, 2.2)
        if name not in ("layer by layer", "last only"):
            corner = [bus, bus] if straight else [start, bus, bus]
            axes.plot(corner, [high, high, low][-len(corner) :], color=CROSS, lw=2.2)
            draw_arrow(axes, (bus, low), (end, low), CROSS, 2.2)
    if name == "mean":
        axes.plot([x + 1.24], [high], "o", color=CROSS, markersize=9)
        _note(axes, (start + end) / 2, high + 0.22, "one vector")
    if name == "shuffled":
        _note(axes, x + 0.85, y + 0.13, "reads another sentence")


def _chains(axes: Axes, x: float, y: float, attends: bool) -> None:
    """Two chains of three states; one vector between them, or an attention over all of them."""
    height, size = y + 0.42, 0.28
    lefts = [x + 0.12 + 0.42 * i + (0.12 if i > 2 else 0) for i in range(6)]
    for i, left in enumerate(lefts):
        draw_box(axes, (left, height, size, size), "", ENCODER if i < 3 else DECODER)
        if i:
            colour, width = (CROSS, 2.2) if i == 3 else (INK, 1.3)
            middle = height + size / 2
            draw_arrow(axes, (lefts[i - 1] + size, middle), (left, middle), colour, width)
    if not attends:
        _note(axes, (lefts[2] + size + lefts[3]) / 2, y + 0.28, "one vector")
    else:
        bus, top = y + 1.0, height + size
        axes.plot([lefts[0] + size / 2, lefts[-1] + size / 2], [bus, bus], color=CROSS, lw=2.4)
        for i, left in enumerate(lefts):
            middle = left + size / 2
            if i < 3:
                axes.plot([middle, middle], [top, bus], color=CROSS, lw=2.4)
            else:
                draw_arrow(axes, (middle, bus), (middle, top), CROSS, 2.2)
