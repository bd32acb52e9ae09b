"""What all pictures share: the palette, the house style, and how a figure gets its description.

Every drawing function returns a matplotlib Figure that carries its own description in
`figure.alt`; `show` displays it as a PNG with that description, or with a better one that you
give. No pyplot, so nothing is drawn twice and nothing stays open.
"""

import functools
import io
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import matplotlib
import numpy as np
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text
from numpy.typing import ArrayLike
from torch import Tensor

# The three roles (checked for contrast on white and dark, and for colour-blind readers).
ENCODER, DECODER, CROSS = "#2B74D8", "#B87900", "#D6307F"
ENCODER_TINT, DECODER_TINT, CROSS_TINT = "#E4EEFB", "#FAEFD8", "#FCE3EF"
INK, MUTED, OFF = "#1F2937", "#6B7280", "#C9CED6"
# Curves and bars that show none of the three roles. They never take a role's colour.
TEAL, VIOLET, BRICK, SLATE = "#0B8574", "#7A4FC0", "#A8442A", "#64748B"
OLIVE = "#6B7F14"
SERIES = (INK, TEAL, VIOLET, BRICK, MUTED, OLIVE)
ROLES = {"encoder": ENCODER, "decoder": DECODER, "cross": CROSS}
WIDTH, DPI = 8.4, 110
Numbers = ArrayLike | Tensor  # a tensor, an array, lists of numbers
Given = ParamSpec("Given")
Drawn = TypeVar("Drawn")
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "hatch.color": OFF,
    "hatch.linewidth": 1.2,
}


class Picture(Figure):
    """A figure and, in `alt`, what it shows, for readers who cannot see it.

    Letters that the reader's font lacks (Chinese, Arabic, …) come from other fonts of the machine.
    """

    alt: str = ""

    def draw(self, renderer: RendererBase) -> None:
        labels = [label for axes in self.axes if axes.axison for label in tick_labels(axes)]
        for text in {*labels, *self.findobj(Text)}:
            families = text.get_fontfamily()
            fonts = [findfont(FontProperties(family=[family])) for family in families]
            missing = frozenset(text.get_text()).difference("\n", *map(letters_of, fonts))
            if missing:
                text.set_fontfamily([*families, *fonts_with(missing)])
        super().draw(renderer)


def tick_labels(axes: Axes) -> list[Text]:
    """The labels of both axes, which matplotlib makes only when they are asked for."""
    return [*axes.get_xticklabels(), *axes.get_yticklabels()]


@functools.cache
def letters_of(path: str) -> frozenset[str]:
    """Every letter that a font can draw; none if matplotlib cannot read it."""
    try:
        return frozenset(map(chr, get_font(path).get_charmap()))
    except (OSError, RuntimeError):
        return frozenset()


@functools.cache
def fonts_with(missing: frozenset[str]) -> list[str]:
    """Fonts of this machine that together have these letters, as far as any font has them."""
    found = []
    for font in sorted(fontManager.ttflist, key=lambda f: (f.style != "normal", f.weight != 400)):
        if not missing:
            break
        if "Emoji" in font.name or "Last Resort" in font.name:  # pictures, and boxes
            continue
        if missing & letters_of(font.fname):
            found.append(font.name)
            missing = missing - letters_of(font.fname)
    return found


# A decorator: drawing functions use the house style, but the reader's own figures do not.
def in_house_style(draw: Callable[Given, Drawn]) -> Callable[Given, Drawn]:
    @functools.wraps(draw)
    def drawn(*args: Given.args, **kwargs: Given.kwargs) -> Drawn:
        with matplotlib.rc_context(STYLE):
            return draw(*args, **kwargs)

    return drawn


@in_house_style
def new_figure(
    height: float, columns: int = 1, rows: int = 1, **options: Any
) -> tuple[Picture, list[Axes]]:
    """A white card and its axes, row by row."""
    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08)
    figure = Picture(figsize=(WIDTH, height), dpi=DPI, layout=layout, facecolor="white")
    return figure, list(figure.subplots(rows, columns, squeeze=False, **options).flat)


@in_house_style
def png(figure: Figure) -> bytes:
    """The figure as PNG; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def bundle(figure: Figure, alt: str | None = None) -> tuple[dict, dict]:
    """What the notebook stores: the PNG, and with it the text for readers who cannot see it.

    Raises ValueError if there is no text, either given or in figure.alt.
    """
    alt = alt or getattr(figure, "alt", "")
    if not alt:
        raise ValueError("alt must say what the figure shows, got nothing")
    return {"image/png": png(figure)}, {"image/png": {"alt": alt}}


def show(figure: Figure, alt: str | None = None) -> None:
    """Display a figure with its alternative text. Raises ValueError if there is none."""
    data, metadata = bundle(figure, alt)
    display(data, metadata=metadata, raw=True)


def as_array(values: Numbers) -> np.ndarray:
    if isinstance(values, Tensor):
        values = values.detach().cpu().numpy()
    return np.asarray(values, dtype=float)


def escape_dollars(token: str) -> str:
    return token.replace("$", r"\$")  # matplotlib would set text between two of them as a formula
