"""pictures/style.py: the same bytes each time, a description always, words as they are."""

import matplotlib
import numpy as np
import pytest
import torch
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager

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


STRANGE = "\U00013000"  # an Egyptian hieroglyph: no font of matplotlib's has it


def font_with(letters, name, folder):
    """A font that draws each of these letters as a black square."""
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for corner in ((0, 800), (800, 800), (800, 0)):
        pen.lineTo(corner)
    pen.closePath()
    font = FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder([".notdef", "square"])
    font.setupCharacterMap({ord(letter): "square" for letter in letters})
    font.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "square": pen.glyph()})
    font.setupHorizontalMetrics({".notdef": (500, 0), "square": (800, 0)})
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupNameTable({"familyName": name, "styleName": "Regular"})
    font.setupOS2()
    font.setupPost()
    font.save(folder / f"{name}.ttf")
    return folder / f"{name}.ttf"


@pytest.fixture
def fonts(monkeypatch):
    """Fonts that are added are gone afterwards."""
    monkeypatch.setattr(fontManager, "ttflist", list(fontManager.ttflist))
    caches = style.letters_of, style.fonts_with
    for cache in caches:
        cache.cache_clear()
    yield fontManager
    for cache in caches:
        cache.cache_clear()
    fontManager._findfont_cached.cache_clear()


def a_map(label):
    return attention_map(np.eye(2), [label, "a"], ["b", label], title=label)


def test_letters_that_the_font_lacks_come_from_another_font_without_a_warning(fonts, tmp_path):
    """Warnings are errors here, and matplotlib warns of a letter that it cannot draw."""
    with pytest.warns(UserWarning, match="Glyph"):
        png(a_map(STRANGE))
    style.fonts_with.cache_clear()
    fonts.addfont(font_with(STRANGE, "Hieroglyphs", tmp_path))
    figure = a_map(STRANGE)
    png(figure)
    for axis in (figure.axes[0].xaxis, figure.axes[0].yaxis):
        families = {t.get_text(): t.get_fontfamily() for t in axis.get_majorticklabels()}
        assert families[STRANGE][-1] == "Hieroglyphs"
        assert "Hieroglyphs" not in {*families.get("a", ()), *families.get("b", ())}


def test_a_readers_own_font_is_used_and_the_house_leaves_it_as_it_was(fonts, tmp_path):
    fonts.addfont(font_with("ab0123456789. ", "Mine", tmp_path))
    for setting in ({"font.family": ["Mine", "DejaVu Sans"]}, {"font.sans-serif": ["Mine"]}):
        with matplotlib.rc_context(setting):
            figure = attention_map(np.eye(2), ["a", "b"], ["b", "a"])
            png(figure)
            label = figure.axes[0].get_xticklabels()[0]
            assert "Mine" in (*label.get_fontfamily(), *matplotlib.rcParams["font.sans-serif"])
            for name, value in setting.items():
                assert matplotlib.rcParams[name] == value
        assert png(figure) != png(attention_map(np.eye(2), ["a", "b"], ["b", "a"]))
