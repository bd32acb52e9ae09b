"""dropout.py: nn.Dropout in every respect but the time it takes."""

import pytest
import torch
from torch import nn

from helpers.dropout import Dropout, check_dropout
from helpers.transformer import TransformerConfig
from tests.support import tiny_model


def test_it_is_found_by_whoever_looks_for_nn_dropout():
    """Tools count, remove or switch on dropout with isinstance."""
    found = [m for m in tiny_model(dropout=0.3).modules() if isinstance(m, nn.Dropout)]
    layers, embeddings = 2 * 2 + 3 * 3, 2
    assert len(found) == layers + embeddings and all(m.p == 0.3 for m in found)


@pytest.mark.parametrize(
    "p, rate", [(0.1, 26 / 256), (0.5, 0.5), (0.001, 0.001), (0.0, 0.0), (0.999, 0.999)]
)
def test_the_rate_is_p_in_256ths_and_both_are_printed(p, rate):
    """A p that would round to nothing or to all is kept as it is."""
    layer = Dropout(p)
    assert layer.rate == rate
    assert repr(layer) == f"Dropout(p={p}, rate={rate:g})"
    assert f"p={p}, rate={rate:g}" in repr(nn.Sequential(layer))


@pytest.mark.parametrize("rate", [0.004, 0.1, 0.5, 0.9])
def test_dropout_drops_its_share_and_keeps_the_mean(rate):
    torch.manual_seed(0)
    x = torch.ones(400, 1001, requires_grad=True)
    y = Dropout(rate)(x)
    y.sum().backward()
    assert (y == 0).float().mean().item() == pytest.approx(rate, abs=0.005)
    assert y.mean().item() == pytest.approx(1.0, abs=0.02 if rate > 0.5 else 0.005)
    assert torch.equal(x.grad, y.detach())  # what was dropped gets no gradient
    assert not torch.equal(Dropout(rate)(x), y)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("rate", [0.1, 0.2, 0.3, 0.5])
def test_in_every_precision_the_mean_stays(rate, dtype):
    """What is kept must not grow by a rounded factor: in bfloat16 that would be 0.3 % off."""
    numbers = torch.Generator().manual_seed(0)
    x = torch.rand(2_000, 1_000, generator=numbers).to(dtype).requires_grad_()
    torch.manual_seed(0)
    y = Dropout(rate)(x)
    y.sum().backward()
    kept = y != 0
    assert y.dtype == x.grad.dtype == dtype
    growth = y[kept].double().sum() / x.detach()[kept].double().sum()
    assert growth.item() == pytest.approx(1 / (1 - Dropout(rate).rate), rel=1e-4)
    assert (x.grad[~kept & (x.detach() != 0)] == 0).all()  # what was 0 before may have been kept
    assert y.double().mean().item() == pytest.approx(x.double().mean().item(), rel=2e-3)


def test_dropout_treats_neighbours_independently():
    torch.manual_seed(0)
    dropped = (Dropout(0.5)(torch.ones(1_000, 1_000)) == 0).float()
    for shift in range(1, 9):
        together = (dropped[:, shift:] * dropped[:, :-shift]).mean().item()
        assert together == pytest.approx(0.25, abs=0.005)


def test_dropout_follows_the_seed_and_rests_in_evaluation():
    layer, x = Dropout(0.3), torch.randn(5, 7, dtype=torch.bfloat16)
    torch.manual_seed(4)
    first = layer(x)
    torch.manual_seed(4)
    assert torch.equal(layer(x), first) and first.dtype == x.dtype
    assert layer.eval()(x) is x and Dropout(0.0)(x) is x


@pytest.mark.parametrize("p", [0.0005, 0.001, 0.0019, 0.999])
def test_a_p_too_small_or_too_large_for_a_byte_still_drops_its_share(p):
    torch.manual_seed(0)
    y = Dropout(p)(torch.ones(2_000, 1_000))
    assert (y == 0).float().mean().item() == pytest.approx(p, rel=0.1)
    kept = y[y != 0]
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / (1 - p)))


def test_without_dropout_nothing_is_drawn():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    assert torch.equal(Dropout(0.0)(torch.ones(5)), torch.ones(5))
    Dropout(0.5).eval()(torch.ones(5))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("shape", [(0,), (1,), (7,), (8,), (3, 5, 7)])
def test_any_number_of_elements_works(shape):
    torch.manual_seed(0)
    y = Dropout(0.5)(torch.ones(shape))
    assert y.shape == shape and set(y.flatten().tolist()) <= {0.0, 2.0}


def test_what_is_not_contiguous_is_dropped_too():
    torch.manual_seed(0)
    y = Dropout(0.5)(torch.ones(30, 40).T)
    assert y.shape == (40, 30) and 0.4 < (y == 0).float().mean() < 0.6


@pytest.mark.parametrize("p", [0, 0.0, 1 / 512, 0.1, 0.5, 0.999, 0.9999999])
def test_the_configuration_takes_every_rate_that_dropout_takes(p):
    Dropout(p)
    assert TransformerConfig(10, dropout=p).dropout == p


@pytest.mark.parametrize("p", [-0.1, 1, 1.0, 1.5, float("nan"), True, "0.1", None])
def test_and_refuses_every_rate_that_dropout_refuses(p):
    with pytest.raises(ValueError, match=r"p must lie in \[0, 1\), got "):
        Dropout(p)
    with pytest.raises(ValueError, match=r"dropout must lie in \[0, 1\), got "):
        TransformerConfig(10, dropout=p)
    with pytest.raises(ValueError, match="share must lie"):
        check_dropout("share", p)


@pytest.mark.parametrize(
    "p, dropped", [(0.004, 1), (0.1, 26), (0.5, 128), (0.9, 230), (0.996, 255)]
)
def test_what_is_kept_grows_by_exactly_what_the_rate_takes_away(p, dropped):
    """On a CPU the rate is in 256ths, so that the mean stays what it was."""
    torch.manual_seed(0)
    layer = Dropout(p)
    kept = 256 / (256 - dropped)
    assert set(layer(torch.ones(9_000, dtype=torch.float64)).tolist()) == {0.0, kept}
    assert layer.rate == dropped / 256 and kept * (1 - layer.rate) == 1


def test_eight_numbers_cost_one_random_one():
    """That is where the time of nn.Dropout goes."""
    torch.manual_seed(0)
    Dropout(0.5)(torch.ones(80))
    following = torch.rand(1)
    torch.manual_seed(0)
    torch.empty(80 // 8 + 1, dtype=torch.int64).random_(-(2**63), None)
    assert torch.equal(torch.rand(1), following)


def test_half_is_dropped_unless_something_else_is_said():
    assert Dropout().p == nn.Dropout().p == 0.5


def test_elsewhere_than_on_a_cpu_it_is_nn_dropout(monkeypatch):
    asked = []
    monkeypatch.setattr(nn.functional, "dropout", lambda x, *rest: asked.append(rest) or x)
    Dropout(0.1)(torch.ones(5, device="meta"))
    Dropout(0.1).eval()(torch.ones(5))
    assert asked == [(0.1, True), (0.1, False)]
