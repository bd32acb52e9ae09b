"""Measure which precision, attention and engine are fastest here, and how many steps fit."""

import argparse
import copy
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, product

import torch

from helpers.attention import attention, fused_attention, use_attention
from helpers.batching import Batch
from helpers.distributed import DataParallelWorker, broadcast_from_main
from helpers.training import PRECISIONS, make_optimizer, make_scaler
from helpers.transformer import Transformer

RESERVE = 1.2  # a test of seconds runs faster than minutes do, which make a machine hot and busy
KERNELS = {"fused": fused_attention, "formula": attention}  # what --kernel may name
# Seconds: for shorter training, nothing is compiled. The paper's base model takes more than a
# minute to compile, for each engine that is tried and once more for the training itself.
COMPILING_PAYS = 600
WARM_UP = 1 / 3  # of the steps that are measured
WorkerFor = Callable[[Transformer, str], DataParallelWorker]


def precisions_and_kernels(
    precision: str, kernel: str, device: torch.device, shard: bool = False
) -> list[tuple[str, str]]:
    """Every pair of precision and kernel to try, where "auto" leaves the choice open.

    float16 is tried only on NVIDIA GPUs, because older ones, such as Colab's T4, have no bfloat16.
    It needs its loss scaled, so it is not tried if weights are spread over processes.
    """
    tried = [p for p in PRECISIONS if p != "float16" or (device.type == "cuda" and not shard)]
    precisions = tried if precision == "auto" else [precision]
    kernels = list(KERNELS) if kernel == "auto" else [kernel]
    return list(product(precisions, kernels))


def seconds_per_token(
    model: Transformer,
    worker_for: WorkerFor,
    batches: Sequence[Batch],
    precision: str,
    kernel: str,
    engine: str = "eager",
) -> float:
    """Training seconds per target token, measured on a copy of the model.

    The first third of the batches is only for warming up. worker_for(model, engine) makes the
    worker.
    """
    trial = copy.deepcopy(model).train()
    use_attention(trial, KERNELS[kernel])
    worker, optimizer = worker_for(trial, engine), make_optimizer(trial)
    scaler = make_scaler(trial, precision)
    warm_up = int(WARM_UP * len(batches))
    began = time.perf_counter()
    for number, batch in enumerate(batches):
        value = worker.step(trial, optimizer, None, batch, precision, scaler)
        if number + 1 == warm_up:
            float(value)  # waits for the device, at the beginning and at the end only
            began = time.perf_counter()
    float(value)
    return (time.perf_counter() - began) / sum(batch.num_tokens for batch in batches[warm_up:])


def fastest(seconds: dict[tuple[str, str], float]) -> tuple[str, str]:
    """The pair of precision and kernel with the fewest seconds per token.

    float16 must be a tenth faster than all others, because only float16 can overflow.
    """
    return min(seconds, key=lambda pair: seconds[pair] * (1.1 if pair[0] == "float16" else 1))


def of_one_shape(batches: Sequence[Batch], number: int) -> list[Batch]:
    """`number` batches of the most common shape, repeated if there are fewer."""
    shapes = Counter(batch.source_ids.shape for batch in batches)
    ((shape, _),) = shapes.most_common(1)
    found = [batch for batch in batches if batch.source_ids.shape == shape]
    return [found[i % len(found)] for i in range(number)]


def autotune(
    arguments: argparse.Namespace,
    model: Transformer,
    worker_for: WorkerFor,
    batches: Callable[[int, str], Iterator[Batch]],
    say: Callable[[str], object] = print,
) -> None:
    """Measure what was left open (precision, kernel, engine, steps), print it, and fill it in.

    batches(start, engine) yields batches in the form that this engine needs.
    """
    device = next(model.parameters()).device
    some = list(islice(batches(0, "eager"), 24))

    def measure(precision: str, kernel: str, engine: str, given: Sequence[Batch]) -> float:
        pace = seconds_per_token(model, worker_for, given, precision, kernel, engine)
        say(f"  {precision}, {kernel} attention, {engine}: {1 / pace:,.0f} tokens/s")
        return pace

    if "auto" in (arguments.precision, arguments.kernel):
        kinds = precisions_and_kernels(
            arguments.precision, arguments.kernel, device, arguments.shard
        )
        times = {kind: measure(*kind, "eager", some[:6]) for kind in kinds}
        arguments.precision, arguments.kernel = broadcast_from_main(fastest(times))
    kind = arguments.precision, arguments.kernel
    if arguments.engine == "auto":
        paces = {"eager": 0.0}
        if device.type == "cuda" and not arguments.shard:
            paces["eager"] = broadcast_from_main(measure(*kind, "eager", some))
            seconds = 60 * (arguments.minutes or 0)
            if arguments.steps is not None:
                seconds = arguments.steps * paces["eager"] * tokens_in(some)
            if seconds < COMPILING_PAYS:
                say(f"  compiling pays only from {COMPILING_PAYS} seconds of training on: eager")
            else:
                # The gradients of one part may not outlive the graph of the next.
                engines = ["compiled", "graphs"] if arguments.accumulate == 1 else ["compiled"]
                paces |= compiled_paces(measure, kind, engines, batches, say)
        arguments.engine = broadcast_from_main(min(paces, key=paces.__getitem__))
    if arguments.steps is None:
        given = list(islice(batches(0, arguments.engine), 24))
        pace = measure(*kind, arguments.engine, given)
        steps = 60 * arguments.minutes / (RESERVE * pace * tokens_in(given))
        arguments.steps = broadcast_from_main(max(1, int(steps)))


def tokens_in(batches: Sequence[Batch]) -> float:
    """Target tokens of a batch, on average."""
    return sum(batch.num_tokens for batch in batches) / len(batches)


def compiled_paces(
    measure: Callable[[str, str, str, Sequence[Batch]], float],
    kind: tuple[str, str],
    engines: Sequence[str],
    batches: Callable[[int, str], Iterator[Batch]],
    say: Callable[[str], object],
) -> dict[str, float]:
    """Seconds per token of each of these engines; one that doesn't work here is left out."""
    found = {}
    for engine in engines:
        given = of_one_shape(list(islice(batches(0, engine), 24)), 18)
        say(f"  {engine}: compiling, which may take a few minutes")
        try:
            found[engine] = measure(*kind, engine, given)
        except RuntimeError as error:  # no compiler, a card that is too old, no memory left
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            say(f"  {engine}: does not work here ({reason})")
        finally:
            torch._dynamo.reset()  # lets go of the graphs and their memory
    return found
