"""The wirings of notebook 11 as small drawings: what goes from the encoder to the decoder."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers.pictures.shapes import draw_arrow, draw_box, new_canvas
from helpers.pictures.style import CROSS, DECODER, ENCODER, INK, MUTED, in_house_style

NOTES = {  # in the order in which they are drawn, three in a row
    "full": "",
    "layer by layer": "",
    "none": "",
    "first only": "",
    "last only": "",
    "shuffled": "reads another sentence",
    "mean": "one vector",
    "recurrent": "one vector",
    "recurrent with cross-attention": "",
}
WIDE, HIGH = 2.8, 1.6  # of one drawing
LAYERS = (0.3, 0.82)  # heights of the two layers' lower edges


@in_house_style
def wirings() -> Figure:
    """Nine encoders and decoders, and in magenta what leads from one to the other."""
    figure, axes = new_canvas(3 * HIGH, (0, 3 * WIDE), (0, 3 * HIGH))
    for place, (name, note) in enumerate(NOTES.items()):
        x, y = WIDE * (place % 3), HIGH * (2 - place // 3)
        axes.text(x + WIDE / 2, y + 1.4, name, ha="center", va="center", weight="bold")
        if name.startswith("recurrent"):
            _chains(axes, x, y, attends="cross-attention" in name)
        else:
            _stacks(axes, x, y, name)
        if note:
            middle = x + (0.75 if name == "shuffled" else WIDE / 2)
            axes.text(middle, y + 0.13, note, ha="center", va="center", fontsize=9, color=MUTED)
    figure.alt = (
        "Nine small drawings, an encoder on the left of each and a decoder on the right. Full: the "
        "last encoder layer leads to both decoder layers. Layer by layer: each encoder layer leads "
        "to the decoder layer at its height. None: nothing connects the two. First only and last "
        "only: the last encoder layer leads to one decoder layer. Shuffled: as full, but the "
        "encoder reads another sentence. Mean: as full, but through a single vector. Recurrent: a "
        "chain of states leads through one vector into another chain. Recurrent with "
        "cross-attention: every state of the first chain leads to every state of the second."
    )
    return figure


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
    if name == "layer by layer":
        for height in (low, high):
            draw_arrow(axes, (start, height), (end, height), CROSS, 2.2)
    elif name != "none":
        heights = {"first only": [low], "last only": [high]}.get(name, [low, high])
        axes.plot([start, bus, bus], [high, high, min(heights)], color=CROSS, lw=2.4)
        for height in heights:
            draw_arrow(axes, (bus, height), (end, height), CROSS, 2.2)
    if name == "mean":
        axes.plot([x + 1.24], [high], "o", color=CROSS, markersize=9)


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
    if attends:
        bus, top = y + 1.0, height + size
        axes.plot([lefts[0] + size / 2, lefts[-1] + size / 2], [bus, bus], color=CROSS, lw=2.4)
        for i, left in enumerate(lefts):
            middle = left + size / 2
            if i < 3:
                axes.plot([middle, middle], [top, bus], color=CROSS, lw=2.4)
            else:
                draw_arrow(axes, (middle, bus), (middle, top), CROSS, 2.2)
