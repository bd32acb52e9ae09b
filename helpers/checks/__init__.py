"""What tells a learner whether an exercise is right, and if not, which usual mistake it looks like.

One module per notebook (`nb01.py` …) holds its checks, each made by `@exercise`:

    @exercise("1.2")
    def check_scores(answer):
        expect_like(
            answer,                                # the learner's function
            right=lambda q, k: q @ k.T / 2,
            cases=[(query, key), (other_query, other_key)],
            mistakes={"the scores aren't divided by √d_k yet": lambda q, k: q @ k.T},
            otherwise="the scores differ from Q Kᵀ / √d_k",
        )

The check prints one line and returns True (right), False (wrong) or None (not attempted). It never
raises, so that an exercise that is left undone does not stop Run All, and it gives up after ten
seconds. It may seed and draw random numbers as it likes; afterwards, the caller's are as before.
A learner's function only ever gets copies. `reading.py` reads answers that are not functions.
"""

import _thread
import contextlib
import functools
import random
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

SECONDS = 10  # an answer that takes longer than this has a loop that never ends


class Wrong(Exception):
    """A wrong answer. The message says what it looks like and where to look."""


class NotAttempted(Exception):
    """The stub is still untouched: it returned None or Ellipsis, or raised NotImplementedError."""


class TooLong(BaseException):
    """Stops code that runs for more than SECONDS, even where it catches every Exception."""


def attempted(value: Any) -> Any:
    """Return `value`, or raise NotAttempted if it is still a stub's None or `...`."""
    if value is None or value is ...:
        raise NotAttempted
    return value


def ask(answer: Callable, *args: Any, **kwargs: Any) -> Any:
    """Call the learner's function with copies; NotAttempted if it is a stub, Wrong if it fails."""
    if not callable(attempted(answer)):
        raise Wrong(f"a function is needed here, but this is {kind(answer)}")
    try:
        got = answer(*_copy(args), **_copy(kwargs))
        if got is None:
            raise NotAttempted(", or a return is missing: your function returned None")
        return attempted(got)
    except NotImplementedError:
        raise NotAttempted from None
    except (NotAttempted, Wrong):
        raise
    except (Exception, SystemExit) as error:
        raise Wrong(f"your code stops with {type(error).__name__}: {error}") from error


def close(got: Any, wanted: Any, tolerance: float = 1e-5, equal_nan: bool = False) -> bool:
    """Same shape and, up to the tolerance, same values: tensors, arrays, lists or numbers."""
    got, wanted = to_array(got), to_array(wanted)
    if got is None or wanted is None or got.shape != wanted.shape:
        return False
    return bool(np.allclose(got, wanted, rtol=tolerance, atol=tolerance, equal_nan=equal_nan))


def expect(got: Any, wanted: Any, message: str, tolerance: float = 1e-5) -> None:
    """Raise Wrong unless `got` is close to `wanted`; a wrong shape and a NaN are named as such."""
    array, right = to_array(got), to_array(wanted)
    if array is None or right is None:
        raise Wrong(f"numbers are needed here, but this is {kind(got)}")
    if array.shape != right.shape:
        raise Wrong(f"the shape should be {right.shape}, yours is {array.shape}")
    if close(array, right, tolerance):
        return
    if np.isnan(array).any() and not np.isnan(right).any():
        raise Wrong(f"there is a NaN in your answer (0/0, or ∞ - ∞); {message}")
    raise Wrong(message)


def expect_like(
    answer: Callable,
    right: Callable,
    cases: Sequence[tuple],
    mistakes: dict[str, Any],
    otherwise: str,
    read: Callable[[Any], Any] = lambda got: got,
    tolerance: float = 1e-5,
) -> None:
    """Raise Wrong unless the learner's function returns what `right` returns, in every case.

    `mistakes` holds what each usual mistake would return: {message: function, or several}. A
    message is shown only if one of its functions gives all of the learner's answers, so that it is
    true. `read` turns an answer of another form into the form that `right` has.
    """
    answers = []
    first = None
    for case in cases:
        wanted = right(*_copy(case))
        try:
            answers.append(read(ask(answer, *case)))
        except Wrong:
            if first is None:
                raise
            break
        if first is None and not close(answers[-1], wanted, tolerance):
            first, needed = len(answers) - 1, wanted
    if first is None:
        return

    def gives(function: Callable, case: int) -> bool:
        mistaken = function(*_copy(cases[case]))
        return close(answers[case], mistaken, tolerance, equal_nan=True)

    for message, functions in mistakes.items():
        for function in functions if isinstance(functions, tuple) else (functions,):
            if all(gives(function, case) for case in range(len(answers))):
                raise Wrong(message)
    if first and to_array(answers[first]) is not None:
        otherwise = f"it fits one input and not another: is a value hard-coded? ({otherwise})"
    expect(answers[first], needed, otherwise, tolerance)


@contextmanager
def random_state_kept() -> Iterator[None]:
    """Whatever is drawn or seeded inside, torch, NumPy and Python go on as if nothing had been."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


@contextmanager
def no_longer_than(seconds: float) -> Iterator[None]:
    """Raise TooLong in the code inside once it has run for that long.

    It works like Ctrl-C, on every system. Only the main thread can be interrupted in this way, so
    in another thread there is no limit. Ctrl-C itself works as before.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    late = ended = False
    own = {__file__, contextlib.__file__, threading.__file__}
    end = threading.Event()

    def watch() -> None:
        nonlocal late
        while not end.wait(seconds):
            late = True
            _thread.interrupt_main()

    def interrupted(number: int, frame: Any) -> None:
        if not late and callable(before):
            before(number, frame)
        # Never inside this block's own first and last lines: the next interrupt finds the loop.
        if late and not ended and frame.f_code.co_filename not in own:
            raise TooLong

    watcher = threading.Thread(target=watch, daemon=True)
    before = signal.signal(signal.SIGINT, interrupted)
    watcher.start()
    try:
        yield
    finally:
        ended = True  # from here on, a late interrupt does nothing
        end.set()
        watcher.join()
        signal.signal(signal.SIGINT, before)


def exercise(number: str) -> Callable[[Callable[[Any], str | None]], Callable[[Any], bool | None]]:
    """Turn a function that raises Wrong into a check that prints one line and returns a verdict.

    The function may return a sentence that is printed when the answer is right.
    """

    def decorate(function: Callable[[Any], str | None]) -> Callable[[Any], bool | None]:
        @functools.wraps(function)
        def check(answer: Any = None) -> bool | None:
            grad = torch.is_grad_enabled()
            try:
                with random_state_kept(), torch.set_grad_enabled(grad), no_longer_than(SECONDS):
                    praise = function(attempted(answer))
            except NotAttempted as why:
                print(f"○ Exercise {number}: not attempted yet{why}")
                return None
            except Wrong as wrong:
                print(f"✗ Exercise {number}: {' '.join(str(wrong).split())}")
                return False
            except TooLong:
                print(f"✗ Exercise {number}: still running after {SECONDS} s; does a loop not end?")
                return False
            except Exception as error:  # noqa: BLE001  a form of answer that nobody foresaw
                print(f"✗ Exercise {number}: the check can't read this answer ({error})")
                return False
            print(f"✓ Exercise {number}: {praise or 'right'}")
            return True

        return check

    return decorate


def choice(number: str, right: str, why: dict[str, str]) -> Callable[[Any], bool | None]:
    """The check of a quiz. For each letter, `why` says what is right or wrong about it."""

    @exercise(number)
    def check(answer: Any) -> str:
        letter = str(attempted(answer)).strip(" \t\n().·:'\"").lower()
        if letter not in why:
            raise Wrong(f"write one of {', '.join(why)} in quotes; this is {shown(answer)}")
        if letter != right:
            raise Wrong(why[letter])
        return why[right]

    check.__dict__.update(right=right, why=why)  # so that a test can try every letter
    return check


def to_array(value: Any) -> np.ndarray | None:
    """The numbers of a tensor, an array, a number or nested lists of them; None if it has none."""
    if isinstance(value, torch.Tensor):
        return None if value.is_complex() else value.detach().cpu().double().numpy()
    if isinstance(value, list | tuple):
        parts = [to_array(part) for part in value]
        if any(part is None for part in parts):
            return None
        value = parts
    if isinstance(value, str | bytes):
        return None
    try:
        return np.asarray(value, dtype=float)
    except (TypeError, ValueError, OverflowError):
        return None


def shown(answer: Any) -> str:
    """An answer as it would be printed, but on one line and not too long."""
    text = " ".join(repr(answer).split())
    return text if len(text) <= 50 else f"{text[:50]}…"


def kind(value: Any) -> str:
    """The type's name, with an article."""
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _copy(value: Any, done: dict[int, Any] | None = None) -> Any:
    """Copies of tensors, arrays and what holds them; anything else as it is.

    One object in two places stays one object: `done` has the copies, by the id of the original.
    """
    done = {} if done is None else done
    if id(value) in done:
        return done[id(value)]
    if isinstance(value, torch.Tensor):
        new: Any = value.detach().clone()
    elif isinstance(value, np.ndarray):
        new = value.copy()
    elif type(value) in (list, tuple):
        new = type(value)(_copy(part, done) for part in value)
    elif type(value) is dict:
        new = {key: _copy(part, done) for key, part in value.items()}
    else:
        return value
    done[id(value)] = new
    return new
