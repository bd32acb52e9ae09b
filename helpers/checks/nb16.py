"""Checks of notebook 16, a Whisper in the reader's own classes."""

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from helpers.checks import Wrong, ask, choice, exercise, expect_like, to_array
from helpers.checks.reading import number, shape
from helpers.lessons.hearing import best_path


@exercise("16.1")
def check_map_shape(answer: Any) -> str:
    """Predict: one layer's cross-attention map while 9 pieces and <eos> are written."""
    got = shape(answer)
    if got[:1] == (1,) and len(got) == 4:
        raise Wrong("leave out the batch: one recording's map is (heads, queries, keys)")
    if got == (6, 9, 1500):
        raise Wrong("one more query: the last row writes <eos>")
    if got == (6, 1500, 10):
        raise Wrong(
            "rows are queries, so they are pieces of text; columns are keys, so they are moments"
        )
    if got == (6, 10, 3000):
        raise Wrong(
            "the spectrogram has 3,000 columns, but the second convolution takes steps of two"
        )
    if got == (6, 10, 80):
        raise Wrong("80 is the number of mel bands; keys are moments")
    if got == (4, 10, 1500):
        raise Wrong("4 is the number of layers; one layer has 6 heads")
    if len(got) == 3 and got[:2] == (6, 10) and got[2] < 1500:
        raise Wrong("the silence after the sentence is part of the source: 30 seconds, always")
    if got != (6, 10, 1500):
        raise Wrong(
            "(heads, queries, keys): a query for each piece and <eos>, a key for each moment"
        )
    return "ten queries, and each may listen to 1,500 moments"


@exercise("16.2")
def check_moment(answer: Any) -> str:
    """Implement: which of the memory's 1,500 vectors belongs to a time in seconds."""
    times = (0.0, 1.0, 2.5, 2.59, 0.58, 29.99)
    raw = [ask(answer, seconds) for seconds in times]
    got = [number(x) for x in raw]
    right = [0, 50, 125, 129, 29, 1499]
    if any(isinstance(x, bool) for x in raw) or not all(x.is_integer() for x in got):
        raise Wrong("the number of a vector is a whole number: round down")
    if got[:3] == [0, 100, 250]:
        raise Wrong("those are columns of the spectrogram; the memory has half as many")
    if got[:3] == [0, 16_000, 40_000]:
        raise Wrong("those are samples; a vector of the memory stands for 320 of them")
    if got[:3] == [1, 51, 126]:
        raise Wrong("vectors are counted from 0")
    if got[:4] == right[:4] and got[4] == 28:
        raise Wrong("0.58 · 50 is 28.999… in a computer: add a tiny number before rounding down")
    if got[:3] == [0, 50, 125] and got != right:
        raise Wrong("2.59 s lies within the vector that begins at 2.58 s: round down, not up")
    if got != right:
        raise Wrong("30 seconds become 1,500 vectors, so one stands for 0.02 s")
    return "fifty vectors a second"


@exercise("16.3")
def check_compress(answer: Any) -> str:
    """Implement: from mel power to Whisper's picture, the last three lines of log_mel."""
    powers = (
        torch.tensor([[1e4, 1e-3, 0.0], [2.0, 1e-7, 50.0]]),
        torch.tensor([[0.5, 1e-9, 3e-4, 0.0], [1e-12, 2e-3, 7.0, 1e-6]]),
        torch.tensor([[1e-4, 0.0], [1e-13, 3e-9]]),  # so quiet that only the clamp counts
    )

    def infinite(power: Any) -> Any:
        got = ask(answer, power)
        array = to_array(got)
        if array is not None and np.isinf(array).any():
            raise Wrong("the logarithm of 0 is minus infinity: clamp at 1e-10 first")
        return got

    def picture(
        loudest: Callable, log: Callable = torch.log10, end: Callable = _scaled
    ) -> Callable:
        def compress(power: Tensor) -> Tensor:
            loudness = log(power.clamp(min=1e-10))
            return end(loudness.maximum(loudest(loudness) - 8))

        return compress

    expect_like(
        infinite if callable(answer) else answer,
        picture(torch.max),
        [(power,) for power in powers],
        {
            "that is the natural logarithm; the picture uses log10": picture(torch.max, torch.log),
            "these are decibels; the picture takes log10 alone": (
                picture(torch.max, lambda x: 10 * x.log10())
            ),
            "what is more than 8 below the loudest should be raised to 8 below it": (
                picture(lambda log: torch.tensor(-99.0))
            ),
            "8 below the loudest of the whole picture, not of each row or column": (
                picture(lambda log: log.amax(1, keepdim=True)),
                picture(lambda log: log.amax(0, keepdim=True)),
            ),
            "raise what is quiet to 8 below the loudest; you raise it to -8": (
                picture(lambda log: torch.zeros(()))
            ),
            "add 4 and divide by 4 at the end": picture(torch.max, end=lambda x: x),
            "clamp at 1e-10 first: in a quiet picture silence would be less than silent": (
                lambda power: _scaled(power.log10().maximum(power.log10().max() - 8))
            ),
            "first add 4, then divide by 4": picture(torch.max, end=lambda x: x / 4 + 4),
        },
        "clamp at 1e-10, log10, at least the maximum - 8, then (x + 4) / 4",
    )
    return "loudness as the ear hears it, and whatever is 80 dB below the loudest is silence"


def _scaled(loudness: Tensor) -> Tensor:
    return (loudness + 4) / 4


Table = list[list[int]]
STEPS = ((1, 1), (0, 1), (1, 0))
# On this one every usual mistake gives a sum of its own.
TELLING = [[1, -2, 5, 9, -4], [-6, 9, 2, 1, 0], [9, 9, 6, -2, 1], [-2, 6, -6, -4, -1]]


def _sum_of_best_path(table: Table) -> float:
    path = best_path(torch.tensor(table, dtype=torch.float64))
    return float(sum(table[t][m] for t, m in path))


def _best(*steps: tuple[int, int], pick: Callable = max) -> Callable[[Table], float]:
    """The largest sum of a path with these steps alone."""

    def collect(table: Table) -> float:
        best: dict[tuple[int, int], float] = {(0, 0): table[0][0]}
        for t in range(len(table)):
            for m in range(len(table[0])):
                came = [best[t - a, m - b] for a, b in steps if (t - a, m - b) in best]
                if came:
                    best[t, m] = pick(came) + table[t][m]
        return best.get((len(table) - 1, len(table[0]) - 1), -math.inf)

    return collect


def _greedy(table: Table) -> float:
    """Each step goes to the best of the next cells."""
    t = m = 0
    total: float = table[0][0]
    while (t, m) != (len(table) - 1, len(table[0]) - 1):
        ahead = [(t + a, m + b) for a, b in STEPS if t + a < len(table) and m + b < len(table[0])]
        t, m = max(ahead, key=lambda cell: table[cell[0]][cell[1]])
        total += table[t][m]
    return total


def _one_sum(got: Any) -> float:
    if isinstance(got, list | tuple) and len(got) != 1:
        raise Wrong("the sum alone is needed, one number; not the path")
    return number(got)


@exercise("16.4")
def check_path(answer: Any) -> str:
    """Implement: the sum of the best path through a small table of matches."""
    draw = random.Random(0)
    sizes = ((2, 3), (4, 3), (4, 7), (1, 5), (5, 5))
    tables = [[[draw.randint(-6, 9) for _ in range(m)] for _ in range(t)] for t, m in sizes]
    expect_like(
        answer,
        _sum_of_best_path,
        [(table,) for table in (TELLING, *tables)],
        {
            "that takes the best moment of each piece, even where this goes back in time": (
                lambda table: sum(map(max, table))
            ),
            "that takes the best piece for each moment, even where this goes back in the text": (
                lambda table: sum(map(max, zip(*table, strict=True)))
            ),
            "a step may also go to the next piece and the next moment at once": (
                _best((1, 0), (0, 1))
            ),
            "a step may also go to the next piece while the moment stays": _best((1, 1), (0, 1)),
            "a step may also go to the next moment while the piece stays": _best((1, 1), (1, 0)),
            "the first cell counts as well: the path collects it before its first step": (
                lambda table: _best(*STEPS)(table) - table[0][0]
            ),
            "that is the smallest sum; the largest is asked for": _best(*STEPS, pick=min),
            "the best next cell isn't always on the best path: try all ways to each cell": _greedy,
        },
        f"for the table {TELLING} it should be {_sum_of_best_path(TELLING):g}",
        read=_one_sum,
    )
    return "one way through, never back: that is dynamic time warping"


def _mistakes(said: list[str], meant: list[str]) -> int:
    """The fewest words that have to be inserted, left out or changed."""
    if not said or not meant:
        return len(said) + len(meant)
    changed = _mistakes(said[1:], meant[1:]) + (said[0] != meant[0])
    return min(changed, _mistakes(said[1:], meant) + 1, _mistakes(said, meant[1:]) + 1)


@exercise("16.5")
def check_error_rate(answer: Any) -> str:
    """Implement: the word error rate of one sentence, two lists of words."""

    def right(said: list[str], meant: list[str]) -> float:
        return _mistakes(said, meant) / len(meant)

    def at_each_place(said: list[str], meant: list[str]) -> float:
        differ = sum(a != b for a, b in zip(said, meant, strict=False))
        return (differ + abs(len(said) - len(meant))) / len(meant)

    pairs = (
        ("a b c", "a b c"),
        ("a x c d", "a b c d"),
        ("a c d", "a b c d"),
        ("a b b c d", "a b c d"),
        ("x y z u", "a b"),
        ("", "a b"),
        ("b a", "a b"),
        ("x a b", "a b"),
        ("a b", "x a b"),
    )
    expect_like(
        answer,
        right,
        [(said.split(), meant.split()) for said, meant in pairs],
        {
            "that is a percentage; here 1 means one mistake for each word meant": (
                lambda said, meant: 100 * right(said, meant)
            ),
            "that is the share of words that are right; the rate counts those that are not": (
                lambda said, meant: 1 - right(said, meant)
            ),
            "that is the number of mistakes; divide it by the number of words meant": _mistakes,
            "one word left out moves all others along; that is one mistake, not three": (
                at_each_place,
                lambda said, meant: (
                    sum(a != b for a, b in zip(said, meant, strict=False)) / len(meant)
                ),
            ),
            "divide by the words that were meant, not by those that were written": (
                lambda said, meant: _mistakes(said, meant) / max(len(said), 1),
                lambda said, meant: _mistakes(said, meant) / max(len(said), len(meant)),
            ),
            "four words for two meant: two changed and two inserted, a rate of 2": (
                lambda said, meant: min(1.0, right(said, meant))
            ),
            "the order counts as well: this only looks which words are missing": (
                lambda said, meant: len(set(meant) - set(said)) / len(meant)
            ),
            "a changed word is one mistake, not one left out and one inserted": (
                lambda said, meant: _put_in_or_left_out(said, meant) / len(meant)
            ),
        },
        "the fewest words inserted, left out or changed, divided by the number of words meant",
        read=number,
    )
    return "words inserted, left out or changed, for each word that was meant"


def _put_in_or_left_out(said: list[str], meant: list[str]) -> int:
    if not said or not meant:
        return len(said) + len(meant)
    if said[0] == meant[0]:
        return _put_in_or_left_out(said[1:], meant[1:])
    return 1 + min(_put_in_or_left_out(said[1:], meant), _put_in_or_left_out(said, meant[1:]))


check_quiz = choice(
    "16.6",
    "d",
    {
        "a": "the padding mask hides tokens of padding; here silence is sound, and is read",
        "b": "a causal mask is for text that is being written; the sound is finished",
        "c": "the decoder's self-attention has that one; the question is about cross-attention",
        "d": "every moment may be heard; the model has learned that there is nothing in silence",
    },
)
