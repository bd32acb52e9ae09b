"""training.py and checkpoints.py: nothing is lost, and resuming changes nothing."""

import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

from helpers import checkpoints
from helpers.batching import collate, endless_batches
from helpers.checkpoints import load_model, load_weights, read_tensors, save_model, write_tensors
from helpers.special_ids import PAD
from helpers.training import (
    TrainingConfig,
    learning_rate_at,
    mean_loss,
    paper_learning_rate_at,
    train,
    translation_loss,
)
from helpers.transformer import Transformer, TransformerConfig

EXAMPLES = [([4 + i % 9, 5, 6 + i % 5], [4 + i % 9, 8 + i % 5]) for i in range(60)]
SIZES = dict(d_model=16, num_heads=2, d_ff=24, num_encoder_layers=1, num_decoder_layers=2)


def small_model(**changes) -> Transformer:
    torch.manual_seed(1)
    return Transformer(TransformerConfig(**{"vocab_size": 20, **SIZES, **changes}))


def batches(start):
    return endless_batches(EXAMPLES, 60, seed=3, start=start)


def weights(model):
    return [p.detach().clone() for p in model.parameters()]


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


CONFIG = TrainingConfig(steps=12, warmup_steps=3, report_every=4)


def test_loss_scores_real_tokens_only():
    model, batch = small_model(dropout=0.0), collate(EXAMPLES[:3] + [([4], [5])])
    logits = model(batch.source_ids, batch.target_input)
    for smoothing in (0.0, 0.1):
        expected = F.cross_entropy(
            logits.flatten(0, 1),
            batch.target_labels.flatten(),
            ignore_index=PAD,
            label_smoothing=smoothing,
        )
        torch.testing.assert_close(translation_loss(model, batch, smoothing), expected)


def test_training_learns_and_says_so():
    model = small_model()
    validation = [collate(EXAMPLES[:20])]
    before = mean_loss(model, translation_loss, validation)
    seen = []
    config = TrainingConfig(steps=60, warmup_steps=10, report_every=30, learning_rate=1e-2)
    history = train(
        model, translation_loss, batches, config, validation, report=lambda h: seen.append(len(h))
    )
    assert history[-1]["validation_loss"] < before / 2
    assert [row["step"] for row in history] == [30, 60] and seen == [1, 2]
    assert not model.training


def test_training_leaves_the_callers_random_numbers_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    model = small_model  # created before, so that only train could disturb
    torch.manual_seed(5)
    built = model()
    torch.manual_seed(5)
    train(built, translation_loss, batches, CONFIG)
    assert torch.equal(torch.rand(3), expected)


class Interrupt(Exception):
    pass


def interrupted_after(rows, error=KeyboardInterrupt):
    def report(history):
        if len(history) == rows:
            raise error

    return report


def test_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path):
    whole = small_model(dropout=0.3)
    history = train(whole, translation_loss, batches, CONFIG)
    path = tmp_path / "run.safetensors"
    broken = small_model(dropout=0.3)
    with pytest.raises(KeyboardInterrupt, match="step 8 is saved in .*resume=True"):
        train(
            broken,
            translation_loss,
            batches,
            CONFIG,
            checkpoint=path,
            report=interrupted_after(2),
        )
    resumed = small_model(dropout=0.3)
    with torch.no_grad():
        next(resumed.parameters()).zero_()  # what stands in memory does not matter
    again = train(resumed, translation_loss, batches, CONFIG, checkpoint=path, resume=True)
    assert same(weights(whole), weights(resumed))
    assert [row["train_loss"] for row in again] == [row["train_loss"] for row in history]


def test_kill_minus_nine_keeps_the_last_checkpoint(tmp_path):
    path = tmp_path / "run.safetensors"
    code = f"""
import os, signal
from tests.test_training import *
def report(history):
    if len(history) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
train(small_model(dropout=0.3), translation_loss, batches, CONFIG, checkpoint={str(path)!r},
      report=report)
"""
    root = checkpoints.Path(__file__).parents[1]
    killed = subprocess.run([sys.executable, "-c", code], cwd=root, check=False)
    assert killed.returncode == -9
    resumed, whole = small_model(dropout=0.3), small_model(dropout=0.3)
    train(resumed, translation_loss, batches, CONFIG, checkpoint=path, resume=True)
    train(whole, translation_loss, batches, CONFIG)
    assert same(weights(whole), weights(resumed))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.safetensors"]


def test_interrupted_before_the_first_checkpoint_says_start_over(tmp_path):
    def no_batches(start):
        raise KeyboardInterrupt
        yield

    with pytest.raises(KeyboardInterrupt, match="before a checkpoint was saved"):
        train(small_model(), translation_loss, no_batches, CONFIG, checkpoint=tmp_path / "x")


@pytest.mark.parametrize(
    "change, message", [({"learning_rate": 1.0}, "learning_rate is"), ({"seed": 9}, "seed is")]
)
def test_resuming_with_another_configuration_names_the_field(tmp_path, change, message):
    path = tmp_path / "run.safetensors"
    train(small_model(), translation_loss, batches, CONFIG, checkpoint=path)
    model = small_model()
    before = weights(model)
    other = TrainingConfig(**{"steps": 12, "warmup_steps": 3, "report_every": 4, **change})
    with pytest.raises(ValueError, match=message):
        train(model, translation_loss, batches, other, checkpoint=path, resume=True)
    assert same(before, weights(model))


def test_resuming_needs_a_path_and_a_run(tmp_path):
    with pytest.raises(ValueError, match="needs checkpoint="):
        train(small_model(), translation_loss, batches, CONFIG, resume=True)
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        train(small_model(), translation_loss, batches, CONFIG, (), None, tmp_path / "x", True)
    save_model(small_model(), tmp_path / "model")
    with pytest.raises(ValueError, match="not a training run"):
        train(small_model(), translation_loss, batches, CONFIG, (), None, tmp_path / "model", True)


def test_a_loss_that_explodes_is_told():
    config = TrainingConfig(steps=4, report_every=4)
    with pytest.raises(FloatingPointError, match="lower learning_rate"):
        train(small_model(), lambda m, b: translation_loss(m, b) * float("nan"), batches, config)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("fused", [True, False])
def test_either_precision_and_kernel_learns(precision, fused):
    model = small_model()
    for module in model.modules():
        if hasattr(module, "fused"):
            module.fused = fused
    config = TrainingConfig(30, 1e-2, warmup_steps=5, report_every=30, precision=precision)
    assert train(model, translation_loss, batches, config)[-1]["train_loss"] < 2.8


def test_learning_rate_rises_to_its_peak_and_falls_to_zero():
    config = TrainingConfig(steps=100, learning_rate=2.0, warmup_steps=10)
    assert learning_rate_at(5, config) == pytest.approx(1.0)
    assert learning_rate_at(10, config) == pytest.approx(2.0)
    assert learning_rate_at(55, config) == pytest.approx(1.0)
    assert learning_rate_at(100, config) == 0.0
    peak = max(range(1, 9000), key=lambda step: paper_learning_rate_at(step, 512))
    assert peak == 4000
    assert paper_learning_rate_at(peak, 512) == pytest.approx((512 * 4000) ** -0.5)


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"steps": 5, "warmup_steps": 0}, "warmup_steps must be"),
        ({"steps": 5, "precision": "float16"}, "precision must be"),
    ],
)
def test_training_configuration_names_the_wrong_field(fields, message):
    with pytest.raises(ValueError, match=message):
        TrainingConfig(**fields)


@pytest.mark.parametrize("tied", [True, False])
def test_saved_model_loads_as_it_was(tmp_path, tied):
    model = small_model(tied_embeddings=tied)
    save_model(model, tmp_path / "m.safetensors")
    loaded = load_model(tmp_path / "m.safetensors")
    assert loaded.config == model.config and not loaded.training
    assert same(weights(model), weights(loaded))
    assert (loaded.output.weight is loaded.source_embedding.token.weight) == tied


def test_weights_for_another_configuration_are_refused_and_change_nothing(tmp_path):
    save_model(small_model(), tmp_path / "m")
    other = small_model(d_ff=32, norm_first=True)
    before = weights(other)
    with pytest.raises(ValueError, match="d_ff is 24 there and 32 here; norm_first is False"):
        load_weights(other, tmp_path / "m")
    assert same(before, weights(other))


def test_weights_that_fit_are_loaded(tmp_path):
    model, other = small_model(), small_model()
    with torch.no_grad():
        model.output.weight.add_(1)
    save_model(model, tmp_path / "m")
    load_weights(other, tmp_path / "m")
    assert same(weights(model), weights(other))


def test_missing_truncated_and_foreign_files_are_told_apart(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        load_model(tmp_path / "nothing")
    save_model(small_model(), tmp_path / "m")
    data = (tmp_path / "m").read_bytes()
    for length in (0, 5, 100, len(data) - 1):
        (tmp_path / "cut").write_bytes(data[:length])
        with pytest.raises(ValueError, match="damaged"):
            load_model(tmp_path / "cut")
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(2)}, tmp_path / "foreign")
    with pytest.raises(ValueError, match="not written by this project"):
        load_model(tmp_path / "foreign")
    write_tensors(tmp_path / "other", {"a": torch.zeros(2)}, {})
    with pytest.raises(ValueError, match="no model configuration"):
        load_model(tmp_path / "other")


def test_tensors_of_another_model_are_named(tmp_path):
    model = small_model()
    tensors = dict(model.named_parameters())
    removed = tensors.pop("output.weight") if "output.weight" in tensors else None
    if removed is None:
        removed = tensors.pop(next(iter(tensors)))
    tensors["stranger"] = removed
    facts = {"model": checkpoints.asdict(model.config)}
    write_tensors(tmp_path / "m", tensors, facts)
    with pytest.raises(ValueError, match="missing .*unknown .*stranger"):
        load_model(tmp_path / "m")


def test_a_write_that_fails_leaves_the_old_file_and_no_rubbish(tmp_path, monkeypatch):
    path = tmp_path / "m"
    write_tensors(path, {"a": torch.zeros(2)}, {"kept": 1})

    def full_disk(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints.os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_tensors(path, {"a": torch.ones(2)}, {"kept": 2})
    assert read_tensors(path)[1] == {"kept": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="create it first"):
        save_model(small_model(), tmp_path / "nowhere" / "m")
