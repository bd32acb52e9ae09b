"""Checks of notebook 09, training."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from helpers.checks import Wrong, choice, exercise, expect_like
from helpers.checks.reading import number
from helpers.training import TrainingConfig, learning_rate_at

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


def _target(others: Callable, truth_gets: Callable) -> Callable:
    """A target in which the true word gets truth_gets(V, ε) and any other others(V, ε)."""

    def target(truth: int, vocab_size: int, epsilon: float) -> Tensor:
        row = torch.full((vocab_size,), float(others(vocab_size, epsilon)))
        row[truth] = truth_gets(vocab_size, epsilon)
        return row

    return target


@exercise("9.2")
def check_smoothed_target(answer: Any) -> str:
    """Implement the target distribution of label smoothing."""
    expect_like(
        answer,
        _target(lambda v, e: e / v, lambda v, e: 1 - e + e / v),
        [(2, 5, 0.1), (0, 4, 0.2), (7, 8, 0.4)],
        {
            "this is the hard target: ε isn't used": _target(lambda v, e: 0, lambda v, e: 1),
            "here only the other words share ε; torch shares it among all, truth included": (
                _target(lambda v, e: e / (v - 1), lambda v, e: 1 - e)
            ),
            "it sums to more than 1: the true word has to give up ε first": (
                _target(lambda v, e: e / v, lambda v, e: 1 + e / v),
                _target(lambda v, e: e / v, lambda v, e: 1),
                _target(lambda v, e: e, lambda v, e: 1 - e),
            ),
            "it sums to less than 1: the true word also gets its share of ε": (
                _target(lambda v, e: e / v, lambda v, e: 1 - e)
            ),
        },
        "1 - ε to the true word, and ε shared evenly among all words",
    )
    return "it sums to 1 and asks for a little doubt"


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
    "c",
    {
        "a": "then the validation loss would be the higher one",
        "b": "they are drawn like the training sentences",
        "c": "smoothing has a price that even a perfect model pays",
        "d": "it often does, but there is none here",
    },
)


@exercise("9.5")
def check_padding_share(answer: Any) -> str:
    """Implement: the share of padding in batches, each given as the lengths of its sentences."""
    Batches = list[list[int]]

    def tokens(batches: Batches) -> int:
        return sum(map(sum, batches))

    def places(batches: Batches) -> int:
        return sum(max(batch) * len(batch) for batch in batches)

    def right(batches: Batches) -> float:
        return 1 - tokens(batches) / places(batches)

    expect_like(
        answer,
        right,
        [([[4, 4], [2, 8, 8], [5]],), ([[3, 3], [3]],), ([[1, 2, 3, 6], [9, 1]],)],
        {
            "this is the share of real tokens; padding is the rest": lambda b: 1 - right(b),
            _PERCENT: lambda b: 100 * right(b),
            "a mean of shares counts a small batch as much as a large one: add up tokens first": (
                lambda b: sum(right([batch]) for batch in b) / len(b)
            ),
            "every batch is a rectangle of its own, as wide as ITS longest sentence": (
                lambda b: 1 - tokens(b) / (max(map(max, b)) * sum(map(len, b)))
            ),
            "this counts the padding; divide by all places of all rectangles": (
                lambda b: places(b) - tokens(b)
            ),
            "divide by all places, not by the real tokens": (
                lambda b: (places(b) - tokens(b)) / tokens(b)
            ),
        },
        "padding over all places, over all batches together",
        read=number,
    )
    return "6 of 37 places hold nothing"


def _up(step: int, peak: float, warmup: int, steps: int) -> float:
    return peak * step / warmup


def _down(step: int, peak: float, warmup: int, steps: int) -> float:
    return peak * (steps - step) / (steps - warmup)


def _rate(step: int, peak: float, warmup: int, steps: int) -> float:
    config = TrainingConfig(steps=steps, learning_rate=peak, warmup_steps=warmup)
    return learning_rate_at(step, config)


@exercise("9.6")
def check_rate(answer: Any) -> str:
    """Implement: the learning rate that rises to its peak and falls to zero at the last step."""
    cases = [(step, 0.5, 4, 20) for step in (1, 2, 4, 5, 12, 19, 20)]
    cases += [(step, 3.0, 10, 15) for step in (1, 9, 10, 11, 15)]
    expect_like(
        answer,
        _rate,
        cases,
        {
            "after the warm-up it should fall": (
                lambda *case: min(_up(*case), case[1]),
                _up,
            ),
            "it falls from the start: the warm-up is missing": (
                lambda s, p, w, n: p * (n - s) / n,
                _down,
            ),
            "it jumps after the warm-up: the fall begins at the peak, so steps - warmup": (
                lambda s, p, w, n: _up(s, p, w, n) if s <= w else p * (n - s) / n
            ),
            "of the two lines the LOWER one counts: min, not max": (
                lambda *case: max(_up(*case), _down(*case))
            ),
            "this is a factor between 0 and 1: multiply it by the peak": (
                lambda *case: _rate(*case) / case[1]
            ),
            "that is the paper's schedule, with 1/√step; here the fall is a straight line": (
                lambda s, p, w, n: p * min(s / w, (w / s) ** 0.5)
            ),
            "steps are counted from 1: the first one is 1 / warmup of the way up": (
                lambda s, *rest: min(_up(s - 1, *rest), _down(s - 1, *rest))
            ),
        },
        "up to step warmup: peak · step / warmup; then straight down to 0 at the last step",
        read=number,
    )
    return "careful at first, calm at the end"
