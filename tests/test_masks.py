"""masks.py: True = may attend, and the two translations to torch.nn."""

import pytest
import torch
import torch.nn.functional as F

from helpers.masks import (
    causal_mask,
    decoder_mask,
    padding_mask,
    to_attn_mask,
    to_key_padding_mask,
)
from helpers.special_ids import BOS, EOS, PAD, UNK

IDS = torch.tensor([[4, 5, 6], [7, PAD, PAD]])


def test_special_ids_are_four_different_numbers():
    assert (PAD, BOS, EOS, UNK) == (0, 1, 2, 3)


def test_padding_mask_hides_padding_only():
    mask = padding_mask(IDS)
    assert mask.shape == (2, 1, 1, 3) and mask.dtype == torch.bool
    assert mask[:, 0, 0].tolist() == [[True, True, True], [True, False, False]]


def test_causal_mask_allows_the_past_and_the_present():
    assert causal_mask(3).tolist() == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]


def test_combined_mask_needs_both():
    both = padding_mask(IDS) & causal_mask(3)
    assert both.shape == (2, 1, 3, 3)
    assert both[1, 0].tolist() == [[True, False, False]] * 3


def test_convention_is_that_of_scaled_dot_product_attention():
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 1, 2, 3, 4).unbind(0)
    mask = causal_mask(3)
    by_torch = F.scaled_dot_product_attention(query, key, value, is_causal=True)
    torch.testing.assert_close(F.scaled_dot_product_attention(query, key, value, mask), by_torch)


def test_adapters_invert():
    assert to_key_padding_mask(padding_mask(IDS)).tolist() == (IDS == PAD).tolist()
    assert to_attn_mask(causal_mask(3)).tolist() == (~causal_mask(3)).tolist()


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: padding_mask(torch.tensor([1, 2])), "ids must be"),
        (lambda: causal_mask(0), "length must be at least 1"),
        (lambda: padding_mask(torch.zeros(1, 1, 2)), "ids must be"),
        (lambda: to_key_padding_mask(causal_mask(3)), "mask must be"),
        (lambda: to_key_padding_mask(causal_mask(3)[None, None]), "mask must be"),
        (lambda: to_key_padding_mask(causal_mask(3)[None, :, None]), "mask must be"),
        (lambda: to_key_padding_mask(causal_mask(3)[:, None, :, None]), "mask must be"),
        (lambda: to_attn_mask(torch.tensor([True])), "mask must be"),
        (lambda: to_attn_mask(padding_mask(IDS)), "mask must be"),
    ],
)
def test_wrong_shapes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_decoders_mask_hides_padding_and_what_comes_later():
    assert decoder_mask(IDS).tolist() == [
        [[[True, False, False], [True, True, False], [True, True, True]]],
        [[[True, False, False]] * 3],
    ]


def test_behind_cached_tokens_new_ones_see_all_of_the_past_and_nothing_later():
    two = torch.tensor([[4, 5], [6, 7]])
    assert decoder_mask(two, past=2).tolist() == [
        [True, True, True, False],
        [True, True, True, True],
    ]
    assert decoder_mask(two[:, :1], past=2) is None  # one token sees them all: nothing to hide
    assert decoder_mask(two[:, :1]).tolist() == [[[[True]]], [[[True]]]]


def test_the_smallest_sentence_has_a_mask_of_one():
    assert causal_mask(1).tolist() == [[True]] and causal_mask(1, "meta").device.type == "meta"
