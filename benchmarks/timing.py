"""How the benchmarks measure, on which machine, and where their figures are kept.

Runs are interleaved, and every figure is a median with its quartiles. `--record` puts what a
benchmark prints into docs/speed.md.
"""

import argparse
import io
import os
import platform
import re
import statistics
import sys
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from datetime import UTC, datetime
from pathlib import Path

import torch

PAGE = Path(__file__).parents[1] / "docs" / "speed.md"


def time_interleaved(runs: dict[Hashable, Callable], rounds: int) -> dict[Hashable, list[float]]:
    """Seconds of each run in each round. A round does each run once, so noise affects all alike.

    The first round is a warm-up and is not counted. With one thread on a CPU, the seconds are those
    that the processor spent on us, which do not depend on what else the machine had to do.
    """
    clock = time.process_time if uses_processor_time() else time.perf_counter
    seconds: dict[Hashable, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            started = clock()
            run()
            if number > 0:
                seconds[name].append(clock() - started)
    return seconds


def uses_processor_time() -> bool:
    return torch.get_num_threads() == 1 and not torch.cuda.is_available()


def speedup(slow: Sequence[float], fast: Sequence[float]) -> list[float]:
    """How many times as fast `fast` was, round by round."""
    return [a / b for a, b in zip(slow, fast, strict=True)]


def with_spread(values: Sequence[float], form: str) -> str:
    """The median and in parentheses the two quartiles: "1.10 (1.05–1.21)"."""
    if len(values) == 1:
        return f"{values[0]:{form}}"
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{middle:{form}} ({low:{form}}–{high:{form}})"


def matrix_rate(dtype: torch.dtype, size: int = 1024, times: int = 9) -> float:
    """Operations a second in one large matrix product: the most that a training step could reach.

    The best of several measurements, because other work on the machine only makes it slower.
    """
    a, b = torch.randn(2, size, size).to(dtype)
    clock = time.process_time if uses_processor_time() else time.perf_counter
    seconds = []
    for _ in range(times):
        started = clock()
        a @ b
        seconds.append(clock() - started)
    return 2 * size**3 / min(seconds)


def machine() -> str:
    """The processor, what it can do with bfloat16, and the threads and the version of torch."""
    cpuinfo = Path("/proc/cpuinfo")  # on Linux
    text = cpuinfo.read_text(encoding="utf8") if cpuinfo.exists() else ""
    names = [line.split(":")[1].strip() for line in text.splitlines() if "model name" in line]
    name = names[0] if names else platform.processor() or platform.machine()
    known = [flag for flag in ("avx512_bf16", "amx_bf16") if flag in text]
    bf16 = " and ".join(known) or ("no bfloat16 instructions" if names else "bfloat16 unknown")
    return (
        f"{name}, {os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}, {bf16}; "
        f"torch {torch.__version__}, threads: {torch.get_num_threads()}, "
        f"{'processor' if uses_processor_time() else 'wall-clock'} time"
    )


def add_record(parser: argparse.ArgumentParser) -> None:
    """The option with which a benchmark keeps what it prints."""
    parser.add_argument("--record", action="store_true", help="keep the output in docs/speed.md")


@contextmanager
def recording(title: str, wanted: bool) -> Iterator[None]:
    """What is printed inside the block replaces the section `title` of docs/speed.md.

    It is still printed. Nothing is kept if the block raises, or if it isn't `wanted`.
    """
    if not wanted:
        yield
        return
    printed = io.StringIO()
    with redirect_stdout(Both(sys.stdout, printed)):
        yield
    today = f"{datetime.now(UTC):%-d %B %Y}"
    command = "python " + " ".join(sys.orig_argv[1:])
    heading = f"## {title}\n\nMeasured on {today} with\n`{command}`.\n"
    section = f"{heading}\n```text\n{printed.getvalue().strip()}\n```\n"
    page = PAGE.read_text(encoding="utf8")
    old = re.compile(rf"## {re.escape(title)}\n.*?(?=\n## |\Z)", re.DOTALL)
    if not old.search(page):
        page = f"{page.rstrip()}\n\n## {title}\n"
    PAGE.write_text(old.sub(lambda _: section, page), encoding="utf8")


class Both(io.TextIOBase):
    """Writes to two places at once."""

    def __init__(self, *places: io.TextIOBase):
        self.places = places

    def write(self, text: str) -> int:
        for place in self.places:
            place.write(text)
        return len(text)

    def flush(self) -> None:
        for place in self.places:
            place.flush()
