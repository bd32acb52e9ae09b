"""lessons/attention_variants.py: grouped queries and rotary positions do what they promise."""

import pytest
import torch

from helpers.attention import MultiHeadAttention
from helpers.lessons.attention_variants import GroupedQueryAttention, rotate


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_grouped_queries_are_heads_that_share_keys(groups):
    """The same as MultiHeadAttention whose heads of a group have equal keys and values."""
    torch.manual_seed(0)
    grouped, plain = GroupedQueryAttention(16, 4, groups), MultiHeadAttention(16, 4)
    state = grouped.state_dict()
    for name in ("w_k.weight", "w_k.bias", "w_v.weight", "w_v.bias"):
        heads = state[name].unflatten(0, (groups, 4)).repeat_interleave(4 // groups, 0)
        state[name] = heads.flatten(0, 1)
    plain.load_state_dict(state)
    x, memory = torch.randn(2, 3, 16), torch.randn(2, 5, 16)
    torch.testing.assert_close(grouped(x, memory), plain(x, memory))
    assert grouped.keys_values(memory)[0].shape == (2, groups, 5, 4)


def test_groups_must_divide_the_heads():
    with pytest.raises(ValueError, match="num_groups must divide num_heads, got 3 for 4"):
        GroupedQueryAttention(16, 4, 3)


def test_rotated_scores_know_distances_only():
    torch.manual_seed(0)
    query, key = torch.randn(4, 8).double(), torch.randn(5, 8).double()

    def scores(query_start, key_start):
        positions = torch.arange(4.0) + query_start, torch.arange(5.0) + key_start
        return rotate(query, positions[0]) @ rotate(key, positions[1]).T

    torch.testing.assert_close(scores(0, 0), scores(9, 9), rtol=0, atol=1e-5)
    assert (scores(0, 0) - scores(0, 9)).abs().max() > 0.1
    torch.testing.assert_close(rotate(query, torch.zeros(4)), query)
    torch.testing.assert_close(rotate(query, torch.arange(4.0)).norm(dim=-1), query.norm(dim=-1))
    with pytest.raises(ValueError, match="d_k must be even"):
        rotate(torch.zeros(2, 3), torch.zeros(2))
