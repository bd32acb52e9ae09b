"""Copies are found although names, comments and order differ; honest answers are below them."""

import copy
import csv
import random
import re
import time

import nbformat
import pytest

pytest.importorskip("nbgrader.api", reason="requirements-teach.lock")

from tools import grade, notebooks, release, variants
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


# ---- What is public, and what was handed in before ----

SEEDED = {
    TASK: variants.VARIANTS["ps1"][TASK][0],
    "prefix_mask": variants.VARIANTS["ps1"]["prefix_mask"][0],
}
ASKED = variants.varied(SOURCE, "ps1", SEEDED, 7)  # two tasks are asked for in another version
HONEST = """\
def packed_mask(documents):
    batch, length = documents.shape
    mask = torch.zeros(batch, length, length, dtype=torch.bool)
    for row in range(batch):
        for one in documents[row].unique():
            if one != 0:
                inside = documents[row] == one
                mask[row] |= inside[:, None] & inside[None]
    return mask[:, None]
"""
MISREAD = HONEST.replace("return mask", "mask = mask.tril()\n    return mask")


def solution_of(source, task):
    return next(c.source for c in source.cells if of_nbgrader(c).get("grade_id") == task)


def renamed(answer):
    return answer.replace("same", "s").replace("real", "r").replace("documents", "docs")


OLD = {task: solution_of(SOURCE, task) for task in (TASK, "prefix_mask")}


@pytest.fixture(scope="module")
def versions():
    return alike.other_versions("ps1", ASKED)


def test_the_public_versions_are_those_that_were_not_asked_for(versions):
    assert TASK in versions and "as published" in versions[TASK]
    assert "attend_part, version 2" in versions["attend_part"]
    assert "as published" not in versions["attend_part"]  # it was asked for
    assert f"{TASK}, version 2" not in versions[TASK]  # so was this


@pytest.mark.parametrize(
    "answer, named",
    [(OLD[TASK], True), (renamed(OLD[TASK]), True), (solution_of(ASKED, TASK), False),
     (HONEST, False), (MISREAD, False), (INDEPENDENT, False)],
)  # fmt: skip
def test_an_answer_to_a_version_that_was_not_asked_for_is_named(answer, named, versions):
    lines = alike.public_answers(ASKED, handed_in(answer), versions)
    start = "answers a version that was not asked for, in nearly the published words: "
    assert lines == ([f"{start}{TASK} (100%)"] if named else [])


def test_copied_solutions_and_sample_answers_are_named_and_nothing_else(versions):
    all_copied = alike.public_answers(SOURCE, SOURCE, alike.other_versions("ps1", SOURCE))
    assert "too_late: 100% like the published sample answer" in all_copied
    assert any(line.startswith("nearly the published solutions (90%): ") for line in all_copied)
    for name in ("ada", "di", "el", "gus"):
        assert alike.public_answers(SOURCE, CLASS[name], alike.other_versions("ps1", SOURCE)) == []


def test_the_command_reads_earlier_years_and_names_the_copies(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GRADING", str(tmp_path / "grading"))
    monkeypatch.setattr(grade, "source_of", lambda name: ASKED)
    before = tmp_path / "ps1 of 2026"
    (before / "some folder").mkdir(parents=True)
    nbformat.write(handed_in(ORIGINAL, WORDS), before / "some folder" / "Copy of ps1 (1).ipynb")
    nbformat.write(handed_in(ORIGINAL, WORDS), before / "twice.ipynb")
    (before / "broken.ipynb").write_text("{")
    nbformat.write(notebooks.read(release.COURSE / "source/ps2/ps2.ipynb"), before / "ps2.ipynb")
    for name, answer in (("ada", RENAMED), ("bo", OLD[TASK]), ("cy", HONEST)):
        (tmp_path / "grading" / "submitted" / name / "ps1").mkdir(parents=True)
        notebook = handed_in(answer)
        nbformat.write(notebook, tmp_path / "grading" / "submitted" / name / "ps1" / "ps1.ipynb")
    grade.main(["alike", "ps1", "--with", str(before)])
    said = capsys.readouterr().out
    assert "Notebooks of earlier years that are compared as well: 1\n" in said
    found = re.search(r"like answers of earlier years .*\n +100%  ada and (.*)", said)
    assert found and found[1] == "ps1 of 2026/some folder/Copy of ps1 (1).ipynb"
    assert re.search(
        r"not asked for, in nearly the published words:\n    bo: packed_mask .100%", said
    )
    assert "cy: packed_mask" not in said and "ada: packed_mask" not in said
    for folder, why in ((tmp_path / "grading/none", "no such folder"), (before / "x", "no note")):
        (before / "x").mkdir(exist_ok=True)
        with pytest.raises(SystemExit, match=why):
            grade.main(["alike", "ps1", "--with", str(folder)])
