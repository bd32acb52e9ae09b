"""Checks of notebook 16, a Whisper in the reader's own classes."""

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from helpers.checks import Wrong, ask, choice, close, exercise, expect_like, to_array
from helpers.checks.reading import number, shape
from helpers.lessons.hearing import best_path


@exercise("16.1")
def check_map_shape(answer: Any) -> str:
    """Predict: one layer's cross-attention map while 9 pieces and <eos> are written."""
    got = shape(answer)
    if got[:1] == (1,) and len(got) == 4:
        raise Wrong("without the batch: one recording's map is (heads, queries, keys)")
    if got == (6, 9, 1500):
        raise Wrong("one query more: the last row writes <eos>")
    if got == (6, 1500, 10):
        raise Wrong("rows are queries, the pieces of text; columns are keys, the moments")
    if got == (6, 10, 3000):
        raise Wrong("3,000 is the spectrogram; the second convolution takes steps of two")
    if got == (6, 10, 80):
        raise Wrong("80 is the number of mel bands; keys are moments")
    if got == (4, 10, 1500):
        raise Wrong("4 is the number of layers; one layer has 6 heads")
    if len(got) == 3 and got[:2] == (6, 10) and got[2] < 1500:
        raise Wrong("the silence after the sentence is part of the source: 30 seconds, always")
    if got != (6, 10, 1500):
        raise Wrong("(heads, queries, keys): pieces and <eos> ask, moments are asked")
    return "ten rows that write, 1,500 moments that are listened to"


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
            "first add 4, then divide by 4": picture(torch.max, end=lambda x: x / 4 + 4),
        },
        "clamp at 1e-10, log10, at least the maximum - 8, then (x + 4) / 4",
    )
    return "logarithms, as ears have it: what is 80 dB below the loudest is silence"


def _scaled(loudness: Tensor) -> Tensor:
    return (loudness + 4) / 4


# On this one every usual mistake gives a sum of its own.
TELLING = [[1, -2, 5, 9, -4], [-6, 9, 2, 1, 0], [9, 9, 6, -2, 1], [-2, 6, -6, -4, -1]]


@exercise("16.4")
def check_path(answer: Any) -> str:
    """Implement: the sum of the best path through a small table of matches."""
    draw = random.Random(0)
    sizes = ((2, 3), (4, 3), (4, 7), (1, 5), (5, 5))
    tables = [[[draw.randint(-6, 9) for _ in range(m)] for _ in range(t)] for t, m in sizes]
    for table in (TELLING, *tables):
        got = ask(answer, table)
        if isinstance(got, list | tuple) and len(got) != 1:
            raise Wrong("the sum alone is needed, one number; not the path")
        got = number(got)
        path = best_path(torch.tensor(table, dtype=torch.float64))
        right = sum(table[t][m] for t, m in path)
        if not close(got, right):
            raise Wrong(_why_not(table, got, right))
    return "one way through, never back: that is dynamic time warping"


def _why_not(table: list[list[int]], got: float, right: float) -> str:
    tokens, moments = len(table), len(table[0])
    if got == sum(map(max, table)):
        return "that takes the best moment of each piece, even where this goes back in time"
    if got == sum(max(column) for column in zip(*table, strict=True)):
        return "that takes the best piece for each moment, even where this goes back in the text"
    if got == _best(table, ((1, 0), (0, 1))):
        return "a step may also go to the next piece and the next moment at once"
    if got == _best(table, ((1, 1), (0, 1))):
        return "a step may also go to the next piece while the moment stays"
    if got == _best(table, ((1, 1), (1, 0))):
        return "a step may also go to the next moment while the piece stays"
    if got == right - table[0][0]:
        return "the first cell counts, too: the path collects it before its first step"
    if got == _best([[-x for x in row] for row in table], ((1, 1), (0, 1), (1, 0))) * -1:
        return "that is the smallest sum; the largest is asked for"
    return f"for {tokens} pieces and {moments} moments it should be {right}, not {got:g}"


def _best(table: list[list[int]], steps: tuple[tuple[int, int], ...]) -> float:
    """The largest sum of a path with these steps alone."""
    best: dict[tuple[int, int], float] = {(0, 0): table[0][0]}
    for t in range(len(table)):
        for m in range(len(table[0])):
            came = [best[t - a, m - b] for a, b in steps if (t - a, m - b) in best]
            if came:
                best[t, m] = max(came) + table[t][m]
    return best.get((len(table) - 1, len(table[0]) - 1), -math.inf)


@exercise("16.5")
def check_error_rate(answer: Any) -> str:
    """Implement: the word error rate of one sentence, two lists of words."""
    pairs = (
        (("a", "b", "c"), ("a", "b", "c"), 0.0),
        (("a", "x", "c", "d"), ("a", "b", "c", "d"), 0.25),
        (("a", "c", "d"), ("a", "b", "c", "d"), 0.25),
        (("a", "b", "b", "c", "d"), ("a", "b", "c", "d"), 0.25),
        (("x", "y", "z", "u"), ("a", "b"), 2.0),
        ((), ("a", "b"), 1.0),
    )
    rates = [number(ask(answer, list(said), list(meant))) for said, meant, _ in pairs]
    if close(rates, [100 * rate for *_, rate in pairs]):
        raise Wrong("that is a percentage; here 1 means one mistake for each word meant")
    if close(rates[0], 1.0):
        raise Wrong("that is the share of words that are right; the rate counts those that are not")
    if not close(rates[0], 0.0):
        raise Wrong("a sentence without a mistake has the rate 0")
    if close(rates[1:4], [1.0, 1.0, 1.0]):
        raise Wrong("that is the number of mistakes; divide it by the number of words meant")
    if close(rates[2], 0.75) or close(rates[2], 1.0):
        raise Wrong("one word left out moves all others along; that is one mistake, not three")
    if close(rates[2], 1 / 3) or close(rates[3], 0.2):
        raise Wrong("divide by the words that were meant, not by those that were written")
    if close(rates[4], 1.0):
        raise Wrong("four words for two meant: two changed and two put in, a rate of 2")
    for rate, (said, meant, right) in zip(rates, pairs, strict=True):
        if not close(rate, right):
            raise Wrong(f"{said} for {meant} should be {right:g}, yours is {rate}")
    return "words put in, left out or changed, for each word that was meant"


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
