"""decoder.py equals torch.nn, forward and gradients, with every mask."""

import pytest
import torch
from torch import nn

from helpers.decoder import Decoder, DecoderLayer
from helpers.encoder import Encoder
from helpers.lessons.broken_layers import CrossBeforeSelf, KeysFromDecoder, ResidualFromMemory
from helpers.lessons.torch_nn import copy_layer
from helpers.masks import causal_mask, padding_mask, to_attn_mask, to_key_padding_mask
from tests.support import (
    D_MODEL,
    EXACT,
    SIZES,
    SOURCE_IDS,
    B,
    S,
    T,
    assert_same_gradients,
    states,
)


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_decoder_layer_equals_torch(norm_first, masked):
    torch.manual_seed(0)
    ours = DecoderLayer(*SIZES, 0.0, norm_first).double()
    twin = nn.TransformerDecoderLayer(*SIZES, 0.0, batch_first=True, norm_first=norm_first).double()
    copy_layer(ours, twin, ours_to_theirs=True)
    y, memory = states(T, seed=1), states(S, seed=2)
    target_mask = causal_mask(T) if masked else None
    source_mask = padding_mask(SOURCE_IDS) if masked else None
    output = ours(y, memory, target_mask, source_mask)
    expected = twin(
        y,
        memory,
        tgt_mask=to_attn_mask(target_mask) if masked else None,
        memory_key_padding_mask=to_key_padding_mask(source_mask) if masked else None,
    )
    torch.testing.assert_close(output, expected, **EXACT)
    assert_same_gradients(output, expected, [y, memory])


@pytest.mark.parametrize("mutant", [ResidualFromMemory, KeysFromDecoder, CrossBeforeSelf])
@pytest.mark.parametrize("norm_first", [False, True])
def test_comparison_of_decoder_layers_rejects_mutants(mutant, norm_first):
    torch.manual_seed(0)
    broken = mutant(*SIZES, 0.0, norm_first).double()
    twin = nn.TransformerDecoderLayer(*SIZES, 0.0, batch_first=True, norm_first=norm_first).double()
    copy_layer(broken, twin, ours_to_theirs=True)
    y, memory = (
        states(S, seed=1),
        states(S, seed=2),
    )  # T = S: nothing stops these bugs but the numbers
    with pytest.raises(AssertionError):
        torch.testing.assert_close(broken(y, memory), twin(y, memory), **EXACT)


@pytest.mark.parametrize("norm_first", [False, True])
def test_decoder_without_memory_is_an_encoder_with_a_causal_mask(norm_first):
    torch.manual_seed(0)
    decoder = Decoder(2, *SIZES, 0.0, norm_first, with_memory=False).double()
    encoder = Encoder(2, *SIZES, 0.0, norm_first).double()
    encoder.load_state_dict(decoder.state_dict())
    y = states(T, seed=1)
    expected = encoder(y, causal_mask(T))
    torch.testing.assert_close(decoder(y, target_mask=causal_mask(T)), expected, **EXACT)


def test_memory_must_be_given_where_and_only_where_it_is_used():
    y, memory = torch.zeros(B, T, D_MODEL), torch.zeros(B, S, D_MODEL)
    with pytest.raises(ValueError, match="with_memory=True got no memory"):
        DecoderLayer(*SIZES)(y)
    with pytest.raises(ValueError, match="with_memory=False got a memory"):
        DecoderLayer(*SIZES, with_memory=False)(y, memory)
