"""What nbgrader keeps: the gradebook, the notebooks that formgrader shows, the feedback.

nbgrader runs nothing of a submission any more: `Apart` takes the place of its Execute.
"""

import csv
import math
import os
import tomllib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import chain
from pathlib import Path
from zoneinfo import ZoneInfo

import nbformat
from nbgrader.api import Gradebook
from nbgrader.preprocessors import ClearHiddenTests, NbGraderPreprocessor

from tools.grading.changes import Changes
from tools.grading.examiner import Result, error_output, examine, is_test, of_nbgrader
from tools.grading.harmless import harmless
from tools.grading.roster import Person, Roster, read_table
from tools.grading.sandbox import refuse_unprotected
from tools.grading.times import DOWNLOAD, Handed, Times
from tools.notebooks import ROOT, read

COURSE = ROOT / "course"


def sources() -> Path:
    """The instructor's notebooks: this repository's, or a variant of them (tools/variants.py)."""
    return Path(os.environ.get("COURSE_SOURCE", COURSE / "source")).resolve()


def source_of(assignment: str) -> nbformat.NotebookNode:
    path = sources() / assignment / f"{assignment}.ipynb"
    if not path.is_file():
        known = ", ".join(sorted(p.name for p in sources().iterdir() if p.is_dir()))
        raise SystemExit(f"There is no assignment {assignment!r}; there are {known}.")
    return read(path)


class Apart(NbGraderPreprocessor):
    """Give a notebook the outputs that the examiner saw, so that nbgrader finds the points.

    `results` holds what has been examined already; anything else, such as a submission that is
    graded again from formgrader, is examined now.
    """

    results: dict[tuple[str, str], Result] = {}

    def preprocess(self, nb, resources):
        about = resources["nbgrader"]
        result = self.results.get((about["student"], about["notebook"]))
        if result is None:
            refuse_unprotected()
            result = examine(source_of(about["assignment"]), nb)
        for place, cell in enumerate(nb.cells):
            if cell.cell_type != "code":
                continue
            cell.outputs = [nbformat.from_dict(o) for o in result.outputs.get(place, [])]
            if is_test(cell):
                why = result.tests.get(of_nbgrader(cell).get("grade_id"), "this test was not run")
                cell.outputs = [error_output("AssertionError", why)] if why is not None else []
        return nb, resources


class Harmless(NbGraderPreprocessor):
    """Nothing of a student's may act in the browser of whoever reads it: see harmless.py."""

    def preprocess(self, nb, resources):
        return harmless(nb), resources


class HideTests(ClearHiddenTests):
    """Feedback without the tests that students do not see, and without their messages."""

    def preprocess_cell(self, cell, resources, cell_index):
        if "### BEGIN HIDDEN TESTS" in cell.source:
            for output in cell.get("outputs", []):
                if output.output_type == "error":
                    about = output.evalue.partition(":")[0][:80]
                    output.evalue = about
                    output.traceback = [f"This test failed at: {about}"]
        return super().preprocess_cell(cell, resources, cell_index)


# ---- Late days and marks -----------------------------------------------------------------------


LATE = ("free_days", "for_one_set", "cost", "most_days", "grace")
PARTS = ("due", "late", "weights", "pass", "teams", "extensions", "excused")  # of policy.toml


@dataclass
class Policy:
    """course/policy.toml: when a set is due, and what it costs to be late."""

    due: dict[str, datetime]
    free_days: int = 0  # for one person, over all sets
    for_one_set: int = 1000  # of these, at most
    cost: float = 10.0  # per cent of a set's points, for each further day
    most_days: int = 7  # later than this, nothing counts
    grace: int = 15  # minutes
    weights: dict[str, float] | None = None  # of the parts of the mark; equal if not given
    exam_points: float = 60.0  # of the whole exam
    project_points: float = 12.0  # of a project in place of the capstone
    exam_least: float = 0.0  # per cent of them that are needed to pass
    to_pass: float = 50.0  # per cent of everything together
    teams: dict[str, list[list[str]]] = field(default_factory=dict)  # {set: its teams}
    extensions: dict[str, dict[str, datetime | timedelta]] = field(default_factory=dict)
    excused: dict[str, list[str]] = field(default_factory=dict)  # {set: for whom it doesn't count}
    zone: tzinfo | None = None  # of the dates in the platform's archive; this machine's if None

    @classmethod
    def of(cls, *paths: Path) -> "Policy":
        """From these files, of which a later one adds to the parts of an earlier one."""
        there, data = [path for path in dict.fromkeys(paths) if path.is_file()], {}
        for one in there:
            try:
                found = tomllib.loads(one.read_text(encoding="utf8"))
            except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
                raise SystemExit(f"{one} can't be read: {error}.") from None
            for part, values in found.items():
                if part not in PARTS or not isinstance(values, dict):
                    raise SystemExit(
                        f"{one} has {part!r}, but it may only have the parts {', '.join(PARTS)}, "
                        "each under a line such as [due]."
                    )
                data.setdefault(part, {}).update(values)
        path = " and ".join(map(str, there))
        due = data.get("due", {})
        name = due.pop("timezone", None)
        late = data.get("late", {})
        if unknown := [key for key in late if key not in LATE]:
            raise SystemExit(f"{path}: there is no late.{unknown[0]}, only {', '.join(LATE)}.")
        policy = cls(due, **late)
        try:
            policy.zone = ZoneInfo(name) if name is not None else None
        except (TypeError, ValueError, OSError, LookupError):
            raise SystemExit(
                f'{path}: due.timezone is {name!r}, but must be a name such as "Europe/Berlin".'
            ) from None
        policy.weights, policy.teams = data.get("weights"), data.get("teams", {})
        for part, weight in (policy.weights or {}).items():
            if isinstance(weight, bool) or not isinstance(weight, int | float) or weight < 0:
                raise SystemExit(f"{path}: weights.{part} is {weight!r}, but must be a number.")
        for name, value in data.get("pass", {}).items():
            place = {"of_the_exam": "exam_least", "of_everything": "to_pass"}.get(name, name)
            if place not in ("exam_points", "project_points", "exam_least", "to_pass"):
                raise SystemExit(f"{path}: there is no pass.{name}.")
            if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
                raise SystemExit(f"{path}: pass.{name} is {value!r}, but must be above 0.")
            setattr(policy, place, value)
        for name, time in policy.due.items():
            if not isinstance(time, datetime) or time.tzinfo is None:
                raise SystemExit(f"{path}: due.{name} must be a time with its offset from UTC.")
        for name, teams in policy.teams.items():
            listed = isinstance(teams, list) and all(isinstance(team, list) for team in teams)
            if not listed or not all(isinstance(member, str) for member in chain(*teams)):
                raise SystemExit(f'{path}: teams.{name} must look like [["48213", "48217"], …].')
            if twice := [m for m, n in Counter(chain(*teams)).items() if n > 1]:
                raise SystemExit(f"{path}: teams.{name} has {', '.join(twice)} in two places.")
        policy.read_exceptions(path, data.get("extensions", {}), data.get("excused", {}))
        return policy

    def read_exceptions(self, path: Path, extensions: dict, excused: dict) -> None:
        """Who has more time for a set, and for whom it doesn't count at all."""
        for name, given in extensions.items():
            if name not in self.due:
                raise SystemExit(f"{path}: extensions.{name} needs a date for {name} under [due].")
            if not isinstance(given, dict):
                raise SystemExit(
                    f'{path}: extensions.{name} must name people, as in {name} = {{"48213" = 3}}.'
                )
            self.extensions[name] = {}
            for student, more in given.items():
                days = isinstance(more, int | float) and not isinstance(more, bool) and more > 0
                if not days and (not isinstance(more, datetime) or more.tzinfo is None):
                    raise SystemExit(
                        f"{path}: extensions.{name} gives {student} {more!r}, but it must be a "
                        "number of days, or a time with its offset from UTC."
                    )
                self.extensions[name][student] = timedelta(days=more) if days else more
        for name, listed in excused.items():
            if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
                raise SystemExit(f'{path}: excused.{name} must look like ["48213", "48217"].')
            if name == "exam":
                raise SystemExit(
                    f"{path}: nobody can be excused from the exam. Whoever was ill writes the "
                    "next one."
                )
            if name not in {*self.due, *(self.weights or {})}:
                raise SystemExit(f"{path}: excused.{name} has neither a date nor a weight.")
            self.excused[name] = listed

    def is_excused(self, student: str, name: str) -> bool:
        return student in self.excused.get(name, [])

    def due_for(self, student: str, name: str) -> datetime | None:
        """When a set is due for this person; what one member has counts for the whole team."""
        due, more = self.due.get(name), self.extensions.get(name, {})
        if due is None:
            return None
        team = next((team for team in self.teams.get(name, []) if student in team), [])
        given = [more[one] for one in {student, *team} if one in more]
        return max([due, *(due + g if isinstance(g, timedelta) else g for g in given)])

    def days_late(self, assignment: str, handed_in: datetime | None, student: str = "") -> int:
        """Days after the due date, each counted once it has begun; 0 if a time is not known.

        The minutes of grace count at the end of every day, not only of the first.
        """
        due = self.due_for(student, assignment)
        if due is None or handed_in is None:
            return 0
        late = handed_in - due - timedelta(minutes=self.grace)
        return max(0, math.ceil(late / timedelta(days=1)))

    def kept(
        self, times: dict[str, datetime | None], student: str = ""
    ) -> dict[str, tuple[int, float]]:
        """{set: (days late, the share of its points that counts)} for one person.

        Free days are used up in the order in which the sets are due.
        """
        free, shares = self.free_days, {}
        never = datetime.max.replace(tzinfo=UTC)
        for name in sorted(times, key=lambda name: (self.due.get(name, never), name)):
            late = self.days_late(name, times[name], student)
            used = min(late, free, self.for_one_set)
            free -= used
            share = max(0.0, 1 - self.cost / 100 * (late - used)) if late <= self.most_days else 0.0
            shares[name] = late, share
        return shares


def add_everybody(database: str, roster: Roster) -> list[str]:
    """Put the people of the roster into the gradebook: who is in it without being on the roster.

    So whoever hands in nothing has a row of zeros, and can have points in the exam.
    """
    if not roster.people:
        return []
    with Gradebook(database) as gradebook:
        before = {student.id: name_of(student) for student in gradebook.students}
    people = {person.id for person in roster.people}
    others = {one: name for one, name in before.items() if one not in people}
    if double := [one for one, name in others.items() if roster.by_name(name)]:
        raise SystemExit(
            f"The gradebook has {', '.join(double)}, graded under ids that are not those of "
            f"{roster.given}, which has people of the same names. Grade their sets again from what "
            "you downloaded, so that they get the roster's ids, and mark their answers in words "
            "again. Then remove each old id (cd course && nbgrader db student remove --force -- ID)"
            " and its folders in grading/submitted and grading/autograded."
        )
    with Gradebook(database) as gradebook:
        for person in roster.people:
            if before.get(person.id) != person.name:
                first, _, last = person.name.rpartition(" ")
                gradebook.update_or_create_student(person.id, first_name=first, last_name=last)
    return sorted(others.values())


NOTHING = "nothing handed in"  # the column that lists the sets of which nothing was graded
EXCUSED = "excused"  # what counts of a set that does not count, and the column that lists these
BY_HAND = "points set by hand"  # the column that says which and why
NONE: tuple[float, list[str]] = (0.0, [])
LONG_AGO = datetime.min.replace(tzinfo=UTC)


def marks(database: str, policy: Policy) -> list[dict]:
    """One row a student: each set's points, days late and what counts; the mark in per cent."""
    return marks_and_shares(database, policy)[0]


def marks_and_shares(
    database: str, policy: Policy, times: Times | None = None, changes: Changes | None = None
) -> tuple[list[dict], dict[str, dict[str, float]]]:
    """(the rows of `marks`, {student: {set handed in: the share that counts, not rounded}})."""
    rows, reached = [], {}
    used: set[tuple[str, str]] = set()
    with Gradebook(database) as gradebook:
        names = [a.name for a in gradebook.assignments]
        most = {a.name: a.max_score for a in gradebook.assignments}
        everybody = works_that_count(gradebook, policy, times)
        for student in gradebook.students:
            free = [name for name in names if policy.is_excused(student.id, name)]
            handed = {n: w for n, w in everybody[student.id].items() if n not in free}
            when = {n: handed_in(handed[n], times) for n in names if n in handed}
            shares = policy.kept({n: one.time for n, one in when.items()}, student.id)
            row = {"student": student.id, "name": name_of(student)}
            weights = {n: (policy.weights or dict.fromkeys(names, 1.0)).get(n, 0.0) for n in names}
            mark, reached[student.id], by_hand = 0.0, {}, []
            for name in names:
                late, share = shares.get(name, (0, 0.0))
                score, said = changed(student.id, handed[name], changes) if name in handed else NONE
                by_hand += [f"{name}, {text}" for text in said]
                if name in handed or name in free:
                    used.add((student.id, name))
                row |= {
                    name: score,
                    f"{name} handed in": when[name].shown(policy.zone) if name in when else "",
                    f"{name} late": late,
                    f"{name} counts": EXCUSED if name in free else round(score * share, 2),
                }
                open_ = name in handed and handed[name].needs_manual_grade
                row[f"{name} to read"] = "yes" if open_ else ""
                part = score * share / (most[name] or 1)
                mark += weights[name] * part
                if name in handed:
                    reached[student.id][name] = part
            row[NOTHING] = ", ".join(n for n in names if n not in handed and n not in free)
            row[EXCUSED] = ", ".join(free)
            row[BY_HAND] = "; ".join(by_hand)
            whole = sum(weight for name, weight in weights.items() if name not in free)
            row["per cent"] = round(100 * mark / (whole or 1), 1)
            rows.append(row)
    if changes:
        changes.refuse_unused(used)
    return sorted(rows, key=lambda row: row["name"]), reached


def changed(student: str, work, changes: Changes | None) -> tuple[float, list[str]]:
    """(the points of a submission for one person, what a person has set in it and why)."""
    name = work.assignment.name
    if not changes or (student, name) not in changes.by_work:
        return work.score, []
    about = map(of_nbgrader, source_of(name).cells)
    return changes.apply(student, work, [one["grade_id"] for one in about if one.get("solution")])


def handed_in(work, times: Times | None) -> Handed:
    """When a submission of the gradebook came, and what says so."""
    date, name = aware(work.timestamp), work.assignment.name
    return times.when(work.student_id, name, date) if times else Handed(date, DOWNLOAD)


def works_that_count(gradebook: Gradebook, policy: Policy, times: Times | None) -> dict[str, dict]:
    """{student: {set: the submission that counts}}: their own, or the last of their team."""
    everybody = {s.id: {w.assignment.name: w for w in s.submissions} for s in gradebook.students}
    for part, listed in (("extensions", policy.extensions), ("excused", policy.excused)):
        for name, people in listed.items():
            refuse_unknown(people, everybody, f"{part}.{name}")
    for name, several in policy.teams.items():
        refuse_unknown(chain(*several), everybody, f"teams.{name}")
        for team in several:
            works = [everybody[member][name] for member in team if name in everybody[member]]
            for member in team if works else []:
                everybody[member][name] = max(
                    works, key=lambda work: handed_in(work, times).time or LONG_AGO
                )
    return everybody


def refuse_unknown(people: Iterable[str], everybody: dict[str, dict], place: str) -> None:
    """Raises SystemExit if policy.toml is about somebody whom the gradebook doesn't know."""
    if unknown := sorted(set(people) - set(everybody)):
        raise SystemExit(
            f"The gradebook knows nobody called {', '.join(unknown)}, who are in {place} of "
            "policy.toml. marks.csv has the right names in its column student. If somebody has "
            "never handed in anything, add them to grading/roster.csv."
        )


def aware(time: datetime | None) -> datetime | None:
    return time.replace(tzinfo=UTC) if time is not None and time.tzinfo is None else time


def name_of(student) -> str:
    return " ".join(n for n in (student.first_name, student.last_name) if n) or student.id


def printable(text: str) -> str:
    """Text of students, such as a file's name, without what would steer a terminal."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "" for c in text)


FORMULA = ("=", "+", "-", "@")  # a text that begins so is computed by a spreadsheet


def plain_cell(value):
    """A cell of a table for us; text that a spreadsheet would compute gets an apostrophe."""
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.lstrip().startswith(FORMULA) else text


def write_table(rows: list[dict], path: Path) -> None:
    """Write a table of students. Raises SystemExit if an id could not be written as it is."""
    ids = [str(row.get("student", "")) for row in rows]
    if odd := [one for one in ids if plain_cell(one) != one]:
        raise SystemExit(
            f"{path.name} was not written. A spreadsheet would take these ids for formulas, and "
            f"with other ids Moodle and Canvas would not find the students: {', '.join(odd)}. "
            "Rename what was handed in under them, grade it again, and remove the old ids: "
            "cd course && nbgrader db student remove -- ID"
        )
    with path.open("w", newline="", encoding="utf8") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else ["student"])
        writer.writeheader()
        writer.writerows({k: plain_cell(v) for k, v in row.items()} for row in rows)


def fill(
    table: Path, rows: list[dict], assignment: str, out: Path, roster: Roster
) -> tuple[int, list[str]]:
    """Write the points into a copy of the table that Moodle or Canvas gave: (filled, left over).

    Moodle's grading worksheet has a column Grade, in German Bewertung. Its column Identifier has
    numbers of this assignment only, so people are found by their address, ID number or name.
    Canvas' gradebook has a column ID and one for each assignment, "ps1 (99317)".
    """
    given = read_table(table)
    ours = given.known
    if "canvas" in ours:
        fits = [
            c for c in given.columns if c.partition(" (")[0].strip().lower() == assignment.lower()
        ]
        if len(fits) != 1:
            raise SystemExit(f"{table} has {len(fits)} columns for {assignment}, but needs one.")
        column = fits[0]
    elif "grade" in ours and {"full", "number", "login", "email"} & set(ours):
        column = ours["grade"]
    else:
        raise SystemExit(
            f"{table} has the columns {', '.join(given.columns) or 'of an empty file'}. A grading "
            "worksheet of Moodle has Grade and Full name, in German Bewertung and Vollständiger "
            "Name; the gradebook of Canvas has Student and ID."
        )
    roster = roster if roster.given else Roster(Person(r["student"], r["name"]) for r in rows)
    points = {row["student"]: row[f"{assignment} counts"] for row in rows}
    free = "EX" if "canvas" in ours else None  # Canvas' word for excused; Moodle has none
    filled: dict[str, int] = {}
    for number, line in zip(given.lines, given.rows, strict=True):
        person = roster.in_row(given.ours(line))
        if person is None or person.id not in points:
            continue
        if person.id in filled:
            raise SystemExit(
                f"{table}, lines {filled[person.id]} and {number}: both could be {person.name} "
                f"({person.id}), and there is one such person in the gradebook. Put the course's "
                "participants, with a column ID number, Username or Email address, into "
                "grading/roster.csv."
            )
        mine = points[person.id]
        line[column] = str(mine) if mine != EXCUSED else free or line[column]
        filled[person.id] = number
    with out.open("w", newline="", encoding="utf8") as file:
        writer = csv.DictWriter(file, given.columns, delimiter=given.delimiter)
        writer.writeheader()
        writer.writerows(given.rows)
    return len(filled), sorted(row["name"] for row in rows if row["student"] not in filled)
