"""tools/chapters.py: without a chapter, what is left still holds together."""

import re
import shutil

import pytest

from tests import test_course
from tools import chapters, notebooks
from tools.notebooks import ROOT

ALL = [path.name[:2] for path in notebooks.paths()]


def copied(folder):
    """Everything that a chapter's removal may touch, in a folder of its own."""
    shutil.copytree(ROOT / "notebooks", folder / "notebooks",
                    ignore=shutil.ignore_patterns(".*"))  # fmt: skip
    for page in chapters.texts(ROOT):
        there = folder / page.relative_to(ROOT)
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(page, there)
    return folder


@pytest.fixture(scope="module")
def what_is_left(without):
    """{name: notebook} of those that are still there."""
    return {path.name: notebooks.read(path) for path in chapters.series(without[0])}


@pytest.fixture(scope="module")
def without(tmp_path_factory):
    """(folder, number, name of the notebook that is gone, what is left to reword)."""
    number = "13" if "13" in ALL else ALL[-2]
    folder = copied(tmp_path_factory.mktemp("series"))
    name = chapters.chapter(number, folder).name
    left = chapters.drop(number, folder)
    return folder, number, name, left


def test_no_link_leads_to_it(without, what_is_left):
    folder, _, name, _ = without
    for other, notebook in what_is_left.items():
        for cell in notebook.cells:
            assert f"({name}" not in cell.source, f"{other}, {cell.id}"
    for page in chapters.texts(folder):
        if page.suffix == ".md":
            assert name.removesuffix(".ipynb") not in page.read_text(encoding="utf8"), page.name


def test_its_deck_goes_with_it(without):
    folder, number, _, _ = without
    left = {path.stem for path in (folder / "course" / "slides").iterdir()}
    assert left == {path.stem for path in chapters.series(folder)} - {number}


def test_its_neighbours_lead_to_each_other(without, what_is_left):
    _, number, _, _ = without
    before = [name for name in what_is_left if name[:2] < number][-1]
    after = next(name for name in what_is_left if name[:2] > number)
    assert chapters.neighbours(what_is_left[before])["Next:"].endswith(f"({after})")
    assert chapters.neighbours(what_is_left[after])["Previous:"].endswith(f"({before})")


def test_the_course_keeps_its_rules(without):
    folder, number, _, _ = without
    series = {path.name[:2]: test_course.facts(path) for path in chapters.series(folder)}
    assert number not in series and len(series) == len(ALL) - 1
    for rule in (
        test_course.goals_are_those_of_the_notebooks,
        test_course.timetables_have_no_holes,
    ):
        rule((folder / "course" / "syllabus.md").read_text(encoding="utf8"), series)
    guide = (folder / "course" / "guide.md").read_text(encoding="utf8")
    assert f"## {number} · " not in guide and all(f"## {n} · " in guide for n in series)


def test_readme_and_book_list_what_is_there(without):
    folder, _, _, _ = without
    names = [path.name for path in chapters.series(folder)]
    readme = (folder / "README.md").read_text(encoding="utf8")
    assert sorted(set(re.findall(r"\]\(notebooks/(\d\d_\w+\.ipynb)\)", readme))) == names
    index = (folder / "docs" / "index.md").read_text(encoding="utf8")
    listed = re.findall(r"^notebooks/(\S+)$", index, re.MULTILINE)
    assert [f"{name}.ipynb" for name in listed] == names


def test_nothing_else_changes(without, what_is_left):
    _, number, _, left = without
    for path in notebooks.paths():
        if path.name not in what_is_left:
            continue
        before, after = notebooks.read(path), what_is_left[path.name]
        for one, other in zip(before.cells, after.cells, strict=True):
            if one.cell_type == "code":
                assert one == other
            plain = lambda text: re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
            if not one.source.startswith("# "):
                assert plain(one.source) == plain(other.source)
    assert left and all(place and number in around for place, around in left)


def test_what_speaks_of_a_chapter():
    said = chapters.speaks_of("13", "13_real_language.ipynb")
    links = ("([13](x))", "13_real_language.ipynb#a", "[13 · Translate]")
    words = (
        "notebook 13 replaces",
        "Notebooks 13 and 14",
        "notebooks 12 and 13",
        "exercise 13.5",
        "13 or 14",
    )
    for text in (*links, *words):
        assert said.search(text), text
    for text in ("1.13 s", "notebook 14", "13 words", "loss 13.2 %", "2.13.0"):
        assert not said.search(text), text


def test_a_glossary_entry_stays():
    entry = "DDP\n  Every process holds it. ([13](notebooks/13_x.ipynb))\n"
    assert chapters.without_home(entry, "13").endswith("holds it. (in no notebook here)\n")
    two = "  One. ([10](a.ipynb), [13](b.ipynb))\n"
    assert chapters.without_home(two, "13") == "  One. ([10](a.ipynb))\n"


def test_links_become_words():
    text = "See [notebook 13](../notebooks/13_x.ipynb#a-b) and [14](14_y.ipynb)."
    assert chapters.unlinked(text, "13_x.ipynb") == "See notebook 13 and [14](14_y.ipynb)."


def test_the_last_one_leaves_no_arrow():
    opening = "Previous: [16 · A](16_a.ipynb) · Next: [17 · B](17_b.ipynb)"
    assert chapters.relinked(opening, "17_b.ipynb", {"Previous:": "[16 · A](16_a.ipynb)"}) == (
        "Previous: [16 · A](16_a.ipynb)"
    )


def test_what_is_not_there_is_refused(tmp_path):
    with pytest.raises(ValueError, match="there is no notebook 98"):
        chapters.chapter("98")
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "00_start.ipynb").touch()
    with pytest.raises(ValueError, match="everybody starts"):
        chapters.drop("00", tmp_path)
    with pytest.raises(SystemExit):
        chapters.main(["remove", "13"])
