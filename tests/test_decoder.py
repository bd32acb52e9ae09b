"""encoder.py and decoder.py equal torch.nn, forward and gradients, with every mask."""

import pytest
import torch
from torch import nn

from helpers.decoder import Decoder, DecoderLayer
from helpers.encoder import Encoder, EncoderLayer
from helpers.lessons.torch_nn import copy_layer
from helpers.masks import causal_mask, padding_mask, to_attn_mask, to_key_padding_mask

B, T, S, H, D_MODEL, D_FF = 2, 3, 5, 4, 16, 24
EXACT = {"rtol": 0, "atol": 1e-10}
SOURCE_IDS = torch.tensor([[5, 6, 7, 8, 9], [5, 6, 7, 0, 0]])
SIZES = (D_MODEL, H, D_FF)


def states(length: int, seed: int) -> torch.Tensor:
    torch.manual_seed(seed)
    return torch.randn(B, length, D_MODEL, dtype=torch.float64, requires_grad=True)


def assert_same_gradients(output, expected, inputs):
    weights = torch.randn_like(output)  # a plain sum has no gradient behind a norm
    got = torch.autograd.grad((output * weights).sum(), inputs)
    want = torch.autograd.grad((expected * weights).sum(), inputs)
    for ours, theirs in zip(got, want, strict=True):
        assert theirs.abs().max() > 1e-6
        torch.testing.assert_close(ours, theirs, **EXACT)


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_encoder_layer_equals_torch(norm_first, masked):
    torch.manual_seed(0)
    ours = EncoderLayer(*SIZES, 0.0, norm_first).double()
    twin = nn.TransformerEncoderLayer(*SIZES, 0.0, batch_first=True, norm_first=norm_first).double()
    copy_layer(ours, twin, ours_to_theirs=True)
    x, mask = states(S, 1), padding_mask(SOURCE_IDS) if masked else None
    output = ours(x, mask)
    expected = twin(x, src_key_padding_mask=to_key_padding_mask(mask) if masked else None)
    torch.testing.assert_close(output, expected, **EXACT)
    assert_same_gradients(output, expected, [x])


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_decoder_layer_equals_torch(norm_first, masked):
    torch.manual_seed(0)
    ours = DecoderLayer(*SIZES, 0.0, norm_first).double()
    twin = nn.TransformerDecoderLayer(*SIZES, 0.0, batch_first=True, norm_first=norm_first).double()
    copy_layer(ours, twin, ours_to_theirs=True)
    y, memory = states(T, 1), states(S, 2)
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


class ResidualFromMemory(DecoderLayer):
    """Mutant: the residual around cross-attention comes from the encoder (needs T = S)."""

    def forward(self, y, memory, target_mask=None, source_mask=None):
        y = self.add_norm_self(y, lambda h: self.self_attention(h, h, target_mask))
        y = self.add_norm_cross(memory, lambda h: self.cross_attention(y, h, source_mask))
        return self.add_norm_ff(y, self.feed_forward)


class KeysFromDecoder(DecoderLayer):
    """Mutant: "cross"-attention whose keys and values come from the decoder."""

    def forward(self, y, memory, target_mask=None, source_mask=None):
        y = self.add_norm_self(y, lambda h: self.self_attention(h, h, target_mask))
        y = self.add_norm_cross(y, lambda h: self.cross_attention(h, h, source_mask))
        return self.add_norm_ff(y, self.feed_forward)


class CrossBeforeSelf(DecoderLayer):
    """Mutant: cross-attention before self-attention."""

    def forward(self, y, memory, target_mask=None, source_mask=None):
        y = self.add_norm_cross(y, lambda h: self.cross_attention(h, memory, source_mask))
        y = self.add_norm_self(y, lambda h: self.self_attention(h, h, target_mask))
        return self.add_norm_ff(y, self.feed_forward)


@pytest.mark.parametrize("mutant", [ResidualFromMemory, KeysFromDecoder, CrossBeforeSelf])
@pytest.mark.parametrize("norm_first", [False, True])
def test_comparison_of_decoder_layers_rejects_mutants(mutant, norm_first):
    torch.manual_seed(0)
    broken = mutant(*SIZES, 0.0, norm_first).double()
    twin = nn.TransformerDecoderLayer(*SIZES, 0.0, batch_first=True, norm_first=norm_first).double()
    copy_layer(broken, twin, ours_to_theirs=True)
    y, memory = states(S, 1), states(S, 2)  # T = S: nothing stops these bugs but the numbers
    with pytest.raises(AssertionError):
        torch.testing.assert_close(broken(y, memory), twin(y, memory), **EXACT)


@pytest.mark.parametrize("norm_first", [False, True])
def test_decoder_without_memory_is_an_encoder_with_a_causal_mask(norm_first):
    torch.manual_seed(0)
    decoder = Decoder(2, *SIZES, 0.0, norm_first, with_memory=False).double()
    encoder = Encoder(2, *SIZES, 0.0, norm_first).double()
    encoder.load_state_dict(decoder.state_dict())
    y = states(T, 1)
    expected = encoder(y, causal_mask(T))
    torch.testing.assert_close(decoder(y, target_mask=causal_mask(T)), expected, **EXACT)


def test_memory_must_be_given_where_and_only_where_it_is_used():
    y, memory = torch.zeros(B, T, D_MODEL), torch.zeros(B, S, D_MODEL)
    with pytest.raises(ValueError, match="with_memory=True got no memory"):
        DecoderLayer(*SIZES)(y)
    with pytest.raises(ValueError, match="with_memory=False got a memory"):
        DecoderLayer(*SIZES, with_memory=False)(y, memory)


def test_dropout_acts_in_training_only():
    torch.manual_seed(0)
    layer, x = EncoderLayer(*SIZES, dropout=0.5), torch.randn(B, S, D_MODEL)
    assert not torch.equal(layer(x), layer(x))
    layer.eval()
    assert torch.equal(layer(x), layer(x))
