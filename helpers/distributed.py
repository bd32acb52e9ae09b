"""Several processes train one model, each on its part of every batch. Built in notebook 13.

The processes are started by torchrun; torch's `DistributedDataParallel` (every process holds the
whole model) or `fully_shard` (each holds a part of every weight) moves the numbers between them.
Our own part is to cut each batch in such a way that nothing changes except who does the work.
"""

import copy
import os
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

from helpers.batching import Batch
from helpers.training import UNSCALED, Loss, Worker, autocast, clip_and_update
from helpers.transformer import Transformer

Value = TypeVar("Value")

# With parts of every weight in several processes on CPUs, torch 2.6 stops, and with 2.7 and 2.8 the
# result is not that of one process. 2.13 is right; the versions between were not tried.
SHARDS_ON_CPU = "2.13"


class Objective(nn.Module):
    """The loss as a module, because torch's wrappers watch a module's forward."""

    def __init__(self, model: nn.Module, loss: Loss):
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, batch: Batch, share: float) -> Tensor:
        return self.loss(self.model, batch) * share


class DataParallelWorker(Worker):
    """The `worker` of `train` in each of several processes, or in one that accumulates gradients.

    Every batch is cut where it is into (processes × accumulate) parts of about equal work, and each
    process moves only its own parts to the model's device. A part's loss is weighted by its tokens,
    so the gradient is that of the whole batch in one process, up to rounding. With `shard`, each
    process keeps only its part of weights, gradients and optimizer state.
    Raises ValueError if accumulate is below 1, or shard is asked for in a single process, or on
    CPUs with a torch that is too old for it.
    """

    def __init__(
        self,
        model: Transformer,
        loss: Loss,
        accumulate: int = 1,
        shard: bool = False,
    ):
        if accumulate < 1:
            raise ValueError(f"accumulate must be at least 1, got {accumulate}")
        if shard and not dist.is_initialized():
            raise ValueError("shard needs several processes: start them with torchrun")
        device = next(model.parameters()).device.type
        if shard and device == "cpu" and torch.__version__ < SHARDS_ON_CPU:
            raise ValueError(
                f"shard on CPUs needs torch {SHARDS_ON_CPU} or later, and this is "
                f"{torch.__version__}: leave shard out, or pip install --upgrade torch"
            )
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        self.size = world_size()
        self.loss, self.accumulate, self.sharded = loss, accumulate, shard
        self.whole_copy = copy.deepcopy(model) if shard and self.rank == 0 else None
        self.objective: nn.Module = Objective(model, loss)
        if shard:
            mesh = init_device_mesh(device, (self.size,))
            for layer in (*model.encoder.layers, *model.decoder.layers):
                fully_shard(layer, mesh=mesh)
            fully_shard(self.objective, mesh=mesh)
        elif self.size > 1:
            self.objective = DistributedDataParallel(self.objective)

    def step(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        loss: Loss | None,  # not used: the objective has it
        batch: Batch,
        precision: str,
        scaler: GradScaler = UNSCALED,
    ) -> Tensor:
        """One training step on this process's parts of the batch; returns the batch's loss."""
        parts, device = self.parts(batch), next(model.parameters()).device
        total = torch.zeros((), device=device)
        optimizer.zero_grad(set_to_none=True)
        for i, (part, share) in enumerate(parts):
            with self.gradient_sync(last=i == len(parts) - 1):
                part = part.to(device)
                with autocast(model, precision):
                    value = self.objective(part, share * self.size)  # torch takes processes' mean
                scaler.scale(value).backward()
            total += value.detach() / self.size
        clip_and_update(model, optimizer, scaler)
        if self.size > 1:
            dist.all_reduce(total)
        return total

    def parts(self, batch: Batch) -> list[tuple[Batch, float]]:
        """This process's parts of a batch, each with its share of the tokens.

        If a batch has fewer sentences than there must be parts, some parts have a share of 0.
        """
        wanted = self.size * self.accumulate
        cut = batch.split(min(wanted, len(batch.source_ids)))
        parts = [(part, part.num_tokens / batch.num_tokens) for part in cut]
        parts += [(cut[0], 0.0)] * (wanted - len(cut))  # all processes must take every step
        return parts[self.rank :: self.size]

    def gradient_sync(self, last: bool) -> AbstractContextManager:
        """Exchange gradients only after the last part; until then, each process adds up its own."""
        if isinstance(self.objective, FSDPModule):
            self.objective.set_requires_gradient_sync(last)
        if isinstance(self.objective, DistributedDataParallel) and not last:
            return self.objective.no_sync()
        return nullcontext()

    def gather(self, tensor: Tensor) -> Tensor:
        return (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).detach()

    def shard(self, tensor: Tensor, like: Tensor) -> Tensor:
        if isinstance(like, DTensor):
            return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements)
        return tensor

    def agree(self, enough: bool) -> bool:
        return broadcast_from_main(enough)

    def whole_model(self, model: nn.Module) -> nn.Module | None:
        if not self.sharded:
            return model
        weights = {name: self.gather(p) for name, p in model.named_parameters()}
        if self.whole_copy is not None:
            with torch.no_grad():
                for name, parameter in self.whole_copy.named_parameters():
                    parameter.copy_(weights[name])
        return self.whole_copy


def setup_distributed(wanted: torch.device | None = None) -> torch.device:
    """Meet the other processes, if torchrun started this one, and return the device to work on.

    If there is a GPU for each process, they talk through nccl; otherwise all of them work on CPUs
    and talk through gloo. A process alone gets the first GPU, or else Apple's (mps), or else the
    CPU. A `wanted` device takes the place of this choice.
    """
    local = int(os.environ.get("LOCAL_RANK", 0))
    if wanted is not None and (wanted.type != "cuda" or wanted.index is not None):
        device = wanted
    elif torch.cuda.device_count() >= int(os.environ.get("LOCAL_WORLD_SIZE", 1)):
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    else:
        device = torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        backend = "nccl" if device.type == "cuda" else "gloo"
        device = device if backend == "nccl" else torch.device("cpu")
        # The others wait while process 0 evaluates, and decoding can take it minutes.
        dist.init_process_group(backend, timeout=timedelta(minutes=60))
    return device


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_main_process() -> bool:
    return not dist.is_initialized() or dist.get_rank() == 0


def broadcast_from_main(value: Value) -> Value:
    """The value of process 0, in every process."""
    if not dist.is_initialized():
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def cleanup_distributed() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
