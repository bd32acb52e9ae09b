"""How a training step is carried out on a GPU: compiled, in CUDA graphs, without waiting for it.

A small model leaves a GPU idle most of the time: the CPU takes longer to start a kernel than the
GPU takes to finish it. Three things help, and all of them need the same few shapes again and again.

- The whole loss becomes one graph for torch.compile, which makes fewer and larger kernels of it.
- CUDA graphs record the kernels of one shape and start all of them with one command.
- Nothing in a step waits for the GPU, so the CPU can prepare the next steps in the meantime.

`autotune` measures which of the `ENGINES` is fastest. On a CPU it is always "eager".
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers.batching import Batch, Example, collate, one_epoch, rounded
from helpers.special_ids import PAD
from helpers.training import Loss, translation_loss
from helpers.transformer import Transformer

Item = TypeVar("Item")

# What torch.compile is told. One graph serves every shape; "graphs" records CUDA graphs of it.
ENGINES = {"eager": None, "compiled": "default", "graphs": "reduce-overhead"}


def loss_at_every_position(
    model: nn.Module,
    source_ids: Tensor,
    target_input: Tensor,
    target_labels: Tensor,
    label_smoothing: float = 0.0,
) -> Tensor:
    """The value of `translation_loss`, with logits computed at padding as well, but not counted.

    That is more work. But nothing asks for the number of real tokens, so the CPU need not wait
    until a GPU has counted them. If there is no real token, the loss is 0.

    The two parts of a batch's target, (batch, target) each, are cut before this is called. If it
    cut them itself, a compiled graph for every shape would contain a length of s - 1, at which
    torch 2.11 gives up on a GPU (github.com/pytorch/pytorch/issues/181563).
    """
    logits = model(source_ids, target_input)  # (batch, target, vocab_size)
    total = F.cross_entropy(
        logits.flatten(0, 1).float(),
        target_labels.flatten(),
        ignore_index=PAD,
        label_smoothing=label_smoothing,
        reduction="sum",
    )
    return total / (target_labels != PAD).sum().clamp(min=1)


def inputs_of(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """What `loss_at_every_position` takes of a batch, as tensors that share no memory."""
    return batch.source_ids, batch.target_input.contiguous(), batch.target_labels.contiguous()


def loss_for(engine: str, device: torch.device, label_smoothing: float) -> Loss:
    """The loss to train with: on a CPU only at real tokens, otherwise everywhere, as one graph.

    Raises ValueError for graphs without an NVIDIA GPU.
    """
    if engine == "graphs" and device.type != "cuda":
        raise ValueError(f"engine 'graphs' needs an NVIDIA GPU, got the device {device.type!r}")
    if engine == "eager" and device.type == "cpu":
        return lambda model, batch: translation_loss(model, batch, label_smoothing)
    value = loss_at_every_position
    if engine != "eager":
        value = torch.compile(value, fullgraph=True, dynamic=True, mode=ENGINES[engine])

    def loss(model: Transformer, batch: Batch) -> Tensor:
        torch.compiler.cudagraph_mark_step_begin()
        # The next step's graph writes into the same memory, so what is kept has to be a copy.
        return value(model, *inputs_of(batch), label_smoothing).clone()

    return loss


def pad_to(batch: Batch, rows: int, length: int) -> Batch:
    """The batch with empty rows below, source (rows, length) and target_ids (rows, length + 1).

    An empty row begins like a sentence, so that every attention has a key, and continues as
    padding, so that nothing in it is scored. Raises ValueError if the batch is larger than that.
    """
    sizes = ("source_ids", batch.source_ids, length), ("target_ids", batch.target_ids, length + 1)
    found = []
    for name, ids, width in sizes:
        if ids.size(0) > rows or ids.size(1) > width:
            raise ValueError(f"{name} must fit into ({rows}, {width}), got {tuple(ids.shape)}")
        padded = ids.new_full((rows, width), PAD)
        padded[:, 0] = ids[0, 0]
        padded[: ids.size(0), : ids.size(1)] = ids
        found.append(padded)
    return Batch(*found)


def batches_of_few_shapes(
    examples: Sequence[Example] | Callable[[int], Sequence[Example]],
    max_tokens: int,
    seed: int = 0,
    start: int = 0,
    parts: int = 1,
) -> Iterator[Batch]:
    """`endless_batches`, with `rounded` lengths and a fixed number of sentences for each length.

    That number is divisible by `parts`, so that the parts of a batch also have few shapes.
    """
    for epoch in count():
        now = examples(epoch) if callable(examples) else examples
        needed = (max(len(source), len(target)) + 1 for source, target in now)
        # one_epoch asks for lengths only. It adds BOS and EOS, so these are one too short for it.
        lengths = [min(rounded(n), max(n, max_tokens - 1)) for n in needed]
        known = {n: (range(n - 1), range(n - 1)) for n in set(lengths)}
        stand_ins = [known[n] for n in lengths]
        for indices in one_epoch(stand_ins, max_tokens, seed=seed * 1_000_003 + epoch):
            if start > 0:
                start -= 1
                continue
            length = max(lengths[i] for i in indices)
            rows = -(-(max_tokens // (length + 1)) // parts) * parts
            yield pad_to(collate([now[i] for i in indices]), rows, length)


def made_ahead(items: Iterator[Item], ahead: int = 4) -> Iterator[Item]:
    """The same items, with a thread that always prepares the next few."""
    end = object()
    with ThreadPoolExecutor(1) as thread:
        coming = deque(thread.submit(next, items, end) for _ in range(ahead))
        try:
            while (item := coming.popleft().result()) is not end:
                coming.append(thread.submit(next, items, end))
                yield item  # type: ignore[misc]  # it is not the end
        finally:
            for later in coming:
                later.cancel()


def ready_for(device: torch.device, batches: Iterator[Batch]) -> Iterator[Batch]:
    """The same batches; for a GPU, they are made ahead of time, in pinned memory."""
    if device.type != "cuda":
        return batches
    return made_ahead(batch.pin_memory() for batch in batches)
