"""The shapes that the drawings are made of: boxes, panels, arrows, rows of cells."""

from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

from helpers.pictures.style import (
    CROSS,
    CROSS_TINT,
    DECODER,
    DECODER_TINT,
    DPI,
    ENCODER,
    ENCODER_TINT,
    INK,
    MUTED,
    WIDTH,
    Picture,
)

Point = tuple[float, float]
Bounds = tuple[float, float, float, float]  # left, bottom, width, height
TINTS = {ENCODER: ENCODER_TINT, DECODER: DECODER_TINT, CROSS: CROSS_TINT, MUTED: "#F3F4F6"}


def new_canvas(height: float, xlim: Point, ylim: Point) -> tuple[Picture, Axes]:
    figure = Picture(figsize=(WIDTH, height), dpi=DPI, facecolor="white")
    axes = figure.add_axes((0.01, 0.01, 0.98, 0.98))
    axes.set(xlim=xlim, ylim=ylim)
    axes.set_axis_off()
    return figure, axes


def draw_box(
    axes: Axes,
    bounds: Bounds,
    label: str,
    role: str,
    bold: bool = False,
    thick: bool = False,
    fontsize: float = 10.0,
    tint: str | None = None,
    ink: str = INK,
) -> None:
    x, y, width, height = bounds
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


def draw_panel(axes: Axes, bounds: Bounds, role: str) -> None:
    x, y, width, height = bounds
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


def draw_arrow(axes: Axes, start: Point, end: Point, colour: str = INK, width: float = 1.3) -> None:
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


def draw_cells(
    axes: Axes,
    x: float,
    y: float,
    rows: int,
    columns: int,
    role: str,
    size: float = 0.2,
    hatch: str | None = None,
) -> None:
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
