"""The promises of the wiring, each as a counterfactual, each with mutants that it must reject.

A check here is a function of a model; it is run on our Transformer in training mode (without
dropout) and in evaluation mode, pre- and post-norm, and then on deliberately broken models.
"""

import pytest
import torch

from helpers.attention import record_attention
from helpers.masks import causal_mask, padding_mask
from helpers.transformer import Transformer
from tests.twins import tiny_model

SOURCE = torch.tensor([[5, 6, 7, 8, 9], [5, 6, 7, 0, 0]])
TARGET = torch.tensor([[1, 11, 12, 13], [1, 14, 15, 16]])


def replaced(ids, row, column, value):
    ids = ids.clone()
    ids[row, column] = value
    return ids


def cross_outputs(model, target, memory, mask):
    """The output of every decoder layer's cross-attention, first layer first."""
    outputs = []
    hooks = [
        layer.cross_attention.register_forward_hook(lambda _, __, output: outputs.append(output))
        for layer in model.decoder.layers
    ]
    model.decode(target, memory, mask)
    for hook in hooks:
        hook.remove()
    return outputs


def a_target_token_cannot_change_earlier_logits(model):
    for t in range(1, TARGET.size(1)):
        before, after = model(SOURCE, TARGET), model(SOURCE, replaced(TARGET, 0, t, 20))
        assert torch.equal(before[0, :t], after[0, :t]), f"position {t} leaks backwards"
        assert not torch.equal(before[0, t:], after[0, t:]), f"position {t} is not heard"


def padding_is_not_heard(model):
    longer = torch.cat([SOURCE, torch.zeros(2, 3, dtype=torch.long)], dim=1)
    torch.testing.assert_close(model(SOURCE, TARGET), model(longer, TARGET), rtol=0, atol=1e-12)
    memory, mask = model.encode(SOURCE)
    noisy = memory.clone()
    noisy[1, 3:] += 7.0  # what stands at padded places
    assert torch.equal(model.decode(TARGET, memory, mask), model.decode(TARGET, noisy, mask))
    noisy[1, 0] += 7.0
    assert not torch.equal(model.decode(TARGET, memory, mask), model.decode(TARGET, noisy, mask))


def a_source_token_reaches_every_decoder_layers_cross_attention(model):
    for s in range(3):
        before = cross_outputs(model, TARGET, *model.encode(SOURCE))
        after = cross_outputs(model, TARGET, *model.encode(replaced(SOURCE, 1, s, 20)))
        assert len(before) == model.config.num_decoder_layers, "not every layer looks"
        for one, other in zip(before, after, strict=True):
            assert torch.equal(one[0], other[0]), "another sentence is heard"
            assert ((one[1] - other[1]).abs().amax(-1) > 1e-9).all(), "the source is not heard"


def every_target_position_looks_at_every_memory_vector(model):
    memory, mask = model.encode(SOURCE)
    for s in range(SOURCE.size(1)):
        changed = memory.clone()
        changed[0, s] += 1.0
        before = cross_outputs(model, TARGET, memory, mask)
        after = cross_outputs(model, TARGET, changed, mask)
        for one, other in zip(before, after, strict=True):
            assert ((one[0] - other[0]).abs().amax(-1) > 1e-9).all(), f"memory {s} is not heard"


def every_decoder_layer_receives_the_final_memory(model):
    memory, mask = model.encode(SOURCE)
    received = []
    hooks = [
        layer.cross_attention.register_forward_pre_hook(
            lambda _, inputs: received.append(inputs[1])
        )
        for layer in model.decoder.layers
    ]
    model.decode(TARGET, memory, mask)
    for hook in hooks:
        hook.remove()
    assert len(received) == model.config.num_decoder_layers
    assert all(context is memory for context in received)


def one_layers_w_k_moves_that_layers_map_only(model):
    def maps():
        with record_attention(model) as recorded:
            model(SOURCE, TARGET)
        return {name: m.clone() for name, m in recorded.items()}

    before = maps()
    weight = model.decoder.layers[1].cross_attention.w_k.weight
    original = weight.detach().clone()
    with torch.no_grad():
        weight.mul_(-3.0)
    after = maps()
    with torch.no_grad():
        weight.copy_(original)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert "decoder.layers.1.cross_attention" in moved
    assert "decoder.layers.0.cross_attention" not in moved
    assert not any(name.startswith("encoder") for name in moved)


CHECKS = [
    a_target_token_cannot_change_earlier_logits,
    padding_is_not_heard,
    a_source_token_reaches_every_decoder_layers_cross_attention,
    every_target_position_looks_at_every_memory_vector,
    every_decoder_layer_receives_the_final_memory,
    one_layers_w_k_moves_that_layers_map_only,
]


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("norm_first", [False, True], ids=["post-norm", "pre-norm"])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_transformer_keeps_the_promise(check, norm_first, training):
    check(tiny_model(norm_first).train(training))


class FutureMaskedInTrainingOnly(Transformer):
    def decode(self, target_ids, memory, source_mask):
        y = self.target_embedding(target_ids)
        mask = padding_mask(target_ids)
        if self.training:
            mask = mask & causal_mask(y.size(1))
        return self.decoder(y, memory, mask, source_mask)


class CausalMaskInverted(Transformer):
    def decode(self, target_ids, memory, source_mask):
        y = self.target_embedding(target_ids)
        return self.decoder(y, memory, ~causal_mask(y.size(1)), source_mask)


class TargetMaskInCrossAttention(Transformer):
    def decode(self, target_ids, memory, source_mask):
        y = self.target_embedding(target_ids)
        mask = causal_mask(y.size(1))
        rectangular = torch.ones(y.size(1), memory.size(1), dtype=torch.bool).tril()
        return self.decoder(y, memory, mask, rectangular)


class PaddingHeard(Transformer):
    def encode(self, source_ids):
        mask = torch.ones_like(padding_mask(source_ids))
        return self.encoder(self.source_embedding(source_ids), mask), mask


class MemoryForgotten(Transformer):
    def decode(self, target_ids, memory, source_mask):
        return super().decode(target_ids, memory * 0, source_mask)


class LayerIToLayerI(Transformer):
    def encode(self, source_ids):
        mask = padding_mask(source_ids)
        x, self.states = self.source_embedding(source_ids), []
        for layer in self.encoder.layers:
            x = layer(x, mask)
            self.states.append(x)
        return self.encoder.norm(x), mask

    def decode(self, target_ids, memory, source_mask):
        y = self.target_embedding(target_ids)
        mask = causal_mask(y.size(1))
        contexts = [*self.states[: len(self.decoder.layers)], memory][: len(self.decoder.layers)]
        for layer, context in zip(self.decoder.layers, contexts, strict=True):
            y = layer(y, context, mask, source_mask)
        return self.decoder.norm(y)


class LastLayerOnly(Transformer):
    def decode(self, target_ids, memory, source_mask):
        y = self.target_embedding(target_ids)
        mask = causal_mask(y.size(1))
        for layer in self.decoder.layers[:-1]:
            y = layer.add_norm_self(y, lambda h, at=layer: at.self_attention(h, h, mask))
            y = layer.add_norm_ff(y, layer.feed_forward)
        return self.decoder.norm(self.decoder.layers[-1](y, memory, mask, source_mask))


class SharedCrossAttention(Transformer):
    def __init__(self, config):
        super().__init__(config)
        for layer in self.decoder.layers[1:]:
            layer.cross_attention = self.decoder.layers[0].cross_attention


MUTANTS = [
    (FutureMaskedInTrainingOnly, a_target_token_cannot_change_earlier_logits),
    (CausalMaskInverted, a_target_token_cannot_change_earlier_logits),
    (TargetMaskInCrossAttention, every_target_position_looks_at_every_memory_vector),
    (TargetMaskInCrossAttention, padding_is_not_heard),
    (PaddingHeard, padding_is_not_heard),
    (MemoryForgotten, a_source_token_reaches_every_decoder_layers_cross_attention),
    (MemoryForgotten, every_decoder_layer_receives_the_final_memory),
    (LayerIToLayerI, every_decoder_layer_receives_the_final_memory),
    (LastLayerOnly, every_decoder_layer_receives_the_final_memory),
    (LastLayerOnly, a_source_token_reaches_every_decoder_layers_cross_attention),
    (SharedCrossAttention, one_layers_w_k_moves_that_layers_map_only),
]


@pytest.mark.parametrize("mutant, check", MUTANTS, ids=lambda x: x.__name__)
def test_the_check_rejects_the_mutant(mutant, check):
    good = tiny_model()
    torch.manual_seed(0)
    broken = mutant(good.config).double().eval()
    with pytest.raises(AssertionError):
        check(broken)


def test_a_leak_in_evaluation_mode_is_invisible_in_training_mode():
    """Why every check runs in both modes: this mutant passes in one of them."""
    broken = FutureMaskedInTrainingOnly(tiny_model().config).double().train()
    a_target_token_cannot_change_earlier_logits(broken)


def test_gradients_reach_the_encoder_only_through_cross_attention():
    model = tiny_model()
    memory, mask = model.encode(SOURCE)
    model.output(model.decode(TARGET, memory.detach(), mask)).square().sum().backward()
    assert all(p.grad is None for p in model.encoder.parameters())
    model(SOURCE, TARGET).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert all(p.grad.abs().sum() > 0 for p in model.encoder.layers[0].feed_forward.parameters())


def test_order_of_sentences_in_the_batch_does_not_matter():
    model = tiny_model().eval()
    order = torch.tensor([1, 0])
    torch.testing.assert_close(
        model(SOURCE, TARGET)[order], model(SOURCE[order], TARGET[order]), rtol=0, atol=1e-12
    )
