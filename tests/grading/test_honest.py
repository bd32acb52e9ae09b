"""Whoever has answered honestly loses no points without a line in the table."""

import copy
import os

import nbformat
import pytest

pytest.importorskip("nbgrader.api", reason="requirements-teach.lock")

from tools import notebooks, release
from tools.grading.examiner import examine, is_test, of_nbgrader, without_hidden
from tools.grading.repair import additions, read, repair

pytestmark = pytest.mark.skipif(os.name == "nt", reason="grading needs Linux")

EVERYTHING = """
import os, random, warnings
import numpy
torch.set_default_dtype(torch.float64)
torch.set_default_device("meta")
torch.set_grad_enabled(False)
torch.manual_seed(123), random.seed(123), numpy.random.seed(123)
torch.set_printoptions(precision=1)
numpy.set_printoptions(precision=1)
numpy.seterr(all="raise")
warnings.simplefilter("error")
os.chdir("/")
"""
ANSWERS = {
    "masked_softmax": "import einops\n\n\n",
    "multi_query": "1 / 0\n\n\n",
    "packed_mask": "def packed_mask(documents):\n    from einops import rearrange\n",
    "prefix_mask": "def prefix_mask(prefix, length):\n    return kept_in_the_kernel\n",
}


def source_of(name: str):
    return notebooks.read(release.COURSE / "source" / name / f"{name}.ipynb")


def run_by(student: dict[str, str], name: str, passed=(), ids=()):
    """(the source, what is handed in: these answers, with the outputs of tests that passed)"""
    source = source_of(name)
    source.cells = [c for c in source.cells if not ids or of_nbgrader(c).get("grade_id") in ids]
    submission = copy.deepcopy(source)
    for cell in submission.cells:
        grade_id = of_nbgrader(cell).get("grade_id")
        if is_test(cell):
            cell.source = without_hidden(cell.source)
            cell.execution_count = 7
            error = nbformat.v4.new_output("error", ename="E", evalue="", traceback=[])
            cell.outputs = [] if grade_id in passed else [error]
        cell.source = student.get(grade_id, cell.source)
    return source, nbformat.writes(submission).encode()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ps1", "ps2"])
def test_a_setting_for_the_whole_process_costs_nothing(name):
    source, submission = run_by({}, name)
    submission = read(submission)
    for place in range(len(submission.cells) - 1, 0, -1):  # before each answer, as from a cell
        if of_nbgrader(submission.cells[place]).get("solution"):
            submission.cells.insert(place, nbformat.v4.new_code_cell(EVERYTHING))
    result = examine(source, submission)
    assert set(result.tests.values()) == {None} and not result.notes and not result.cut


@pytest.fixture(scope="module")
def looked_at():
    ids = ["imports", "tools", *ANSWERS]
    tests = ["masked_softmax_seen", "multi_query_shapes", "packed_mask_seen", "prefix_mask_seen"]
    source, data = run_by(
        ANSWERS, "ps1", ["prefix_mask_seen", "multi_query_shapes"], [*ids, *tests]
    )
    submission, notes = repair(read(data), source)
    again, _ = repair(read(nbformat.writes(submission).encode()), source)
    assert not notes
    return examine(source, submission), examine(source, again)


@pytest.mark.slow
def test_a_library_that_is_not_there_is_named(looked_at):
    result, _ = looked_at
    for place in ("masked_softmax", "packed_mask_seen"):
        assert f"{place}: imports einops, which is not installed here" in result.notes


@pytest.mark.slow
def test_what_passed_for_the_student_is_looked_at(looked_at):
    result, again = looked_at
    lines = [line for line in result.notes if "passed for the student, look at it" in line]
    by_test = {line.split(":")[0]: line for line in lines}
    assert set(by_test) == {"multi_query_shapes", "prefix_mask_seen"}
    assert "kept_in_the_kernel" in by_test["prefix_mask_seen"]
    assert "multi_query: its cell ends with ZeroDivisionError: division by zero" in result.notes
    assert again.notes == result.notes  # graded once more, from grading/submitted


MAGICS = """!pip install einops
%pip install einops
%load_ext autoreload
%no_such_magic
files = !ls
"""
WITH_NUMPY = """def prefix_mask(prefix_lengths, length):
    place = torch.from_numpy(np.arange(length))
    return ((place < prefix_lengths[:, None, None]) | (place <= place[:, None]))[:, None]
"""


@pytest.mark.slow
@pytest.mark.parametrize("place", ["imports", "setup"])
def test_imports_in_a_given_cell_and_lines_of_the_shell_cost_nothing(place):
    ids = ["imports", "tools", "prefix_mask", "prefix_mask_seen", "prefix_mask_batch"]
    source, data = run_by({"prefix_mask": MAGICS + WITH_NUMPY}, "ps1", [], ids)
    setup = next(c for c in source_of("ps1").cells if "setup" in c.metadata.get("tags", []))
    source.cells.insert(0, setup)
    submission = read(data)
    submission.cells.insert(0, copy.deepcopy(setup))
    submission.cells[0 if place == "setup" else 1].source += "\nimport numpy as np\n"
    submission, notes = repair(submission, source)
    said = "what was added to this given cell is kept in a cell below it (import numpy as np)"
    assert notes == [f"{'set-up' if place == 'setup' else place}: {said}"]
    assert not repair(submission, source)[1]  # graded once more, from grading/submitted
    result = examine(source, submission)
    assert set(result.tests.values()) == {None} and not result.cut
    assert [note for note in result.notes if "did nothing" in note] == [
        f"prefix_mask: the line {line} did nothing here"
        for line in ("!pip install einops", "%pip install einops", "%no_such_magic", "!ls")
    ]


def test_what_is_added_to_a_given_cell_is_kept_and_what_is_changed_is_put_back():
    given = "import math\n\n\ndef small(x):\n    return x\n"
    assert additions(given, given) == ([], False)
    mine = "!pip install einops\nimport math, os\n" + given + "SIZE = 4\nprint(SIZE)\n"
    assert additions(mine, given) == (["import math, os", "SIZE = 4", "print(SIZE)"], False)
    assert additions(given.replace("return x", "return 1"), given) == ([], True)
    assert additions("no Python", given) == ([], True)


@pytest.mark.parametrize(
    "before", ["!pip install einops\n", "%%time\n", "%pip list\n", "x = !ls\n"]
)
def test_an_answer_with_a_line_of_the_shell_is_recognised_without_its_id(before):
    source = source_of("ps1")
    submission = copy.deepcopy(source)
    for cell in submission.cells:
        cell.source = without_hidden(cell.source)
        if of_nbgrader(cell).get("grade_id") == "prefix_mask":
            cell.source = before + cell.source
            del cell.metadata["nbgrader"]
    submission, notes = repair(submission, source)
    assert notes == ["prefix_mask: recognised without its id"]


@pytest.mark.slow
def test_what_fails_in_a_hidden_test_or_was_not_run_needs_no_second_look():
    wrong = {"prefix_mask": "def prefix_mask(prefix, length):\n    return torch.tensor([[1]])\n"}
    ids = ["imports", "tools", "prefix_mask", "prefix_mask_seen", "prefix_mask_batch"]
    source, data = run_by(wrong, "ps1", ["prefix_mask_batch"], ids)
    seen = next(c for c in source.cells if of_nbgrader(c)["grade_id"] == "prefix_mask_batch")
    assert "### BEGIN HIDDEN" in seen.source
    result = examine(source, repair(read(data), source)[0])
    assert result.tests["prefix_mask_batch"] and result.tests["prefix_mask_seen"]
    assert not result.notes


def test_tests_of_another_version_or_that_were_changed_are_named():
    source, data = run_by({"prefix_mask_seen": "assert True"}, "ps1", ["prefix_mask_seen"])
    submission, notes = repair(read(data), source)
    assert notes == ["prefix_mask_seen: not as handed out, put back"]
    (cell,) = [c for c in submission.cells if of_nbgrader(c).get("grade_id") == "prefix_mask_seen"]
    assert "passed" not in cell.metadata
