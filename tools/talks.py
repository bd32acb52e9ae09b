"""Which slides of a deck a talk shows: the whole deck, a shorter talk, a part, a week's lecture.

A deck of course/slides is written once. The notes of its first slide say how long the talk takes,
how to shorten it, and in which two parts it can be given. course/syllabus.md has the table of the
fourteen weeks, whose second column names the talks of each lecture: "02 (30 min) and 03, first part
(30 min)".
"""

import functools
import re
from dataclasses import dataclass

from tools.notebooks import ROOT

SYLLABUS = ROOT / "course" / "syllabus.md"
PARTS = ("first", "second")

# What the notes of a deck's first slide say about its length, and about two lectures.
TIME = re.compile(
    r"^\*\*Time\.\*\* The talk takes about (\d+) minutes\. For (\d+) minutes, drop (.+?)\."
    r"(?: For (\d+) minutes, show only (.+)\.)?$",
    re.MULTILINE,
)
TWO = re.compile(
    r'^\*\*Two lectures\.\*\* The first ends with "(.+?)" and takes about (\d+) minutes, or (\d+) '
    r'without "(.+?)"\. The second shows "(.+?)" once more, goes on with "(.+?)" and takes about '
    r"(\d+)\.$",
    re.MULTILINE,
)
NAMED = re.compile(r'"(.+?)"(?=, | and |$)')
# A talk as a timetable names it: "02 (30 min)", "03, first part (30 min)", "15, slides (9 minutes)"
TALK = re.compile(r"\b(\d\d)(?:, (first|second) part|, slides)? \((\d+) min(?:utes)?\)")


@dataclass(frozen=True)
class Talk:
    """A deck's number, the part of it ("first", "second", or "" for all) and the minutes."""

    deck: str
    part: str
    minutes: int

    def __str__(self) -> str:
        part = f", {self.part} part" if self.part else ""
        return f"{self.deck}{part} ({self.minutes} minutes)"


@dataclass(frozen=True)
class Lecture:
    """What one week's lecture shows, and how many votes with neighbours it has room for."""

    week: int
    talks: list[Talk]
    votes: int


def named(text: str) -> list[Talk]:
    """The talks that a cell of a timetable names."""
    return [Talk(deck, part, int(minutes)) for deck, part, minutes in TALK.findall(text)]


def weeks_table() -> list[str]:
    """The lines of the syllabus with the table of the fourteen weeks."""
    text = SYLLABUS.read_text(encoding="utf8")
    return text.split("\n## Fourteen weeks")[1].split("\n### ")[0].splitlines()


@functools.cache
def lectures() -> dict[int, Lecture]:
    """{week: its lecture}, from the table of the fourteen weeks in course/syllabus.md."""
    found = {}
    for line in weeks_table():
        if row := re.match(r"\| week (\d+) \| (.+?) \| (\d+) \|", line):
            found[int(row[1])] = Lecture(int(row[1]), named(row[2]), int(row[3]))
    return found


@functools.cache
def met() -> frozenset[str]:
    """What everybody has met after the fourteen weeks, as their table in course/syllabus.md says.

    Notebooks to read ("07"), slides that the lectures show ("13: Pull the plug", with the number
    of the deck) and exercises of the tutorials ("exercise 13.2").
    """
    found: set[str] = set()
    for line in weeks_table():
        if row := re.match(r"\| week \d+ \| (.+?) \| \d+ \| (.*?) \| .* \| (.+?) \|$", line):
            lecture, read, exercises = row.groups()
            if "one of" not in read:  # there everybody chooses another notebook
                found |= set(re.findall(r"\d\d", read))
            found |= {f"exercise {number}" for number in exercises.split(", ")}
            for one in named(lecture):
                for path in (SYLLABUS.parent / "slides").glob(f"{one.deck}_*.md"):
                    titles = choices(path.read_text(encoding="utf8"))[one.part, one.minutes]
                    found |= {f"{one.deck}: {title}" for title in titles}
    return frozenset(found)


# ---- A deck as its slides --------------------------------------------------------------------


def parts_of(text: str) -> list[str]:
    return re.split(r"(?m)^---$", text)


def title_of(part: str) -> str:
    return re.sub(r"^##? ", "", part.strip().partition("\n")[0])


def choices(text: str) -> dict[tuple[str, int], list[str]]:
    """{(part, minutes): the titles of the slides to show}, as the first slide's notes say.

    Raises ValueError if they name no shorter talk.
    """
    parts = parts_of(text)
    said, two = TIME.search(parts[0]), TWO.search(parts[0])
    if said is None:
        raise ValueError("the notes of its first slide name no shorter talk")
    long, short, dropped, least, shown = said.groups()
    titles = [title_of(part) for part in parts]
    found = {("", int(long)): titles}
    found["", int(short)] = [t for t in titles if t not in NAMED.findall(dropped)]
    if shown:
        found["", int(least)] = [titles[0], *NAMED.findall(shown)]
    if two:
        end, long, short, without, again, start, rest = two.groups()
        first = titles[: titles.index(end) + 1]
        found["first", int(long)] = first
        found["first", int(short)] = [title for title in first if title != without]
        found["second", int(rest)] = [titles[0], again, *titles[titles.index(start) :]]
    return found


def talk(text: str, minutes: int, part: str = "") -> str:
    """The deck for a talk of so many minutes, or for a part of it, with a plan of its own.

    Raises ValueError that names the talks there are.
    """
    there = choices(text)
    if (part, minutes) not in there:
        *most, last = (f"{p} part {m}".strip() if p else str(m) for p, m in there)
        wanted = f"no {part} part" if part else "no talk"
        raise ValueError(
            f"there is {wanted} of {minutes} minutes, only of {', '.join(most)} or {last}"
        )
    keep = there[part, minutes]
    first, *others = [one for one in parts_of(text) if title_of(one) in keep]
    if keep != next(iter(there.values())):
        first = TWO.sub("", TIME.sub(lambda _: plan(keep, minutes), first))
    if part:
        first = re.sub(r"^# .+", rf"\g<0> ({part} part)", first, count=1)
    return "---".join([first, *others])


def plan(titles: list[str], minutes: int) -> str:
    """Where the speaker should be after one and after two thirds of the time."""
    third = [(round(minutes * n / 3), titles[round(len(titles) * n / 3)]) for n in (1, 2)]
    (early, here), (late, there) = third
    return (
        f"**Time.** This talk has {len(titles)} slides for about {minutes} minutes. After {early} "
        f'minutes you should be at "{here}", and after {late} at "{there}".'
    )
