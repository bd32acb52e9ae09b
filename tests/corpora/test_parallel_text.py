"""corpora/parallel_text.py: two files, line beside line, and what may be wrong with them."""

import gzip

import pytest

from helpers.corpora.parallel_text import read_pairs


def test_lines_that_do_not_pair_up_are_counted(tmp_path):
    (tmp_path / "train.de").write_text("eins\nzwei\n", encoding="utf8")
    (tmp_path / "train.en").write_text("one\n", encoding="utf8")
    with pytest.raises(ValueError, match="train: 2 lines against 1"):
        read_pairs(tmp_path, "train", ("de", "en"))


def test_texts_without_a_sentence_and_missing_ones_are_named(tmp_path):
    (tmp_path / "test.de").write_text("\n\n", encoding="utf8")
    (tmp_path / "test.fr").write_text("\n\n", encoding="utf8")
    with pytest.raises(ValueError, match=r"test.de and test.fr .* at least one pair"):
        read_pairs(tmp_path, "test", ("de", "fr"))
    with pytest.raises(FileNotFoundError, match=r"train.de, train.fr, val.de, .* test.fr"):
        read_pairs(tmp_path, "val", ("de", "fr"))


def test_an_editors_mark_is_not_part_of_the_first_sentence(tmp_path):
    (tmp_path / "test.de").write_text("eins\n", encoding="utf-8-sig")
    (tmp_path / "test.en").write_text("one\n", encoding="utf8")
    assert read_pairs(tmp_path, "test", ("de", "en")) == [("eins", "one")]


def test_packed_and_plain_files_are_read_and_damaged_ones_named(tmp_path):
    (tmp_path / "test.de.gz").write_bytes(gzip.compress("größer\n".encode()))
    (tmp_path / "test.en").write_text("larger\n", encoding="utf8")
    assert read_pairs(tmp_path, "test", ("de", "en")) == [("größer", "larger")]
    (tmp_path / "test.en").write_bytes("größer\n".encode("latin1"))
    with pytest.raises(ValueError, match="test.en in .* is damaged"):
        read_pairs(tmp_path, "test", ("de", "en"))
