"""lessons/modern.py: parts of today's models, equal to those of the library that publishes them."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from transformers import LlamaConfig, T5GemmaConfig, T5GemmaForConditionalGeneration
from transformers.models.llama import modeling_llama

from helpers.attention import fused_attention, record_attention
from helpers.batching import pad
from helpers.decoding import beam_search, greedy, log_probability
from helpers.lessons.attention_variants import GroupedQueryAttention
from helpers.lessons.modern import (
    GatedFeedForward,
    RotaryAttention,
    SandwichNorm,
    SoftCap,
    T5Gemma,
    capped_attention,
    from_t5gemma,
    neighbours,
)
from helpers.masks import causal_mask
from helpers.special_ids import BOS, EOS, PAD
from helpers.transformer import TransformerConfig
from tests.support import SENTENCES, seeds

D, HEADS, GROUPS, FF = 16, 4, 2, 24
D_K = D // HEADS


def shaken(model, seed=0):
    """Away from 0 and 1, so that a weight that went lost shows."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval()


def t5gemma(seed=0, vocab_size=53):
    side = dict(
        vocab_size=vocab_size,
        hidden_size=D,
        intermediate_size=FF,
        num_attention_heads=HEADS,
        num_key_value_heads=GROUPS,
        head_dim=D_K,
        query_pre_attn_scalar=D_K,
        pad_token_id=PAD,
        bos_token_id=BOS,
        eos_token_id=EOS,
        attn_implementation="eager",
    )
    settings = T5GemmaConfig(
        encoder={**side, "num_hidden_layers": 2},
        decoder={**side, "num_hidden_layers": 3},
        vocab_size=vocab_size,  # older versions do not take it from the two sides
    )
    settings._attn_implementation = "eager"
    return shaken(T5GemmaForConditionalGeneration(settings), seed)


def ours_of(theirs):
    config = TransformerConfig(53, D, HEADS, FF, 2, 3, dropout=0.0, max_length=80)
    model = T5Gemma(config, GROUPS)
    model.load_state_dict(from_t5gemma(theirs.state_dict(), D_K))
    return model.eval()


@pytest.mark.parametrize("seed", seeds(3))
def test_t5gemma_gives_its_librarys_logits(seed):
    theirs = t5gemma(seed)
    ours = ours_of(theirs)
    source_ids, target_ids = pad(SENTENCES), torch.tensor([[BOS, 5, 6, 7, 8]] * 3)
    with torch.no_grad():
        got = ours(source_ids, target_ids)
        wanted = theirs(
            input_ids=source_ids,
            attention_mask=(source_ids != PAD).long(),
            decoder_input_ids=target_ids,
        ).logits
    torch.testing.assert_close(got, wanted, rtol=0, atol=2e-5)
    assert got.abs().max() < 30 and wanted.std() > 0.5


@pytest.mark.parametrize("seed", seeds(2))
def test_t5gemmas_cache_and_beam_are_its_own(seed):
    ours, source_ids = ours_of(t5gemma(seed)).double(), pad(SENTENCES)
    cached, whole = (greedy(ours, source_ids, 12, cached=c) for c in (True, False))
    assert torch.equal(cached, whole)
    ids, scores = beam_search(ours, source_ids, 3, length_penalty=0, max_length=12)
    own = log_probability(ours, source_ids, ids)
    torch.testing.assert_close(scores, own, rtol=0, atol=1e-6)


def test_t5gemmas_maps_can_be_looked_at():
    ours = ours_of(t5gemma())
    with record_attention(ours) as maps:
        ours(pad(SENTENCES), torch.tensor([[BOS, 5]] * 3))
    assert len(maps) == 2 + 2 * 3


def test_a_gate_of_silu_is_llamas():
    settings = LlamaConfig(
        hidden_size=D, num_attention_heads=HEADS, intermediate_size=FF, mlp_bias=True
    )
    theirs = shaken(modeling_llama.LlamaMLP(settings))
    ours = GatedFeedForward(D, FF)
    names = {"gate_proj": "w_1", "up_proj": "w_3", "down_proj": "w_2"}
    for name, own in names.items():
        getattr(ours, own).load_state_dict(getattr(theirs, name).state_dict())
    x = torch.randn(2, 5, D)
    torch.testing.assert_close(ours(x), theirs(x))


def test_a_closed_gate_lets_nothing_pass():
    layer = GatedFeedForward(D, FF)
    nn.init.zeros_(layer.w_3.weight)
    nn.init.zeros_(layer.w_3.bias)
    assert torch.equal(layer(torch.randn(1, 2, D)), layer.w_2.bias.expand(1, 2, D))


def test_rotary_attention_knows_distances_only():
    layer = shaken(RotaryAttention(D, HEADS, GROUPS)).double()
    x = torch.randn(1, 6, D).double()
    with record_attention(layer) as maps:
        layer(x, x)
        near = maps["attention"]
        later = torch.cat([torch.randn(1, 3, D).double(), x], dim=1)
        mask = torch.ones(9, 9, dtype=torch.bool)
        mask[:, :3] = False  # three words in front, which nobody looks at
        layer(later, later, mask)
    torch.testing.assert_close(maps["attention"][:, :, 3:, 3:], near)
    plain = GroupedQueryAttention(D, HEADS, GROUPS).double()
    plain.load_state_dict(layer.state_dict())
    assert not torch.allclose(plain(x, x), layer(x, x), atol=1e-3)


def test_rotary_attention_takes_any_formula():
    layer = RotaryAttention(D, HEADS, GROUPS)
    fused = RotaryAttention(D, HEADS, GROUPS, fused_attention)
    fused.load_state_dict(layer.state_dict())
    x = torch.randn(2, 5, D)
    mask = causal_mask(5)
    torch.testing.assert_close(fused(x, x, mask), layer(x, x, mask))


def test_a_sandwich_norms_what_a_sublayer_reads_and_writes():
    add_norm, x, found = shaken(SandwichNorm(D, 0.0)), torch.randn(1, 2, D), torch.randn(1, 2, D)
    rms = lambda y, w: y / (y.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt() * w
    torch.testing.assert_close(add_norm.before(x), rms(x, add_norm.norm.weight))
    torch.testing.assert_close(add_norm(x, found), x + rms(found, add_norm.norm_after.weight))


def test_a_soft_cap_keeps_small_numbers_and_order():
    x = torch.tensor([-1e6, -40.0, -0.01, 0.0, 0.01, 40.0, 1e6])
    capped = SoftCap(30.0)(x)
    assert capped.abs().max() <= 30 and torch.equal(capped, capped.sort().values)
    torch.testing.assert_close(capped[2:5], x[2:5])


def test_capped_attention_is_attention_for_small_scores_and_masks_alike():
    query, key, value = (0.01 * torch.randn(3, 1, 2, 4, 8)).unbind()
    mask = causal_mask(4)
    mask[0] = False
    output, weights = capped_attention(query, key, value, mask)
    torch.testing.assert_close(output, F.scaled_dot_product_attention(query, key, value, mask))
    assert (weights[:, :, 0] == 0).all() and not weights.isnan().any()


def test_neighbours_brings_the_two_halves_of_each_head_together():
    weight = torch.arange(12.0)[:, None]
    assert neighbours(weight, 6)[:, 0].tolist() == [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]
