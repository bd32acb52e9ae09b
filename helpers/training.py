"""Loss, learning rate, and the training loop with checkpoint and resume. Notebooks 05, 06, 09."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers.batching import Batch
from helpers.checkpoints import check_same_fields, copy_parameters, read_tensors, write_tensors
from helpers.masks import PAD
from helpers.transformer import Transformer


@dataclass(frozen=True)
class TrainingConfig:
    """How to train. Raises ValueError naming the field that is wrong."""

    steps: int
    learning_rate: float = 3e-3  # the peak, reached after warmup_steps
    warmup_steps: int = 200
    report_every: int = 100  # steps between reports, each with validation and a checkpoint
    precision: str = "float32"  # or "bfloat16": products in half the bits, where it is faster
    seed: int = 0  # of dropout

    def __post_init__(self):
        for name in ("steps", "warmup_steps", "report_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.precision not in ("float32", "bfloat16"):
            raise ValueError(f"precision must be 'float32' or 'bfloat16', got {self.precision!r}")


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
    rising = step / config.warmup_steps
    falling = (config.steps - step) / max(1, config.steps - config.warmup_steps)
    return config.learning_rate * max(0.0, min(rising, falling))


def paper_learning_rate_at(step: int, d_model: int, warmup_steps: int = 4000) -> float:
    """The paper's schedule: linear warm-up, then decay with 1 / √step. Section 5.3."""
    return d_model**-0.5 * min(step**-0.5, step * warmup_steps**-1.5)


def make_optimizer(model: nn.Module) -> torch.optim.AdamW:
    """AdamW with the paper's β; the loop sets the learning rate before every step."""
    return torch.optim.AdamW(
        model.parameters(), lr=0.0, betas=(0.9, 0.98), eps=1e-9, weight_decay=0.01, fused=True
    )


def training_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: Callable[[nn.Module, Batch], Tensor],
    batch: Batch,
    precision: str = "float32",
) -> Tensor:
    """One step: forward, backward, gradients clipped to norm 1, update. Returns the loss."""
    device = next(model.parameters()).device.type
    half = precision == "bfloat16"
    with torch.autocast(device, dtype=torch.bfloat16) if half else nullcontext():
        value = loss(model, batch)
    optimizer.zero_grad(set_to_none=True)
    value.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return value.detach()


@torch.no_grad()
def mean_loss(
    model: nn.Module, loss: Callable[[nn.Module, Batch], Tensor], batches: Sequence[Batch]
) -> float:
    """The loss over several batches, weighted by their tokens, in evaluation mode."""
    was_training = model.training
    model.eval()
    total = sum(float(loss(model, batch)) * batch.num_tokens for batch in batches)
    model.train(was_training)
    return total / sum(batch.num_tokens for batch in batches)


def train(
    model: nn.Module,
    loss: Callable[[nn.Module, Batch], Tensor],
    batches: Callable[[int], Iterator[Batch]],
    config: TrainingConfig,
    validation: Sequence[Batch] = (),
    validation_loss: Callable[[nn.Module, Batch], Tensor] | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    report: Callable[[list[dict]], None] | None = None,
) -> list[dict]:
    """Train the model in place; returns the history, a row every `report_every` steps.

    loss(model, batch) is minimised; batches(start) yields the batches from step `start` on.
    A row has step, seconds, tokens_per_second, train_loss (mean since the last row),
    validation_loss (None without validation batches; by `validation_loss`, or else `loss`) and
    learning_rate; `report(history)` is called after each.

    With `checkpoint`, model, optimizer, random state and history are saved there at every row,
    so that train(..., resume=True) goes on from it and ends in the same weights, bit for bit on
    one machine, as a run that was never interrupted. On Ctrl-C the last checkpoint stays as it
    is and the KeyboardInterrupt says how to resume. The model ends in evaluation mode.
    Raises ValueError if the checkpoint belongs to another configuration (nothing is changed).
    """
    optimizer = make_optimizer(model)
    history: list[dict] = []
    with torch.random.fork_rng():  # dropout's randomness is ours; the caller's stays as it was
        torch.manual_seed(config.seed)
        if resume:
            if checkpoint is None:
                raise ValueError("resume=True needs checkpoint=, the path to resume from")
            history = _load_state(model, optimizer, config, checkpoint)
        first = history[-1]["step"] if history else 0
        earlier = history[-1]["seconds"] if history else 0.0
        started, last_report, losses, tokens = time.perf_counter(), earlier, [], 0
        model.train()
        stream = batches(first)
        try:
            for step in range(first + 1, config.steps + 1):
                batch = next(stream)
                optimizer.param_groups[0]["lr"] = learning_rate_at(step, config)
                losses.append(training_step(model, optimizer, loss, batch, config.precision))
                tokens += batch.num_tokens
                if step % config.report_every and step != config.steps:
                    continue
                seconds = earlier + time.perf_counter() - started
                measure = validation_loss or loss
                history.append(
                    {
                        "step": step,
                        "seconds": seconds,
                        "tokens_per_second": tokens / (seconds - last_report),
                        "train_loss": float(torch.stack(losses).mean()),
                        "validation_loss": mean_loss(model, measure, validation)
                        if validation
                        else None,
                        "learning_rate": learning_rate_at(step, config),
                    }
                )
                if not torch.isfinite(torch.tensor(history[-1]["train_loss"])):
                    raise FloatingPointError(
                        f"the loss is not a number at step {step}: lower learning_rate "
                        f"({config.learning_rate}) or lengthen warmup_steps"
                    )
                last_report, losses, tokens = seconds, [], 0
                if checkpoint is not None:
                    _save_state(model, optimizer, config, history, checkpoint)
                if report is not None:
                    report(history)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(_how_to_resume(history, checkpoint)) from None
        finally:
            model.eval()
    return history


def _how_to_resume(history: list[dict], checkpoint: str | Path | None) -> str:
    if checkpoint is None or not history:
        return "training interrupted before a checkpoint was saved; call train again to start over"
    return (
        f"training interrupted; step {history[-1]['step']} is saved in {str(checkpoint)!r}. "
        "Call train again with the same arguments and resume=True to go on from there"
    )


def _save_state(model, optimizer, config, history, path) -> None:
    tensors = {f"model.{name}": p for name, p in model.named_parameters()}
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{key}": torch.as_tensor(v) for key, v in moments.items()}
    tensors["random.cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    facts = {"training": asdict(config), "history": history}
    if isinstance(model, Transformer):
        facts["model"] = asdict(model.config)
    write_tensors(path, tensors, facts)


def _load_state(model, optimizer, config, path) -> list[dict]:
    tensors, facts = read_tensors(path)
    if "training" not in facts:
        raise ValueError(f"{str(path)!r} holds a model, not a training run; it cannot be resumed")
    check_same_fields(asdict(config), facts["training"], path)
    if isinstance(model, Transformer):
        check_same_fields(asdict(model.config), facts.get("model") or {}, path)
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "optimizer": {}, "random": {}}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = tensor
    copy_parameters(model, parts["model"], path)
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in parts["optimizer"].items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    torch.set_rng_state(parts["random"]["cpu"])
    if "cuda" in parts["random"] and torch.cuda.is_available():
        torch.cuda.set_rng_state(parts["random"]["cuda"])
    return facts["history"]
