"""checks/__init__.py and reading.py: a verdict and one line for every kind of answer.

Never an exception, never without an end, and nothing of the caller's is changed.
"""

import _thread
import contextlib
import itertools
import random
import signal
import threading
from fractions import Fraction

import nbclient
import nbformat
import numpy as np
import pytest
import torch

import helpers.checks
from helpers.checks import (
    NotAttempted,
    TooLong,
    Wrong,
    ask,
    attempted,
    close,
    exercise,
    expect,
    expect_like,
    no_longer_than,
)
from helpers.checks.nb12 import check_case_1, check_case_6
from helpers.checks.reading import number, numbers, output, pair, several, shape, verdict, words
from helpers.lessons.broken_models import source_ids, target_ids
from tests.support import ROOT


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
        (lambda x: "two", False, "✗ Exercise 9.9: numbers are needed here, but this is a str"),
        (5, False, "✗ Exercise 9.9: a function is needed here, but this is an int"),
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
    assert "can't read this answer" in capsys.readouterr().out


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


def forever(*args):
    while True:
        pass


def forever_and_deaf(*args):
    while True:
        with contextlib.suppress(Exception):
            sum(range(100))


def forever_growing(*args):
    ids = []
    while len(ids) < 10_000_000:
        ids = [*ids[:50], 1]
    return ids


@pytest.mark.parametrize("answer", [forever, forever_and_deaf, forever_growing])
def test_a_loop_without_end_is_stopped_and_named(answer, monkeypatch, capsys):
    monkeypatch.setattr(helpers.checks, "SECONDS", 0.1)
    threads = threading.active_count()
    for check in (check_double, check_case_1):
        assert check(answer) is False
        assert "still running after 0.1 s" in capsys.readouterr().out
    assert threading.active_count() == threads


def test_an_answer_that_never_ends_is_read_no_further():
    assert len(several(itertools.count())) == 1000


def test_code_that_is_in_time_is_not_stopped_later():
    before = signal.getsignal(signal.SIGINT)
    for _ in range(50):
        with no_longer_than(0.001):
            pass
    for _ in range(20):
        with contextlib.suppress(TooLong), no_longer_than(0.001):
            forever()
        sum(range(10_000))  # would be hit by what came too late
    assert signal.getsignal(signal.SIGINT) is before


def test_another_thread_has_no_limit_and_no_error():
    def work():
        with no_longer_than(0.001):
            done.append(sum(range(100_000)))

    done = []
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done


def test_ctrl_c_is_the_readers_own_and_passes():
    @exercise("1.1")
    def interrupted(answer):
        _thread.interrupt_main()
        sum(range(10))

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            interrupted(1)
    finally:
        signal.signal(signal.SIGINT, before)

    @exercise("1.1")
    def check(answer):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check(1)


def test_an_answer_that_leaves_python_is_wrong(capsys):
    assert check_double(lambda x: exit()) is False
    assert "your code stops with SystemExit" in capsys.readouterr().out


def test_a_long_error_is_told_in_one_line(capsys):
    def answer(x):
        raise ValueError("two\n lines")

    assert check_double(answer) is False
    assert capsys.readouterr().out == "✗ Exercise 9.9: your code stops with ValueError: two lines\n"


def test_gradients_are_as_before(capsys):
    def answer(x):
        torch.set_grad_enabled(False)
        return 2 * x

    assert check_double(answer) is True and torch.is_grad_enabled()
    with torch.no_grad():
        assert check_double(answer) is True and not torch.is_grad_enabled()


def test_a_function_gets_copies_in_which_one_thing_is_still_one():
    x, y = torch.ones(2), np.ones(2)
    inner = [x, y]

    def spoil(one, other, both, named):
        assert one is both[0] and other is both[1] and named["one"] is one
        one.zero_(), both.clear(), named.clear()
        other[:] = 0
        return 1

    ask(spoil, x, y, inner, {"one": x})
    assert x.sum() == 2 and y.sum() == 2 and len(inner) == 2


@pytest.mark.parametrize(
    "answer, diagnosis",
    [
        (lambda x, n: x * n, None),
        (lambda x, n: x + n, "added"),
        (lambda x, n: x - n, "subtracted"),
        (lambda x, n: x * n if n == 2 else x + n, "hard-coded"),
        (lambda x, n: x * 2, "hard-coded"),
        (lambda x, n: x / n if n == 2 else x + n, "else"),
        (lambda x, n: (x * n)[:1], "shape"),
        (lambda x, n: x * n if n == 2 else "?", "numbers are needed"),
        (lambda x, n: x * n * float("nan"), "NaN"),
        (lambda x, n: x + n if n == 2 else 1 / 0, "added"),
        (lambda x, n: x * n if n == 2 else 1 / 0, "stops with"),
    ],
)
def test_a_mistake_is_named_if_it_explains_every_answer_up_to_the_first_wrong_one(
    answer, diagnosis
):
    with contextlib.nullcontext() if diagnosis is None else pytest.raises(Wrong, match=diagnosis):
        expect_like(
            answer,
            lambda x, n: x * n,
            [(torch.tensor([3.0, 5.0]), 2), (torch.tensor([7.0, 1.0, 4.0]), 3)],
            {
                "added": lambda x, n: x + n,
                "subtracted": (lambda x, n: n - x, lambda x, n: x - n),
            },
            "something else",
        )


@pytest.mark.parametrize("one", [7, 7.0, "7", " 7 ", [7], (7,), np.int64(7), np.array(7), True + 6])
def test_one_number_in_many_forms(one):
    assert number(one) == 7
    assert number(torch.tensor(7.0, requires_grad=True)) == 7
    assert number(Fraction(14, 2)) == 7


@pytest.mark.parametrize("none", [[1, 2], "seven", {}, 1j, torch.ones(2), len, ""])
def test_what_is_no_number_is_named(none):
    with pytest.raises(Wrong, match="one number is needed"):
        number(none)


@pytest.mark.parametrize(
    "two", [(1, 9), [1.0, "9"], np.array([1, 9]), torch.tensor([1, 9]), "1, 9", iter((1, 9))]
)
def test_two_numbers_in_many_forms(two):
    assert numbers(two, "one", "other") == [1, 9]


@pytest.mark.parametrize(
    "answer, diagnosis",
    [
        (9, r"2 numbers are needed here, \(one, other\), but this is one"),
        ((1, 2, 3), "but these are 3"),
        ({1, 9}, "a set doesn't keep them in order"),
        ("none", "but these are 0"),
        ((1, "x"), "one number is needed"),
    ],
)
def test_another_number_of_numbers_is_named(answer, diagnosis):
    with pytest.raises(Wrong, match=diagnosis):
        numbers(answer, "one", "other")


def test_parts_that_are_still_dots_are_not_attempted():
    for read in (lambda x: numbers(x, "one", "other"), shape, words, several):
        for untouched in (..., None, (..., ...), (1, ...)):
            with pytest.raises(NotAttempted):
                read(untouched)


def test_shapes_words_pairs_and_outputs():
    assert shape(torch.Size([2, 3])) == shape([2, 3]) == shape(np.array([2, 3])) == (2, 3)
    with pytest.raises(Wrong, match="whole numbers"):
        shape((2.5, 3))
    assert words("Hat, GEFUNDEN.") == words(("hat", "gefunden")) == ["hat", "gefunden"]
    with pytest.raises(Wrong, match="words are needed"):
        words((1, 2))
    assert pair([1, 2], "(a, b)") == pair((1, 2), "(a, b)") == [1, 2]
    with pytest.raises(Wrong, match=r"return a pair, \(a, b\)"):
        pair(3, "(a, b)")
    assert output((1, 2)) == 1 and output([1, 2]) == [1, 2] and output((1, 2, 3)) == (1, 2, 3)


def test_verdicts_in_many_forms():
    for true in (True, 1, np.True_, torch.tensor(True), torch.tensor([1.0]), [0]):
        assert verdict(lambda true=true: true) is True
    for false in (False, 0, np.False_, torch.tensor(False), []):
        assert verdict(lambda false=false: false) is False
    for neither in ("False", torch.ones(2), np.ones(2)):
        with pytest.raises(Wrong, match="return (one )?True or False"):
            verdict(lambda neither=neither: neither)


def test_a_hunt_heals_the_ids_that_all_tests_share(capsys):
    """Also if a test that forgets to copy them was tried by hand, outside of the check."""
    sources, targets = source_ids.clone(), target_ids.clone()

    def careless(model):
        model.eval()
        before = model(source_ids, target_ids)
        other = source_ids
        other[:, 0] = 20
        assert not torch.allclose(before, model(other, target_ids))

    def careful(model):
        model.eval()
        other = source_ids.clone()
        other[:, 0] = 20
        assert not torch.allclose(model(source_ids, target_ids), model(other, target_ids))

    source_ids[:, 0] = 20
    target_ids[:, 3] = 20
    assert check_case_6(careful) is True
    assert check_case_6(careless) is False
    assert "source_ids.clone()" in capsys.readouterr().out
    assert torch.equal(source_ids, sources) and torch.equal(target_ids, targets)
    assert check_case_6(careful) is True


@pytest.mark.slow
def test_a_loop_without_end_is_stopped_in_a_kernel_and_the_next_cell_runs(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell(source)
            for source in (
                "import helpers.checks\nfrom helpers.checks.nb01 import check_copying_scores\n"
                "helpers.checks.SECONDS = 1",
                "def look_back(length):\n    while True:\n        pass\n"
                "check_copying_scores(look_back)",
                "print(sum(range(10)))",
            )
        ]
    )
    nbclient.NotebookClient(notebook, timeout=120).execute()
    said = ["".join(o.get("text", "") for o in cell.outputs) for cell in notebook.cells]
    assert said[1] == "✗ Exercise 1.3: still running after 1 s; does a loop not end?\n"
    assert said[2] == "45\n"
