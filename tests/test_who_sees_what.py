"""Who sees what: each promise of the wiring as a counterfactual, with mutants that it must reject.

A check here is a function of a model; it is run on our Transformer in training mode (without
dropout) and in evaluation mode, pre- and post-norm, and then on deliberately broken models.
"""

import pytest
import torch

from helpers.attention import record_attention
from helpers.lessons.broken_models import FutureInEvaluation, InvertedMask, TargetMaskInCross
from helpers.lessons.leaky_models import (
    CausalMaskForgotten,
    CausalMaskInCross,
    CausalMaskInverted,
    EarlyEncoderLayers,
    MemoryForgotten,
    MemoryInLastLayerOnly,
    PaddingHeard,
    SharedCrossAttention,
)
from tests.support import SOURCE_IDS as SOURCE
from tests.support import TARGET_IDS as TARGET
from tests.support import tiny_model


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
    noisy[1, 3:] += 7.0  # the states at padding
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


MUTANTS = [
    (FutureInEvaluation, a_target_token_cannot_change_earlier_logits),
    (CausalMaskForgotten, a_target_token_cannot_change_earlier_logits),
    (CausalMaskInverted, a_target_token_cannot_change_earlier_logits),
    (CausalMaskInCross, every_target_position_looks_at_every_memory_vector),
    (CausalMaskInCross, padding_is_not_heard),
    (TargetMaskInCross, every_target_position_looks_at_every_memory_vector),
    (TargetMaskInCross, padding_is_not_heard),
    (InvertedMask, every_target_position_looks_at_every_memory_vector),
    (InvertedMask, padding_is_not_heard),
    (PaddingHeard, padding_is_not_heard),
    (MemoryForgotten, a_source_token_reaches_every_decoder_layers_cross_attention),
    (MemoryForgotten, every_decoder_layer_receives_the_final_memory),
    (EarlyEncoderLayers, every_decoder_layer_receives_the_final_memory),
    (MemoryInLastLayerOnly, every_decoder_layer_receives_the_final_memory),
    (MemoryInLastLayerOnly, a_source_token_reaches_every_decoder_layers_cross_attention),
    (SharedCrossAttention, one_layers_w_k_moves_that_layers_map_only),
]


@pytest.mark.parametrize("mutant, check", MUTANTS, ids=lambda x: x.__name__)
def test_the_check_rejects_the_mutant(mutant, check):
    with pytest.raises(AssertionError):
        check(tiny_model(kind=mutant).eval())


def test_a_leak_in_evaluation_mode_is_invisible_in_training_mode():
    """Why every check runs in both modes: this mutant passes in one of them."""
    a_target_token_cannot_change_earlier_logits(tiny_model(kind=FutureInEvaluation).train())


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
