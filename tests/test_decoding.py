"""decoding.py: greedy decoding equals the definition, alone and in a batch."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.batching import pad
from helpers.cache import Cache
from helpers.decoding import (
    beam_search,
    cross_attention_maps,
    greedy,
    length_divisor,
    log_probability,
    next_logits,
    nucleus,
    sample,
    translate,
)
from helpers.lessons.broken_models import CachedOneTooEarly, put_into
from helpers.special_ids import BOS, EOS, PAD
from helpers.tokenizer import Tokenizer, UnknownWords
from tests.twins import tiny_model

SENTENCES = [[5, 6, 7, 8, EOS], [9, EOS], [10, 11, 12, EOS]]
WORDS = [f"w{i}" for i in range(4, 23)]


def by_definition(model, source, max_length):
    ids = [BOS]
    while len(ids) <= max_length and ids[-1] != EOS:
        logits = model(torch.tensor([source]), torch.tensor([ids]))[0, -1]
        logits[[PAD, BOS]] = -float("inf")
        ids.append(int(logits.argmax()))
    return ids[1:]


def model_that_ends(seed):
    """An untrained model, nudged so that sentences end at different lengths."""
    model = tiny_model(seed=seed).eval()
    with torch.no_grad():
        model.output.weight[EOS] += 0.25
    return model


@pytest.mark.parametrize("seed", range(5))
def test_batched_greedy_equals_one_sentence_at_a_time(seed):
    model = model_that_ends(seed)
    got = greedy(model, pad(SENTENCES), max_length=12).tolist()
    for row, source in zip(got, SENTENCES, strict=True):
        expected = by_definition(model, source, 12)
        assert row[: len(expected)] == expected
        assert all(i == PAD for i in row[len(expected) :])


def test_greedy_asks_in_evaluation_mode_and_restores_the_mode():
    model = tiny_model(dropout=0.5).train()
    first, second = (greedy(model, pad(SENTENCES), max_length=8) for _ in range(2))
    assert torch.equal(first, second) and model.training


def test_length_limit_is_kept_and_checked():
    model = tiny_model()
    assert greedy(model, pad(SENTENCES), max_length=3).size(1) <= 3
    for wrong in (0, 33):
        with pytest.raises(ValueError, match=r"max_length must lie in \[1, 32\]"):
            greedy(model, pad(SENTENCES), max_length=wrong)


def test_translations_come_back_in_the_order_given():
    model, tokenizer = model_that_ends(1), Tokenizer(WORDS)
    sentences = [["w5", "w6", "w7", "w8"], ["w9"], ["w10", "w11", "w12"]]
    together = translate(model, tokenizer, sentences, batch_size=2)
    assert together == [translate(model, tokenizer, [words])[0] for words in sentences]
    with pytest.raises(UnknownWords, match="'Wolf'"):
        translate(model, tokenizer, [["Wolf"]])


def test_maps_are_rectangular_and_name_their_layer():
    model, tokenizer = tiny_model(), Tokenizer(WORDS)
    maps = cross_attention_maps(model, tokenizer, ["w5", "w6", "w7"], ["w8"])
    assert list(maps) == [f"decoder.layers.{i}.cross_attention" for i in range(3)]
    for weights in maps.values():
        assert weights.shape == (4, 2, 4)
        torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights.sum(-1)))


def logits_turn_by_turn(model, source_ids, ids, cached):
    """The logits after each prefix of ids (batch, length), BOS first: (length, batch, vocab)."""
    memory, source_mask = model.encode(source_ids)
    cache = Cache(len(model.decoder.layers)) if cached else None
    prefixes = (ids[:, : t + 1] for t in range(ids.size(1)))
    return torch.stack([next_logits(model, p, memory, source_mask, cache) for p in prefixes])


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_cached_logits_equal_uncached_ones(seed, norm_first):
    model = tiny_model(seed=seed, norm_first=norm_first).double().eval()
    ids = torch.randint(4, 23, (3, 20), generator=torch.Generator().manual_seed(seed))
    ids[:, 0] = BOS
    cached, whole = (logits_turn_by_turn(model, pad(SENTENCES), ids, c) for c in (True, False))
    torch.testing.assert_close(cached, whole, rtol=0, atol=1e-10)


def test_that_equality_refuses_a_cache_whose_positions_are_off_by_one():
    model = put_into(CachedOneTooEarly, tiny_model().eval()).double()
    ids = torch.tensor([[BOS, 5, 6]] * 3)
    cached, whole = (logits_turn_by_turn(model, pad(SENTENCES), ids, c) for c in (True, False))
    torch.testing.assert_close(cached[0], whole[0], rtol=0, atol=1e-10)  # asleep at first
    assert not torch.allclose(cached[1], whole[1])


def test_several_tokens_may_enter_the_cache_at_once():
    model = tiny_model().double().eval()
    memory, source_mask = model.encode(pad(SENTENCES))
    ids = torch.tensor([[BOS, 5, 6, 7, 8]] * 3)
    cache = Cache(len(model.decoder.layers))
    parts = [model.decode(p, memory, source_mask, cache) for p in ids.split([2, 2, 1], dim=1)]
    whole = model.decode(ids, memory, source_mask)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=0, atol=1e-10)
    assert cache.length == 5


@pytest.mark.parametrize("seed", range(5))
def test_cached_greedy_says_the_same_tokens(seed):
    model = model_that_ends(seed)
    cached, whole = (greedy(model, pad(SENTENCES), 20, cached=c) for c in (True, False))
    assert torch.equal(cached, whole)


def test_the_memorys_keys_are_computed_once_and_self_attentions_one_a_turn():
    model, seen = tiny_model().eval(), {"self": [], "cross": []}
    for name, calls in seen.items():
        w_k = getattr(model.decoder.layers[0], f"{name}_attention").w_k
        w_k.register_forward_hook(lambda m, x, y, calls=calls: calls.append(x[0].size(1)))
    length = greedy(model, pad(SENTENCES), 9).size(1)
    assert seen == {"self": [1] * length, "cross": [5]}


def beam_by_definition(model, source, beam_size, length_penalty, max_length):
    """Lists of (log-probability, ids), no cache: the independent twin of beam_search."""
    alive, best = [(0.0, [BOS])], (-float("inf"), [])
    for length in range(1, max_length + 1):
        proposals = []
        for total, ids in alive:
            logits = model(torch.tensor([source]), torch.tensor([ids]))[0, -1].log_softmax(-1)
            gains = enumerate(logits.tolist())
            proposals += [(total + p, [*ids, w]) for w, p in gains if w not in (PAD, BOS)]
        kept = sorted(proposals, key=lambda x: -x[0])[:beam_size]
        ended = [x for x in kept if x[1][-1] == EOS or length == max_length]
        divisor = length_divisor(length, length_penalty)
        best = max([best, *((total / divisor, ids[1:]) for total, ids in ended)])
        alive = [x for x in kept if x not in ended]
        if not alive:
            break
    return best


@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("beam_size", [1, 2, 5])
@pytest.mark.parametrize("seed", range(3))
def test_batched_beam_search_equals_the_definition(seed, beam_size, length_penalty):
    model = model_that_ends(seed).double()
    ids, scores = beam_search(model, pad(SENTENCES), beam_size, length_penalty, max_length=8)
    for row, score, source in zip(ids.tolist(), scores.tolist(), SENTENCES, strict=True):
        with torch.no_grad():
            wanted = beam_by_definition(model, source, beam_size, length_penalty, 8)
        assert [i for i in row if i != PAD] == wanted[1]
        assert score == pytest.approx(wanted[0], abs=1e-9)


@pytest.mark.parametrize("search", [greedy, lambda *a: beam_search(*a, beam_size=3)[0]])
def test_no_search_says_padding_or_a_second_start(search):
    model = tiny_model()
    with torch.no_grad():
        model.output.weight[[PAD, BOS]] = 5 * model.output.weight[7]  # it would love to
    for row in search(model, pad(SENTENCES)).tolist():
        said = row[: row.index(EOS)] if EOS in row else row
        assert PAD not in said and BOS not in said


@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_a_freed_slot_is_filled_as_transformers_does(seed, length_penalty):
    """The definition in lists: 2 · beam best, what ends leaves its place to the next living."""
    model = model_that_ends(seed).double()
    found, scores = beam_search(model, pad(SENTENCES), 3, length_penalty, 8, as_transformers=True)
    for row, score, source in zip(found.tolist(), scores.tolist(), SENTENCES, strict=True):
        alive, best = [(0.0, [BOS])], (-float("inf"), [])
        for length in range(1, 9):
            proposals = []
            for total, ids in alive:
                with torch.no_grad():
                    logits = model(torch.tensor([source]), torch.tensor([ids]))[0, -1]
                gains = enumerate(logits.log_softmax(-1).tolist())
                proposals += [(total + p, [*ids, w]) for w, p in gains if w not in (PAD, BOS)]
            ranked = sorted(proposals, key=lambda x: -x[0])[:6]
            ends = lambda x, length=length: x[1][-1] == EOS or length == 8
            ended = [(t / length**length_penalty, ids[1:]) for t, ids in filter(ends, ranked[:3])]
            best = max([best, *ended])
            alive = [x for x in ranked if not ends(x)][:3]
        assert [i for i in row if i != PAD] == best[1]
        assert score == pytest.approx(best[0], abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_a_beam_of_one_is_greedy(seed):
    model = model_that_ends(seed)
    found, _ = beam_search(model, pad(SENTENCES), beam_size=1, max_length=20)
    assert torch.equal(found, greedy(model, pad(SENTENCES), 20))


def test_the_beams_score_is_the_sentences_own_probability():
    model = model_that_ends(3).double()
    source_ids = pad(SENTENCES)
    ids, scores = beam_search(model, source_ids, beam_size=3, max_length=20)
    lengths = (ids != PAD).sum(-1).tolist()
    divisors = torch.tensor([length_divisor(n, 0.6) for n in lengths], dtype=torch.float64)
    own = log_probability(model, source_ids, ids) / divisors
    torch.testing.assert_close(scores, own, rtol=0, atol=1e-9)


def test_a_sentence_is_searched_as_if_it_were_alone():
    model = model_that_ends(2).double()
    together, _ = beam_search(model, pad(SENTENCES), beam_size=4, max_length=12)
    for row, source in zip(together.tolist(), SENTENCES, strict=True):
        alone = beam_search(model, torch.tensor([source]), beam_size=4, max_length=12)[0][0]
        assert [i for i in row if i != PAD] == [i for i in alone.tolist() if i != PAD]


def test_beams_of_words_in_translate():
    model, tokenizer = model_that_ends(1), Tokenizer(WORDS)
    sentences = [["w5", "w6", "w7", "w8"], ["w9"]]
    together = translate(model, tokenizer, sentences, beam_size=3)
    assert together == [translate(model, tokenizer, [s], beam_size=3)[0] for s in sentences]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (dict(beam_size=0), "beam_size"),
        (dict(beam_size=24), "beam_size"),
        (dict(length_penalty=-1.0), "length_penalty"),
        (dict(max_length=33), "max_length"),
    ],
)
def test_beam_search_names_what_is_wrong(options, named):
    model = tiny_model().train()
    with pytest.raises(ValueError, match=named):
        beam_search(model, pad(SENTENCES), **options)
    assert model.training


@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=9), st.floats(0.01, 1))
@settings(max_examples=60, deadline=None)
def test_the_nucleus_is_the_smallest_set_that_reaches_top_p(numbers, top_p):
    p = torch.tensor([numbers], dtype=torch.float64)
    p = p / p.sum()
    kept = nucleus(p, top_p)[0]
    torch.testing.assert_close(kept.sum().item(), 1.0)
    chosen, left = p[0][kept > 0], p[0][kept == 0]
    assert len(chosen) and (len(left) == 0 or chosen.min() >= left.max())
    assert chosen.sum() >= top_p - 1e-9 and chosen.sum() - chosen.min() < top_p + 1e-9


def test_sampling_cold_is_greedy_and_a_seed_repeats_it():
    model, source_ids = model_that_ends(1), pad(SENTENCES)
    seeded = lambda: torch.Generator().manual_seed(5)
    assert torch.equal(
        sample(model, source_ids, seeded(), 1e-4, 1.0, 9), greedy(model, source_ids, 9)
    )
    assert torch.equal(
        sample(model, source_ids, seeded(), 1.0, 1e-6, 9), greedy(model, source_ids, 9)
    )
    hot = [sample(model, source_ids, seeded(), 3.0, 1.0, 9) for _ in range(2)]
    assert torch.equal(*hot) and not torch.equal(hot[0], greedy(model, source_ids, 9))
    for wrong in (dict(temperature=0.0), dict(top_p=0.0), dict(top_p=1.1)):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            sample(model, source_ids, seeded(), **wrong)


def test_what_decoding_returns_may_be_trained_on():
    model = tiny_model()
    ids = greedy(model, pad(SENTENCES), 4)
    model(pad(SENTENCES), ids).sum().backward()  # tensors of inference mode would refuse
