"""tools/matrix.py: a failure stands in the table, and nothing that was not tried looks passed."""

import sys

import pytest

from tools.matrix import SHOWN, kept, requirements, table, tried


@pytest.mark.parametrize(
    "printed, code, expected",
    [
        ("5 passed in 1.00s", 0, "all 5"),
        ("5 passed, 2 skipped in 1.00s", 0, "all 5"),
        ("2 failed, 3 passed in 1.00s", 1, "**2 of 5 failed**"),
        ("3 passed, 1 error in 1.00s", 1, "**1 of 4 failed**"),
        ("no tests ran", 5, "**stopped with 5**"),
        ("5 passed", 3, "**stopped with 3**"),
    ],
)
def test_what_pytest_says_is_read(printed, code, expected, tmp_path):
    command = [sys.executable, "-c", f"print({printed!r}); raise SystemExit({code})"]
    assert tried(command, tmp_path / "log") == expected


def test_the_table_names_what_was_not_tried():
    row = ["3.11", "lock", *("1.0" for _ in SHOWN), "all 5", "all 7", "3"]
    text = table([row], ["3.13"], ["notebooks/00_start_here.ipynb"])
    assert "| 3.11 | lock |" in text and "Not on this machine, so not tried: Python 3.13" in text
    widths = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert len(widths) == 1


def test_rows_that_are_not_tried_again_stay_if_the_notebooks_are_the_same():
    books = ["notebooks/00_start_here.ipynb"]
    rows = [
        ["3.11", end, *("1.0" for _ in SHOWN), "all 5", "all 7", "3"] for end in ("lock", "new")
    ]
    text = table(rows, [], books)
    assert list(kept(text, books).values()) == rows
    assert list(kept(text, books)) == [("3.11", "lock", "1.0"), ("3.11", "new", "1.0")]
    assert kept(text, ["notebooks/07_cross_attention.ipynb"]) == {} == kept("", books)


def test_the_lock_is_taken_as_it_is_but_for_torch():
    text = requirements("lock", sys.executable, "torch==2.6.0")
    assert "torch==2.6.0" in text and "torch==2.13.0" not in text and "numpy==" in text
