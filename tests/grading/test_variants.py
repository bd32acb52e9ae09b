"""Each other version of a task: its solution passes its tests, and last year's does not."""

import pytest

pytest.importorskip("nbgrader.api", reason="requirements-teach.lock")

from tests.test_problem_sets import SOURCES, cells_of, graded_cells, task_of
from tools.variants import VARIANTS, chosen, varied

PLACES = [f"{name}/{task}" for name, tasks in VARIANTS.items() for task in tasks]


def failures(notebook, answers, name, wanted) -> list[str]:
    """The tests of these tasks that the answers fail."""
    names: dict = {"__name__": "__main__"}
    for cell_id, cell in cells_of(notebook, cell_type="code", grade=False).items():
        exec(answers.get(cell_id, cell.source), names)
    failed = []
    for test, cell in graded_cells(notebook).items():
        if task_of(test, name) in wanted:
            try:
                exec(cell.source, names)
            except Exception:
                failed.append(test)
    return failed


@pytest.mark.parametrize("place", [p for p in PLACES if not p.startswith("capstone")])
def test_last_years_answer_fails_and_the_new_one_passes(place):
    name, task = place.split("/")
    notebook = varied(SOURCES[name], name, [task], 7)
    wanted = {task, "join"} if task == "attend_part" else {task}
    assert failures(notebook, {}, name, wanted) == []
    old = cells_of(SOURCES[name], solution=True, cell_type="code")
    assert failures(notebook, {task: old[task].source}, name, {task})


def test_the_capstones_held_out_numbers_are_others():
    cell = cells_of(varied(SOURCES["capstone"], "capstone", ["held_out"], 7))["in_words"]
    assert "random.Random(7)" in cell.source


def test_a_seed_chooses_and_0_chooses_nothing():
    for name in VARIANTS:
        assert chosen(name, 0) == [] and chosen(name, 7) == chosen(name, 7) != []
    assert len({str(chosen("ps1", seed)) for seed in range(1, 20)}) > 4
    with pytest.raises(ValueError, match="is not once"):
        varied(
            varied(SOURCES["ps1"], "ps1", ["join"] and ["packed_mask"], 1),
            "ps1",
            ["packed_mask"],
            1,
        )
