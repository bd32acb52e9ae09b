"""distributed.py in one process, dropout in two; trainer/test_command.py starts more."""

import json
import os
import subprocess
import sys

import pytest
import torch

from helpers.batching import collate
from helpers.distributed import (
    DataParallelWorker,
    broadcast_from_main,
    cleanup_distributed,
    is_main_process,
    setup_distributed,
)
from helpers.training import Worker, make_optimizer, train, translation_loss
from tests.support import (
    EXAMPLES,
    ROOT,
    SHORT_RUN,
    all_equal,
    batches,
    copies_of_parameters,
    small_model,
)


def test_alone_every_process_is_the_main_one():
    assert setup_distributed().type in ("cpu", "cuda", "mps")
    assert is_main_process() and broadcast_from_main([1]) == [1]
    cleanup_distributed()  # nothing to clean up, and no error


@pytest.mark.parametrize("accumulate", [1, 3, 40])  # 40: more than the batch has sentences
def test_the_parts_of_a_batch_hold_all_of_it(accumulate):
    batch = collate([*EXAMPLES[:7], ([4] * 9, [5] * 9)])
    parts = DataParallelWorker(small_model(), translation_loss, accumulate).parts(batch)
    assert len(parts) == accumulate and sum(share for _, share in parts) == pytest.approx(1)
    counted = [(part, share) for part, share in parts if share]
    assert sum(part.num_tokens for part, _ in counted) == batch.num_tokens
    assert sum(len(part.source_ids) for part, _ in counted) == 8
    for part, share in counted:
        assert share == part.num_tokens / batch.num_tokens


@pytest.mark.parametrize("accumulate", [1, 3, 40])
def test_a_step_in_parts_is_the_step_of_the_whole_batch(accumulate):
    """Loss, gradients and the clipping of their norm, in float64."""
    batch = collate([*EXAMPLES[:7], ([4] * 9, [5] * 9)])
    results = []
    for kind in (Worker, DataParallelWorker):
        model = small_model(dropout=0.0).double()
        optimizer = make_optimizer(model)
        optimizer.param_groups[0]["lr"] = 1e-3
        arguments = () if kind is Worker else (model, translation_loss, accumulate)
        loss = kind(*arguments).step(model, optimizer, translation_loss, batch, "float32")
        results.append([loss, *(p.grad for p in model.parameters()), *model.parameters()])
    for whole, parts in zip(*results, strict=True):
        torch.testing.assert_close(parts.double(), whole.double(), rtol=1e-6, atol=2e-6)


def test_training_with_either_worker_ends_in_the_same_weights(tmp_path):
    one, other = small_model(dropout=0.3), small_model(dropout=0.3)
    train(one, translation_loss, batches, SHORT_RUN)
    path = tmp_path / "run.safetensors"
    worker = DataParallelWorker(other, translation_loss)
    train(other, translation_loss, batches, SHORT_RUN, checkpoint=path, worker=worker)
    assert all_equal(one.parameters(), other.parameters())
    again = small_model(dropout=0.3)
    train(again, translation_loss, batches, SHORT_RUN, checkpoint=path, resume=True)
    assert all_equal(again.parameters(), other.parameters())


WITH_DROPOUT = """
import json, sys
import torch
from pathlib import Path
from helpers.distributed import DataParallelWorker, cleanup_distributed, setup_distributed
from helpers.dropout import Dropout
from helpers.training import train, translation_loss
from tests.support import SHORT_RUN, batches, small_model

setup_distributed()
model, drawn = small_model(dropout=0.5), []

def loss(model, batch):
    drawn.append((Dropout(0.5)(torch.ones(64)) != 0).int().tolist())  # who is kept in this step
    return translation_loss(model, batch)

worker = DataParallelWorker(model, loss, shard=sys.argv[2] == "sharded")
train(model, loss, batches, SHORT_RUN, worker=worker)
weights = [worker.gather(p).sum().item() for p in model.parameters()]
Path(sys.argv[1], f"{worker.rank}.json").write_text(json.dumps([drawn, weights]))
cleanup_distributed()
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["whole", "sharded"])
def test_each_process_has_a_dropout_of_its_own(tmp_path, kind):
    """Or both would drop the same places of different sentences. The weights stay the same."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    (tmp_path / "run.py").write_text(WITH_DROPOUT)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    arguments = [*command, tmp_path / "run.py", tmp_path, kind]
    done = subprocess.run(arguments, env=environment, capture_output=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    found = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)]
    (first, weights), (second, other_weights) = found
    assert len(first) == len(second) == SHORT_RUN.steps and weights == other_weights
    drawn = [*first, *second]
    assert all(a != b for i, a in enumerate(drawn) for b in drawn[:i])  # no two steps alike either


@pytest.mark.parametrize("kind", [Worker, DataParallelWorker])
def test_in_one_process_the_whole_is_its_own_part(kind):
    model = small_model()
    worker = kind() if kind is Worker else kind(model, translation_loss)
    parameter, before = next(model.parameters()), copies_of_parameters(model)
    assert worker.whole_model(model) is model and worker.rank == 0
    assert torch.equal(worker.gather(parameter), parameter)
    assert not worker.gather(parameter).requires_grad
    assert torch.equal(worker.shard(parameter.detach(), parameter), parameter)
    assert all_equal(before, model.parameters())


def test_what_cannot_be_is_named():
    with pytest.raises(ValueError, match="accumulate must be at least 1, got 0"):
        DataParallelWorker(small_model(), translation_loss, accumulate=0)
    with pytest.raises(ValueError, match="shard needs several processes"):
        DataParallelWorker(small_model(), translation_loss, shard=True)
