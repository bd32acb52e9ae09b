"""checks/__init__.py: a verdict and one line for every kind of answer; never an exception."""

import random

import numpy as np
import pytest
import torch

from helpers.checks import NotAttempted, Wrong, ask, attempted, close, exercise, expect


@exercise("9.9")
def check_double(answer):
    """Twice the input."""
    got = ask(answer, torch.tensor([1.0, 2.0]))
    if close(got, [1.0, 2.0]):
        raise Wrong("the input comes back unchanged")
    expect(got, [2.0, 4.0], "not twice the input")
    return "twice the input"


@pytest.mark.parametrize(
    "answer, verdict, line",
    [
        (lambda x: 2 * x, True, "✓ Exercise 9.9: twice the input"),
        (lambda x: x, False, "✗ Exercise 9.9: the input comes back unchanged"),
        (lambda x: x + 7, False, "✗ Exercise 9.9: not twice the input"),
        (lambda x: x[:1], False, "✗ Exercise 9.9: the shape should be (2,), yours is (1,)"),
        (lambda x: x / [], False, "✗ Exercise 9.9: your code stops with TypeError"),
        (lambda x: "two", False, "✗ Exercise 9.9: numbers are needed here, got str"),
        (5, False, "✗ Exercise 9.9: a function is needed here, got int"),
        (lambda x: ..., None, "○ Exercise 9.9: not attempted yet"),
        (lambda x: None, None, "○ Exercise 9.9: not attempted yet, or a return is missing"),
        (..., None, "○ Exercise 9.9: not attempted yet"),
        (None, None, "○ Exercise 9.9: not attempted yet"),
    ],
)
def test_every_answer_gets_a_verdict_and_one_line(answer, verdict, line, capsys):
    assert check_double(answer) is verdict
    printed = capsys.readouterr().out
    assert printed.startswith(line) and printed.count("\n") == 1


def test_a_stub_that_raises_is_not_attempted(capsys):
    def stub(x):
        raise NotImplementedError

    assert check_double(stub) is None
    assert check_double() is None


def test_an_answer_the_check_did_not_foresee_is_no_stack_trace(capsys):
    @exercise("1.1")
    def check(answer):
        return answer["key"]

    assert check([1]) is False
    assert "cannot be checked" in capsys.readouterr().out


def test_close_compares_shapes_and_kinds():
    assert close(torch.ones(2), np.ones(2)) and close(3, 3.0) and close([True], [1])
    assert not close(torch.ones(2), torch.ones(2, 1)) and not close("x", 1)
    assert not close(float("nan"), float("nan"))


def test_attempted_passes_values_through():
    assert attempted(0) == 0
    with pytest.raises(NotAttempted):
        attempted(None)


@pytest.mark.parametrize("ends_with", [None, Wrong("no"), NotAttempted(), ZeroDivisionError()])
def test_a_check_that_seeds_and_draws_leaves_the_callers_random_numbers_alone(ends_with, capsys):
    @exercise("1.1")
    def check(answer):
        torch.manual_seed(0), np.random.seed(0), random.seed(0)
        torch.rand(3), np.random.rand(3), random.random()
        if ends_with is not None:
            raise ends_with

    def draw():
        return torch.rand(1).item(), np.random.rand(), random.random()

    torch.manual_seed(7), np.random.seed(7), random.seed(7)
    expected = [draw(), draw()]
    torch.manual_seed(7), np.random.seed(7), random.seed(7)
    got = [draw()]
    check(1)
    assert [*got, draw()] == expected


def test_what_a_check_is_told_is_not_reseeded():
    """Inside, random numbers go on from where the caller was: no check sees always the same."""
    seen = []

    @exercise("1.1")
    def check(answer):
        seen.append(torch.rand(1).item())

    torch.manual_seed(7)
    first = torch.rand(1).item()
    torch.manual_seed(7)
    check(1)
    assert seen == [first]
