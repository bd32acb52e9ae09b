"""Points that a person has set, with a reason, such as 0 for an answer that nobody could explain.

They are lines of points.csv in the gradebook's folder: student, set, task, points, reason. The
gradebook itself isn't touched, so a line survives every grading, and deleting it takes it back.
A line is about one person, also if a team has handed in together.
"""

import csv
import html
import re
from dataclasses import dataclass
from pathlib import Path

from tools.grading.roster import Roster, read_table
from tools.grading.times import find, nobody

POINTS = "points.csv"
COLUMNS = ("student", "set", "task", "points", "reason")
ALL = "all"  # in place of a task: the whole set
EXAMPLE = '1004821,ps1,packed_mask,0,"not explained on 12 November, Meyer and Roth"'


@dataclass
class Change:
    """One line: `points` count in place of what `task` has."""

    task: str
    points: float
    reason: str
    place: str  # the file and line

    @property
    def what(self) -> str:
        return "the whole set" if self.task == ALL else self.task


class Changes:
    """What points.csv says; a later line about the same task replaces an earlier one."""

    def __init__(self, path: Path, roster: Roster):
        self.by_work: dict[tuple[str, str], dict[str, Change]] = {}
        if not path.is_file():
            return
        table = read_table(path)
        if missing := [column for column in COLUMNS if column not in table.known]:
            raise SystemExit(
                f"{path} lacks {', '.join(missing)}. Its first line must be {','.join(COLUMNS)}, "
                f"and the others like {EXAMPLE}"
            )
        for line, given in zip(table.lines, table.rows, strict=True):
            row, place = table.ours(given), f"{path}, line {line}"
            person = find(roster, row["student"])
            if person is None:
                raise SystemExit(nobody(path, line, row["student"]))
            if not row["reason"]:
                raise SystemExit(f"{place}: there is no reason. Students read it in the feedback.")
            try:
                points = float(row["points"].replace(",", "."))
            except ValueError:
                raise SystemExit(f"{place}: {row['points']!r} is not a number of points.") from None
            mine = self.by_work.setdefault((person.id, row["set"]), {})
            mine[row["task"]] = Change(row["task"], points, row["reason"], place)
            if ALL in mine and len(mine) > 1:
                raise SystemExit(f"{place}: another line about {row['set']} sets the whole set.")

    def apply(self, student: str, work, tasks: list[str]) -> tuple[float, list[str]]:
        """(the points of a submission for this person, what was set and why)."""
        score, said = work.score, []
        for change in self.by_work.get((student, work.assignment.name), {}).values():
            cells = [cell for notebook in work.notebooks for cell in notebook.grades]
            if change.task != ALL:
                cells = [cell for cell in cells if task_of(cell.name, tasks) == change.task]
            if not cells:
                raise SystemExit(
                    f"{change.place}: {work.assignment.name} has no task {change.task!r}, only "
                    f"{', '.join(tasks)}, and {ALL} for the whole set."
                )
            before, most = sum(c.score for c in cells), sum(c.max_score for c in cells)
            if not 0 <= change.points <= most:
                raise SystemExit(
                    f"{change.place}: {change.points:g} points, but there are 0 to {most:g} for "
                    f"{change.what}."
                )
            score += change.points - before
            points = "1 point" if change.points == 1 else f"{change.points:g} points"
            said.append(f"{change.what}: {points} in place of {before:g}, {change.reason}")
        return score, said

    def refuse_unused(self, used: set[tuple[str, str]]) -> None:
        """Raises SystemExit if a line is about work that isn't there."""
        for (student, name), mine in self.by_work.items():
            if (student, name) not in used:
                place = next(iter(mine.values())).place
                raise SystemExit(f"{place}: {student} has no submission of {name!r} that counts.")


def task_of(cell: str, tasks: list[str]) -> str:
    """The task to which a cell of the gradebook belongs: packed_mask_batch is of packed_mask."""
    return max((task for task in tasks if cell.startswith(task)), key=len, default="")


def add(path: Path, values: list[str]) -> None:
    """Append a line to points.csv, with the commas or semicolons that it has."""
    delimiter = read_table(path).delimiter if path.is_file() else ","
    new = not path.is_file()
    missing_end = not new and not path.read_text(encoding="utf8").endswith("\n")
    with path.open("a", newline="", encoding="utf8") as file:
        file.write("\n" if missing_end else "")
        writer = csv.writer(file, delimiter=delimiter)
        if new:
            writer.writerow(COLUMNS)
        writer.writerow(values)


def note_in(page: str, lines: list[str]) -> str:
    """A page of feedback with these lines above everything else."""
    items = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    note = f'<div class="container"><div class="alert alert-warning"><ul>{items}</ul></div></div>'
    return re.sub(r"<body[^>]*>", lambda found: found[0] + note, page, count=1)
