"""The drawings of notebook 11's wirings: all nine, or those that are asked for."""

import pytest

from helpers.pictures.wirings import DRAWN, wirings


def titles(figure):
    return [text.get_text() for text in figure.axes[0].texts if text.get_weight() == "bold"]


def test_all_nine_are_drawn_and_described():
    figure = wirings()
    assert titles(figure) == list(DRAWN)
    assert all(f"{name}: {what}" in figure.alt for name, what in DRAWN.items())


def test_a_row_holds_three_in_the_order_asked_for():
    three = wirings(["full", "none", "shuffled"])
    assert titles(three) == ["full", "none", "shuffled"] and "recurrent" not in three.alt
    four = wirings(["mean", "none", "full", "shuffled"])
    assert four.get_figheight() == pytest.approx(2 * three.get_figheight())


def test_an_unknown_name_is_named_beside_those_that_are_known():
    with pytest.raises(ValueError, match="no drawing of 'half', only of full, layer by layer"):
        wirings(["full", "half"])
