"""Checks of notebook 16, a Whisper in the reader's own classes."""

import math
import random
from fractions import Fraction
from typing import Any

import torch

from helpers.checks import Wrong, ask, attempted, choice, close, exercise, expect
from helpers.lessons.hearing import best_path


@exercise("16.1")
def check_map_shape(answer: Any) -> str:
    """Predict: one layer's cross-attention map while 9 pieces and <eos> are written."""
    shape = tuple(attempted(x) for x in answer)
    if shape == (6, 9, 1500):
        raise Wrong("one query more: the last row writes <eos>")
    if shape == (6, 1500, 10):
        raise Wrong("rows are queries, the pieces of text; columns are keys, the moments")
    if shape == (6, 10, 3000):
        raise Wrong("3,000 is the spectrogram; the second convolution takes steps of two")
    if shape == (6, 10, 80):
        raise Wrong("80 is the number of mel bands; keys are moments")
    if shape == (4, 10, 1500):
        raise Wrong("4 is the number of layers; one layer has 6 heads")
    if len(shape) == 3 and shape[:2] == (6, 10) and shape[2] < 1500:
        raise Wrong("the silence after the sentence is part of the source: 30 seconds, always")
    if shape != (6, 10, 1500):
        raise Wrong("(heads, queries, keys): pieces and <eos> ask, moments are asked")
    return "ten rows that write, 1,500 moments that are listened to"


@exercise("16.2")
def check_moment(answer: Any) -> str:
    """Implement: which of the memory's 1,500 vectors belongs to a time in seconds."""
    got = [ask(answer, seconds) for seconds in (0.0, 1.0, 2.5, 2.59, 29.99)]
    if any(isinstance(x, bool) for x in got) or not all(_is_whole(x) for x in got):
        raise Wrong("a column is a whole number: round down")
    right = [0, 50, 125, 129, 1499]
    if got == [0, 100, 250, 258, 2998] or got == [0, 100, 250, 259, 2999]:
        raise Wrong("those are columns of the spectrogram; the memory has half as many")
    if got[:3] == [0, 16_000, 40_000]:
        raise Wrong("those are samples; a vector of the memory stands for 320 of them")
    if got[:3] == [0, 50, 125] and got != right:
        raise Wrong("2.59 s lies within the vector that begins at 2.58 s: round down, not up")
    if got != right:
        raise Wrong("30 seconds become 1,500 vectors, so one stands for 0.02 s")
    return "fifty vectors a second"


@exercise("16.3")
def check_compress(answer: Any) -> str:
    """Implement: from mel power to Whisper's picture, the last three lines of log_mel."""
    power = torch.tensor([[1e4, 1e-3, 0.0], [2.0, 1e-7, 50.0]])
    got = ask(answer, power.clone())
    log = power.clamp(min=1e-10).log10()
    right = (log.maximum(log.max() - 8) + 4) / 4
    natural = power.clamp(min=1e-10).log()
    if close(got, (natural.maximum(natural.max() - 8) + 4) / 4):
        raise Wrong("that is the natural logarithm; the picture uses log10")
    if close(got, (log + 4) / 4):
        raise Wrong("what is more than 8 below the loudest is raised to 8 below it")
    rows = log.amax(1, keepdim=True)
    if close(got, (log.maximum(rows - 8) + 4) / 4) or close(
        got, (log.maximum(log.amax(0, keepdim=True) - 8) + 4) / 4
    ):
        raise Wrong("8 below the loudest of the whole picture, not of each row or column")
    if close(got, log.maximum(log.max() - 8)):
        raise Wrong("add 4 and divide by 4 at the end")
    if close(got, log.maximum(log.max() - 8) / 4 + 4):
        raise Wrong("first add 4, then divide by 4")
    if _has_infinity(got):
        raise Wrong("the logarithm of 0 is minus infinity: clamp at 1e-10 first")
    expect(got, right, "clamp at 1e-10, log10, at least the maximum - 8, then (x + 4) / 4")
    return "logarithms, as ears have it: what is 80 dB below the loudest is silence"


# On this one every usual mistake gives a sum of its own.
TELLING = [[1, -2, 5, 9, -4], [-6, 9, 2, 1, 0], [9, 9, 6, -2, 1], [-2, 6, -6, -4, -1]]


@exercise("16.4")
def check_path(answer: Any) -> str:
    """Implement: the sum of the best path through a small table of matches."""
    draw = random.Random(0)
    sizes = ((2, 3), (4, 3), (4, 7), (1, 5), (5, 5))
    tables = [[[draw.randint(-6, 9) for _ in range(m)] for _ in range(t)] for t, m in sizes]
    for table in (TELLING, *tables):
        got = ask(answer, [list(row) for row in table])
        path = best_path(torch.tensor(table, dtype=torch.float64))
        right = sum(table[t][m] for t, m in path)
        if not isinstance(got, (int, float, Fraction)) and not hasattr(got, "item"):
            raise Wrong(f"a number is needed here, got {type(got).__name__}")
        if not close(got, right):
            raise Wrong(_why_not(table, float(got), right))
    return "one way through, never back: that is dynamic time warping"


def _why_not(table: list[list[int]], got: float, right: float) -> str:
    tokens, moments = len(table), len(table[0])
    if got == sum(map(max, table)):
        return "that takes the best moment of each token, also where this goes back in time"
    if got == sum(max(column) for column in zip(*table, strict=True)):
        return "that takes the best token for each moment, also where this goes back in the text"
    if got == _best(table, ((1, 0), (0, 1))):
        return "a step may also go to the next token and the next moment at once"
    if got == _best(table, ((1, 1), (0, 1))):
        return "a step may also go to the next token while the moment stays"
    if got == _best(table, ((1, 1), (1, 0))):
        return "a step may also go to the next moment while the token stays"
    if got == right - table[0][0]:
        return "the first cell counts, too"
    if got == _best([[-x for x in row] for row in table], ((1, 1), (0, 1), (1, 0))) * -1:
        return "that is the smallest sum; the largest is asked"
    return f"in a table of {tokens} tokens and {moments} moments it should be {right}, not {got:g}"


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
    got = [ask(answer, list(said), list(meant)) for said, meant, _ in pairs]
    if close(got[0], 1.0):
        raise Wrong("that is the share of words that are right; the rate counts those that are not")
    if not close(got[0], 0.0):
        raise Wrong("a sentence without a mistake has the rate 0")
    if close(got[1:4], [1.0, 1.0, 1.0]):
        raise Wrong("that is the number of mistakes; divide it by the number of words meant")
    if close(got[2], 0.75) or close(got[2], 1.0):
        raise Wrong("one word left out moves all others along; that is one mistake, not three")
    if close(got[2], 1 / 3) or close(got[3], 0.2):
        raise Wrong("divide by the words that were meant, not by those that were written")
    if close(got[4], 1.0):
        raise Wrong("four words for two meant: two changed and two put in, a rate of 2")
    for rate, (said, meant, right) in zip(got, pairs, strict=True):
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


def _is_whole(x: Any) -> bool:
    return isinstance(x, int) or (hasattr(x, "item") and float(x) == int(x))


def _has_infinity(got: Any) -> bool:
    try:
        return bool(torch.as_tensor(got, dtype=torch.float64).isinf().any())
    except (TypeError, ValueError, RuntimeError):
        return False
