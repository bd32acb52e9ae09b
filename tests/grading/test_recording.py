"""A small set goes all the way: graded, graded again, marked by hand in formgrader, exported."""

import csv
import http.cookiejar
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile
from pathlib import Path

import nbformat
import pytest

pytest.importorskip("nbgrader.api", reason="requirements-teach.lock")

from nbgrader.api import Gradebook

from tools import grade, mark, notebooks, release
from tools.grading.examiner import of_nbgrader
from tools.grading.repair import released

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="grading needs Linux"),
]

ANSWER = "Shares that were dealt out are lost."
KEPT = ("imports", "tools", "packed_mask", "packed_mask_batch", "too_late")
MOODLE = "Identifier,Full name,Grade\nParticipant 48213,Eve Il,\nParticipant 7,Ada,\n"
ROSTER = "Vorname;Nachname;ID-Nummer\nEve;Il;666\nJürgen;Müller-Lüdenscheidt;667\n"


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """The folder of a gradebook with one submission, by Eve Il, who has one right answer."""
    room = tmp_path_factory.mktemp("room")
    source = notebooks.read(release.COURSE / "source" / "ps1" / "ps1.ipynb")
    ids = [of_nbgrader(cell).get("grade_id") for cell in source.cells]
    question = ids.index("too_late") - 1
    source.cells = [c for i, c in enumerate(source.cells) if ids[i] in KEPT or i == question]
    (room / "source" / "ps1").mkdir(parents=True)
    nbformat.write(source, room / "source" / "ps1" / "ps1.ipynb")
    submission = released(source)
    for cell, right in zip(submission.cells, source.cells, strict=True):
        name = of_nbgrader(cell).get("grade_id")
        cell.source = {"packed_mask": right.source, "too_late": ANSWER}.get(name, cell.source)
    with zipfile.ZipFile(room / "ps1.zip", "w") as archive:
        path = "Eve Il_48213_assignsubmission_file_/ps1.ipynb"
        archive.writestr(path, nbformat.writes(submission))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_SOURCE", str(room / "source"))
        patch.setenv("COURSE_ROOT", str(notebooks.ROOT))
        patch.setenv("PATH", os.defpath)  # as without an active environment
        patch.chdir(room)
        patch.setenv("GRADING", "grading")  # below where the command runs, not below course/
        release.release(f"--CourseDirectory.release_directory={room / 'release'}")
        (room / "grading").mkdir(exist_ok=True)
        (room / "grading" / "roster.csv").write_text(ROSTER, encoding="utf8")
        grade.main(["ps1", str(room / "ps1.zip")])
        yield room / "grading"


def rows_of(path: Path) -> list[dict]:
    with path.open(newline="", encoding="utf8") as file:
        return list(csv.DictReader(file))


def test_a_longer_time_takes_nobodys_name(course):
    """The recipe for somebody who was ill: edit timestamp.txt, grade that folder again."""
    stamp = course / "submitted" / "666" / "ps1" / "timestamp.txt"
    stamp.write_text("2026-10-12 21:00:00 UTC")
    grade.main(["ps1", str(course / "submitted")])
    (row,) = rows_of(course / "ps1_table.csv")
    assert (row["student"], row["name"], row["handed in"][:10]) == ("666", "Eve Il", "2026-10-12")
    grade.main(["marks"])
    row, other = rows_of(course / "marks.csv")
    assert (row["student"], row["name"]) == ("666", "Eve Il")
    assert float(row["ps1"]) > 0 and not row["nothing handed in"]
    assert (other["student"], other["ps1"], other["nothing handed in"]) == ("667", "0.0", "ps1")


def test_feedback_is_packed_by_the_names_of_the_download(course):
    grade.main(["feedback", "ps1"])
    with zipfile.ZipFile(course / "feedback" / "ps1_moodle.zip") as archive:
        assert archive.namelist() == ["Eve Il_48213_assignfeedback_file_ps1.html"]


def test_points_with_unread_answers_are_not_exported_unasked(course, tmp_path, capsys):
    table = tmp_path / "worksheet.csv"
    table.write_text(MOODLE)
    with pytest.raises(SystemExit, match="1 student has an answer.* Eve Il.*--unread"):
        grade.main(["export", "ps1", str(table)])
    assert not (tmp_path / "worksheet_filled.csv").exists()
    grade.main(["export", "ps1", str(table), "--unread"])
    assert "1 student filled in" in capsys.readouterr().out
    assert float(rows_of(tmp_path / "worksheet_filled.csv")[0]["Grade"]) > 0
    with pytest.raises(SystemExit, match="ps7.*ps1"):
        grade.main(["export", "ps7", str(table)])


def test_mark_says_what_is_missing(course, tmp_path):
    assert f"--ServerApp.root_dir={course}" in mark.options(course, "ps1")
    with pytest.raises(SystemExit, match="No submission of ps2 has been graded .*ps1"):
        mark.options(course, "ps2")
    with pytest.raises(SystemExit, match="Nothing has been graded yet"):
        mark.options(tmp_path, "ps1")


@pytest.fixture(scope="module")
def formgrader(course):
    """The address that `make mark` opens in a browser, with its token."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tools.mark", "ps1", "--no-browser", "--port", str(port)]
    variables = {**os.environ, "JUPYTER_TOKEN": "abc", "GRADING": str(course)}
    log = (course.parent / "log").open("w+")
    server = subprocess.Popen(
        command, env=variables, cwd=notebooks.ROOT, stdout=log, stderr=subprocess.STDOUT
    )
    for _ in range(240):
        log.seek(0)
        if found := re.search(r"http://127\.0\.0\.1:\d+(/formgrader\S*)\?token=", log.read()):
            break
        assert server.poll() is None, (log.seek(0), log.read())
        time.sleep(0.5)
    yield f"http://127.0.0.1:{port}{found[1]}?token=abc"
    server.terminate()
    server.wait(60)
    log.close()


def client(address: str):
    """get(path, body), which knows no token but has the cookies of this address, as a browser."""
    jar = http.cookiejar.CookieJar()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    opener.open(address, timeout=60).read()
    root = address[: address.index("/formgrader")]

    def get(path: str, body: dict | None = None) -> str:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        cookies = {cookie.name: cookie.value for cookie in jar}
        headers["X-XSRFToken"] = cookies.get("_xsrf", "")
        request = urllib.request.Request(
            f"{root}/{path}", data, headers, method="PUT" if data else "GET"
        )
        return opener.open(request, timeout=60).read().decode()

    return get


def test_a_submission_is_opened_and_marked_in_formgrader(formgrader, course, tmp_path):
    get = client(formgrader)
    assert "formgrader" in get("formgrader/gradebook/ps1/ps1")  # an error if the root is wrong
    (one,) = json.loads(get("formgrader/api/submitted_notebooks/ps1/ps1"))
    assert one["needs_manual_grade"] and one["last_name"] == "Il"
    page = get(f"formgrader/submissions/{one['id']}/")
    assert ANSWER in page and 'class="score tabbable" id="too_late"' in page
    grades = json.loads(get(f"formgrader/api/grades?submission_id={one['id']}"))
    (question,) = [one for one in grades if one["needs_manual_grade"]]
    get(f"formgrader/api/grade/{question['id']}", {"manual_score": 3, "extra_credit": 0})
    table = tmp_path / "worksheet.csv"
    table.write_text(MOODLE)
    grade.main(["export", "ps1", str(table)])  # nothing is left to read
    assert rows_of(tmp_path / "worksheet_filled.csv")[0]["Grade"]


def test_points_are_entered_in_a_fresh_browser(formgrader, browser):
    """From the list of submissions to a saved mark, with no cookie from before."""
    page, saved = browser.new_page(), []
    is_mark = lambda r: "/api/grade/" in r.url and r.request.method == "PUT"
    page.on("response", lambda r: saved.append(r) if is_mark(r) else None)
    page.goto(formgrader)
    page.get_by_role("link", name="Submission #1").click(timeout=60_000)
    points = page.locator("input.score#too_late")
    for _ in range(60):  # the field is there before formgrader's script listens to it
        for typed in ("", "4"):
            points.fill(typed)
            points.blur()
        page.wait_for_timeout(1_000)
        if any(one.json()["manual_score"] == 4 for one in saved):
            break
    else:
        pytest.fail(f"no mark of 4 was saved, only {[one.json() for one in saved]}")
    page.close()


def test_only_an_answer_that_has_changed_is_read_again(course):
    """Whoever has a late submission or a repaired test grades everybody again."""
    collected = course / "submitted" / "666" / "ps1" / "ps1.ipynb"

    def to_read() -> tuple[str, float]:
        grade.main(["ps1", str(course / "submitted")])
        grade.main(["marks"])
        row = next(row for row in rows_of(course / "marks.csv") if row["student"] == "666")
        return row["ps1 to read"], float(row["ps1"])

    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as book:
        one = book.find_grade("too_late", "ps1", "ps1", "666")
        one.manual_score, one.needs_manual_grade = 3, False
        book.db.commit()
    read, points = to_read()
    assert (read, points >= 3) == ("", True)
    notebook = notebooks.read(collected)
    for cell in notebook.cells:
        cell.source = cell.source.replace(ANSWER, "Nothing is wrong.")
    nbformat.write(notebook, collected)
    assert to_read() == ("yes", points)  # the marks stay until somebody has read it
    assert to_read()[0] == "yes"
