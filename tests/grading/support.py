"""What several tests of grading need: a file with a text, and a gradebook with points in it."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tools.release import environment


def put(folder: Path, name: str, text: str, encoding: str = "utf8") -> Path:
    (folder / name).write_text(text, encoding=encoding)
    return folder / name


def new_gradebook(
    path: Path,
    sets: dict[str, dict[str, float]],
    people: dict[str, str],
    handed_in: Iterable[tuple[str, str, datetime | None, tuple[float, ...]]] = (),
) -> Path:
    """Write the gradebook `path`, as if everything had been graded.

    `sets` has the points that there are in each cell of a set, `people` the name of each id, and
    `handed_in` (set, id, when, points in the set's cells) for each submission.
    """
    from nbgrader.api import Gradebook  # the tests have skipped where it is missing

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", environment()["PATH"])  # a new gradebook calls alembic
        with Gradebook(f"sqlite:///{path}") as book:
            for name, cells in sets.items():
                book.add_assignment(name)
                book.add_notebook(name, name)
                for cell, most in cells.items():
                    book.add_grade_cell(cell, name, name, max_score=most, cell_type="code")
            for student, full in people.items():
                first, _, last = full.partition(" ")
                book.add_student(student, first_name=first, last_name=last)
            for name, student, when, points in handed_in:
                time = when and when.astimezone(UTC).replace(tzinfo=None)
                book.add_submission(name, student, timestamp=time)
                for cell, value in zip(sets[name], points, strict=True):
                    one = book.find_grade(cell, name, name, student)
                    one.auto_score, one.needs_manual_grade = value, False
            book.db.commit()
    return path
