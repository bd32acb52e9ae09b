"""Who is who: the people of a course, whatever a platform calls them in one of its files.

The number that Moodle writes into the name of a downloaded file belongs to one assignment, so in
the next assignment the same person has another one. What stays the same is in `grading/roster.csv`:
a table that the platform gives, as it is. These are the columns that count, in English or German:

Moodle, participants or grades   First name, Last name (or Full name), ID number, Username, Email
                                 address; not all of them have to be there
Moodle, a grading worksheet      Full name, Email address, ID number
Canvas, the gradebook            Student, ID, SIS User ID, SIS Login ID
your own table                   student, name, as in marks.csv

For GitHub's folders, add a column "GitHub" with the names that people have there.
"""

import csv
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tools.grading.collect import CANVAS, File, moodle_name

# What platforms call the columns, and what we call them.
COLUMNS = {
    "first": ("first name", "vorname"),
    "last": ("last name", "surname", "nachname"),
    "full": ("full name", "vollständiger name", "name"),
    "number": ("id number", "id-nummer", "matrikelnummer", "sis user id"),
    "login": ("username", "anmeldename", "sis login id"),
    "email": ("email address", "e-mail-adresse", "email", "e-mail"),
    "github": ("github", "github username", "github_username"),
    "identifier": ("identifier",),
    "grade": ("grade", "bewertung"),
    "handed": ("last modified (submission)", "zuletzt geändert (abgabe)"),
}
TEST_STUDENT = "Student, Test"  # Canvas', which is you in the view of a student
OURS = {theirs: ours for ours, several in COLUMNS.items() for theirs in several}
KEYS = ("canvas", "student", "number", "login", "email", "github")  # these say who somebody is
NEEDED = (
    "Student and ID (Canvas); or a name (Full name, or First name and Last name) and, best of all, "
    "an ID number, Username or Email address (Moodle); or student and name, as in marks.csv. "
    "German headings are understood, too"
)


def plain_id(student: str) -> str:
    """A student's id as it can be the name of a folder."""
    return re.sub(r"[^\w.@-]", "_", unicodedata.normalize("NFC", student.strip()))


def plain(name: str) -> str:
    """A name without what platforms and systems change in it.

    That is case, apostrophes, the two ways of writing ü, and which name comes first.
    """
    words = re.split(r"[\s,-]+", unicodedata.normalize("NFC", name).casefold())
    return " ".join(sorted("".join(filter(str.isalnum, word)) for word in words)).strip()


@dataclass
class Table:
    """A CSV table with commas, semicolons or tabs, with the columns as they are in the file."""

    columns: list[str]
    rows: list[dict[str, str]]
    lines: list[int]  # of the file, for each row
    delimiter: str

    @property
    def known(self) -> dict[str, str]:
        """{our name for a column: the file's}; see COLUMNS. What we don't know is lower-case.

        Canvas and German Moodle both have a column ID. Canvas' is the person's, Moodle's holds the
        number of one assignment, "Teilnehmer/in1234567".
        """
        plain = {column.strip().lower(): column for column in reversed(self.columns)}
        of_canvas = {"student", "id"} <= set(plain)
        found: dict[str, str] = {}
        for name, column in reversed(plain.items()):
            if name == "id":
                name = "canvas" if of_canvas else "identifier"
            elif name == "student" and of_canvas:
                name = "sorted"  # "Lovelace, Ada"
            found.setdefault(OURS.get(name, name), column)
        return found

    def ours(self, row: dict[str, str]) -> dict[str, str]:
        """A row by our names for its columns."""
        return {name: row[column].strip() for name, column in self.known.items()}


def read_table(path: Path) -> Table:
    if not path.is_file():
        raise SystemExit(f"There is no table {path}.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise SystemExit(f"{path} must be in UTF-8. In Excel, save it as CSV UTF-8.") from None
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows, lines = [], []
    for row in reader:
        if any(isinstance(cell, str) and cell.strip() for cell in row.values()):
            rows.append({column: row[column] or "" for column in reader.fieldnames or []})
            lines.append(reader.line_num)
    return Table(list(reader.fieldnames or []), rows, lines, delimiter)


@dataclass
class Person:
    """One student of the course."""

    id: str  # in the gradebook, and so in marks.csv
    name: str
    keys: set[str] = field(default_factory=set)  # whatever else says who it is


class Roster:
    """The people of a course; `given` if it comes from a table and not only from the gradebook."""

    def __init__(self, people: Iterable[Person], given: str = "", tests: Iterable[str] = ()):
        self.people, self.given, self.tests = list(people), given, set(tests)
        self.named: dict[str, list[Person]] = {}
        for person in self.people:
            self.named.setdefault(plain(person.name), []).append(person)
        several = Counter(key for person in self.people for key in person.keys | {person.id})
        self.known = {
            key: person
            for person in self.people
            for key in person.keys | {person.id}
            if several[key] == 1 or key == person.id
        }

    @classmethod
    def of(cls, path: Path) -> "Roster":
        """From a table of the platform; nobody if there is none. SystemExit says what is wrong."""
        if not path.is_file():
            return cls([])
        table = read_table(path)
        rows = [(line, table.ours(row)) for line, row in zip(table.lines, table.rows, strict=True)]
        tests: list[str] = []
        columns = table.known
        if not {"sorted", "full"} & set(columns) and not {"first", "last"} <= set(columns):
            raise SystemExit(
                f"{path} has the columns {', '.join(table.columns) or 'of an empty file'}, but it "
                f"needs {NEEDED}."
            )
        if "canvas" in columns:  # the first lines hold no people, the last perhaps a test student
            tests = [r["canvas"] for _, r in rows if r["sorted"] == TEST_STUDENT]
            rows = [(n, r) for n, r in rows if r["canvas"] and r["sorted"] != TEST_STUDENT]
        names = [name_in(row) for _, row in rows]
        key = next((k for k in ("canvas", "student") if k in columns), None)
        ways = [key] if key else [k for k in ("number", "login", "email") if k in columns]
        for way in ways:
            ids = [plain_id(row[way]) for _, row in rows]
            if key or (all(ids) and len(set(ids)) == len(ids)):
                break
        else:
            ids = [plain_id(name) for name in names]
        for (line, _), one, name in zip(rows, ids, names, strict=True):
            if not one or not name:
                raise SystemExit(f"{path}, line {line} has no {'name' if one else 'id'}.")
        if twice := [one for one, count in Counter(ids).items() if count > 1]:
            raise SystemExit(
                f"{path} has {' and '.join(twice)} more than once, and nothing that tells them "
                "apart. Remove the lines that are too many. If they are different people, add a "
                "column ID number, Username or Email address that is filled in for everybody."
            )
        keys = [{row.get(k, "").casefold() for k in KEYS} - {""} for _, row in rows]
        return cls(map(Person, ids, names, keys), str(path), tests)

    def is_test_student(self, given: str, file: File) -> bool:
        """Whether it is what somebody has handed in on Canvas in the view of a student."""
        called = CANVAS.match(file.path) and file.name == "studenttest" and self.given
        return given in self.tests or bool(called and given not in self.known)

    def in_row(self, row: dict[str, str]) -> Person | None:
        """Whose row of a platform's table it is, in the form that Table.ours gives."""
        for key in KEYS:
            if person := self.by_key(row.get(key, "")):
                return person
        same = self.by_name(name_in(row))
        return same[0] if len(same) == 1 else None

    def by_key(self, text: str) -> Person | None:
        return self.known.get(plain_id(text)) or self.known.get(text.strip().casefold())

    def by_name(self, name: str) -> list[Person]:
        return self.named.get(plain(name), [])


def name_in(row: dict[str, str]) -> str:
    if row.get("full"):
        return row["full"]
    last, _, first = row.get("sorted", "").partition(",")
    whole = f"{row.get('first') or first.strip()} {row.get('last') or last}"
    return whole.strip()


def numbers(path: Path, roster: Roster) -> dict[str, Person]:
    """{Moodle's number in one assignment: person}, by the assignment's own grading worksheet."""
    if not path.is_file():
        return {}
    table = read_table(path)
    rows = [table.ours(row) for row in table.rows]
    if "identifier" not in table.known:
        raise SystemExit(
            f"{path} has the columns {', '.join(table.columns)}, but a grading worksheet of Moodle "
            "has a column Identifier, or ID in German."
        )
    found = {number_in(row["identifier"]): roster.in_row(row) for row in rows}
    return {number: person for number, person in found.items() if person is not None}


def number_in(identifier: str) -> str:
    """48213 of "Participant 48213" or "Teilnehmer/in48213"."""
    return re.sub(r"^\D+", "", identifier.strip())


def owners(
    found: dict[str, list[File]], roster: Roster, sheet: Path
) -> dict[str, tuple[str, str, str]]:
    """{what the platform calls somebody: (id, name, why it can't be graded)}.

    `sheet` is where this assignment's grading worksheet is, if it is needed.
    """
    by_number = numbers(sheet, roster)
    who: dict[str, tuple[str, str, str]] = {}
    for given, files in found.items():
        name, path = files[-1].name, files[-1].path
        moodle = moodle_name(path) is not None
        if not roster.given:
            who[given] = (plain_id(name) if moodle else given, name, "")
            continue
        if moodle and given in by_number:
            same = [by_number[given]]
        elif moodle:
            same = roster.by_name(name)
        else:
            person = roster.by_key(given)
            same = [person] if person else roster.by_name(name)
        if len(same) == 1:
            who[given] = same[0].id, same[0].name, ""
        elif same:
            who[given] = given, name, two_of(name, sheet)
        else:
            who[given] = (
                given,
                name,
                (
                    f"{name} is not in {roster.given}. Add a line for them, or download the list "
                    "again, and grade once more"
                ),
            )
    ids = Counter(student for student, _, problem in who.values() if not problem)
    for given, (student, name, problem) in who.items():
        if not problem and ids[student] > 1 and moodle_name(found[given][-1].path):
            who[given] = given, name, two_of(name, sheet)
    return who


def two_of(name: str, sheet: Path) -> str:
    roster, columns = sheet.with_name("roster.csv"), "a column ID number, Username or Email address"
    needed = []
    if not roster.is_file():
        needed.append(f"put the course's participants, with {columns}, into {roster}")
    if not sheet.is_file():
        needed.append(f"put this assignment's grading worksheet into {sheet}")
    if not needed:
        needed.append(f"give {roster} {columns} that {sheet} has as well")
    how = " and ".join(needed)
    return f"there are two people called {name}. To tell them apart, {how}, and grade again"
