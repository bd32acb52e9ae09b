"""A sentence as a newcomer types it becomes the model's words, or a plain sentence of help."""

import random
import unicodedata

import pytest

from helpers.corpora.reading import SentenceReader
from helpers.corpora.toy import Pair, generate, join_words, splits, vocabulary
from helpers.corpora.toy_order import (
    german_words,
    read_german,
    seen_in,
    seen_in_training,
    to_text,
    word_classes,
)
from tests.support import ROOT

WRONG = "so the translation may well be wrong."
THREE = ("der", "Hund", "schläft", ".")


@pytest.mark.parametrize(
    "text",
    [
        "Der Hund schläft.",
        "der hund schlaeft",
        "DER HUND SCHLÄFT!!!",
        "„Der Hund schläft.“",
        "»Der Hund«  (schläft) …",
        unicodedata.normalize("NFD", "Der Hund schläft"),
        "Der\tHund\nschläft\N{ZERO WIDTH SPACE} 🐕",
    ],
)
def test_case_marks_and_umlauts_are_no_obstacle(text):
    reading = read_german(text)
    assert reading.words == THREE and reading.ready
    assert reading.unknown == reading.foreign == reading.unusual == ()


def test_sentences_of_the_corpus_are_read_as_they_are():
    for pair in generate(300, seed=11):
        reading = read_german(pair.source_text)
        assert reading.words == pair.source and reading.ready and not reading.changes
        assert join_words(reading.words) == pair.source_text
    assert read_german("Ich lache").words[-1] == "."
    assert read_german("Der Wolf lacht.").words == ("der", "Wolf", "lacht", ".")


@pytest.mark.parametrize(
    ("text", "remarks"),
    [
        ("", ["There is no word here yet. Type a German sentence."]),
        (" …?! ", ["There is no word here yet. Type a German sentence."]),
        ("The dog sleeps", ["That looks like English. This model translates from German."]),
        ("What is your name?", ["That looks like English. This model translates from German."]),
        ("Der dog schläft.", ["“dog” is an English word."]),
        ("Der hund schläft", ["“hund” was read as “Hund”."]),
        ("Der Hnud schläft", ["The model does not know “Hnud”. Did you mean Hund, Hunde or Hut?"]),
        ("Der Astronaut schläft", ["The model does not know “Astronaut”."]),
        ("Der " + "x" * 99, ["The model does not know “" + "x" * 29 + "…”."]),
        (
            "Nimm Rot, Blau und Lila",
            [
                "The model does not know “Nimm”. Did you mean im?",
                "The model does not know “Rot”. Did you mean rote?",
                "The model does not know “Blau”. Did you mean Ball or Frau?",
                "There are 2 more that it does not know.",
            ],
        ),
        ("Hund " * 64, ["These are 65 words, more than the model can read at once."]),
        ("Den Mann sieht der Hund.", []),
        (
            "Schläft der Hund?",
            ["In training, no sentence began with a word like “schläft”, " + WRONG],
        ),
        (
            "Der Hund, den die Katze sieht, schläft.",
            ["In training, no word like “den” ever followed one like “,”, " + WRONG],
        ),
        (
            "Ich sehe den",
            ["In training, no sentence ended with a word like “den”, " + WRONG],
        ),
        (
            "Der Hund schläft. Die Katze schläft.",
            ["The model learned from single sentences. It may get lost in two."],
        ),
    ],
)
def test_what_there_is_to_say_is_said(text, remarks):
    assert read_german(text).remarks() == remarks


def test_room_counts_the_end_mark():
    assert read_german("Hund " * 4, max_length=6).ready  # four words, a full stop, <eos>
    assert read_german("Hund " * 5, max_length=6).too_long


def test_bad_arguments_are_named():
    with pytest.raises(TypeError, match="text must be a str, a sentence, got NoneType"):
        read_german(None)
    with pytest.raises(ValueError, match=r"source_words must be among words, got \['b'\]"):
        SentenceReader(["a"], ["a", "b"], 9)


def test_without_an_order_nothing_is_unusual():
    reader = SentenceReader(vocabulary(), german_words(), 64)
    assert reader.read("Hund der schläft").unusual == ()


# ---- "Far from anything seen in training" -----------------------------------------------------


def test_the_order_is_counted_from_the_pairs():
    pair = Pair(("ich", "sehe", "Hunde", "."), (), frozenset(), "", frozenset())
    rows = {row["class"]: row for row in seen_in([pair])}
    names = list(rows)
    follow = {name: [names[i] for i in row["then"]] for name, row in rows.items()}
    assert follow == {
        ".": ["ich"],
        "ich": ["verb first"],
        "verb first": ["noun plural"],
        "noun plural": ["."],
    } and rows["noun plural"]["words"] == ["Hunde"]
    assert word_classes()["sehen"] == "verb infinitive, verb plural"


@pytest.mark.slow
def test_the_file_holds_what_training_showed():
    path = ROOT / "helpers" / "data" / "german.json"
    assert path.read_text(encoding="utf8") == to_text(seen_in(splits().train))
    pairs = splits(train=6_000)
    sets = (pairs.train, pairs.validation, pairs.test, pairs.combinations)
    assert {w for pairs in sets for pair in pairs for w in pair.source} == german_words()
    assert len({word for row in seen_in_training() for word in row["words"]}) == len(german_words())


def shuffled(words: tuple[str, ...], rng: random.Random) -> tuple[str, ...]:
    """The words before the full stop in another order."""
    mixed = list(words[:-1])
    while tuple(mixed) == words[:-1]:
        rng.shuffle(mixed)
    return (*mixed, ".")


def neighbours_swapped(words: tuple[str, ...], rng: random.Random) -> tuple[str, ...]:
    i = rng.choice([i for i in range(len(words) - 2) if words[i] != words[i + 1]])
    return (*words[:i], words[i + 1], words[i], *words[i + 2 :])


def share_unusual(sentences) -> float:
    readings = [read_german(" ".join(words)) for words in sentences]
    return sum(bool(reading.unusual) for reading in readings) / len(readings)


@pytest.mark.slow
def test_unusual_is_hardly_ever_a_false_alarm_and_mostly_noticed(capsys):
    data, rng = splits(train=1, validation=2_000, test=2_000), random.Random(0)
    held_out = [pair.source for pair in (*data.validation, *data.test)]
    new = [pair.source for pair in data.combinations]
    shares = {
        "held-out sentences": share_unusual(held_out),
        "held-out combinations": share_unusual(new),
        "two neighbours swapped": share_unusual(neighbours_swapped(w, rng) for w in held_out),
        "all words shuffled": share_unusual(shuffled(w, rng) for w in held_out),
    }
    with capsys.disabled():
        print(
            "\nunlike anything in training:",
            *(f"{n} {s:.2%}" for n, s in shares.items()),
            sep="\n  ",
        )
    assert shares["held-out sentences"] <= 0.002 and shares["held-out combinations"] <= 0.002
    assert shares["two neighbours swapped"] >= 0.9 and shares["all words shuffled"] >= 0.98
