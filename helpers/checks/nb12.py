"""Checks of notebook 12: the reader's tests are run against the bug, the fix and a refactoring."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from helpers.checks import NotAttempted, Wrong, exercise
from helpers.lessons.broken_models import CASES, source_ids, target_ids

_GIVEN = {"source_ids": source_ids, "target_ids": target_ids}  # every test reads them
_UNTOUCHED = {name: ids.clone() for name, ids in _GIVEN.items()}

_EVAL = (
    "a new model is in training mode, and its dropout draws anew at each call: "
    "begin your test with model.eval()"
)
_ALLCLOSE = (
    "your test wants every last bit to be equal, but two correct models differ by rounding: "
    "compare with torch.allclose"
)


_COMPARE: dict[Any, str] = {
    torch.equal: "equal",
    Tensor.equal: "equal",
    torch.eq: "eq",
    Tensor.eq: "eq",
    Tensor.__eq__: "eq",
    torch.ne: "ne",
    Tensor.ne: "ne",
    Tensor.__ne__: "ne",
}


class ToRounding(TorchFunctionMode):
    """Inside, == and torch.equal call two floating-point tensors equal if only rounding differs."""

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        if func in _COMPARE and any(isinstance(x, Tensor) and x.is_floating_point() for x in args):
            one, other = (torch.as_tensor(x, dtype=torch.float64) for x in args)
            if one.shape != other.shape and func in (torch.equal, Tensor.equal):
                return False
            near = torch.isclose(one, other)
            return {"equal": near.all().item(), "ne": ~near}.get(_COMPARE[func], near)
        return func(*args, **(kwargs or {}))


def put_back_ids() -> list[str]:
    """Give `source_ids` and `target_ids` their values again; return the names of the changed."""
    changed = [name for name, ids in _GIVEN.items() if not torch.equal(ids, _UNTOUCHED[name])]
    for name in changed:
        _GIVEN[name].copy_(_UNTOUCHED[name])
    return changed


def passes(test: Callable, subject: object, forgiving: bool = False) -> bool:
    """Whether the reader's test lets the subject pass: no AssertionError, and not False.

    If `forgiving`, equal up to rounding counts as equal. Raises Wrong if the test stops with
    another error, or if it writes into the ids that all tests share.
    """
    try:
        with ToRounding() if forgiving else nullcontext():
            said = test(subject)
            passed = said is None or bool(said)
    except AssertionError:
        passed = False
    except NotImplementedError:
        raise NotAttempted from None
    except Exception as error:
        raise Wrong(f"your test stops with {type(error).__name__}: {error}") from error
    finally:
        changed = put_back_ids()
    if changed:
        name = changed[0]
        raise Wrong(
            f"your test writes into {name} itself, which every test uses: `changed = {name}` is "
            f"the same tensor with a second name, so make a copy, `changed = {name}.clone()`"
        )
    return passed


def hunt(number: int, hint: str) -> Callable:
    """The check of one case: a test that fails on the bug, and passes on what is right."""
    case = CASES[number]
    has_modes = isinstance(case.fix, type)

    @exercise(f"12.{number}")
    def check(test: Any) -> str:
        if not callable(test):
            raise Wrong(f"a test function is needed here, got {type(test).__name__}")
        put_back_ids()  # somebody may have tried the test by hand before

        def lets(kind: Callable, evaluating: bool = False, forgiving: bool = False) -> bool:
            return passes(test, case.subject(kind, evaluating), forgiving)

        if not lets(case.fix):
            if has_modes and lets(case.fix, evaluating=True):
                raise Wrong(_EVAL)
            if lets(case.fix, evaluating=True, forgiving=True):
                raise Wrong(_ALLCLOSE)
            raise Wrong(
                "your test fails on the repaired code as well: it asserts something that isn't true"
            )
        if lets(case.bug):
            if has_modes and lets(case.fix, evaluating=True) and not lets(case.bug, True):
                raise Wrong(_EVAL)
            raise Wrong(f"your test passes on the bug: {hint}")
        if not lets(case.refactoring):
            if lets(case.refactoring, evaluating=True, forgiving=True):
                raise Wrong(_ALLCLOSE)
            raise Wrong("your test fails on a harmless refactoring: test what it does, not how")
        for relative in case.relatives:
            if lets(relative):
                told = (relative.__doc__ or "").rstrip(".")
                raise Wrong(f"a relative of this bug passes your test: {told[0].lower()}{told[1:]}")
        return "fails on the bug, passes on the fix and on a refactoring"

    return check


check_case_1 = hunt(1, "change a later target token, in evaluation mode; which outputs may move?")
check_case_2 = hunt(2, "which source words does the first row of cross-attention see?")
check_case_3 = hunt(3, "look at the weights of cross-attention in the padded source columns")
check_case_4 = hunt(4, "silence cross-attention: does the output still depend on the source?")
check_case_5 = hunt(5, "catch what each decoder layer is given as context")
check_case_6 = hunt(6, "change the source: shouldn't the output change as well?")
check_case_7 = hunt(7, "use a source and a target of unequal length")
check_case_8 = hunt(8, "what does each row of the decoder's self-attention add up to?")
check_case_9 = hunt(9, "ask the same question twice, in evaluation mode")
check_case_10 = hunt(10, "compare with and without cache, from the second step on")
