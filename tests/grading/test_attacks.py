"""No attack earns anything, and none takes anything from anybody."""

import copy
import multiprocessing
import os
import time
from pathlib import Path

import nbformat
import psutil
import pytest
import torch

pytest.importorskip("nbgrader.api", reason="requirements-teach.lock")

from tests.grading.attacks import ATTACKS, ISOLATED, WRONG
from tools import grade, notebooks, release
from tools.grading import sandbox
from tools.grading.examiner import examine, of_nbgrader, trusted
from tools.grading.sandbox import Limits

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="grading needs Linux"),
]

PATIENT = Limits(disk=30)  # for those that neither loop nor sleep, on however busy a machine
LIMITS = Limits(cell=2, submission=600, idle=2, megabytes=1500, processes=20, disk=30, restarts=30)
KEPT = ("imports", "tools", "packed_mask", "packed_mask_batch", "prefix_mask", "prefix_mask_batch")


def part(*ids):
    """These cells of problem set 1, by their ids."""
    notebook = notebooks.read(release.COURSE / "source" / "ps1" / "ps1.ipynb")
    found = {of_nbgrader(cell).get("grade_id"): cell for cell in notebook.cells}
    notebook.cells = [found[name] for name in ids]
    return notebook


def with_attacks(texts):
    """(the source, the submission): for each attack a cell and its test, then a solved task."""
    source = part(*KEPT)
    before, (task, test), after = source.cells[:2], source.cells[2:4], source.cells[4:]
    pairs = []
    for number in range(len(texts)):
        for cell, name in ((task, f"a{number:02}"), (test, f"a{number:02}_test")):
            cell = copy.deepcopy(cell)
            cell.metadata.nbgrader.grade_id = name
            cell["id"] = name
            pairs.append(cell)
    source.cells = [*before, *pairs, *after]
    submission = copy.deepcopy(source)
    for cell, text in zip(submission.cells[2::2], texts, strict=False):
        cell.source = text
    return source, submission


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """{name: (why its test failed, what its cell printed)}, and both rows of the table."""
    room = tmp_path_factory.mktemp("room")
    (room / "gradebook.db").write_text("ours")
    source, submission = with_attacks(list(ATTACKS.values()))
    honest = copy.deepcopy(source)
    rows = [grade.Row("attacker", "attacker", notebook=submission)]
    rows += [grade.Row("honest", "honest", notebook=honest)]
    found = {row.student: row for row in grade.examine_all(rows, source, LIMITS, jobs=2)}
    found |= told_apart(found["attacker"].result, ATTACKS)
    if sandbox.way() != "plain":
        filled = {"{root}": str(notebooks.ROOT), "{room}": str(room)}
        texts = list(ISOLATED.values())
        for old, new in filled.items():
            texts = [text.replace(old, new) for text in texts]
        found |= told_apart(examine(*with_attacks(texts), PATIENT), ISOLATED)
    assert (room / "gradebook.db").read_text() == "ours"
    return found


def told_apart(result, attacks):
    """{name: (why its test failed, what its cell printed)}"""
    return {
        name: (result.tests[f"a{number:02}_test"], str(result.outputs.get(2 + 2 * number, "")))
        for number, name in enumerate(attacks)
    }


@pytest.mark.parametrize("name", [*ATTACKS, *ISOLATED])
def test_an_attack_earns_nothing(name, run):
    if name not in run:
        pytest.skip("no namespaces here")
    why, printed = run[name]
    assert why is not None
    assert len(printed) < 30_000
    assert ("FOUND 0" in printed) == (name in ISOLATED), printed


def test_what_was_solved_counts_all_the_same(run):
    assert run["attacker"].result.tests["prefix_mask_batch"] is None


def test_an_honest_submission_beside_it_has_all_its_points(run):
    result = run["honest"].result
    assert set(result.tests.values()) == {None} and not result.cut


def test_what_was_cut_off_is_reported(run):
    lines = run["attacker"].result.cut
    for words in ("2 s of processor", "without doing anything", "ended", "more than 64 MB"):
        assert any(words in line for line in lines), (words, lines)


def test_nothing_is_left_behind(run):
    assert not Path("/tmp/grading-was-here").exists()
    mine = psutil.Process().children(recursive=True)
    assert not [one for one in mine if "student.py" in " ".join(one.cmdline())]


def test_a_whole_submission_has_a_limit_on_the_clock():
    source, submission = with_attacks([ATTACKS["sleep for ever"]] * 3)
    limits = Limits(cell=2, idle=1000, clock=1000, whole=12)
    began = time.monotonic()
    result = examine(source, submission, limits)
    assert time.monotonic() - began < 40
    assert any("12 s on the clock in all" in line for line in result.cut)
    assert "12 s on the clock in all" in result.tests["a02_test"]


def grow(pipe):
    sandbox.limit_memory(200)
    try:
        pipe.send(len(torch.zeros(100_000_000)))
    except RuntimeError as error:
        pipe.send(str(error))


def test_the_examiner_has_a_limit_for_memory_too():
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=grow, args=(there,))
    process.start()
    assert "memory" in str(here.recv())
    process.join()


@pytest.mark.parametrize(
    "claim",
    [
        {"grade_id": "unknown", "locked": True, "grade": False, "solution": False},
        {"locked": True},
        {"grade_id": "a00", "locked": True},  # a task of ours, which is not locked
        {"grade_id": "unknown", "locked": True, "grade": True, "solution": False},
        {"grade_id": ["unknown"], "locked": True},
    ],
)
def test_a_cell_that_claims_to_be_ours_never_runs_in_our_process(claim, tmp_path):
    source, submission = with_attacks([WRONG])
    reached = tmp_path / "reached"
    forged = nbformat.v4.new_code_cell(
        "import sys\nif 'tools.grading.examiner' in sys.modules:\n"
        f"    open({str(reached)!r}, 'w').close()"
    )
    forged.metadata["nbgrader"] = claim
    submission.cells.insert(2, forged)
    result = examine(source, submission, PATIENT)
    assert not reached.exists()
    assert result.tests["a00_test"] is not None and result.tests["prefix_mask_batch"] is None
    assert forged.metadata["nbgrader"] == claim  # the submission itself stays as it was


def test_what_one_test_has_given_away_does_not_work_in_the_next():
    source = part("imports", "tools", "diagnose", "diagnose_two", "diagnose_all")
    submission = copy.deepcopy(source)
    submission.cells[2].source = """\
kept = []


def diagnose(attend):
    kept.append(attend)
    found = kept[0](torch.zeros(3, 4), torch.zeros(5, 4), torch.eye(5), torch.ones(3, 5) > 0)
    return "right" if len(kept) == 1 and found.shape == (3, 5) else "axis"
"""
    result = examine(source, submission, PATIENT)
    assert "an inverted mask" in result.tests["diagnose_two"]  # what it keeps works so far
    assert "belongs to an earlier test" in result.tests["diagnose_all"]


def test_no_cell_has_more_time_because_it_says_so():
    source = notebooks.read(release.COURSE / "source" / "capstone" / "capstone.ipynb")
    submission = copy.deepcopy(source)
    (training,) = [c for c in source.cells if "slow" in notebooks.tags(c) and not of_nbgrader(c)]
    scratch = nbformat.v4.new_code_cell("while True:\n    pass")
    submission.cells += [scratch, copy.deepcopy(training), copy.deepcopy(training)]
    for cell in submission.cells:
        cell.metadata["tags"] = ["slow", "setup", "mine"]
    slow, setup = (
        [c for c in trusted(source, submission) if tag in notebooks.tags(c)]
        for tag in ("slow", "setup")
    )
    tests = [name for c in slow if (name := of_nbgrader(c).get("grade_id"))]
    assert tests == ["train_reader_learns", "train_reader_well", "train_reader_short", "ablation"]
    assert [c.source for c in slow if not of_nbgrader(c)] == [training.source]
    assert [c.source for c in setup] == [notebooks.setup_source()]
    assert all("mine" in notebooks.tags(c) for c in slow + setup)
    for cell in submission.cells:
        cell.metadata["tags"] = "slow"  # no list
    assert len([c for c in trusted(source, submission) if "slow" in notebooks.tags(c)]) == 5


@pytest.mark.parametrize("way", ["namespaces", "plain"])
def test_the_other_ways_grade_alike(way):
    if way == "namespaces" and sandbox.way() == "plain":
        pytest.skip("no namespaces here")
    source, submission = with_attacks([WRONG])
    result = examine(source, submission, LIMITS, way)
    assert result.tests["prefix_mask_batch"] is None and result.tests["a00_test"] is not None, (
        result
    )
