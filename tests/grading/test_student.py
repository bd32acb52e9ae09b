"""The students' repository: whole, with its own address, and without a solution in any file."""

import json
import re
import subprocess

import nbformat
import pytest

pytest.importorskip("nbgrader.api", reason="requirements-teach.lock")

from tools import notebooks, release, student
from tools.address import pages
from tools.grading.examiner import of_nbgrader
from tools.grading.repair import read, released, repair

ADDRESS = "https://github.com/prof/transformers-2027"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    room = tmp_path_factory.mktemp("student")
    for path in release.sources(release.COURSE / "source"):  # as nbgrader does, but at once
        (room / "release" / path.stem).mkdir(parents=True)
        notebook = released(notebooks.read(path))
        nbformat.write(notebook, room / "release" / path.stem / path.name)
    files = student.build(ADDRESS, room / "release", room / "repository")
    return room, files


def test_it_has_what_students_need_and_nothing_else(built):
    room, files = built
    names = {p.relative_to(room / "repository").as_posix() for p in files}
    tops = {name.split("/")[0] for name in names}
    folders = {*student.WHOLE, "problem_sets", "colab"}
    assert tops == folders | {*student.FILES, *student.PAGES, "README.md", "policies.md"}
    assert {f"problem_sets/{n}/{n}.ipynb" for n in ("ps1", "ps2", "ps3", "capstone")} <= names
    assert "helpers/transformer.py" in names and "notebooks/00_start_here.ipynb" in names
    for target in re.findall(r"\]\(([^)]+)\)", student.README):
        assert (room / "repository" / target).exists()


def test_links_to_its_pages_find_their_place(built):
    """Every link from a notebook to the site of the repository, also to a term of the glossary."""
    room, files = built
    site, found = pages(ADDRESS), set()
    for path in files:
        if path.suffix == ".ipynb":
            found |= {*re.findall(rf"{re.escape(site)}/([^\s)\"\\]*)", path.read_text("utf8"))}
    assert len(found) > 50
    for target in found:
        page, _, term = target.partition("#")
        text = (room / "repository" / page).read_text("utf8")
        assert not term or page == "live.html" or f'id="{term}"' in text, target
    glossary = (room / "repository" / "glossary.html").read_text("utf8")
    for name in re.findall(rf"{re.escape(ADDRESS)}/blob/main/([^\"]+)", glossary):
        assert (room / "repository" / name).is_file(), name


def test_the_rules_go_along_and_remarks_for_instructors_do_not(built):
    room, _ = built
    text = (room / "repository" / "policies.md").read_text("utf8")
    assert "## Late work\n\nYou have [five] late days" in text and "| exam, 90 minutes |" in text
    assert "Remark" not in text and "worked example" not in text


def test_the_readme_has_the_dates(tmp_path):
    policy = tmp_path / "policy.toml"
    policy.write_text('[due]\ntimezone = "Europe/Berlin"\nps1 = 2026-10-12T23:59:00+02:00\n')
    assert "| ps1 | Monday, 12 October 2026, 23:59 (UTC+0200) |" in student.dates(policy)
    policy.write_text("[due]\n# ps1 = 2026-10-12T23:59:00+02:00\n")
    assert student.dates(policy) == ""


def test_no_line_of_a_solution_or_a_hidden_test_is_in_it(built):
    room, files = built
    text = "\n".join(p.read_text("utf8") for p in files if p.suffix in (".ipynb", ".md", ".py"))
    for path in release.sources(release.COURSE / "source"):
        for cell in notebooks.read(path).cells:
            blocks = re.findall(r"(?s)### BEGIN HIDDEN TESTS\n(.*?)### END", cell.source)
            if cell.cell_type == "markdown" and of_nbgrader(cell).get("solution"):
                blocks.append(cell.source)
            for line in "\n".join(blocks).splitlines():
                if len(line.strip()) > 60 and (cell.cell_type == "markdown" or "agree(" in line):
                    assert json.dumps(line)[1:-1] not in text, line


def test_it_has_its_own_address(built):
    room, files = built
    for path in files:
        if path.suffix in (".ipynb", ".toml", ".md", ".html"):
            assert "/OWNER/understanding-transformers" not in path.read_text("utf8"), path
    assert ADDRESS in (room / "repository" / "pyproject.toml").read_text()


def test_a_solution_stops_the_build(built, tmp_path):
    source = release.sources(release.COURSE / "source")[0]
    (tmp_path / "release" / source.stem).mkdir(parents=True)
    nbformat.write(notebooks.read(source), tmp_path / "release" / source.stem / source.name)
    with pytest.raises(ValueError, match="holds a solution"):
        student.build(ADDRESS, tmp_path / "release", tmp_path / "repository")


def test_the_colab_edition_can_be_handed_in(built):
    room, _ = built
    source = notebooks.read(release.COURSE / "source" / "ps1" / "ps1.ipynb")
    data = (room / "repository" / "colab" / "ps1.ipynb").read_bytes()
    fixed, notes = repair(read(data), source)
    assert notes == []
    assert len([c for c in fixed.cells if "setup" in c.metadata.get("tags", [])]) == 1


def test_a_second_build_is_a_second_commit(built, monkeypatch):
    room, _ = built
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "A")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "a@example.org")
    folder = room / "repository"
    student.commit(folder)
    student.commit(folder)  # nothing new
    student.build(ADDRESS + "-b", room / "release", folder)
    student.commit(folder)
    log = subprocess.run(["git", "-C", str(folder), "log", "--oneline"], capture_output=True)
    assert len(log.stdout.splitlines()) == 2
