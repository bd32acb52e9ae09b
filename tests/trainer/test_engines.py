"""trainer/engines.py: few shapes, one graph, the same loss, and nothing that waits for a GPU."""

import math
import os
import threading
from itertools import islice

import pytest
import torch
import torch._dynamo as dynamo
from torch.utils._python_dispatch import TorchDispatchMode

from helpers.batching import Batch, collate, endless_batches
from helpers.distributed import DataParallelWorker
from helpers.special_ids import BOS, EOS, PAD
from helpers.trainer.engines import (
    batches_of_few_shapes,
    inputs_of,
    loss_at_every_position,
    loss_for,
    made_ahead,
    pad_to,
    ready_for,
)
from helpers.trainer.settings import read_arguments
from helpers.training import make_optimizer, make_scaler, training_step, translation_loss
from tests.support import EXAMPLES, small_model
from tests.test_distributed import in_two_processes

CPU = torch.device("cpu")
MANY = [([4 + i % 9] * (1 + i % 23), [5 + i % 7] * (1 + (7 * i) % 29)) for i in range(300)]


@pytest.fixture(autouse=True)
def forgets_what_was_compiled():
    yield
    dynamo.reset()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_padding_changes_neither_the_loss_nor_its_gradients(smoothing):
    """The same as translation_loss, which is the formula, on the batch as it was."""
    batch = collate(MANY[:7])
    wider = pad_to(batch, 9, 32)
    assert wider.source_ids.shape == (9, 32) and wider.target_ids.shape == (9, 33)
    results = []
    for given, loss in (
        (batch, lambda m, b: translation_loss(m, b, smoothing)),
        (batch, lambda m, b: loss_at_every_position(m, *inputs_of(b), smoothing)),
        (wider, lambda m, b: loss_at_every_position(m, *inputs_of(b), smoothing)),
    ):
        model = small_model(dropout=0.0).double()
        value = loss(model, given)
        value.backward()
        results.append([value, *(p.grad for p in model.parameters())])
    for other in results[1:]:
        for a, b in zip(other, results[0], strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_a_batch_without_a_token_to_score_has_loss_zero():
    empty = Batch(torch.tensor([[EOS, PAD]]), torch.tensor([[BOS, PAD, PAD]]))
    model = small_model()
    value = loss_at_every_position(model, *inputs_of(empty))
    value.backward()
    assert value == 0 and all((p.grad == 0).all() for p in model.parameters())


def test_a_batch_that_has_no_room_is_named():
    with pytest.raises(ValueError, match=r"source_ids must fit into \(3, 24\), got \(7,"):
        pad_to(collate(MANY[:7]), 3, 24)
    with pytest.raises(ValueError, match=r"source_ids must fit into \(7, 2\)"):
        pad_to(collate(MANY[:7]), 7, 2)


@pytest.mark.parametrize("parts", [1, 4])
def test_batches_have_few_shapes_and_hold_every_sentence_once(parts):
    batches, seen, tokens = batches_of_few_shapes(MANY, 128, seed=3, parts=parts), [], 0
    shapes = set()
    while len(seen) < len(MANY):
        batch = next(batches)
        tokens += batch.num_tokens
        shapes.add((*batch.source_ids.shape, *batch.target_ids.shape))
        assert len(batch.source_ids) % parts == 0
        for source, target in zip(
            batch.source_ids.tolist(), batch.target_ids.tolist(), strict=True
        ):
            if target[1]:  # not an empty row
                words = lambda row: [i for i in row if i not in (PAD, BOS, EOS)]
                seen.append((words(source), words(target)))
    assert sorted(seen) == sorted(MANY)
    assert tokens == sum(len(target) + 1 for _, target in MANY)
    assert shapes == {
        (rows, length, rows, length + 1)
        for length in (8, 16, 24, 32)
        for rows in [math.ceil(128 // (length + 1) / parts) * parts]
    }


def test_batches_go_on_where_they_stopped_and_differ_from_epoch_to_epoch():
    whole = list(islice(batches_of_few_shapes(MANY, 128, seed=3), 150))
    later = list(islice(batches_of_few_shapes(MANY, 128, seed=3, start=90), 60))
    for a, b in zip(whole[90:], later, strict=True):
        assert torch.equal(a.source_ids, b.source_ids) and torch.equal(a.target_ids, b.target_ids)
    epochs = []
    stream = batches_of_few_shapes(lambda epoch: epochs.append(epoch) or MANY[:20], 128)
    list(islice(stream, 12))
    assert epochs[:3] == [0, 1, 2]


def test_a_sentence_that_just_fits_is_not_rounded_out_of_its_batch():
    (batch,) = islice(batches_of_few_shapes([([4] * 33, [5] * 33)], 35), 1)
    assert batch.source_ids.shape == (1, 34) and batch.num_tokens == 34


# ---- Nothing waits -----------------------------------------------------------------------------


class NoWaiting(TorchDispatchMode):
    """Stops at what would make the processor wait until a GPU has a number for it."""

    WAITS = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select", "_to_cpu")

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        asks = name == "index" and any(i is not None and i.dtype == torch.bool for i in args[1])
        if name in self.WAITS or asks:
            raise AssertionError(f"the step waits for the device: {name}")
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_step_waits_for_nothing(precision, accumulate):
    model, batch = small_model().train(), pad_to(collate(EXAMPLES[:7]), 8, 8)
    loss = lambda m, b: loss_at_every_position(m, *inputs_of(b), 0.1)
    worker = DataParallelWorker(model, loss, accumulate)
    optimizer, scaler = make_optimizer(model), make_scaler(model, precision)
    optimizer.param_groups[0]["lr"] = 1e-3
    parts = worker.parts(batch)  # counts tokens; the batch is on the processor
    worker.parts = lambda batch: parts
    scaler.scale(torch.ones(()))  # makes its factor now
    with NoWaiting():
        for _ in range(2):
            worker.step(model, optimizer, None, batch, precision, scaler)


def test_that_check_notices_the_loss_that_waits():
    model, batch = small_model().train(), collate(EXAMPLES[:7])
    with NoWaiting(), pytest.raises(AssertionError, match="the step waits"):
        training_step(model, make_optimizer(model), translation_loss, batch)


def test_the_loss_needs_no_numbers_at_all():
    """On the meta device tensors have shapes only, so whoever asks for a number gets an error."""
    model, batch = small_model().to("meta"), pad_to(collate(EXAMPLES[:7]), 8, 8).to("meta")
    loss_at_every_position(model, *inputs_of(batch)).backward()
    assert all(p.grad.is_meta for p in model.parameters())


# ---- One graph ---------------------------------------------------------------------------------


def counting_compile(monkeypatch):
    """torch.compile from now on only counts its graphs; returns the list that it fills."""
    graphs, really = [], torch.compile

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    def compile(function, **options):
        assert options.pop("mode") == "default"
        return really(function, backend=backend, **options)

    monkeypatch.setattr(torch, "compile", compile)
    return graphs


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("norm_first, precision", [(False, "float32"), (True, "bfloat16")])
def test_the_whole_loss_is_one_graph_for_all_shapes(monkeypatch, norm_first, precision):
    graphs = counting_compile(monkeypatch)
    loss, model = loss_for("compiled", CPU, 0.1), small_model(norm_first=norm_first).train()
    optimizer = make_optimizer(model)
    batches = batches_of_few_shapes(MANY, 128, seed=3)
    shapes = set()
    for batch in islice(batches, 20):
        shapes.add(batch.source_ids.shape)
        training_step(model, optimizer, loss, batch, precision)
    assert len(shapes) == 4 and len(graphs) == 1
    for node in graphs[0].graph.nodes:
        sizes = getattr(node.meta.get("example_value"), "shape", ())
        sums = [n for n in sizes if isinstance(n, torch.SymInt) and n.node.expr.is_Add]
        assert not sums, f"torch 2.11 cannot compile the size {sums[0]} of {node} on a GPU"


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_compiled_training_equals_eager_training(monkeypatch):
    """Loss and weights after each of a few steps, in float64, without dropout."""
    really = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda f, mode, **options: really(f, backend="aot_eager", **options)
    )
    runs = []
    for engine in ("eager", "compiled"):
        model = small_model(dropout=0.0).double().train()
        optimizer, loss, seen = make_optimizer(model), loss_for(engine, CPU, 0.1), []
        optimizer.param_groups[0]["lr"] = 1e-2
        for batch in islice(batches_of_few_shapes(MANY, 128, seed=3), 6):
            seen += [training_step(model, optimizer, loss, batch)]
            seen += [p.detach().clone() for p in model.parameters()]
        runs.append(seen)
    for eager, compiled in zip(*runs, strict=True):
        torch.testing.assert_close(compiled, eager, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs to fork")
def test_compiled_in_two_processes_a_step_is_that_of_the_whole_batch(monkeypatch, tmp_path):
    """Two parts of every batch for each of the two."""
    graphs = counting_compile(monkeypatch)
    batches = list(islice(batches_of_few_shapes(MANY, 128, seed=3, parts=4), 6))
    shapes = [batch.source_ids.shape for batch in batches]
    assert len(set(shapes[2:]) - set(shapes[:2])) == 2

    def steps(engine, *parts):
        model = small_model(dropout=0.0).double().train()
        loss = loss_for(engine, CPU, 0.1)
        worker = DataParallelWorker(model, loss, *parts)
        optimizer = make_optimizer(model)
        optimizer.param_groups[0]["lr"] = 1e-3
        losses, counts = [], []
        for batch in batches:
            losses.append(worker.step(model, optimizer, loss, batch, "float32"))
            counts.append(len(graphs))
        return torch.stack(losses), [p.detach() for p in model.parameters()], counts

    losses, weights, _ = steps("eager")
    for found, same_weights, counts in in_two_processes(lambda: steps("compiled", 2), tmp_path):
        torch.testing.assert_close(found, losses, rtol=0, atol=1e-5)
        for one, other in zip(weights, same_weights, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-5)
        assert 1 <= counts[1] == counts[-1]  # new shapes need no new graph


def test_graphs_without_a_gpu_are_an_error():
    with pytest.raises(ValueError, match="'graphs' needs an NVIDIA GPU, got the device 'cpu'"):
        loss_for("graphs", CPU, 0.1)


# ---- Prepared ahead ----------------------------------------------------------------------------


def test_items_come_in_order_and_a_few_ahead():
    made = []

    def items():
        for i in range(10):
            made.append((i, threading.current_thread() is threading.main_thread()))
            yield i

    stream = made_ahead(items(), ahead=3)
    assert [next(stream) for _ in range(10)] == list(range(10))
    assert list(stream) == [] and made == [(i, False) for i in range(10)]


def test_no_more_is_made_than_that_many_ahead():
    made = []
    stream = made_ahead((made.append(i) for i in range(100)), ahead=3)
    next(stream), next(stream)
    stream.close()
    assert 2 <= len(made) <= 5


def test_an_error_in_the_thread_reaches_the_one_who_waits():
    def items():
        yield 1
        raise OSError("the disk is gone")

    stream = made_ahead(items())
    assert next(stream) == 1
    with pytest.raises(OSError, match="the disk is gone"):
        next(stream)


def test_on_a_cpu_batches_stay_as_they_are():
    batches = endless_batches(EXAMPLES, 60)
    assert ready_for(CPU, batches) is batches


@pytest.mark.parametrize(
    "options, message",
    [
        ("--engine graphs --accumulate 2", "--engine graphs needs each batch in one part, got"),
        ("--shard --engine compiled", "--shard works only with --engine eager, got compiled"),
        ("--shard --precision float16", "--shard does not work with float16"),
    ],
)
def test_what_does_not_go_together_is_named(tmp_path, capsys, options, message):
    with pytest.raises(SystemExit):
        read_arguments(["--out", str(tmp_path / "run"), *options.split()])
    assert message in " ".join(capsys.readouterr().err.split())
