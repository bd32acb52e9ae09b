"""Curves and bars, and the training curve that redraws itself while a model trains."""

import math
import time
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from IPython.display import DisplayHandle, display
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers.pictures.style import (
    INK,
    MUTED,
    OFF,
    ROLES,
    SERIES,
    SLATE,
    TEAL,
    as_array,
    bundle,
    in_house_style,
    new_figure,
)

End = tuple[float, float, str, str]  # where a curve ends, x and y; its name and its colour


@in_house_style
def lines(
    series: Mapping[str, tuple[Sequence, ...]],
    xlabel: str,
    ylabel: str,
    baseline: tuple[str, float] | None = None,
    log: str = "",
    among: Sequence[str] = (),
    steps: bool = False,
    zero: bool = False,
    faded: Collection[str] = (),
    same: float = 0.01,
) -> Figure:
    """Curves with their names at their right ends; log may be "x", "y" or "xy".

    A series is (x, y), or (x, y, low, high) to shade the range between low and high. If x holds
    words, they become the ticks. Each name in `among` has the same colour in every picture, and
    "name, and more words" has the colour of "name". Curves in `faded` are thin and pale. Curves
    that never differ by more than `same` of the picture's height share one label. With `steps`, a
    curve stays level around each x and jumps halfway to the next, like the rows of a table. With
    `zero`, the vertical axis begins at zero.
    """
    figure, (axes,) = new_figure(3.4)
    styles = ("-", "--", "-.", ":", "-", "--", "-.", ":", "-", "--")
    ends = []
    for place, (name, (x, y, *band)) in enumerate(series.items()):
        known = name if name in among else name.partition(", ")[0]
        place = among.index(known) if known in among else place
        colour, style = SERIES[place % len(SERIES)], styles[place % len(styles)]
        if isinstance(x[0], str):
            axes.set_xticks(range(len(x)), x)
            x = range(len(x))
        across, up = as_array(x), as_array(y)
        if band:
            axes.fill_between(
                across, as_array(band[0]), as_array(band[1]), color=colour, alpha=0.15
            )
        (curve,) = axes.plot(across, up, color=colour, linestyle=style, linewidth=2)
        if name in faded:
            curve.set(linewidth=1.4, alpha=0.5)
        curve.set_marker("o" if len(x) < 9 else "")
        curve.set_drawstyle("steps-mid" if steps else "default")
        ends.append((across[-1], up[-1], name, colour))
    if "x" in log:
        axes.set_xscale("log")
    if "y" in log:
        axes.set_yscale("log")
    if zero:
        axes.set_ylim(bottom=0)
    if baseline:
        axes.axhline(baseline[1], color=MUTED, linestyle=":", linewidth=1.5)
        ends.append((axes.get_xlim()[1], baseline[1], baseline[0], MUTED))
    axes.set(xlabel=xlabel, ylabel=ylabel)
    _label_ends(axes, _merge_same(axes, ends, same))
    parts = [
        f"{name} goes from {as_array(y)[0]:.3g} to {as_array(y)[-1]:.3g}"
        for name, (_, y, *_) in series.items()
    ]
    figure.alt = f"Curves of {ylabel} over {xlabel}: " + "; ".join(parts) + "."
    return figure


@in_house_style
def bars(
    values: Mapping[str, float],
    xlabel: str,
    highlight: str | None = None,
    log: bool = False,
    role: str | None = None,
) -> Figure:
    """Horizontal bars with their values written at the ends; `highlight` names one in colour.

    The colour is that of `role`, such as "encoder", if there is one. With `log`, equal steps along
    the scale are equal factors, and the values must be positive.
    """
    figure, (axes,) = new_figure(0.9 + 0.36 * len(values))
    names, numbers = list(values), [float(v) for v in values.values()]
    written = [f"{n:,.0f}" if abs(n) >= 1000 else f"{n:.3g}" for n in numbers]
    largest = max(map(abs, numbers))
    if not log and 0 < largest <= 1:  # as many digits after the point in every row
        written = [f"{n:z.{3 - math.ceil(math.log10(largest))}f}" for n in numbers]
    colour = ROLES[role] if role else TEAL
    colours = [colour if name == highlight else SLATE for name in names]
    axes.barh(names, numbers, color=colours, height=0.62)
    axes.invert_yaxis()
    if log:
        axes.set_xscale("log")
        axes.set_xlim(min(numbers) / 10, 60 * max(numbers))
        axes.grid(axis="x", color=OFF, linewidth=0.8)
        axes.set_axisbelow(True)
    reach = max(max(numbers), 0) - min(min(numbers), 0) or 1
    for i, number in enumerate(numbers):
        end = 1.15 * number if log else max(number, 0) + 0.012 * reach
        axes.text(end, i, written[i], va="center", fontsize=9)
    if not log:
        axes.set_xlim(min(min(numbers), 0), max(max(numbers), 0) + 0.09 * reach)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(xlabel)
    listed = ", ".join(f"{name} {number}" for name, number in zip(names, written, strict=True))
    figure.alt = f"Bars of {xlabel}: {listed}."
    return figure


@in_house_style
def paired_bars(
    panels: Mapping[str, Mapping[str, tuple[float, float]]],
    names: tuple[str, str],
    role: str | None = None,
) -> Figure:
    """Panels side by side, with two shares from 0 to 1 in each row: {title: {row: (one, other)}}.

    The rows are those of the first panel; where another panel lacks one, there is a dash.
    `names` says what the two bars are, and is written beside the first pair. The first bar has the
    colour of `role`, such as "encoder", if there is one.
    """
    rows = list(next(iter(panels.values())))
    for title, panel in panels.items():
        if unknown := [row for row in panel if row not in rows]:
            raise ValueError(f"the panel {title!r} has {unknown}, but the first has {rows}")
    figure, places = new_figure(0.5 + 0.62 * len(rows), len(panels), sharey=True)
    colours = (ROLES[role] if role else TEAL, SLATE)
    told = []
    for axes, (title, panel) in zip(places, panels.items(), strict=True):
        for row, pair in panel.items():
            place = rows.index(row)
            for bar, (share, colour) in enumerate(zip(pair, colours, strict=True)):
                height = place - 0.19 + 0.38 * bar
                axes.barh(height, share, color=colour, height=0.34)
                name = f"  {names[bar]}" if place == 0 else ""
                axes.text(share + 0.02, height, f"{share:.0%}{name}", va="center", fontsize=9)
        for row in rows:
            if row not in panel:
                axes.text(0.02, rows.index(row), "–", va="center", fontsize=9)
        axes.set(title=title, xlim=(0, 1.25), xticks=[], ylim=(len(rows) - 0.5, -0.5))
        axes.spines["bottom"].set_visible(False)
        axes.set_yticks(range(len(rows)), rows)
        axes.tick_params(axis="y", length=0)
        listed = "; ".join(
            f"{row} {one:.0%} and {other:.0%}" for row, (one, other) in panel.items()
        )
        told.append(f"{title}: {listed}.")
    figure.alt = f"Pairs of bars, {names[0]} and {names[1]}. {' '.join(told)}"
    return figure


@in_house_style
def dots(values: Mapping[str, Sequence[float]], xlabel: str) -> Figure:
    """A row for each name: a dot for each of its values, and a stroke at their mean.

    A dotted line marks zero, so that you see at once whether all values have the same sign.
    """
    figure, (axes,) = new_figure(0.9 + 0.36 * len(values))
    means = {name: sum(row) / len(row) for name, row in values.items()}
    for place, (name, row) in enumerate(values.items()):
        axes.plot(as_array(row), [place] * len(row), "o", color=TEAL, markersize=7, alpha=0.7)
        axes.plot([means[name]] * 2, [place - 0.32, place + 0.32], color=INK, linewidth=2)
    axes.axvline(0, color=MUTED, linestyle=":", linewidth=1.5)
    axes.set_yticks(range(len(values)), list(values))
    axes.set_ylim(len(values) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(xlabel)
    listed = "; ".join(
        f"{name} {', '.join(f'{v:+.1f}' for v in row)}, mean {means[name]:+.1f}"
        for name, row in values.items()
    )
    figure.alt = f"Dots of {xlabel}, one for each run, and their mean: {listed}."
    return figure


@in_house_style
def training_curve(
    history: Sequence[Mapping],
    baseline: float | None = None,
    floors: tuple[float, float] | tuple[()] = (),
) -> Figure:
    """Training loss solid, validation dashed, the learning rate as a strip below.

    `floors` are the lowest losses that training, which is smoothed, and then validation, which is
    plain, can be expected to reach.
    """
    figure, (axes, strip) = new_figure(3.9, 1, 2, height_ratios=[4, 1], sharex=True)
    steps = [row["step"] for row in history]
    axes.plot(steps, [row["train_loss"] for row in history], color=INK, linewidth=2)
    names = ["training", "validation"]
    if floors:
        kinds = zip(("training (smoothed)", "validation (plain)"), floors, strict=False)
        names = [f"{kind},\nfloor {floor:.2f}" for kind, floor in kinds]
    ends = [(steps[-1], history[-1]["train_loss"], names[0], INK)]
    valid = [(r["step"], r["validation_loss"]) for r in history if r["validation_loss"] is not None]
    if valid:
        x, y = zip(*valid, strict=True)
        axes.plot(x, y, color=TEAL, linewidth=2, linestyle="--")
        ends.append((x[-1], y[-1], names[1], TEAL))
    if baseline is not None:
        axes.axhline(baseline, color=MUTED, linestyle=":", linewidth=1.5)
        ends.append((steps[-1], baseline, "even guess", MUTED))
    for floor, colour in zip(floors, (INK, TEAL), strict=False):
        axes.axhline(floor, color=colour, linestyle=":", linewidth=1.2)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("loss (nats per token)")
    _label_ends(axes, ends)
    rates = [row["learning_rate"] for row in history]
    strip.fill_between(steps, rates, color=OFF)
    strip.set(xlabel="step", ylabel="rate", yticks=[])
    figure.alt = (
        f"Loss over {steps[-1]} steps: training from {history[0]['train_loss']:.2f} to "
        f"{history[-1]['train_loss']:.2f}"
        + (f", validation from {valid[0][1]:.2f} to {valid[-1][1]:.2f}" if valid else "")
        + "".join(f", floor {floor:.2f}" for floor in floors)
        + "; below it the learning rate."
    )
    return figure


class LiveCurve:
    """A training curve that redraws in place while training runs; pass it as report=.

    The title shows how far training is, how fast, and how long it will still take; `finish` leaves
    the plain curve. `before` is a row of the history for step 0, and `floors` are as in
    `training_curve`.
    """

    def __init__(
        self,
        total_steps: int,
        baseline: float | None = None,
        before: dict | None = None,
        floors: tuple[float, float] | tuple[()] = (),
    ):
        self.total_steps, self.baseline = total_steps, baseline
        self.before, self.floors = [before] if before else [], floors
        self.handle: DisplayHandle | None = None
        self.history: list[dict] = []
        self.drawn = 0.0

    def __call__(self, history: list[dict]) -> None:
        self.history = history
        if len(history) < 2 or time.monotonic() - self.drawn < 1.0:
            return
        row = history[-1]
        left = (self.total_steps - row["step"]) * row["seconds"] / row["step"]
        figure = self._curve()
        figure.suptitle(
            f"step {row['step']} of {self.total_steps} · "
            f"{row['tokens_per_second']:,.0f} tokens/s · about {left:.0f} s left",
            fontsize=10,
            x=0.02,
            ha="left",
        )
        self._draw(figure)

    def finish(self) -> None:
        if self.history:
            self._draw(self._curve())

    def _curve(self) -> Figure:
        return training_curve([*self.before, *self.history], self.baseline, self.floors)

    def _draw(self, figure: Figure) -> None:
        data, metadata = bundle(figure)
        if self.handle is None:
            self.handle = display(data, metadata=metadata, raw=True, display_id=True)
        else:
            self.handle.update(data, metadata=metadata, raw=True)
        self.drawn = time.monotonic()


def _merge_same(axes: Axes, ends: Sequence[End], same: float) -> list[End]:
    """The ends of all curves; those that never differ by `same` of the height share one."""
    axes.autoscale_view()  # or the limits are those of an empty picture
    to_height = axes.transScale + axes.transLimits
    curves = [to_height.transform(line.get_xydata()) for line in axes.lines[: len(ends)]]
    merged: list[tuple[End, np.ndarray]] = []
    for end, curve in zip(ends, curves, strict=True):
        for i, ((x, y, name, _), other) in enumerate(merged):
            if curve.shape == other.shape and abs(curve - other).max() < same:
                space = " " if len(name + end[2]) < 25 else "\n"  # a long label takes two lines
                before = name.replace(" and", ",")  # a, b and c
                merged[i] = ((x, y, f"{before} and{space}{end[2]}", INK), other)
                break
        else:
            merged.append((end, curve))
    return [end for end, _ in merged]


def _label_ends(axes: Axes, ends: Sequence[End]) -> None:
    """Write names at the right ends of curves, moved apart where they would touch."""
    low, high = axes.get_ylim()
    to_height = axes.transScale + axes.transLimits
    free = -math.inf  # above this height nothing is written yet
    for x, y, name, colour in sorted(ends, key=lambda end: end[1]):
        half = 0.0425 * len(name.splitlines())
        height = float(to_height.transform((x, min(max(y, low), high)))[1])
        height = max(height, free + half)
        free = height + half
        axes.text(
            1.015, height, name, color=colour, transform=axes.transAxes, va="center", fontsize=9.5
        )
