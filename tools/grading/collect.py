"""Find the submissions in the zip archive or folder that a learning platform gives.

The name of a file says whose it is, but differently on every platform:

Moodle          Ada Lovelace_48213_assignsubmission_file_/ps1.ipynb   (or all of it in one name)
                Ada Lovelace_48213_assignsubmission_onlinetext_/onlinetext.html
Canvas          lovelaceada_LATE_7421_99317_ps1-1.ipynb
nbgrader        submitted/ada/ps1/ps1.ipynb, perhaps with a timestamp.txt beside it
GitHub          ps1-ada/ps1.ipynb, one clone for each student

The time of handing in is the platform's: the date of the file that was handed in, never that of a
file inside a student's archive. Dates in a zip archive have no time zone, so they are read in the
one that policy.toml names, or in this machine's. A timestamp.txt counts only in nbgrader's folder
`submitted`, because anywhere else students can write one themselves.
"""

import io
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path, PurePosixPath

from tools.grading.repair import MEGABYTES, plain_name

MOODLE = re.compile(r"^(?P<name>[^/]+?)_(?P<id>\d+)_assignsubmission_[a-z]+(?:_/?|/|$)")
CANVAS = re.compile(
    r"^(?P<name>[^/]+?)_(?P<late>LATE_)?(?P<id>\d+)_"
    r"(?:\d+_(?P<file>[^/]+)|(?P<text>(?:text|link)\.html))$"
)
ZIPPED = 500  # MB of archives that students have handed in, unpacked


@dataclass
class File:
    """One file that somebody has handed in."""

    student: str  # what the platform calls them here: a number on Moodle and Canvas. Moodle's
    # belongs to this one assignment; roster.py says who it is
    name: str  # of the person, as far as the platform says
    path: str  # as the platform gave it
    data: bytes
    time: datetime | None
    late: bool = False  # as Canvas says
    note: str = ""  # what an instructor should know about its time

    @property
    def notebook(self) -> bool:
        return ".ipynb" in self.file.lower()

    @property
    def file(self) -> str:
        """The name that the student gave it, without what the platform put before it."""
        name = re.sub(r"^.*_assignsubmission_[a-z]+_", "", PurePosixPath(self.path).name)
        found = CANVAS.match(name)
        return found["file"] or found["text"] if found else name


def moodle_name(path: str) -> re.Match | None:
    """The name and number in a path if it is Moodle's.

    What a platform writes comes first. A student can name a file so that the other one's pattern
    fits as well, with somebody else's number in it, but only further to the right.
    """
    moodle, canvas = MOODLE.match(path), CANVAS.match(path)
    return None if moodle and canvas and canvas.end("id") < moodle.end("id") else moodle


def owner(path: str, assignment: str) -> tuple[str, str, bool]:
    """(student, name, late) of a path below what was downloaded."""
    if moodle := moodle_name(path):
        return moodle["id"], moodle["name"].strip(), False
    if canvas := CANVAS.match(path):
        return canvas["id"], canvas["name"], bool(canvas["late"])
    folders = [part for part in path.split("/")[:-1] if part != assignment]
    if not folders:
        stem = PurePosixPath(path).stem
        student = re.sub(rf"^{assignment}[ _-]+|[ _-]+{assignment}.*$", "", stem, flags=re.I)
        return student, student, False
    student = re.sub(rf"^{assignment}-", "", folders[0])
    return student, student, False


def entries(place: Path, zone: tzinfo | None) -> Iterator[tuple[str, bytes, datetime | None]]:
    """(path, content, time) of every file in a folder or an archive."""
    if place.is_dir():
        for path in sorted(place.rglob("*")):
            if path.is_file() and not path.is_symlink() and path.stat().st_size < MEGABYTES * 1e6:
                changed = datetime.fromtimestamp(path.stat().st_mtime, UTC)
                yield path.relative_to(place).as_posix(), path.read_bytes(), changed
        return
    try:
        archive = zipfile.ZipFile(place)
    except (OSError, zipfile.BadZipFile) as error:
        raise SystemExit(f"{place} is neither a folder nor a zip archive ({error}).") from None
    with archive:
        yield from unpacked(archive, zone)


def unpacked(archive: zipfile.ZipFile, zone: tzinfo | None, most: float = 1e12) -> Iterator:
    total = 0
    for entry in archive.infolist():
        total += entry.file_size
        if entry.is_dir() or entry.flag_bits & 1 or total > most:
            continue
        if entry.file_size < MEGABYTES * 1_000_000:
            try:
                time = datetime(*entry.date_time, tzinfo=zone).astimezone(UTC)
            except (ValueError, OverflowError):  # an archive may claim the 31st of February
                time = None
            yield entry.filename, archive.read(entry), time


def collect(place: Path, assignment: str, zone: tzinfo | None = None) -> dict[str, list[File]]:
    """{student: what they handed in, the best guess at this assignment last}.

    `zone` is the platform's, for the dates in its archive; without one, it is this machine's.
    """
    files: dict[str, list[File]] = {}
    stamps: dict[str, str] = {}
    of_nbgrader = place.is_dir() and place.resolve().name == "submitted"
    for path, data, time in entries(place, zone):
        parts = PurePosixPath(path).parts
        if hidden(path) or (of_nbgrader and parts[1:2] != (assignment,)):
            continue
        student, name, late = owner(path, assignment)
        if of_nbgrader and parts[2:] == ("timestamp.txt",):
            stamps[student] = data.decode(errors="replace").strip()
            continue
        mine = [File(student, name, path, data, time, late)]
        if parts[-1].lower().endswith(".zip"):
            inside = [File(student, name, f"{path}/{p}", d, time, late) for p, d in nested(data)]
            mine = [file for file in inside if file.notebook] or mine
        files.setdefault(student, []).extend(mine)
    for student, mine in files.items():
        # Python's sort keeps the order of what is equal: that of nested, the newest last.
        mine.sort(key=lambda f: (f.notebook, guess(f, assignment), f.time or NEVER))
        time = moment(stamps.get(student, ""))
        for file in mine:
            file.time = time or file.time
            if student in stamps and time is None:
                file.note = f"timestamp.txt says {stamps[student][:40]!r}, which is not a time"
            elif student not in stamps and any(f.file == "timestamp.txt" for f in mine):
                file.note = "brought a timestamp.txt of their own, which does not count"
    return files


def hidden(path: str) -> bool:
    """Whether a system put it there: __MACOSX, .git, .ipynb_checkpoints and the like."""
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(path).parts)


def guess(file: File, assignment: str) -> int:
    """How much a file's name looks like the assignment."""
    plain = plain_name(file.file)
    return 2 if plain == assignment.lower() else 1 if assignment.lower() in plain else 0


def nested(data: bytes) -> list[tuple[str, bytes]]:
    """(path, content) of what is in a student's archive, newest last; nothing if it is broken."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            found = [
                entry for entry in unpacked(archive, UTC, ZIPPED * 1e6) if not hidden(entry[0])
            ]
    except Exception:  # zipfile and zlib have a dozen kinds of errors, and this is a student's file
        return []
    found.sort(key=lambda entry: (entry[2] or NEVER, entry[0]))
    return [(path, content) for path, content, _ in found]


NEVER = datetime.fromtimestamp(0, UTC)


def moment(text: str) -> datetime | None:
    """A time as nbgrader's timestamp.txt has it, or None."""
    try:
        found = datetime.fromisoformat(re.sub(r" ?(UTC|Z)$", "+00:00", text.strip()))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
