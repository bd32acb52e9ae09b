"""Checks of notebook 09, training."""

import math
from collections.abc import Callable
from typing import Any

from helpers.checks import Wrong, choice, exercise, expect_like, shown
from helpers.checks.reading import number, words

_PERCENT = "that is a percentage; a share is between 0 and 1"


@exercise("9.1")
def check_uniform_loss(answer: Any) -> str:
    """Predict: the loss of an even guess among the 100 words that are left of 1,000, in nats."""
    value = number(answer)
    if abs(value + math.log(100)) < 0.06:
        raise Wrong("the sign: the loss is MINUS the logarithm of the probability")
    if abs(value - math.log(1000)) < 0.06:
        raise Wrong("that is an even guess among all 1,000; how many are left?")
    if abs(value - math.log(900)) < 0.06:
        raise Wrong("900 words are ruled out; the even guess is among the others")
    if abs(value - math.log2(100)) < 0.1:
        raise Wrong("that is in bits; a nat uses the natural logarithm")
    if abs(value - 2.0) < 0.06:
        raise Wrong("that is the logarithm to base 10; cross-entropy uses the natural one")
    if abs(value - 0.01) < 1e-3:
        raise Wrong("that is the probability of each word; the loss is minus its logarithm")
    if abs(value - 100) < 1:
        raise Wrong("among how many words it guesses is one thing; the loss is its logarithm")
    if not abs(value - math.log(100)) <= 0.06:
        raise Wrong("each of the 100 words has probability 1/100; what is minus its logarithm?")
    return "log 100: each time the words in question become ten times fewer, 2.3 nats are saved"


def _letters(answer: Any, known: str, of_what: str) -> str:
    """One letter for each thing, in order: "abc", "a, b, c" or ["a", "b", "c"]."""
    letters = "".join(words(answer))
    count = 3 if of_what == "curve" else 5
    if len(letters) != count or not set(letters) <= set(known):
        raise Wrong(
            f"{count} letters from a to {known[-1]} are needed, one for each {of_what}; "
            f"this is {shown(answer)}"
        )
    if len(set(letters)) < count:
        twice = next(letter for letter in letters if letters.count(letter) > 1)
        raise Wrong(f"{twice} comes twice, but no two of these have the same cause")
    return letters


@exercise("9.2")
def check_curves(answer: Any) -> str:
    """Read: which of four mistakes made which of three training curves."""
    letters = _letters(answer, "abcd", "curve")
    if "d" in letters:
        raise Wrong("without an update, the loss would stay where it began; does any curve?")
    if letters[2] != "b":
        raise Wrong(
            "curve 3 ends far below the correct one; which task is easier than to translate?"
        )
    if letters != "cab":
        raise Wrong("curve 1 begins just as the correct one does, so its steps have a good size")
    return "a floor too high, a start worse than knowing nothing, and one too good to be true"


@exercise("9.3")
def check_near_match(answer: Any) -> str:
    """Implement near match: as many words as the reference, and at most one of them another."""

    def share(same: Callable[[list[str], list[str]], bool]) -> Callable:
        return lambda ours, theirs: (
            sum(same(a.split(), b.split()) for a, b in zip(ours, theirs, strict=True)) / len(theirs)
        )

    def different(a: list[str], b: list[str]) -> int:
        return sum(x != y for x, y in zip(a, b, strict=False))

    right = share(lambda a, b: len(a) == len(b) and different(a, b) <= 1)
    expect_like(
        answer,
        right,
        [
            (
                ["a b c .", "a old man .", "x y z .", "the dog .", "b a ."],
                ["a b c .", "an old man .", "x z y .", "the dog sleeps .", "a b ."],
            ),
            (["The dog .", "b .", "a b c d ."], ["the cat .", "b", "b c d ."]),
            (["one two", "three four", "five"], ["one two", "one four", "one"]),
        ],
        {
            "this counts them; divide by how many there are": (
                lambda ours, theirs: len(theirs) * right(ours, theirs)
            ),
            "this is the share that is NOT near": lambda ours, theirs: 1 - right(ours, theirs),
            _PERCENT: lambda ours, theirs: 100 * right(ours, theirs),
            "this is exact match; one wrong word is allowed here": share(lambda a, b: a == b),
            "this counts only those with exactly one wrong word; none is fine, too": (
                share(lambda a, b: len(a) == len(b) and different(a, b) == 1)
            ),
            "compare the lengths first: zip stops at the end of the shorter sentence": (
                share(lambda a, b: different(a, b) <= 1)
            ),
            "compare word by word, at its place: 'x z y' has two words wrong": (
                share(lambda a, b: len(a) == len(b) and len(set(b) - set(a)) <= 1)
            ),
            "at most one may be wrong; this lets two pass": (
                share(lambda a, b: len(a) == len(b) and different(a, b) <= 2)
            ),
        },
        "split both into words; as many words, and at most one of them different",
        read=number,
    )
    return "'a old man' counts now, and a sentence with a word too few still doesn't"


check_quiz = choice(
    "9.4",
    "b",
    {
        "a": "the validation loss isn't smoothed, but the model was trained to be less certain",
        "b": "-log 0.7: a higher loss, and maybe not a single word has changed",
        "c": "that is -log 0.3; what does the correct word get if 0.3 is given away?",
        "d": "that is the floor of the smoothed loss; validation is plain",
    },
)


@exercise("9.5")
def check_causes(answer: Any) -> str:
    """Sort: which of five causes belongs to which wrong translation."""
    letters = _letters(answer, "abcde", "translation")
    hints = {
        "b": "translation 1: everything that is there is right; how many words are there?",
        "c": "translation 2 differs from the right one by a single letter",
        "e": "translation 3: which model does nothing but repeat what it has just read?",
        "d": "translation 4 is good English; what does it have to do with the German?",
        "a": "translation 5 goes wrong only after the full stop; what should come there?",
    }
    for given, (right, hint) in zip(letters, hints.items(), strict=True):
        if given != right:
            raise Wrong(hint)
    return "five wrong sentences, and a repair for only four of them"
