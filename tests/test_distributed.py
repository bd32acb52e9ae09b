"""distributed.py in one process; several are started by trainer/test_command.py."""

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
