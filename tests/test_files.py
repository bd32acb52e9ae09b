"""files.py: written whole or not at all, and told in plain words."""

import pytest
import torch

from helpers import files
from helpers.checkpoints import read_tensors, save_model, write_tensors
from helpers.files import check_writable, read_table, write_file, write_table, write_text
from tests.support import small_model


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
