"""tools/figures.py: every drawing is there, says what one sees, and is the same each time."""

import inspect
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle

from helpers.pictures import architecture, mechanism
from tools import figures


@pytest.mark.slow
def test_the_drawings_are_saved_with_their_descriptions(tmp_path, monkeypatch):
    figures.save(tmp_path / "one")
    alts = {}

    def noting(name, draw):
        def drawn():
            figure = draw()
            alts[name] = figure.alt
            return figure

        return drawn

    for name, draw in figures.FIGURES.items():
        monkeypatch.setitem(figures.FIGURES, name, noting(name, draw))
    figures.save(tmp_path / "two")
    names = {path.stem for path in (tmp_path / "one").iterdir()}
    assert names == set(figures.FIGURES) == set(alts)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
        root = ElementTree.parse(path).getroot()
        described = [e.text for e in root.iter() if e.tag.endswith("}description")]
        assert described == [alts[path.stem]] and len(described[0]) > 40


def test_larger_labels_stay_in_their_boxes_and_off_the_arrows():
    figure = Figure(figsize=(8, 4))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, 8), ylim=(0, 4))
    axes.set_axis_off()
    axes.add_patch(Rectangle((1, 1), 1.0, 0.4))
    narrow = axes.text(1.5, 1.2, "a long label", fontsize=9, ha="center", va="center")
    alone = axes.text(6, 3, "alone", fontsize=10)
    beside = axes.text(4, 2, "beside", fontsize=11)
    axes.add_patch(FancyArrowPatch((4.65, 2.05), (6, 2.05)))
    figures.enlarge(figure)
    assert alone.get_fontsize() == 14
    assert 9 <= narrow.get_fontsize() < 9 * 1.4 and 11 <= beside.get_fontsize() < 11 * 1.4


def test_no_drawing_is_left_out():
    drawn = inspect.getsource(figures)
    public = [
        f"{module.__name__.rpartition('.')[2]}.{name}"
        for module in (architecture, mechanism)
        for name, value in inspect.getmembers(module, inspect.isfunction)
        if value.__module__ == module.__name__ and not name.startswith("_")
    ]
    assert len(public) > 8
    drawn_from_data = ["mechanism.beam_tree"]
    assert [name for name in public if name not in drawn] == drawn_from_data
