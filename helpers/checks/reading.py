"""How the checks read an answer in whatever form it comes: a tuple or a tensor, "Hat" or ("hat",).

Each function returns the answer in one form, or raises Wrong with a sentence that says what is
needed. A part that is still `...` counts as not attempted.
"""

import itertools
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from helpers.checks import Wrong, ask, attempted, kind, shown


def words(answer: Any) -> list[str]:
    """The words of a text or of several, in lower case and without punctuation."""
    parts = [answer] if isinstance(answer, str) else several(answer)
    if not all(isinstance(attempted(part), str) for part in parts):
        raise Wrong(f"words are needed here, in quotes; this is {shown(answer)}")
    return re.findall(r"[^\W\d_]+", " ".join(parts).lower())


def number(answer: Any) -> float:
    """One number, which may also be written as "7", as a tensor, or as a list of one."""
    if isinstance(answer, torch.Tensor):
        answer = answer.detach()
    if isinstance(answer, list | tuple) and len(answer) == 1:
        answer = answer[0]
    try:
        if not isinstance(attempted(answer), complex):
            return float(answer)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # RuntimeError: many numbers
        pass
    raise Wrong(f"one number is needed here, but this is {shown(answer)}")


def numbers(answer: Any, *names: str) -> list[float]:
    """As many numbers as there are names, in their order."""
    needed = f"{len(names)} numbers are needed here, ({', '.join(names)})"
    if isinstance(answer, set | frozenset | dict):
        raise Wrong(f"{needed}; a {type(answer).__name__} doesn't keep them in order")
    if isinstance(answer, str):
        parts = re.findall(r"-?\d+\.?\d*", answer)
        if len(parts) > len(names):  # 1,050,624 is one number
            parts = re.findall(r"-?\d+\.?\d*", re.sub(r"(?<=\d),(?=\d{3})", "", answer))
    else:
        parts = several(answer)
    if len(parts) != len(names):
        some = ", but this is one" if len(parts) == 1 else f", but these are {len(parts)}"
        raise Wrong(needed + some)
    return [number(part) for part in parts]


def shape(answer: Any) -> tuple[int, ...]:
    """A shape: whole numbers in a tuple, a list or a tensor."""
    got = [number(part) for part in several(answer)]
    if not all(part.is_integer() for part in got):
        raise Wrong(f"a shape has whole numbers; this is {shown(answer)}")
    return tuple(map(int, got))


def several(answer: Any) -> list:
    """The parts of a tuple, list, tensor, …; a single thing is a list of one."""
    if isinstance(attempted(answer), torch.Tensor | np.ndarray | np.generic):
        answer = answer.tolist()
    try:
        parts = list(itertools.islice(answer, 1000))
    except TypeError:
        return [answer]
    return [attempted(part) for part in parts]


def pair(got: Any, what: str) -> list:
    """The two parts of what a function returned."""
    if not isinstance(got, list | tuple) or len(got) != 2:
        raise Wrong(f"return a pair, {what}; this is {kind(got)}")
    return list(got)


def output(got: Any) -> Any:
    """The output alone, if a function returned (output, weights) as the series' own does."""
    return got[0] if isinstance(got, tuple) and len(got) == 2 else got


def verdict(answer: Callable, *args: Any) -> bool:
    """What a learner's test returns: True or False, which may also be a tensor."""
    got = ask(answer, *args)
    if isinstance(got, str):
        raise Wrong(f"return True or False; yours returns the text {got!r}")
    try:
        return bool(got)
    except (ValueError, RuntimeError):
        size = tuple(np.shape(got))
        raise Wrong(f"return one True or False, for example by .all(); yours is {size}") from None
