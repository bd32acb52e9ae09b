"""corpora/parallel_text.py and text_files.py: what is read, kept, left out, and said about it."""

import gzip
from pathlib import Path

import pytest

from helpers.corpora.parallel_text import read_own
from helpers.corpora.text_files import ParallelText, clean

SIDES = ("de", "en")


def write(folder, **files):
    """Files with these texts, "train_de" for train.de."""
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_bytes(
            text if isinstance(text, bytes) else text.encode()
        )
    return [str(folder)]


def numbered(word, count, first=0):
    return "".join(f"{word} {i}\n" for i in range(first, first + count))


@pytest.fixture
def three(tmp_path):
    """A folder with all three parts."""
    write(tmp_path, train_de=numbered("Satz", 20), train_en=numbered("sentence", 20))
    write(tmp_path, val_de=numbered("Satz", 3, 50), val_en=numbered("sentence", 3, 50))
    return write(tmp_path, test_de="eins\n\ndrei\n\n", test_en="one\ntwo\nthree\n\n")


def test_a_folder_with_three_parts_is_read_as_it_is(three):
    texts = read_own(three, SIDES)
    assert list(texts.train) == [(f"Satz {i}", f"sentence {i}") for i in range(20)]
    assert list(texts.train) == list(texts.train) and len(texts.train) == 20  # again and again
    assert texts.validation == [(f"Satz {i}", f"sentence {i}") for i in (50, 51, 52)]
    assert texts.test == [("eins", "one"), ("drei", "three")]


def test_what_is_left_out_is_counted_and_the_test_set_keeps_its_lines(three):
    texts = read_own(three, SIDES)
    assert texts.notes == [
        "train: 20 pairs from 20 lines of train.de and train.en",
        "validation: 3 pairs from 3 lines of val.de and val.en",
        "test: 2 pairs from 4 lines of test.de and test.en; 2 left out because a side is blank "
        "(first: line 2)",
        "the first pair: 'Satz 0' -> 'sentence 0'",
    ]
    assert texts.test_lines == [0, None, 1, None]
    with pytest.raises(ValueError, match=r"test.de, line 2: a side is blank; without --strict"):
        read_own(three, SIDES, strict=True)


def test_sentences_of_training_in_another_part_are_counted(three, tmp_path):
    write(tmp_path, val_de="satz 7\nSatz 50\n", val_en="another\nsentence 50\n")
    notes = read_own(three, SIDES).notes
    assert "careful: of the 2 source sentences of validation, 1 are also in train" in notes


@pytest.mark.parametrize("kind", ["two files", "tsv", "csv", "packed tsv"])
def test_one_text_is_enough(tmp_path, kind):
    """Validation and test come out of it: always the same, and no sentence is in two parts."""
    pairs = [(f"Satz, {i}", f"sentence {i % 90}") for i in range(100)]
    if kind == "two files":
        for name, side in (("a.txt", 0), ("b.txt", 1)):
            (tmp_path / name).write_text("".join(pair[side] + "\n" for pair in pairs))
        data = [str(tmp_path / "a.txt"), str(tmp_path / "b.txt")]
    else:
        cell, name = ('"{}",{}\n', "t.csv") if kind == "csv" else ("{}\t{}\n", "t.tsv")
        text = "".join(cell.format(*pair) for pair in pairs).encode()
        packed = kind.startswith("packed")
        path = tmp_path / (name + ".gz" if packed else name)
        path.write_bytes(gzip.compress(text) if packed else text)
        data = [str(path)]
    texts = read_own(data, SIDES)
    assert sorted([*texts.train, *texts.validation, *texts.test]) == sorted(pairs)
    assert (len(texts.train), len(texts.validation), len(texts.test)) == (80, 10, 10)
    assert texts.test_lines == range(10)
    for side in (0, 1):
        parts = [{p[side] for p in s} for s in (texts.train, texts.validation, texts.test)]
        assert not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])
    again = read_own(data, SIDES)
    assert (again.validation, again.test) == (texts.validation, texts.test)
    assert again.checksums == texts.checksums
    assert set(texts.checksums) == {"train", "validation", "test"}
    assert "10 pairs taken out of train" in texts.notes[1]


def test_where_there_is_a_validation_set_none_is_taken_and_the_test_set_may_be_missing(three):
    for name in ("test.de", "test.en"):
        Path(three[0], name).unlink()
    texts = read_own(three, SIDES)
    assert len(texts.train) == 20 and list(texts.test) == []
    assert "test: none, so the last scores will be those on validation" in texts.notes


def test_a_text_of_repeated_sentences_has_nothing_to_take_out(tmp_path):
    (tmp_path / "t.tsv").write_text("ja\tyes\n" * 50)
    with pytest.raises(ValueError, match="too few different sentences to take validation and test"):
        read_own([str(tmp_path / "t.tsv")], SIDES)


def test_a_tables_header_says_which_column_is_which(tmp_path):
    rows = "".join(f"{i}\tsentence {i}\tSatz {i}\n" for i in range(40))
    (tmp_path / "t.tsv").write_text("id\tEN\tDe\n" + rows)
    text = ParallelText([tmp_path / "t.tsv"], SIDES)
    assert next(iter(text)) == (2, "Satz 0", "sentence 0")
    (tmp_path / "t.tsv").write_text("Hallo.\tHi.\tTatoeba 12\n\t\t\n")
    assert list(text) == [(1, "Hallo.", "Hi."), (2, "", "")]
    (tmp_path / "t.tsv").write_text("Hallo.\tHi.\nWie geht's?\n")
    with pytest.raises(ValueError, match=r"t.tsv, line 2: a row needs at least 2 columns, got 1"):
        list(text)


def test_the_checksum_is_that_of_the_sentences_wherever_they_are(three, tmp_path):
    moved = tmp_path / "moved"
    moved.mkdir()
    for path in tmp_path.glob("*.*"):
        (moved / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert read_own([str(moved)], SIDES).checksums == read_own(three, SIDES).checksums
    write(tmp_path, train_de=numbered("Satz", 19) + "anders\n")
    changed = read_own(three, SIDES).checksums
    before = read_own([str(moved)], SIDES).checksums
    assert [part for part in before if before[part] != changed[part]] == ["train"]


@pytest.mark.parametrize("shorter", ["de", "en"])
def test_files_of_unequal_length_are_told_by_file_and_line(tmp_path, shorter):
    write(tmp_path, train_de="eins\nzwei\ndrei\nvier\n", train_en="one\ntwo\nthree\nfour\n")
    write(tmp_path, **{f"train_{shorter}": "a\nb\n"})
    longer = {"de": "en", "en": "de"}[shorter]
    with pytest.raises(
        ValueError, match=rf"train.{longer} has 4 lines, but .*train.{shorter} ends after line 2:"
    ):
        read_own([str(tmp_path)], SIDES)


ENCODED = {  # the bytes of the German file, and what is to be said about them
    "Latin-1": ("größer\n".encode("latin1"), "line 3: the text is not UTF-8.*--encoding cp1252"),
    "UTF-16": (None, "line 1: the text is not UTF-8. It looks like UTF-16: add --encoding utf-16"),
    "UTF-16 without a mark": ("Hund\n".encode("utf-16-le"), "--encoding utf-16-le"),
    "GB18030": ("我们今天去公园\n".encode("gb18030"), "two bytes a letter"),
    "Cyrillic": ("большая собака спит\n".encode("cp1251"), "Windows-1251"),
}


@pytest.mark.parametrize("kind", ENCODED)
def test_another_encoding_is_named_with_its_line(tmp_path, kind):
    line, message = ENCODED[kind]
    text = b"eins\nzwei\n" + line if line else "eins\nzwei\ngrößer\n".encode("utf-16")
    if kind.endswith("mark"):
        text = line * 3
    write(tmp_path, train_de=text, train_en="one\ntwo\nthree\n")
    with pytest.raises(ValueError, match=f"train.de, {message}" if "line" in message else message):
        read_own([str(tmp_path)], SIDES)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "cp1252", "UTF_8", "utf-8-sig"])
def test_an_encoding_that_is_named_is_read(tmp_path, encoding):
    for name, text in (("train.de", "größer\n"), ("train.en", "larger, naïve\n")):
        (tmp_path / name).write_bytes(text.encode(encoding))
    paths = [tmp_path / "train.de", tmp_path / "train.en"]
    assert list(ParallelText(paths, SIDES, encoding)) == [(1, "größer", "larger, naïve")]


def test_an_encoding_that_nobody_knows_is_named(three):
    with pytest.raises(ValueError, match="--encoding must name an encoding, got 'utf-9'"):
        read_own(three, SIDES, "utf-9")


def test_an_editors_mark_windows_lines_and_decomposed_letters_make_no_difference(tmp_path):
    write(tmp_path, a="\ufeffscho\u0308n\u00a0da  \r\n".encode(), b="nice \u2028 here\n")
    read = list(ParallelText([tmp_path / "a", tmp_path / "b"], SIDES))
    assert read == [(1, "schön\u00a0da", "nice \u2028 here")]  # nothing else is changed


def test_two_versions_of_a_text_are_refused_and_two_copies_are_not(three, tmp_path):
    (tmp_path / "train.de.gz").write_bytes(gzip.compress((tmp_path / "train.de").read_bytes()))
    assert len(read_own(three, SIDES).train) == 20
    (tmp_path / "train.de").write_text(numbered("Neu", 20))
    with pytest.raises(ValueError, match="train.de and train.de.gz .* two different texts; remove"):
        read_own(three, SIDES)


def test_damaged_and_missing_files_and_texts_without_a_pair_are_named(three, tmp_path):
    (tmp_path / "val.de").unlink()
    with pytest.raises(FileNotFoundError, match=r"neither val.de nor val.de.gz; it needs val.de, "):
        read_own(three, SIDES)  # val.en alone is no validation set, and none is taken silently
    (tmp_path / "val.de.gz").write_bytes(gzip.compress(b"eins\nzwei\n")[:-9])
    with pytest.raises(ValueError, match="val.de.gz is damaged"):
        read_own(three, SIDES)
    write(tmp_path, train_de="\n\n", train_en="one\n\n")
    (tmp_path / "val.de.gz").unlink()
    (tmp_path / "val.en").unlink()
    with pytest.raises(ValueError, match="train.de and train.en must hold at least one pair"):
        read_own(three, SIDES)
    for wrong, message in (
        ([str(tmp_path / "none")], "must be multi30k, corpus, a folder, a table"),
        ([str(tmp_path / "train.de")], "a single file must be a table"),
    ):
        with pytest.raises((FileNotFoundError, ValueError), match=message):
            read_own(wrong, SIDES)


def words(i):
    """A pair that no other number has."""
    return f"Satz {i} ist {i * i % 97}", f"sentence {i} is {i * i % 97}"


EDITS = {
    "more lines": lambda pairs: [*pairs, *map(words, range(400, 700))],
    "a line in front": lambda pairs: [words(999), *pairs],
    "a line less": lambda pairs: pairs[1:],
    "sorted": sorted,
    "other spaces and capitals": lambda pairs: [
        (s.upper(), f" {t.replace(' ', '  ')}") for s, t in pairs
    ],
}


@pytest.mark.parametrize("edit", EDITS)
def test_held_out_pairs_stay_held_out_when_the_text_is_edited(tmp_path, edit):
    def parts(pairs):
        (tmp_path / "t.tsv").write_text("".join(f"{s}\t{t}\n" for s, t in pairs))
        texts = read_own([str(tmp_path / "t.tsv")], SIDES)
        return [
            {(s.casefold(), " ".join(t.casefold().split())) for s, t in part}
            for part in (texts.train, texts.validation, texts.test)
        ]

    pairs = [words(i) for i in range(400)]
    train, validation, test = parts(pairs)
    new_train, new_validation, new_test = parts(EDITS[edit](pairs))
    size = len(EDITS[edit](pairs)) // 10
    assert len(new_validation) == len(new_test) == size
    few = 8 if edit == "more lines" else 1  # next to the limit
    assert len(train & new_validation) <= few and len(train & new_test) <= few
    assert len(validation & new_train) <= few and len(test & new_train) <= few
    assert not validation & new_test and not test & new_validation


def written(folder, name, text):
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder / name


ROWS = "".join(f"Satz {i},sentence {i}\n" for i in range(1, 61))

BROKEN = {  # a table, and what is to be said about it
    "a comma": (
        "t.csv",
        ROWS.replace("Satz 9,", "Satz 9, ja,"),
        r"t.csv, line 9: the row has 3 columns, but line 1 has 2; a sentence with a comma in it",
    ),
    "a comma at the beginning": ("t.csv", "Ja, du,yes, you\n" + ROWS, "line 2: .* line 1 has 4"),
    "a tab": (
        "t.tsv",
        "ja\tyes\nund\tdu\tand you\n",
        "t.tsv, line 2: the row has 3 columns, but line 1 has 2; is there a tab inside a sentence",
    ),
    "a row too long for its header": (
        "t.csv",
        "de,id,en\nja,1,yes\nja, du,2,yes\n",
        "line 3: the row has 4 columns, but line 1 has 3",
    ),
    "semicolons": ("t.csv", "ja;yes\nnein;no\n", "line 1: .* separated by semicolons"),
    "one quotation mark": (
        "t.csv",
        ROWS.replace("Satz 21,", '"Satz 21,'),
        "the row from line 21 to line 60: the quotation marks do not fit",
    ),
    "two quotation marks": (
        "t.csv",
        ROWS.replace("Satz 21,", '"Satz 21,').replace("Satz 46,", '"Satz 46,'),
        "the row from line 21 to line 46: the quotation marks do not fit",
    ),
    "a quotation inside": (
        "t.csv",
        'eins,one\n"Hallo" sagt X,"Hello" said X\n',
        "t.csv, line 2: the quotation marks do not fit",
    ),
    "CR inside": ("t.csv", "eins,one\nzwei\rdrei,two\n", "line 2: a line end .CR. inside a row"),
    "CR only": ("t.csv", ROWS.replace("\n", "\r"), "t.csv is one long line, because its lines end"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_table_that_would_lose_text_is_told_by_line(tmp_path, kind):
    name, text, message = BROKEN[kind]
    with pytest.raises(ValueError, match=message):
        list(ParallelText([written(tmp_path, name, text)], SIDES))


def test_cells_of_several_lines_and_columns_that_are_not_read_are_said(tmp_path):
    text = ROWS + '"Satz\nin zwei Zeilen","sentence ""x"", two\nlines"\n' + "eins,one\n"
    texts = read_own([str(written(tmp_path, "t.csv", text))], SIDES)
    everything = [*texts.train, *texts.validation, *texts.test]
    assert ("Satz\nin zwei Zeilen", 'sentence "x", two\nlines') in everything
    assert texts.notes[0] == (
        "train: 62 pairs from 62 rows of t.csv; careful: 1 with a sentence of several lines "
        "(first: line 61); is a quotation mark missing there?"
    )
    assert [line for line, *_ in ParallelText([tmp_path / "t.csv"], SIDES)][-2:] == [61, 64]
    rows = "".join(f"Satz {i}, ja {i},sentence {i}, yes\n" for i in range(30))
    texts = read_own([str(written(tmp_path, "u.csv", rows))], SIDES)
    assert texts.notes[0] == "train: 30 pairs from 30 rows of u.csv, columns 1 and 2 of 4"


def test_the_first_pair_that_is_shown_is_the_files_own(tmp_path):
    """However many of the first lines are held out: a heading would be seen."""
    for first in range(8):
        text = f"Überschrift {first}\tHeading {first}\n" + ROWS.replace(",", "\t")
        notes = read_own([str(written(tmp_path, "t.tsv", text))], SIDES).notes
        assert notes[-1] == f"the first pair: 'Überschrift {first}' -> 'Heading {first}'"
    notes = read_own([str(written(tmp_path, "t.tsv", "de\ten\n\tx\n" + text))], SIDES).notes
    assert notes[-1] == "the first pair, in line 3: 'Überschrift 7' -> 'Heading 7'"


def test_carriage_returns_alone_end_no_line_of_a_plain_file(tmp_path):
    paths = [written(tmp_path, "a", "eins\rzwei\rdrei\r"), written(tmp_path, "b", "one\n")]
    with pytest.raises(ValueError, match="a is one long line, because its lines end in CR"):
        list(ParallelText(paths, SIDES))


@pytest.mark.parametrize("other", ["größer\n", "lang\n"])
def test_of_two_files_the_one_that_is_not_utf8_is_to_be_converted(tmp_path, other):
    paths = [written(tmp_path, "a", other), written(tmp_path, "b", "naïve\n".encode("latin1"))]
    wanted = "a is UTF-8, so convert b to that" if "ö" in other else "--encoding cp1252"
    for order in (paths, paths[::-1]):
        with pytest.raises(ValueError, match=f"b, line 1: the text is not UTF-8.*{wanted}"):
            list(ParallelText(order, SIDES))


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-16", "latin1", "utf-16-le", "cp1251"])
def test_utf8_is_not_read_as_something_else(tmp_path, encoding):
    path = written(tmp_path, "t.tsv", "größer\tlarger\n")
    with pytest.raises(ValueError, match=f"t.tsv is UTF-8, not {encoding.upper()}: leave --enc"):
        list(ParallelText([path], SIDES, encoding))


def test_ascii_that_is_called_utf16_is_named(tmp_path):
    path = written(tmp_path, "t.tsv", "ja\tyes\n")
    with pytest.raises(ValueError, match="the text is not UTF-16. It looks like ASCII"):
        list(ParallelText([path], SIDES, "utf-16"))


@pytest.mark.parametrize("encoding", ["rot13", "base64", "utf-9"])
def test_what_encodes_no_text_is_named(tmp_path, encoding):
    path = written(tmp_path, "t.tsv", "ja\tyes\n")
    with pytest.raises(ValueError, match=f"--encoding must name an encoding, got '{encoding}'"):
        list(ParallelText([path], SIDES, encoding))


@pytest.mark.parametrize("encoding", ["utf-8", "u8", "UTF8", "utf-8-sig", "utf-16-le", "utf-16"])
@pytest.mark.parametrize("name", ["t.csv", "t.tsv"])
def test_a_mark_in_front_of_a_table_is_no_part_of_it(tmp_path, encoding, name):
    cell = '"{}","{}"' if name == "t.csv" else "{}\t{}"
    text = "\ufeff" + "".join(cell.format(*p) + "\n" for p in (("en", "de"), ("larger", "größer")))
    path = written(tmp_path, name, text.encode(encoding))
    assert list(ParallelText([path], SIDES, encoding)) == [(2, "größer", "larger")]


def test_a_mark_in_front_of_a_line_is_dropped_wherever_it_comes_from():
    assert clean("\ufeff  der Hund\n") == "der Hund"


def test_names_that_do_not_fit_together_are_refused(tmp_path):
    one, two = written(tmp_path, "a.csv", ROWS), written(tmp_path, "b.tsv", "ja\tyes\n")
    plain = written(tmp_path, "c.de", "ja\n")
    for data, message in (
        ([one, two], "a.csv: each of two files must be plain text"),
        ([plain, two], "b.tsv: each of two files must be plain text"),
        ([plain, tmp_path / "." / "c.de"], "names the same file twice"),
        ([], "data must be one or two names, got 0"),
        ([plain] * 3, "data must be one or two names, got 3"),
    ):
        with pytest.raises(ValueError, match=message):
            read_own([str(path) for path in data], SIDES)
    with pytest.raises(TypeError, match="data must be a list, got the single string"):
        read_own(str(one), SIDES)
