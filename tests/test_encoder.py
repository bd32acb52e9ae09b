"""encoder.py equals torch.nn, forward and gradients, with and without a mask."""

import pytest
import torch
from torch import nn

from helpers.encoder import Encoder, EncoderLayer
from helpers.lessons.torch_nn import copy_layer
from helpers.masks import padding_mask, to_key_padding_mask
from tests.support import D_MODEL, EXACT, SIZES, SOURCE_IDS, B, S, assert_same_gradients, states


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_encoder_layer_equals_torch(norm_first, masked):
    torch.manual_seed(0)
    ours = EncoderLayer(*SIZES, 0.0, norm_first).double()
    twin = nn.TransformerEncoderLayer(*SIZES, 0.0, batch_first=True, norm_first=norm_first).double()
    copy_layer(ours, twin, ours_to_theirs=True)
    x, mask = states(S, seed=1), padding_mask(SOURCE_IDS) if masked else None
    output = ours(x, mask)
    expected = twin(x, src_key_padding_mask=to_key_padding_mask(mask) if masked else None)
    torch.testing.assert_close(output, expected, **EXACT)
    assert_same_gradients(output, expected, [x])


def test_dropout_acts_in_training_only():
    torch.manual_seed(0)
    layer, without = (EncoderLayer(*SIZES, dropout=rate) for rate in (0.5, 0.0))
    without.load_state_dict(layer.state_dict())
    x = torch.randn(B, S, D_MODEL)
    assert not torch.equal(layer(x), without(x))
    assert torch.equal(layer.eval()(x), without(x))


@pytest.mark.parametrize("norm_first", [False, True])
def test_a_stack_is_its_layers_one_after_the_other(norm_first):
    """With padding hidden in each; and in pre-norm a last norm, which post-norm has already."""
    torch.manual_seed(0)
    encoder = Encoder(3, *SIZES, 0.2, norm_first).double().eval()
    x, mask = states(S, seed=1), padding_mask(SOURCE_IDS)
    expected = x
    for layer in encoder.layers:
        expected = layer(expected, mask)
    if norm_first:
        expected = nn.functional.layer_norm(expected, (D_MODEL,))
    torch.testing.assert_close(encoder(x, mask), expected, **EXACT)
    assert not torch.allclose(encoder(x), expected)
    assert len(encoder.layers) == len({id(layer) for layer in encoder.layers}) == 3
    assert {m.p for m in encoder.modules() if isinstance(m, nn.Dropout)} == {0.2}


@pytest.mark.parametrize("make", [lambda: EncoderLayer(*SIZES), lambda: Encoder(1, *SIZES)])
def test_the_usual_encoder_is_post_norm_and_drops_a_tenth(make):
    encoder = make()
    layer = encoder if isinstance(encoder, EncoderLayer) else encoder.layers[0]
    assert layer.add_norm_self.norm_first is layer.add_norm_ff.norm_first is False
    assert layer.add_norm_self.dropout.p == layer.add_norm_ff.dropout.p == 0.1
