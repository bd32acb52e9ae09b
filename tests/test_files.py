"""files.py: written whole or not at all, and told in plain words."""

import os
import subprocess
import sys
import time

import pytest
import torch

from helpers import files
from helpers.checkpoints import read_tensors, save_model, write_tensors
from helpers.files import check_writable, read_table, write_file, write_table, write_text
from tests.support import ROOT, small_model


def test_a_write_that_fails_leaves_the_old_file_and_no_rubbish(tmp_path, monkeypatch):
    path = tmp_path / "m"
    write_tensors(path, {"a": torch.zeros(2)}, {"kept": 1})

    def full_disk(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_tensors(path, {"a": torch.ones(2)}, {"kept": 2})
    assert read_tensors(path)[1] == {"kept": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="create it first"):
        save_model(small_model(), tmp_path / "nowhere" / "m")


def test_an_interrupted_write_leaves_the_old_file_and_no_rubbish(tmp_path, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    write_text(tmp_path / "a", "old")
    monkeypatch.setattr(files.os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_text(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text(encoding="utf8") == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


WRITE_OFTEN = """
import sys
from helpers.files import check_writable, write_file
path, letter, size = sys.argv[1:]
for _ in range(60):
    check_writable(path)
    write_file(path, letter.encode() * int(size))
"""


@pytest.mark.slow
def test_several_writers_of_one_file_do_not_spoil_it(tmp_path):
    """Each in a process of its own; whoever looks always finds one of their files, whole."""
    path, size = tmp_path / "run", 300_000
    write_file(path, b"0" * size)
    command = [sys.executable, "-c", WRITE_OFTEN, path]
    writers = [subprocess.Popen([*command, letter, str(size)], cwd=ROOT) for letter in "abc"]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        data = path.read_bytes()
        assert len(data) == size and len(set(data)) == 1
        seen.add(data[:1])
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert len(seen) > 1 and [p.name for p in tmp_path.iterdir()] == ["run"]


def test_writers_that_meet_at_the_worst_moment_do_not_spoil_it_either(tmp_path, monkeypatch):
    """The second one begins and ends while the first is half done."""
    path, sync = tmp_path / "run", files.os.fsync

    def meanwhile(number):
        monkeypatch.setattr(files.os, "fsync", sync)
        check_writable(path)
        write_file(path, b"second")
        sync(number)

    monkeypatch.setattr(files.os, "fsync", meanwhile)
    write_file(path, b"first")
    assert path.read_bytes() == b"first" and [p.name for p in tmp_path.iterdir()] == ["run"]


def test_what_a_killed_writer_left_is_removed_when_it_is_old(tmp_path):
    path = tmp_path / "run [1]"  # brackets mean something to glob
    names = ("run [1].0a0a0a0a.part", "run [1].0b0b0b0b.part", "x.0c0c0c0c.part", "run [1].my.part")
    old, fresh, others, mine = (tmp_path / name for name in names)
    for left in (old, fresh, others, mine):
        left.write_bytes(b"half")
    for left in (old, others, mine):
        os.utime(left, (time.time() - 4000,) * 2)
    write_file(path, b"whole")
    assert {p.name for p in tmp_path.iterdir()} == {path.name, fresh.name, others.name, mine.name}


def test_what_cannot_be_written_is_told_before_the_work(tmp_path):
    check_writable(tmp_path / "new")
    assert not list(tmp_path.iterdir())
    with pytest.raises(IsADirectoryError, match="is a folder; name a file in it"):
        check_writable(tmp_path)
    with pytest.raises(FileNotFoundError, match="create it first"):
        check_writable(tmp_path / "nowhere" / "new")


def test_a_table_comes_back_with_its_comments(tmp_path):
    path, rows = tmp_path / "t.csv", [("a, b", 1), ('say "c"', 2.5), ("größer", "")]
    write_table(path, ["name", "value"], rows, ["made by hand", "twice"])
    table, comments = read_table(path, "make it")
    assert comments == ["made by hand", "twice"]
    assert [(r["name"], r["value"]) for r in table] == [(n, str(v)) for n, v in rows]
    with pytest.raises(FileNotFoundError, match="`make it` writes it"):
        read_table(tmp_path / "absent.csv", "make it")


def test_bytes_are_written_as_they_are(tmp_path):
    write_file(tmp_path / "b", b"\r\n\x00")
    assert (tmp_path / "b").read_bytes() == b"\r\n\x00"
