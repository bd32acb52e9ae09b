"""cache.py: what is read once need not be read again, and nothing else changes."""

import pytest
import torch

from helpers.batching import pad
from helpers.cache import Cache, CrossAttentionCache, SelfAttentionCache
from helpers.decoding import beam_search, extend_hypotheses, greedy, next_logits
from helpers.lessons.broken_models import CachedOneTooEarly, put_into
from helpers.special_ids import BOS
from tests.support import (
    D_MODEL,
    EXACT,
    SENTENCES,
    B,
    H,
    model_that_ends,
    random,
    seeds,
    tiny_model,
)


def logits_step_by_step(model, source_ids, ids, cached):
    """The logits after each prefix of ids (batch, length), BOS first: (length, batch, vocab)."""
    memory, source_mask = model.encode(source_ids)
    cache = Cache(len(model.decoder.layers)) if cached else None
    prefixes = (ids[:, : t + 1] for t in range(ids.size(1)))
    return torch.stack([next_logits(model, p, memory, source_mask, cache) for p in prefixes])


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("seed", seeds(3))
def test_cached_logits_equal_uncached_ones(seed, norm_first):
    model = tiny_model(seed=seed, norm_first=norm_first).eval()
    ids = torch.randint(4, 23, (3, 20), generator=torch.Generator().manual_seed(seed))
    ids[:, 0] = BOS
    cached, whole = (logits_step_by_step(model, pad(SENTENCES), ids, c) for c in (True, False))
    torch.testing.assert_close(cached, whole, **EXACT)


def test_that_equality_refuses_a_cache_whose_positions_are_off_by_one():
    model = put_into(CachedOneTooEarly, tiny_model().eval()).double()
    ids = torch.tensor([[BOS, 5, 6]] * 3)
    cached, whole = (logits_step_by_step(model, pad(SENTENCES), ids, c) for c in (True, False))
    torch.testing.assert_close(cached[0], whole[0], **EXACT)  # asleep at first
    assert not torch.allclose(cached[1], whole[1])


def test_several_tokens_may_enter_the_cache_at_once():
    model = tiny_model().eval()
    memory, source_mask = model.encode(pad(SENTENCES))
    ids = torch.tensor([[BOS, 5, 6, 7, 8]] * 3)
    cache = Cache(len(model.decoder.layers))
    parts = [model.decode(p, memory, source_mask, cache) for p in ids.split([2, 2, 1], dim=1)]
    whole = model.decode(ids, memory, source_mask)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, **EXACT)
    assert cache.length == 5


@pytest.mark.parametrize("seed", seeds(5))
def test_cached_greedy_generates_the_same_tokens(seed):
    model = model_that_ends(seed)
    cached, whole = (greedy(model, pad(SENTENCES), 20, cached=c) for c in (True, False))
    assert torch.equal(cached, whole)


def test_the_memorys_keys_are_computed_once_and_self_attentions_once_a_step():
    model, seen = tiny_model().eval(), {"self": [], "cross": []}
    for name, calls in seen.items():
        w_k = getattr(model.decoder.layers[0], f"{name}_attention").w_k
        w_k.register_forward_hook(lambda m, x, y, calls=calls: calls.append(x[0].size(1)))
    length = greedy(model, pad(SENTENCES), 9).size(1)
    assert seen == {"self": [1] * length, "cross": [5]}


def keys_values(context):
    """Stands for a layer's: keys and values that can be told apart, of (batch, length, d_model)."""
    heads = context.unflatten(-1, (H, -1)).transpose(1, 2)  # (batch, heads, length, d_k)
    return heads, -heads


def test_self_attentions_cache_returns_all_that_it_was_given():
    """Over several enlargements of its block, and by ones and by twos."""
    cache, context = SelfAttentionCache(), random(B, 60, D_MODEL)
    seen = 0
    for new in (1, 1, 2, 1, 20, 1, 2, 32):
        key, value = cache.update(keys_values, context[:, seen : seen + new])
        seen += new
        wanted_key, wanted_value = keys_values(context[:, :seen])
        assert torch.equal(key, wanted_key) and torch.equal(value, wanted_value)
        assert cache.length == seen
    assert seen == 60


def test_self_attentions_cache_seldom_copies_and_only_when_it_is_full():
    """100 tokens, one by one: a block is used to its end before a larger one takes its place."""
    cache, blocks = SelfAttentionCache(), []
    for token in random(1, 100, D_MODEL).split(1, dim=1):
        full = blocks and cache.length == blocks[-1].size(1)
        cache.update(keys_values, token)
        if not blocks or cache.block is not blocks[-1]:
            assert full or not blocks
            blocks.append(cache.block)
    assert len(blocks) <= 4


def test_cross_attentions_cache_computes_once():
    calls = []

    def counted(context):
        calls.append(context)
        return keys_values(context)

    cache, memory = CrossAttentionCache(), random(B, 5, D_MODEL)
    first, second = cache.update(counted, memory), cache.update(counted, memory)
    assert len(calls) == 1 and calls[0] is memory
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("beam", [1, 3])
def test_length_counts_positions_also_where_a_beam_reads_several_tokens_at_one(beam):
    model = tiny_model().eval()
    memory, source_mask = model.encode(pad(SENTENCES))
    cache = Cache(len(model.decoder.layers))
    ids = torch.full((len(SENTENCES), 1, 1), BOS)
    ancestors = ids[:, :, :0].bool()
    for position in range(1, 6):
        _, ancestors = extend_hypotheses(model, ids, ancestors, memory, source_mask, cache)
        assert cache.length == position
        words = torch.arange(4, 4 + beam).expand(len(SENTENCES), beam)[:, :, None] + position
        ids = torch.cat([ids.expand(-1, beam, -1), words], dim=-1)
        ancestors = ancestors.expand(-1, beam, -1)
    # The keys of every hypothesis are there: the first position has one token, the others `beam`.
    assert cache.layers[0][0].length == 1 + 4 * beam == ancestors.size(-1)


def test_a_beam_reads_each_position_once():
    model, read = model_that_ends(3), []
    model.target_embedding.register_forward_pre_hook(
        lambda _, inputs: read.append((inputs[0].size(1), *inputs[1:]))
    )
    beam_search(model, pad(SENTENCES), beam_size=3, max_length=8)
    assert read[0] == (1, 0, 1) and len(read) > 3
    assert read[1:] == [(3, position, 1) for position in range(1, len(read))]  # all three at one
