"""The mark of the course: sets, exam and solutions explained, by the policy's rules."""

import csv

import pytest

pytest.importorskip("nbgrader.api", reason="requirements-teach.lock")

from tests.grading.support import put
from tools import grade
from tools.grading.final import final
from tools.grading.record import COURSE, Policy
from tools.grading.roster import Roster

POLICY = Policy.of(COURSE / "policy.toml")
NAMES = {"7": "Ada Lovelace", "8": "Bo Diddley", "9": "Cy Twombly"}
ROWS = [{"student": student, "name": name} for student, name in NAMES.items()]
SHARES = {
    "7": {"ps1": 0.8, "ps2": 0.79, "ps3": 0.7, "capstone": 0.8},  # the example of policies.md
    "8": {"ps1": 1.0, "ps2": 1.0, "ps3": 1.0, "capstone": 1.0},
    "9": {"ps1": 0.5},
}
EXAM = "student,points\n7,39\n8,23.5\n"
EXPLAINED = "student\n7\n"


@pytest.fixture
def made(tmp_path):
    def make(exam=EXAM, explained=EXPLAINED, project=None, policy=POLICY):
        paths = [text and put(tmp_path, f"{name}.csv", text) for name, text in
                 (("exam", exam), ("explained", explained), ("project", project))]  # fmt: skip
        out, said = final(ROWS, SHARES, policy, *paths)
        return {row["student"]: row for row in out}, "\n".join(said)

    return make


def test_the_worked_example_of_the_policies(made):
    ada = made()[0]["7"]
    assert (ada["exact"], ada["final counts"], ada["exam"]) == (75.6, 76, 65)
    assert (ada["passed"], ada["letter"], ada["Germany"]) == ("yes", "C", "2.3")


def test_too_few_points_in_the_exam_are_not_enough(made):
    rows, said = made()
    assert rows["8"]["final counts"] == 80 and rows["8"]["passed"] == "no"  # 23.5 of 60 is 39 %
    assert rows["8"]["letter"] == "F"
    assert "too few of them in the exam, 1: Bo Diddley" in said
    rows, said = made(exam="student,points\n7,39\n8,24\n")
    assert rows["8"]["passed"] == "yes" and "too few" not in said


def test_who_has_no_points_is_listed_and_gets_none(made):
    rows, said = made()
    assert rows["9"]["exact"] == 7.5 and rows["9"]["exam points"] == ""
    assert "Without points in the exam, 1: Cy Twombly" in said
    assert "Have explained nothing, 2: Bo Diddley, Cy Twombly" in said
    assert "Without ps2, 1: Cy Twombly" in said and "Without ps1" not in said


def test_a_sum_is_rounded_once_and_upwards_from_a_half():
    policy = Policy({}, weights={"ps1": 1.0})
    shares = {"7": {"ps1": 0.495}, "8": {"ps1": 0.4949}, "9": {"ps1": 0.285 + 0.21}}
    found = [row["final counts"] for row in final(ROWS, shares, policy)[0]]
    assert found == [50, 49, 50]


@pytest.mark.parametrize(
    "exam",
    [
        "\ufeffstudent;points\n7;39,5\n8;\n",  # as a German Excel saves it
        "Student\tPoints\n7\t39.5\n",
        "name,points\nAda Lovelace,39.5\n",
        "student,note,points\n7,,39.5\n\n,,\n",
    ],
)
def test_tables_as_people_save_them(made, exam):
    rows, _ = made(exam=exam)
    assert rows["7"]["exam points"] == 39.5 and rows["8"]["exam points"] == ""


def test_explained_may_say_yes_or_no(made):
    rows, _ = made(explained="student,explained\n7,yes\n8,no\n9,x\n7,yes\n")
    assert [rows[s]["explained"] for s in NAMES] == [100, 0, 100]


def test_a_project_takes_the_place_of_the_capstone(made):
    rows, said = made(project="student,points\n8,9\n9,12\n")
    assert rows["8"]["capstone"] == 75 and rows["9"]["capstone"] == 100
    assert "the project counts, 1: Bo Diddley" in said
    assert SHARES["8"]["capstone"] == 1.0


@pytest.mark.parametrize(
    "tables, complaints",
    [
        ({"exam": "student,points\n7,61\n"}, ["line 2: 7 has 61 points, but there are 0 to 60"]),
        ({"exam": "student,points\n7,-1\n"}, ["7 has -1 points"]),
        ({"exam": "student,points\n7,nan\n"}, ["7 has nan points"]),
        ({"exam": "student,points\n7,many\n"}, ["'many' is not a number of points"]),
        ({"exam": "student,points\n7,3\n7,4\n"}, ["line 3: 7 is in line 2 already"]),
        (
            {"exam": "student,points\n70,3\n71,99\n8,99\n", "explained": "student\n72\n"},
            ["nobody called 70 (line 2), 71 (line 3)", "8 has 99", "nobody called 72", "add them"],
        ),
        ({"exam": "id,score\n7,3\n"}, ["id, score", "needs student (or name) and points"]),
        ({"exam": "\n"}, ["needs student (or name) and points"]),
        ({"explained": "student,explained\n7,maybe\n"}, ["'maybe', but must be yes or no"]),
        ({"exam": None}, ["exam has the weight 25", "--exam"]),
        ({"policy": Policy({}, weights={"ps1": 1})}, ["policy.toml gives exam no weight"]),
    ],
)
def test_what_is_wrong_in_a_table_is_named(made, tables, complaints):
    with pytest.raises(SystemExit) as error:
        made(**tables)
    assert [c for c in complaints if c not in str(error.value)] == []


def test_a_name_of_two_people_is_no_key(tmp_path):
    rows = [*ROWS, {"student": "10", "name": "Ada Lovelace"}]
    exam = put(tmp_path, "exam.csv", "name,points\nAda Lovelace,3\n")
    held = put(tmp_path, "held.csv", EXPLAINED)
    with pytest.raises(SystemExit, match="2 students called Ada Lovelace"):
        final(rows, {**SHARES, "10": {}}, POLICY, exam, held)


def test_a_table_that_is_no_text_or_not_there(tmp_path):
    held = put(tmp_path, "held.csv", EXPLAINED)
    with pytest.raises(SystemExit, match="no table"):
        final(ROWS, SHARES, POLICY, tmp_path / "exam.csv", held)
    exam = put(tmp_path, "exam.csv", "name,points\nÅsa,3\n", "latin1")
    with pytest.raises(SystemExit, match="UTF-8"):
        final(ROWS, SHARES, POLICY, exam, held)


@pytest.mark.parametrize(
    "line, message",
    [
        ("[weights]\nexam = -1", "weights.exam is -1"),
        ("[weights]\nexam = 'much'", "weights.exam is 'much'"),
        ("[pass]\nexam_points = 0", "must be above 0"),
        ("[pass]\npoints = 60", "no pass.points"),
    ],
)
def test_a_policy_that_makes_no_sense(tmp_path, line, message):
    with pytest.raises(SystemExit, match=message):
        Policy.of(put(tmp_path, "policy.toml", line))


@pytest.fixture
def gradebook(tmp_path, monkeypatch):
    """The command with these rows in place of a gradebook's; one answer may be left to read."""
    rows = [{**row, "ps1 to read": ""} for row in ROWS]
    (tmp_path / "gradebook.db").touch()
    monkeypatch.setenv("GRADING", str(tmp_path))
    monkeypatch.setattr(grade, "marks_and_shares", lambda *_: (rows, SHARES))
    monkeypatch.setattr(grade, "everybody_in", lambda *_: Roster([]))
    monkeypatch.setattr(grade, "times_of", lambda *_: None)
    monkeypatch.setattr(grade, "about_times", lambda *_: [])
    tables = ["--exam", put(tmp_path, "exam.csv", EXAM)]
    tables += ["--explained", put(tmp_path, "held.csv", EXPLAINED)]
    return rows, [str(word) for word in tables]


def test_one_command_writes_the_table(gradebook, tmp_path, capsys):
    rows, tables = gradebook
    grade.main(["marks", *tables])
    with (tmp_path / "final.csv").open(encoding="utf8") as file:
        found = {row["student"]: row for row in csv.DictReader(file)}
    assert found["7"]["final counts"] == "76" and found["7"]["ps2"] == "79.0"
    assert "3 students in" in (said := capsys.readouterr().out) and "1 passed" in said
    rows[1]["ps1 to read"] = "yes"
    with pytest.raises(SystemExit, match="nobody has read yet: Bo Diddley"):
        grade.main(["marks", *tables])
    grade.main(["marks", *tables, "--unread"])


def test_the_mark_goes_into_the_platforms_table(gradebook, tmp_path):
    _, tables = gradebook
    sheet = put(
        tmp_path,
        "sheet.csv",
        "Identifier,Full name,Grade\nParticipant 48213,Ada Lovelace,\nParticipant 7,Bo Diddley,\n",
    )
    grade.main(["export", "final", str(sheet), *tables])
    lines = (tmp_path / "sheet_filled.csv").read_text(encoding="utf8").splitlines()
    assert lines[1:] == ["Participant 48213,Ada Lovelace,76", "Participant 7,Bo Diddley,80"]
