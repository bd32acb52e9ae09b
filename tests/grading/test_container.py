"""course/grade.sh, with a docker that only says what it was asked for, and what runs inside."""

import os
import subprocess

import pytest

from tools.notebooks import ROOT

pytestmark = pytest.mark.skipif(os.name == "nt", reason="a shell script")


def program(path, text):
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def asked(tmp_path, *words):
    """The arguments of `docker run`, with the gradebook in tmp_path/kept."""
    program(
        tmp_path / "bin" / "docker", f'[ "$1" = build ] || printf "%s\\n" "$@" > {tmp_path}/run'
    )
    path = os.pathsep.join([str(tmp_path / "bin"), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "GRADING": "kept"}
    command = [str(ROOT / "course" / "grade.sh"), *words]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    return (tmp_path / "run").read_text().splitlines()


def test_submissions_are_shown_and_cannot_be_changed(tmp_path):
    (tmp_path / "ps1").mkdir()  # a folder that is called like the set
    (tmp_path / "my hand-ins.zip").write_text("")
    words = asked(tmp_path, "ps1", "my hand-ins.zip", "--jobs", "2", "no/such")
    after = words[words.index("transformers-grader") :]
    assert after == ["transformers-grader", "ps1", "/in/my hand-ins.zip", "--jobs", "2", "no/such"]
    assert f"{tmp_path}/my hand-ins.zip:/in/my hand-ins.zip:ro" in words
    assert f"{tmp_path}/kept:/grading" in words


def test_a_filled_table_is_not_lost_with_the_container(tmp_path):
    (tmp_path / "worksheet.csv").write_text("Identifier,Grade")
    words = asked(tmp_path, "export", "ps1", "worksheet.csv")
    after = words[words.index("transformers-grader") + 1 :]
    assert after == ["export", "ps1", "/grading/worksheet.csv"]  # _filled.csv comes beside it
    assert (tmp_path / "kept" / "worksheet.csv").read_text() == "Identifier,Grade"


def test_tables_for_the_mark_are_both_shown_to_the_container(tmp_path):
    for name in ("exam.csv", "held.csv"):
        (tmp_path / name).write_text("student,points")
    words = asked(tmp_path, "marks", "--exam", "exam.csv", "--explained", "held.csv")
    after = words[words.index("transformers-grader") + 1 :]
    assert after == ["marks", "--exam", "/grading/exam.csv", "--explained", "/grading/held.csv"]


def test_variants_of_ones_own_come_along(tmp_path, monkeypatch):
    (tmp_path / "my own.py").write_text("VARIANTS = {}")
    monkeypatch.setenv("VARIANTS", "my own.py")
    words = asked(tmp_path, "ps1", ".")
    assert f"{tmp_path}/my own.py:/variants.py:ro" in words and "VARIANTS=/variants.py" in words


def test_the_container_grades_the_variants(tmp_path):
    program(tmp_path / "bin" / "python", f'echo "$@" $COURSE_SOURCE >> {tmp_path}/called')
    program(tmp_path / "bin" / "chown", "")
    path = os.pathsep.join([str(tmp_path / "bin"), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "GRADING": str(tmp_path), "VARIANTS": "/variants.py"}
    script = ROOT / "course" / "in_container.sh"
    subprocess.run(
        ["sh", str(script), "ps1"], env={**environment, "SEED": "", "ALL": "1"}, check=True
    )
    first, second = (tmp_path / "called").read_text().splitlines()
    assert first == "-m tools.variants 0 --all --variants /variants.py"
    assert second == "-m tools.grade ps1 /grader/build/source-0"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")
def test_what_the_container_writes_belongs_to_the_folders_owner(tmp_path):
    grading = tmp_path / "grading"
    grading.mkdir()
    os.chown(grading, 1234, 1234)
    program(tmp_path / "bin" / "python", f"echo $3 > {grading}/marks.csv; exit 3")
    path = os.pathsep.join([str(tmp_path / "bin"), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "GRADING": str(grading), "SEED": ""}
    script = ROOT / "course" / "in_container.sh"
    done = subprocess.run(["sh", str(script), "marks"], env=environment)
    assert done.returncode == 3 and (grading / "marks.csv").read_text() == "marks\n"
    assert (grading / "marks.csv").stat().st_uid == 1234
