"""lessons/torch_nn.py: torch's stacks in ours and ours in torch's."""

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from helpers.lessons.torch_nn import from_torch, to_torch
from tests.support import tiny_model

# torch's notes to itself on which fast path it cannot take
pytestmark = pytest.mark.filterwarnings("ignore:enable_nested_tensor")


@pytest.mark.parametrize("norm_first", [False, True])
def test_torchs_stacks_go_there_and_back(norm_first):
    model = tiny_model(norm_first=norm_first).eval()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    theirs = to_torch(model)
    x, y = torch.randn(2, 2, 4, 16).double().unbind()
    torch.testing.assert_close(theirs(x, y), model.decoder(y, model.encoder(x)), rtol=0, atol=1e-10)
    encoder, decoder = from_torch(theirs)
    again = nn.ModuleDict({"encoder": encoder, "decoder": decoder})
    there = {n: p for n, p in before.items() if n.startswith(("encoder", "decoder"))}
    assert there.keys() == dict(again.named_parameters()).keys()
    for name, parameter in again.named_parameters():
        assert torch.equal(parameter, there[name])
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


@pytest.mark.parametrize("norm_first", [False, True])
def test_a_stack_made_by_torch_computes_the_same_in_ours(norm_first):
    torch.manual_seed(0)
    theirs = nn.Transformer(
        16, 4, 2, 3, 24, 0.1, batch_first=True, norm_first=norm_first, dtype=torch.float64
    ).eval()
    encoder, decoder = from_torch(theirs)
    source, target = torch.randn(2, 5, 16).double(), torch.randn(2, 3, 16).double()
    with torch.no_grad():
        got = decoder(target, encoder(source))
        torch.testing.assert_close(got, theirs(source, target), rtol=0, atol=1e-10)


def test_a_stack_without_a_norm_at_its_end_gets_none():
    torch.manual_seed(0)
    theirs = nn.Transformer(8, 2, 1, 1, 8, 0.0, batch_first=True, norm_first=True).double().eval()
    theirs.encoder.norm = theirs.decoder.norm = None
    encoder, _ = from_torch(theirs)
    x = torch.randn(2, 5, 8).double()
    torch.testing.assert_close(encoder(x), theirs.encoder(x), rtol=0, atol=1e-10)


def test_torchs_other_kinds_are_refused():
    with pytest.raises(ValueError, match="activation must be ReLU"):
        from_torch(nn.Transformer(8, 2, 1, 1, 8, activation="gelu", batch_first=True))
    with pytest.raises(ValueError, match="layer_norm_eps must be 1e-5"):
        from_torch(nn.Transformer(8, 2, 1, 1, 8, layer_norm_eps=1e-6, batch_first=True))
    with pytest.raises(ValueError, match="bias must be True"):
        from_torch(nn.Transformer(8, 2, 1, 1, 8, bias=False, batch_first=True))
    for layers in ((0, 1), (1, 0)):
        with pytest.raises(ValueError, match="at least one layer each"):
            from_torch(nn.Transformer(8, 2, *layers, 8, batch_first=True))


def test_torchs_note_on_its_fast_path_is_kept_from_the_reader():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        to_torch(tiny_model(norm_first=True))
        with pytest.raises(UserWarning, match="enable_nested_tensor"):
            nn.Transformer(8, 2, 1, 1, 8, batch_first=True, norm_first=True)


@pytest.mark.parametrize("activation", [F.relu, torch.relu, nn.ReLU()])
def test_every_spelling_of_relu_is_taken(activation):
    """And what is taken computes what torch's computes."""
    theirs = nn.Transformer(8, 2, 1, 1, 8, activation=activation, batch_first=True).eval()
    encoder, decoder = from_torch(theirs)
    x, y = torch.randn(2, 5, 8), torch.randn(2, 3, 8)
    with torch.no_grad():
        torch.testing.assert_close(decoder(y, encoder(x)), theirs(x, y))


def kinds_of_layer():
    """What one layer alone may have that ours have not: (how to make it so, what is said)."""

    def other(**settings):
        """A layer made with other settings in the place of the one that is there."""

        def change(stack, i):
            kind = type(stack.layers[i])
            sizes = {"d_model": 8, "nhead": 2, "dim_feedforward": 8, **settings}
            stack.layers[i] = kind(**sizes, batch_first=True)

        return change

    def of_attention(**settings):
        def change(stack, i):
            stack.layers[i].self_attn = nn.MultiheadAttention(8, 2, batch_first=True, **settings)

        return change

    def norm(make):
        def change(stack, i):
            stack.layers[i].norm2 = make()

        return change

    return {
        "gelu": (other(activation="gelu"), "activation must be ReLU"),
        "norm_first": (
            other(norm_first=True),
            "must be like the first layer, {'d_model': 8, 'num_heads': \\[2\\], 'd_ff': 8, "
            "'norm_first': False}, got {.*'norm_first': True}",
        ),
        "heads": (other(nhead=4), "must be like the first layer"),
        "d_ff": (other(dim_feedforward=16), "must be like the first layer"),
        "eps": (other(layer_norm_eps=1e-6), "layer_norm_eps must be 1e-5"),
        "no bias": (other(bias=False), "bias must be True"),
        "bias_kv": (of_attention(add_bias_kv=True), "no kdim, vdim, bias_kv"),
        "zero_attn": (of_attention(add_zero_attn=True), "zero_attn of its own"),
        "kdim": (of_attention(kdim=4, vdim=4), "must have no kdim"),
        "attention without bias": (of_attention(bias=False), "bias must be True"),
        "norm of another kind": (norm(lambda: nn.RMSNorm(8)), "must be a LayerNorm"),
        "norm without bias": (norm(lambda: nn.LayerNorm(8, bias=False)), "must be a LayerNorm"),
        "eps of one norm": (norm(lambda: nn.LayerNorm(8, eps=1e-3)), "layer_norm_eps must be"),
    }


@pytest.mark.parametrize("side, i", [("encoder", 1), ("decoder", 0), ("decoder", 2)])
@pytest.mark.parametrize("kind", kinds_of_layer())
def test_no_layer_may_be_of_another_kind_than_ours(kind, side, i):
    """Not only the encoder's first."""
    theirs = nn.Transformer(8, 2, 2, 3, 8, batch_first=True)
    change, message = kinds_of_layer()[kind]
    change(getattr(theirs, side), i)
    with pytest.raises(ValueError, match=message):
        from_torch(theirs)


def test_cross_attention_has_as_many_heads_as_the_rest():
    theirs = nn.Transformer(8, 2, 2, 3, 8, batch_first=True)
    theirs.decoder.layers[1].multihead_attn = nn.MultiheadAttention(8, 4, batch_first=True)
    with pytest.raises(ValueError, match=r"decoder.layers\[1\] must be like the first layer"):
        from_torch(theirs)


@pytest.mark.parametrize("side", ["encoder", "decoder"])
@pytest.mark.parametrize("norm", [nn.LayerNorm(8, eps=1e-6), nn.RMSNorm(8)])
def test_nor_may_the_norm_at_the_end(norm, side):
    theirs = nn.Transformer(8, 2, 1, 1, 8, batch_first=True)
    getattr(theirs, side).norm = norm
    with pytest.raises(ValueError, match=f"{side}.norm"):
        from_torch(theirs)


@pytest.mark.parametrize("norm_first", [False, True])
def test_what_is_loaded_is_in_evaluation_mode_and_drops_out_as_theirs(norm_first):
    theirs = nn.Transformer(8, 2, 2, 3, 12, 0.3, batch_first=True, norm_first=norm_first)
    for ours, stack in zip(from_torch(theirs), (theirs.encoder, theirs.decoder), strict=True):
        assert not ours.training and len(ours.layers) == len(stack.layers)
        rates = {m.p for m in ours.modules() if isinstance(m, nn.Dropout)}
        assert rates == {0.3}
        assert all(layer.add_norm_ff.norm_first == norm_first for layer in ours.layers)
        assert all(p.dtype == torch.float32 for p in ours.parameters())


@pytest.mark.parametrize("norm_first", [False, True])
def test_what_is_given_to_torch_has_no_dropout_and_our_norms(norm_first):
    model = tiny_model(norm_first=norm_first, dropout=0.3)
    theirs = to_torch(model)
    assert {m.p for m in theirs.modules() if isinstance(m, nn.Dropout)} == {0.0}
    assert (theirs.encoder.norm is None) == (theirs.decoder.norm is None) == (not norm_first)
    assert theirs.batch_first and all(p.dtype == torch.float64 for p in theirs.parameters())
