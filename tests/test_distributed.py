"""distributed.py in one process and in two; trainer/test_command.py starts the whole command."""

import multiprocessing
import os
import socket
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.distributed.tensor import DTensor
from torch.torch_version import TorchVersion

from helpers.batching import collate
from helpers.distributed import (
    DataParallelWorker,
    broadcast_from_main,
    cleanup_distributed,
    is_main_process,
    setup_distributed,
)
from helpers.dropout import Dropout
from helpers.training import Worker, make_optimizer, train, translation_loss
from tests.support import (
    EXAMPLES,
    SHORT_RUN,
    all_equal,
    batches,
    copies_of_parameters,
    needs_shards,
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


def test_a_torch_that_cannot_keep_parts_of_weights_on_cpus_is_named(monkeypatch):
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(torch, "__version__", TorchVersion("2.8.0+cu128"))
    with pytest.raises(ValueError, match=r"needs torch 2.13 or later, and this is 2.8.0\+cu128"):
        DataParallelWorker(small_model(), translation_loss, shard=True)
    monkeypatch.setattr(torch, "__version__", TorchVersion("2.13.0"))  # the first that can
    with pytest.raises(ValueError, match="process group has not been initialized"):
        DataParallelWorker(small_model(), translation_loss, shard=True)


@pytest.mark.parametrize("sentences, accumulate", [(8, 3), (2, 3), (1, 4)])
def test_parts_that_a_batch_is_too_small_for_count_nothing(sentences, accumulate):
    batch = collate([([4] * n, [5] * n) for n in range(1, sentences + 1)])
    parts = DataParallelWorker(small_model(), translation_loss, accumulate).parts(batch)
    shares = [share for _, share in parts]
    assert sum(share > 0 for share in shares) == min(sentences, accumulate)
    assert shares[sentences:] == [0.0] * max(0, accumulate - sentences)
    assert all(len(part.source_ids) >= 1 for part, _ in parts)  # there is something to compute


@pytest.mark.parametrize(
    "environment, gpus, wanted",
    [
        ({}, 0, "cpu"),
        ({}, 1, "cuda:0"),
        ({"LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}, 2, "cuda:1"),
        ({"LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}, 1, "cpu"),
    ],
)
def test_each_process_gets_a_gpu_of_its_own_or_none(environment, gpus, wanted, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    chosen = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert setup_distributed() == torch.device(wanted)
    assert chosen == ([torch.device(wanted)] if gpus and wanted != "cpu" else [])
    assert not dist.is_initialized()


def test_apples_gpu_is_taken_where_there_is_no_other(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert setup_distributed() == torch.device("mps")


@pytest.mark.parametrize(
    "wanted, gpus, found",
    [
        ("cpu", 2, "cpu"),  # although there are GPUs
        ("mps", 0, "mps"),
        ("cuda:3", 2, "cuda:3"),
        ("cuda", 2, "cuda:1"),  # any of them: the one that belongs to this process
        ("cuda", 0, "cpu"),
    ],
)
def test_a_device_that_is_wanted_is_taken(wanted, gpus, found, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert setup_distributed(torch.device(wanted)) == torch.device(found)


@pytest.mark.parametrize(
    "wanted, device, backend",
    [("cuda:0", "cuda:0", "nccl"), ("cpu", "cpu", "gloo"), ("mps", "cpu", "gloo")],
)
def test_gpus_meet_by_nccl_and_everybody_else_by_gloo(wanted, device, backend, monkeypatch):
    """And whoever waits while process 0 decodes may wait for an hour."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    told = []
    monkeypatch.setattr(dist, "init_process_group", lambda *a, **k: told.append((a, k)))
    assert setup_distributed(torch.device(wanted)) == torch.device(device)
    assert told == [((backend,), {"timeout": timedelta(minutes=60)})]


# ---- Two processes -----------------------------------------------------------------------------

several = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs to fork"),
    pytest.mark.filterwarnings("default"),  # torch warns of its own ways between processes
]


def one_of_two(rank, port, work, path):
    environment = dict(RANK=rank, LOCAL_RANK=rank, WORLD_SIZE=2, LOCAL_WORLD_SIZE=2)
    os.environ |= {name: str(value) for name, value in environment.items()}
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    assert setup_distributed().type == "cpu" and dist.get_backend() == "gloo"
    found = work()
    cleanup_distributed()
    assert not dist.is_initialized()
    torch.save(found, path)


def in_two_processes(work, folder):
    """What work() returns in process 0 and in process 1, which have met as torchrun's do."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    fork, paths = multiprocessing.get_context("fork"), [folder / "0", folder / "1"]
    both = [
        fork.Process(target=one_of_two, args=(rank, port, work, path), daemon=True)
        for rank, path in enumerate(paths)
    ]
    for process in both:
        process.start()
    for process in both:
        process.join(600)
    assert [process.exitcode for process in both] == [0, 0]
    return [torch.load(path, weights_only=True) for path in paths]


@pytest.mark.parametrize("shard", [False, pytest.param(True, marks=needs_shards)])
class TestTwoProcesses:
    pytestmark = several

    def test_with_dropout_each_draws_its_own_numbers_and_both_end_alike(self, shard, tmp_path):
        def work():
            drawn = []

            def loss(model, batch):
                kept = Dropout(0.5)(torch.ones(64)) != 0
                drawn.append(tuple(kept.tolist()))
                return translation_loss(model, batch)

            model = small_model(dropout=0.3)
            worker = DataParallelWorker(model, loss, shard=shard)
            train(model, loss, batches, SHORT_RUN, worker=worker)
            return drawn, [worker.gather(p) for p in model.parameters()]

        (drawn, weights), (also_drawn, same_weights) = in_two_processes(work, tmp_path)
        assert len({*drawn, *also_drawn}) == 2 * 12
        assert all_equal(weights, same_weights)
        alone = small_model(dropout=0.0)
        train(alone, translation_loss, batches, SHORT_RUN)
        assert not all(map(torch.allclose, weights, alone.parameters()))  # it was not idle

    @pytest.mark.parametrize("accumulate", [1, 3])
    def test_a_step_is_that_of_the_whole_batch_in_one(self, shard, accumulate, tmp_path):
        """The loss, and the weights after it, in float64."""
        batch = collate([*EXAMPLES[:7], ([4] * 9, [5] * 9)])

        def step(kind, *options):
            model = small_model(dropout=0.0).double()
            worker = kind(*((model, translation_loss, *options) if options else ()))
            optimizer = make_optimizer(model)
            optimizer.param_groups[0]["lr"] = 1e-3
            losses = [
                worker.step(model, optimizer, translation_loss, batch, "float32") for _ in range(2)
            ]
            return torch.stack(losses), [worker.gather(p) for p in model.parameters()]

        losses, weights = step(Worker)
        work = lambda: step(DataParallelWorker, accumulate, shard)
        for found, same_weights in in_two_processes(work, tmp_path):
            torch.testing.assert_close(found, losses, rtol=0, atol=2e-6)
            for one, other in zip(weights, same_weights, strict=True):
                torch.testing.assert_close(one, other, rtol=0, atol=2e-6)

    def test_a_run_is_saved_whole_and_goes_on_in_one_process_or_in_two(self, shard, tmp_path):
        path = tmp_path / "run"

        def run(resume=False, stop_after=None):
            model, asked = small_model(dropout=0.0), []
            if resume:
                with torch.no_grad():
                    next(model.parameters()).zero_()  # the weights in memory do not matter
            worker = DataParallelWorker(model, translation_loss, shard=shard)

            def evaluate(whole, step):
                asked.append(step)
                return {"sum": sum(float(p.sum()) for p in whole.parameters())}

            def batches_until(start):
                for step, batch in enumerate(batches(start), start=start):
                    if step == stop_after:
                        raise KeyboardInterrupt  # in every process, as torchrun does it
                    yield batch

            try:
                options = dict(checkpoint=path, resume=resume, worker=worker)
                train(model, translation_loss, batches_until, SHORT_RUN, evaluate, **options)
            except KeyboardInterrupt as stopped:
                assert "step 8 is saved" in str(stopped)
            whole = worker.whole_model(model)
            weights = None if whole is None else copies_of_parameters(whole)
            return worker.rank, asked, weights

        alone = small_model(dropout=0.0)
        train(alone, translation_loss, batches, SHORT_RUN)
        first, second = in_two_processes(lambda: run(stop_after=9), tmp_path)
        assert first[:2] == (0, [4, 8]) and second[:2] == (1, [])  # process 0 evaluates
        assert (second[2] is None) == shard and first[2] is not None
        kept = path.read_bytes()
        one = small_model(dropout=0.0)
        train(one, translation_loss, batches, SHORT_RUN, checkpoint=path, resume=True)
        path.write_bytes(kept)
        two, _ = in_two_processes(lambda: run(resume=True), tmp_path)
        assert two[1] == [12]
        for name, a, b, c in zip(
            dict(alone.named_parameters()),
            alone.parameters(),
            one.parameters(),
            two[2],
            strict=True,
        ):
            if not name.endswith("w_k.bias"):  # has no gradient but rounding
                torch.testing.assert_close(b, a, rtol=0, atol=1e-3)
                torch.testing.assert_close(c, a, rtol=0, atol=1e-3)

    def test_both_end_when_process_0_has_seen_enough(self, shard, tmp_path):
        def work():
            model = small_model()
            worker = DataParallelWorker(model, translation_loss, shard=shard)
            options = dict(worker=worker, report=lambda history: len(history) == 2)
            return len(train(model, translation_loss, batches, SHORT_RUN, **options))

        assert in_two_processes(work, tmp_path) == [2, 2]

    def test_gradients_travel_once_a_step(self, shard, tmp_path):
        """After the last part of three; before, they add up where they are."""

        def work():
            model, travelled = small_model(), []
            worker = DataParallelWorker(model, translation_loss, accumulate=3, shard=shard)
            if shard:
                told = worker.objective.set_requires_gradient_sync
                worker.objective.set_requires_gradient_sync = lambda last: (
                    travelled.append(last),
                    told(last),
                )
            else:

                def counted(state, bucket):
                    travelled.append(bucket.is_last())
                    return allreduce_hook(None, bucket)

                worker.objective.register_comm_hook(None, counted)
            optimizer, batch = make_optimizer(model), collate(EXAMPLES[:9])
            worker.step(model, optimizer, translation_loss, batch, "float32")
            return travelled

        wanted = [False, False, True] if shard else [True]
        assert in_two_processes(work, tmp_path) == [wanted, wanted]


@needs_shards
class TestParts:
    pytestmark = several

    def test_a_layers_weights_are_whole_while_it_computes_and_at_no_other_time(self, tmp_path):
        """Or a model that one process cannot hold would be gathered in each of them."""

        def work():
            model, seen = small_model(dropout=0.0), []
            worker = DataParallelWorker(model, translation_loss, shard=True)
            layers = [*model.encoder.layers, *model.decoder.layers]

            def whole():
                return [not isinstance(layer.feed_forward.w_1.weight, DTensor) for layer in layers]

            for layer in layers:  # within its own forward, after its weights were gathered
                layer.feed_forward.register_forward_pre_hook(lambda *_: seen.append(whole()))
            batch = collate(EXAMPLES[:9])
            worker.step(model, make_optimizer(model), translation_loss, batch, "float32")
            shares = [p.to_local().numel() / p.numel() for p in model.parameters()]
            return seen, whole(), min(shares), max(shares)

        alone = [[i == j for j in range(3)] for i in range(3)]
        for seen, afterwards, least, most in in_two_processes(work, tmp_path):
            assert seen == alone and afterwards == [False] * 3
            assert 0.3 < least <= most < 0.7

    def test_a_tensor_is_spread_as_the_one_that_it_is_like(self, tmp_path):
        def work():
            model = small_model()
            worker = DataParallelWorker(model, translation_loss, shard=True)
            like = model.encoder.layers[0].feed_forward.w_1.weight
            whole = torch.arange(like.numel()).view(like.shape)
            spread = worker.shard(whole, like)
            assert spread.placements == like.placements
            return spread.to_local(), worker.gather(spread), whole

        (first, *_), (second, gathered, whole) = in_two_processes(work, tmp_path)
        assert torch.equal(torch.cat([first, second]), whole) and torch.equal(gathered, whole)


class TestTheMainProcess:
    pytestmark = several

    def test_it_is_one_of_two_and_its_word_reaches_the_other(self, tmp_path):
        def work():
            mine = {"said by": dist.get_rank()}
            return is_main_process(), broadcast_from_main(mine), dist.get_rank()

        first, second = in_two_processes(work, tmp_path)
        assert first == (True, {"said by": 0}, 0) and second == (False, {"said by": 0}, 1)
