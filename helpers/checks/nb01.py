"""Checks of notebook 01, self-attention."""

from collections.abc import Callable
from typing import Any

import numpy as np

from helpers.checks import Wrong, ask, choice, close, exercise, expect_like, to_array
from helpers.checks.reading import numbers, output, several, verdict


def _softmax(scores: np.ndarray, axis: int | None = -1) -> np.ndarray:
    powers = np.exp(scores - scores.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


@exercise("1.1")
def check_empty_query(answer: Any) -> str:
    """Predict: with the query (0, 0), the weight of *gefunden*, and the output (two numbers)."""
    if isinstance(answer, list | tuple) and len(answer) == 2:
        answer = [answer[0], *several(answer[1])]  # (weight, output)
    weight, first, second = numbers(answer, "the weight", "the output's first", "its second")
    got = (weight, first, second)

    def like(*wanted: float) -> bool:
        return close(got[: len(wanted)], wanted, 0.01)

    if like(1, 1, 2):
        raise Wrong(
            "e to the power of 0 is 1, but shares add up to 1: divide by the sum of all four"
        )
    if like(0.81):
        raise Wrong("that is what the query (2, 0) got; what is the score of each word for (0, 0)?")
    if like(1):
        raise Wrong("no key fits the query (0, 0) better than another, so nobody gets everything")
    if like(0):
        raise Wrong("a score of 0 isn't a share of 0: softmax takes e to its power, which is 1")
    if like(25) or like(100):
        raise Wrong("that is a percentage; shares add up to 1")
    if like(1 / 3):
        raise Wrong("four words share the weight: *hat* looks at itself, too")
    if not like(0.25):
        raise Wrong("all four scores are 0: what shares does softmax make of equal scores?")
    if like(0.25, 0.5, 0.25):
        raise Wrong("the output the other way round: first the number for 'participle'")
    if like(0.25, 0.25, 0.25):
        raise Wrong("the weight is right; but *Hund* and *Ball* both have the value (0, 1)")
    if like(0.25, 1 / 3, 2 / 3):
        raise Wrong("the weight is right; but *hat* takes a quarter for its own value, (0, 0)")
    if like(0.25, 1, 2):
        raise Wrong(
            "the weight is right; those are the sums of the values: multiply by the weights"
        )
    if not like(0.25, 0.25, 0.5):
        raise Wrong("the weight is right; the output is the mean of all four values")
    return "a word that asks for nothing gets a little of everything"


def _attend(scale: Callable, axis: int | None = -1) -> Callable:
    """Attention with scores divided by scale(query, key) and softmax along this axis."""

    def attend(query: np.ndarray, key: np.ndarray, value: np.ndarray) -> np.ndarray:
        return _softmax(query @ key.T / scale(query, key), axis) @ value

    return attend


@exercise("1.2")
def check_attention_by_hand(answer: Any) -> str:
    """Implement attention in NumPy for query (target, d_k), key (source, d_k), value (…, d_v)."""
    rng = np.random.default_rng(7)
    sizes = ((3, 5, 4, 2), (6, 3, 9, 5))  # target, source, d_k, d_v
    cases = [
        (rng.normal(size=(t, d)), rng.normal(size=(s, d)), rng.normal(size=(s, v)))
        for t, s, d, v in sizes
    ]

    def root(query: np.ndarray, key: np.ndarray) -> float:
        return np.sqrt(query.shape[-1])

    def nothing(query: np.ndarray, key: np.ndarray) -> float:
        return 1.0

    def whole(query: np.ndarray, key: np.ndarray) -> float:
        return query.shape[-1]

    expect_like(
        answer,
        _attend(root),
        cases,
        {
            "the scores aren't divided by √d_k yet": _attend(nothing),
            "the scores are divided by d_k; the formula has its square root": _attend(whole),
            "softmax runs over the wrong axis: each ROW has to sum to 1, so axis=-1": tuple(
                _attend(scale, axis) for scale in (root, nothing, whole) for axis in (0, None)
            ),
            "d_k is the width of a query, query.shape[-1]; you took the number of words": (
                _attend(lambda q, k: np.sqrt(len(q))),
                _attend(lambda q, k: np.sqrt(len(k))),
            ),
            "these are the scores times the values: the softmax is missing": (
                lambda q, k, v: q @ k.T / root(q, k) @ v,
                lambda q, k, v: q @ k.T @ v,
            ),
            "these are the scores; softmax and the values are still to come": (
                lambda q, k, v: q @ k.T / root(q, k),
                lambda q, k, v: q @ k.T,
            ),
            "these are the weights; the output is the weights times the values": (
                lambda q, k, v: _softmax(q @ k.T / root(q, k)),
                lambda q, k, v: _softmax(q @ k.T),
            ),
        },
        "the numbers differ from softmax(Q Kᵀ / √d_k) V",
        read=output,
    )
    return "that is the whole formula"


@exercise("1.3")
def check_copying_scores(answer: Any) -> str:
    """Bend it: scores (length, length) that make every word look at the one before it."""
    for length in (4, 7):
        scores = to_array(ask(answer, length))
        if scores is None:
            raise Wrong("numbers are needed here, one for each pair of words")
        if scores.shape != (length, length):
            wanted, yours = (length, length), scores.shape
            raise Wrong(f"for {length} words the scores should be {wanted}, yours are {yours}")
        if np.isnan(scores).any() or np.isposinf(scores).any():
            raise Wrong("a score of NaN or +∞ makes softmax NaN: 10 is large enough")
        if np.isneginf(scores).all(-1).any():
            raise Wrong("a row of nothing but -∞ has nowhere to look, and its softmax is NaN")
        weights, before = _softmax(scores), np.arange(length - 1)
        if close(weights[:-1].argmax(-1), before + 1):
            raise Wrong("each word looks at the NEXT one: rows are queries, columns are keys")
        if (weights[1:].max(-1) < 0.95).any():
            raise Wrong("these aren't strong enough: softmax needs larger differences between them")
        if not close(weights[1:].argmax(-1), before):
            raise Wrong("row t should have its largest score in column t - 1")
    return "large differences between scores make softmax nearly a choice"


check_quiz = choice(
    "1.4",
    "d",
    {
        "a": "adding one number to a whole row changes nothing, but doubling stretches differences",
        "b": "the other way round: halving the scores evens them out",
        "c": "then a row would sum to 2, and shares always sum to 1",
        "d": "the differences between scores double, and softmax turns differences into ratios",
    },
)


@exercise("1.5")
def check_order_test(answer: Any) -> str:
    """Write a test: does f, (words, d) -> (words, d), know the order of its words?"""

    def attend(x: np.ndarray) -> np.ndarray:
        return _softmax(x @ x.T) @ x

    def places(x: np.ndarray) -> np.ndarray:  # for any number of words
        return np.linspace(-1, 1, len(x))[:, None]

    def with_arrays(function: Callable) -> Callable:  # a list or a tensor will do as well
        return lambda x: function(np.array(x, dtype=float))

    cases = {
        "attention": (attend, False),
        "a function of each word alone": (lambda x: x * x, False),
        "the mean of all words": (lambda x: np.tile(x.mean(0), (len(x), 1)), False),
        "attention with positions added": (lambda x: attend(x + places(x)), True),
        "positions that read the same from both ends": (
            lambda x: attend(x + places(x) ** 2),
            True,
        ),
        "each word with the one before it": (lambda x: x + np.roll(x, 1, axis=0), True),
    }
    got = {name: verdict(answer, with_arrays(function)) for name, (function, _) in cases.items()}
    right = {name: knows for name, (_, knows) in cases.items()}
    if all(got[name] != right[name] for name in cases):
        raise Wrong("the verdicts are swapped: return True when the order matters")
    if all(got.values()):
        raise Wrong("it says True for every f; the outputs move with their words: shuffle f(x) too")
    if not any(got.values()):
        raise Wrong("it says False for every f, even for one that adds positions to the words")
    if got["attention"] and got["a function of each word alone"]:
        raise Wrong("the outputs move along with their words: shuffle f(x) too before you compare")
    if got["attention"]:
        if not verdict(answer, with_arrays(lambda x: attend(x).round(6))):
            raise Wrong("attention now adds in another order: allow for rounding, with np.allclose")
        raise Wrong("it says that attention knows the order; does your shuffle keep every word?")
    if right | {"positions that read the same from both ends": False} == got:
        raise Wrong("a sentence read backwards may look the same to f: shuffle it instead")
    for name in cases:
        if got[name] != right[name]:
            raise Wrong(f"your test says {got[name]} for '{name}'")
    return "shuffle and then apply f, or apply f and then shuffle: compare the two"
