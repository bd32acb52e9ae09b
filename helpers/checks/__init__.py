"""What tells a learner that an exercise is right, and if not, which usual mistake it looks like.

One module per notebook (`nb01.py` …) holds its checks, each made by `@exercise`:

    @exercise("1.2")
    def check_scores(answer):
        got = ask(answer, query, key)              # calls the learner's function
        if close(got, query @ key.T):
            raise Wrong("the scores are not divided by √d_k yet")
        expect(got, right, "the scores differ from Q Kᵀ / √d_k")

The check prints one line and returns True (right), False (wrong) or None (not attempted): it
never raises, so that an exercise left alone does not stop Run All. It may seed and draw random
numbers as it likes; the caller's are as before when it ends.
"""

import functools
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


class Wrong(Exception):
    """An answer that is not right; the message says what it looks like and where to look."""


class NotAttempted(Exception):
    """The stub is still untouched: it gave None or Ellipsis, or raised NotImplementedError."""


def attempted(value: Any) -> Any:
    """Return `value`, or raise NotAttempted if it is still a stub's None or `...`."""
    if value is None or value is ...:
        raise NotAttempted
    return value


def ask(answer: Callable, *args: Any, **kwargs: Any) -> Any:
    """Call the learner's function; NotAttempted if it is a stub, Wrong if it fails."""
    if not callable(attempted(answer)):
        raise Wrong(f"a function is needed here, got {type(answer).__name__}")
    try:
        got = answer(*args, **kwargs)
        if got is None:
            raise NotAttempted(", or a return is missing: your function gave None")
        return attempted(got)
    except NotImplementedError:
        raise NotAttempted from None
    except (NotAttempted, Wrong):
        raise
    except Exception as error:
        raise Wrong(f"your code stops with {type(error).__name__}: {error}") from error


def close(got: Any, wanted: Any, tolerance: float = 1e-5) -> bool:
    """Same shape and, within the tolerance, same numbers; tensors, arrays, lists or numbers."""
    got, wanted = _array(got), _array(wanted)
    if got is None or wanted is None or got.shape != wanted.shape:
        return False
    return bool(np.allclose(got, wanted, rtol=tolerance, atol=tolerance, equal_nan=False))


def expect(got: Any, wanted: Any, message: str, tolerance: float = 1e-5) -> None:
    """Raise Wrong unless `got` is close to `wanted`; a wrong shape is told as such."""
    array, right = _array(got), _array(wanted)
    if array is None or right is None:
        raise Wrong(f"numbers are needed here, got {type(got).__name__}")
    if array.shape != right.shape:
        raise Wrong(f"the shape should be {right.shape}, yours is {array.shape}")
    if not close(array, right, tolerance):
        raise Wrong(message)


@contextmanager
def random_state_kept() -> Iterator[None]:
    """Whatever is drawn or seeded inside, torch, NumPy and Python go on as if it had not been."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def exercise(number: str) -> Callable[[Callable[[Any], str | None]], Callable[[Any], bool | None]]:
    """Turn a function that raises Wrong into a check that prints one line and returns a verdict.

    The function may return a sentence that is printed when the answer is right.
    """

    def decorate(function: Callable[[Any], str | None]) -> Callable[[Any], bool | None]:
        @functools.wraps(function)
        def check(answer: Any = None) -> bool | None:
            try:
                with random_state_kept():
                    praise = function(attempted(answer))
            except NotAttempted as why:
                print(f"○ Exercise {number}: not attempted yet{why}")
                return None
            except Wrong as wrong:
                print(f"✗ Exercise {number}: {wrong}")
                return False
            except Exception as error:  # noqa: BLE001  an answer of a kind that the check did not foresee
                print(f"✗ Exercise {number}: the answer cannot be checked ({error})")
                return False
            print(f"✓ Exercise {number}: {praise or 'right'}")
            return True

        return check

    return decorate


def choice(number: str, right: str, why: dict[str, str]) -> Callable[[Any], bool | None]:
    """The check of a quiz: `why` says of each letter what is right or wrong about it."""

    @exercise(number)
    def check(answer: Any) -> str:
        letter = str(attempted(answer)).strip().lower()
        if letter not in why:
            raise Wrong(f"write one of {', '.join(why)} in quotes, got {answer!r}")
        if letter != right:
            raise Wrong(why[letter])
        return why[right]

    check.__dict__.update(right=right, why=why)  # so that a test can try every letter
    return check


def _array(value: Any) -> np.ndarray | None:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    try:
        return np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        return None
