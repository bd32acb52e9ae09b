"""lessons/torch_nn.py: torch's stacks in ours and ours in torch's."""

import pytest
import torch
from torch import nn

from helpers.lessons.torch_nn import from_torch, to_torch
from tests.support import tiny_model

# torch's notes to itself on which fast path it cannot take
pytestmark = pytest.mark.filterwarnings("ignore:enable_nested_tensor")


@pytest.mark.parametrize("norm_first", [False, True])
def test_torchs_stacks_go_there_and_back(norm_first):
    model = tiny_model(norm_first=norm_first).eval()
    encoder, decoder = from_torch(to_torch(model))
    for mine, again in ((model.encoder, encoder), (model.decoder, decoder)):
        for (name, p), (other, q) in zip(
            mine.named_parameters(), again.named_parameters(), strict=True
        ):
            assert name == other and torch.equal(p, q)


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
