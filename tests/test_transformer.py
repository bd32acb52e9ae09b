"""transformer.py: equality with torch.nn.Transformer, the configuration, the parameter count."""

import json
import sys
import types
from dataclasses import FrozenInstanceError, asdict

import numpy as np
import pytest
import torch
from torch import nn

from helpers.lessons.torch_nn import to_torch
from helpers.masks import causal_mask, padding_mask, to_attn_mask, to_key_padding_mask
from helpers.transformer import Transformer, TransformerConfig
from tests.support import EXACT, tiny_model
from tests.support import SOURCE_IDS as SOURCE

TARGET = torch.tensor([[1, 11, 12, 13], [1, 14, 15, 0]])  # padded too


def logits_by_torch(model: Transformer, source_ids, target_ids):
    twin = to_torch(model)
    hidden_source = to_key_padding_mask(padding_mask(source_ids))
    states = twin(
        model.source_embedding(source_ids),
        model.target_embedding(target_ids),
        tgt_mask=to_attn_mask(causal_mask(target_ids.size(1))),
        src_key_padding_mask=hidden_source,
        tgt_key_padding_mask=to_key_padding_mask(padding_mask(target_ids)),
        memory_key_padding_mask=hidden_source,
    )
    return model.output(states), twin


@pytest.mark.parametrize("norm_first", [False, True])
def test_whole_model_equals_torch_forward_and_backward(norm_first):
    model = tiny_model(norm_first)
    logits = model(SOURCE, TARGET)
    expected, twin = logits_by_torch(model, SOURCE, TARGET)
    torch.testing.assert_close(logits, expected, **EXACT)
    embedding = model.source_embedding.token.weight
    labels = torch.tensor([[11, 12, 13, 2], [14, 15, 2, 0]])

    def loss(scores):
        return nn.functional.cross_entropy(scores.flatten(0, 1), labels.flatten(), ignore_index=0)

    (ours,) = torch.autograd.grad(loss(logits), embedding, retain_graph=True)
    (theirs,) = torch.autograd.grad(loss(expected), embedding, retain_graph=True)
    torch.testing.assert_close(ours, theirs, **EXACT)
    pairs = [
        (model.encoder.layers[0].feed_forward.w_1, twin.encoder.layers[0].linear1),
        (model.encoder.layers[-1].self_attention.w_o, twin.encoder.layers[-1].self_attn.out_proj),
        (
            model.decoder.layers[0].cross_attention.w_o,
            twin.decoder.layers[0].multihead_attn.out_proj,
        ),
        (model.decoder.layers[-1].feed_forward.w_2, twin.decoder.layers[-1].linear2),
    ]
    for mine, other in pairs:
        (a,) = torch.autograd.grad(loss(logits), mine.weight, retain_graph=True)
        (b,) = torch.autograd.grad(loss(expected), other.weight, retain_graph=True)
        assert b.abs().max() > 1e-8
        torch.testing.assert_close(a, b, **EXACT)


def test_paper_base_model_has_63_million_parameters():
    with torch.device("meta"):
        model = Transformer(TransformerConfig(vocab_size=37_000))
    attention, norm = 4 * (512 * 512 + 512), 2 * 512
    feed_forward = 512 * 2048 + 2048 + 2048 * 512 + 512
    encoder = 6 * (attention + feed_forward + 2 * norm)
    decoder = 6 * (2 * attention + feed_forward + 3 * norm)
    counted = sum(p.numel() for p in model.parameters())
    assert counted == 37_000 * 512 + encoder + decoder == 63_082_496


@pytest.mark.parametrize("tied", [True, False])
def test_tied_embeddings_are_one_matrix(tied):
    sizes = dict(d_model=8, num_heads=2, d_ff=8, num_encoder_layers=1, num_decoder_layers=1)
    model = Transformer(TransformerConfig(10, tied_embeddings=tied, **sizes))
    matrices = {
        id(m.weight)
        for m in (model.source_embedding.token, model.target_embedding.token, model.output)
    }
    assert len(matrices) == (1 if tied else 3)


@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"d_model": 30}, ValueError, "d_model=30, num_heads=4"),
        ({"d_model": 0}, ValueError, "d_model must be a whole number >= 1, got 0"),
        ({"vocab_size": 3.5}, ValueError, "vocab_size must be a whole number"),
        ({"num_heads": True}, ValueError, "num_heads must be a whole number"),
        ({"num_heads": np.bool_(True)}, ValueError, "num_heads must be a whole number"),
        ({"d_ff": np.int64(0)}, ValueError, "d_ff must be a whole number >= 1, got "),
        ({"d_ff": 32.0}, ValueError, "d_ff must be a whole number"),
        ({"d_ff": "32"}, ValueError, "d_ff must be a whole number >= 1, got '32'"),
        ({"dropout": 1.0}, ValueError, "dropout must lie in"),
        ({"norm_first": 1}, TypeError, "norm_first must be True or False"),
        ({"d_model": 5, "num_heads": 5}, ValueError, "d_model must be even"),
    ],
)
def test_configuration_names_the_wrong_field(change, error, message):
    good = {"vocab_size": 10, "d_model": 32, "num_heads": 4}
    with pytest.raises(error, match=message):
        TransformerConfig(**{**good, **change})


def test_numpys_numbers_are_plain_ones_in_a_configuration():
    """They come from a search over sizes, and must survive JSON, where numpy's do not."""
    sizes = dict(vocab_size=np.int64(10), d_model=np.int32(8), num_heads=np.uint8(2))
    config = TransformerConfig(**sizes, d_ff=np.int16(8), dropout=np.float32(0.5))
    assert config == TransformerConfig(10, 8, 2, 8, dropout=0.5)
    assert {type(value) for value in asdict(config).values()} == {int, float, bool}
    assert TransformerConfig(**json.loads(json.dumps(asdict(config)))) == config
    Transformer(config)


ELSEWHERE = """
from __future__ import annotations  # every annotation is a string now
from dataclasses import dataclass
from helpers.transformer import TransformerConfig

@dataclass(frozen=True)
class WithExperts(TransformerConfig):
    experts: int = 4
    shared: bool = True
"""


def test_a_subclass_under_future_annotations_is_validated_too():
    elsewhere = types.ModuleType("elsewhere")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "elsewhere", elsewhere)  # where its annotations are looked up
        exec(ELSEWHERE, vars(elsewhere))
        kind = elsewhere.WithExperts
        assert kind(10, experts=np.int64(2)).experts == 2
        for wrong in ({"experts": 0}, {"experts": 2.5}, {"experts": "2"}, {"d_model": 0}):
            with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be a whole number"):
                kind(10, **wrong)
        for wrong in ({"shared": 1}, {"norm_first": 0}):
            with pytest.raises(TypeError, match="must be True or False"):
                kind(10, **wrong)


@pytest.mark.parametrize("tied", [True, False])
def test_new_weights_have_the_sizes_of_the_paper(tied):
    """Matrices Xavier-uniform, embeddings of size 1/√d_model, biases 0, norms 1 and 0."""
    torch.manual_seed(0)
    model = Transformer(TransformerConfig(300, 48, 4, 96, 1, 2, tied_embeddings=tied))
    embeddings = (model.source_embedding.token, model.target_embedding.token, model.output)
    for table in embeddings:
        assert table.weight.std().item() == pytest.approx(48**-0.5, rel=0.05)
        assert table.weight.abs().max() > 3 * 48**-0.5  # normal, not uniform
        assert abs(table.weight.mean().item()) < 0.005
    linears = [m for m in model.modules() if isinstance(m, nn.Linear) and m is not model.output]
    assert len(linears) == 1 * 6 + 2 * 10 and model.output.bias is None
    for linear in linears:
        limit = (6 / (linear.in_features + linear.out_features)) ** 0.5
        assert 0.98 * limit < linear.weight.abs().max() <= limit
        assert linear.weight.std().item() == pytest.approx(limit / 3**0.5, rel=0.05)
        assert (linear.bias == 0).all()
    for norm in (m for m in model.modules() if isinstance(m, nn.LayerNorm)):
        assert (norm.weight == 1).all() and (norm.bias == 0).all()


def test_the_defaults_are_the_papers_base_model():
    """Table 3; the length is ours."""
    config = TransformerConfig(37_000)
    assert asdict(config) == {
        "vocab_size": 37_000,
        "d_model": 512,
        "num_heads": 8,
        "d_ff": 2048,
        "num_encoder_layers": 6,
        "num_decoder_layers": 6,
        "dropout": 0.1,
        "norm_first": False,
        "tied_embeddings": True,
        "max_length": 512,
    }


@pytest.mark.parametrize("norm_first", [False, True])
def test_every_part_is_built_as_the_configuration_says(norm_first):
    sizes = dict(d_model=16, num_heads=4, d_ff=24, num_encoder_layers=2, num_decoder_layers=3)
    model = Transformer(
        TransformerConfig(10, **sizes, dropout=0.3, norm_first=norm_first, max_length=7)
    )
    assert (len(model.encoder.layers), len(model.decoder.layers)) == (2, 3)
    for layer in (*model.encoder.layers, *model.decoder.layers):
        assert layer.self_attention.num_heads == 4
        assert layer.feed_forward.w_1.out_features == 24
        assert layer.add_norm_self.norm_first == layer.add_norm_ff.norm_first == norm_first
    assert {m.p for m in model.modules() if isinstance(m, nn.Dropout)} == {0.3}
    for embedding in (model.source_embedding, model.target_embedding):
        assert embedding.token.weight.shape == (10, 16) and embedding.positions.shape == (7, 16)
    for stack in (model.encoder, model.decoder):
        assert isinstance(stack.norm, nn.LayerNorm if norm_first else nn.Identity)


@pytest.mark.parametrize("stack", ["encoder", "decoder"])
def test_every_sub_layer_of_every_layer_drops_out_in_training_only(stack):
    """Each dropout is met once in a pass, and with all but one at rest that one still acts."""
    model = tiny_model(dropout=0.5)
    layers = getattr(model, stack).layers
    found = [m for layer in layers for m in layer.modules() if isinstance(m, nn.Dropout)]
    assert len(found) == (2 * 2 if stack == "encoder" else 3 * 3)
    for one in found:
        model.eval()
        expected = model(SOURCE, TARGET)
        one.train()
        torch.manual_seed(0)
        assert not torch.allclose(model(SOURCE, TARGET), expected)


def test_a_configuration_cannot_be_changed_afterwards():
    with pytest.raises(FrozenInstanceError):
        TransformerConfig(10).d_model = 8


def test_bad_ids_are_named():
    model = tiny_model()
    with pytest.raises(ValueError, match=r"ids must lie in \[0, 23\), got 4 to 23"):
        model(torch.tensor([[4, 23]]), TARGET[:1])
    with pytest.raises(ValueError, match="33 positions, but max_length is 32"):
        model(SOURCE[:1], torch.ones(1, 33, dtype=torch.long))
    with pytest.raises(ValueError, match="same batch"):
        model(SOURCE, TARGET[:1])
    with pytest.raises(ValueError, match="at least one sentence"):
        model(SOURCE[:, :0], TARGET)


def run_on_another_device(model: Transformer) -> None:
    """Forward and backward on torch's device without numbers, which refuses a stray CPU tensor."""
    model.to("meta").train()
    logits = model(SOURCE.to("meta"), TARGET.to("meta"))
    assert logits.device.type == "meta"
    logits.sum().backward()


@pytest.mark.parametrize("norm_first", [True, False])
def test_nothing_stays_behind_on_the_processor(norm_first):
    """The nearest thing to a GPU that every machine has."""
    model = tiny_model(norm_first=norm_first)
    run_on_another_device(model)

    forgetful = tiny_model(norm_first=norm_first)
    table = forgetful.source_embedding.positions
    del forgetful.source_embedding.positions
    forgetful.source_embedding.positions = table  # an attribute does not move with `.to`
    with pytest.raises(RuntimeError, match="device"):
        run_on_another_device(forgetful)
