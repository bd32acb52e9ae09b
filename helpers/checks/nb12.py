"""Checks of notebook 12: the reader's tests are run against the bug, the fix and a refactoring."""

from collections.abc import Callable
from typing import Any

from helpers.checks import Wrong, exercise
from helpers.lessons.broken_models import CASES


def passes(test: Callable, subject: object) -> bool:
    """Whether the reader's test lets the subject pass: no AssertionError, and not False."""
    try:
        return test(subject) is not False
    except AssertionError:
        return False
    except Exception as error:
        raise Wrong(f"your test stops with {type(error).__name__}: {error}") from error


def hunt(number: str, case: str, hint: str) -> Callable:
    """The check of one case: fails on the bug, passes on the fix and on a refactoring."""

    @exercise(number)
    def check(answer: Any) -> str:
        if not callable(answer):
            raise Wrong(f"a test function is needed here, got {type(answer).__name__}")
        bug, fix, refactoring, relative = CASES[case].subjects()
        if not passes(answer, fix):
            raise Wrong("your test fails on the repaired code too: it asks for something untrue")
        if passes(answer, bug):
            raise Wrong(f"your test passes on the bug: {hint}")
        if not passes(answer, refactoring):
            raise Wrong("your test fails on a harmless refactoring: test what it does, not how")
        if relative is not None and passes(answer, relative):
            told = (type(relative).__doc__ or "").rstrip(".").lower()
            raise Wrong(f"your test passes on a relative of this bug: {told}")
        return "fails on the bug, passes on the fix and on a refactoring"

    return check


check_future = hunt("12.1", "future", "change a later target token, in evaluation mode")
check_target_mask = hunt("12.2", "target_mask", "which source words does the first row see?")
check_inverted = hunt("12.3", "inverted", "look at the weights on padded source columns")
check_residual = hunt("12.4", "residual", "silence cross-attention: what is left of the target?")
check_layers = hunt("12.5", "layers", "catch what each decoder layer is given as context")
check_unwired = hunt("12.6", "unwired", "change the source: must the output not change?")
check_labels = hunt("12.7", "labels", "use a source and a target of unequal length")
check_start = hunt("12.8", "start", "what may the first target row attend to?")
check_dropout = hunt("12.9", "dropout", "ask twice, in evaluation mode")
check_position = hunt(
    "12.10", "position", "compare with and without cache, from the second step on"
)
