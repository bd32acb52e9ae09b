"""Checks of notebook 01, self-attention."""

from typing import Any

import numpy as np

from helpers.checks import Wrong, ask, choice, close, exercise, expect

_RNG = np.random.default_rng(7)
_QUERY, _KEY, _VALUE = _RNG.normal(size=(3, 4)), _RNG.normal(size=(5, 4)), _RNG.normal(size=(5, 2))


def _softmax(scores: np.ndarray, axis: int = -1) -> np.ndarray:
    powers = np.exp(scores - scores.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


@exercise("1.1")
def check_rows(answer: Any) -> str:
    """Predict: what each row of the weights sums to, and how many rows there are for 9 words."""
    total, rows = (float(x) for x in answer)
    if total == 9:
        raise Wrong("the first number is the sum of one row: softmax makes it a distribution")
    if total != 1:
        raise Wrong("a row is a share of attention: what do all shares together make?")
    if rows != 9:
        raise Wrong("there is one row per query, and every word asks one question")
    return "each of the 9 words spreads exactly 1 of attention"


@exercise("1.2")
def check_attention_by_hand(answer: Any) -> str:
    """Implement attention in NumPy for query (3, 4), key (5, 4), value (5, 2)."""
    got = ask(answer, _QUERY, _KEY, _VALUE)
    raw = _QUERY @ _KEY.T
    mistakes = {
        "the scores are not divided by √d_k yet": _softmax(raw) @ _VALUE,
        "the scores are divided by d_k; the formula has its square root": _softmax(raw / 4)
        @ _VALUE,
        "softmax runs over the wrong axis: each ROW (axis -1) has to sum to 1": _softmax(
            raw / 2, axis=0
        )
        @ _VALUE,
        "these are the scores times the values: the softmax is missing": (raw / 2) @ _VALUE,
    }
    for message, wrong in mistakes.items():
        if close(got, wrong):
            raise Wrong(message)
    if close(got, _softmax(raw / 2)):
        raise Wrong("these are the weights; the output is the weights times the values")
    expect(got, _softmax(raw / 2) @ _VALUE, "the numbers differ from softmax(Q Kᵀ / √d_k) V")
    return "that is the whole formula"


@exercise("1.3")
def check_copying_scores(answer: Any) -> str:
    """Break it: scores (4, 4) whose softmax makes every word look only at the word before it."""
    scores = np.asarray(ask(answer, 4), dtype=float)
    if scores.shape != (4, 4):
        raise Wrong(f"the scores should be (4, 4), yours are {scores.shape}")
    weights = _softmax(scores)
    if close(weights.argmax(-1)[:3], [1, 2, 3]):
        raise Wrong("each word looks at the NEXT one: rows are queries, columns are keys")
    if (weights.max(-1)[1:] < 0.95).any():
        raise Wrong("the right places are not strong enough: softmax needs larger differences")
    if (weights.argmax(-1)[1:] != [0, 1, 2]).any():
        raise Wrong("row t should have its largest score in column t - 1")
    return "large differences in the scores make softmax nearly a choice"


check_quiz = choice(
    "1.4",
    "d",
    {
        "a": "adding one number to a whole row changes nothing; doubling stretches differences",
        "b": "the other way: halving the scores evens them out",
        "c": "then rows would sum to 2; shares always sum to 1",
        "d": "differences of scores double, and softmax turns differences into ratios",
    },
)


@exercise("1.5")
def check_order_test(answer: Any) -> str:
    """Write a test: does f, (words, d) -> (words, d), know the order of its words?"""

    def attend(x: np.ndarray) -> np.ndarray:
        return _softmax(x @ x.T) @ x

    def places(x: np.ndarray) -> np.ndarray:  # for any number of words
        return np.linspace(-1, 1, len(x))[:, None]

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
    got = {name: bool(ask(answer, function)) for name, (function, _) in cases.items()}
    right = {name: verdict for name, (_, verdict) in cases.items()}
    if all(got[name] != right[name] for name in cases):
        raise Wrong("the verdicts are swapped: return True when the order matters")
    if all(got.values()):
        raise Wrong("it says True of every f; the outputs move with their words: shuffle f(x) too")
    if got["attention"] and got["a function of each word alone"]:
        raise Wrong("the outputs move along with their words: shuffle f(x) too before you compare")
    if got["attention"]:
        raise Wrong("attention adds in another order now: compare to rounding, with np.allclose")
    if right | {"positions that read the same from both ends": False} == got:
        raise Wrong("a sentence turned round may look the same to f: shuffle it, do not reverse it")
    for name in cases:
        if got[name] != right[name]:
            raise Wrong(f"your test says {got[name]} for '{name}'")
    return "shuffle, apply, compare with apply, shuffle"
