"""Each other version of a task: its solution passes its tests, and last year's does not."""

import os
import re
from copy import deepcopy
from itertools import permutations

import pytest

pytest.importorskip("nbgrader.api", reason="requirements-teach.lock")

from tests.test_problem_sets import SOURCES, cells_of, of_nbgrader, tasks
from tools import variants
from tools.grading import alike
from tools.grading.examiner import examine
from tools.grading.sandbox import Limits
from tools.notebooks import read
from tools.variants import VARIANTS, chosen, each, failed, load, main, problems, varied, versions

PLACES = [
    f"{name}/{task}/{number}" for name, tasks in VARIANTS.items() for task, number, _ in each(tasks)
]
TRAINS = {"capstone/make_batch/1", "capstone/train_reader/1"}  # tried all together below
MOST = max(len(several) for tasks in VARIANTS.values() for several in tasks.values())


@pytest.mark.slow
@pytest.mark.parametrize("place", [p for p in PLACES if p not in TRAINS])
def test_last_years_answer_fails_and_the_new_one_passes(place):
    name, task, number = place.split("/")
    assert problems(SOURCES[name], name, task, VARIANTS[name][task][int(number) - 1]) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", SOURCES)
def test_the_answer_to_a_neighbouring_version_fails_too(name):
    for task, several in VARIANTS[name].items():
        for old, new in permutations(several, 2) if task in tasks(name) else ():
            notebook = varied(SOURCES[name], name, {task: new}, 7)
            before = varied(SOURCES[name], name, {task: old}, 6)
            (answer,) = [c.source for c in before.cells if variants.is_at(c, task)]
            tests = variants.tests_of(notebook)[task]
            points = sum(c.metadata.nbgrader.points for c in tests.values())
            lost = failed(notebook, {task: answer}, {task})
            assert 2 * sum(lost.values()) >= points, (task, lost)


def test_every_task_has_another_version():
    for name in SOURCES:
        assert {*tasks(name)} - {"join"} <= {*VARIANTS[name]}, name  # `join` changes with its part
        questions = cells_of(SOURCES[name], grade=True, solution=True)
        for question, cell in questions.items():
            changes = VARIANTS[name][question][0]
            heading = next(place for place in changes if isinstance(changes[place], str))
            text, points = changes[heading], of_nbgrader(cell)["points"]
            assert re.match(rf"{heading} · .* \({points} points, read by a person\)\n", text), text
            words, ours = (
                alike.runs(one.lower().split()) for one in (changes[question], cell.source)
            )
            assert alike.likeness(words, ours) < 0.3


@pytest.mark.slow
@pytest.mark.parametrize("number", range(MOST))
@pytest.mark.parametrize("name", SOURCES)
def test_all_other_versions_go_together(name, number):
    """A seed may choose any of them. In the capstone, this trains as well."""
    if number >= max(map(len, VARIANTS[name].values())):
        pytest.skip("all of them are tried already")
    tasks = {
        task: several[min(number, len(several) - 1)] for task, several in VARIANTS[name].items()
    }
    notebook = varied(SOURCES[name], name, tasks, 7)
    wanted = {*variants.tests_of(notebook)} - {"ablation"}
    if number:  # the others have been tried, with their training
        wanted &= {task for task, several in VARIANTS[name].items() if len(several) > number} | {
            "join"
        }
    if number or os.name == "nt":
        assert failed(notebook, {}, wanted) == {}
        return
    submission = deepcopy(notebook)
    for cell in submission.cells:  # a second training, in which no test is interested
        cell.source = "" if variants.is_at(cell, "ablation") else cell.source
    result = examine(notebook, submission, Limits(cell=60))  # as it will be in the course
    assert {test: why for test, why in result.tests.items() if why is not None} == {}


@pytest.mark.slow
def test_last_years_training_and_digits_fail_too():
    for task in ("make_batch", "train_reader"):
        notebook = varied(SOURCES["capstone"], "capstone", {task: VARIANTS["capstone"][task][0]}, 7)
        (old,) = [c for c in SOURCES["capstone"].cells if variants.is_at(c, task)]
        for cell in notebook.cells:  # a short training is enough to see that they fail
            cell.source = cell.source.replace("steps=300", "steps=2").replace("steps=50", "steps=1")
        lost = failed(notebook, {task: old.source.replace("steps=300", "steps=2")}, {task})
        same = {"make_batch_ids"}  # the words are as before
        assert {*lost} == {*variants.tests_of(notebook)[task]} - same


def test_the_capstones_held_out_numbers_are_others():
    held_out = {"held_out": VARIANTS["capstone"]["held_out"][0]}
    notebook = varied(SOURCES["capstone"], "capstone", held_out, 7)
    (cell,) = [c for c in notebook.cells if variants.is_at(c, "in_words")]
    assert "random.Random(7)" in cell.source


def test_a_seed_chooses_and_0_chooses_nothing():
    for name in VARIANTS:
        assert chosen(name, 0) == {} and chosen(name, 7) == chosen(name, 7) != {}
    task = {"packed_mask": VARIANTS["ps1"]["packed_mask"][0]}
    with pytest.raises(ValueError, match="0 times .*not once"):
        varied(varied(SOURCES["ps1"], "ps1", task, 1), "ps1", task, 1)


def test_every_task_changes_from_one_seed_to_the_next():
    for name, ours in VARIANTS.items():
        for seed in (1, 2026, 2027, 31337):
            now, then = versions(name, seed), versions(name, seed + 1)
            changed = {task for task in ours if now[task] != then[task]}
            assert changed == {*ours} - {"held_out"}  # its text has the seed in it
            old = [task for task, number in now.items() if number == 0]
            assert all(len(ours[task]) == 1 for task in old) and 2 * len(old) <= len(ours) + 1


def test_no_task_is_as_published_if_all_are_to_change():
    for name, ours in VARIANTS.items():
        for seed in (2026, 2027):
            numbers = versions(name, seed, everything=True)
            assert {*numbers} == {*ours} and 0 not in numbers.values()
            assert {*chosen(name, seed, everything=True)} == {*ours}


# ---- Variants of an instructor's own ----

OWN = """
VARIANTS = {
    "ps1": {
        "prefix_mask": {
            "## 1": [("what is not later than itself", "what is earlier than itself")],
            "prefix_mask": [("place <= place[:, None]", "place < place[:, None]")],
            "prefix_mask_seen": [
                ("[1, 1, 1, 0], [1, 1, 1, 1]", "[1, 1, 0, 0], [1, 1, 1, 0]"),
            ],
            "prefix_mask_batch": [("s < prefix or s <= t", "s < prefix or s < t")],
        }
    }
}
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """own(text): the path of a file with variants that is in no repository."""
    monkeypatch.setattr(variants, "ROOT", tmp_path / "repository")

    def write(text):
        (tmp_path / "mine.py").write_text(text)
        return str(tmp_path / "mine.py")

    return write


@pytest.mark.parametrize("seed", ["", "7", "2027"])
def test_variants_of_ones_own_are_always_used(own, seed, tmp_path, capsys):
    main([*([seed] if seed else []), "--variants", own(OWN)])
    folder = tmp_path / "repository" / "build" / f"source-{seed or 0}"
    assert "earlier than itself" in str(read(folder / "ps1" / "ps1.ipynb"))
    said = dict(re.findall(r"/(\w+): (.*)", capsys.readouterr().out))
    assert "prefix_mask 1" in said["ps1"] and (said["ps2"] == "as it is") == (not seed)


def test_of_several_versions_of_ones_own_the_seed_takes_one(own, capsys):
    version = '{"## 1": [("what is not later", "NAME")]}'
    several = ", ".join(version.replace("NAME", name) for name in ("One", "Two"))
    path = own(f'VARIANTS = {{"ps1": {{"prefix_mask": [{several}], "join": {{}}}}}}')
    folder = variants.ROOT / "build"
    for seed, name in (("2026", "One"), ("2027", "Two")):
        main([seed, "--variants", path])
        text = (folder / f"source-{seed}" / "ps1" / "ps1.ipynb").read_text("utf8")
        assert f"beyond it only {name}" in text
    whole = own('VARIANTS = {"ps1": {"prefix_mask": {"## 1": "## 1 · All of it is new"}}}')
    main(["0", "--variants", whole])
    text = (folder / "source-0" / "ps1" / "ps1.ipynb").read_text("utf8")
    assert "All of it is new" in text and "prefix language model" not in text


def test_one_can_try_ones_own(own, capsys):
    with pytest.raises(SystemExit) as end:
        main(["--variants", own(OWN), "--check"])
    assert not end.value.code and "ps1, prefix_mask: right" in capsys.readouterr().out
    for old, new, said in (
        ("s < prefix or s < t", "s < prefix or s <= t + 1", "own solution fails prefix_mask_batch"),
        ('place < place[:, None]")', 'place <= place[:, None]")', "own solution fails"),
        ('"prefix_mask": [(', '"prefix_mask": [("past", "was"), (', "not once"),
    ):
        assert old in OWN
        with pytest.raises(SystemExit) as end:
            main(["--variants", own(OWN.replace(old, new)), "--check"])
        assert end.value.code and said in capsys.readouterr().out
    same = 'VARIANTS = {"ps1": {"prefix_mask": {"prefix_mask": [("past =", "past  =")]}}}'
    with pytest.raises(SystemExit) as end:
        main(["--variants", own(same), "--check"])
    assert "loses only 0 of 3 points" in capsys.readouterr().out


@pytest.mark.parametrize(
    "text, said",
    [
        (None, "no such file"),
        ("VARIANTS = {", "cannot be read: SyntaxError"),
        ("import nothing_like_this", "cannot be read: ModuleNotFoundError"),
        ("variants = {}", "needs a dictionary VARIANTS"),
        ('VARIANTS = {"ps9": {}}', "no set 'ps9'; there are capstone, ps1"),
        ('VARIANTS = {"ps1": ["join"]}', "ps1 must be a dictionary of tasks"),
        ('VARIANTS = {"ps1": {"join": {"join": [("old",)]}}}', "ps1, join must look like"),
        ('VARIANTS = {"ps1": {"join": {"join": ("old", "new")}}}', "ps1, join must look like"),
        ('VARIANTS = {"ps1": {"join": {"joyn": [("a", "b")]}}}', "0 cells are called 'joyn'"),
        ('VARIANTS = {"ps1": {"join": {"join": [("xyz", "b")]}}}', "'xyz' is 0 times in 'join'"),
    ],
)
def test_a_wrong_file_is_named(own, text, said, tmp_path):
    path = own(text) if text else str(tmp_path / "none.py")
    with pytest.raises(SystemExit, match=re.escape(said)):
        main(["2027", "--variants", path])
    assert not (tmp_path / "repository").exists()  # nothing half done


def test_the_file_that_comes_along_is_in_the_form_that_is_asked_for():
    assert load(variants.FILE) == VARIANTS
