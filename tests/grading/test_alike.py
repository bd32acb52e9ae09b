"""Copies are found although names, comments and order differ; honest answers are below them."""

import copy
import csv
import random
import re
import time

import nbformat
import pytest

pytest.importorskip("nbgrader.api", reason="requirements-teach.lock")

from tools import grade, notebooks, release
from tools.grading import alike
from tools.grading.examiner import of_nbgrader
from tools.grading.repair import released

SOURCE = notebooks.read(release.COURSE / "source" / "ps1" / "ps1.ipynb")
TASK = "packed_mask"
WORDS = "The hidden words take their share of each row before they are multiplied by zero."

ORIGINAL = """\
def packed_mask(documents):
    batch, length = documents.shape
    causal = torch.ones(length, length).tril().bool()
    visible = (documents > 0).unsqueeze(1).expand(batch, length, length)
    together = documents.unsqueeze(2).eq(documents.unsqueeze(1))
    result = together.logical_and(visible).logical_and(causal)
    return result.view(batch, 1, length, length)
"""
RENAMED = """\
# my own work
def packed_mask(docs: torch.Tensor) -> torch.Tensor:
    \"\"\"Who may look at whom.\"\"\"
    b,  n = docs.shape
    lower = torch.ones(n, n).tril().bool()   # no future
    real = (docs > 0).unsqueeze(1).expand(b, n, n)
    same: torch.Tensor = docs.unsqueeze(2).eq(docs.unsqueeze(1))
    found = same.logical_and(real).logical_and(lower)

    return found.view(b, 1, n, n)
"""
REORDERED = """\
def packed_mask(documents):
    rows, width = documents.shape
    pairs = documents.unsqueeze(2).eq(documents.unsqueeze(1))
    kept = (documents > 0).unsqueeze(1).expand(rows, width, width)
    lower = torch.ones(width, width).tril().bool()
    result = pairs.logical_and(kept).logical_and(lower)
    return result.view(rows, 1, width, width)
"""
ELSEWHERE = (
    "def packed_mask(documents):\n    return helper(documents)\n",
    ORIGINAL.replace("packed_mask", "helper"),
)
INDEPENDENT = """\
def packed_mask(documents):
    n = documents.size(-1)
    mask = torch.zeros(len(documents), 1, n, n, dtype=torch.bool)
    for b, row in enumerate(documents.tolist()):
        for t in range(n):
            for s in range(t + 1):
                mask[b, 0, t, s] = row[t] == row[s] and row[s] != 0
    return mask
"""


def handed_in(answer, words="", scratch=""):
    notebook = released(SOURCE)
    for cell in notebook.cells:
        name = of_nbgrader(cell).get("grade_id")
        cell.source = {TASK: answer, "too_late": words}.get(name) or cell.source
    notebook.cells.append(nbformat.v4.new_code_cell(scratch))
    return notebook


CLASS = {
    "ada": handed_in(ORIGINAL, WORDS),
    "bo": handed_in(RENAMED, WORDS.replace(" each ", " every ").upper()),
    "cy": handed_in(REORDERED, "In a row, what is left sums to less than one."),
    "di": handed_in(INDEPENDENT, "Rows are too short then."),
    "el": handed_in(ELSEWHERE[0], scratch=ELSEWHERE[1]),
    "fay": handed_in(
        next(c.source for c in SOURCE.cells if of_nbgrader(c).get("grade_id") == TASK)
    ),
    "gus": released(SOURCE),  # nothing was written
}


@pytest.fixture(scope="module")
def found():
    return alike.pairs(SOURCE, CLASS)


def share(found, one, other, task=TASK):
    return next(p.alike for p in found if (p.task, p.one, p.other) == (task, one, other))


def test_a_copy_is_found_whatever_its_names_and_its_order(found):
    assert share(found, "ada", "bo") == 1.0
    assert share(found, "ada", "cy") == share(found, "bo", "cy") == 1.0
    assert share(found, "ada", "el") > 0.9  # the code is in another cell
    assert share(found, "ada", "bo", "too_late") > 0.6


def test_an_independent_answer_is_far_from_all_others(found):
    honest = [p.alike for p in found if p.task == TASK and "di" in (p.one, p.other)]
    assert len(honest) == 6 and max(honest) < 0.3
    assert share(found, "cy", "di", "too_late") < 0.1


def test_the_published_solution_is_one_of_them(found):
    assert share(found, "fay", alike.PUBLISHED) == 1.0
    assert share(found, "ada", alike.PUBLISHED) < 0.5


def test_what_was_left_as_it_was_is_like_nothing(found):
    assert not [p for p in found if "gus" in (p.one, p.other)]
    assert {p.task for p in found} == {TASK, "too_late"}


def test_the_oddest_pairs_come_first(found):
    first = [p for p in found if p.task == TASK][:4]
    assert all({p.one, p.other} <= {"ada", "bo", "cy", "el", "fay", alike.PUBLISHED} for p in first)
    text = alike.table(found, {"ada": "Ada Lovelace"})
    assert re.search(
        r"packed_mask: like one another \(usual: \d+%\)\n +100%  Ada Lovelace and", text
    )
    assert "like the published solution" in text


def test_broken_or_odd_code_breaks_nothing():
    odd = ["def packed_mask(:", "%%bash\nls", "x = " + "-" * 3000 + "1", "'text'", "\x00"]
    odd += ["x = " + " + ".join(["1"] * 5000)]
    class_ = {f"s{i}": handed_in(text) for i, text in enumerate(odd)} | {"ada": CLASS["ada"]}
    assert share(alike.pairs(SOURCE, class_), "ada", alike.PUBLISHED) < 0.5


def test_a_class_of_120_takes_seconds():
    solved, source = {}, copy.deepcopy(SOURCE)
    source.cells = source.cells[:16]  # three tasks of nine
    for number in range(120):
        dice, notebook = random.Random(number), copy.deepcopy(source)
        for cell in notebook.cells:
            if of_nbgrader(cell).get("solution"):
                cell.source += f"\n\nx{number} = {dice.randrange(10**9)}\n"
        solved[f"s{number}"] = notebook
    began = time.process_time()
    assert len(alike.pairs(source, solved)) == 3 * (120 * 119 // 2 + 120)
    assert time.process_time() - began < 20


def test_one_command_prints_a_table_and_writes_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GRADING", str(tmp_path))
    with pytest.raises(SystemExit, match="0 submissions of ps1, but two or more"):
        grade.main(["alike", "ps1"])
    for name, notebook in CLASS.items():
        (tmp_path / "submitted" / name / "ps1").mkdir(parents=True)
        nbformat.write(notebook, tmp_path / "submitted" / name / "ps1" / "ps1.ipynb")
    grade.main(["alike", "ps1"])
    said = capsys.readouterr().out
    assert "100%  ada and bo" in said and "hint" in said and "no verdict" in said
    with (tmp_path / "ps1_alike.csv").open(newline="", encoding="utf8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(alike.pairs(SOURCE, CLASS))
    (row,) = [r for r in rows if (r["task"], r["one"], r["other"]) == (TASK, "ada", "bo")]
    assert row["alike in per cent"] == "100"
