"""The mark of the whole course: problem sets, exam and solutions explained, joined into one table.

The weights are those of course/policy.toml, the rules those of course/policies.md. `marks` in
record.py has brought the sets as far as their lateness; this adds what happens outside nbgrader.
"""

import math
from collections import Counter
from pathlib import Path

from tools.grading.record import EXCUSED, NOTHING, Policy
from tools.grading.roster import read_table
from tools.questions import MARKS

YES, NO = {"yes", "y", "x", "1", "true", "held"}, {"no", "n", "0", "false", "", "not held"}
KEYS = ("student", "name")  # the column that says whose row it is; marks.csv has both


class Faults(list):
    """All that is wrong with the tables, so that one run names everything."""

    def stop(self) -> None:
        if self:
            raise SystemExit("\n".join(self))


def table(path: Path, needs: str = "") -> tuple[str, list[tuple[int, dict[str, str]]]]:
    """(its key column, [(line, row)]) of a CSV table with commas, semicolons or tabs."""
    given = read_table(path)
    columns = [column.strip().lower() for column in given.columns]
    key = next((k for k in KEYS if k in columns), None)
    if key is None or (needs and needs not in columns):
        raise SystemExit(
            f"{path} has the columns {', '.join(columns) or 'of an empty file'}, but it needs "
            f"{'student (or name)' + (f' and {needs}' if needs else '')} in its first line. "
            "marks.csv has the students as the gradebook knows them."
        )
    rows = [
        (line, {column.strip().lower(): cell.strip() for column, cell in row.items()})
        for line, row in zip(given.lines, given.rows, strict=True)
    ]
    return key, rows


def by_student(
    path: Path, students: dict[str, str], faults: Faults, needs: str = ""
) -> list[tuple[int, str, dict[str, str]]]:
    """[(line, student's id, row)] of a table; `students` is {id: name}."""
    key, rows = table(path, needs)
    names = Counter(students.values())
    ids = {name: student for student, name in students.items()}
    found, unknown = [], []
    for line, row in rows:
        said = row[key]
        if key == "name" and names[said] > 1:
            faults.append(
                f"{path}, line {line}: there are {names[said]} students called {said}, so the "
                "table needs the column student."
            )
        elif said in (students if key == "student" else ids):
            found.append((line, said if key == "student" else ids[said], row))
        else:
            unknown.append(f"{said or 'nobody'} (line {line})")
    if unknown:
        faults.append(
            f"{path}: the gradebook knows nobody called {', '.join(unknown)}. marks.csv has the "
            f"right ones in its column {key}. If somebody has never handed in anything, add them "
            "to grading/roster.csv."
        )
    return found


def points(text: str, most: float) -> float:
    """Points as people type them, such as 39, 39.5 or 39,5. Raises ValueError with the reason."""
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        raise ValueError(f"{text!r} is not a number of points") from None
    if not math.isfinite(value) or not 0 <= value <= most:
        raise ValueError(f"{text} points, but there are 0 to {most:g}")
    return value


def points_of(
    path: Path, students: dict[str, str], most: float, faults: Faults
) -> dict[str, float]:
    """{student: points} of an exam or of projects; without points, somebody was not there."""
    found: dict[str, float] = {}
    seen: dict[str, int] = {}
    for line, student, row in by_student(path, students, faults, "points"):
        if student in seen:
            faults.append(f"{path}, line {line}: {student} is in line {seen[student]} already")
        seen[student] = line
        if row["points"]:
            try:
                found[student] = points(row["points"], most)
            except ValueError as error:
                faults.append(f"{path}, line {line}: {student} has {error}")
    return found


def who_explained(path: Path, students: dict[str, str], faults: Faults) -> set[str]:
    """Everybody in the table, or, if it has a column explained, those with a yes in it."""
    found = set()
    for line, student, row in by_student(path, students, faults):
        said = row.get("explained", "yes").lower()
        if said not in YES | NO:
            faults.append(f"{path}, line {line}: explained is {said!r}, but must be yes or no")
        elif said in YES:
            found.add(student)
    return found


def final(
    rows: list[dict],
    shares: dict[str, dict[str, float]],
    policy: Policy,
    exam: Path | None = None,
    explained: Path | None = None,
    project: Path | None = None,
) -> tuple[list[dict], list[str]]:
    """(a row for each student, what a person should know about them).

    `rows` and `shares` come from `marks_and_shares`. A project's points take the place of its
    author's capstone. Raises SystemExit with everything that is wrong in the tables.
    """
    weights, faults = dict(policy.weights or {}), Faults()
    given = {"exam": exam, "explained": explained}
    for part, path in given.items():
        if weights.get(part) and path is None:
            faults.append(
                f"In policy.toml, {part} has the weight {weights[part]:g}. Name its table with "
                f"--{part} TABLE.csv, or give it the weight 0."
            )
        elif path is not None and not weights.get(part):
            faults.append(f"--{part} names a table, but policy.toml gives {part} no weight.")
    faults.stop()
    students = {row["student"]: row["name"] for row in rows}
    sat = points_of(exam, students, policy.exam_points, faults) if exam else {}
    projects = points_of(project, students, policy.project_points, faults) if project else {}
    held = who_explained(explained, students, faults) if explained else set()
    free = {i: [part for part in weights if policy.is_excused(i, part)] for i in students}
    for student, name in students.items():
        if student in projects and "capstone" in free[student]:
            faults.append(f"{name} is excused from the capstone, but is in {project}.")
        if not any(weight for part, weight in weights.items() if part not in free[student]):
            faults.append(f"{name} is excused from everything that has a weight in policy.toml.")
    faults.stop()
    sets = [part for part in weights if part not in given]
    shares = {student: dict(share) for student, share in shares.items()}
    twice = [student for student in projects if "capstone" in shares[student]]
    for student, value in projects.items():
        shares[student]["capstone"] = value / policy.project_points
    out = []
    for row in rows:
        student, name = row["student"], row["name"]
        reached = {part: shares[student].get(part, 0.0) for part in sets}
        if exam:
            reached["exam"] = sat.get(student, 0.0) / policy.exam_points
        if explained:
            reached["explained"] = float(student in held)
        mine = {part: weight for part, weight in weights.items() if part not in free[student]}
        sum_ = sum(mine[part] * share for part, share in reached.items() if part in mine)
        exact = 100 * sum_ / sum(mine.values())
        mark = math.floor(round(exact, 6) + 0.5)  # rounded once, at the end
        enough = not exam or round(100 * reached["exam"], 6) >= policy.exam_least
        passed = enough and mark >= policy.to_pass
        better = [m for m in MARKS[:-1] if mark >= m[0]] + MARKS[-2:-1]
        _, letter, german = better[0] if passed else MARKS[-1]
        cells = {part: round(100 * share, 2) if part in mine else EXCUSED
                 for part, share in reached.items()}  # fmt: skip
        if exam:
            cells["exam points"] = sat.get(student, "")
        out.append({"student": student, "name": name, **cells, "exact": round(exact, 2),
                    "final counts": mark, "passed": "yes" if passed else "no",
                    "letter": letter, "Germany": german,
                    NOTHING: ", ".join(p for p in sets if p in mine and p not in shares[student]),
                    EXCUSED: ", ".join(free[student])})  # fmt: skip
    some = lambda ids: f"{len(ids)}: {', '.join(students[i] for i in ids)}"
    said = missing(students, sets, shares, free, some)
    for part in weights:
        if ill := [i for i in students if part in free[i]]:
            said.append(f"Excused from {part}, which has no weight for them, {some(ill)}")
    if twice:
        said.append(f"Have handed in a capstone as well, and the project counts, {some(twice)}")
    if exam and (away := [i for i in students if i not in sat]):
        said.append(f"Without points in the exam, {some(away)}")
    if explained and (
        silent := [i for i in students if i not in held and "explained" not in free[i]]
    ):
        said.append(f"Have explained nothing, {some(silent)}")
    few = [r["student"] for r in out if r["passed"] == "no" and r["final counts"] >= policy.to_pass]
    if few:
        said.append(f"Enough points, but too few of them in the exam, {some(few)}")
    return out, said


def missing(students: dict[str, str], sets: list[str], shares: dict, free: dict, some) -> list[str]:
    """Which sets somebody, or everybody, has not handed in."""
    said = []
    for part in sets:
        if not any(part in share for share in shares.values()):
            said.insert(0, f"Nobody has handed in {part}, so it counts 0 for everybody.")
        elif nothing := [i for i in students if part not in shares[i] and part not in free[i]]:
            said.append(f"Without {part}, {some(nothing)}")
    return said
