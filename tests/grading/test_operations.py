"""What an instructor corrects by hand: times, more time, illness, points; and what export refuses.

One gradebook serves all tests: nobody's submission is graded here.
"""

import csv
import json
import os
import shutil
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

pytest.importorskip("nbgrader.api", reason="requirements-teach.lock")

from tests.grading.support import new_gradebook, put
from tools import grade
from tools.grading.final import final
from tools.grading.record import Policy, marks_and_shares
from tools.grading.roster import Roster
from tools.grading.times import Times, moment_of

pytestmark = [
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning"),  # nbgrader's
    pytest.mark.skipif(os.name == "nt", reason="grading needs Linux"),
]

BERLIN = ZoneInfo("Europe/Berlin")
DUE = datetime(2026, 10, 12, 23, 59, tzinfo=BERLIN)
DAY = timedelta(days=1)
POLICY = """[due]
timezone = "Europe/Berlin"
ps1 = 2026-10-12T23:59:00+02:00
capstone = 2026-11-30T23:59:00+01:00
[late]
cost = 20
most_days = 3
[weights]
ps1 = 1
capstone = 3
"""
ROSTER = """Vorname;Nachname;ID-Nummer
Ada;Lovelace;100
Bo;Diddley;101
Cy;Twombly;102
Jürgen;Müller-Lüdenscheidt;103
"""
GERMAN = """ID;Vollständiger Name;ID-Nummer;Status;Bewertung;Zuletzt geändert (Abgabe)
Teilnehmer/in7;Ada Lovelace;100;Zur Bewertung abgegeben;;Dienstag, 13. Oktober 2026, 10:37
Teilnehmer/in8;Bo Diddley;101;Zur Bewertung abgegeben;;Montag, 12. Oktober 2026, 23:50
Teilnehmer/in9;Cy Twombly;102;Keine Abgabe;;-
"""
CELLS = ("packed_mask_seen", "packed_mask_batch", "join_two")


def table(path):
    with path.open(newline="", encoding="utf8") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Ada and Bo have ps1, worth 5 of 8 points; Bo has the capstone with 4 of 8."""
    path = tmp_path_factory.mktemp("made") / "gradebook.db"
    sets = {"ps1": dict(zip(CELLS, (2, 2, 4), strict=True)), "capstone": {"hear_ends": 8}}
    late, of_ps1 = DUE + 2 * DAY, (2, 1, 2)
    handed_in = [("ps1", "100", late, of_ps1), ("ps1", "101", late, of_ps1)]
    handed_in.append(("capstone", "101", late, (4,)))
    return new_gradebook(path, sets, {"100": "Ada Lovelace", "101": "Bo Diddley"}, handed_in)


@pytest.fixture
def room(made, tmp_path, monkeypatch):
    """The gradebook's folder, with a roster and a policy."""
    shutil.copy(made, tmp_path / "gradebook.db")
    put(tmp_path, "roster.csv", ROSTER)
    put(tmp_path, "policy.toml", POLICY)
    monkeypatch.setenv("GRADING", str(tmp_path))
    return tmp_path


def run(room, *words):
    grade.main([*map(str, words), "--policy", str(room / "policy.toml")])


def marked(room):
    run(room, "marks")
    return table(room / "marks.csv")


# ---- When something was handed in ----


@pytest.mark.parametrize(
    "text",
    [
        "Tuesday, 13 October 2026, 2:05 PM",
        "Tuesday, October 13, 2026, 2:05\u202fPM",
        "Dienstag, 13. Oktober 2026, 14:05",
        "2026-10-13 14:05",
        "2026-10-13T12:05:00Z",
        "2026-10-13 14:05+02:00",
        "13.10.2026 14:05",
        "13 Oct 2026, 14:05",
    ],
)
def test_a_time_as_moodle_and_people_write_it(text):
    assert moment_of(text, BERLIN) == datetime(2026, 10, 13, 14, 5, tzinfo=BERLIN)


def test_midnight_and_noon_have_no_zero_in_english():
    hours = [moment_of(f"1 May 2026, 12:10 {half}", UTC).hour for half in ("AM", "pm")]
    assert hours == [0, 12]


@pytest.mark.parametrize("text", ["10/12/2026 23:50", "yesterday", "13. Oktober 2026", "45.1.2026"])
def test_a_time_that_may_be_two_or_none_is_refused(text):
    with pytest.raises(ValueError):
        moment_of(text, BERLIN)


def test_the_platforms_list_goes_before_the_download_and_times_csv_before_both(room, capsys):
    rows = marked(room)
    assert [rows[s]["ps1 late"] for s in ("100", "101", "102")] == ["2", "2", "0"]
    assert float(rows["100"]["ps1 counts"]) == 3
    put(room, "ps1_worksheet.csv", GERMAN)
    rows = marked(room)
    assert [rows[s]["ps1 late"] for s in ("100", "101")] == ["1", "0"]
    assert rows["100"]["ps1 handed in"] == "2026-10-13 10:37"
    assert "ps1: times from ps1_worksheet.csv (2)" in capsys.readouterr().out
    put(room, "times.csv", "student;set;time\nBo Diddley;ps1;2026-10-15 08:00\n")
    rows = marked(room)
    assert [rows[s]["ps1 late"] for s in ("100", "101")] == ["1", "3"]
    assert "times.csv (1)" in capsys.readouterr().out


@pytest.mark.parametrize(
    "text, complaint",
    [
        ("student,set\n100,ps1\n", "needs student, set and time"),
        ("student,set,time\n100,ps1,10/12/2026\n", r"line 2: '10/12/2026'.*2026-10-12 23:50"),
        ("student,set,time\n7,ps1,2026-10-12 23:50\n", "line 2: the gradebook knows nobody.*7"),
        ("student,set,time\n100,ps8,2026-10-12 23:50\n", "line 2: there is no set ps8"),
    ],
)
def test_a_wrong_line_of_times_csv_is_named(room, text, complaint):
    put(room, "times.csv", text)
    with pytest.raises(SystemExit, match=complaint):
        run(room, "marks")


def test_canvas_mark_says_who_was_late(room, capsys):
    """Its archive's dates are those of the download: here, two days after the due date."""
    files = {"100": "lovelaceada_100_99_ps1.ipynb", "101": "diddleybo_LATE_101_98_ps1.ipynb"}
    put(room, "ps1_files.json", json.dumps(files))
    rows = marked(room)
    assert [rows[s]["ps1 late"] for s in ("100", "101")] == ["0", "1"]
    assert [rows[s]["ps1 handed in"] for s in ("100", "101")] == ["in time", "LATE"]
    assert "not how late, and times.csv has no time for 1: Bo Diddley" in capsys.readouterr().out
    put(room, "times.csv", "student,set,time\n101,ps1,2026-10-15 08:00\n")
    assert marked(room)["101"]["ps1 late"] == "3"
    assert "not how late" not in capsys.readouterr().out


def rows_after_a_look(room, late_by):
    row = grade.Row("101", "Bo", "diddleybo_LATE_101_98_ps1.ipynb", DUE + late_by)
    policy = Policy.of(room / "policy.toml")
    grade.look_at_times([row], "ps1", Roster.of(room / "roster.csv"), policy)
    return row


def test_the_table_names_what_canvas_and_the_date_disagree_about(room):
    row = rows_after_a_look(room, -DAY)
    assert row.hints[0].startswith("Canvas says LATE, the date in the archive says in time. ")
    assert "counts as 1 day late until times.csv" in row.hints[0]
    assert row.time == DUE - DAY and row.status == "graded"
    assert "in time" not in rows_after_a_look(room, DAY).hints[0]
    put(room, "times.csv", "student,set,time\n101,ps1,2026-10-15 08:00\n")
    row = rows_after_a_look(room, -DAY)
    assert not row.hints and row.time == datetime(2026, 10, 15, 8, tzinfo=BERLIN)


def test_another_time_than_before_is_named(tmp_path):
    row = grade.Row("7", "Ada", time=DUE)
    stamp = tmp_path / "timestamp.txt"
    grade.write_stamp(row, stamp)
    grade.write_stamp(row, stamp)
    assert not row.hints and stamp.read_text() == "2026-10-12 21:59:00 UTC"
    put(tmp_path, "timestamp.txt", "2026-10-11 12:00:00 UTC")
    grade.write_stamp(row, stamp)
    assert "before this grading 2026-10-11 12:00:00 UTC" in row.hints[0]
    assert "times.csv" in row.hints[0] and stamp.read_text() == "2026-10-12 21:59:00 UTC"


# ---- More time, and sets that don't count ----


def test_more_time_costs_no_late_day_and_is_its_teams(room, capsys):
    put(room, "times.csv", "student,set,time\n101,capstone,2026-12-02 12:00\n")
    teams = '[teams]\ncapstone = [["101", "102"]]\n'
    put(room, "policy.toml", POLICY + teams)
    assert [marked(room)[s]["capstone late"] for s in ("101", "102")] == ["2", "2"]
    more = '[extensions]\nps1 = {"100" = 1}\ncapstone = {"102" = 2026-12-02T18:00:00+01:00}\n'
    put(room, "policy.toml", POLICY + teams + more)
    capsys.readouterr()
    rows = marked(room)
    assert [rows[s]["capstone late"] for s in ("101", "102")] == ["0", "0"]
    assert [rows[s]["ps1 late"] for s in ("100", "101")] == ["1", "2"]
    said = capsys.readouterr().out
    assert "ps1: more time for Ada Lovelace until 2026-10-13 23:59" in said
    assert "capstone: more time for Cy Twombly until 2026-12-02 18:00" in said


def test_an_excused_set_leaves_the_weights(room, capsys):
    put(room, "policy.toml", POLICY + '[excused]\nps1 = ["102"]\ncapstone = ["100", "102"]\n')
    rows = marked(room)
    assert rows["100"]["per cent"] == "37.5"  # 5 of 8 points, two days late, and nothing else
    assert rows["100"]["capstone counts"] == "excused" == rows["102"]["ps1 counts"]
    assert (rows["100"]["nothing handed in"], rows["100"]["excused"]) == ("", "capstone")
    assert "capstone: doesn't count for Ada Lovelace, Cy Twombly" in capsys.readouterr().out
    sheet = put(room, "canvas.csv", "Student,ID,capstone (9)\n,,\n,100,\n,101,\n")
    run(room, "export", "capstone", sheet)
    lines = (room / "canvas_filled.csv").read_text(encoding="utf8").splitlines()
    assert lines[1:] == [",100,EX", ",101,4.0"]
    sheet = put(room, "moodle.csv", "Identifier,ID number,Full name,Grade\n1,100,x,\n2,101,y,\n")
    run(room, "export", "capstone", sheet)
    lines = (room / "moodle_filled.csv").read_text(encoding="utf8").splitlines()
    assert lines[1:] == ["1,100,x,", "2,101,y,4.0"]


def test_an_excused_set_leaves_the_weights_of_the_final_mark(tmp_path):
    names = {"7": "Ada", "8": "Bo"}
    rows = [{"student": student, "name": name} for student, name in names.items()]
    shares = {"7": {"ps1": 0.8}, "8": {"ps1": 0.8}}
    exam = put(tmp_path, "exam.csv", "student,points\n7,30\n8,30\n")
    weights = {"ps1": 25, "capstone": 50, "exam": 25}
    policy = Policy({}, weights=weights, excused={"capstone": ["7"]})
    out, said = final(rows, shares, policy, exam)
    assert [row["exact"] for row in out] == [65, 32.5]
    assert [row["capstone"] for row in out] == ["excused", 0]
    assert [row["nothing handed in"] for row in out] == ["", "capstone"]
    assert "Excused from capstone, which has no weight for them, 1: Ada" in said
    project = put(tmp_path, "projects.csv", "student,points\n7,6\n")
    with pytest.raises(SystemExit, match="Ada is excused from the capstone, but is in"):
        final(rows, shares, policy, exam, project=project)


@pytest.mark.parametrize(
    "text, complaint",
    [
        ('[extensions]\nps2 = {"100" = 3}', "extensions.ps2 needs a date for ps2"),
        ('[extensions]\nps1 = {"100" = "3"}', "number of days, or a time"),
        ('[extensions]\nps1 = {"100" = 2026-10-14T12:00:00}', "with its offset from UTC"),
        ('[extensions]\nps1 = ["100"]', "must name people"),
        ('[excused]\nps1 = "100"', "must look like"),
        ('[excused]\nexam = ["100"]', "writes the next one"),
        ('[excused]\nps7 = ["100"]', "neither a date nor a weight"),
        ('[excused]\nps1 = ["999"]', "nobody called 999, who are in excused.ps1"),
        ('[extensions]\nps1 = {"999" = 3}', "nobody called 999, who are in extensions.ps1"),
    ],
)
def test_a_wrong_exception_is_named(room, text, complaint):
    put(room, "policy.toml", POLICY + text + "\n")
    with pytest.raises(SystemExit, match=complaint):
        run(room, "marks")


def test_what_is_about_people_can_be_kept_with_the_gradebook(room, tmp_path_factory):
    """Where no repository has it: the folder is ignored by git."""
    public = put(tmp_path_factory.mktemp("course"), "policy.toml", POLICY + "[excused]\nps1 = []\n")
    put(room, "policy.toml", '[excused]\nps1 = ["102"]\n[extensions]\nps1 = {"100" = 7}\n')
    grade.main(["marks", "--policy", str(public)])
    rows = table(room / "marks.csv")
    assert (rows["100"]["ps1 late"], rows["101"]["ps1 late"]) == ("0", "2")
    assert rows["102"]["excused"] == "ps1"


@pytest.mark.parametrize(
    "text, complaint",
    [
        ('[excuse]\nps1 = ["100"]', "has 'excuse', but it may only have .*extensions, excused"),
        ('excused = ["100"]', "has 'excused', but it may only"),
        ("[excused]\nps1 = [100", "policy.toml can't be read: Unclosed"),
        ("[late]\nfree = 5", "there is no late.free, only free_days, for_one_set"),
    ],
)
def test_a_policy_with_a_slip_of_the_pen_is_named(room, text, complaint):
    put(room, "policy.toml", text)
    with pytest.raises(SystemExit, match=complaint):
        run(room, "marks")


def test_without_a_roster_the_gradebooks_people_are_known(room):
    put(room, "times.csv", "student,set,time\nAda Lovelace,ps1,2026-10-12 20:00\n")
    (room / "roster.csv").unlink()
    assert marked(room)["100"]["ps1 late"] == "0"
    times = Times(room, ["ps1"], Roster([]), {})
    assert times.when("100", "ps1", DUE).time == DUE  # nobody is known, and nothing is lost
    assert marks_and_shares(f"sqlite:///{room / 'gradebook.db'}", Policy({}))[0]


# ---- What was handed in and not graded ----


def test_nothing_is_exported_while_somebodys_work_is_not_graded(room, capsys):
    sheet = put(room, "sheet.csv", GERMAN)
    path = grade.not_graded_file("ps1")
    broken = grade.Row("102", "Cy Twombly", "Cy_9_x/ps1.ipynb", problem="no JSON", given="9")
    clash = grade.Row("55", "Ada\nLovelace", "f", problem="two people", given="55")
    grade.remember_problems([broken, clash, grade.Row("100", "Ada", given="7")], path)
    with pytest.raises(SystemExit) as stopped:
        run(room, "export", "ps1", sheet)
    said = str(stopped.value)
    assert "2 students have handed in something for ps1 that was not graded" in said
    assert "    Cy Twombly: no JSON\n    Ada Lovelace: two people\n" in said
    assert "--ungraded" in said and str(path) in said
    assert not (room / "sheet_filled.csv").exists()
    with pytest.raises(SystemExit, match="for ps1 that was not graded"):
        run(room, "export", "final", sheet)
    run(room, "marks")
    said = capsys.readouterr().out
    assert "ps1: handed in and NOT GRADED, 2: Cy Twombly, Ada Lovelace" in said
    assert "Nothing handed in, 1: Jürgen Müller-Lüdenscheidt\n" in said  # Cy has, a broken file
    run(room, "export", "ps1", sheet, "--ungraded")
    assert "3 students filled in" in capsys.readouterr().out
    # Graded again: Cy by his id, and Ada by the number that the platform has for her.
    again = [grade.Row("102", "Cy", given="cy"), grade.Row("100", "Ada Lovelace", given="55")]
    grade.remember_problems(again[:1], path)
    assert [one["platform"] for one in grade.not_graded(path)] == ["55"]
    grade.remember_problems(again, path)
    assert not path.exists()
    run(room, "export", "ps1", sheet)


def test_a_grading_that_is_stopped_leaves_everybody_on_the_list(room):
    path, rows = grade.not_graded_file("ps1"), [grade.Row("100", "Ada", given="7")]
    grade.remember_problems(rows, path, "stopped")
    assert [(one["name"], one["why"]) for one in grade.not_graded(path)] == [("Ada", "stopped")]
    grade.remember_problems(rows, path)
    assert not path.exists()


def test_a_list_without_its_columns_is_named(room):
    put(room, "ps1_not_graded.csv", "name\nAda\n")
    with pytest.raises(SystemExit, match="lacks the columns student, platform, file, why"):
        run(room, "export", "ps1", put(room, "sheet.csv", GERMAN))


# ---- Points that a person sets, and the pages of a team ----

REASON = "not explained on 12 November, Meyer & Roth"
TEAM = '[teams]\ncapstone = [["101", "102", "103"]]\n'


def test_points_are_set_with_a_reason_and_can_be_taken_back(room, capsys):
    run(room, "points", "ps1", "Ada Lovelace", "packed_mask", "0", REASON)
    said = capsys.readouterr().out
    assert "Ada Lovelace has 2 points in ps1, before 5. ps1, packed_mask: 0 points" in said
    lines = (room / "points.csv").read_text(encoding="utf8").splitlines()
    assert lines == ["student,set,task,points,reason", f'100,ps1,packed_mask,0,"{REASON}"']
    rows = marked(room)
    assert (rows["100"]["ps1"], rows["101"]["ps1"]) == ("2.0", "5.0")
    assert float(rows["100"]["ps1 counts"]) == 1.2  # two days late
    assert rows["100"]["points set by hand"] == (
        f"ps1, packed_mask: 0 points in place of 3, {REASON}"
    )
    assert REASON in capsys.readouterr().out
    run(room, "points", "ps1", "100", "packed_mask", "1,5", "explained", "after", "all")
    assert "has 3.5 points in ps1, before 2." in capsys.readouterr().out  # the last line counts
    (room / "points.csv").unlink()
    assert marked(room)["100"]["ps1"] == "5.0"


def test_a_table_that_excel_has_saved_stays_one_table(room):
    head = "\ufeffstudent;set;task;points;reason"
    path = put(room, "points.csv", f"{head}\r\n101;ps1;join;1,5;partly\r\n")
    run(room, "points", "ps1", "100", "join", "0", REASON)
    assert path.read_text(encoding="utf8").splitlines()[2] == f"100;ps1;join;0;{REASON}"
    assert [marked(room)[student]["ps1"] for student in ("100", "101")] == ["3.0", "4.5"]


def test_a_set_as_a_whole_and_one_member_of_a_team(room):
    put(room, "policy.toml", POLICY + TEAM)
    run(room, "points", "capstone", "102", "all", "0", REASON)
    rows = marked(room)
    assert [rows[s]["capstone"] for s in ("101", "102", "103")] == ["4.0", "0.0", "4.0"]


@pytest.mark.parametrize(
    "words, complaint",
    [
        (["ps1", "100", "packed_mask", "0"], "points needs a set, a student, a task.*the reason"),
        (["ps1", "100", "packed_mask", "0", " "], "points needs"),
        (["ps1", "999", "packed_mask", "0", REASON], "nobody called 999"),
        (["ps1", "100", "packed", "0", REASON], "no task 'packed', only .*packed_mask.* and all"),
        (["ps1", "100", "packed_mask", "5", REASON], "5 points, but there are 0 to 4 for packed"),
        (["ps1", "100", "packed_mask", "none", REASON], "'none' is not a number"),
        (["ps1", "102", "packed_mask", "0", REASON], "102 has no submission of 'ps1'"),
        (["ps9", "100", "all", "0", REASON], "100 has no submission of 'ps9'"),
        (["ps1", "101", "all", "0", REASON], "another line about ps1 sets the whole set"),
    ],
)
def test_points_that_make_no_sense_are_not_written(room, words, complaint):
    before = f"student,set,task,points,reason\n101,ps1,join,1,{REASON}"  # no end of line
    path = put(room, "points.csv", before)
    with pytest.raises(SystemExit, match=complaint):
        run(room, "points", *words)
    assert path.read_text(encoding="utf8") == before
    run(room, "points", "ps1", "100", "join", "0", REASON)
    assert len(path.read_text(encoding="utf8").splitlines()) == 3


def test_every_member_has_the_teams_page_and_its_own_note(room, monkeypatch, capsys):
    put(room, "policy.toml", POLICY + TEAM)
    files = {"101": "Bo Diddley_8_assignsubmission_file_/capstone.ipynb"}
    put(room, "capstone_files.json", json.dumps(files))
    put(room, "capstone_worksheet.csv", GERMAN)
    put(room, "points.csv", f'student,set,task,points,reason\n102,capstone,all,0,"<{REASON}"\n')

    class Api:
        def generate_feedback(self, assignment):
            page = room / "feedback" / "101" / assignment
            page.mkdir(parents=True, exist_ok=True)
            put(page, f"{assignment}.html", "<html><body>\n4 / 8</body></html>")
            return {"success": True}

    monkeypatch.setattr(grade, "nbgrader_api", Api)
    monkeypatch.setattr(grade, "settle", lambda: None)
    run(room, "feedback", "capstone")
    pages = {
        s: (room / "feedback" / s / "capstone" / "capstone.html") for s in ("101", "102", "103")
    }
    texts = {student: page.read_text(encoding="utf8") for student, page in pages.items()}
    assert texts["101"] == texts["103"] == "<html><body>\n4 / 8</body></html>"
    assert "the whole set: 0 points in place of 4, &lt;not explained" in texts["102"]
    assert "Together 0 of 8 points, and not 4." in texts["102"] and "4 / 8" in texts["102"]
    with zipfile.ZipFile(room / "feedback" / "capstone_moodle.zip") as archive:
        assert archive.namelist() == [
            "Bo Diddley_8_assignfeedback_file_capstone.html",
            "Cy Twombly_9_assignfeedback_file_capstone.html",
        ]
    said = capsys.readouterr().out
    assert "Not in the archive for Moodle, 1: Jürgen Müller-Lüdenscheidt, because" in said
    assert "capstone_worksheet.csv" in said
    put(room, "capstone_files.json", json.dumps({"101": "diddleybo_101_98_capstone.ipynb"}))
    run(room, "feedback", "capstone")
    assert (
        "for Canvas, 2: Cy Twombly, Jürgen Müller-Lüdenscheidt, because" in capsys.readouterr().out
    )


# ---- Several at the same time ----


def test_two_submissions_at_a_time_and_no_two_gradings(room, monkeypatch):
    with pytest.raises(SystemExit):
        run(room, "ps1", room, "--jobs", "0")
    monkeypatch.setattr(grade.sandbox, "refuse_unprotected", lambda: None)
    monkeypatch.setattr(grade, "grade", lambda place, what, limits, jobs, policy: [place, jobs])
    monkeypatch.setattr(grade, "report", lambda rows, what: done.append(rows))
    done = []
    run(room, "ps1", "~/ps1.zip", "--jobs", "2")
    assert done == [[Path.home() / "ps1.zip", 2]]
    with grade.alone(), pytest.raises(SystemExit, match="Somebody is grading with .*JOBS=2"):
        run(room, "ps1", room)
