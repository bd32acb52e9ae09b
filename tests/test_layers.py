"""layers.py: positions, embedding, feed-forward, add & norm."""

import math

import pytest
import torch
from torch import nn

from helpers.layers import AddNorm, Embedding, FeedForward, sinusoidal_positions
from tests.support import EXACT


def test_positions_equal_the_papers_formula():
    table = sinusoidal_positions(7, 6)
    for position in range(7):
        for i in range(3):
            angle = position / 10_000 ** (2 * i / 6)
            assert table[position, 2 * i] == pytest.approx(math.sin(angle), abs=1e-6)
            assert table[position, 2 * i + 1] == pytest.approx(math.cos(angle), abs=1e-6)


def test_moving_by_k_positions_is_one_rotation_wherever_it_starts():
    table = sinusoidal_positions(40, 8).double().unflatten(1, (4, 2))  # (position, pair, sin/cos)
    similarity = torch.einsum("apc,bpc->ab", table, table)
    for shift in (1, 5, 17):
        diagonal = similarity.diagonal(shift)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), rtol=0, atol=1e-5)


def test_embedding_is_scaled_and_shifted_by_position():
    embedding = Embedding(9, 6, max_length=5)
    out = embedding(torch.tensor([[4, 4]]))
    expected = embedding.token.weight[4] * math.sqrt(6) + sinusoidal_positions(2, 6)
    torch.testing.assert_close(out[0], expected)


@pytest.mark.parametrize(
    "ids, message",
    [
        (torch.tensor([[4, 9]]), r"ids must lie in \[0, 9\), got 4 to 9"),
        (torch.tensor([[-1, 3]]), r"ids must lie in \[0, 9\), got -1 to 3"),
        (torch.zeros(1, 6, dtype=torch.long), "ids has 6 positions, but max_length is 5"),
        (torch.zeros(0, 3, dtype=torch.long), "at least one sentence"),
        (torch.zeros(2, 0, dtype=torch.long), "at least one sentence"),
        (torch.zeros(3, dtype=torch.long), "ids must be"),
        (torch.zeros(1, 2), "whole numbers"),
    ],
)
def test_embedding_refuses_ids_that_it_cannot_look_up(ids, message):
    with pytest.raises(ValueError, match=message):
        Embedding(9, 6, max_length=5)(ids)


def test_odd_width_has_no_sine_and_cosine_pairs():
    with pytest.raises(ValueError, match="d_model must be even"):
        sinusoidal_positions(3, 5)


def test_feed_forward_treats_each_position_alone():
    torch.manual_seed(0)
    module = FeedForward(6, 11).double()
    x = torch.randn(2, 4, 6, dtype=torch.float64)
    changed = x.clone()
    changed[:, 2] += 1
    before, after = module(x), module(changed)
    kept = [0, 1, 3]
    assert torch.equal(before[:, kept], after[:, kept])
    assert not torch.allclose(before[:, 2], after[:, 2])


@pytest.mark.parametrize("norm_first", [False, True])
def test_add_norm_is_the_formula(norm_first):
    torch.manual_seed(0)
    module = AddNorm(6, 0.0, norm_first).double()
    sublayer = nn.Linear(6, 6).double()
    x = torch.randn(2, 4, 6, dtype=torch.float64)

    def norm(v):
        centred = v - v.mean(-1, keepdim=True)
        return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()

    expected = x + sublayer(norm(x)) if norm_first else norm(x + sublayer(x))
    found = sublayer(module.before(x))
    torch.testing.assert_close(module(x, found), expected, **EXACT)


@pytest.mark.parametrize("norm_first", [False, True])
def test_dropout_falls_on_what_the_sublayer_found_and_not_on_the_residual(norm_first):
    torch.manual_seed(0)
    x, found = torch.randn(2, 400, 6), torch.full((2, 400, 6), 100.0)
    module = AddNorm(6, 0.5, norm_first)
    module.norm = nn.Identity()
    added = module(x, found) - x
    assert {round(v) for v in added.unique().tolist()} == {0, 200}
    assert torch.equal(module.before(x), x)


def test_positions_far_out_are_as_exact_as_the_first():
    """They are worked out in float64; in float32 the angle of position 9999 would be off."""
    last = sinusoidal_positions(10_000, 6)[-1]
    angles = [9_999 / 10_000 ** (2 * i / 6) for i in range(3)]
    wanted = [function(angle) for angle in angles for function in (math.sin, math.cos)]
    assert last.tolist() == pytest.approx(wanted, abs=1e-7)
    assert last.dtype == torch.float32


def test_positions_are_no_parameters_and_not_saved_but_move_with_the_layer():
    embedding = Embedding(9, 6, max_length=5)
    assert list(embedding.state_dict()) == ["token.weight"]
    assert [name for name, _ in embedding.named_parameters()] == ["token.weight"]
    assert embedding.double().positions.dtype == torch.float64


def test_dropout_falls_on_the_sum_of_token_and_position():
    """Section 5.4: whatever is dropped is 0, its position too; what is kept grows."""
    torch.manual_seed(0)
    embedding = Embedding(9, 64, max_length=50, dropout=0.5)
    ids = torch.arange(50).remainder(9)[None]
    dropped, whole = embedding(ids), embedding.eval()(ids)
    zero = dropped == 0
    assert 0.4 < zero.float().mean() < 0.6
    torch.testing.assert_close(dropped[~zero], 2 * whole[~zero])


def test_without_being_told_an_embedding_drops_nothing():
    embedding, ids = Embedding(9, 6, max_length=5), torch.tensor([[4, 5]])
    assert torch.equal(embedding(ids), embedding.eval()(ids))


@pytest.mark.parametrize(
    "start, positions, wanted", [(0, None, [0, 1]), (2, None, [2, 3]), (3, 1, [3, 3])]
)
def test_tokens_have_the_positions_after_the_start_or_share_one(start, positions, wanted):
    embedding = Embedding(9, 6, max_length=5)
    with torch.no_grad():
        embedding.token.weight.zero_()
    found = embedding(torch.tensor([[4, 5]]), start, positions)
    torch.testing.assert_close(found[0], sinusoidal_positions(5, 6)[wanted])


@pytest.mark.parametrize("length, start, positions", [(2, 4, None), (5, 1, None), (3, 5, 1)])
def test_the_last_position_is_the_tables_last(length, start, positions):
    embedding, ids = Embedding(9, 6, max_length=5), torch.ones(1, length, dtype=torch.long)
    with pytest.raises(ValueError, match="ids has 6 positions, but max_length is 5"):
        embedding(ids, start, positions)
    assert embedding(ids, start - 1, positions).shape == (1, length, 6)


def test_feed_forward_is_two_linear_maps_with_a_relu_between():
    torch.manual_seed(0)
    module = FeedForward(3, 4).double()
    x = torch.randn(5, 3, dtype=torch.float64)
    middle = (x @ module.w_1.weight.T + module.w_1.bias).clamp(min=0)
    expected = middle @ module.w_2.weight.T + module.w_2.bias
    torch.testing.assert_close(module(x), expected, **EXACT)
