"""pictures/curves.py: curves while they grow, with words and with bands."""

import pytest
from matplotlib.colors import to_hex

from helpers.pictures import curves
from helpers.pictures.curves import LiveCurve, bars, lines, paired_bars, training_curve
from helpers.pictures.style import ENCODER, SLATE, png
from tests.support import HISTORY


def test_live_curve_redraws_one_display(monkeypatch):
    drawn = []

    class Handle:
        def update(self, *data, **options):
            drawn.append("update")

    def display(*data, **options):
        drawn.append("display")
        return Handle()

    monkeypatch.setattr(curves, "display", display)
    live = LiveCurve(total_steps=11)
    live(HISTORY[:3])
    live.finish()
    assert drawn == ["display", "update"]


def test_a_training_curve_can_begin_at_step_0_and_show_its_floors(monkeypatch):
    figures = []
    monkeypatch.setattr(LiveCurve, "_draw", lambda self, figure: figures.append(figure))
    start = {"step": 0, "train_loss": 7.0, "validation_loss": 6.9, "learning_rate": 0.0}
    live = LiveCurve(total_steps=11, baseline=6.4, before=start, floors=(0.96, 0.11))
    live(HISTORY[:2])
    live(HISTORY)
    live.finish()
    for figure, rows in ((figures[0], 3), (figures[-1], len(HISTORY) + 1)):
        training, validation, even, *floors = figure.axes[0].lines
        assert len(training.get_xdata()) == len(validation.get_xdata()) == rows
        assert (training.get_ydata()[0], validation.get_ydata()[0]) == (7.0, 6.9)
        assert [line.get_ydata()[0] for line in floors] == [0.96, 0.11]
        assert [line.get_color() for line in floors] == [
            line.get_color() for line in (training, validation)
        ]
        written = {text.get_text() for text in figure.axes[0].texts}
        named = {"training (smoothed),\nfloor 0.96", "validation (plain),\nfloor 0.11"}
        assert written == {"even guess", *named}
        assert "training from 7.00" in figure.alt and "floor 0.96, floor 0.11;" in figure.alt
    assert "floor" not in training_curve(HISTORY).alt


def test_lines_take_words_and_a_band():
    figure = lines({"m": (["1-6", "7+"], [0.9, 0.8], [0.8, 0.7], [1.0, 0.9])}, "n", "share")
    png(figure)
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["1-6", "7+"]
    assert len(figure.axes[0].collections) == 1


def test_a_name_keeps_its_colour_whatever_else_is_drawn():
    names = ("a", "b", "c")
    drawn = {}
    for chosen in (("a", "b", "c"), ("c", "a")):
        figure = lines({n: ([1, 2], [3, 4]) for n in chosen}, "x", "y", among=names)
        for name, line in zip(chosen, figure.axes[0].lines, strict=True):
            drawn.setdefault(name, set()).add((line.get_color(), line.get_linestyle()))
    assert {n: len(kinds) for n, kinds in drawn.items()} == {"a": 1, "b": 1, "c": 1}
    assert len(set.union(*drawn.values())) == 3


def test_a_model_keeps_its_colour_before_and_after():
    series = {n: ([1, 2], [3, 4]) for n in ("a, before", "a, after", "b, before", "c, or not")}
    among = ("b", "a", "c, or not")
    figure = lines(series, "x", "y", among=among, faded={"a, before"})
    before, after, other, whole = figure.axes[0].lines
    assert before.get_color() == after.get_color() and before.get_alpha() < 1
    assert after.get_alpha() is None and before.get_linewidth() < after.get_linewidth()
    assert len({line.get_color() for line in (after, other, whole)}) == 3


def test_curves_that_lie_on_each_other_share_a_label():
    def labels(y, other, log=""):
        figure = lines({"a": ([0, 1], y), "b": ([0, 1], other)}, "x", "y", ("even", 1.0), log)
        png(figure)
        return sorted(text.get_text() for text in figure.axes[0].texts)

    assert labels([5, 2], [5.03, 2]) == ["a and b", "even"]  # 4 from top to bottom
    assert labels([5, 2], [5.06, 2]) == ["a", "b", "even"]
    assert labels([5, 2], [3, 2]) == ["a", "b", "even"]  # the same end, but not the same way
    assert labels([500, 2], [500, 1], "y") == ["a", "b", "even"]


def test_same_says_how_near_curves_must_be_and_a_long_label_takes_two_lines():
    curves = {"ends": ([0, 1], [9.0, 1.0]), "high": ([0, 1], [9.0, 1.4])}

    def labels(same, *more):
        figure = lines(curves | {name: ([0, 1], [1.0, 1.0]) for name in more}, "x", "y", same=same)
        png(figure)
        return {text.get_text(): text.get_position()[1] for text in figure.axes[0].texts}

    assert set(labels(0.01)) == {"ends", "high"} and set(labels(0.06)) == {"ends and high"}
    written = labels(0.06, "a curve with a long name", "another one with a long name")
    long = "a curve with a long name and\nanother one with a long name"
    assert set(written) == {"ends and high", long}
    assert abs(written[long] - written["ends and high"]) >= 0.1275 - 1e-9  # 1.5 lines apart
    three = {name: ([0, 1], [9.0, 1.0]) for name in ("a", "b", "c")}
    assert [text.get_text() for text in lines(three, "x", "y").axes[0].texts] == ["a, b and c"]


def test_a_table_is_drawn_as_steps():
    for steps, style in ((True, "steps-mid"), (False, "default")):
        figure = lines({"rows": ([0, 1], [3, 4])}, "x", "y", steps=steps)
        assert [line.get_drawstyle() for line in figure.axes[0].lines] == [style]


def test_an_axis_can_begin_at_zero():
    lowest = [
        lines({"a": ([0, 1], [3, 4])}, "x", "y", zero=zero).axes[0].get_ylim()[0]
        for zero in (True, False)
    ]
    assert lowest[0] == 0 and 2.9 < lowest[1] < 3


def test_shares_have_as_many_digits_in_every_row():
    figure = bars({"a": 0.243, "b": 0.0898, "c": 0.2}, "share")
    assert [text.get_text() for text in figure.axes[0].texts] == ["0.243", "0.090", "0.200"]
    figure = bars({"a": 1.0, "b": 0.466}, "share")
    assert [text.get_text() for text in figure.axes[0].texts] == ["1.000", "0.466"]
    figure = bars({"a": 12.5, "b": 3.0}, "loss")
    assert [text.get_text() for text in figure.axes[0].texts] == ["12.5", "3"]


def test_pairs_have_their_rows_colours_and_values():
    panels = {"word": {"verb": (0.18, 0.04), "noun": (0.2, 0.14)}}
    (axes,) = (figure := paired_bars(panels, ("encoder", "neighbours"), role="encoder")).axes
    assert [bar.get_width() for bar in axes.patches] == [0.18, 0.04, 0.2, 0.14]
    assert [to_hex(bar.get_facecolor()).upper() for bar in axes.patches[:2]] == [ENCODER, SLATE]
    written = [text.get_text() for text in axes.texts]
    assert written == ["18%  encoder", "4%  neighbours", "20%", "14%"]
    assert "verb 18% and 4%; noun 20% and 14%" in figure.alt
    with pytest.raises(ValueError, match="'form' has \\['article'\\], but .* \\['verb', 'noun'\\]"):
        paired_bars(panels | {"form": {"article": (1, 1)}}, ("encoder", "neighbours"))


def test_a_panel_may_lack_a_row_and_has_a_dash_in_its_place():
    panels = {"word": {"verb": (0.18, 0.04), "noun": (0.2, 0.14)}, "form": {"noun": (1, 0.5)}}
    figure = paired_bars(panels, ("encoder", "neighbours"))
    middles = [bar.get_y() + bar.get_height() / 2 for bar in figure.axes[1].patches]
    assert [round(middle, 2) for middle in middles] == [0.81, 1.19]
    (dash,) = (text for text in figure.axes[1].texts if text.get_text() == "–")
    assert dash.get_position()[1] == 0
    assert figure.alt.endswith("form: noun 100% and 50%.")
