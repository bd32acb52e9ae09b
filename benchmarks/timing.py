"""How the benchmarks measure: runs interleaved, medians with their range, and on which machine."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path

import torch


def time_interleaved(runs: dict[Hashable, Callable], rounds: int) -> dict[Hashable, list[float]]:
    """Seconds of each run in each round. Every round does each run once, so noise hits all alike.

    The first round warms up and is not counted.
    """
    seconds: dict[Hashable, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            if number > 0:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def speedup(slow: Sequence[float], fast: Sequence[float]) -> list[float]:
    """How many times as fast `fast` was, round by round."""
    return [a / b for a, b in zip(slow, fast, strict=True)]


def with_range(values: Sequence[float], form: str) -> str:
    """The median and in parentheses the lowest and the highest: "1.10 (1.05–1.21)"."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:{form}} ({low:{form}}–{high:{form}})"


def machine() -> str:
    """The processor, what it can do, and the threads and the version of torch."""
    cpuinfo = Path("/proc/cpuinfo")  # on Linux
    text = cpuinfo.read_text(encoding="utf8") if cpuinfo.exists() else ""
    names = [line.split(":")[1].strip() for line in text.splitlines() if "model name" in line]
    name = names[0] if names else platform.processor() or platform.machine()
    bf16 = " with avx512_bf16" if "avx512_bf16" in text else ""
    return (
        f"{name}, {os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}{bf16}; "
        f"torch {torch.__version__}, threads: {torch.get_num_threads()}"
    )
