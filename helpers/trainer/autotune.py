"""Measure what the machine does best: precision, attention, and how many steps fit the time."""

import argparse
import copy
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, product

from helpers.attention import attention, fused_attention, use_attention
from helpers.batching import Batch
from helpers.distributed import DataParallelWorker, broadcast_from_main
from helpers.training import make_optimizer
from helpers.transformer import Transformer

RESERVE = 1.2  # a rehearsal of seconds runs faster than minutes, which make a machine hot and busy
KERNELS = {"fused": fused_attention, "formula": attention}  # what --kernel may name
WorkerFor = Callable[[Transformer], DataParallelWorker]


def precisions_and_kernels(precision: str, kernel: str) -> list[tuple[str, str]]:
    """Every pair that fits, where "auto" leaves the choice open."""
    precisions = ("float32", "bfloat16") if precision == "auto" else (precision,)
    kernels = tuple(KERNELS) if kernel == "auto" else (kernel,)
    return list(product(precisions, kernels))


def seconds_per_token(
    model: Transformer,
    worker_for: WorkerFor,
    batches: Sequence[Batch],
    precision: str,
    kernel: str,
) -> float:
    """Training seconds per target token, measured on a copy of the model.

    The first third of the batches only warms up. worker_for(model) makes the worker.
    """
    trial = copy.deepcopy(model).train()
    use_attention(trial, KERNELS[kernel])
    worker, optimizer = worker_for(trial), make_optimizer(trial)
    seconds, tokens = 0.0, 0
    for number, batch in enumerate(batches):
        began = time.perf_counter()
        float(worker.step(trial, optimizer, None, batch, precision))  # waits for the device
        if number >= len(batches) // 3:
            seconds += time.perf_counter() - began
            tokens += batch.num_tokens
    return seconds / tokens


def autotune(
    arguments: argparse.Namespace,
    model: Transformer,
    worker_for: WorkerFor,
    batches: Callable[[int], Iterator[Batch]],
) -> None:
    """Measure what was left open (precision, kernel, steps for the minutes) and fill it in."""
    some = list(islice(batches(0), 24))
    if "auto" in (arguments.precision, arguments.kernel):
        kinds = precisions_and_kernels(arguments.precision, arguments.kernel)
        times = {kind: seconds_per_token(model, worker_for, some[:6], *kind) for kind in kinds}
        fastest = min(times, key=times.__getitem__)
        arguments.precision, arguments.kernel = broadcast_from_main(fastest)
    if arguments.steps is None:
        pace = seconds_per_token(model, worker_for, some, arguments.precision, arguments.kernel)
        tokens = sum(batch.num_tokens for batch in some) / len(some)
        steps = 60 * arguments.minutes / (RESERVE * pace * tokens)
        arguments.steps = broadcast_from_main(max(1, int(steps)))
