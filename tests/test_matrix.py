"""tools/matrix.py: a failure stands in the table, and nothing that was not tried looks passed."""

import subprocess
import sys

import pytest

from tools import matrix
from tools.environment import ROOT
from tools.matrix import (
    ALL,
    FAST,
    PYTHONS,
    SHOWN,
    Python,
    combinations,
    interpreter,
    kept,
    requirements,
    table,
    tried,
)


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
    text = table([row], ["3.13"], ["notebooks/00_start_here.ipynb"], FAST)
    assert "| 3.11 | lock |" in text and "Not on this machine, so not tried: Python 3.13" in text
    assert FAST in text and ALL not in text
    widths = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert len(widths) == 1


def test_rows_that_are_not_tried_again_stay_if_what_was_tried_is_the_same():
    books = ["notebooks/00_start_here.ipynb"]
    rows = [
        ["3.11", end, *("1.0" for _ in SHOWN), "all 5", "all 7", "3"] for end in ("lock", "new")
    ]
    text = table(rows, [], books, FAST)
    assert kept(text, books, FAST) == {("3.11", row[1]): row for row in rows}
    assert kept(text, ["notebooks/07_cross_attention.ipynb"], FAST) == {}
    assert kept("", books, FAST) == {} == kept(text, books, ALL)


def test_two_runs_side_by_side_keep_each_others_rows(monkeypatch, tmp_path):
    """The other one ends while this one is at work."""

    def row_of(version):
        return [version, "lock", *("1.0" for _ in SHOWN), "all 5", "all 7", "3"]

    def at_work(python, end, books, all_tests):
        matrix.TABLE.write_text(table([row_of("3.12")], [], books, FAST), encoding="utf8")
        return row_of("3.11")

    monkeypatch.setattr(matrix, "TABLE", tmp_path / "versions.md")
    monkeypatch.setattr(matrix, "FOLDER", tmp_path / "matrix")
    monkeypatch.setattr(matrix, "interpreter", lambda version: version)
    monkeypatch.setattr(matrix, "try_one", at_work)
    options = ["--fast", "--notebooks", "00", "--pythons", "3.11", "--ends", "lock"]
    monkeypatch.setattr(sys, "argv", ["matrix", *options])
    matrix.main()
    text = matrix.TABLE.read_text(encoding="utf8")
    assert "| 3.11 | lock |" in text and "| 3.12 | lock |" in text


def test_each_end_has_versions_of_its_own(monkeypatch):
    """Where there are no builds of the very lowest, uv takes the lowest that there are."""
    asked = []

    def run(command, **_):
        asked.append(command)
        return subprocess.CompletedProcess(command, 0, "pooch==1.8.0\n")

    python = Python("3.11", sys.executable)
    monkeypatch.setattr(matrix, "sources", list)
    monkeypatch.setattr(subprocess, "run", run)
    assert requirements("lock", python) == (ROOT / "requirements.lock").read_text("utf8")
    assert not asked
    for end, resolution in (("lowest", "lowest-direct"), ("newest", "highest")):
        assert requirements(end, python) == "pooch==1.8.0\n"
        command = asked.pop()
        assert resolution in command and "--only-binary=:all:" in command


def test_the_lock_is_tried_everywhere_and_the_ends_where_they_fit():
    pairs = combinations(PYTHONS, None)
    assert PYTHONS[0] == "3.11" and PYTHONS[-1] == "3.14"
    assert {version for version, end in pairs if end == "lock"} == {*PYTHONS}
    ends = [pair for pair in pairs if pair[1] != "lock"]
    assert ends == [("3.11", "lowest"), ("3.14", "newest")]
    assert combinations(["3.12"], ["lowest", "newest"]) == [("3.12", "lowest"), ("3.12", "newest")]


@pytest.mark.slow
def test_this_python_is_found_and_none_that_does_not_exist():
    pytest.importorskip("uv")
    here = "{}.{}".format(*sys.version_info[:2])
    assert interpreter(here).version == here and interpreter("3.99") is None
