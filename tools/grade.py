"""Grade what students have handed in, in one command that nothing in a submission can stop.

    python -m tools.grade ps1 Downloads/PS1.zip        collect, repair, grade, record
    python -m tools.grade alike ps1                    which answers are alike: a hint to read them
    python -m tools.grade alike ps1 --with grading-2026     also with those of an earlier year
    python -m tools.grade marks                        grading/marks.csv, late days and all
    python -m tools.grade marks --exam exam.csv --explained explained.csv
                                                       grading/final.csv, the mark of the course
    python -m tools.grade export ps1 worksheet.csv     points into Moodle's or Canvas' table, once
                                                       every answer has been read (or --unread);
                                                       final in place of ps1 is the course's mark
    python -m tools.grade feedback ps1                 a page for each student, no hidden tests
    python -m tools.grade points ps1 1004821 packed_mask 0 "not explained, Meyer and Roth"
                                                       what a task counts for one person, and why

The input is a folder or zip archive from Moodle, Canvas, GitHub or nbgrader. GRADING names the
folder that keeps everything. In it, roster.csv says who is in the course, ps1_worksheet.csv when
each ps1 was handed in on Moodle, times.csv what you know better, and points.csv the points that you
have set. None of them is ever overwritten. course/grading.md says how the pieces fit.
"""

import argparse
import csv
import json
import multiprocessing
import os
import sys
import warnings
import zipfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import nbformat
import torch
from nbgrader.api import Gradebook, MissingEntry

from tools.grading import alike, sandbox
from tools.grading.changes import POINTS, Changes, add, note_in
from tools.grading.collect import CANVAS, MOODLE, File, collect, moodle_name
from tools.grading.examiner import Result, examine, of_nbgrader
from tools.grading.final import final
from tools.grading.record import (
    BY_HAND,
    COURSE,
    FORMULA,
    NOTHING,
    Apart,
    Policy,
    add_everybody,
    changed,
    fill,
    handed_in,
    marks_and_shares,
    name_of,
    plain_cell,
    printable,
    source_of,
    works_that_count,
    write_table,
)
from tools.grading.repair import EDITED, Unreadable, read, repair
from tools.grading.roster import Person, Roster, numbers, owners, plain_id, read_table
from tools.grading.sandbox import Limits
from tools.grading.times import CANVAS_SAYS, TIMES, Times, find, said_about, shown
from tools.notebooks import ROOT
from tools.release import environment
from tools.version import settle

NOBODY = Roster([])


@dataclass
class Row:
    """One student in the table."""

    student: str
    name: str
    file: str = ""
    time: datetime | None = None
    problem: str = ""  # why it is not graded
    given: str = ""  # what the platform calls the student here
    notes: list[str] = field(default_factory=list)  # what was repaired
    hints: list[str] = field(default_factory=list)  # about the time of handing in
    public: list[str] = field(default_factory=list)  # answers that are like published ones
    notebook: nbformat.NotebookNode | None = None
    result: Result | None = None
    points: float = 0.0

    @property
    def status(self) -> str:
        return "NOT GRADED" if self.problem else "repaired" if self.notes else "graded"

    @property
    def remarks(self) -> list[str]:
        """What a person should know of it: why it is not graded, what was repaired or found."""
        found = self.result.notes if self.result else []
        found = [*self.hints, *found, *self.public]
        return [text for text in (self.problem, *self.notes, *found) if text]


def prepare(student: str, files: list[File], source, assignment: str) -> Row:
    """Choose among the files that a student handed in, and repair the chosen one."""
    row = Row(plain_id(student), printable(files[-1].name if files else student), given=student)
    if row.student.startswith(FORMULA):
        row.problem = (
            f"the id {row.student} begins with {row.student[0]}, which a spreadsheet takes for a "
            "formula. Rename the folder or file and grade it again"
        )
        return row
    if row.student != student:
        row.notes.append(f"in the gradebook the id is {row.student}")
    books = [file for file in files if file.notebook]
    others = ", ".join(file.file for file in files if not file.notebook)
    row.file = files[-1].path if files else ""
    row.problem = "" if books else f"no notebook was handed in, but {others or 'nothing'}"
    readable, problems = [], []
    for file in reversed(books):
        try:
            notebook, notes = repair(read(file.data), source)
            readable.append((file, notebook, notes))
        except Unreadable as error:
            problems.append(f"{file.file}: {error}")
    if not readable:
        row.problem = row.problem or "; ".join(problems)
        return row
    file, row.notebook, notes = readable[0]
    row.file, row.time = file.path, file.time
    row.notes += [file.note] if file.note else []
    if file.file != f"{assignment}.ipynb":
        row.notes.append(f"handed in as {file.file}")
    if len(readable) > 1 and len({f.data for f, *_ in readable}) > 1:
        row.notes.append(f"{len(readable)} notebooks, {file.file} counts")
    lost = [note for note in notes if note.endswith("without its id")]
    if len(lost) > 5:
        notes = [f"{len(lost)} cells recognised without their ids"] + [
            note for note in notes if note not in lost
        ]
    row.notes += [*notes, *(f"left out {problem}" for problem in problems)]
    return row


def examine_all(rows: list[Row], source, limits: Limits, jobs: int) -> Iterator[Row]:
    """Examine every submission in processes of its own, and go on whatever happens."""
    waiting = [row for row in rows if row.notebook is not None]
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        runs = [(row, pool.submit(examine, source, row.notebook, limits)) for row in waiting]
        for row, run in runs:
            try:
                row.result = run.result()
            except Exception as error:
                row.problem = f"the examiner failed: {type(error).__name__}: {error}"
            yield row


def remember_names(rows: list[Row], path: Path) -> None:
    """Keep what the platform called each submission: its feedback goes back under such a name."""
    known = json.loads(path.read_text(encoding="utf8")) if path.is_file() else {}
    given = {r.student: r.file for r in rows if MOODLE.match(r.file) or CANVAS.match(r.file)}
    if given:
        path.write_text(json.dumps(known | given, indent=1, ensure_ascii=False), encoding="utf8")


def not_graded_file(assignment: str) -> Path:
    return folder() / f"{assignment}_not_graded.csv"


def remember_problems(rows: list[Row], path: Path, unfinished: str = "") -> None:
    """Keep who has handed in something that could not be graded, until a grading settles it.

    Somebody is known again by what the platform calls them, or by their id. Before a grading,
    `unfinished` is the reason for everybody, which stays there if it never comes to its end.
    """
    seen = {(row.student, row.given) for row in rows}
    ids, givens = {student for student, _ in seen}, {given for _, given in seen}
    kept = [one for one in not_graded(path) if one["student"] not in ids]
    kept = [one for one in kept if one["platform"] not in givens]
    kept += [
        {"student": row.student, "platform": row.given, "name": row.name, "file": row.file,
         "why": row.problem or unfinished} for row in rows if row.problem or unfinished
    ]  # fmt: skip
    path.unlink(missing_ok=True)
    if kept:
        with path.open("w", newline="", encoding="utf8") as file:
            writer = csv.DictWriter(file, list(kept[0]))
            writer.writeheader()
            writer.writerows({k: plain_cell(v) for k, v in one.items()} for one in kept)


def not_graded(path: Path) -> list[dict[str, str]]:
    """The lines of that file; somebody may have edited it."""
    if not path.is_file():
        return []
    table = read_table(path)
    missing = [c for c in ("student", "platform", "name", "file", "why") if c not in table.columns]
    if missing:
        raise SystemExit(
            f"{path} lacks the columns {', '.join(missing)}. Grade the set again, or delete the "
            "file if everything in it is settled."
        )
    return table.rows


def refuse_ungraded(assignments: list[str]) -> None:
    """Raises SystemExit if somebody would get 0 for what they have handed in."""
    for assignment in assignments:
        path = not_graded_file(assignment)
        if waiting := not_graded(path):
            listed = "\n".join(f"    {one['name']}: {one['why']}" for one in waiting)
            raise SystemExit(
                printable_lines(
                    f"{people([one['name'] for one in waiting])} handed in something for "
                    f"{assignment} that was not graded:\n{listed}\nGrade it first. If this is "
                    f"settled in another way, delete the line in {path}. Or add --ungraded to go "
                    "on: then it counts 0, or what was graded before."
                )
            )


def feedback_archives(
    folder: Path, assignment: str, owners: dict[str, str] | None = None, roster: Roster = NOBODY
) -> list[str]:
    """Pack the pages for the platform they came from, by the names that it looks for.

    Moodle's importer reads "Ada Lovelace_48213_assignfeedback_file_ps1.html" and takes the number
    in the second place. Canvas takes the first two numbers, of the user and of the submitted file.
    `owners` are those who have handed in for somebody else, {member: who}. A member who has handed
    in nothing has a number on Moodle all the same, which is in the grading worksheet.
    """
    path = folder / f"{assignment}_files.json"
    files = json.loads(path.read_text(encoding="utf8")) if path.is_file() else {}
    sheet = folder / f"{assignment}_worksheet.csv"
    listed = numbers(sheet, roster)
    called = {person.id: (person.name, number) for number, person in listed.items()}
    packed: dict[str, dict[str, Path]] = {}
    left: dict[str, list[str]] = {}
    for student, owner in {**{one: one for one in files}, **(owners or {})}.items():
        page = folder / "feedback" / student / assignment / f"{assignment}.html"
        if not page.is_file() or owner not in files:
            continue
        given, own = files[owner], files.get(student, "")
        if moodle_name(given):
            mine = moodle_name(own)
            who = (mine["name"], mine["id"]) if mine else called.get(student)
            if who:
                name = f"{who[0].replace('_', ' ')}_{who[1]}_assignfeedback_file_{assignment}.html"
                packed.setdefault("Moodle", {})[name] = page
            else:
                left.setdefault("Moodle", []).append(student)
        elif own:
            name = str(PurePosixPath(own.split("/")[0]).with_suffix(".html"))
            packed.setdefault("Canvas", {})[name] = page
        else:
            left.setdefault("Canvas", []).append(student)
    said = []
    for platform, pages in packed.items():
        out = folder / "feedback" / f"{assignment}_{platform.lower()}.zip"
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, page in sorted(pages.items()):
                archive.write(page, name)
        said.append(f"{out} has {len(pages)} of them by the names that {platform} looks for.")
    for platform, students in left.items():
        names = sorted(person.name for person in roster.people if person.id in students)
        why = {
            "Moodle": f"their numbers are not known. Put the assignment's grading worksheet into "
            f"{sheet} and run this again",
            "Canvas": "they have handed in no file. If the assignment is one for groups, Canvas "
            "gives the page to all of the group",
        }[platform]
        said.append(
            f"Not in the archive for {platform}, {len(students)}: {', '.join(names)}, because "
            f"{why}. Their pages are in {folder / 'feedback'} all the same."
        )
    return said


def share_pages(
    folder: Path, assignment: str, owners: dict[str, str], notes: dict[str, list[str]]
) -> None:
    """Give each member of a team the team's page, and write above a page what a person has set."""
    place = lambda one: folder / "feedback" / one / assignment / f"{assignment}.html"
    made = {
        one: place(owners.get(one, one)).read_text(encoding="utf8")
        for one in {*owners, *notes}
        if place(owners.get(one, one)).is_file()
    }
    for student, page in made.items():
        place(student).parent.mkdir(parents=True, exist_ok=True)
        lines = notes.get(student, [])
        place(student).write_text(note_in(page, lines) if lines else page, encoding="utf8")


def feedback(assignment: str, policy: Policy) -> list[str]:
    """Make the pages of one set; what should be said about them."""
    database, roster = f"sqlite:///{folder() / 'gradebook.db'}", Roster.of(roster_file())
    add_everybody(database, roster)
    roster = everybody_in(database, roster)
    times, changes = times_of(database, policy, roster), Changes(folder() / POINTS, roster)
    done = nbgrader_api().generate_feedback(assignment)
    if not done["success"]:
        return [done["log"]]
    owners, notes = {}, {}
    with Gradebook(database) as gradebook:
        for student, works in works_that_count(gradebook, policy, times).items():
            if work := works.get(assignment):
                if work.student_id != student:
                    owners[student] = work.student_id
                score, said = changed(student, work, changes)
                if said:
                    most = work.max_score
                    total = f"Together {score:g} of {most:g} points, and not {work.score:g}."
                    notes[student] = [*said, total]
    share_pages(folder(), assignment, owners, notes)
    pages = f"{folder() / 'feedback'} has the pages."
    return [pages, *feedback_archives(folder(), assignment, owners, roster)]


def nbgrader_api():
    """nbgrader with the course's configuration. The folder has to be course/ while it is made."""
    from nbgrader.apps import NbGraderAPI, NbGraderApp

    os.environ.update(environment())
    before = os.getcwd()
    os.chdir(COURSE)
    try:
        app = NbGraderApp()
        app.log_level = "CRITICAL"
        app.initialize([])
    finally:
        os.chdir(before)
    return NbGraderAPI(config=app.config)


def make_known(assignment: str, api) -> None:
    """nbgrader has to have released an assignment before it keeps grades for it."""
    with api.gradebook as gradebook:
        known = assignment in [one.name for one in gradebook.assignments]
    if not known and not api.generate_assignment(assignment)["success"]:
        raise SystemExit(f"nbgrader could not release {assignment}; try make release.")


def use_known_names(rows: list[Row], api) -> None:
    """Where a file says only an id, as in nbgrader's folders, take the name from the gradebook."""
    with api.gradebook as gradebook:
        known = {student.id: name_of(student) for student in gradebook.students}
    for row in rows:
        if plain_id(row.name) == row.student:
            row.name = known.get(row.student, row.name)


def write_stamp(row: Row, path: Path) -> None:
    """Write the time for nbgrader, and say so if another one was there."""
    if row.time is None:
        return
    stamp = row.time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    before = path.read_text(encoding="utf8").strip() if path.is_file() else stamp
    if before != stamp:
        row.hints.append(
            f"handed in {stamp}, and before this grading {before}. If that was a correction of "
            f"yours, put it into {TIMES}, where it stays"
        )
    path.write_text(stamp, encoding="utf8")


def answers_of(path: Path) -> dict[str, str]:
    """{question: the answer} of a graded notebook, for the questions that a person reads."""
    if not path.is_file():
        return {}
    about = [(of_nbgrader(cell), cell.source) for cell in nbformat.read(path, 4).cells]
    return {
        one["grade_id"]: text for one, text in about if one.get("grade") and one.get("solution")
    }


def already_read(assignment: str, student: str, gradebook) -> set[str]:
    """The questions whose answers a person has marked."""
    with suppress(MissingEntry):
        notebook = gradebook.find_submission_notebook(assignment, assignment, student)
        marked = [one for one in notebook.grades if one.manual_score is not None]
        return {one.name for one in marked if not one.needs_manual_grade}
    return set()


def record(row: Row, assignment: str, api) -> None:
    """Put a submission into nbgrader's folders and its points into the gradebook.

    nbgrader wants each answer read again. One that is as it was when a person marked it needn't be.
    """
    folder = Path(api.coursedir.root) / "submitted" / row.student / assignment
    folder.mkdir(parents=True, exist_ok=True)
    graded = Path(api.coursedir.root) / "autograded" / row.student / assignment
    graded = graded / f"{assignment}.ipynb"
    before = answers_of(graded)
    with api.gradebook as gradebook:
        read_before = already_read(assignment, row.student, gradebook)
    nbformat.write(row.notebook, folder / f"{assignment}.ipynb")
    write_stamp(row, folder / "timestamp.txt")
    Apart.results[row.student, assignment] = row.result
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what SQLAlchemy says of nbgrader's session
        done = api.autograde(assignment, row.student)
    if not done["success"]:
        last = (done.get("error") or done.get("log") or "").strip().splitlines()
        row.problem = f"nbgrader: {last[-1] if last else 'it does not say why'}"
        return
    after = answers_of(graded)
    with api.gradebook as gradebook:
        for question in read_before:
            if after.get(question) == before.get(question):
                found = gradebook.find_grade(question, assignment, assignment, row.student)
                found.needs_manual_grade = False
        gradebook.db.commit()
        student = gradebook.update_or_create_student(row.student)
        if name_of(student) != row.name:
            first, _, last = row.name.rpartition(" ")
            gradebook.update_or_create_student(row.student, first_name=first, last_name=last)
        row.points = gradebook.find_submission(assignment, row.student).score


def table(rows: list[Row], most: float) -> str:
    """The end of a run: everybody, what was repaired, what was not graded and why, what was cut."""
    lines, wide = [], max([len(row.name) for row in rows] + [7])
    for row in sorted(rows, key=lambda row: (not row.problem, row.name)):
        points = "" if row.problem else f"{row.points:g} / {most:g}"
        lines.append(f"{row.name:{wide}}  {row.status:10}  {points:>9}".rstrip())
        lines += [f"    {text}" for text in row.remarks]
        lines += [f"    cut off: {text}" for text in (row.result.cut if row.result else [])]
    counts = [
        f"{sum(row.status == s for row in rows)} {s}" for s in ("graded", "repaired", "NOT GRADED")
    ]
    return "\n".join([*(printable(line) for line in lines), "", ", ".join(counts)])


def rows_of(
    found: dict[str, list[File]], who: dict[str, tuple[str, str, str]], source, assignment: str
) -> list[Row]:
    """A row for everybody who has handed in something; `who` says who they are, as in owners."""
    rows = []
    for given, files in found.items():
        student, name, problem = who[given]
        row = prepare(student, files, source, assignment)
        row.name, row.given = printable(name), given
        if problem:
            row.problem, row.notebook = problem, None
        rows.append(row)
    for row in rows:
        if sum(row.student == other.student for other in rows) > 1:
            row.problem = f"two submissions would both have the id {row.student}: rename one"
            row.notebook = None
    return rows


def grade(
    place: Path, assignment: str, limits: Limits, jobs: int = 1, policy: Policy | None = None
) -> list[Row]:
    known, policy = settle(), policy or Policy({})
    source = source_of(assignment)
    found = collect(place, assignment, policy.zone)
    roster = Roster.of(roster_file())
    for given in [one for one, files in found.items() if roster.is_test_student(one, files[-1])]:
        file = found.pop(given)[-1].path
        print(printable(f"left out, because it is Canvas' test student: {file}"))
    who = owners(found, roster, folder() / f"{assignment}_worksheet.csv")
    rows = rows_of(found, who, source, assignment)
    if not rows:
        raise SystemExit(f"There is nothing in {place} that looks like a submission.")
    look_at_times(rows, assignment, roster, policy)
    if not known:
        refuse_another_version(rows)
    settle(decides=True)
    print(f"{len(rows)} submissions; each runs as {describe(sandbox.way())}", flush=True)
    api = nbgrader_api()
    make_known(assignment, api)
    use_known_names(rows, api)
    stopped = "the grading was stopped before its end"
    remember_problems(rows, not_graded_file(assignment), stopped)
    versions = alike.other_versions(assignment, source)
    for row in rows:
        if row.notebook is not None:
            row.public = alike.public_answers(source, row.notebook, versions)
    for number, row in enumerate(examine_all(rows, source, limits, jobs), 1):
        if not row.problem:
            try:
                record(row, assignment, api)
            except Exception as error:
                row.problem = f"it could not be recorded: {type(error).__name__}: {error}"
        print(printable(f"{number:4} {row.name}: {row.problem or f'{row.points:g}'}"), flush=True)
    done = [row for row in rows if not row.problem]
    remember_names(done, folder() / f"{assignment}_files.json")
    remember_problems(rows, not_graded_file(assignment))
    return rows


def look_at_times(rows: list[Row], assignment: str, roster: Roster, policy: Policy) -> None:
    """Take the times from the platform's list, if there is one, and say where Canvas differs."""
    roster = roster if roster.given else Roster(Person(row.student, row.name) for row in rows)
    times = Times(folder(), [assignment], roster, policy.due, policy.zone)
    for row in rows:
        handed = times.when(row.student, assignment, row.time, row.file)
        if handed.mark == "LATE":
            in_time = not policy.days_late(assignment, row.time, row.student)
            days = policy.days_late(assignment, handed.time, row.student)
            row.hints.append(
                f"Canvas says LATE{', the date in the archive says in time' if in_time else ''}. "
                f"It counts as {days} day{'' if days == 1 else 's'} late until {TIMES} has the "
                "time that SpeedGrader shows"
            )
        elif handed.source != CANVAS_SAYS:  # where only the mark is known, no time is made up
            row.time = handed.time


@contextmanager
def alone() -> Iterator[None]:
    """Refuse to grade while somebody else does, because both would write the same gradebook."""
    import fcntl  # Windows has none, and grading needs Linux

    folder().mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder() / ".grading").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SystemExit(
                f"Somebody is grading with {folder()} already. Wait until that is done; "
                "JOBS=2, or --jobs 2, grades two submissions at the same time."
            ) from None
        yield


def refuse_another_version(rows: list[Row]) -> None:
    """Raises SystemExit if most have tests that are not ours, and nobody has named a version."""
    books = [row for row in rows if row.notebook is not None]
    others = [row for row in books if any(EDITED in note for note in row.notes)]
    if 2 * len(others) > len(books):
        raise SystemExit(
            f"{len(others)} of {len(books)} submissions have tests that differ from this "
            "repository's, so these sets were probably released with a seed. Give it, as in "
            "SEED=2027, with VARIANTS if there were any. If no seed was used, give SEED=0."
        )


def describe(way: str) -> str:
    return {
        "user": "a user of its own, in namespaces, without your files and without a network.",
        "namespaces": "you, in namespaces, without your files and without a network.",
        "plain": f"you, with limits only.\n{sandbox.WARNING}",
    }[way]


def folder() -> Path:
    return Path(os.environ.get("GRADING", ROOT / "grading")).resolve()


def policy_of(arguments) -> Policy:
    """The course's policy, and what the gradebook's folder adds about people."""
    if not arguments.policy.is_file():
        raise SystemExit(f"There is no policy {arguments.policy}.")
    return Policy.of(arguments.policy, folder() / "policy.toml")


def roster_file() -> Path:
    return folder() / "roster.csv"


def report(rows: list[Row], assignment: str) -> None:
    source = source_of(assignment)
    most = sum(
        c.metadata.nbgrader.points
        for c in source.cells
        if "points" in c.metadata.get("nbgrader", {})
    )
    print(f"\n{table(rows, most)}")
    columns = [
        "student",
        "name",
        "status",
        "points",
        "file",
        "handed in",
        "repaired or why not",
        "cut off",
        "seconds",
    ]
    path = folder() / f"{assignment}_table.csv"
    with path.open("w", newline="", encoding="utf8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for row in rows:
            cut, seconds = (row.result.cut, row.result.seconds) if row.result else ([], "")
            why = "; ".join(row.remarks)
            cells = [row.student, row.name, row.status, row.points, row.file,
                     row.time or "", why, "; ".join(cut), seconds]  # fmt: skip
            writer.writerow([plain_cell(value) for value in cells])
    print(f"This table is in {path}.")


def export(
    rows: list[dict],
    assignment: str,
    given: Path,
    roster: Roster,
    unread: bool = False,
    ungraded: bool = False,
) -> None:
    """Fill in the platform's table. Raises SystemExit if marks in it would not be final."""
    known = [column.removesuffix(" counts") for column in rows[0] if column.endswith(" counts")]
    if assignment not in known:
        raise SystemExit(f"Nobody has points for {assignment}; there are {', '.join(known)}.")
    if not ungraded:
        refuse_ungraded([assignment])
    if not unread:
        refuse_unread(rows, [assignment])
    out = given.with_name(f"{given.stem}_filled.csv")
    filled, left = fill(given, rows, assignment, out, roster)
    count = "1 student" if filled == 1 else f"{filled} students"
    print(f"{count} filled in {out}" + (f"; not in it: {', '.join(left)}" if left else ""))
    zero = [row["name"] for row in rows if assignment in (row.get(NOTHING) or "").split(", ")]
    if zero:
        print(printable(f"0 because nothing of theirs was graded, {len(zero)}: {', '.join(zero)}"))


def refuse_unread(rows: list[dict], assignments: list[str]) -> None:
    """Raises SystemExit if somebody's answer would count 0 only because nobody has read it."""
    for assignment in assignments:
        waiting = [row["name"] for row in rows if row.get(f"{assignment} to read")]
        if waiting:
            some = ", ".join(waiting[:10]) + (" and others" if len(waiting) > 10 else "")
            raise SystemExit(
                f"{people(waiting)} an answer in {assignment} that nobody has read yet: "
                f"{some}. It counts 0 so far. Mark it first (make mark SET={assignment}),"
                " or add --unread to go on with what there is."
            )


def everybody_in(database: str, roster: Roster) -> Roster:
    """The roster, or if there is none, the people whom the gradebook knows."""
    if roster.given:
        return roster
    with Gradebook(database) as gradebook:
        return Roster(Person(one.id, name_of(one)) for one in gradebook.students)


def times_of(database: str, policy: Policy, everybody: Roster) -> Times:
    """The times of all sets; a line of times.csv about nobody stops everything."""
    with Gradebook(database) as gradebook:
        sets = [assignment.name for assignment in gradebook.assignments]
    sets += [name for name in {**policy.due, **(policy.weights or {})} if name not in sets]
    return Times(folder(), sets, everybody, policy.due, policy.zone, strict=True)


def about_times(database: str, policy: Policy, times: Times) -> list[str]:
    """What says when the sets were handed in, who has more time, and for whom a set is left out."""
    said = []
    with Gradebook(database) as gradebook:
        called = {student.id: name_of(student) for student in gradebook.students}
        handed: dict[str, dict] = {name: {} for name in policy.due}
        for student in gradebook.students:
            for work in student.submissions:
                if work.assignment.name in handed:
                    handed[work.assignment.name][student.id] = handed_in(work, times)
    for name, mine in handed.items():
        said += said_about(name, mine, called.__getitem__)
        if late := [called[one] for one in mine if times.marked_late(one, name)]:
            said.append(
                f"{name}: Canvas says LATE but not how late, and {TIMES} has no time for "
                f"{len(late)}: {', '.join(late)}"
            )
    for name, more in policy.extensions.items():
        listed = [f"{called[i]} until {shown(policy.due_for(i, name), policy.zone)}" for i in more]
        said += [f"{name}: more time for {', '.join(listed)}"] if listed else []
    for name, listed in policy.excused.items():
        names = [called[i] for i in listed]
        said += [f"{name}: doesn't count for {', '.join(names)}"] if names else []
    return said


def set_points(
    more: list[str],
    database: str,
    policy: Policy,
    times: Times,
    everybody: Roster,
    before: list[dict],
) -> None:
    """Add a line to points.csv and say what it changes. Nothing is written if it makes no sense."""
    if len(more) < 5 or not " ".join(more[4:]).strip():
        raise SystemExit(
            "points needs a set, a student, a task (or all), the points that it has from now on, "
            "and the reason: python -m tools.grade points ps1 1004821 packed_mask 0 "
            '"not explained on 12 November, Meyer and Roth"'
        )
    assignment, student, task, points, *reason = more
    path = folder() / POINTS
    person = find(everybody, student)
    kept = path.read_text(encoding="utf8") if path.is_file() else None
    values = [person.id if person else student, assignment, task, points, " ".join(reason)]
    add(path, [plain_cell(value) for value in values])
    try:
        rows, _ = marks_and_shares(database, policy, times, Changes(path, everybody))
    except SystemExit:
        path.unlink() if kept is None else path.write_text(kept, encoding="utf8")
        raise
    old, new = ({row["student"]: row for row in some}[values[0]] for some in (before, rows))
    print(
        printable(
            f"{new['name']} has {new[assignment]:g} points in {assignment}, before "
            f"{old[assignment]:g}. {new[BY_HAND]}"
        )
    )
    print(f"Delete the line in {path} to take this back. The next feedback page says it, too.")


def final_marks(rows: list[dict], shares: dict, policy: Policy, arguments) -> list[dict]:
    """Write grading/final.csv, the mark of the course, and say what should be looked at."""
    if not arguments.ungraded:
        refuse_ungraded(list(policy.weights or {}))
    if not arguments.unread:
        refuse_unread(rows, list(policy.weights or {}))
    out, said = final(rows, shares, policy, arguments.exam, arguments.explained, arguments.project)
    write_table(out, folder() / "final.csv")
    passed = sum(row["passed"] == "yes" for row in out)
    print(f"{len(out)} students in {folder() / 'final.csv'}, {passed} passed")
    print("\n".join(printable(line) for line in said), end="\n" if said else "")
    return out


def show_alike(assignment: str, earlier: list[Path]) -> None:
    """Print and write which of the submissions that were graded are alike, and what they are like.

    `earlier` are folders with the notebooks of other years.
    """
    places = sorted((folder() / "submitted").glob(f"*/{assignment}/{assignment}.ipynb"))
    if len(places) < 2:
        raise SystemExit(
            f"{folder() / 'submitted'} has {len(places)} submissions of {assignment}, but two or "
            f"more are needed. Grade them first: python -m tools.grade {assignment} …"
        )
    notebooks = {path.parts[-3]: read(path.read_bytes()) for path in places}
    source, names = source_of(assignment), names_in_gradebook()
    before = alike.of_earlier_years(earlier, source)
    if before:
        print(f"Notebooks of earlier years that are compared as well: {len(before)}")
    found = alike.pairs(source, notebooks, alike.other_versions(assignment, source), before)
    print(printable_lines(alike.table(found, names)))
    if copies := alike.answers_to_other_versions(found, names):
        print(f"\n{printable_lines(copies)}")
    path = folder() / f"{assignment}_alike.csv"
    rows = [
        {
            "task": pair.task,
            "one": pair.one,
            "other": pair.other,
            "alike in per cent": round(100 * pair.alike),
            "usual in this task": round(100 * pair.usual),
            "compared": pair.size,
            "nearly a copy": "yes" if pair.copied and pair.size >= alike.ENOUGH else "",
        }
        for pair in found
    ]
    write_table(rows, path)
    print(f"\n{alike.HINT}\nAll {len(found)} pairs are in {path}.")


def names_in_gradebook() -> dict[str, str]:
    """{id: name} of everybody whom the gradebook knows."""
    if not (folder() / "gradebook.db").is_file():
        return {}
    with Gradebook(f"sqlite:///{folder() / 'gradebook.db'}") as gradebook:
        return {student.id: printable(name_of(student)) for student in gradebook.students}


def printable_lines(text: str) -> str:
    return "\n".join(printable(line) for line in text.splitlines())


def people(names: list[str]) -> str:
    return "1 student has" if len(names) == 1 else f"{len(names)} students have"


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", help="a set such as ps1; or marks, export, feedback, points, alike")
    parser.add_argument("more", nargs="*", help="a folder or zip archive; for export, a table")
    parser.add_argument("--jobs", type=int, default=1, help="submissions at the same time")
    parser.add_argument(
        "--seconds", type=float, default=30, help="processor time of a cell or test"
    )
    parser.add_argument(
        "--unread", action="store_true", help="export although answers are still to be read"
    )
    parser.add_argument(
        "--ungraded", action="store_true", help="export although some work could not be graded"
    )
    parser.add_argument(
        "--unprotected", action="store_true", help="grade even where code can read your files"
    )
    parser.add_argument(
        "--with",
        dest="earlier",
        type=Path,
        action="append",
        default=[],
        help="for alike: a folder with notebooks of an earlier year; may be given several times",
    )
    parser.add_argument("--exam", type=Path, help="for the mark: a table of student, points")
    parser.add_argument(
        "--explained", type=Path, help="for the mark: a table of who has explained a solution"
    )
    parser.add_argument(
        "--project", type=Path, help="for the mark: student, points of projects for the capstone"
    )
    parser.add_argument("--policy", type=Path, default=COURSE / "policy.toml")
    arguments = parser.parse_args(argv)
    what, more = arguments.what, arguments.more
    torch.set_num_threads(1)
    needed = what in ("marks", "export", "points", "feedback")
    if needed and not (folder() / "gradebook.db").is_file():
        raise SystemExit(f"There is no gradebook in {folder()}. Has anything been graded?")
    if what in ("marks", "export", "points"):
        policy = policy_of(arguments)
        database, roster = f"sqlite:///{folder() / 'gradebook.db'}", Roster.of(roster_file())
        if others := add_everybody(database, roster):
            print(printable(f"Not on the roster, {len(others)}: {', '.join(others)}"))
        everybody = everybody_in(database, roster)
        times = times_of(database, policy, everybody)
        changes = Changes(folder() / POINTS, everybody)
        rows, shares = marks_and_shares(database, policy, times, changes)
        if what == "points":
            set_points(more, database, policy, times, everybody, rows)
            return
        if what == "marks":
            if more:
                parser.error(f"marks takes no {more[0]}; an exam's table comes after --exam")
            write_table(rows, folder() / "marks.csv")
            print(f"{len(rows)} students in {folder() / 'marks.csv'}")
            sets = [c.removesuffix(" counts") for c in (rows or [{}])[0] if c.endswith(" counts")]
            if undated := [name for name in sets if name not in policy.due]:
                print(f"{arguments.policy} has no date for {', '.join(undated)}: nobody is late")
            for line in about_times(database, policy, times):
                print(printable(line))
            for row in rows:
                if row.get(BY_HAND):
                    print(printable(f"{row['name']}: {row[BY_HAND]}"))
            ungraded = {name: not_graded(not_graded_file(name)) for name in sets}
            for name, files in ungraded.items():
                if waiting := [one["name"] for one in files]:
                    said = f"{name}: handed in and NOT GRADED, {len(waiting)}: {', '.join(waiting)}"
                    print(printable(said))
            seen = {who for who, reached in shares.items() if reached}
            seen |= {one["student"] for files in ungraded.values() for one in files}
            if never := [row["name"] for row in rows if row["student"] not in seen]:
                print(printable(f"Nothing handed in, {len(never)}: {', '.join(never)}"))
            if arguments.exam or arguments.explained or arguments.project:
                final_marks(rows, shares, policy, arguments)
            return
        if len(more) != 2:
            parser.error("export needs an assignment and the table that Moodle or Canvas gave")
        if more[0] == "final":
            rows = final_marks(rows, shares, policy, arguments)
            export(rows, "final", Path(more[1]), roster, True, True)  # final_marks has refused
            return
        export(rows, more[0], Path(more[1]), roster, arguments.unread, arguments.ungraded)
        return
    if what == "alike":
        if len(more) != 1:
            parser.error("alike needs an assignment, such as ps1")
        settle()
        show_alike(more[0], arguments.earlier)
        return
    if what == "feedback":
        if not more:
            parser.error("feedback needs an assignment, such as ps1")
        settle()
        policy = policy_of(arguments)
        for assignment in more:
            print(printable_lines("\n".join(feedback(assignment, policy))))
        return
    if len(more) != 1:
        parser.error("name the folder or zip archive with the submissions")
    if arguments.jobs < 1:
        parser.error(f"--jobs is {arguments.jobs}, but must be 1 or more")
    if sys.platform == "win32":
        parser.error("grading needs Linux, or the container of course/Dockerfile")
    if arguments.unprotected:
        os.environ["UNPROTECTED"] = "1"
    sandbox.refuse_unprotected()
    limits, policy = Limits(cell=arguments.seconds), policy_of(arguments)
    with alone():
        report(grade(Path(more[0]).expanduser(), what, limits, arguments.jobs, policy), what)


if __name__ == "__main__":
    main()
