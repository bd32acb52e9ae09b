"""pictures/style.py: the same bytes each time, a description always, words as they are."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from helpers.pictures import architecture, attention_map, show, style
from helpers.pictures.style import png


def test_the_same_figure_gives_the_same_bytes():
    assert png(architecture.stack(2)) == png(architecture.stack(2))


def test_show_stores_a_picture_and_its_description_and_nothing_else(monkeypatch):
    shown = []
    monkeypatch.setattr(style, "display", lambda *data, **options: shown.append((data, options)))
    show(architecture.minimap("encoder"))
    show(architecture.minimap("encoder"), "my words")
    assert [list(data[0]) for data, _ in shown] == [["image/png"]] * 2
    assert shown[0][1]["metadata"]["image/png"]["alt"].startswith("Map of the Transformer")
    assert shown[1][1]["metadata"]["image/png"]["alt"] == "my words"
    with pytest.raises(ValueError, match="alt must say"):
        show(Figure())


def test_tokens_that_look_like_markup_are_shown_as_they_are():
    figure = attention_map(np.eye(2), ["$x$", "<b>"], ["$", "a"])
    png(figure)
    labels = [t.get_text() for t in figure.axes[0].get_xticklabels()]
    assert labels == [r"\$x\$", "<b>"]


def test_tensors_with_gradients_can_be_drawn():
    weights = torch.eye(2, requires_grad=True)
    png(attention_map(weights, list("ab"), list("cd")))
