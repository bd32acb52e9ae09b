"""trainer/data.py and encoded.py: from texts to ids in a file, and what is said about it."""

import json
import tempfile

import numpy as np
import pytest

from helpers.batching import collate, one_epoch
from helpers.corpora.parallel_text import read_own
from helpers.subwords import Subwords
from helpers.trainer.data import begin_with_capitals, in_batches, prepare, read_texts
from helpers.trainer.encoded import encode_pairs, open_examples, write_examples
from helpers.trainer.settings import read_arguments

PAIRS = [(f"der Hund {i} schläft", f"the dog {i} sleeps " * (1 + i % 3)) for i in range(60)]


def table(folder, pairs=PAIRS):
    path = folder / "t.tsv"
    path.write_text("".join(f"{s}\t{t}\n" for s, t in pairs), encoding="utf8")
    return path


def arguments_for(folder, *options):
    (folder / "run").mkdir(exist_ok=True)
    data = ["--data", str(folder / "t.tsv"), "--vocabulary", "120"]
    return read_arguments(["--out", str(folder / "run"), *data, *map(str, options)])


def test_ids_in_a_file_are_those_of_a_list(tmp_path):
    subwords = Subwords.learn([text for pair in PAIRS for text in pair], 120)
    assert write_examples(tmp_path, iter(PAIRS), subwords, 400) == []
    stored, listed = open_examples(tmp_path, subwords), subwords.examples(PAIRS)
    assert len(stored) == 60 and [stored[i] for i in range(60)] == listed
    assert type(stored[0][0]) is list and isinstance(stored.ids.base, np.memmap)
    assert stored.longest() == max(len(side) for pair in listed for side in pair)
    assert one_epoch(stored, 100, 3) == one_epoch(listed, 100, 3)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["train.ids", "train.starts.npy"]


def test_batches_are_made_without_reading_the_ids(tmp_path):
    subwords = Subwords.learn([text for pair in PAIRS for text in pair], 120)
    write_examples(tmp_path, PAIRS, subwords, 400)
    stored, listed = open_examples(tmp_path, subwords), subwords.examples(PAIRS)
    stored.ids = np.zeros_like(stored.ids)  # whoever reads them now gets zeros
    assert one_epoch(stored, 100, 3) == one_epoch(listed, 100, 3)
    assert collate([stored[0]]).source_ids.unique().tolist() == [0, 2]


def test_many_ids_need_more_bytes(tmp_path):
    subwords = Subwords.learn(["der Hund"], 100)
    assert open_kind(tmp_path, subwords) == np.uint16
    subwords.inner.add_tokens([f"piece{i}" for i in range(70_000)])
    assert open_kind(tmp_path, subwords) == np.uint32
    assert open_examples(tmp_path, subwords)[0] == tuple(
        subwords.examples([("piece69999", "x")])[0]
    )


def open_kind(folder, subwords):
    write_examples(folder, [("piece69999", "x")], subwords, 400)
    return open_examples(folder, subwords).ids.dtype


@pytest.mark.parametrize("chunk", [1, 7, 10_000])
def test_pairs_without_room_are_left_out(monkeypatch, chunk):
    monkeypatch.setattr("helpers.trainer.encoded.CHUNK", chunk)
    subwords = Subwords.learn([text for pair in PAIRS for text in pair], 120)
    lengths = [max(map(len, example)) for example in subwords.examples(PAIRS)]
    limit = sorted(lengths)[30]
    with tempfile.TemporaryFile() as file:
        examples, left_out = encode_pairs(PAIRS, subwords, file, limit)
    assert left_out == [i for i, length in enumerate(lengths) if length > limit]
    kept = [
        e for e, length in zip(subwords.examples(PAIRS), lengths, strict=True) if length <= limit
    ]
    assert list(map(examples.__getitem__, range(len(examples)))) == kept
    assert [tuple(map(len, e)) for e in examples] == [tuple(map(len, e)) for e in kept]
    with tempfile.TemporaryFile() as file, pytest.raises(ValueError, match="at most 1 pieces"):
        encode_pairs(PAIRS, subwords, file, 1)


def test_a_text_cut_smaller_keeps_whole_what_would_not_fit():
    subwords = Subwords.learn([text for pair in PAIRS for text in pair], 120)
    whole, cut = (s.examples(PAIRS) for s in (subwords, subwords.drop_merges(0.9, 1)))
    room = sorted(max(map(len, e)) for e in cut)[30]
    with tempfile.TemporaryFile() as file:
        thin = subwords.drop_merges(0.9, 1)
        examples, _ = encode_pairs(PAIRS, subwords, file, 400, thin, room)
    assert [examples[i] for i in range(60)] == [
        c if max(map(len, c)) <= room else w for c, w in zip(cut, whole, strict=True)
    ]


def test_over_long_lines_are_counted_with_their_place_or_stop_a_strict_run(tmp_path):
    long = " ".join(f"wort{i}" for i in range(300))
    table(tmp_path, [*PAIRS[:20], (long, "too long"), *PAIRS[20:]])
    texts, longest = prepare(arguments_for(tmp_path), read_texts(arguments_for(tmp_path)))
    assert texts.notes[-1] == (
        "train: 1 left out because a side has more than 400 pieces (first: line 21 of t.tsv)"
    )
    assert (
        longest <= 400 and len(open_examples(tmp_path / "run", None or subwords_of(tmp_path))) == 48
    )
    strict = arguments_for(tmp_path, "--strict")
    with pytest.raises(
        ValueError, match="train, line 21 of t.tsv: a side has more than 400 pieces"
    ):
        prepare(strict, read_texts(strict))


def test_a_run_on_what_little_has_room_is_refused(tmp_path):
    """Else --tokens 8 would train on the four sentences of two words."""
    table(tmp_path)
    arguments = arguments_for(tmp_path, "--tokens", 8)
    with pytest.raises(ValueError, match="train: .* of 48 pairs .*raise --max-length or --tokens"):
        prepare(arguments, read_texts(arguments))


def subwords_of(folder):
    return Subwords.load(folder / "run" / "vocabulary.json")


def test_a_test_sentence_without_room_leaves_its_line_empty(tmp_path):
    long = " ".join(f"wort{i}" for i in range(300))
    for part, pairs in (
        ("train", PAIRS),
        ("val", PAIRS[:2]),
        ("test", [PAIRS[0], (long, "x"), PAIRS[1]]),
    ):
        for side, name in enumerate(("de", "en")):
            (tmp_path / f"{part}.{name}").write_text("".join(p[side] + "\n" for p in pairs))
    arguments = arguments_for(tmp_path, "--data", tmp_path)
    texts, _ = prepare(arguments, read_texts(arguments))
    assert texts.test_lines == [0, None, 1] and len(texts.test) == 2
    assert "test: 1 left out" in texts.notes[-1]


def test_a_resumed_run_wants_its_texts_wherever_they_are(tmp_path):
    table(tmp_path)
    arguments = arguments_for(tmp_path)
    prepare(arguments, read_texts(arguments))
    arguments.resume = True
    prepare(arguments, read_own([str(table(tmp_path))], ("de", "en")))
    table(tmp_path, [*PAIRS[:-1], ("der Hund", "another dog")])
    with pytest.raises(
        ValueError, match="not those that the run began with: train changed.*--from"
    ):
        prepare(arguments, read_texts(arguments))


def test_the_tokenizer_and_capitals_follow_the_validation_set(tmp_path):
    table(tmp_path, [(f"dog {i}", f"第{i}只狗在睡觉") for i in range(40)])
    arguments = arguments_for(tmp_path)
    texts, _ = prepare(arguments, read_texts(arguments))
    assert arguments.bleu_tokenize == "zh" and not arguments.capitals
    forced = arguments_for(tmp_path, "--bleu-tokenize", "13a")
    texts, _ = prepare(forced, read_texts(forced))
    assert forced.bleu_tokenize == "13a" and "so the validation loss chooses" in texts.notes[-1]


@pytest.mark.parametrize(
    "sentences, wanted",
    [
        (["The dog.", "A cat.", "no"], True),
        (["the dog.", "a cat.", "No"], False),
        (["狗在。", "猫也在。"], False),
        (["ქართული", "ენა"], False),
        (["12 dogs", "“The dog”", "The"], True),  # who begins with no letter has no say
        ([], False),
    ],
)
def test_whether_sentences_begin_with_capitals(sentences, wanted):
    assert begin_with_capitals(sentences) == wanted


def test_a_validation_set_without_room_in_a_batch_is_named():
    with pytest.raises(ValueError, match="--tokens must be larger, got 5"):
        in_batches([([4] * 9, [4] * 9)], 5)


def run_from(folder, pairs, begin_with):
    """The notes of a run in a folder of its own that begins with another, and its arguments."""
    folder.mkdir()
    table(folder, pairs)
    arguments = arguments_for(folder, "--source", "xx")
    arguments.start_from = begin_with
    texts, _ = prepare(arguments, read_texts(arguments))
    (folder / "run" / "settings.json").write_text(json.dumps({"start_from": str(begin_with)}))
    return texts.notes


def test_held_out_pairs_that_an_earlier_run_was_trained_on_are_counted(tmp_path):
    table(tmp_path)
    arguments = arguments_for(tmp_path)
    texts = read_texts(arguments)
    prepare(arguments, texts)
    first = tmp_path / "run"
    (first / "settings.json").write_text("{}")
    assert run_from(tmp_path / "same", PAIRS, first) == []
    trained, held_out = list(texts.train), set(texts.validation)
    there = [*held_out, *trained[:20]]
    notes = run_from(tmp_path / "part", there, first)
    part = read_own([str(tmp_path / "part" / "t.tsv")], ("xx", "en"))
    counts = [len(set(trained) & set(pairs)) for pairs in (part.validation, part.test)]
    assert sum(counts) and len(notes) == sum(map(bool, counts))
    for name, count, pairs in zip(
        ("validation", "test"), counts, (part.validation, part.test), strict=True
    ):
        wanted = f"careful: of the {len(pairs):,} pairs of {name}, {count:,} were in the training"
        assert any(note.startswith(wanted) for note in notes) == bool(count)
    again = run_from(tmp_path / "again", there, tmp_path / "same" / "run")  # and of its parent
    assert [note.partition("text of")[0] for note in again] == [
        note.partition("text of")[0] for note in notes
    ]
    (first / "train.ids").unlink()
    (note,) = run_from(tmp_path / "gone", there, first)
    assert note.startswith("careful: the training text of") and "cannot be read" in note


def test_the_held_out_pairs_are_written_line_beside_line_with_their_translations(tmp_path):
    for part, count in (("train", 30), ("val", 2)):
        for side, name in enumerate(("de", "en")):
            text = "".join(pair[side] + "\n" for pair in PAIRS[:count])
            (tmp_path / f"{part}.{name}").write_text(text)
    (tmp_path / "test.de").write_text("der Hund\n\nso " + "lang " * 300 + "\nder\u0308 Hund \n")
    (tmp_path / "test.en").write_text("the dog\nno\nlong\ndog\n")
    arguments = arguments_for(tmp_path, "--data", tmp_path)
    prepare(arguments, read_texts(arguments))
    held = {p.name: p.read_text() for p in (tmp_path / "run" / "held_out").iterdir()}
    assert held == {
        "val.de": "".join(s + "\n" for s, _ in PAIRS[:2]),
        "val.en": "".join(t.strip() + "\n" for _, t in PAIRS[:2]),
        "test.de": "der Hund\n\n\nder\u0308 Hund\n",
        "test.en": "the dog\n\n\ndog\n",
    }


@pytest.mark.parametrize(
    "sides, wanted",
    [(("en", "en"), ["source", "target"]), (("zh/Hans", "txt"), ["txt", "zh_Hans"])],
)
def test_held_out_pairs_are_written_whatever_the_languages_are_called(tmp_path, sides, wanted):
    table(tmp_path)
    arguments = arguments_for(tmp_path, "--source", sides[0], "--target", sides[1])
    prepare(arguments, read_texts(arguments))
    written = sorted(p.name for p in (tmp_path / "run" / "held_out").iterdir())
    assert written == [f"{part}.{name}" for part in ("test", "val") for name in wanted]
