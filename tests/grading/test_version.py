"""What was released with a seed is graded with it, and with no other."""

import json
import os

import nbformat
import pytest

pytest.importorskip("nbgrader.api", reason="requirements-teach.lock")

from tools import grade, notebooks, release, variants, version
from tools.grading.examiner import of_nbgrader

SEED = next(str(s) for s in range(1, 99) if "packed_mask" in variants.chosen("ps1", s))
KEPT = ("imports", "tools", "packed_mask", "packed_mask_seen", "packed_mask_batch")
OWN = 'VARIANTS = {"ps1": {"prefix_mask": {"## 1": [("what is not later", "Another")]}}}'


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course whose gradebook and build folder are here, and whose ps1 has one task."""
    for name in ("SEED", "ALL", "VARIANTS", "COURSE_SOURCE"):
        monkeypatch.setenv(name, "")  # so that it is put back, whatever happens to it
        monkeypatch.delenv(name)
    monkeypatch.setenv("GRADING", str(tmp_path / "grading"))
    monkeypatch.setattr(variants, "ROOT", tmp_path)
    return tmp_path


def again(monkeypatch, **given: str) -> str:
    """Settle as a new command does that was given these: the folder of its sets."""
    for name in ("SEED", "ALL", "VARIANTS", "COURSE_SOURCE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    version.settle(decides=True)
    return os.environ.get("COURSE_SOURCE", "")


def test_a_seed_needs_to_be_given_once(course, monkeypatch):
    version.settle()  # to look at something decides nothing
    assert not (course / "grading").exists()
    first = again(monkeypatch, SEED="2027")
    assert first.endswith("source-2027") and again(monkeypatch) == first
    assert again(monkeypatch, SEED="2027") == first
    for seed, said in (("2028", "SEED=2027 and no .* SEED=2028"), ("0", "SEED=2027 .* no SEED")):
        with pytest.raises(SystemExit, match=said):
            again(monkeypatch, SEED=seed)
    with pytest.raises(SystemExit, match="'next year', but must be a whole number"):
        again(monkeypatch, SEED="next year")
    (course / "grading" / "released.json").unlink()
    assert again(monkeypatch, SEED="2028").endswith("source-2028")


def test_that_all_tasks_change_is_kept_as_well(course, monkeypatch):
    with pytest.raises(SystemExit, match="which seed"):
        again(monkeypatch, ALL="1")
    folder = again(monkeypatch, SEED="2027", ALL="1")
    kept = json.loads((course / "grading" / "released.json").read_text())
    assert 0 not in kept["versions"]["ps1"].values()
    assert again(monkeypatch) == folder and again(monkeypatch, ALL="1") == folder
    with pytest.raises(SystemExit, match="SEED=2027 ALL=1 and no .* SEED=2027 and no"):
        again(monkeypatch, SEED="2027")


def test_sets_of_an_earlier_state_of_the_repository_are_not_graded(course, monkeypatch):
    again(monkeypatch, SEED="2027")
    path = course / "grading" / "released.json"
    kept = json.loads(path.read_text())
    kept["versions"]["ps1"]["packed_mask"] += 1
    for old in (kept, {"seed": 2027, "variants": "", "file": ""}):
        path.write_text(json.dumps(old))
        with pytest.raises(SystemExit, match="as it was when you released"):
            again(monkeypatch)


def test_without_a_seed_none_can_be_given_later(course, monkeypatch):
    assert again(monkeypatch) == ""
    with pytest.raises(SystemExit, match="no SEED and no VARIANTS, but .* SEED=2027"):
        again(monkeypatch, SEED="2027")


def test_variants_of_ones_own_are_kept_with_the_gradebook(course, monkeypatch):
    mine = course / "mine.py"
    mine.write_text(OWN)
    folder = again(monkeypatch, VARIANTS=str(mine))
    mine.write_text(OWN.replace("Another", "A third"))
    with pytest.raises(SystemExit, match="VARIANTS=.*mine.py .sha256"):
        again(monkeypatch, VARIANTS=str(mine))
    mine.unlink()
    assert again(monkeypatch) == folder
    assert "Another" in (course / "build" / "source-0" / "ps1" / "ps1.ipynb").read_text("utf8")


def test_sets_that_no_seed_has_made_are_taken_as_they_are(course, monkeypatch):
    assert again(monkeypatch, COURSE_SOURCE=str(course)) == str(course)
    assert not (course / "grading").exists()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="grading needs Linux")
def test_a_forgotten_seed_costs_no_points_and_a_wrong_one_changes_none(course, monkeypatch, capsys):
    make = variants.make

    def short(seed, file=None, everything=False):
        """The same sets, with one task, so that it is quick."""
        folder, changed = make(seed, file, everything)
        path = folder / "ps1" / "ps1.ipynb"
        notebook = notebooks.read(path)
        notebook.cells = [c for c in notebook.cells if of_nbgrader(c).get("grade_id") in KEPT]
        nbformat.write(notebook, path)
        return folder, changed

    monkeypatch.setattr(version, "make", short)
    monkeypatch.setenv("COURSE_ROOT", str(notebooks.ROOT))
    monkeypatch.setenv("SEED", SEED)
    version.settle(decides=True)  # as make student does
    solved = notebooks.read(course / "build" / f"source-{SEED}" / "ps1" / "ps1.ipynb")
    (course / "in" / "ada" / "ps1").mkdir(parents=True)
    nbformat.write(solved, course / "in" / "ada" / "ps1" / "ps1.ipynb")
    to = f"--CourseDirectory.release_directory={course / 'release'}"
    release.nbgrader("generate_assignment", "ps1", "--force", to)  # the others need seconds each

    def graded() -> str:
        monkeypatch.delenv("COURSE_SOURCE")
        capsys.readouterr()
        grade.main(["ps1", str(course / "in")])
        return capsys.readouterr().out

    monkeypatch.delenv("SEED")
    kept = course / "grading" / "released.json"
    kept.rename(course / "elsewhere.json")  # as on another machine
    with pytest.raises(SystemExit, match="1 of 1 submissions .*SEED=2027"):
        graded()
    assert not kept.exists()
    (course / "elsewhere.json").rename(kept)
    monkeypatch.setenv("COURSE_SOURCE", "")
    full = sum(of_nbgrader(c).get("points", 0) for c in solved.cells)
    assert f"{full} / {full}" in graded()
    before = (course / "grading" / "gradebook.db").read_bytes()
    for wrong in ("0", str(int(SEED) + 1)):
        monkeypatch.setenv("SEED", wrong)
        with pytest.raises(SystemExit, match="Leave SEED, ALL and VARIANTS out"):
            graded()
        assert (course / "grading" / "gradebook.db").read_bytes() == before
        monkeypatch.setenv("COURSE_SOURCE", "")
    assert json.loads((course / "grading" / "released.json").read_text())["seed"] == int(SEED)
