"""Loss, learning rate, and the training loop with checkpoint and resume. Notebooks 05, 06, 09.

`train` runs in one process. If several processes share the work, it uses the worker from
`helpers/distributed.py` (notebook 13).
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from itertools import pairwise
from numbers import Integral
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.amp import GradScaler

from helpers.batching import Batch
from helpers.checkpoints import check_same_fields, copy_parameters, read_tensors, write_tensors
from helpers.evaluation import evaluating
from helpers.files import check_writable
from helpers.special_ids import PAD
from helpers.transformer import Transformer

# (model, batch) -> the batch's loss; the model may be of any kind.
Loss = Callable[[Any, Batch], Tensor]

PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}
UNSCALED = GradScaler(enabled=False)  # passes everything on as it is: only float16 needs a scaler


@dataclass(frozen=True)
class TrainingConfig:
    """How to train. Raises ValueError naming the field that is wrong."""

    steps: int
    learning_rate: float = 3e-3  # the peak, reached after warmup_steps
    warmup_steps: int = 200
    report_every: int = 100  # steps between reports, each with validation and a checkpoint
    precision: str = "float32"  # or "bfloat16", "float16": products in half the bits
    seed: int = 0  # of dropout

    def __post_init__(self) -> None:
        for name in ("steps", "warmup_steps", "report_every"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
                raise ValueError(f"{name} must be a whole number >= 1, got {value!r}")
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate must be above 0 and finite, got {self.learning_rate}")
        if self.precision not in PRECISIONS:
            known = ", ".join(map(repr, PRECISIONS))
            raise ValueError(f"precision must be one of {known}, got {self.precision!r}")


def translation_loss(model: Transformer, batch: Batch, label_smoothing: float = 0.0) -> Tensor:
    """Cross-entropy per real target token, in nats; padding is neither scored nor computed.

    With label_smoothing ε the true token should get 1 - ε + ε / vocab_size, every other one
    ε / vocab_size. Source: Vaswani et al. 2017, section 5.4.
    """
    memory, source_mask = model.encode(batch.source_ids)
    hidden = model.decode(batch.target_input, memory, source_mask)  # (batch, target, d_model)
    real = batch.target_labels != PAD  # (batch, target)
    logits = model.output(hidden[real])  # (real tokens, vocab_size)
    return F.cross_entropy(
        logits.float(), batch.target_labels[real], label_smoothing=label_smoothing
    )


def learning_rate_at(step: int, config: TrainingConfig) -> float:
    """Linear warm-up to the peak, then linear decay to zero at the last step (step 1 is first)."""
    last = max(2, config.steps)  # so that a one-step run still has a rate
    rising = step / config.warmup_steps
    falling = (last - step) / max(1, last - config.warmup_steps)
    return config.learning_rate * max(0.0, min(rising, falling))


def paper_learning_rate_at(step: int, d_model: int, warmup_steps: int = 4000) -> float:
    """The paper's schedule: linear warm-up, then decay with 1 / √step. Section 5.3.

    Raises ValueError for steps below 1: the first is step 1.
    """
    if step < 1:
        raise ValueError(f"step must be at least 1, got {step}")
    return d_model**-0.5 * min(step**-0.5, step * warmup_steps**-1.5)


def make_optimizer(model: nn.Module) -> torch.optim.AdamW:
    """AdamW with the paper's β; the loop sets the learning rate before every step."""
    return torch.optim.AdamW(
        model.parameters(), lr=0.0, betas=(0.9, 0.98), eps=1e-9, weight_decay=0.01, fused=True
    )


def training_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: Loss,
    batch: Batch,
    precision: str = "float32",
    scaler: GradScaler = UNSCALED,
) -> Tensor:
    """One step: forward, backward, gradients clipped to norm 1, update. Returns the loss."""
    with autocast(model, precision):
        value = loss(model, batch)
    optimizer.zero_grad(set_to_none=True)
    scaler.scale(value).backward()  # the same as value.backward(), except in float16
    clip_and_update(model, optimizer, scaler)
    return value.detach()


def autocast(model: nn.Module, precision: str) -> AbstractContextManager:
    """Inside this context, matrix products use half the bits if the precision asks for it."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(next(model.parameters()).device.type, dtype=PRECISIONS[precision])


def make_scaler(model: nn.Module, precision: str) -> GradScaler:
    """What keeps small gradients from becoming zero in float16, whose smallest number is 6e-8.

    It multiplies the loss by a large factor and divides the gradients by it before the update. A
    step in which a gradient overflows is left out, and the factor is halved. The other precisions
    have the range of float32, so for them it does nothing.
    Source: Micikevicius et al. 2018.
    """
    device = next(model.parameters()).device.type
    return GradScaler(device) if precision == "float16" else UNSCALED


def clip_and_update(
    model: nn.Module, optimizer: torch.optim.Optimizer, scaler: GradScaler = UNSCALED
) -> None:
    """Clip the gradients' norm, over all parameters together, to 1; then take the step."""
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    scaler.step(optimizer)
    scaler.update()


def mean_loss(model: nn.Module, loss: Loss, batches: Sequence[Batch]) -> float:
    """The loss over several batches, weighted by their tokens, in evaluation mode.

    The model is left in the mode it was in, even after an error. Raises ValueError if there is no
    batch.
    """
    if not batches:
        raise ValueError("batches must hold at least one batch, got none")
    with evaluating(model):
        total = sum(float(loss(model, batch)) * batch.num_tokens for batch in batches)
    return total / sum(batch.num_tokens for batch in batches)


class Worker:
    """Who does the work of a step: here, one process that holds the whole model.

    `distributed.DataParallelWorker` has the same methods for several processes.
    """

    rank = 0  # which process this is; process 0 evaluates, writes and reports

    def step(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        loss: Loss,
        batch: Batch,
        precision: str,
        scaler: GradScaler = UNSCALED,
    ) -> Tensor:
        """One training step on the whole batch; returns its loss."""
        return training_step(model, optimizer, loss, batch, precision, scaler)

    def gather(self, tensor: Tensor) -> Tensor:
        """The whole of a tensor, of which this process may hold only a part."""
        return tensor.detach()

    def shard(self, tensor: Tensor, like: Tensor) -> Tensor:
        """The part of a whole tensor that this process holds, as it holds `like`."""
        return tensor

    def agree(self, enough: bool) -> bool:
        """The decision of process 0 about stopping early, in every process."""
        return enough

    def whole_model(self, model: nn.Module) -> nn.Module | None:
        """The model to evaluate, with all of its weights; only process 0 needs to return one."""
        return model


def train(
    model: nn.Module,
    loss: Loss,
    batches: Callable[[int], Iterator[Batch]],
    config: TrainingConfig,
    evaluate: Callable[[Any, int], dict] | None = None,
    report: Callable[[list[dict]], object] | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    worker: Worker | None = None,
) -> list[dict]:
    """Train the model in place; returns the history, a row every `report_every` steps.

    loss(model, batch) is minimised; batches(start) yields the batches from step `start` on.
    A row has step, seconds (of training, without evaluating and saving), tokens_per_second,
    train_loss (mean since the last row), learning_rate, and what `evaluate(model, step)` returns,
    for example {"validation_loss": mean_loss(…)}. After each row `report(history)` is called;
    training ends early if it returns True. At the end, the model is in evaluation mode.

    With `checkpoint`, model, optimizer and history are saved there at every row, and
    train(..., resume=True) goes on from there. It ends in the same weights as a run that was never
    interrupted, bit for bit on the same machine with as many threads, because dropout's random
    numbers start anew from seed and step after each row. On Ctrl-C, or an OSError such as a full
    disk, the last checkpoint stays as it is and the error says how to resume.
    Raises ValueError if the checkpoint is damaged or belongs to another configuration (nothing is
    changed), and OSError at once if it cannot be written.
    """
    worker = worker or Worker()
    optimizer, scaler = make_optimizer(model), make_scaler(model, config.precision)
    history: list[dict] = []
    if resume:
        if checkpoint is None:
            raise ValueError("resume=True needs checkpoint=, the path to resume from")
        history = _load_state(model, optimizer, scaler, config, checkpoint, worker)
    if checkpoint is not None and worker.rank == 0:
        check_writable(checkpoint)
    first = saved = history[-1]["step"] if history else 0
    seconds = history[-1]["seconds"] if history else 0.0
    stream = batches(first)
    ends = [*range(first, config.steps, config.report_every), config.steps]
    model.train()
    try:
        with torch.random.fork_rng():  # dropout's randomness is ours; the caller's stays
            for start, end in pairwise(ends):
                torch.manual_seed(_seed(config.seed, start, worker.rank))
                began, losses, tokens = time.perf_counter(), [], 0
                for step in range(start + 1, end + 1):
                    batch = next(stream, None)
                    if batch is None:
                        raise ValueError(
                            f"batches must last until step {config.steps}, but none came for {step}"
                        )
                    optimizer.param_groups[0]["lr"] = learning_rate_at(step, config)
                    losses.append(
                        worker.step(model, optimizer, loss, batch, config.precision, scaler)
                    )
                    tokens += batch.num_tokens
                train_loss = float(torch.stack(losses).mean())  # waits for the device
                took = time.perf_counter() - began
                seconds += took
                _check_finite(model, train_loss, end, config, worker)
                row = {
                    "step": end,
                    "seconds": seconds,
                    "tokens_per_second": tokens / took,
                    "train_loss": train_loss,
                    "learning_rate": learning_rate_at(end, config),
                }
                whole = worker.whole_model(model)
                if worker.rank == 0 and evaluate is not None:
                    row |= evaluate(whole, end)
                history.append(row)
                if checkpoint is not None:
                    _save_state(model, optimizer, scaler, config, history, checkpoint, worker)
                    saved = end
                enough = report is not None and worker.rank == 0 and report(history) is True
                if worker.agree(enough):
                    break
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_how_to_resume(saved, checkpoint)) from None
    except OSError as error:
        error.add_note(_how_to_resume(saved, checkpoint))
        raise
    finally:
        model.eval()
    return history


def _check_finite(
    model: nn.Module, train_loss: float, step: int, config: TrainingConfig, worker: Worker
) -> None:
    """Raise before a checkpoint with NaN would replace a good one."""
    finite = (worker.gather(p).isfinite().all() for p in model.parameters())
    # The last step may spoil the weights although the loss before it was still finite.
    for what, fine in (("loss", math.isfinite(train_loss)), ("new weights", all(finite))):
        if not fine:
            raise FloatingPointError(
                f"NaN or infinite {what} at step {step}: lower learning_rate "
                f"({config.learning_rate}) or lengthen warmup_steps"
            )


def _seed(seed: int, step: int, rank: int) -> int:
    """A seed of its own for every (seed, step, process)."""
    return (1_000_003 * (1_000_003 * seed + step) + rank) % 2**63


def _how_to_resume(saved: int, checkpoint: str | Path | None) -> str:
    if not saved:
        return "training interrupted before a checkpoint was saved; call train again to start over"
    return (
        f"training interrupted; step {saved} is saved in {str(checkpoint)!r}. "
        "Call train again with the same arguments and resume=True to go on from there"
    )


def _save_state(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: GradScaler,
    config: TrainingConfig,
    history: list[dict],
    path: str | Path,
    worker: Worker,
) -> None:
    # Every process takes part, because a tensor may be spread over all; the first one writes.
    tensors = {f"model.{name}": worker.gather(p) for name, p in model.named_parameters()}
    for index, moments in optimizer.state_dict()["state"].items():
        for key, value in moments.items():
            tensors[f"optimizer.{index}.{key}"] = worker.gather(torch.as_tensor(value))
    factors = scaler.state_dict()  # empty unless the precision is float16
    for key in ("scale", "_growth_tracker") if factors else ():  # the two that change
        tensors[f"scaler.{key}"] = torch.tensor(factors[key])
    metadata = {"training": asdict(config), "history": history}
    if isinstance(model, Transformer):
        metadata["model"] = asdict(model.config)
    if worker.rank == 0:
        write_tensors(path, tensors, metadata)


def _load_state(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: GradScaler,
    config: TrainingConfig,
    path: str | Path,
    worker: Worker,
) -> list[dict]:
    tensors, metadata = read_tensors(path)
    if "training" not in metadata:
        raise ValueError(f"{str(path)!r} holds a model, not a training run; it cannot be resumed")
    check_same_fields(asdict(config), metadata["training"], path)
    if isinstance(model, Transformer):
        check_same_fields(asdict(model.config), metadata.get("model") or {}, path)
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "optimizer": {}, "scaler": {}}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = tensor.clone()  # lets go of the file, which will be replaced
    copy_parameters(model, parts["model"], repr(str(path)), worker.shard)
    parameters = list(model.parameters())  # the optimizer numbers them in this order
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in parts["optimizer"].items():
        index, _, key = name.partition(".")
        like = parameters[int(index)]
        shaped = tensor.shape == like.shape  # moments are; the count of steps is not
        state.setdefault(int(index), {})[key] = worker.shard(tensor, like) if shaped else tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    factors = {key: tensor.item() for key, tensor in parts["scaler"].items()}
    scaler.load_state_dict(scaler.state_dict() | factors)
    return metadata["history"]
