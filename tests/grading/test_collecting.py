"""What platforms give and students hand in: whose it is, which file counts, what is repaired."""

import copy
import csv
import io
import json
import re
import time
import zipfile
from datetime import UTC, datetime, timedelta

import nbformat
import pytest

pytest.importorskip("nbgrader.api", reason="requirements-teach.lock")

from tools import grade, notebooks, release
from tools.grading.collect import collect
from tools.grading.examiner import computed_names, forbidden_words, is_test, of_nbgrader
from tools.grading.forbidden import used
from tools.grading.record import Policy, fill, write_table
from tools.grading.repair import Unreadable, plain_name, read, released, repair
from tools.grading.roster import Roster

SOURCE = notebooks.read(release.COURSE / "source" / "ps1" / "ps1.ipynb")
IDS = [of_nbgrader(c)["grade_id"] for c in SOURCE.cells if of_nbgrader(c)]


def cell(notebook, name):
    return next(c for c in notebook.cells if of_nbgrader(c).get("grade_id") == name)


def submission():
    """What a student hands in: one task and one question are answered."""
    notebook = released(SOURCE)
    cell(notebook, "packed_mask").source = cell(SOURCE, "packed_mask").source
    cell(notebook, "too_late").source = "Shares that were dealt out are lost."
    return notebook


def data(notebook) -> bytes:
    return nbformat.writes(notebook).encode()


# ---- Whose it is ----


@pytest.mark.parametrize(
    "path, student, name",
    [
        ("Ada Lovelace_48213_assignsubmission_file_/ps1.ipynb", "48213", "Ada Lovelace"),
        ("Ada Lovelace_48213_assignsubmission_file/ps1.ipynb", "48213", "Ada Lovelace"),
        ("Ada Lovelace_48213_assignsubmission_file_ps1 (2).ipynb", "48213", "Ada Lovelace"),
        ("Jean-Luc de la Cruz_7_assignsubmission_file_x.ipynb", "7", "Jean-Luc de la Cruz"),
        ("lovelaceada_7421_99317_ps1-1.ipynb", "7421", "lovelaceada"),
        ("lovelaceada_LATE_7421_99317_ps1.ipynb", "7421", "lovelaceada"),
        ("smith-jonesada_7421_99317_ps1-2.ipynb", "7421", "smith-jonesada"),
        # Names by which a student could hand in for 5555, on Canvas and on Moodle.
        ("mallory_7421_99318_x_5555_assignsubmission_file_ps1.ipynb", "7421", "mallory"),
        ("mallory_LATE_7421_99318_x_5555_assignsubmission_file_ps1.ipynb", "7421", "mallory"),
        ("Mallory_7421_assignsubmission_file_x_5555_99318_ps1.ipynb", "7421", "Mallory"),
        ("Mallory_7421_assignsubmission_file_5555_99318_ps1.ipynb", "7421", "Mallory"),
        ("Mal_7421_assignsubmission_file_/x_5555_assignsubmission_file_ps1.ipynb", "7421", "Mal"),
        ("mallory/ps1/x_5555_assignsubmission_file_ps1.ipynb", "mallory", "mallory"),
        ("ada/ps1/ps1.ipynb", "ada", "ada"),
        ("ps1-ada/ps1.ipynb", "ada", "ada"),
        ("ada/Copy of ps1.ipynb", "ada", "ada"),
        ("ada_ps1.ipynb", "ada", "ada"),
    ],
)
def test_a_path_says_whose_it_is(path, student, name, tmp_path):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr(path, data(submission()))
        archive.writestr("__MACOSX/._x.ipynb", b"?")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        archive.extractall(tmp_path / "folder")
    for place in ("all.zip", "folder"):
        ((found, files),) = collect(tmp_path / place, "ps1").items()
        assert (found, files[0].name) == (student, name)
        row = grade.prepare(found, files, SOURCE, "ps1")
        assert not row.problem and row.notebook is not None


@pytest.mark.parametrize(
    "name", ["ps1", "Copy of ps1", "ps1 (1)", "ps1 (1) (2)", "PS1-Copy1", "ps1-2", "Kopie von ps1"]
)
def test_a_copys_name_is_the_name(name):
    assert plain_name(f"{name}.ipynb") == "ps1"


def test_the_right_file_of_several_counts(tmp_path):
    other = submission()
    cell(other, "join").source = "join = None"
    folder = tmp_path / "ada"
    folder.mkdir()
    (folder / "notes.ipynb").write_bytes(data(nbformat.v4.new_notebook()))
    (folder / "ps1.ipynb").write_bytes(b'{"cells": [')
    (folder / "ps1 (1).ipynb").write_bytes(data(submission()))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("ps1.ipynb", data(other))
    (tmp_path / "bob").mkdir()
    (tmp_path / "bob" / "work.zip").write_bytes(packed.getvalue())
    (tmp_path / "cy").mkdir()
    (tmp_path / "cy" / "ps1.pdf").write_bytes(b"%PDF")
    found = {s: grade.prepare(s, f, SOURCE, "ps1") for s, f in collect(tmp_path, "ps1").items()}
    assert found["ada"].file.endswith("ps1 (1).ipynb") and "broken JSON" in str(found["ada"].notes)
    assert cell(found["bob"].notebook, "join").source == "join = None"
    assert found["cy"].problem == "no notebook was handed in, but ps1.pdf"
    assert found["cy"].name == "cy"


def test_a_text_beside_the_file_is_no_other_student(tmp_path):
    """Moodle's "online text", Canvas' text entries, and what a Mac puts into each archive."""
    text, mac = b"<p>See the file.</p>", b"\x00\x05\x16\x07"
    packed = {"work/ps1.ipynb": data(submission()), "__MACOSX/work/._ps1.ipynb": mac}
    packed["work/.ipynb_checkpoints/ps1-checkpoint.ipynb"] = b"{"
    files = {
        "Ada_1_assignsubmission_file_/ps1.ipynb": data(submission()),
        "Ada_1_assignsubmission_onlinetext_/onlinetext.html": text,
        "Bob_2_assignsubmission_onlinetext_onlinetext.html": text,
        "Cy_3_assignsubmission_file_/ps1.zip": archived(packed, 2026),
        "dee_LATE_4_99_ps1.ipynb": data(submission()),
        "dee_LATE_4_text.html": text,
    }
    archived(files, 2026, tmp_path / "all.zip")
    found = collect(tmp_path / "all.zip", "ps1")
    rows = {student: grade.prepare(student, f, SOURCE, "ps1") for student, f in found.items()}
    assert {s: (row.name, row.status) for s, row in rows.items()} == {
        "1": ("Ada", "graded"),
        "2": ("Bob", "NOT GRADED"),
        "3": ("Cy", "graded"),
        "4": ("dee", "graded"),
    }
    assert rows["2"].problem == "no notebook was handed in, but onlinetext.html"


def archived(files: dict, year: int, path=None):
    """A zip archive whose files are all from the second of January of a year."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, (year, 1, 2, 0, 0, 0)), content)
    if path is not None:
        path.write_bytes(packed.getvalue())
    return packed.getvalue()


def handed_in_nbgrader(folder, student, name, stamp):
    folder = folder / student / name
    folder.mkdir(parents=True)
    (folder / f"{name}.ipynb").write_bytes(data(submission()))
    (folder / "timestamp.txt").write_text(stamp)


def test_nbgraders_timestamp_is_when(tmp_path):
    place = tmp_path / "submitted"
    handed_in_nbgrader(place, "ada", "ps1", "2026-10-12 21:00:00.123 UTC")
    handed_in_nbgrader(place, "ada", "ps2", "2026-10-26 21:00:00 UTC")
    handed_in_nbgrader(place, "bob", "ps1", "2026-10-12 23:00 CEST")
    handed_in_nbgrader(place, "cy", "ps2", "2026-10-26 21:00:00 UTC")
    found = collect(place, "ps1")
    assert list(found) == ["ada", "bob"]  # cy has not handed in this set
    (file,), (other,) = found.values()
    assert file.time == datetime(2026, 10, 12, 21, 0, 0, 123000, tzinfo=UTC) and not file.note
    assert other.time.year > 2000  # that of the file
    assert "'2026-10-12 23:00 CEST', which is not a time" in str(
        grade.prepare("bob", [other], SOURCE, "ps1").notes
    )


@pytest.mark.parametrize(
    "files",
    [
        {"Ada_1_assignsubmission_file_/ps1.zip": archived({"ps1.ipynb": data(submission())}, 2020)},
        {
            "Ada_1_assignsubmission_file_/ps1.ipynb": data(submission()),
            "Ada_1_assignsubmission_file_/timestamp.txt": "2020-01-01 00:00:00 UTC",
        },
        {
            "ps1-ada/ps1/ps1.ipynb": data(submission()),
            "ps1-ada/ps1/timestamp.txt": "2020-01-01 00:00:00 UTC",
        },
        {"1/ps1/ps1.ipynb": data(submission()), "1/ps1/timestamp.txt": "2020-01-01 00:00:00 UTC"},
    ],
    ids=["zip", "moodle", "github", "without-a-prefix"],
)
def test_nobody_says_when_their_own_work_was_handed_in(files, tmp_path):
    archived(files, 2026, tmp_path / "all.zip")
    ((student, found),) = collect(tmp_path / "all.zip", "ps1").items()
    assert {file.time.year for file in found} == {2026}
    row = grade.prepare(student, found, SOURCE, "ps1")
    assert ("timestamp.txt of their own" in str(row.notes)) == (len(files) > 1)


def test_an_archives_dates_are_in_the_zone_of_the_policy_or_of_the_machine(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for name, month in (("a", 7), ("b", 12)):  # in summer and in winter
            path = zipfile.ZipInfo(f"{name}_1{month}_2_ps1.ipynb", (2026, month, 1, 23, 50, 0))
            archive.writestr(path, data(submission()))

    def hours(zone):
        files = collect(tmp_path / "all.zip", "ps1", zone).values()
        assert all(file.time.minute == 50 for (file,) in files)
        return [file.time.astimezone(UTC).hour for (file,) in files]

    (tmp_path / "p.toml").write_text('[due]\ntimezone = "Europe/Berlin"')
    policy = Policy.of(tmp_path / "p.toml")
    assert hours(policy.zone) == [21, 22] and policy.due == {}
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert hours(None) == [3, 4] and hours(policy.zone) == [21, 22]
    finally:
        monkeypatch.undo()
        time.tzset()
    for wrong in ('"Mars/Olympus"', "1", '"../x"', '""'):
        (tmp_path / "p.toml").write_text(f"[due]\ntimezone = {wrong}")
        with pytest.raises(SystemExit, match="due.timezone"):
            Policy.of(tmp_path / "p.toml")


def test_of_several_in_an_archive_the_newest_counts(tmp_path):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for folder, year in (("b", 2021), ("a", 2024), ("c", 2022)):
            path = zipfile.ZipInfo(f"{folder}/ps1.ipynb", (year, 1, 1, 0, 0, 0))
            archive.writestr(path, data(submission()))
    archived({"ada_1_2_work.zip": packed.getvalue()}, 2026, tmp_path / "all.zip")
    (files,) = collect(tmp_path / "all.zip", "ps1").values()
    assert files[-1].path.endswith("a/ps1.ipynb")


def test_a_broken_archive_or_date_takes_nothing_from_anybody(tmp_path):
    good = archived({"ps1.ipynb": data(submission())}, 2026)
    broken = bytearray(good)
    broken[200:400] = bytes(200)
    ages = bytearray(good)  # the month and day of its entry are zero
    for sign, place in ((b"PK\x03\x04", 12), (b"PK\x01\x02", 14)):
        ages[ages.index(sign) + place : ages.index(sign) + place + 2] = b"\x00\x00"
    files = {"ada_1_2_a.zip": bytes(broken), "bob_2_2_b.zip": bytes(ages)}
    archived(files, 2026, tmp_path / "all.zip")
    found = collect(tmp_path / "all.zip", "ps1")
    assert found["2"][0].notebook and found["2"][0].time.year == 2026
    row = grade.prepare("1", found["1"], SOURCE, "ps1")
    assert row.problem == "no notebook was handed in, but a.zip"


# ---- What is repaired ----


def stripped(notebook):
    for one in notebook.cells:
        one.metadata.clear()


def renamed(notebook):
    cell(notebook, "packed_mask").metadata.nbgrader.grade_id = "my_mask"
    cell(notebook, "packed_mask_batch").metadata.nbgrader.grade_id = "my_mask_batch"


def copied(notebook):
    one = cell(notebook, "packed_mask")
    twin = copy.deepcopy(one)
    one.source = cell(released(SOURCE), "packed_mask").source
    notebook.cells.insert(0, twin)


def copied_test(notebook):
    notebook.cells.append(copy.deepcopy(cell(notebook, "packed_mask_batch")))


def without_tests(notebook):
    notebook.cells = [c for c in notebook.cells if not is_test(c)]


def same_ids(notebook):
    for one in notebook.cells:
        one["id"] = "x"


def upside_down(notebook):
    notebook.cells = notebook.cells[:3] + notebook.cells[:2:-1]


def easier(notebook):
    cell(notebook, "packed_mask_batch").source = "pass"
    cell(notebook, "packed_mask_batch").metadata.nbgrader.update(points=100, locked=False)


def moved_answer(notebook):
    """An answer in a cell of its own, under the question; the given one was deleted."""
    one = cell(notebook, "too_late")
    one.metadata.clear()


@pytest.mark.parametrize(
    "change",
    [stripped, renamed, copied, copied_test, without_tests, same_ids, upside_down, easier,
     moved_answer],
    ids=lambda c: c.__name__,
)  # fmt: skip
def test_what_is_unambiguous_is_repaired(change):
    notebook = submission()
    change(notebook)
    fixed, notes = repair(read(data_of(notebook)), SOURCE)
    names = [of_nbgrader(c)["grade_id"] for c in fixed.cells if of_nbgrader(c)]
    assert sorted(names) == sorted(IDS)
    assert cell(fixed, "packed_mask").source == cell(SOURCE, "packed_mask").source
    assert cell(fixed, "too_late").source == "Shares that were dealt out are lost."
    for name in names:
        assert of_nbgrader(cell(fixed, name)) == of_nbgrader(cell(SOURCE, name))
        if is_test(cell(fixed, name)):
            assert cell(fixed, name).source == cell(released(SOURCE), name).source
            task = max((n for n in names if name.startswith(n) and n != name), key=len)
            assert names.index(task) < names.index(name)
    assert len({c.id for c in fixed.cells}) == len(fixed.cells)
    assert bool(notes) == (change is not same_ids)
    assert not any(c.get("outputs") for c in fixed.cells)


def data_of(notebook) -> bytes:
    """As JSON, without nbformat's own repairs."""
    return json.dumps(notebook).encode()


def test_a_right_submission_is_left_as_it_is():
    fixed, notes = repair(read(data(submission())), SOURCE)
    assert notes == []
    assert [c.source for c in fixed.cells] == [c.source for c in submission().cells]


def test_two_answers_with_one_id_both_reach_the_reader():
    notebook = submission()
    second = copy.deepcopy(cell(notebook, "too_late"))
    second.source = "And one thing more."
    notebook.cells.append(second)
    fixed, notes = repair(read(data_of(notebook)), SOURCE)
    text = cell(fixed, "too_late").source
    assert "lost" in text and "one thing more" in text and notes


def index(notebook, name) -> int:
    return notebook.cells.index(cell(notebook, name))


def empty(notebook):
    cell(notebook, "too_late").source = "*Your answer here.*"


def new_cell(kind, text="Shares that were dealt out are lost."):
    def change(notebook):
        empty(notebook)
        new = getattr(nbformat.v4, f"new_{kind}_cell")(text)
        notebook.cells.insert(index(notebook, "too_late") + 1, new)

    return change


def in_the_question(notebook):
    empty(notebook)
    question = notebook.cells[index(notebook, "too_late") - 1]
    question.source += "\n\nShares that were dealt out are lost."


def in_the_question_alone(notebook):
    in_the_question(notebook)
    notebook.cells.remove(cell(notebook, "too_late"))


def before_the_cell(notebook):
    new_cell("markdown")(notebook)
    at = index(notebook, "too_late")
    notebook.cells[at], notebook.cells[at + 1] = notebook.cells[at + 1], notebook.cells[at]


@pytest.mark.parametrize(
    "change",
    [new_cell("markdown"), new_cell("raw"), new_cell("code"), in_the_question,
     in_the_question_alone, before_the_cell],
)  # fmt: skip
def test_an_answer_beside_its_cell_is_read(change):
    notebook = submission()
    change(notebook)
    fixed, notes = repair(read(data_of(notebook)), SOURCE)
    assert cell(fixed, "too_late").source == "Shares that were dealt out are lost."
    assert any(note.startswith("too_late: ") for note in notes)
    assert cell(fixed, "packed_apart").source == "*Your answer here.*"
    names = [of_nbgrader(c)["grade_id"] for c in fixed.cells if of_nbgrader(c)]
    assert names == IDS


def test_an_answer_in_the_next_question_is_not_taken_for_this_one():
    notebook = submission()
    empty(notebook)
    notebook.cells[index(notebook, "packed_apart") - 1].source += "\n\nPositions and labels."
    fixed, notes = repair(read(data_of(notebook)), SOURCE)
    assert cell(fixed, "too_late").source == "*Your answer here.*"
    assert cell(fixed, "packed_apart").source == "Positions and labels."


def test_what_is_beside_an_empty_answer_and_is_no_answer_stays_there():
    notebook = submission()
    new_cell("code", "print(too_late)")(notebook)
    fixed, notes = repair(read(data_of(notebook)), SOURCE)
    assert cell(fixed, "too_late").source == "*Your answer here.*" and notes == []


def test_code_below_its_untouched_cell_counts():
    notebook = submission()
    answer = cell(notebook, "packed_mask").source
    cell(notebook, "packed_mask").source = cell(released(SOURCE), "packed_mask").source
    at = index(notebook, "packed_mask_batch") + 1
    notebook.cells.insert(at, nbformat.v4.new_code_cell(answer))
    fixed, notes = repair(read(data_of(notebook)), SOURCE)
    assert cell(fixed, "packed_mask").source == answer
    assert index(fixed, "packed_mask_batch") > index(fixed, "packed_mask")
    assert "packed_mask: answered in another cell" in notes


def test_a_title_does_not_make_a_set_up_cell():
    notebook = submission()
    own = nbformat.v4.new_code_cell("# @title My helper\nhelper = 1")
    notebook.cells.insert(index(notebook, "packed_mask"), own)
    notebook.cells[1].source = notebook.cells[1].source.replace("0.2", "0.1")  # an older one
    fixed, notes = repair(read(data_of(notebook)), SOURCE)
    (setup,) = [i for i, c in enumerate(fixed.cells) if "setup" in c.metadata.get("tags", [])]
    assert setup == 1 and notes == []


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "empty"),
        (b'{"cells": [', "broken JSON in line 1"),
        (b'{"cells": [\n<<<<<<< HEAD\n>>>>>>> theirs', "merge conflict"),
        (b"PK\x03\x04", "zip"),
        (b"[]", "not a notebook"),
        (b'{"cells": 3, "nbformat": 4}', "not a notebook"),
        (b'{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}', "no cells"),
        ("{ü".encode("latin1"), "UTF-8"),
        (b"[" * 100_000, "broken JSON"),
    ],
)
def test_what_cannot_be_read_says_why(content, reason):
    with pytest.raises(Unreadable, match=reason):
        read(content)


@pytest.mark.parametrize("ids", [True, False], ids=["with-ids", "without-ids"])
def test_another_notebook_is_not_taken_for_it(ids):
    """Not even another of our sets, with which it shares helpers and the name of a task."""
    others = [notebooks.read(path) for path in release.sources() if path.stem != "ps1"]
    essay = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("Hello")])
    for wrong in (essay, *map(released, others)):
        if not ids:
            stripped(wrong)
        with pytest.raises(Unreadable, match="nothing in it belongs|like another assignment"):
            repair(read(data_of(wrong)), SOURCE)


def test_little_of_the_right_notebook_is_enough():
    notebook, kept = submission(), ("packed_mask", "packed_mask_batch")
    notebook.cells = [c for c in notebook.cells if of_nbgrader(c).get("grade_id") in kept]
    fixed, notes = repair(read(data(notebook)), SOURCE)
    assert cell(fixed, "packed_mask").source == cell(SOURCE, "packed_mask").source
    untouched, notes = repair(read(data(released(SOURCE))), SOURCE)
    assert notes == []


CAPSTONE = notebooks.read(release.COURSE / "source" / "capstone" / "capstone.ipynb")
MINE = "class MultiheadAttention(nn.Module): pass\n"
ANSWER = "class NumberReader(nn.Module):\n    def forward(self, x):\n        return "


@pytest.mark.parametrize(
    "answer, scratch, found",
    [
        ('class NumberReader:\n    """A Transformer: see nn.Transformer."""', "", False),
        (ANSWER + "x", "mine, theirs = NumberReader(), nn.MultiheadAttention(8, 2)", False),
        (
            ANSWER + "x",
            'label = "Transformer"\nshow({label: NumberReader()}["Transformer"])',
            False,
        ),
        (ANSWER + "x", "%time theirs = nn.Transformer()", False),
        # a local name is not the notebook's
        (ANSWER + "[layer for layer in x]", "layer = nn.MultiheadAttention(8, 2)", False),
        ("x = torch.nn.TransformerEncoder", "", True),
        ("from torch.nn import Transformer as T", "", True),
        ('getattr(nn, "MultiheadAttention")', "", True),
        ('vars(nn)["MultiheadAttention"]', "", True),
        ('vars(nn).get("MultiheadAttention")', "", True),
        ('nn.__getattribute__("MultiheadAttention")', "", True),
        ('exec("from torch.nn import MultiheadAttention as M")', "", True),
        ('exec(f"part = nn.Transformer({8})")', "", True),
        ('get_ipython().run_cell("a = 1\\nT = nn.Transformer; b = 2")', "", True),
        ('get_ipython().run_cell(raw_cell="from torch.nn import *; T = Transformer")', "", True),
        ('__import__("torch.nn", fromlist=["Transformer"]).Transformer', "", True),
        (ANSWER + "x\n%time T = nn.Transformer()", "", True),
        ('exec(code := compile("T = nn.Transformer", "", "exec"))', "", True),
        ('import re\nwords = re.compile("a Transformer")', "", False),
        ('label = "Transformer"\nprint("a Transformer", label)', "", False),
        ('runs = {}\nruns.get("size", "Transformer")', "", False),
        ("%%time\n" + ANSWER + "nn.Transformer()", "", True),
        (ANSWER + "parts[0](x)", "theirs = nn.MultiheadAttention\nparts = [theirs]", True),
        (ANSWER + "part(x)", "def part(x):\n    return nn.MultiheadAttention(8, 2)(x)", True),
        (ANSWER + "x", "NumberReader.forward = nn.Transformer.forward", True),
        (ANSWER + "x", 'setattr(NumberReader, "forward", nn.Transformer.forward)', True),
        (ANSWER + "x", "class NumberReader(nn.Transformer):\n    pass", True),
        (
            ANSWER + "T()",
            "try:\n    from torch.nn import Transformer as T\nfinally:\n    pass",
            True,
        ),
        # put together from constants
        ('getattr(nn, "Multihead" + "Attention")', "", True),
        (ANSWER + "getattr(nn, a + b)(x)", 'a = "Multihead"\nb = "Attention"', True),
        (ANSWER + "getattr(nn, name)(x)", 'a = "Multihead"\nname = f"{a}Attention"', True),
        (ANSWER + "getattr(nn, a)(x)", "exec(\"a = 'Multihead' + 'Attention'\")", True),
        (ANSWER + "T(x)", 'text = "T = nn.Trans" + "former"\nexec(text)', True),
        (ANSWER + "vars(nn)[a]", 'a = "".join(["Multihead", "Attention"])', True),
        (ANSWER + 'getattr(nn, a + "Attention")', "exec(\"b = 'Multi'\\na = b + 'head'\")", True),
        (ANSWER + "print(a + b)", 'a = "Multihead"\nb = "Attention"', False),  # only a text
        # a class of one's own that has the name of torch's
        (ANSWER + "MultiheadAttention(8, 2)(x)", MINE, False),
        (MINE + ANSWER + "MultiheadAttention(8, 2)(x)", "", False),
        (ANSWER + "self.MultiheadAttention(x)", "", True),
        (MINE + ANSWER + "self.MultiheadAttention(x)", "", False),
        (MINE + ANSWER + "nn.MultiheadAttention(8, 2)(x)", "", True),
        (MINE.replace("nn.Module", "nn.MultiheadAttention") + ANSWER + "x", "", True),
        ("from torch.nn import MultiheadAttention\n" + MINE + ANSWER + "x", "", True),
        ("T = MultiheadAttention\n" + MINE + ANSWER + "T", "from torch.nn import *", True),
        ("if x:\n    " + MINE + ANSWER + "MultiheadAttention(x)", "", True),  # perhaps not defined
    ],
)
def test_what_a_task_forbids_is_found_in_the_answer_and_what_it_calls(answer, scratch, found):
    notebook = released(CAPSTONE)
    assert forbidden_words(CAPSTONE, notebook) == {}
    cell(notebook, "number_reader").source = answer
    notebook.cells.append(nbformat.v4.new_code_cell(scratch))
    assert list(forbidden_words(CAPSTONE, notebook)) == ["number_reader"] * found


@pytest.mark.parametrize(
    "answer, scratch, found",
    [
        (ANSWER + "getattr(nn, pick(x))", "", "getattr(nn, pick(x))"),
        (ANSWER + "getattr(nn, a)", 'a = "Multihead"\na += "Attention"', "getattr(nn, a)"),
        (ANSWER + "part(x)", "def part(a):\n    return getattr(nn, a)", "getattr(nn, a)"),
        (ANSWER + "x\nexec(bytes(code))", "", "exec(bytes(code))"),
        (ANSWER + "nn.__dict__[x[::-1]]", "", "nn.__dict__[x[::-1]]"),
        (ANSWER + "vars(nn)[x[::-1]]", "", "vars(nn)[x[::-1]]"),
        (ANSWER + "[f for n, f in sorted(vars(nn).items()) if n[0] == x]", "", "vars(nn)"),
        (ANSWER + "x\nfor name in dir(torch.nn):\n    pick(name)", "", "dir(torch.nn)"),
        (ANSWER + "[*torch.__dict__.values()][x]", "", "torch.__dict__"),
        (ANSWER + "part(x)", "def part(x):\n    return list(globals())[x]", "globals()"),
        (ANSWER + "vars(nn).get(x[::-1])", "", "vars(nn)"),
        (ANSWER + "nn.Module.__subclasses__()", "", "nn.Module.__subclasses__()"),
        (ANSWER + "x", "print(dir(nn))", None),
        (ANSWER + "vars(nn).get('Linear') or vars(self) or 'x' in globals()", "", None),
        (ANSWER + "x", "getattr(nn, pick(x))", None),  # the answer does not lead to it
        (ANSWER + 'getattr(x, "size")(0)', "", None),
        (ANSWER + "self.layers[x + 1]", "", None),
        (ANSWER + "re.compile(x)", "import re", None),
        (ANSWER + "x\nexec(compile('y = 1', '', 'exec'))", "", None),
    ],
)
def test_a_name_that_is_computed_is_for_a_person_to_look_at(answer, scratch, found):
    notebook = released(CAPSTONE)
    assert computed_names(CAPSTONE, notebook) == {}
    cell(notebook, "number_reader").source = answer
    notebook.cells.append(nbformat.v4.new_code_cell(scratch))
    assert computed_names(CAPSTONE, notebook) == ({"number_reader": found} if found else {})
    assert forbidden_words(CAPSTONE, notebook) == {}


def test_a_name_that_a_given_cell_imports_is_not_the_students_own():
    answer = "T = Transformer\n\n\nclass Transformer:\n    pass\n"
    assert "Transformer" not in used(answer, [])[0]
    assert "Transformer" in used(answer, [], ["from helpers.transformer import Transformer"])[0]


def test_code_that_is_nested_too_deeply_is_looked_at_all_the_same():
    notebook = released(CAPSTONE)
    deep = "x = " + " + ".join(["'a'"] * 1500) + "\n"
    cell(notebook, "number_reader").source = ANSWER + "x\n" + deep
    assert "too deeply" in computed_names(CAPSTONE, notebook)["number_reader"]
    cell(notebook, "number_reader").source += "y = nn.Transformer\n"
    assert forbidden_words(CAPSTONE, notebook) == {"number_reader": "Transformer"}


def test_no_solution_of_ours_has_to_be_looked_at_by_hand():
    for path in release.sources():
        source = notebooks.read(path)
        assert computed_names(source, source) == forbidden_words(source, source) == {}


def test_without_protection_nothing_is_graded_unless_one_says_so(tmp_path, monkeypatch):
    (tmp_path / "ada_ps1.ipynb").write_bytes(data(submission()))
    monkeypatch.setattr(grade.sandbox, "way", lambda: "plain")
    monkeypatch.setenv("UNPROTECTED", "0")
    graded = []
    monkeypatch.setattr(grade, "grade", lambda *arguments: graded.append(arguments) or [])
    monkeypatch.setattr(grade, "report", lambda *arguments: None)
    with pytest.raises(SystemExit, match="Nothing was graded"):
        grade.main(["ps1", str(tmp_path)])
    assert not graded
    grade.main(["ps1", str(tmp_path), "--unprotected"])
    assert graded


# ---- Late days and tables ----


def test_late_days_are_used_up_in_order_and_then_cost():
    due = {"ps1": datetime(2026, 10, 1, tzinfo=UTC), "ps2": datetime(2026, 10, 8, tzinfo=UTC)}
    policy = Policy(due, free_days=2, cost=10, most_days=5, grace=15)
    day, minute = timedelta(days=1), timedelta(minutes=1)
    assert policy.days_late("ps1", due["ps1"] + 15 * minute) == 0
    assert policy.days_late("ps1", due["ps1"] + 16 * minute) == 1
    assert policy.days_late("ps1", due["ps1"] - 3 * day) == 0
    assert policy.days_late("ps1", due["ps1"] + 3 * day + 15 * minute) == 3
    assert policy.days_late("ps1", due["ps1"] + 3 * day + 16 * minute) == 4
    assert policy.days_late("ps1", None) == policy.days_late("ps3", due["ps1"]) == 0
    kept = policy.kept({"ps2": due["ps2"] + 2.5 * day, "ps1": due["ps1"] + 1 * day, "ps3": None})
    assert kept == {"ps1": (1, 1.0), "ps2": (3, pytest.approx(0.8)), "ps3": (0, 1.0)}
    assert policy.kept({"ps1": due["ps1"] + 6 * day})["ps1"] == (6, 0.0)
    policy.for_one_set = 1
    assert policy.kept({"ps1": due["ps1"] + 2 * day})["ps1"] == (2, pytest.approx(0.9))


def test_the_policy_that_comes_along_is_read(tmp_path):
    policy = Policy.of(release.COURSE / "policy.toml")
    sets = dict(ps1=15, ps2=15, ps3=15, capstone=25)
    assert policy.free_days == 5 and policy.weights == {**sets, "exam": 25, "explained": 5}
    text = (release.COURSE / "policy.toml").read_text().replace("# ps1 =", "ps1 =")
    (tmp_path / "p.toml").write_text(text)
    assert Policy.of(tmp_path / "p.toml").due["ps1"].utcoffset() == timedelta(hours=1)
    (tmp_path / "p.toml").write_text("[due]\nps1 = 2026-10-12T23:59:00")
    with pytest.raises(SystemExit, match="offset"):
        Policy.of(tmp_path / "p.toml")


def test_a_files_name_steers_neither_a_terminal_nor_a_spreadsheet(tmp_path, monkeypatch, capsys):
    name = "=HYPERLINK(1)\x1b[2J\r\u202e"
    (tmp_path / name).mkdir()
    (tmp_path / name / "@ps1\x1b]0;\n.ipynb").write_bytes(data(submission()))
    (tmp_path / "bo").mkdir()
    (tmp_path / "bo" / "+1\x07.pdf").write_bytes(b"%PDF")
    rows = [grade.prepare(s, f, SOURCE, "ps1") for s, f in collect(tmp_path, "ps1").items()]
    monkeypatch.setenv("GRADING", str(tmp_path))
    grade.report(rows, "ps1")
    write_table([{"name": name, "points": -1.5}], tmp_path / "marks.csv")
    printed = capsys.readouterr().out
    with (tmp_path / "ps1_table.csv").open(newline="", encoding="utf8") as file:
        cells = [cell for line in csv.reader(file) for cell in line]
    with (tmp_path / "marks.csv").open(newline="", encoding="utf8") as file:
        marks = list(csv.reader(file))
    assert printed.replace("\n", "").isprintable() and "=HYPERLINK(1)[2J" in printed
    assert all(cell.isprintable() and cell[:1] not in tuple("=+-@") for cell in cells)
    assert marks[1] == ["'=HYPERLINK(1)[2J ", "-1.5"]


@pytest.mark.parametrize("student", ["-ada", "@ada", "+ada", "=1"])
def test_an_id_is_never_changed_without_a_word(student, tmp_path):
    with pytest.raises(SystemExit, match=f"these ids for formulas.*: {re.escape(student)}\\. "):
        write_table([{"student": "bo", "ps1": 1}, {"student": student, "ps1": 2}], tmp_path / "m")
    assert not (tmp_path / "m").exists()
    (tmp_path / student).mkdir()
    (tmp_path / student / "ps1.ipynb").write_bytes(data(submission()))
    ((one, files),) = collect(tmp_path, "ps1").items()
    row = grade.prepare(one, files, SOURCE, "ps1")
    if student[0] in "-@":  # the others are changed, because they cannot be a folder's name
        assert "takes for a formula" in row.problem and row.notebook is None
    else:
        assert f"in the gradebook the id is {row.student}" in row.notes and not row.problem


def test_two_who_would_have_one_id_are_not_graded(tmp_path, monkeypatch):
    (tmp_path / "grading").mkdir()
    for name in ("a b", "a_b", "c"):
        (tmp_path / "in" / name).mkdir(parents=True)
        (tmp_path / "in" / name / "ps1.ipynb").write_bytes(data(submission()))
    monkeypatch.setenv("GRADING", str(tmp_path / "grading"))
    monkeypatch.setattr(grade, "nbgrader_api", lambda: None)
    monkeypatch.setattr(grade, "make_known", lambda *arguments: None)
    monkeypatch.setattr(grade, "use_known_names", lambda *arguments: None)
    monkeypatch.setattr(grade, "record", lambda *arguments: None)
    monkeypatch.setattr(grade, "examine_all", lambda rows, *more: iter(rows))
    rows = grade.grade(tmp_path / "in", "ps1", None)
    assert ["two submissions" in row.problem for row in rows] == [True, True, False]


MOODLE = "Identifier,Full name,Status,Grade,Maximum Grade\nParticipant 48213,Ada,Submitted,,30.00\n"
CANVAS = (
    "Student,ID,SIS Login ID,Section,ps1 (99317),ps2 (99318)\n"
    "    Points Possible,,,,30,34\n"
    '"Lovelace, Ada",48213,ada,A,,\n'
)


@pytest.mark.parametrize("text, column", [(MOODLE, "Grade"), (CANVAS, "ps1 (99317)")])
def test_points_go_into_the_platforms_table(text, column, tmp_path):
    (tmp_path / "in.csv").write_text(text, encoding="utf-8-sig")
    rows = [
        {"student": "48213", "name": "Ada", "ps1 counts": 17.5},
        {"student": "1", "name": "Bo", "ps1 counts": 3.0},
    ]
    assert fill(tmp_path / "in.csv", rows, "ps1", tmp_path / "out.csv", Roster([])) == (1, ["Bo"])
    with (tmp_path / "out.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert lines[-1][column] == "17.5"
    assert list(lines[0]) == text.splitlines()[0].split(",")
