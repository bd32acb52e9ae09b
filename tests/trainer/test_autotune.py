"""trainer/autotune.py: what is measured, what is chosen, and that it is said."""

import argparse
from itertools import islice

import pytest
import torch

from helpers.batching import endless_batches
from helpers.distributed import DataParallelWorker
from helpers.trainer import autotune as tuning
from helpers.trainer.autotune import autotune, fastest, of_one_shape, precisions_and_kernels
from helpers.trainer.engines import batches_of_few_shapes, loss_for
from tests.support import EXAMPLES, all_equal, copies_of_parameters, small_model

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def settings(**changes):
    given = dict(precision="auto", kernel="auto", engine="auto", steps=None, minutes=1.0)
    return argparse.Namespace(**{**given, "shard": False, "accumulate": 1, **changes})


def test_float16_is_tried_on_nvidia_gpus_only():
    tried = lambda *arguments: {p for p, _ in precisions_and_kernels("auto", "fused", *arguments)}
    assert tried(CPU) == {"float32", "bfloat16"} == tried(GPU, True) == tried(torch.device("mps"))
    assert tried(GPU) == {"float32", "bfloat16", "float16"}
    assert precisions_and_kernels("float16", "fused", CPU) == [("float16", "fused")]
    assert precisions_and_kernels("float32", "auto", CPU) == [
        ("float32", "fused"),
        ("float32", "formula"),
    ]


def test_float16_has_to_be_clearly_faster():
    seconds = {("float32", "fused"): 3.0, ("bfloat16", "fused"): 1.0, ("float16", "fused"): 0.95}
    assert fastest(seconds) == ("bfloat16", "fused")
    assert fastest(seconds | {("float16", "fused"): 0.9}) == ("float16", "fused")
    assert fastest(seconds | {("bfloat16", "fused"): 8.0}) == ("float16", "fused")  # a T4


def test_batches_of_the_commonest_shape_are_repeated():
    some = list(islice(batches_of_few_shapes(EXAMPLES * 3 + [([4] * 20, [5] * 20)], 60), 12))
    found = of_one_shape(some, 18)
    assert len(found) == 18 and {b.source_ids.shape for b in found} == {(6, 8)}


def worker_for(model, engine):
    return DataParallelWorker(model, loss_for(engine, CPU, 0.1))


def batches(start, engine):
    make = endless_batches if engine == "eager" else batches_of_few_shapes
    return make(EXAMPLES, 60, 3, start)


def test_on_a_cpu_the_model_stays_as_it_is_and_nothing_is_compiled():
    arguments, model, said = settings(), small_model(), []
    before = copies_of_parameters(model)
    autotune(arguments, model, worker_for, batches, said.append)
    assert all_equal(before, model.parameters())
    assert arguments.precision in ("float32", "bfloat16") and arguments.engine == "eager"
    assert arguments.kernel in ("fused", "formula") and arguments.steps >= 1
    assert len(said) == 5 and all("tokens/s" in line for line in said)


@pytest.mark.parametrize(
    "paces, steps, wanted",
    [
        ({"eager": 3e-5, "compiled": 2e-5, "graphs": 1e-5}, 10**7, "graphs"),
        ({"eager": 3e-5, "compiled": 2e-5, "graphs": 4e-5}, 10**7, "compiled"),
        ({"eager": 3e-5, "compiled": 4e-5, "graphs": 4e-5}, 10**7, "eager"),
        (
            {"eager": 3e-5, "compiled": 2e-5, "graphs": RuntimeError("no triton\n\nSet …")},
            10**7,
            "compiled",
        ),
        ({"eager": 3e-5, "compiled": 2e-5}, 0, "compiled"),  # --accumulate, where graphs are out
        ({"eager": 3e-5}, 10, "eager"),  # too short a run: nothing else may even be tried
    ],
)
def test_on_a_gpu_the_fastest_engine_is_chosen_by_measuring(monkeypatch, paces, steps, wanted):
    """With a made-up clock, because there is no GPU here."""
    model, said, asked = small_model(), [], []

    def clock(model, worker_for, given, precision, kernel, engine):
        asked.append(engine)
        if isinstance(paces[engine], Exception):
            raise paces[engine]
        return paces[engine]

    class OnGPU:
        device = GPU

    monkeypatch.setattr(tuning, "seconds_per_token", clock)
    monkeypatch.setattr(model, "parameters", lambda: iter([OnGPU]))
    arguments = settings(precision="bfloat16", kernel="fused", steps=steps or 10**7)
    arguments.accumulate = 1 if steps else 2
    autotune(arguments, model, worker_for, batches, said.append)
    assert arguments.engine == wanted and asked == list(paces)
    assert any(
        "graphs: does not work here (RuntimeError: no triton)" in line for line in said
    ) == any(isinstance(pace, Exception) for pace in paces.values())
