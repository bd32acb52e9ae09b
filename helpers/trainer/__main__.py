"""The command `python -m helpers.trainer`: train, translate, evaluate."""

import argparse
import contextlib
import io
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.distributed as dist

from helpers.trainer.settings import parser, read_arguments
from helpers.trainer.use import device_for, evaluate, translate

USES = {"translate": translate, "evaluate": evaluate}  # what can be done with a finished run


def main(argv: Sequence[str] | None = None) -> None:
    for stream in (sys.stdout, sys.stderr):  # a terminal that knows no "…" shows "?"
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    argv = sys.argv[1:] if argv is None else list(argv)
    arguments, again = None, ""
    try:
        if argv and argv[0] in USES:
            try:
                USES[argv[0]](argv[1:])
                sys.stdout.flush()
            except BrokenPipeError:  # `translate … | head -1`: the reader has seen enough
                stop_writing()
                sys.exit(1)
            return
        arguments = read_arguments(argv)
        again = f" To go on: {parser().prog} --out {quoted(str(arguments.out))} --resume"
        with readers_may_leave():
            train(arguments)
    except KeyboardInterrupt:
        if arguments is None:
            give_up("stopped")
        if not begun(arguments):
            give_up("stopped before training began; there is nothing to go on from")
        give_up(f"stopped; everything up to the last report is kept.{again}")
    except FileNotFoundError as error:  # the same command would not find it either
        give_up(f"error: {error}")
    except OSError as error:
        give_up(f"error: {error}{f'.{again}' if begun(arguments) else ''}")
    except (ValueError, FloatingPointError, ImportError) as error:
        give_up(f"error: {error}")
    except RuntimeError as error:
        if (said := explained(error)) is None:
            raise
        give_up(f"{said}.{again if begun(arguments) else ''}")


def train(arguments: argparse.Namespace) -> None:
    """A training run. Raises ImportError if this torch cannot do it."""
    if not dist.is_available():
        raise ImportError(
            "this torch was built without torch.distributed, which training needs; install a "
            "usual build: pip install --force-reinstall torch"
        )
    from helpers.distributed import cleanup_distributed, setup_distributed
    from helpers.trainer.memory import keep_memory
    from helpers.trainer.train import run

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C; torchrun, clusters
    keep_memory()
    wanted = None if arguments.device == "auto" else device_for(arguments.device)
    run(arguments, setup_distributed(wanted))
    cleanup_distributed()


class Unread(io.FileIO):
    """A stream that goes on when nobody reads it any more, as after `| head`."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            return len(data)


@contextlib.contextmanager
def readers_may_leave() -> Iterator[None]:
    """Inside, whoever reads the output may leave, and a run of many hours goes on all the same."""
    out = sys.stdout
    if type(out) is not io.TextIOWrapper:  # as in a notebook
        yield
        return
    out.flush()
    raw = io.BufferedWriter(Unread(out.fileno(), "w", closefd=False))
    at_once = out.line_buffering or out.write_through
    with (
        io.TextIOWrapper(raw, out.encoding, "replace", line_buffering=at_once) as stream,
        contextlib.redirect_stdout(stream),
    ):
        yield


def stop_writing() -> None:
    """Discard what is still to be written, so that Python ends without an error message."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def begun(arguments: argparse.Namespace | None) -> bool:
    """Whether there is a run that can be resumed."""
    return arguments is not None and (arguments.out / "settings.json").is_file()


def quoted(word: str) -> str:
    """The word, quoted so that the shell of this system takes it as one."""
    return subprocess.list2cmdline([word]) if os.name == "nt" else shlex.quote(word)


def explained(error: RuntimeError) -> str | None:
    """What to do about an error of the machine, in a sentence; None for other errors."""
    said = str(error)
    if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in said:
        return (
            "error: out of memory. Cut the steps into parts (--accumulate 4), make them smaller "
            "(--tokens), or use another device (--device cpu)"
        )
    if "no kernel image" in said:
        return (
            "error: this torch has no code for this GPU. Use another device (--device cpu), or "
            "install a torch that fits the card, see pytorch.org"
        )
    if dist.is_available() and dist.is_initialized() and lost_a_process(error):
        return "another process has ended, so this one stops"
    return None


def lost_a_process(error: RuntimeError) -> bool:
    """Whether this error is how gloo or nccl report that a process no longer answers."""
    network = isinstance(error, dist.DistBackendError | dist.DistNetworkError)
    return network or "peer" in str(error)


def give_up(message: str) -> None:
    """Print why, and end at once, waiting for nothing: the other processes may be gone."""
    print(f"\n{message}", file=sys.stderr, flush=True)
    os._exit(1) if dist.is_available() and dist.is_initialized() else sys.exit(1)


if __name__ == "__main__":
    main()
