"""When something was handed in. What the platform says goes before the dates in a download.

These are files in the gradebook's folder. The first one that says something about a person counts:

times.csv             student, set, time: what you know better than any platform
ps1_worksheet.csv     Moodle's grading worksheet of ps1, for its "Last modified (submission)"
ps1_files.json        what the files were called: Canvas writes LATE into the names of late ones
the gradebook         the date of the file in the download

Canvas makes its archive when you ask for it, so the dates in it say nothing about the students
(lib/content_zipper.rb copies each file into a new entry). Its mark says who was late, but not by
how much, so LATE counts as one day until times.csv says more.
"""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

from tools.grading.collect import CANVAS, moodle_name
from tools.grading.roster import Person, Roster, read_table

TIMES, CANVAS_SAYS, DOWNLOAD = "times.csv", "Canvas' mark", "the download's dates"
MONTHS = (
    "january januar jan jän", "february februar feb", "march märz mar mär mrz", "april apr",
    "may mai", "june juni jun", "july juli jul", "august aug", "september sep sept",
    "october oktober oct okt", "november nov", "december dezember dec dez",
)  # fmt: skip
MONTH = {word: number for number, words in enumerate(MONTHS, 1) for word in words.split()}
CLOCK = re.compile(r"\b(\d{1,2}):(\d{2})(?::(\d{2}))?(?: ?([ap])\.?m\b\.?)?", re.IGNORECASE)


def moment_of(text: str, zone: tzinfo | None) -> datetime:
    """A time as Moodle or a person writes it; without an offset it is in `zone`.

    "Wednesday, 10 June 2026, 2:14 PM", "Dienstag, 2. Dezember 2025, 10:37", "2026-10-12 23:50",
    "12.10.2026 23:50". Raises ValueError for anything else, such as 10/12/2026, which may be two
    different days.
    """
    plain = unicodedata.normalize("NFKC", text).strip()
    try:
        found = datetime.fromisoformat(re.sub(r" ?(UTC|Z)$", "+00:00", plain))
    except ValueError:
        clock = CLOCK.search(plain)
        date = plain[: clock.start()] if clock else plain
        if numbers := re.search(r"\b(\d{1,2})\.(\d{1,2})\.(\d{4})\b", date):
            day, month, year = map(int, numbers.groups())
        else:
            words = [word.lower() for word in re.findall(r"[^\W\d]+", date)]
            days, years = re.findall(r"\b\d{1,2}\b", date), re.findall(r"\b\d{4}\b", date)
            months = [MONTH[word] for word in words if word in MONTH]
            if not (len(days) == len(years) == len(months) == 1):
                raise ValueError(text) from None
            day, month, year = int(days[0]), months[0], int(years[0])
        if clock is None:
            raise ValueError(text) from None
        hour, minute, second = (int(part or 0) for part in clock.groups()[:3])
        if half := (clock[4] or "").lower():
            hour = hour % 12 + 12 * (half == "p")
        found = datetime(year, month, day, hour, minute, second)
    if found.tzinfo is None:
        found = found.replace(tzinfo=zone)
    return found.astimezone(UTC)


@dataclass
class Handed:
    """When somebody handed in a set, and what says so."""

    time: datetime | None
    source: str
    mark: str = ""  # in place of the time, where there is only Canvas' mark

    def shown(self, zone: tzinfo | None) -> str:
        return self.mark or (shown(self.time, zone) if self.time else "")


def shown(time: datetime, zone: tzinfo | None) -> str:
    return time.astimezone(zone).strftime("%Y-%m-%d %H:%M")


class Times:
    """The times that are in the gradebook's folder, for the people of a roster.

    `due` are the dates of the sets; Canvas' mark means nothing without one. If the roster is made
    of the gradebook's people, `strict` refuses lines of times.csv that are about nobody.
    """

    def __init__(
        self,
        folder: Path,
        sets: list[str],
        roster: Roster,
        due: dict[str, datetime],
        zone: tzinfo | None = None,
        strict: bool = False,
    ):
        self.folder, self.due, self.zone = folder, due, zone
        self.given: dict[tuple[str, str], Handed] = {}
        self.files: dict[str, dict[str, str]] = {}
        for name in sets:
            self.read_worksheet(folder / f"{name}_worksheet.csv", name, roster)
            path = folder / f"{name}_files.json"
            self.files[name] = json.loads(path.read_text("utf8")) if path.is_file() else {}
        self.read_by_hand(folder / TIMES, sets, roster, strict)

    def when(self, student: str, name: str, date: datetime | None, file: str = "") -> Handed:
        """When `student` handed in the set `name`; `date` is the download's, `file` its name."""
        if found := self.given.get((student, name)):
            return found
        late = canvas_late(file or self.files.get(name, {}).get(student, ""))
        if late is None or name not in self.due:
            return Handed(date, DOWNLOAD)
        time = self.due[name] + timedelta(days=int(late))
        return Handed(time, CANVAS_SAYS, "LATE" if late else "in time")

    def marked_late(self, student: str, name: str) -> bool:
        """Whether Canvas says LATE and nothing says how late."""
        file = self.files.get(name, {}).get(student, "")
        return (student, name) not in self.given and canvas_late(file) is True

    def read_worksheet(self, path: Path, name: str, roster: Roster) -> None:
        if not path.is_file():
            return
        table = read_table(path)
        if "handed" not in table.known:
            return  # it is there to tell two people apart
        for line, given in zip(table.lines, table.rows, strict=True):
            row = table.ours(given)
            person = roster.in_row(row)
            if person is not None and row["handed"] not in ("", "-"):
                time = self.time_in(path, line, row["handed"])
                self.given[person.id, name] = Handed(time, path.name)

    def read_by_hand(self, path: Path, sets: list[str], roster: Roster, strict: bool) -> None:
        if not path.is_file():
            return
        table = read_table(path)
        if not {"student", "set", "time"} <= set(table.known):
            raise SystemExit(
                f"{path} has the columns {', '.join(table.columns) or 'of an empty file'}, but it "
                "needs student, set and time, as in: 1004821,ps1,2026-10-12 23:50"
            )
        for line, given in zip(table.lines, table.rows, strict=True):
            row = table.ours(given)
            time = self.time_in(path, line, row["time"])
            person = find(roster, row["student"])
            if person is not None and row["set"] in sets:
                self.given[person.id, row["set"]] = Handed(time, TIMES)
            elif strict and person is None:
                raise SystemExit(nobody(path, line, row["student"]))
            elif strict:
                raise SystemExit(no_set(path, line, row["set"], sets))

    def time_in(self, path: Path, line: int, text: str) -> datetime:
        try:
            return moment_of(text, self.zone)
        except ValueError:
            raise SystemExit(
                f"{path}, line {line}: {text!r} is not a time that I can read. Write it as "
                "2026-10-12 23:50, or with its offset from UTC as 2026-10-12 23:50+02:00."
            ) from None


def canvas_late(path: str) -> bool | None:
    """What Canvas says in the name of a file that it gave; None if it is not Canvas'."""
    found = None if moodle_name(path) else CANVAS.match(path)
    return bool(found["late"]) if found else None


def find(roster: Roster, said: str) -> Person | None:
    """Whom a line of the instructor's means: an id, or a name that only one person has."""
    same = roster.by_name(said)
    return roster.by_key(said) or (same[0] if len(same) == 1 else None)


def nobody(path: Path, line: int, said: str) -> str:
    return (
        f"{path}, line {line}: the gradebook knows nobody called {said or '(nothing)'}, or knows "
        "several. marks.csv has the right ids in its column student."
    )


def no_set(path: Path, line: int, said: str, sets: list[str]) -> str:
    return (
        f"{path}, line {line}: there is no set {said or '(nothing)'} in the gradebook, only "
        f"{', '.join(sets)}."
    )


def said_about(name: str, handed: dict[str, Handed], call: Callable[[str], str]) -> list[str]:
    """Where the times of a set come from; `handed` has them, `call` makes ids names."""
    if not handed:
        return []
    counts = Counter(one.source for one in handed.values())
    said = [f"{name}: times from {', '.join(f'{s} ({n})' for s, n in counts.most_common())}"]
    from_download = [call(one) for one, it in handed.items() if it.source == DOWNLOAD]
    if 0 < len(from_download) < len(handed):
        said[0] += f"; only the download says when for {', '.join(from_download)}"
    return said
