"""course/*.md: what they name exists, timetables add up, advice follows what was measured."""

import functools
import re
import sys
from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from nbformat.v4 import new_code_cell, new_notebook

from benchmarks import footprint
from tools import cells, figures, notebooks, talks
from tools.address import repository
from tools.pull_link import main, pull_link

COURSE = notebooks.ROOT / "course"
SETS = {"problem set 1": "ps1", "problem set 2": "ps2", "problem set 3": "ps3"}
SETS["capstone"] = "capstone"
PARTS = ("Timing.", "Live.", "Stalls.", "Board.", "Provoke.", "Ask.")
NUMBER = re.compile(r"\b\d{1,2}\.\d{1,2}\b")


def text_of(name):
    return (COURSE / name).read_text(encoding="utf8")


def facts(path):
    """(title, goals, numbers of the exercises) of a notebook."""
    cells = [c.source for c in notebooks.read(path).cells if c.cell_type == "markdown"]
    title, goals = cells[0].splitlines()[0], re.findall(r"^- (.*?)[;.]$", cells[0], re.MULTILINE)
    exercises = re.findall(r"^\*\*(\d+\.\d+) ?·?", "\n".join(cells), re.MULTILINE)
    return title.removeprefix("# "), goals, exercises


def test_the_example_dates_are_those_of_the_calendar():
    """The commented dates of policy.toml, for a term that begins where their comment says."""
    text = text_of("policy.toml")
    day = datetime.strptime(
        re.search(r"lectures from Monday, (.*?),", text)[1] + " 2026", "%d %B %Y"
    )
    weeks = [day + timedelta(weeks=n) for n in range(16)]
    weeks = [monday for monday in weeks if (monday.month, monday.day) not in ((12, 21), (12, 28))]
    rows = re.findall(r"^\| (\d+) \|(.*)\|$", text_of("calendar.md").partition("| week |")[2], re.M)
    due = {row.split("|")[2].strip(): int(week) for week, row in rows}
    found = dict(re.findall(r"^# (ps\d|capstone) = (\d{4}-\d\d-\d\d)T", text, re.M))
    assert found == {
        name: str((weeks[due[name] - 1] + timedelta(days=3 if name == "capstone" else 6)).date())
        for name in SETS.values()
    }


@pytest.fixture(scope="module")
def series():
    found = {path.stem[:2]: facts(path) for path in notebooks.paths()}
    assert all(
        title and len(goals) >= 3 and exercises for title, goals, exercises in found.values()
    )
    return found


def rows(text, columns):
    """The cells of all table rows with so many columns, headings and rules left out."""
    found = [[c.strip() for c in line.strip("|").split("|")] for line in text.splitlines()
             if line.startswith("|")]  # fmt: skip
    return [row for row in found if len(row) == columns and not set("".join(row)) <= set("-: ")]


# ---- The rules, each a function of a text --------------------------------------------------


def goals_are_those_of_the_notebooks(text, series):
    table = [r for r in rows(text.split("## Learning goals")[1], 4) if r[0] != "notebook"]
    for name, (_, goals, exercises) in series.items():
        mine = [row for row in table if row[0] == name]
        assert [row[1] for row in mine] == goals, f"goals of notebook {name}"
        mapped = {n for row in mine for n in row[2].split(", ") if n != "–"}
        assert mapped == set(exercises), f"exercises of notebook {name}"
    assert {row[0] for row in table} == set(series)


def minutes(clock):
    hours, rest = clock.split(":")
    return 60 * int(hours) + int(rest)


def timetables_have_no_holes(text, series):
    known = {n for _, _, exercises in series.values() for n in exercises}
    days = re.split(r"^### ", text.split("## Problem sets")[0], flags=re.MULTILINE)[1:]
    assert len(days) == 1 + 5 + 9 + 2  # an afternoon, a week, ten weeks, a lecture and a tutorial
    for day in days:
        title, now = day.splitlines()[0], None
        for time, what, numbers in rows(day, 3):
            if time == "time":
                continue
            start, end = map(minutes, time.split("–"))
            assert now in (None, start) and start < end and what, f"{title}: {time}"
            now = end
            assert set(filter(None, numbers.split(", "))) <= known, f"{title}: {numbers}"
        assert now is not None


def sets_have_their_points(text, series):
    table = {row[0]: row for row in rows(text, 5) if row[0] in SETS}
    assert table.keys() == SETS.keys()
    for name, folder in SETS.items():
        (path,) = (COURSE / "source" / folder).glob("*.ipynb")
        tests = people = 0
        for cell in notebooks.read(path).cells:
            about = cell.metadata.get("nbgrader", {})
            if about.get("grade"):
                people += about["points"] if about.get("solution") else 0
                tests += 0 if about.get("solution") else about["points"]
        assert [tests, people] == [int(n) for n in table[name][2:4]], name
        assert text.split("## Learning goals")[0].count(name) > 1, f"{name} has no place"


def every_graded_task_serves_a_goal(text, series):
    found = set()
    for row in rows(text.split("## Learning goals")[1], 4)[1:]:
        for part in row[3].split("; ") if row[3] != "–" else []:
            folder, tasks = part.split(": ")
            found |= {(folder, int(task)) for task in tasks.split(", ")}
    tasks = set()
    for folder in SETS.values():
        (path,) = (COURSE / "source" / folder).glob("*.ipynb")
        for cell in notebooks.read(path).cells:
            heading = re.match(r"## (\d+) · .*points", cell.source)
            tasks |= {(folder, int(heading[1]))} if heading else set()
    assert found == tasks


WORK = {"one": 1, "two": 2, "three and a half": 3.5, "four": 4, "eight": 8, "the first hour": 1}


def weeks_of(text, heading, columns):
    """The rows of the table below a heading that plans the homework of every week."""
    table = rows(text.split(f"\n## {heading}")[1].split("\n### ")[0], columns)
    return [row for row in table if "hours" not in row]


@functools.cache
def reading_minutes():
    """{notebook: the minutes to read that its first cell gives}."""
    return {
        path.stem[:2]: int(
            re.search(r"(\d+) minutes to read", notebooks.read(path).cells[0].source)[1]
        )
        for path in notebooks.paths()
    }


def left_for_class(read):
    """The cases of notebook 12 that nobody works on at home: "12, without cases 4, 5, 6 and 7"."""
    _, _, cases = read.partition("without cases ")
    return [f"12.{case}" for case in re.findall(r"\d+", cases)]


def counted_hours(notebooks_, papers, sets):
    """Reading as the notebooks say, half an hour a paper, and the hours of a set."""
    minutes = reading_minutes()
    one = "one of" in notebooks_
    read = ["13", "14", "15", "16", "17"] if one else re.findall(r"\b\d\d\b", notebooks_)
    found = (max if one else sum)([minutes[n] for n in read] or [0])
    found -= sum(exercise_minutes(["12"])[case] for case in left_for_class(notebooks_))
    found += 30 * (len(re.findall(r"\b\d\d\b", papers)) or papers.startswith("of the same"))
    worked = re.search(r"(one|two|three and a half|four|eight) hours?\b|the first hour", sets)
    return found / 60, WORK[worked[1] or worked[0]] if worked else 0


def hours_of_sets(text):
    return {row[0]: int(row[4].split()[0]) for row in rows(text, 5) if row[0] in SETS}


def homework_adds_up(text, series):
    """Every notebook is read once, and every hour of every set is somewhere, in both formats."""
    ten = [(week, read, papers, sets, hours, 2 if "two weeks" in week else 1)
           for week, read, papers, sets, hours in weeks_of(text, "Ten weeks", 5)]  # fmt: skip
    fourteen = [(week, read, "", sets, hours, 1)
                for week, _, _, read, sets, hours, _ in weeks_of(text, "Fourteen weeks", 7)
                ]  # fmt: skip
    for week, _, _, read, *_, exercises in weeks_of(text, "Fourteen weeks", 7):
        cases = [n for n in exercises.split(", ") if n.startswith("12.")]
        assert left_for_class(read) == sorted(cases), f"{week}: cases at home and in class"
    costs = hours_of_sets(text)
    said = re.search(r"(One) of the capstone's eight hours is in the tutorials", text)[1]
    in_class = {"capstone": WORK[said.lower()]}
    plan = rows(text.split("### A tutorial")[1].split("\n## ")[0], 5)[1:]
    work = re.compile(r"(?:capstone begins|capstone while).*?\((\d+)\)")
    taken = [found for row in plan for found in work.findall(row[3])]
    assert sum(map(int, taken)) == pytest.approx(60 * in_class["capstone"], abs=10)
    for table, last, most in ((ten, 12, 4.2), (fourteen, 13, 2.3)):
        given, weeks, total = dict.fromkeys(SETS, 0), 0, 0.0
        for week, read, papers, sets, hours, these in table:
            reading, hour = counted_hours(read, papers, sets)
            for name in SETS:
                given[name] += hour if sets.startswith(name) else 0
            assert abs(reading + hour - float(hours)) < 0.06, f"hours of {week}"
            assert float(hours) / these <= 5, f"hours of {week}"
            weeks, total = weeks + these, total + float(hours)
        every = [n for row in table if "one of" not in row[1] for n in re.findall(r"\d\d", row[1])]
        assert every == [f"{n:02}" for n in range(last)]
        if table is fourteen:
            given = {name: hours + in_class.get(name, 0) for name, hours in given.items()}
            heavy = sorted(float(row[4]) for row in table)
            assert heavy[0] >= 0.9 and heavy[-1] <= 3.5, "the load is uneven"
        assert given == costs
        assert most - 0.7 <= total / weeks <= most
        assert sum("**due**" in row[3] for row in table) == len(SETS)
    assert sum(row[5] for row in ten) == 10 and len(fourteen) == 14


def lectures_take_every_deck(text, series):
    """In order, each in one week, whose tutorial practises what the lecture has shown."""
    shown, times = [], exercise_minutes(series)
    for week, lecture, *_, exercises in weeks_of(text, "Fourteen weeks", 7):
        decks = [deck for deck, _, _ in talks.TALK.findall(lecture)]
        known = {number for deck in decks for number in series[deck][2]}
        assert set(exercises.split(", ")) <= known, week
        assert sum(times[n] for n in exercises.split(", ")) <= 55, f"{week} is too full"
        shown += decks
    assert list(dict.fromkeys(shown)) == list(series)


def tutorials_fill_their_minutes(text, series):
    """The exercises of the weeks' table, with time to talk about each, and all adds up to 90."""
    section = text.split("### A tutorial")[1].split("\n## ")[0]
    plan, times = rows(section, 5)[1:], exercise_minutes(series)
    clock = [row[0].split("–") for row in rows(section, 3)[1:]]
    room = minutes(clock[-1][1]) - minutes(clock[0][0])
    weeks = weeks_of(text, "Fourteen weeks", 7)
    assert [row[0] for row in plan] == [row[0] for row in weeks]
    explained = []
    for (week, first, exercises, then, spare), (*_, sets, _, wanted) in zip(
        plan, weeks, strict=True
    ):
        given = {n: int(much) for n, much in re.findall(r"(\d+\.\d+) \((\d+)\)", exercises)}
        assert sorted(given) == sorted(wanted.split(", ")) and spare in given, week
        assert [n for n in given if given[n] < times[n] + 3] == [], f"{week}: no time to talk"
        row = " ".join((first, exercises, then))
        assert sum(map(int, re.findall(r"\((\d+)\)", row))) == room, week
        explained += [week] if "two solutions" in first else []
        for name in re.findall(r"(problem set \d) discussed", sets):
            assert f"{name} discussed" in then, week
    assert explained == [f"week {n}" for n in range(2, 12)]
    begun = {name: row[0] for row in plan for name in SETS if f"{name} begins" in row[3]}
    assert begun == {
        name: next(row[0] for row in weeks if row[4].startswith(f"{name},")) for name in SETS
    }


def lengths(deck):
    """{part: the minutes in which the notes of a deck's first slide say that it can be given}."""
    text = next((COURSE / "slides").glob(f"{deck}_*.md")).read_text(encoding="utf8")
    found = {}
    for part, time in talks.choices(text):
        found.setdefault(part, set()).add(time)
    return found


def a_lecture_has_room_for_its_talk_and_its_votes(text, series):
    """Each deck in a length that its notes describe, and four minutes for each vote."""
    part = text.split("### A lecture")[1].split("\n### ")[0]
    room = sum(minutes(end) - minutes(start) for start, end in
               (row[0].split("–") for row in rows(part, 3) if "deck" in row[1]))  # fmt: skip
    assert f"A lecture has {room} minutes" in text
    for week, lecture, votes, *_ in weeks_of(text, "Fourteen weeks", 7):
        decks = talks.TALK.findall(lecture)
        for deck, half, time in decks:
            assert int(time) in lengths(deck)[half], f"{week}: deck {deck} has no such length"
        talk = sum(int(time) for *_, time in decks)
        assert 2 <= int(votes) <= 4 and talk + 4 * int(votes) <= room, f"{week} is too full"


def exercise_minutes(series):
    """{number of an exercise: the minutes that its notebook gives}."""
    pattern = re.compile(r"^\*\*(\d+\.\d+) · .*?\*\* \*\w+, (\d+) min", re.MULTILINE)
    cells = [cell.source for n in series for cell in notebooks.read(*notebooks.paths(n)).cells]
    return {number: int(time) for number, time in pattern.findall("\n".join(cells))}


def slides_fit_where_they_are_shown(text, series):
    """A row with slides has time for them, in a length of the deck, and for its exercises."""
    times, found = exercise_minutes(series), 0
    for time, what, numbers in rows(text.split("## Problem sets")[0], 3):
        loose = re.search(r"(\d, |the )slides(?! \(\d+ minutes\))", what)
        assert not loose, f"{time}: how many minutes?"
        decks = talks.TALK.findall(what)
        for deck, half, much in decks:
            assert int(much) in lengths(deck)[half], f"{time}: deck {deck} has no such length"
        if decks:
            start, end = map(minutes, time.split("–"))
            work = sum(times[n] for n in numbers.split(", ") if n)
            assert sum(int(much) for *_, much in decks) + work <= end - start, f"{time}: {what}"
            found += 1
    assert found >= 8


def what_is_read_in_class_fits(text, series):
    """In the afternoon and the week, a notebook without slides gets the time to read it."""
    times = exercise_minutes(series)
    day = text.split("### The afternoon")[1].split("\n## Ten weeks")[0]
    for part in re.split(r"^### ", day, flags=re.MULTILINE):
        room, need = {}, {}
        for time, what, numbers in rows(part, 3):
            if (name := what[:2]) in series and "slides" not in what:
                start, end = map(minutes, time.split("–"))
                room[name] = room.get(name, 0) + end - start
                need.setdefault(name, 0 if name == "12" else reading_minutes()[name])
                need[name] += sum(times[n] for n in numbers.split(", ") if n)
        assert [n for n in room if need[n] > room[n]] == [], part.split("\n")[0]


def there_is_time_to_explain_solutions(text, series):
    """In the ten weeks, for everybody, in rows that the exercises leave half empty."""
    times = exercise_minutes(series) | {"8.5": 30}  # of two hours, its session takes the beginning
    each, first, last, people = map(int, re.search(
        r"let (\d+) people do so in each of sessions (\d+) to (\d+), .* a class of (\d+)\.",
        text.replace("let four", "let 4")).groups())  # fmt: skip
    assert each * (last - first + 1) == people
    sessions = re.split(r"^### Session ", text.split("## Problem sets")[0], flags=re.MULTILINE)
    for number in range(first, last + 1):
        room = work = 0
        for time, _, numbers in rows(sessions[number], 3)[1:]:
            start, end = map(minutes, time.split("–"))
            room += end - start if numbers else 0
            work += sum(times[n] for n in numbers.split(", ") if n)
        assert work < room / 2 and work + 5 * each <= room - 20, f"session {number}"


def hours_and_credits_add_up(text, series):
    """In class as the timetables say, homework as the tables of the weeks say, 30 hours a point."""
    part = text.split("## Hours and credits")[1].split("\n## ")[0]
    table = {row[0]: [float(n) for n in row[1:]] for row in rows(part, 7) if row[0] != "format"}
    timed = re.split(r"^### ", text.split("## Problem sets")[0], flags=re.MULTILINE)[1:]
    spans = []
    for one in timed:
        times = [row[0].split("–") for row in rows(one, 3) if row[0] != "time"]
        lunch = 60 if "| lunch |" in one else 0
        spans.append((minutes(times[-1][1]) - minutes(times[0][0]) - lunch) / 60)
    afternoon, week, ten, lectures = spans[:1], spans[1:6], spans[6:15], spans[15:]
    in_class = [sum(afternoon), sum(week), sum(ten), 14 * sum(lectures)]
    assert [row[0] for row in table.values()] == in_class
    for name, heading, columns in (("ten weeks", "Ten weeks", 5),
                                   ("fourteen weeks", "Fourteen weeks", 7)):  # fmt: skip
        homework = sum(
            float(row[4 if columns == 5 else 5]) for row in weeks_of(text, heading, columns)
        )
        assert table[name][1] in (round(homework), round(homework, 1)), f"homework of {name}"
    begun = 0
    for time, what, _ in rows(text.split("\n## One week")[1].split("\n## Ten weeks")[0], 3):
        if re.match(r"problem set \d, begun|capstone[:,]", what):
            start, end = map(minutes, time.split("–"))
            begun += (end - start) / 60
    left = sum(hours_of_sets(text).values()) - begun
    assert table["one week"][1] == left, "homework of one week"
    for name, (*parts, together, points) in table.items():
        assert sum(parts) == together, name
        assert abs(together / 30 - points) <= 0.25, f"{name}: {together} hours for {points} points"


def solutions_wait_for_late_work(text, series):
    """Late days allow three days more, so nobody discusses a set when it is due."""
    _, *sessions = re.split(r"^### Session ", text.split("## Problem sets")[0], flags=re.MULTILINE)
    discussed = {name: number for number, session in enumerate(sessions, start=1)
                 for name in re.findall(r"(problem set \d) discussed", session)}  # fmt: skip
    due = {row[3].split(",")[0]: int(row[0][0]) for row in weeks_of(text, "Ten weeks", 5)
           if "**due**" in row[3]}  # fmt: skip
    fourteen = {int(row[0].split()[1]): row[4] for row in weeks_of(text, "Fourteen weeks", 7)}
    for name in ("problem set 1", "problem set 2", "problem set 3"):
        assert discussed[name] > due[name], name
        (ends,) = [week for week, sets in fourteen.items() if re.match(f"{name}.*due", sets)]
        talks = [week for week, sets in fourteen.items() if f"{name} discussed" in sets]
        assert len(talks) == 1 and talks[0] >= ends + 2, name
    assert not re.search(r"problem set \d: ", "".join(sessions)), "is that a discussion?"


def the_calendar_is_that_of_the_syllabus(text, series):
    """Decks, and when a set is handed out, due, graded (a week later) and discussed."""
    table = rows(text.split("## Week by week")[1], 7)[1:]
    plan = weeks_of(text_of("syllabus.md"), "Fourteen weeks", 7)
    assert [row[0] for row in table] == [str(n) for n in range(1, 15)]
    begins, due, discussed = {}, {}, {}
    for number, (_, lecture, _, _, sets, *_) in enumerate(plan, start=1):
        assert table[number - 1][1].split(", ") == [
            deck for deck, *_ in talks.TALK.findall(lecture)
        ]
        for name, short in SETS.items():
            if sets.startswith(f"{name},"):
                begins.setdefault(short, number)
                due |= {short: number} if "**due**" in sets else {}
            discussed |= {short: number} if f"{name} discussed" in sets else {}
    there = lambda column: {row[column]: int(row[0]) for row in table if row[column]}
    assert there(2) == begins and there(3) == due and there(5) == discussed
    assert there(4) == {name: week + 1 for name, week in due.items()}


def a_large_class_adds_up(text, series):
    part = text.split("## A class of 120")[1].split("\n## ")[0]
    sums = {"lecturer": 0, "tutors": 0, "all four": 0}
    marking = 0
    for who, work, much, hours in rows(part, 4)[1:]:
        number, each, unit = re.match(r"(\d+) .*, (\d+) (second|minute)s each", much).groups()
        wanted = int(number) * int(each) / {"second": 3600, "minute": 60}[unit]
        assert wanted == float(hours), work
        sums[who] += int(hours)
        marking += int(hours) if work.startswith("marking") else 0
    own = int(re.search(r"writing questions .*? \| (\d+) questions", part)[1])
    assert abs(own - 2 * len(re.findall(r"^\*\*\d+\*\*", text_of("sample_exam.md"), re.M))) <= 3
    one = {who: round(sums[who] / people + sums["all four"] / 4)
           for who, people in (("lecturer", 1), ("tutors", 3))}  # fmt: skip
    assert f"Marking adds up to {marking} hours" in part
    assert f"Everything together adds up to {sum(sums.values())} hours: " in part
    assert f"{one['lecturer']} for the lecturer and {one['tutors']} for each tutor" in part


def guide_is_complete(text, series):
    sections = dict(s.split("\n", 1) for s in re.split(r"^## ", text, flags=re.MULTILINE)[1:])
    for name, (title, _, _) in series.items():
        body = sections[title]
        for part in PARTS:
            assert body.count(f"**{part}**") == 1, f"{name} has no {part}"
        questions = re.findall(r"^- (.*?\? .+)$", body.split("**Ask.**")[1], re.MULTILINE)
        assert 3 <= len(questions) <= 4, f"{name} has {len(questions)} questions with answers"
        assert "```" in body or "drawing `" in body, f"{name} has nothing for the board"
        for part in ("Live.", "Provoke."):
            said = body.split(f"**{part}**")[1].split("\n\n")[0]
            assert re.match(r" \*\d+ minutes[.,]", said), f"{name}: how long does {part} take?"
        live = body.split("**Live.**")[1].split("\n\n")[0]
        assert f"../notebooks/{name}_" in live, f"{name}: which cell is run live?"
    exercises = {n for *_, numbers in series.values() for n in numbers}
    assert set(re.findall(r"(?<=xercise )\d+\.\d+", text)) <= exercises
    assert set(re.findall(r"drawing `(\w+)`", text)) <= set(figures.FIGURES)


def advice_follows_the_measurement(text, series):
    table = {r[0]: r[1:] for r in rows(text, 5) if r[1].isdigit()}
    idle, peaks = int(table["the server, idle"][0]), [int(v[0]) for v in table.values()]
    assert len(table) >= 7
    values = yaml.safe_load(re.search(r"```yaml\n(.*?)```", text, re.DOTALL)[1])["singleuser"]
    sizes = {name: float(size.removesuffix("G")) for name, size in values["memory"].items()}
    assert idle + max(peaks) <= 1000 * sizes["guarantee"] < 1000 * sizes["limit"]
    assert values["extraEnv"]["OMP_NUM_THREADS"] == "1" and values["extraEnv"]["MULTI30K"]
    assert f"**Memory, guaranteed: {sizes['guarantee']} G.**" in text


def link_is_what_the_tool_prints(text, series):
    link = re.search(r"^https://hub\.example\.edu/\S+$", text, re.MULTILINE)[0]
    path = f"notebooks/{notebooks.paths('07_')[0].name}"
    address = parse_qs(urlsplit(link).query)["repo"][0]
    assert link == pull_link("https://hub.example.edu", path, address)


RULES = [
    (
        goals_are_those_of_the_notebooks,
        "syllabus.md",
        "already have | 7.1, 7.2 |",
        "already have | 7.1 |",
    ),
    (goals_are_those_of_the_notebooks, "syllabus.md", "| 07 | compute ", "| 07 | compose "),
    (timetables_have_no_holes, "syllabus.md", "| 13:20–13:50 |", "| 13:25–13:50 |"),
    (timetables_have_no_holes, "syllabus.md", "| 0.2, 0.4 |", "| 0.2, 0.9 |"),
    (every_graded_task_serves_a_goal, "syllabus.md", "| ps2: 2, 3 |", "| ps2: 2 |"),
    (every_graded_task_serves_a_goal, "syllabus.md", "| ps1: 5 |", "| ps1: 5, 9 |"),
    (homework_adds_up, "syllabus.md", "the first hour | 4.4 |", "the first hour | 3.4 |"),
    (homework_adds_up, "syllabus.md", "| 02, 03 | 02, 03 |", "| 02 | 02, 03 |"),
    (homework_adds_up, "syllabus.md", "problem set 1, two hours", "problem set 1, one hours"),
    (homework_adds_up, "syllabus.md", "| 05 and 06 | | 1.2 |", "| 05 | | 1.2 |"),
    (homework_adds_up, "syllabus.md", "half hours | 3.5", "half hours | 4.5"),
    (homework_adds_up, "syllabus.md", "work on the capstone", "work on it"),
    (homework_adds_up, "syllabus.md", "without cases 4, 5,", "without cases 3, 5,"),
    (
        hours_and_credits_add_up,
        "syllabus.md",
        "week | 30 | 12.5 | 0 | 0 | 42.5",
        "week | 30 | 14 | 0 | 0 | 44",
    ),
    (
        a_large_class_adds_up,
        "syllabus.md",
        "40 questions, 30 minutes each | 20",
        "32 questions, 30 minutes each | 16",
    ),
    (lectures_take_every_deck, "syllabus.md", "| 13.1, 13.2, 13.4,", "| 15.1, 13.2, 13.4,"),
    (lectures_take_every_deck, "syllabus.md", "| 13 (40 min) and 14", "| 14 (40 min) and 13"),
    (tutorials_fill_their_minutes, "syllabus.md", "7.4 (22)", "7.4 (20)"),
    (tutorials_fill_their_minutes, "syllabus.md", "2.1 (9), 2.2 (24)", "2.1 (4), 2.2 (29)"),
    (tutorials_fill_their_minutes, "syllabus.md", "2.1 (9), 2.2 (24)", "2.4 (9), 2.2 (24)"),
    (tutorials_fill_their_minutes, "syllabus.md", "problem set 3 begins", "problem set 2 begins"),
    (
        solutions_wait_for_late_work,
        "syllabus.md",
        "set 2 discussed) | 2.8",
        "set 3 discussed) | 2.8",
    ),
    (
        solutions_wait_for_late_work,
        "syllabus.md",
        "| 0:00–0:15 | the three questions at the top of 07",
        "| 0:00–0:15 | problem set 1: its questions, and the three at the top of 07",
    ),
    (lectures_take_every_deck, "syllabus.md", "| 2.8 | 8.1,", "| 2.8 | 8.5, 8.1,"),
    (a_large_class_adds_up, "syllabus.md", "720 answers", "240 answers"),
    (a_large_class_adds_up, "syllabus.md", "adds up to 40 hours", "adds up to 30 hours"),
    (a_large_class_adds_up, "syllabus.md", "| lecturer | lectures |", "| tutors | lectures |"),
    (
        a_lecture_has_room_for_its_talk_and_its_votes,
        "syllabus.md",
        "| 15 (45 min) and 16 (15 min) |",
        "| 15 (45 min) and 16 (45 min) |",
    ),
    (
        a_lecture_has_room_for_its_talk_and_its_votes,
        "syllabus.md",
        "second part (50 min) | 4",
        "second part (40 min) | 4",
    ),
    (a_lecture_has_room_for_its_talk_and_its_votes, "syllabus.md", "(65 min) | 2", "(65 min) | 3"),
    (
        a_lecture_has_room_for_its_talk_and_its_votes,
        "syllabus.md",
        "| 0:05–0:45 |",
        "| 0:05–0:40 |",
    ),
    (slides_fit_where_they_are_shown, "syllabus.md", "02, slides (15 min", "02, slides (30 min"),
    (slides_fit_where_they_are_shown, "syllabus.md", "02, slides (15 min", "02, slides (10 min"),
    (slides_fit_where_they_are_shown, "syllabus.md", "03, slides (20 minutes):", "03, slides:"),
    (what_is_read_in_class_fits, "syllabus.md", "03: the leak; then", "the leak; then"),
    (the_calendar_is_that_of_the_syllabus, "calendar.md", "| 04 | | ps1 |", "| 04 | ps1 | |"),
    (the_calendar_is_that_of_the_syllabus, "calendar.md", "| | | ps1 | |", "| | | | ps1 |"),
    (the_calendar_is_that_of_the_syllabus, "calendar.md", "| 05, 06 |", "| 05 |"),
    (there_is_time_to_explain_solutions, "syllabus.md", "sessions 2 to 7", "sessions 2 to 5"),
    (there_is_time_to_explain_solutions, "syllabus.md", "| 8.1, 8.3 |", "| 8.1, 8.3, 8.6 |"),
    (hours_and_credits_add_up, "syllabus.md", "| 42 | 28 |", "| 42 | 30 |"),
    (hours_and_credits_add_up, "syllabus.md", "| 86.5 | 3 |", "| 86.5 | 5 |"),
    (sets_have_their_points, "syllabus.md", "| 01 to 03 | 22 |", "| 01 to 03 | 23 |"),
    (guide_is_complete, "guide.md", "**Provoke.** *5 minutes.* `cross(y, y)`", "`cross(y, y)`"),
    (guide_is_complete, "guide.md", "**Live.** *3 minutes.* ", "**Live.** "),
    (guide_is_complete, "guide.md", "../notebooks/05_encoder", "../notebooks/06_decoder"),
    (guide_is_complete, "guide.md", "drawing `stack`", "drawing `stock`"),
    (guide_is_complete, "guide.md", "exercise 2.2", "exercise 2.9"),
    (advice_follows_the_measurement, "jupyterhub.md", "| 15 | 1006 |", "| 15 | 1506 |"),
    (link_is_what_the_tool_prints, "jupyterhub.md", "?repo=https%3A", "?repo=https:"),
]


@pytest.mark.parametrize("rule, name", dict.fromkeys((r[0], r[1]) for r in RULES),
                         ids=lambda x: getattr(x, "__name__", x))  # fmt: skip
def test_page_keeps_the_rule(rule, name, series):
    rule(text_of(name), series)


@pytest.mark.parametrize("rule, name, old, new", RULES)
def test_rule_refuses_what_breaks_it(rule, name, old, new, series):
    text = text_of(name)
    assert old in text
    with pytest.raises(AssertionError):
        rule(text.replace(old, new, 1), series)


def test_links_between_the_pages_lead_somewhere():
    for path in COURSE.glob("*.md"):
        for target in re.findall(r"\]\(((?!https?:)[^)#]+)\)", path.read_text(encoding="utf8")):
            assert (COURSE / target).exists(), f"{path.name} links to {target}"


@pytest.mark.parametrize("path", sorted(COURSE.glob("*.md")), ids=lambda path: path.name)
def test_a_cell_is_named_as_a_reader_finds_it(path):
    text = path.read_text(encoding="utf8")
    assert cells.named(text) == text, "make sync writes the numbers and the headings"


def test_a_link_to_a_cell_gets_its_number_and_its_heading():
    path = f"../notebooks/{notebooks.paths('03_')[0].name}"
    text = f"See [it]({path}#cell-id=both-masks)."
    number, heading = re.match(r'See \[cell (\d+) under "(.+)"\]', cells.named(text)).groups()
    code = [c for c in notebooks.read(*notebooks.paths("03_")).cells if c.cell_type == "code"]
    assert code[int(number) - 1].id == "both-masks"
    assert heading == "A word must not see the words after it"
    with pytest.raises(ValueError, match="must have a code cell with the id 'nobody'"):
        cells.named(f"[x]({path}#cell-id=nobody)")
    with pytest.raises(ValueError, match="99_no.ipynb must be a notebook"):
        cells.named("[x](../notebooks/99_no.ipynb#cell-id=nobody)")


def test_a_link_pulls_and_opens():
    link = pull_link(
        "https://hub.example.edu/jupyter/", "a b/ü&x.ipynb", "https://x.org/me/re-po.git"
    )
    parts = urlsplit(link)
    assert parts.path == "/jupyter/hub/user-redirect/git-pull"
    assert parse_qs(parts.query, strict_parsing=True) == {
        "repo": ["https://x.org/me/re-po.git"],
        "urlpath": ["lab/tree/re-po/a b/ü&x.ipynb"],
        "branch": ["main"],
    }


def test_the_command_prints_a_link_for_each_notebook(capsys):
    main(["--hub", "https://hub.example.edu", "--notebook", "07", "--branch", "v1"])
    query = parse_qs(urlsplit(capsys.readouterr().out.strip()).query)
    assert query["repo"] == [repository()] and query["branch"] == ["v1"]
    assert query["urlpath"][0].endswith("/notebooks/07_cross_attention.ipynb")
    with pytest.raises(SystemExit):
        main(["--hub", "hub.example.edu"])
    assert "must be an address" in capsys.readouterr().err


@pytest.mark.slow
def test_footprint_sees_memory_that_was_given_back(tmp_path):
    source = "big = bytearray(300_000_000)\nimport time; time.sleep(0.4)\ndel big"
    path = tmp_path / "small.ipynb"
    notebooks.write(new_notebook(cells=[new_code_cell(source)]), path)
    used = footprint.measure(path)
    assert used["peak"] - used["left"] > 250 and used["left"] > 20
    assert used["cpu"] < 60 and used["wall"] > 0.4


@pytest.mark.parametrize("folder", SETS.values())
def test_a_task_says_what_it_forbids_and_what_is_tested(folder):
    (path,) = (COURSE / "source" / folder).glob("*.ipynb")
    task = ""
    for cell in notebooks.read(path).cells:
        if cell.cell_type == "markdown" and cell.source.startswith("## "):
            task = cell.source
            assert "hidden test" not in task, "students don't know what is in those"
        if forbidden := cell.metadata.get("forbids"):
            assert "may not use" in task and f"nn.{forbidden[0]}" in task, cell.id
            assert "compare" in task, f"{cell.id}: do cells that compare count?"
        if ".grad," in cell.source or ".grad[" in cell.source:
            assert "gradient" in task or "is learned" in task, cell.id


@pytest.mark.parametrize("folder", SETS.values())
def test_a_set_says_what_is_hidden_and_which_libraries_its_grader_has(folder):
    (path,) = (COURSE / "source" / folder).glob("*.ipynb")
    cells = notebooks.read(path).cells
    first, code = cells[0].source, [c.source for c in cells if c.cell_type == "code"]
    assert "tests that you don't see" in first
    assert sum("### BEGIN HIDDEN TESTS" in source for source in code) > len(code) / 5
    named = re.search(r"find(?:s)? Python's standard library, (.+?); nothing else", first)[1]
    named = set(re.sub(r"and this course's `helpers`", "helpers", named).lower().split(", "))
    lock = (notebooks.ROOT / "requirements.lock").read_text(encoding="utf8")
    assert "-r requirements.lock" in text_of("Dockerfile") and "COPY helpers" in text_of(
        "Dockerfile"
    )
    installed = set(re.findall(r"^([\w-]+)==", lock, re.MULTILINE)) | {"helpers"}
    assert {"numpy", "torch", "helpers"} <= named <= installed
    imported = set(re.findall(r"^(?:import|from) (\w+)", "\n".join(code), re.MULTILINE))
    assert imported <= named | sys.stdlib_module_names
