"""Checks of notebook 09, training."""

import math
from typing import Any

import torch

from helpers.checks import Wrong, ask, attempted, choice, close, exercise, expect
from helpers.training import TrainingConfig, learning_rate_at


@exercise("9.1")
def check_uniform_loss(answer: Any) -> str:
    """Predict: the loss of an even guess among 1,000 words, in nats."""
    value = float(answer)
    if abs(value - math.log2(1000)) < 0.1:
        raise Wrong("that is in bits; a nat uses the natural logarithm")
    if abs(value - 3.0) < 0.06:
        raise Wrong("that is the logarithm to base 10; cross-entropy uses the natural one")
    if abs(value - 0.001) < 1e-4:
        raise Wrong("that is the probability of each word; the loss is minus its logarithm")
    if abs(value - math.log(1000)) > 0.06:
        raise Wrong("each word has probability 1/1000; what is minus its natural logarithm?")
    return "log 1000: remember it as the first number of every training run"


@exercise("9.2")
def check_smoothed_target(answer: Any) -> str:
    """Implement the target distribution of label smoothing."""
    got = ask(answer, 2, 5, 0.1)
    plain = torch.zeros(5)
    plain[2] = 1.0
    if close(got, plain):
        raise Wrong("this is the hard target: ε is not used")
    others = torch.full((5,), 0.1 / 4)
    others[2] = 0.9
    if close(got, others):
        raise Wrong("here ε goes to the four other words; torch shares it among all five")
    added = plain + 0.1 / 5
    if close(got, added):
        raise Wrong("it sums to more than 1: the true word gives up ε first")
    expect(got, 0.9 * plain + 0.1 / 5, "1 - ε to the true word, ε shared evenly among all")
    return "it sums to 1 and asks for a little doubt"


@exercise("9.3")
def check_exact_match(answer: Any) -> str:
    """Implement exact match."""
    translations, references = ["a b .", "c .", "d e f ."], ["a b .", "c !", "d e f ."]
    got = ask(answer, translations, references)
    if close(got, 2):
        raise Wrong("this counts the right ones; divide by how many there are")
    if close(got, 1 / 3):
        raise Wrong("this is the share that is wrong")
    if close(got, 1.0):
        raise Wrong("'c .' is not 'c !': to the letter means every sign")
    expect(float(got), 2 / 3, "two of three are equal to the letter")
    return "strict, and fair where one answer is right"


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
    batches = [[4, 4], [2, 8, 8], [5]]
    got = ask(answer, batches)
    shares = [1 - sum(b) / (max(b) * len(b)) for b in batches]
    if close(got, 31 / 37):
        raise Wrong("this is the share of real tokens; padding is the rest")
    if close(got, sum(shares) / 3):
        raise Wrong("a mean of shares counts a small batch as much as a large one: add up tokens")
    if close(got, 1 - 31 / (8 * 6)):
        raise Wrong("every batch is a rectangle of its own, as wide as ITS longest sentence")
    if close(got, 6):
        raise Wrong("this counts the padding; divide by all places of all rectangles")
    expect(got, 6 / 37, "padding over all places, over all batches together")
    expect(ask(answer, [[3, 3], [3]]), 0.0, "sentences of one length need no padding")
    return "6 of 37 places hold nothing"


@exercise("9.6")
def check_rate(answer: Any) -> str:
    """Implement: the learning rate that rises to its peak and falls to zero at the last step."""
    peak, warmup, steps = 0.01, 4, 20
    config = TrainingConfig(steps=steps, learning_rate=peak, warmup_steps=warmup)
    numbers = [1, 2, 4, 5, 12, 19, 20]
    got = [float(attempted(ask(answer, step, peak, warmup, steps))) for step in numbers]
    right = [learning_rate_at(step, config) for step in numbers]
    if close(got[:3], right[:3]) and all(value >= peak for value in got[3:]):
        raise Wrong("after the warm-up it should fall")
    if close(got, [peak * (steps - step) / steps for step in numbers]):
        raise Wrong("it falls from the start: the warm-up is missing")
    if close(got[:3], right[:3]) and close(got[3:], [peak * (20 - s) / 20 for s in numbers[3:]]):
        raise Wrong("it jumps after the warm-up: the fall begins at the peak, so steps - warmup")
    if close(got, [peak * max(s / 4, (20 - s) / 16) for s in numbers]):
        raise Wrong("of the two lines the LOWER one counts: min, not max")
    expect(got, right, "up to step warmup: peak · step / warmup; then straight down to 0")
    return "careful at first, calm at the end"
