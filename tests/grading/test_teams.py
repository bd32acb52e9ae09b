"""A team's work: one member hands in, and policy.toml says who shares the points."""

from datetime import UTC, datetime, timedelta

import pytest

pytest.importorskip("nbgrader.api", reason="requirements-teach.lock")

from tests.grading.support import new_gradebook
from tools.grading.final import final
from tools.grading.record import COURSE, Policy, fill, marks, marks_and_shares
from tools.grading.roster import Roster

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")  # nbgrader's

DUE = datetime(2026, 10, 1, tzinfo=UTC)
DAY = timedelta(days=1)
TEAMS = {"capstone": [["ada", "bo", "cy"], ["di"]]}


@pytest.fixture
def database(tmp_path):
    """Ada has handed in ps1, and Bo the capstone, a day late, after an earlier try by Cy."""
    sets = {"ps1": {"test": 10}, "capstone": {"test": 10}}
    handed_in = [("ps1", "ada", DUE, (8,)), ("capstone", "cy", DUE, (2,))]
    handed_in.append(("capstone", "bo", DUE + DAY, (6,)))
    people = dict.fromkeys(("ada", "bo", "cy", "di"), "")
    return f"sqlite:///{new_gradebook(tmp_path / 'gradebook.db', sets, people, handed_in)}"


def test_all_members_get_the_last_submission_of_their_team(database, tmp_path):
    policy = Policy({"capstone": DUE}, cost=50, teams=TEAMS, weights={"ps1": 1, "capstone": 3})
    rows = {row["student"]: row for row in marks(database, policy)}
    assert [rows[s]["capstone"] for s in ("ada", "bo", "cy", "di")] == [6, 6, 6, 0]
    assert {rows[s]["capstone late"] for s in ("ada", "bo", "cy")} == {1}
    assert rows["ada"]["per cent"] == 42.5  # (0.8 · 1 + 0.6 · 0.5 · 3) / 4
    assert rows["cy"]["per cent"] == 22.5
    table = tmp_path / "in.csv"
    table.write_text(
        "Identifier,Full name,Grade\nParticipant 1,ada,\nParticipant 2,cy,\n", encoding="utf8"
    )
    assert fill(table, list(rows.values()), "capstone", tmp_path / "out.csv", Roster([]))[0] == 2
    assert (tmp_path / "out.csv").read_text().count(",3.0") == 2


def test_what_the_gradebook_has_goes_into_the_final_mark(database, tmp_path):
    (tmp_path / "exam.csv").write_text("student,points\nada,30\n", encoding="utf8")
    weights = {"ps1": 1, "capstone": 3, "exam": 4}
    policy = Policy({"capstone": DUE}, cost=50, teams=TEAMS, weights=weights)
    out, said = final(*marks_and_shares(database, policy), policy, tmp_path / "exam.csv")
    exact = {row["student"]: row["exact"] for row in out}
    assert exact["ada"] == 46.25  # (0.8 · 1 + 0.6 · 0.5 · 3 + 0.5 · 4) / 8
    assert exact["cy"] == 11.25 and "Without points in the exam, 3: bo, cy, di" in said


def test_without_teams_everybody_has_their_own(database):
    assert [row["capstone"] for row in marks(database, Policy({}))] == [0, 6, 2, 0]


def test_a_late_team_costs_each_member_their_own_late_day(database):
    due = {"ps1": DUE - DAY, "capstone": DUE}
    policy = Policy(due, free_days=1, cost=50, teams=TEAMS)
    found = {row["student"]: row["capstone counts"] for row in marks(database, policy)}
    assert found == {"ada": 3, "bo": 6, "cy": 6, "di": 0}  # Ada's free day went to ps1


def test_a_name_that_nobody_has_is_an_error(database):
    with pytest.raises(SystemExit, match="nobody called adda"):
        marks(database, Policy({}, teams={"capstone": [["adda", "bo"]]}))


@pytest.mark.parametrize(
    "line, message",
    [
        ('capstone = ["ada", "bo"]', "must look like"),
        ("capstone = [[48213, 48217]]", "must look like"),
        ("capstone = 3", "must look like"),
        ('capstone = [["ada", "bo"], ["cy", "bo"]]', "bo in two places"),
    ],
)
def test_a_wrong_list_of_teams_is_named(line, message, tmp_path):
    (tmp_path / "p.toml").write_text(f"[teams]\n{line}\n", encoding="utf8")
    with pytest.raises(SystemExit, match=message):
        Policy.of(tmp_path / "p.toml")


def test_the_example_of_the_policy_is_a_list_of_teams(tmp_path):
    text = (COURSE / "policy.toml").read_text(encoding="utf8")
    (tmp_path / "p.toml").write_text(text.replace("# capstone = [", "capstone = ["), "utf8")
    assert Policy.of(tmp_path / "p.toml").teams["capstone"] == [
        ["48213", "48217", "48220"],
        ["48301", "48302"],
    ]
