"""training.py: the loss, the loop, and runs that are interrupted and go on as if they were not."""

import subprocess
import sys
from itertools import islice

import pytest
import torch
import torch.nn.functional as F

from helpers.attention import attention, fused_attention, use_attention
from helpers.batching import collate
from helpers.checkpoints import read_tensors, save_model
from helpers.special_ids import PAD
from helpers.training import (
    TrainingConfig,
    learning_rate_at,
    mean_loss,
    paper_learning_rate_at,
    train,
    translation_loss,
)
from tests.support import (
    EXAMPLES,
    ROOT,
    SHORT_RUN,
    all_equal,
    batches,
    copies_of_parameters,
    needs_signals,
    small_model,
)


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


def test_training_learns_and_reports():
    model = small_model()
    validation = [collate(EXAMPLES[:20])]
    before = mean_loss(model, translation_loss, validation)
    seen, asked = [], []

    def evaluate(trained, step):
        asked.append((trained is model, step))
        return {"validation_loss": mean_loss(trained, translation_loss, validation), "own": step}

    config = TrainingConfig(steps=60, warmup_steps=10, report_every=30, learning_rate=1e-2)
    history = train(
        model, translation_loss, batches, config, evaluate, report=lambda h: seen.append(len(h))
    )
    assert history[-1]["validation_loss"] < before / 2
    assert [row["step"] for row in history] == [row["own"] for row in history] == [30, 60]
    assert asked == [(True, 30), (True, 60)] and seen == [1, 2]
    assert not model.training


def test_a_run_without_evaluation_reports_its_own_numbers():
    history = train(small_model(), translation_loss, batches, SHORT_RUN)
    own = ["step", "seconds", "tokens_per_second", "train_loss", "learning_rate"]
    assert [list(row) for row in history] == [own] * 3


def test_evaluation_may_change_the_mode_of_the_model():
    """Training goes on as if nobody had looked."""

    def evaluate(model, step):
        return {"loss": mean_loss(model, translation_loss, [collate(EXAMPLES[:5])])}

    watched, alone = small_model(dropout=0.3), small_model(dropout=0.3)
    train(watched, translation_loss, batches, SHORT_RUN, evaluate)
    train(alone, translation_loss, batches, SHORT_RUN)
    assert all_equal(watched.parameters(), alone.parameters())


@pytest.mark.parametrize("training", [True, False])
def test_the_mean_loss_counts_by_tokens_in_evaluation_mode(training):
    model = small_model(dropout=0.5).train(training)
    some = [collate(EXAMPLES[:3]), collate([([4], [*range(5, 20)])])]
    whole = mean_loss(model, translation_loss, some)
    assert model.training is training and whole == mean_loss(model, translation_loss, some)
    tokens = [batch.num_tokens for batch in some]
    each = [mean_loss(model, translation_loss, [batch]) for batch in some]
    assert tokens == [9, 16] and each[0] != pytest.approx(each[1])
    weighted = sum(n * value for n, value in zip(tokens, each, strict=True)) / sum(tokens)
    assert whole == pytest.approx(weighted)
    with pytest.raises(ValueError, match="batches must hold at least one batch"):
        mean_loss(model, translation_loss, [])


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_the_mean_loss_restores_the_mode_after_an_error_too(training, error):
    def fails(model, batch):
        assert not model.training
        raise error

    model = small_model().train(training)
    with pytest.raises(error):
        mean_loss(model, fails, [collate(EXAMPLES[:3])])
    assert all(m.training is training for m in model.modules()) and torch.is_grad_enabled()


def test_training_leaves_the_callers_random_numbers_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    model = small_model  # created before, so that only train could disturb
    torch.manual_seed(5)
    built = model()
    torch.manual_seed(5)
    train(built, translation_loss, batches, SHORT_RUN)
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
    history = train(whole, translation_loss, batches, SHORT_RUN)
    path = tmp_path / "run.safetensors"
    broken = small_model(dropout=0.3)
    with pytest.raises(KeyboardInterrupt, match="step 8 is saved in .*resume=True"):
        train(
            broken,
            translation_loss,
            batches,
            SHORT_RUN,
            checkpoint=path,
            report=interrupted_after(2),
        )
    resumed = small_model(dropout=0.3)
    with torch.no_grad():
        next(resumed.parameters()).zero_()  # the weights in memory do not matter
    again = train(resumed, translation_loss, batches, SHORT_RUN, checkpoint=path, resume=True)
    assert all_equal(copies_of_parameters(whole), copies_of_parameters(resumed))
    assert [row["train_loss"] for row in again] == [row["train_loss"] for row in history]


@needs_signals
@pytest.mark.slow
def test_kill_minus_nine_keeps_the_last_checkpoint(tmp_path):
    path = tmp_path / "run.safetensors"
    code = f"""
import os, signal
from tests.support import *
from helpers.training import train, translation_loss
def report(history):
    if len(history) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
train(small_model(dropout=0.3), translation_loss, batches, SHORT_RUN, checkpoint={str(path)!r},
      report=report)
"""
    killed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert killed.returncode == -9
    resumed, whole = small_model(dropout=0.3), small_model(dropout=0.3)
    train(resumed, translation_loss, batches, SHORT_RUN, checkpoint=path, resume=True)
    train(whole, translation_loss, batches, SHORT_RUN)
    assert all_equal(copies_of_parameters(whole), copies_of_parameters(resumed))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.safetensors"]


def test_interrupted_before_the_first_checkpoint_says_start_over(tmp_path):
    def no_batches(start):
        raise KeyboardInterrupt
        yield

    with pytest.raises(KeyboardInterrupt, match="before a checkpoint was saved"):
        train(small_model(), translation_loss, no_batches, SHORT_RUN, checkpoint=tmp_path / "x")


@pytest.mark.parametrize(
    "change, message", [({"learning_rate": 1.0}, "learning_rate is"), ({"seed": 9}, "seed is")]
)
def test_resuming_with_another_configuration_names_the_field(tmp_path, change, message):
    path = tmp_path / "run.safetensors"
    train(small_model(), translation_loss, batches, SHORT_RUN, checkpoint=path)
    model = small_model()
    before = copies_of_parameters(model)
    other = TrainingConfig(**{"steps": 12, "warmup_steps": 3, "report_every": 4, **change})
    with pytest.raises(ValueError, match=message):
        train(model, translation_loss, batches, other, checkpoint=path, resume=True)
    assert all_equal(before, copies_of_parameters(model))


def test_resuming_needs_a_path_and_a_run(tmp_path):
    with pytest.raises(ValueError, match="needs checkpoint="):
        train(small_model(), translation_loss, batches, SHORT_RUN, resume=True)
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        absent = tmp_path / "absent"
        train(small_model(), translation_loss, batches, SHORT_RUN, checkpoint=absent, resume=True)
    save_model(small_model(), tmp_path / "model")
    with pytest.raises(ValueError, match="not a training run"):
        model = tmp_path / "model"
        train(small_model(), translation_loss, batches, SHORT_RUN, checkpoint=model, resume=True)


def test_batches_that_end_too_early_are_told():
    with pytest.raises(ValueError, match="batches must go on to step 12, not 6"):
        train(small_model(), translation_loss, lambda start: islice(batches(start), 5), SHORT_RUN)


def test_a_loss_that_explodes_is_told():
    config = TrainingConfig(steps=4, report_every=4)
    with pytest.raises(FloatingPointError, match="NaN or infinite loss at step 4: lower learning"):
        train(small_model(), lambda m, b: translation_loss(m, b) * float("nan"), batches, config)


def test_weights_that_explode_in_the_last_step_replace_no_checkpoint(tmp_path):
    """Its loss is finite still; what would be saved is not."""
    path, calls = tmp_path / "run.safetensors", []

    def finite_with_nan_gradient(model, batch):
        calls.append(batch)
        value = translation_loss(model, batch)
        bad = (value.detach() - value).clamp(min=0).sqrt()  # 0, and its slope there is infinite
        return value + bad if len(calls) == 8 else value

    with pytest.raises(FloatingPointError, match="NaN or infinite new weights at step 8"):
        train(small_model(), finite_with_nan_gradient, batches, SHORT_RUN, checkpoint=path)
    tensors, metadata = read_tensors(path)
    assert metadata["history"][-1]["step"] == 4
    assert all(tensor.isfinite().all() for tensor in tensors.values())


@pytest.mark.parametrize("warmup_steps", [1, 200])
def test_a_run_of_one_step_learns_something(warmup_steps):
    config = TrainingConfig(steps=1, learning_rate=1e-2, warmup_steps=warmup_steps)
    model = small_model()
    before = copies_of_parameters(model)
    (row,) = train(model, translation_loss, batches, config)
    assert row["learning_rate"] == pytest.approx(1e-2 / warmup_steps)
    moved = [not torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True)]
    assert all(moved)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("function", [fused_attention, attention])
def test_either_precision_and_kernel_learns(precision, function):
    model = small_model()
    use_attention(model, function)
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
    with pytest.raises(ValueError, match="step must be at least 1, got 0"):
        paper_learning_rate_at(0, 512)
    assert paper_learning_rate_at(peak, 512) == pytest.approx((512 * 4000) ** -0.5)


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"steps": 0}, "steps must be a whole number >= 1, got 0"),
        ({"steps": 5, "warmup_steps": 0}, "warmup_steps must be"),
        ({"steps": 5.5}, "steps must be a whole number >= 1, got 5.5"),
        ({"steps": 5, "report_every": float("nan")}, "report_every must be"),
        ({"steps": 5, "learning_rate": 0.0}, "learning_rate must be above 0 and finite, got 0.0"),
        ({"steps": 5, "learning_rate": float("nan")}, "learning_rate must be"),
        ({"steps": 5, "learning_rate": float("inf")}, "learning_rate must be"),
        ({"steps": 5, "precision": "float16"}, "precision must be"),
    ],
)
def test_training_configuration_names_the_wrong_field(fields, message):
    with pytest.raises(ValueError, match=message):
        TrainingConfig(**fields)
