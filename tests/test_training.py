"""training.py: the loss, the loop, and runs that are interrupted and go on as if they were not."""

import math
import subprocess
import sys
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from helpers import training
from helpers.attention import attention, fused_attention, use_attention
from helpers.batching import collate
from helpers.checkpoints import read_tensors, save_model
from helpers.special_ids import PAD
from helpers.training import (
    TrainingConfig,
    Worker,
    learning_rate_at,
    make_optimizer,
    mean_loss,
    paper_learning_rate_at,
    train,
    training_step,
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


def test_the_loss_of_a_model_in_half_precision_is_worked_out_in_float32():
    model = small_model().bfloat16()
    assert translation_loss(model, collate(EXAMPLES[:3])).dtype == torch.float32


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
    assert type(whole) is float
    model.eval()
    with torch.no_grad():
        each = [translation_loss(model, batch).item() for batch in some]
    assert [batch.num_tokens for batch in some] == [9, 16] and each[0] != pytest.approx(each[1])
    assert whole == pytest.approx((9 * each[0] + 16 * each[1]) / 25)
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

    message = "^training interrupted before a checkpoint was saved; call train again to start over$"
    with pytest.raises(KeyboardInterrupt, match=message):
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
    with pytest.raises(ValueError, match="batches must last until step 12, but none came for 6"):
        train(small_model(), translation_loss, lambda start: islice(batches(start), 5), SHORT_RUN)


def test_a_loss_that_explodes_is_told():
    config = TrainingConfig(steps=4, report_every=4)
    for wrong in (math.nan, math.inf):
        with pytest.raises(
            FloatingPointError,
            match=r"NaN or infinite loss at step 4: lower learning_rate \(0.003\) or lengthen",
        ):
            train(small_model(), lambda m, b, w=wrong: translation_loss(m, b) * w, batches, config)


def test_weights_that_explode_in_the_last_step_replace_no_checkpoint(tmp_path):
    """Its loss is finite still; what would be saved is not."""
    path, calls = tmp_path / "run.safetensors", []

    def finite_with_nan_gradient(model, batch):
        calls.append(batch)
        value = translation_loss(model, batch)
        if len(calls) == 8:
            value.register_hook(lambda gradient: gradient * torch.nan)
        return value

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


@pytest.mark.parametrize(
    "step, share", [(0, 0.0), (1, 0.1), (5, 0.5), (10, 1.0), (11, 89 / 90), (55, 0.5), (99, 1 / 90)]
)
def test_learning_rate_rises_to_its_peak_and_falls_to_zero(step, share):
    config = TrainingConfig(steps=100, learning_rate=2.0, warmup_steps=10)
    assert learning_rate_at(step, config) == pytest.approx(2.0 * share)


def test_learning_rate_is_zero_at_the_last_step_and_never_less():
    for steps, warmup in ((100, 10), (2, 1), (10, 10), (10, 9)):
        config = TrainingConfig(steps=steps, learning_rate=2.0, warmup_steps=warmup)
        assert learning_rate_at(steps, config) == 0.0
        assert learning_rate_at(steps + 3, config) == 0.0
    assert learning_rate_at(9, config) == 2.0  # the step before, the peak


def test_a_warmup_longer_than_the_run_never_reaches_its_peak():
    config = TrainingConfig(steps=10, learning_rate=2.0, warmup_steps=20)
    rates = [learning_rate_at(step, config) for step in range(1, 11)]
    assert rates == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.0])


@pytest.mark.parametrize(
    "step, rate",
    [(1, 1.746928e-7), (1000, 1.746928e-4), (4000, 6.987712e-4), (16_000, 3.493856e-4)],
)
def test_the_papers_learning_rate_rises_for_4000_steps_and_falls_with_the_root(step, rate):
    """Worked out with a pocket calculator, for the width of the paper's base model."""
    assert paper_learning_rate_at(step, 512) == pytest.approx(rate, rel=1e-6)
    assert paper_learning_rate_at(step, 128) == pytest.approx(2 * rate, rel=1e-6)
    assert paper_learning_rate_at(step, 512, warmup_steps=step) >= rate
    with pytest.raises(ValueError, match="step must be at least 1, got 0"):
        paper_learning_rate_at(0, 512)


# ---- The step: clipping, then AdamW ------------------------------------------------------------


class Quadratic(nn.Module):
    """Two parameters whose gradient is known without autograd: (w, u) of ‖w - 2‖² + 1e-9 Σu."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.tensor([1.0, -3.0, 0.5], dtype=torch.float64))
        self.u = nn.Parameter(torch.tensor([0.7, 0.1], dtype=torch.float64))


SCALES = [300.0, 0.02, 1.5, 7.0]  # of the loss, step after step: with clipping and without


def quadratic_loss(model, batch):
    return batch.scale * (model.w - 2).square().sum() + 1e-9 * model.u.sum()


def quadratic_batches(start):
    return iter([SimpleNamespace(scale=s, num_tokens=1) for s in SCALES[start:]])


def test_three_steps_are_clipping_and_then_adamw_by_hand():
    """β = 0.9 and 0.98, ε = 1e-9 (section 5.3), weights decayed by 1 %, norm clipped to 1."""
    model = Quadratic()
    p = np.concatenate([model.w.detach().numpy(), model.u.detach().numpy()])
    m, v = np.zeros(5), np.zeros(5)
    for t, (scale, rate) in enumerate(zip(SCALES, (0.05, 0.1, 0.05), strict=False), start=1):
        gradient = np.concatenate([2 * scale * (p[:3] - 2), [1e-9, 1e-9]])
        gradient = gradient * min(1.0, 1.0 / np.sqrt((gradient**2).sum()))
        m, v = 0.9 * m + 0.1 * gradient, 0.98 * v + 0.02 * gradient**2
        p = p - rate * 0.01 * p
        p = p - rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.98**t)) + 1e-9)
    # The fourth step is the last, where the learning rate is 0.
    config = TrainingConfig(steps=4, learning_rate=0.1, warmup_steps=2, report_every=3)
    train(model, quadratic_loss, quadratic_batches, config)
    np.testing.assert_allclose([*model.w.tolist(), *model.u.tolist()], p, rtol=1e-5)


def test_a_step_returns_its_loss_and_forgets_the_gradients_before_it():
    model = Quadratic()
    optimizer = make_optimizer(model)
    batch = SimpleNamespace(scale=0.01, num_tokens=1)
    for _ in range(2):
        value = training_step(model, optimizer, quadratic_loss, batch)
        assert value.item() == pytest.approx(0.01 * (1 + 25 + 2.25)) and not value.requires_grad
        torch.testing.assert_close(model.w.grad, 0.02 * (model.w.detach() - 2))
    assert model.w.tolist() == [1.0, -3.0, 0.5]  # nobody has set a learning rate


@pytest.mark.parametrize("precision", [None, "float32", "bfloat16"])
def test_products_are_in_the_precision_asked_for_and_the_rest_in_float32(precision):
    model, seen = small_model(), {}
    linear = model.encoder.layers[0].feed_forward.w_1
    linear.register_forward_hook(lambda m, x, y: seen.update(product=y.dtype))

    def loss(model, batch):
        value = translation_loss(model, batch)
        seen.update(loss=value.dtype)
        return value

    optimizer = make_optimizer(model)
    asked = () if precision is None else (precision,)
    training_step(model, optimizer, loss, collate(EXAMPLES[:3]), *asked)
    assert seen == {"product": getattr(torch, precision or "float32"), "loss": torch.float32}
    assert all(p.dtype == p.grad.dtype == torch.float32 for p in model.parameters())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_run_trains_in_the_precision_of_its_configuration(precision):
    model, seen = small_model(), set()
    linear = model.decoder.layers[0].feed_forward.w_1
    linear.register_forward_hook(lambda m, x, y: seen.add(y.dtype))
    config = TrainingConfig(steps=1, report_every=1, precision=precision)
    train(model, translation_loss, batches, config)
    assert seen == {getattr(torch, precision)}


def test_half_the_bits_means_bfloat16_on_every_device(monkeypatch):
    """Elsewhere than on a CPU torch would take float16 if nobody said so."""
    asked = []
    monkeypatch.setattr(torch, "autocast", lambda *args, **named: asked.append((args, named)))
    training.autocast(nn.Linear(2, 2), "bfloat16")
    training.autocast(nn.Linear(2, 2, device="meta"), "bfloat16")
    training.autocast(nn.Linear(2, 2), "float32")
    assert asked == [((device,), {"dtype": torch.bfloat16}) for device in ("cpu", "meta")]


# ---- The loop ----------------------------------------------------------------------------------


def ticking(monkeypatch):
    """A clock that stands still unless it is told to go on."""
    clock = SimpleNamespace(now=5.0)
    fake = SimpleNamespace(perf_counter=lambda: clock.now)
    monkeypatch.setattr(training, "time", fake)
    return clock


def test_a_row_says_what_was_done_since_the_last_one(tmp_path, monkeypatch):
    """Seconds of training alone; the mean loss; the tokens of these steps, in each second."""
    clock, losses, tokens = ticking(monkeypatch), [], []

    def loss(model, batch):
        assert model.training
        clock.now += 2.0
        value = translation_loss(model, batch)
        losses.append(value.item())
        tokens.append(batch.num_tokens)
        return value

    def evaluate(model, step):
        clock.now += 1000.0
        return {}

    config = TrainingConfig(steps=10, warmup_steps=3, report_every=4)
    path = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        report = interrupted_after(2)
        train(small_model(), loss, batches, config, evaluate, report, checkpoint=path)
    model = small_model().eval()
    history = train(model, loss, batches, config, evaluate, checkpoint=path, resume=True)
    assert [row["step"] for row in history] == [4, 8, 10] and len(losses) == 10
    assert [row["seconds"] for row in history] == pytest.approx([8.0, 16.0, 20.0])
    for row, (first, last) in zip(history, [(0, 4), (4, 8), (8, 10)], strict=True):
        assert row["train_loss"] == pytest.approx(np.mean(losses[first:last]))
        took = 2.0 * (last - first)
        assert row["tokens_per_second"] == pytest.approx(sum(tokens[first:last]) / took)
    peak = config.learning_rate
    rates = [row["learning_rate"] for row in history]
    assert rates == pytest.approx([peak * 6 / 7, peak * 2 / 7, 0.0])


def test_batches_are_read_in_order_and_a_resumed_run_starts_behind_those_it_has_read(tmp_path):
    read = []

    def noted(start):
        for number, batch in enumerate(batches(start), start=start):
            read.append(number)
            yield batch

    path = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        report = interrupted_after(1)
        train(small_model(), translation_loss, noted, SHORT_RUN, report=report, checkpoint=path)
    train(small_model(), translation_loss, noted, SHORT_RUN, checkpoint=path, resume=True)
    assert read == list(range(12))


class OtherProcess(Worker):
    rank = 1


def draws(seed=0, worker=None, steps=6):
    """The random numbers that dropout would draw, one a step, and those of the row's start."""
    found = []

    def loss(model, batch):
        found.append(torch.rand(()).item())
        return quadratic_loss(model, SimpleNamespace(scale=1.0))

    config = TrainingConfig(steps=steps, warmup_steps=1, report_every=2, seed=seed)
    train(Quadratic(), loss, batches, config, worker=worker)
    return found


def test_dropouts_numbers_follow_the_seed_and_differ_by_seed_step_and_process():
    runs = [draws(0), draws(1), draws(0, OtherProcess()), draws(1, OtherProcess())]
    assert len({number for run in runs for number in run}) == 4 * 6
    assert draws(0) == runs[0] and draws(1, OtherProcess()) == runs[3]


def test_seeds_so_large_that_they_wrap_around_are_taken():
    assert draws(2**62 + 1, steps=2) != draws(2**62 + 2, steps=2)


def test_only_the_first_process_writes_evaluates_and_reports(tmp_path):
    def never(*_):
        raise AssertionError("asked in another process")

    path = tmp_path / "run"
    history = train(
        small_model(),
        translation_loss,
        batches,
        SHORT_RUN,
        evaluate=never,
        report=never,
        checkpoint=path,
        worker=OtherProcess(),
    )
    assert [row["step"] for row in history] == [4, 8, 12] and not path.exists()


def test_what_is_evaluated_is_the_whole_model_wherever_its_parts_are():
    class Spread(Worker):
        def whole_model(self, model):
            return whole

    whole, asked = small_model(), []
    config = TrainingConfig(steps=2, report_every=1)
    evaluate = lambda model, step: asked.append(model is whole) or {"own": step}
    history = train(small_model(), translation_loss, batches, config, evaluate, worker=Spread())
    assert asked == [True, True] and [row["own"] for row in history] == [1, 2]


def test_a_model_that_is_no_transformer_is_resumed_too(tmp_path):
    config = TrainingConfig(steps=4, learning_rate=0.1, warmup_steps=2, report_every=2)
    whole, broken, resumed = (Quadratic() for _ in range(3))
    train(whole, quadratic_loss, quadratic_batches, config)
    path = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        report = interrupted_after(1)
        train(broken, quadratic_loss, quadratic_batches, config, report=report, checkpoint=path)
    train(resumed, quadratic_loss, quadratic_batches, config, checkpoint=path, resume=True)
    assert all_equal(whole.parameters(), resumed.parameters())


def test_resuming_with_another_model_names_the_field(tmp_path):
    path = tmp_path / "run"
    train(small_model(), translation_loss, batches, SHORT_RUN, checkpoint=path)
    with pytest.raises(ValueError, match=f"{path}.*d_ff is 24 there and 32 here"):
        other = small_model(d_ff=32)
        train(other, translation_loss, batches, SHORT_RUN, checkpoint=path, resume=True)


def test_a_place_that_cannot_be_written_is_told_before_training(tmp_path):
    def never(model, batch):
        raise AssertionError("trained in vain")

    with pytest.raises(OSError):
        train(small_model(), never, batches, SHORT_RUN, checkpoint=tmp_path / "nowhere" / "run")


def test_a_disk_that_fills_up_is_told_with_the_way_to_go_on(tmp_path):
    path = tmp_path / "run"
    model = small_model()
    with pytest.raises(OSError, match="full") as caught:
        report = interrupted_after(2, OSError("disk full"))
        train(model, translation_loss, batches, SHORT_RUN, report=report, checkpoint=path)
    (note,) = caught.value.__notes__
    assert note == (
        f"training interrupted; step 8 is saved in {str(path)!r}. "
        "Call train again with the same arguments and resume=True to go on from there"
    )
    assert not model.training  # also when it ends like this


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"steps": 0}, "steps must be a whole number >= 1, got 0"),
        ({"steps": True}, "steps must be a whole number >= 1, got True"),
        ({"steps": 5, "warmup_steps": 0}, "warmup_steps must be a whole number >= 1, got 0"),
        ({"steps": 5.5}, "steps must be a whole number >= 1, got 5.5"),
        ({"steps": 5, "report_every": float("nan")}, "report_every must be"),
        ({"steps": 5, "report_every": -2}, "report_every must be a whole number >= 1, got -2"),
        ({"steps": 5, "learning_rate": 0.0}, "learning_rate must be above 0 and finite, got 0.0"),
        ({"steps": 5, "learning_rate": float("nan")}, "learning_rate must be"),
        ({"steps": 5, "learning_rate": float("inf")}, "learning_rate must be"),
        (
            {"steps": 5, "precision": "float8"},
            "precision must be one of 'float32', 'bfloat16', 'float16', got 'float8'$",
        ),
    ],
)
def test_training_configuration_names_the_wrong_field(fields, message):
    with pytest.raises(ValueError, match=message):
        TrainingConfig(**fields)


def test_the_smallest_configuration_is_one_step():
    config = TrainingConfig(steps=1, warmup_steps=1, report_every=1, precision="bfloat16")
    assert [row["step"] for row in train(small_model(), translation_loss, batches, config)] == [1]


@pytest.mark.parametrize("answer, rows", [(True, 2), (None, 3), (False, 3)])
def test_a_report_may_end_training_early(tmp_path, answer, rows):
    """What was trained is saved, so a longer run may go on from there."""
    config = TrainingConfig(steps=12, report_every=4, warmup_steps=2)
    path, model = tmp_path / "run.safetensors", small_model()
    enough = lambda history: answer if len(history) == 2 else False
    history = train(model, translation_loss, batches, config, report=enough, checkpoint=path)
    assert [row["step"] for row in history] == [4, 8, 12][:rows] and not model.training
    assert read_tensors(path)[1]["history"] == history


def test_all_processes_stop_where_the_first_one_says():
    class Follower(Worker):
        def agree(self, enough):
            return True

    history = train(small_model(), translation_loss, batches, SHORT_RUN, worker=Follower())
    assert [row["step"] for row in history] == [SHORT_RUN.report_every]


def test_a_process_takes_its_part_of_weights_and_moments_but_all_of_the_count(tmp_path):
    class Part(Worker):
        def shard(self, tensor, like):
            asked.append((tuple(tensor.shape), tuple(like.shape)))
            return tensor

    path, asked = tmp_path / "run", []
    train(small_model(), translation_loss, batches, SHORT_RUN, checkpoint=path)
    model = small_model()
    train(model, translation_loss, batches, SHORT_RUN, checkpoint=path, resume=True, worker=Part())
    each = [(tuple(p.shape), tuple(p.shape)) for p in model.parameters()]
    assert sorted(asked) == sorted(3 * each)  # the weights, and AdamW's two moments


def test_a_run_of_another_shape_is_named_with_its_path(tmp_path):
    """A model that is no Transformer has no configuration that could be compared."""
    path, config = tmp_path / "run", TrainingConfig(steps=2, report_every=1)
    train(Quadratic(), quadratic_loss, quadratic_batches, config, checkpoint=path)
    other = Quadratic()
    (name, parameter), *_ = other.named_parameters()
    setattr(other, name, torch.nn.Parameter(torch.zeros(2, *parameter.shape)))
    with pytest.raises(ValueError, match=f"^'{path}' does not fit this model: {name} must be"):
        train(other, quadratic_loss, quadratic_batches, config, checkpoint=path, resume=True)
