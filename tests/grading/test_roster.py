"""A person is the same in every set, whatever the platform calls them in one of them."""

import shutil
import unicodedata
import zipfile

import nbformat
import pytest

pytest.importorskip("nbgrader.api", reason="requirements-teach.lock")

from tests.grading.support import new_gradebook, put
from tools import grade
from tools.grading.collect import collect
from tools.grading.record import (
    Policy,
    add_everybody,
    fill,
    marks,
    marks_and_shares,
    source_of,
)
from tools.grading.repair import released
from tools.grading.roster import Roster, owners

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")  # nbgrader's

MOODLE = """First name,Last name,ID number,Email address,Groups
Ada,Lovelace,100,ada@uni.example,Monday
Jürgen,Müller-Lüdenscheidt,101,jm@uni.example,Monday
Síle,O'Neill,102,sile@uni.example,Friday
Ada,Lovelace,103,other.ada@uni.example,Friday
"""
GERMAN = """\ufeffVorname;Nachname;E-Mail-Adresse
Ada;Lovelace;ada@uni.example
Jürgen;Müller-Lüdenscheidt;jm@uni.example
"""
CANVAS = """Student,ID,SIS User ID,SIS Login ID,Section,ps1 (99317),ps2 (99318)
    Points Possible,,,,,30,34
"Lovelace, Ada",7421,u1,ada,A,,
"Lovelace, Ada",7422,u2,ada2,A,,
"Student, Test",7499,,x,A,,
"""
WORKSHEET = """ID,Vollständiger Name,ID-Nummer,E-Mail-Adresse,Status,Bewertung,Bestwertung
Teilnehmer/in51901,Ada Lovelace,103,other.ada@uni.example,Abgegeben,,"30,00"
Teilnehmer/in51877,Ada Lovelace,100,ada@uni.example,Abgegeben,,"30,00"
Teilnehmer/in51870,Síle O'Neill,102,sile@uni.example,-,,"30,00"
"""


def released_ps1() -> str:
    return nbformat.writes(released(source_of("ps1")))


@pytest.fixture
def who(tmp_path):
    """who(*paths): whom owners takes the owners of these files for, {number: (id, problem)}."""

    def look(*paths, assignment="ps1"):
        with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
            for path in paths:
                archive.writestr(path, b"{}")
        roster = Roster.of(tmp_path / "roster.csv")
        found = collect(tmp_path / "all.zip", assignment)
        named = owners(found, roster, tmp_path / f"{assignment}_worksheet.csv")
        return {given: (student, problem) for given, (student, _, problem) in named.items()}

    return look


def moodle(name, number):
    return f"{name}_{number}_assignsubmission_file_/ps1.ipynb"


@pytest.mark.parametrize("roster", [MOODLE, GERMAN, None], ids=["moodle", "german", "none"])
def test_moodles_numbers_are_not_people(who, tmp_path, roster):
    if roster:
        put(tmp_path, "roster.csv", roster)
    name = "Jürgen Müller-Lüdenscheidt"
    first = who(moodle(name, 48213))
    second = who(moodle(unicodedata.normalize("NFD", name), 51901), assignment="ps2")
    expected = {MOODLE: "101", GERMAN: "jm@uni.example", None: "Jürgen_Müller-Lüdenscheidt"}
    assert [*first.values(), *second.values()] == [(expected[roster], "")] * 2


def test_how_moodle_writes_a_name_does_not_matter(who, tmp_path):
    put(tmp_path, "roster.csv", MOODLE)
    for name in ("Síle ONeill", "ONeill Síle", "O'Neill, Síle"):  # sites choose the order
        assert who(moodle(name, 5))["5"] == ("102", "")


def test_two_people_of_one_name_need_the_worksheet(who, tmp_path):
    both = moodle("Ada Lovelace", 51901), moodle("Ada Lovelace", 51877)
    for roster in (None, MOODLE):  # without a roster, with one
        if roster:
            put(tmp_path, "roster.csv", roster)
        for _, problem in who(*both).values():
            assert "two people called Ada Lovelace" in problem and "ps1_worksheet.csv" in problem
    put(tmp_path, "ps1_worksheet.csv", WORKSHEET)
    assert who(*both) == {"51901": ("103", ""), "51877": ("100", "")}
    assert "two people" in who(both[0], assignment="ps2")["51901"][1]  # another set's worksheet


def test_who_is_not_on_the_roster_is_not_graded_and_named(who, tmp_path):
    put(tmp_path, "roster.csv", MOODLE)
    (_, problem) = who(moodle("Eve Il", 7), moodle("Síle O'Neill", 8))["7"]
    assert "Eve Il is not in" in problem and "roster.csv" in problem


def test_canvas_is_known_by_its_number(who, tmp_path):
    put(tmp_path, "roster.csv", CANVAS)
    found = who("lovelaceada_7422_99317_ps1-1.ipynb", "lovelaceada_LATE_7421_99318_ps1.ipynb")
    assert found == {"7422": ("7422", ""), "7421": ("7421", "")}
    people = Roster.of(tmp_path / "roster.csv").people
    assert [(one.id, one.name) for one in people] == [
        ("7421", "Ada Lovelace"),
        ("7422", "Ada Lovelace"),
    ]


def test_folders_are_known_by_anything_that_says_who_it_is(who, tmp_path):
    put(tmp_path, "roster.csv", "student,name,GitHub\n100,Ada Lovelace,adal\n101,Bo Diddley,bo\n")
    assert who("ps1-adal/ps1.ipynb", "101/ps1.ipynb") == {"adal": ("100", ""), "101": ("101", "")}


@pytest.mark.parametrize(
    "text, complaint",
    [
        ("Surname,Points\nLovelace,3\n", "columns Surname, Points, but it needs Student and ID"),
        ("", "an empty file"),
        ("Full name\nAda\nAda\n", "Ada more than once.*ID number, Username or Email"),
        ("student,name\n1,Ada\n,Bo\n", "line 3 has no id"),
        ("student,name\n1,\n", "line 2 has no name"),
    ],
)
def test_a_roster_that_says_too_little_is_an_error(tmp_path, text, complaint):
    with pytest.raises(SystemExit, match=complaint):
        Roster.of(put(tmp_path, "roster.csv", text))


# ---- The gradebook, and the tables that go back ----


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = tmp_path_factory.mktemp("made") / "gradebook.db"
    sets = {"ps1": {"test": 10}, "ps2": {"test": 10}}
    return new_gradebook(path, sets, {"100": "Ada Lovelace"}, [("ps1", "100", None, (8,))])


@pytest.fixture
def database(made, tmp_path):
    """A gradebook with two sets and with ps1 of Ada Lovelace, who is 100."""
    return f"sqlite:///{shutil.copy(made, tmp_path / 'gradebook.db')}"


def test_two_people_of_one_name_leave_the_list_once_the_worksheet_is_there(tmp_path, monkeypatch):
    """They are refused by Moodle's numbers, and graded by the roster's."""
    monkeypatch.setenv("GRADING", str(tmp_path))
    paths = [moodle("Ada Lovelace", number) for number in (51877, 51901)]
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for path in paths:
            archive.writestr(path, released_ps1())
    roster = Roster.of(put(tmp_path, "roster.csv", MOODLE))
    found, kept = collect(tmp_path / "all.zip", "ps1"), grade.not_graded_file("ps1")
    sheet = tmp_path / "ps1_worksheet.csv"

    def graded() -> list[tuple[str, bool]]:
        rows = grade.rows_of(found, owners(found, roster, sheet), source_of("ps1"), "ps1")
        grade.remember_problems(rows, kept)
        return sorted((row.student, bool(row.problem)) for row in rows)

    assert graded() == [("51877", True), ("51901", True)]
    why = grade.not_graded(kept)[0]["why"]
    assert str(sheet) in why and "participants" not in why  # roster.csv is there
    assert len(grade.not_graded(kept)) == 2
    sheet.write_text(WORKSHEET, encoding="utf8")
    assert graded() == [("100", False), ("103", False)]
    assert not kept.exists()


def test_canvas_test_student_is_known_by_the_table_or_by_its_name(tmp_path):
    names = ("studenttest_7499_1_ps1.ipynb", "studenttest_7500_1_ps1.ipynb")
    names += ("lovelaceada_7421_2_ps1.ipynb",)
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for name in names:
            archive.writestr(name, b"{}")
    found = collect(tmp_path / "all.zip", "ps1")
    left = lambda roster: [g for g, f in found.items() if roster.is_test_student(g, f[-1])]
    roster = Roster.of(put(tmp_path, "roster.csv", CANVAS))
    assert sorted(left(roster)) == ["7499", "7500"]
    real = Roster.of(put(tmp_path, "own.csv", "student,name\n7499,Test Student\n"))
    assert left(real) == ["7500"]
    assert left(Roster([])) == []  # without a roster, it is how to try the whole way


def test_who_hands_in_nothing_has_a_row(database, tmp_path, monkeypatch, capsys):
    put(tmp_path, "roster.csv", MOODLE)
    monkeypatch.setenv("GRADING", str(tmp_path))
    put(tmp_path, "teams.toml", '[teams]\nps1 = [["100", "101"]]\n')
    put(tmp_path, "exam.toml", "[weights]\nps1 = 1\nps2 = 1\nexam = 2\n")
    exam = put(tmp_path, "exam.csv", "student,points\n102,30\n")
    grade.main(["marks", "--policy", str(tmp_path / "exam.toml"), "--exam", str(exam)])
    said = capsys.readouterr().out
    assert "Nothing handed in, 3: Ada Lovelace, Jürgen Müller-Lüdenscheidt, Síle O'Neill" in said
    assert "has no date for ps1, ps2: nobody is late" in said
    sheet = put(tmp_path, "sheet.csv", WORKSHEET)
    grade.main(["export", "ps2", str(sheet), "--policy", str(tmp_path / "teams.toml")])
    assert "0 because nothing of theirs was graded, 4: Ada Lovelace, Ada" in capsys.readouterr().out
    rows = {row["student"]: row for row in marks(database, Policy.of(tmp_path / "teams.toml"))}
    assert [(s, rows[s]["ps1"], rows[s]["nothing handed in"]) for s in sorted(rows)] == [
        ("100", 8, "ps2"),
        ("101", 8, "ps2"),  # of Ada's team
        ("102", 0, "ps1, ps2"),
        ("103", 0, "ps1, ps2"),
    ]
    text = (tmp_path / "final.csv").read_text(encoding="utf8")
    assert "102,Síle O'Neill,0.0,0.0,50.0,30.0,25.0,25" in text


def test_whoever_left_is_named_and_an_old_id_of_somebody_is_refused(database, tmp_path):
    roster = Roster.of(put(tmp_path, "roster.csv", "student,name\n7,Bo Diddley\n"))
    assert add_everybody(database, roster) == ["Ada Lovelace"]
    with pytest.raises(SystemExit, match="graded under ids .*student remove"):
        text = "student,name\n1,Ada Lovelace\n"
        add_everybody(database, Roster.of(put(tmp_path, "roster.csv", text)))
    assert {row["student"] for row in marks(database, Policy({}))} == {"100", "7"}
    assert add_everybody(database, Roster([])) == []


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_points_go_into_a_german_worksheet(database, tmp_path, delimiter):
    roster = Roster.of(put(tmp_path, "roster.csv", MOODLE))
    add_everybody(database, roster)
    sheet = WORKSHEET.replace('"30,00"', "30").replace(",", delimiter)
    table, out = put(tmp_path, "in.csv", "\ufeff" + sheet), tmp_path / "out.csv"
    rows, _ = marks_and_shares(database, Policy({}))
    left = ["Jürgen Müller-Lüdenscheidt"]
    assert fill(table, rows, "ps1", out, roster) == (3, left)
    lines = out.read_text(encoding="utf8").splitlines()
    assert lines[0].split(delimiter) == WORKSHEET.splitlines()[0].split(",")
    assert [line.split(delimiter)[5] for line in lines[1:]] == ["0.0", "8.0", "0.0"]


def test_two_lines_for_one_person_are_not_filled_in(tmp_path):
    rows = [{"student": "Ada_Lovelace", "name": "Ada Lovelace", "ps1 counts": 3.0}]
    with pytest.raises(SystemExit, match="lines 2 and 3: both could be Ada Lovelace.*roster"):
        fill(put(tmp_path, "in.csv", WORKSHEET), rows, "ps1", tmp_path / "out.csv", Roster([]))


@pytest.mark.parametrize("text", ["Name,Note\nAda,\n", "Identifier,Grade\nParticipant 1,\n", ""])
def test_an_unknown_table_is_listed(text, tmp_path):
    with pytest.raises(SystemExit, match="has the columns .*Full name.*Bewertung.*Student and ID"):
        fill(put(tmp_path, "in.csv", text), [], "ps1", tmp_path / "out.csv", Roster([]))


def moodles_reading(part: str) -> tuple[str, str, str, str]:
    """(number, type, plugin, file) as assignfeedback_file_zip_importer takes a name apart."""
    _, number, kind, plugin, name = part.split("_", 4)
    return number, kind, plugin, name


def test_feedback_goes_back_by_the_platforms_names(tmp_path):
    given = {
        "100": moodle("Ada Lovelace", 48213),
        "101": "Bo_48217_assignsubmission_file_ps1 (1).ipynb",
        "7421": "lovelaceada_LATE_7421_99317_ps1-1.ipynb",
        "7": "submitted/7/ps1/ps1.ipynb",
    }
    rows = [grade.Row(student, "", path) for student, path in given.items()]
    grade.remember_names(rows[:1], tmp_path / "ps1_files.json")
    grade.remember_names(rows[1:], tmp_path / "ps1_files.json")
    grade.remember_names([grade.Row("100", "", "100/ps1/ps1.ipynb")], tmp_path / "ps1_files.json")
    for student in given:
        page = tmp_path / "feedback" / student / "ps1"
        page.mkdir(parents=True)
        put(page, "ps1.html", student)
    assert len(grade.feedback_archives(tmp_path, "ps1")) == 2
    with zipfile.ZipFile(tmp_path / "feedback" / "ps1_moodle.zip") as archive:
        found = {moodles_reading(n): archive.read(n).decode() for n in archive.namelist()}
    assert found == {
        ("48213", "assignfeedback", "file", "ps1.html"): "100",
        ("48217", "assignfeedback", "file", "ps1.html"): "101",
    }
    with zipfile.ZipFile(tmp_path / "feedback" / "ps1_canvas.zip") as archive:
        (name,) = archive.namelist()
    assert name == "lovelaceada_LATE_7421_99317_ps1-1.html"
    assert [part for part in name.split("_") if part.isdigit()] == ["7421", "99317"]
