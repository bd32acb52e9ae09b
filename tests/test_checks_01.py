"""checks/nb01.py: right answers pass, usual wrong ones are told apart, stubs are left in peace."""

import json
from pathlib import Path

import numpy as np
import pytest

from helpers.checks import nb01
from helpers.checks.nb01 import softmax
from helpers.corpus import RUNNING

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "01_self_attention.ipynb"
SLOPE_AT_1 = softmax(nb01.ROW).max() * (1 - softmax(nb01.ROW).max())
PREDICTIONS = dict(zip(nb01.EFFECTS, ("same", "sharper", "flatter"), strict=True))


def attention(divide=4.0, axis=-1, swap=False, transposed=False, late=1.0):
    def answer(query, key, value):
        weights = softmax(query @ key.T / divide, axis) / late
        output = weights @ value
        if transposed:
            return output, weights.T
        return (weights, output) if swap else (output, weights)

    return answer


def rise(array):
    return np.exp(array - array.max())


RIGHT = {
    "check_predictions": PREDICTIONS,
    "check_softmax": softmax,
    "check_attention": attention(),
    "check_saturation": lambda row: (4, 0.0010045),
    "check_wiring": 4 * nb01.W_K,
}
STUBS = {
    "check_predictions": dict.fromkeys(PREDICTIONS, ...),
    "check_softmax": lambda scores: ...,
    "check_attention": lambda query, key, value: None,
    "check_saturation": lambda row: None,
    "check_wiring": ...,
}
WRONG = [
    ("check_predictions", PREDICTIONS | {"add 100 to all scores": "sharper"}, "only the differ"),
    ("check_predictions", PREDICTIONS | {"multiply all scores by 2": "same"}, "who gains"),
    ("check_predictions", PREDICTIONS | {"divide all scores by 2": "sharper"}, "√d_k"),
    ("check_predictions", PREDICTIONS | {"divide all scores by 2": "softer"}, "got 'softer'"),
    ("check_predictions", {"add": "same"}, "keep the dictionary"),
    ("check_softmax", lambda s: np.exp(s), "not divided by their sum"),
    ("check_softmax", lambda s: np.exp(s) / np.exp(s).sum(), "whole array sums to 1"),
    ("check_softmax", lambda s: softmax(s, 0), "wrong axis"),
    ("check_softmax", lambda s: np.exp(s) / np.exp(s).sum(-1, keepdims=True), "overflow"),
    ("check_softmax", lambda s: rise(s) / rise(s).sum(-1, keepdims=True), "each row's own"),
    ("check_attention", attention(divide=1), "not divided by √d_k"),
    ("check_attention", attention(divide=16), "divided by d_k; it should be its square root"),
    ("check_attention", attention(axis=0), "wrong axis"),
    ("check_attention", attention(swap=True), "exchanged"),
    ("check_attention", attention(transposed=True), "transposed"),
    ("check_attention", attention(divide=1, late=4), "before softmax"),
    ("check_attention", lambda q, k, v: (q @ k.T @ v, q @ k.T / 4), "softmax is missing"),
    ("check_attention", lambda q, k, v: softmax(q @ k.T / 4) @ v, "return two things"),
    (
        "check_attention",
        lambda q, k, v: (np.zeros((3, 2)), softmax(q @ k.T / 4)),
        "weights @ value",
    ),
    ("check_saturation", lambda row: (2, 0.05), "not enough"),
    ("check_saturation", lambda row: (8, 0.0), "the first of 1, 2, 4, 8"),
    ("check_saturation", lambda row: (4, softmax(4 * row).max()), "w itself"),
    ("check_saturation", lambda row: (4, 1 - softmax(4 * row).max()), "this is 1 − w"),
    ("check_saturation", lambda row: (4, SLOPE_AT_1), "slope at factor 1"),
    ("check_saturation", lambda row: 4, "two numbers"),
    ("check_wiring", nb01.W_K.T, "the shape should be (6, 4)"),
    ("check_wiring", np.zeros((5, 4)), "the shape should be (6, 4)"),
    ("check_wiring", np.zeros((6, 4)), "ask for nothing"),
    ("check_wiring", 4 * nb01.W_K[:, [0, 1, 3, 2]], "notebook's own W_Q"),
    ("check_wiring", -nb01.W_K, "at least as much"),
]


@pytest.mark.parametrize("name", RIGHT)
def test_the_right_answer_passes(name, capsys):
    assert getattr(nb01, name)(RIGHT[name]) is True
    assert capsys.readouterr().out.startswith("✓ Exercise 1.")


@pytest.mark.parametrize("name", STUBS)
def test_an_untouched_stub_is_not_attempted(name, capsys):
    assert getattr(nb01, name)(STUBS[name]) is None
    assert "not attempted yet" in capsys.readouterr().out


@pytest.mark.parametrize("name, answer, diagnosis", WRONG)
def test_a_usual_mistake_is_named(name, answer, diagnosis, capsys):
    with np.errstate(all="ignore"):
        assert getattr(nb01, name)(answer) is False
    assert diagnosis in capsys.readouterr().out


def test_the_checks_use_the_words_and_keys_of_the_notebook():
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    seen = {"np": np, "RUNNING": RUNNING}
    for name in ("x = np.array(", "W_K = np.array("):
        (source,) = [s for s in sources if s.startswith((name, "words =")) and name in s]
        exec(source.split("show(")[0], seen)
    assert np.array_equal(seen["x"], nb01.X) and np.array_equal(seen["W_K"], nb01.W_K)
    assert tuple(seen["words"]) == nb01.WORDS
