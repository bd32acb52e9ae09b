"""float16 with its loss scaled, on a CPU: a real scaler, and one that notes what it is asked."""

from dataclasses import replace

import pytest
import torch

from helpers.batching import collate
from helpers.checkpoints import read_tensors, write_tensors
from helpers.distributed import DataParallelWorker
from helpers.training import (
    Worker,
    autocast,
    make_optimizer,
    make_scaler,
    train,
    training_step,
    translation_loss,
)
from tests.support import (
    EXAMPLES,
    SHORT_RUN,
    all_equal,
    batches,
    copies_of_parameters,
    small_model,
)


def test_products_are_in_float16():
    with autocast(small_model(), "float16"):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float16


def test_only_float16_scales_its_loss():
    model = small_model()
    assert make_scaler(model, "float16").is_enabled()
    assert not make_scaler(model, "float32").is_enabled()
    assert not make_scaler(model, "bfloat16").is_enabled()


class Recorder:
    """A scaler that notes what it is asked, and multiplies by 8."""

    def __init__(self):
        self.asked = []

    def scale(self, loss):
        self.asked.append("scale")
        return 8 * loss

    def unscale_(self, optimizer):
        self.asked.append("unscale")
        for group in optimizer.param_groups:
            for p in group["params"]:
                p.grad /= 8

    def step(self, optimizer):
        self.asked.append("step")
        optimizer.step()

    def update(self):
        self.asked.append("update")


@pytest.mark.parametrize("worker", ["one", "parts"])
def test_gradients_are_clipped_after_the_scale_is_taken_out(worker):
    """A scaled step is the step without a scale: 8 is a power of two, so it rounds nothing."""
    results = []
    for scaler in (None, Recorder()):
        model, optional = small_model(dropout=0.0), () if scaler is None else (scaler,)
        optimizer = make_optimizer(model)
        optimizer.param_groups[0]["lr"] = 1e-2
        kind = Worker() if worker == "one" else DataParallelWorker(model, translation_loss, 2)
        batch = collate(EXAMPLES[:8])
        value = kind.step(model, optimizer, translation_loss, batch, "float32", *optional)
        results.append([value, *(p.grad for p in model.parameters()), *model.parameters()])
    assert all_equal(*results)
    scales = 1 if worker == "one" else 2
    assert scaler.asked == ["scale"] * scales + ["unscale", "step", "update"]


def test_a_step_that_overflows_is_left_out_and_the_factor_halved():
    model = small_model(dropout=0.0)
    optimizer, scaler = make_optimizer(model), make_scaler(model, "float16")
    optimizer.param_groups[0]["lr"] = 1e-2
    before = copies_of_parameters(model)
    huge = lambda m, b: translation_loss(m, b) * 1e36
    training_step(model, optimizer, huge, collate(EXAMPLES[:5]), "float32", scaler)
    assert all_equal(before, model.parameters()) and scaler.get_scale() == 2.0**15
    training_step(model, optimizer, translation_loss, collate(EXAMPLES[:5]), "float32", scaler)
    assert not all_equal(before, model.parameters()) and scaler.get_scale() == 2.0**15


def interrupted(path, config):
    """A run's checkpoint at its first row: (tensors, metadata)."""

    def stop(history):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(small_model(), translation_loss, batches, config, report=stop, checkpoint=path)
    return read_tensors(path)


def test_float16_trains_and_resumes_with_its_factor(tmp_path):
    config = replace(SHORT_RUN, precision="float16")
    whole, path = small_model(), tmp_path / "run.safetensors"
    history = train(whole, translation_loss, batches, config)
    assert history[-1]["train_loss"] < history[0]["train_loss"]

    saved, _ = interrupted(path, config)
    again = small_model()
    train(again, translation_loss, batches, config, checkpoint=path, resume=True)
    assert all_equal(whole.parameters(), again.parameters())
    # No step overflowed, so the factor stands, and the count of good steps goes on.
    ended, _ = read_tensors(path)
    assert ended["scaler.scale"] == saved["scaler.scale"] == 2.0**16
    assert [t["scaler._growth_tracker"] for t in (saved, ended)] == [4, 12]


def test_a_lower_factor_is_resumed_too(tmp_path):
    """With the first factor again, a resumed run would lose some steps once more."""
    config, path = replace(SHORT_RUN, precision="float16"), tmp_path / "run.safetensors"
    tensors, metadata = interrupted(path, config)
    write_tensors(path, tensors | {"scaler.scale": torch.tensor(1024.0)}, metadata)
    train(small_model(), translation_loss, batches, config, checkpoint=path, resume=True)
    assert read_tensors(path)[0]["scaler.scale"] == 1024
