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


@pytest.mark.parametrize("norm_first", [False, True])
def test_a_stack_is_its_layers_and_each_gets_the_same_memory_and_masks(norm_first):
    torch.manual_seed(0)
    decoder = Decoder(3, *SIZES, 0.2, norm_first).double().eval()
    y, memory = states(T, seed=1), states(S, seed=2)
    masks = causal_mask(T), padding_mask(SOURCE_IDS)
    expected = y
    for layer in decoder.layers:
        expected = layer(expected, memory, *masks)
    if norm_first:
        expected = nn.functional.layer_norm(expected, (D_MODEL,))
    torch.testing.assert_close(decoder(y, memory, *masks), expected, **EXACT)
    for others in ((None, masks[1]), (masks[0], None)):
        assert not torch.allclose(decoder(y, memory, *others), expected)
    assert len(decoder.layers) == len({id(layer) for layer in decoder.layers}) == 3
    assert {m.p for m in decoder.modules() if isinstance(m, nn.Dropout)} == {0.2}


@pytest.mark.parametrize("make", [lambda: DecoderLayer(*SIZES), lambda: Decoder(1, *SIZES)])
def test_the_usual_decoder_is_post_norm_drops_a_tenth_and_looks_across(make):
    decoder = make()
    layer = decoder if isinstance(decoder, DecoderLayer) else decoder.layers[0]
    parts = (layer.add_norm_self, layer.add_norm_cross, layer.add_norm_ff)
    assert all(part.norm_first is False and part.dropout.p == 0.1 for part in parts)
    assert layer.with_memory is True and layer.cross_attention.num_heads == SIZES[1]
    assert not hasattr(DecoderLayer(*SIZES, with_memory=False), "cross_attention")
