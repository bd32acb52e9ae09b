"""Every exercise: the stub says "not attempted yet", and the check gives each answer its verdict.

`answers/nbNN.py` has, for each check of notebook NN, right answers in other forms than the folded
solution's, and the usual mistakes with the diagnosis that each must get. The solution itself is
tried in all the types that numbers come in, and frozen: as a function that gives the same answer
whatever it is asked.
"""

import copy
import functools
import importlib
import math
import random
import re
import types

import matplotlib
import numpy as np
import pytest
import torch

from tools import notebooks as tools

PATHS = sorted(tools.NOTEBOOKS.glob("*.ipynb"))
NUMBERS = [path.name[:2] for path in PATHS]
ANSWERS = {
    number: importlib.import_module(f"tests.checks.answers.nb{number}") for number in NUMBERS
}
RIGHT = [(number, name) for number in NUMBERS for name in ANSWERS[number].RIGHT]
WRONG = [(number, name) for number in NUMBERS for name in ANSWERS[number].WRONG]
QUIZZES = [number for number in NUMBERS if number != "12"]  # 12 has tests as answers, no quiz


def check_of(number, name):
    return getattr(importlib.import_module(f"helpers.checks.nb{number}"), name)


@functools.cache
def exercises(path):
    """[(source of the stub, name of the check, code of the folded solution)]"""
    found = []
    notebook = tools.read(path)
    for index, cell in enumerate(notebook.cells):
        if "exercise" in tools.tags(cell):
            last = cell.source.strip().splitlines()[-1]
            name, answer = re.fullmatch(r"exercises\.(check_\w+)\((\w+)\)", last).groups()
            solution = notebook.cells[index + 1].source
            code = re.search(r"```python\n(.*?)```", solution, re.DOTALL).group(1)
            found.append((cell.source, name, answer, code))
    return found


@functools.cache
def after_setup(path):
    """What a learner has after the first two cells and the cells that define helpers."""
    assert matplotlib  # imported before, so that notebooks find its settings as they are
    names: dict = {"__name__": "__main__"}
    for cell in tools.code_cells(tools.read(path)):
        if {"setup", "imports"} & set(tools.tags(cell)) or tools.helper_names(cell):
            exec(cell.source, names)
    return names


@functools.cache
def solutions(number):
    """{name of the check: what the folded solution gives}"""
    (path,) = [path for path in PATHS if path.name.startswith(number)]
    found = {}
    for _, name, answer, code in exercises(path):
        mine = dict(after_setup(path))
        exec(code, mine)
        found[name] = mine[answer]
    return found


def random_states():
    """Of torch, NumPy and Python, as something that can be compared."""
    kind, keys, *rest = np.random.get_state()
    return torch.get_rng_state().tolist(), (kind, keys.tolist(), *rest), random.getstate()


def told(check, answer, capsys, verdict):
    """What a check prints about an answer; it leaves the answer and random numbers alone."""
    before, mine = random_states(), None if callable(answer) else copy.deepcopy(answer)
    capsys.readouterr()
    got = check(answer)
    printed = capsys.readouterr().out
    assert got is verdict, printed
    assert printed.count("\n") == 1, "one line"
    assert random_states() == before, "the caller's random numbers have changed"
    assert torch.is_grad_enabled()
    if mine is not None:
        assert repr(mine) == repr(answer) or mine == answer, "the answer has changed"
    return printed


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_stubs_are_harmless_and_solutions_pass(path, capsys):
    number = path.name[:2]
    for stub, name, _, _ in exercises(path):
        capsys.readouterr()
        exec(stub, dict(after_setup(path)))
        assert "not attempted yet" in capsys.readouterr().out
        told(check_of(number, name), solutions(number)[name], capsys, True)


@pytest.mark.parametrize("number, name", RIGHT, ids=map(".".join, RIGHT))
def test_right_answers_of_another_kind_are_right(number, name, capsys):
    for answer in ANSWERS[number].RIGHT[name]:
        told(check_of(number, name), answer, capsys, True)


@pytest.mark.parametrize("number, name", WRONG, ids=map(".".join, WRONG))
def test_wrong_answers_get_the_diagnosis_that_fits(number, name, capsys):
    check = check_of(number, name)
    assert check(None) is None and check(...) is None
    for answer, diagnosis in ANSWERS[number].WRONG[name]:
        verdict = None if "not attempted" in diagnosis else False
        printed = told(check, answer, capsys, verdict)
        assert re.search(diagnosis, printed), f"expected {diagnosis!r} in {printed!r}"


@pytest.mark.parametrize("number", QUIZZES)
def test_a_quiz_takes_its_letter_in_any_case_and_says_why_the_others_are_wrong(number, capsys):
    quiz = check_of(number, "check_quiz")
    letter = solutions(number)["check_quiz"]
    for form in (letter, letter.upper(), f" {letter} ", f"({letter})", f"{letter.upper()}."):
        told(quiz, form, capsys, True)
    for other in set(quiz.why) - {letter}:
        assert quiz.why[other] in told(quiz, other, capsys, False)
        told(quiz, other.upper(), capsys, False)
    for other in ("e", "", 3, ("a", "b")):
        assert "write one of a, b, c, d" in told(quiz, other, capsys, False)


FORMS = {
    "list": lambda x: x.tolist() if hasattr(x, "tolist") else x,
    "array": lambda x: np.asarray(x.detach() if isinstance(x, torch.Tensor) else x),
    "tensor": lambda x: torch.as_tensor(x),
    "float32": lambda x: torch.as_tensor(x).float(),
    "float64": lambda x: torch.as_tensor(x).double(),
    "with a gradient": lambda x: torch.as_tensor(x).double().requires_grad_(),
}
OF_NUMBERS = (int, float, np.generic, np.ndarray, torch.Tensor)
# Their answers are no numbers: masks must be boolean tensors, others are modules, names, tests.
NO_NUMBERS = {"03.check_for_torch"}


def is_function(answer):
    return isinstance(answer, types.FunctionType)


def in_form(form, answer):
    """The answer, or what it returns, in another type; tuples and lists part by part."""
    if is_function(answer):
        return functools.wraps(answer)(lambda *args: in_form(form, answer(*args)))
    if isinstance(answer, tuple | list):
        return type(answer)(in_form(form, part) for part in answer)
    return FORMS[form](answer) if isinstance(answer, OF_NUMBERS) else answer


@pytest.mark.parametrize("number", NUMBERS)
def test_the_type_of_a_right_number_does_not_matter(number, capsys):
    for name, answer in solutions(number).items():
        tests = isinstance(answer, str | type) or number == "12"
        if not tests and f"{number}.{name}" not in NO_NUMBERS:
            for form in FORMS:
                told(check_of(number, name), in_form(form, answer), capsys, True)


@pytest.mark.parametrize("number", QUIZZES)
def test_one_answer_to_every_question_is_not_enough(number, capsys):
    """Whatever is built in, even the right answer to the first question, is found out."""
    for name, answer in solutions(number).items():
        if is_function(answer):
            check, given = check_of(number, name), []

            def frozen(*args, answer=answer, given=given):
                given.append(given[0] if given else answer(*args))
                return given[-1]

            told(check, functools.wraps(answer)(frozen), capsys, False)
            for constant in (0, 1, True, False, math.nan, [], "x", np.zeros((2, 2))):
                told(check, lambda *args, constant=constant: constant, capsys, False)


@pytest.mark.parametrize("number", NUMBERS)
def test_an_answer_that_writes_into_what_it_is_given_spoils_nothing(number, capsys):
    """Tensors, arrays and lists are the learner's own: the next right answer is still right."""

    def spoil(value):
        if isinstance(value, torch.Tensor | np.ndarray):
            value[...] = 1
        elif isinstance(value, list | dict):
            value.clear()

    for name, answer in solutions(number).items():
        if is_function(answer) and number != "12":
            check = check_of(number, name)

            @functools.wraps(answer)
            def spoiling(*args, answer=answer):
                got = answer(*args)
                got = got.clone() if isinstance(got, torch.Tensor) else got
                for value in args:
                    spoil(value)
                return got

            told(check, spoiling, capsys, True)
            told(check, answer, capsys, True)


ODD = [{}, {1, 2}, "what?", -math.inf, 10**400, 1j, (), [[1, [2]]], torch.nn.Linear(2, 2), int]


@pytest.mark.parametrize("number", QUIZZES)
def test_the_oddest_answers_get_one_line_that_says_what_is_needed(number, capsys):
    for name, right in solutions(number).items():
        check = check_of(number, name)
        for odd in [
            *ODD,
            *([lambda *args, odd=odd: odd for odd in ODD] if callable(right) else []),
        ]:
            capsys.readouterr()
            assert check(odd) is False
            printed = capsys.readouterr().out
            assert printed.count("\n") == 1 and "can't read this answer" not in printed, printed
            assert len(printed) < 240, printed


def test_every_check_of_every_notebook_has_right_and_wrong_answers_tested():
    named = set()
    for path in PATHS:
        named |= {(path.name[:2], name) for _, name, _, _ in exercises(path)}
    quizzes = {(number, "check_quiz") for number in QUIZZES}
    assert named == set(WRONG) | quizzes == set(RIGHT) | quizzes
    for number, name in set(RIGHT):
        assert len(ANSWERS[number].RIGHT[name]) >= 2, (number, name)
        assert len(ANSWERS[number].WRONG[name]) >= 4, (number, name)
