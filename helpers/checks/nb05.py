"""Checks of notebook 05, the encoder."""

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from helpers.checks import Wrong, choice, exercise, expect_like
from helpers.checks.reading import number, numbers, verdict
from helpers.encoder import EncoderLayer
from helpers.masks import padding_mask


@exercise("5.1")
def check_what_moves(answer: Any) -> str:
    """Predict: how many of 9 output vectors move if the last word changes; if padding is added."""
    word, padding = numbers(answer, "moved by the word", "moved by the padding")
    if (word, padding) == (0, 9):
        raise Wrong("the other way round: first what the changed word moves")
    if word == 1:
        raise Wrong("only one if no word could look at another; here every word sees every other")
    if word == 8:
        raise Wrong("those are the eight others; the output of the changed word changes as well")
    if word != 9:
        raise Wrong("the encoder has no causal mask: who can see the last word?")
    if padding != 0:
        raise Wrong("padding is masked: what no word may look at can't change any output")
    return "all nine hear the word, none hears the padding"


@exercise("5.2")
def check_encoder_layer(answer: Any) -> str:
    """Implement a post-norm encoder layer's forward from its parts, dropout off."""
    torch.manual_seed(0)
    layer = EncoderLayer(16, 4, 32, dropout=0.0).eval()
    norms = (layer.add_norm_self.norm, layer.add_norm_ff.norm)
    for norm in norms:  # otherwise both would be the same, and a swap would not show
        torch.nn.init.normal_(norm.weight), torch.nn.init.normal_(norm.bias)
    parts = (layer.self_attention, layer.feed_forward, *norms)
    cases = [(torch.randn(2, 5, 16), *parts), (torch.randn(1, 3, 16), *parts)]

    def pre_norm(x: Tensor, a: Callable, f: Callable, n: Callable, m: Callable) -> Tensor:
        h = x + a(n(x), n(x))
        return h + f(m(h))

    with torch.no_grad():
        expect_like(
            answer,
            lambda x, *parts: layer(x),
            cases,
            {
                "both residuals are missing: each step ADDS to what came in": (
                    lambda x, a, f, n, m: m(f(n(a(x, x))))
                ),
                "the second residual is missing: add what went into the feed-forward": (
                    lambda x, a, f, n, m: m(f(n(x + a(x, x))))
                ),
                "the first residual is missing: add x to what attention found": (
                    lambda x, a, f, n, m: m(n(a(x, x)) + f(n(a(x, x))))
                ),
                "the feed-forward should read the result of the attention step, not x": (
                    lambda x, a, f, n, m: m(n(x + a(x, x)) + f(x))
                ),
                "the second residual adds the attention step's result, not the first x": (
                    lambda x, a, f, n, m: m(x + f(n(x + a(x, x))))
                ),
                "this is pre-norm; the exercise asks for the paper's post-norm": pre_norm,
                "the two norms are swapped: norm_1 belongs to attention": (
                    lambda x, a, f, n, m: n(m(x + a(x, x)) + f(m(x + a(x, x))))
                ),
                "one norm is used twice: norm_1 after attention, norm_2 after the feed-forward": (
                    lambda x, a, f, n, m: n(n(x + a(x, x)) + f(n(x + a(x, x)))),
                    lambda x, a, f, n, m: m(m(x + a(x, x)) + f(m(x + a(x, x)))),
                ),
                "first add, then norm: the norm is around the sum": (
                    lambda x, a, f, n, m: x + n(a(x, x)) + m(f(x + n(a(x, x))))
                ),
                "the last norm is missing": (
                    lambda x, a, f, n, m: n(x + a(x, x)) + f(n(x + a(x, x)))
                ),
                "the first norm is missing": (
                    lambda x, a, f, n, m: m(x + a(x, x) + f(x + a(x, x)))
                ),
                "the feed-forward is missing: that is the attention step alone": (
                    lambda x, a, f, n, m: n(x + a(x, x))
                ),
            },
            "attention, add, norm; then feed-forward, add, norm",
            tolerance=1e-4,
        )
    return "attention, add & norm; feed-forward, add & norm"


def _most_frequent(words: list[str]) -> str:
    return Counter(words).most_common(1)[0][0]


@exercise("5.3")
def check_baseline(answer: Any) -> str:
    """Implement the honest baseline: the most frequent word."""

    def right(train: list[str], test: list[str]) -> float:
        return test.count(_most_frequent(train)) / len(test)

    expect_like(
        answer,
        right,
        [
            (["the", "dog", "the", "ball"], ["the", "cat", "the", "the", "dog"]),
            (["a", "b", "a", "c", "c", "a"], ["b", "b", "a", "b"]),
            (["a", "a", "b"], ["c", "b"]),
        ],
        {
            "that is how frequent the word is in training; score it on the test words": (
                lambda train, test: train.count(_most_frequent(train)) / len(train)
            ),
            "that counts the hits; a share is needed, so divide by the number of test words": (
                lambda train, test: test.count(_most_frequent(train))
            ),
            "that is a percentage; a share is between 0 and 1": (
                lambda train, test: 100 * right(train, test)
            ),
            "the TEST words chose this guess; the guess has to come from training alone": (
                lambda train, test: test.count(_most_frequent(test)) / len(test)
            ),
            "divide by the number of test words, not of training words": (
                lambda train, test: test.count(_most_frequent(train)) / len(train)
            ),
            "this is the share that is wrong": lambda train, test: 1 - right(train, test),
            "that is the share of test words that were in training; guess ONE word for all": (
                lambda train, test: sum(word in train for word in test) / len(test)
            ),
        },
        "guess the most frequent training word for every test word",
        read=number,
    )
    return "a model that beats this has learned something"


check_quiz = choice(
    "5.4",
    "c",
    {
        "a": "that would be a bottleneck; notebook 11 measures what it costs",
        "b": "that is what goes in; after self-attention each of them has read all the others",
        "c": "this is the memory, (source, d_model)",
        "d": "those never leave it; each decoder layer makes its own (notebook 07)",
    },
)


@exercise("5.5")
def check_equality_test(answer: Any) -> str:
    """Write a test of equality for outputs (batch, source, d_model), some of them padding."""
    torch.manual_seed(0)
    ours = torch.randn(2, 5, 4, dtype=torch.float64)
    ids = torch.tensor([[5, 6, 7, 8, 9], [5, 6, 7, 0, 0]])

    def changed(sentence: int, place: int, value: float) -> Tensor:
        other = ours.clone()
        other[sentence, place, 2] += value
        return other

    cases = {
        "equal to the last bit": (ours.clone(), True),
        "rounded otherwise, by 1e-11": (changed(0, 1, 1e-11), True),
        "another number at padding": (changed(1, 4, 1.0), True),
        "NaN at padding": (changed(1, 3, math.nan), True),
        "one number of one word off by 1e-9": (changed(0, 4, 1e-9), False),
        "one number of one word lower": (changed(1, 2, -1.0), False),
        "NaN at a word": (changed(0, 0, math.nan), False),
        "a mean that is right, two words that are not": (
            ours + torch.tensor([1.0, -1.0, 0, 0, 0])[:, None],
            False,
        ),
    }
    for name, (theirs, agree) in cases.items():
        got = verdict(answer, ours, theirs, padding_mask(ids))
        if got == agree:
            continue
        if name == "NaN at padding":
            raise Wrong("0 · NaN is NaN: take the real words out, don't multiply the others by 0")
        if name == "rounded otherwise, by 1e-11":
            raise Wrong("two correct models may round differently, here by 1e-11: allow for 1e-10")
        raise Wrong(f"your test says {got} for '{name}'")
    broken = changed(0, 2, math.nan)
    if verdict(answer, broken, broken.clone(), padding_mask(ids)):
        raise Wrong("both gave NaN at a word, and your test calls that equal")
    return "only real words, up to rounding, and NaN is never equal"
