"""decoding.py: every search equals its definition, alone and in a batch, and asks the model."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.batching import pad
from helpers.corpora.toy import splits
from helpers.decoding import (
    Finished,
    beam_search,
    best_continuations,
    check_beam,
    check_ids,
    cross_attention_maps,
    decode,
    greedy,
    length_divisor,
    length_limits,
    log_probability,
    nucleus,
    sample,
    suppress_special,
    translate,
)
from helpers.lessons import broken_models, leaky_models
from helpers.lessons.broken_models import CASES, put_into
from helpers.lessons.wirings import WIRINGS, build
from helpers.special_ids import BOS, EOS, PAD
from helpers.subwords import Subwords
from helpers.tokenizer import Tokenizer, UnknownWords
from helpers.transformer import Transformer, TransformerConfig
from tests.support import (
    SENTENCES,
    WORDS,
    let_it_end,
    model_that_ends,
    seeds,
    tiny_model,
    trained_translator,
)


def by_definition(model, source, max_length):
    ids = [BOS]
    while len(ids) <= max_length and ids[-1] != EOS:
        logits = model(torch.tensor([source]), torch.tensor([ids]))[0, -1]
        logits[[PAD, BOS]] = -float("inf")
        ids.append(int(logits.argmax()))
    return ids[1:]


@pytest.mark.parametrize("seed", seeds(5))
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


LONG = [[5 + i % 17 for i in range(40)] + [EOS], [6, 7, EOS], [8, EOS], [9, 10, 11, EOS]]


def roomy(seed=0, ends=False):
    """A model with room for more than 50 tokens, which ends sentences never, or now and then."""
    torch.manual_seed(seed)
    model = Transformer(TransformerConfig(23, 16, 4, 24, 1, 2, 0.0, max_length=80)).double().eval()
    with torch.no_grad():
        model.output.weight[EOS] = 0.0 if ends else -1e3 * model.output.weight[5]
        if not ends:
            model.output = torch.nn.Linear(16, 23).double()
            model.output.bias[EOS] = -1e3
    return model


SEARCHES = {
    "greedy": greedy,
    "uncached": lambda model, ids: greedy(model, ids, cached=False),
    "sample": lambda model, ids: sample(model, ids, torch.Generator().manual_seed(0)),
    "beam of 1": lambda model, ids: beam_search(model, ids, 1)[0],
    "beam of 3": lambda model, ids: beam_search(model, ids, 3)[0],
    "as transformers": lambda model, ids: beam_search(model, ids, 3, as_transformers=True)[0],
}


@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
def test_every_sentence_has_a_limit_of_its_own(search):
    """50 tokens more than its source, whoever shares the batch, and never more than positions."""
    ids = search(roomy(), pad(LONG))
    assert (ids != PAD).sum(-1).tolist() == [80, 53, 52, 54]
    assert ids.size(1) == 80 and EOS not in ids
    for row, source in zip(ids.tolist(), LONG, strict=True):
        assert len(search(roomy(), torch.tensor([source]))[0]) == 80 - row.count(PAD)


@pytest.mark.parametrize("beam_size", [1, 4])
@pytest.mark.parametrize("seed", seeds(4))
def test_a_long_neighbour_changes_no_winner(seed, beam_size):
    model = roomy(seed, ends=True)
    together, scores = beam_search(model, pad(LONG), beam_size, length_penalty=1.0)
    for row, score, source in zip(together.tolist(), scores, LONG, strict=True):
        alone, own_score = beam_search(model, torch.tensor([source]), beam_size, 1.0)
        assert [i for i in row if i != PAD] == alone[0].tolist()
        torch.testing.assert_close(score, own_score[0], rtol=0, atol=1e-9)


def test_translate_gives_each_sentence_its_own_limit_too():
    model, tokenizer = roomy(), Tokenizer(WORDS)
    translated = translate(model, tokenizer, [["w5"] * 20, ["w6"]])
    assert list(map(len, translated)) == [71, 52]
    assert list(map(len, translate(model, tokenizer, [["w5"] * 20, ["w6"]], max_length=9))) == [
        9,
        9,
    ]


@pytest.mark.parametrize("max_length", [0, 33, 5.5, float("nan"), "7"])
def test_a_length_that_is_none_is_named(max_length):
    for search in (greedy, lambda *a: beam_search(a[0], a[1], max_length=a[2])):
        with pytest.raises(ValueError, match=r"max_length must lie in \[1, 32\]"):
            search(tiny_model(), pad(SENTENCES), max_length)


def test_translations_come_back_in_the_order_given():
    model, tokenizer = model_that_ends(1), Tokenizer(WORDS)
    sentences = [["w5", "w6", "w7", "w8"], ["w9"], ["w10", "w11", "w12"]]
    together = translate(model, tokenizer, sentences, batch_size=2)
    assert together == [translate(model, tokenizer, [words])[0] for words in sentences]
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        translate(model, tokenizer, sentences, batch_size=0)
    with pytest.raises(UnknownWords, match="'Wolf'"):
        translate(model, tokenizer, [["Wolf"]])


def test_maps_are_rectangular_and_name_their_layer():
    model, tokenizer = tiny_model(), Tokenizer(WORDS)
    maps = cross_attention_maps(model, tokenizer, ["w5", "w6", "w7"], ["w8"])
    assert list(maps) == [f"decoder.layers.{i}.cross_attention" for i in range(3)]
    for weights in maps.values():
        assert weights.shape == (4, 2, 4)
        torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights.sum(-1)))


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
@pytest.mark.parametrize("seed", seeds(3))
def test_batched_beam_search_equals_the_definition(seed, beam_size, length_penalty):
    model = model_that_ends(seed).double()
    ids, scores = beam_search(model, pad(SENTENCES), beam_size, length_penalty, max_length=8)
    for row, score, source in zip(ids.tolist(), scores.tolist(), SENTENCES, strict=True):
        with torch.no_grad():
            wanted = beam_by_definition(model, source, beam_size, length_penalty, 8)
        assert [i for i in row if i != PAD] == wanted[1]
        assert score == pytest.approx(wanted[0], abs=1e-9)


@pytest.mark.parametrize("search", [greedy, lambda *a: beam_search(*a, beam_size=3)[0]])
def test_no_search_generates_padding_or_a_second_start(search):
    model = tiny_model()
    with torch.no_grad():
        model.output.weight[[PAD, BOS]] = 5 * model.output.weight[7]  # it would love to
    for row in search(model, pad(SENTENCES)).tolist():
        said = row[: row.index(EOS)] if EOS in row else row
        assert PAD not in said and BOS not in said


@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
@pytest.mark.parametrize("seed", seeds(3))
def test_a_freed_slot_is_filled_as_transformers_does(seed, length_penalty):
    """The definition in lists: 2 · beam best, what ends makes room for the next best."""
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


@pytest.mark.parametrize("seed", seeds(5))
def test_a_beam_of_one_is_greedy(seed):
    model = model_that_ends(seed)
    found, _ = beam_search(model, pad(SENTENCES), beam_size=1, max_length=20)
    assert torch.equal(found, greedy(model, pad(SENTENCES), 20))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_beam_of_one_is_greedy_where_words_are_equally_probable(dtype):
    """In bfloat16 many logits are equal, and many more log-probabilities."""
    model = model_that_ends(1).to(dtype)
    source_ids = torch.randint(4, 23, (200, 6), generator=torch.Generator().manual_seed(0))
    found, _ = beam_search(model, source_ids, beam_size=1, max_length=8)
    assert torch.equal(found, greedy(model, source_ids, 8))


@pytest.mark.parametrize("vocab_size", [9, 60, 700])  # torch's topk has a way of its own for each
def test_of_equal_words_a_beam_of_one_takes_the_first_as_greedy_does(vocab_size):
    for seed in range(30):
        numbers = torch.Generator().manual_seed(seed)
        logits = torch.randint(5, (7, 1, vocab_size), generator=numbers).float()
        _, parent, words = best_continuations(torch.zeros(7, 1), logits.clone(), 1)
        assert torch.equal(words[:, 0], suppress_special(logits[:, 0]).argmax(-1))
        assert not parent.any()


@pytest.mark.parametrize("where", ["a weight", "one word's row", "a word that is read", "infinity"])
@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
def test_a_model_with_nan_translates_nothing_and_says_so(search, where):
    model = roomy()
    with torch.no_grad():
        if where == "a weight":
            model.decoder.layers[1].feed_forward.w_1.weight[3, 4] = torch.nan
        elif where == "one word's row":
            model.output.weight[7] = torch.nan
        elif where == "infinity":
            model.output.bias[7] = torch.inf
        else:  # nothing is wrong until that word has been written
            first = search(model, pad(LONG))[1, 0]
            model.target_embedding.token.weight = torch.nn.Parameter(
                model.target_embedding.token.weight.clone()
            )
            model.target_embedding.token.weight[first] = torch.nan
    with pytest.raises(FloatingPointError, match="logits are NaN or infinite for . of 4 sentences"):
        search(model.train(), pad(LONG))
    assert model.training


@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
def test_one_sentence_with_nan_is_enough_and_is_named(search):
    model = roomy()
    with torch.no_grad():  # the id 8 stands in the third sentence, and in the long one
        table = model.source_embedding.token
        table.weight = torch.nn.Parameter(table.weight.clone())
        table.weight[8] = torch.nan
    with pytest.raises(FloatingPointError, match=r"for 1 of 2 .*first is number 1\)"):
        search(model, pad(LONG[1:3]))


@pytest.mark.parametrize("wrong", [-1, 23, 1 << 40])
@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
def test_ids_that_no_word_has_are_found_before_the_device_sees_them(search, wrong, monkeypatch):
    """On a GPU the embedding could not raise: the process would end."""
    model = roomy()
    monkeypatch.setattr(model, "encode", None)  # is not reached
    with pytest.raises(ValueError, match=r"source_ids must lie in \[0, 23\), got .* to "):
        search(model, torch.tensor([[5, wrong, EOS]]))


def test_ids_are_checked_wherever_a_model_is_asked():
    model, words = tiny_model(), Tokenizer([*WORDS, "new"])  # one more than the model has
    with pytest.raises(ValueError, match=r"source_ids must lie in \[0, 23\), got 2 to 23"):
        translate(model, words, [["new"]])
    for name, sides in (("source", (["new"], ["w5"])), ("target", (["w5"], ["new"]))):
        with pytest.raises(ValueError, match=rf"{name} must lie in \[0, 23\)"):
            cross_attention_maps(model, words, *sides)
    for name, sides in (("source_ids", ([[23]], [[5]])), ("ids", ([[5]], [[-1]]))):
        with pytest.raises(ValueError, match=rf"^{name} must lie in \[0, 23\)"):
            log_probability(model, *map(torch.tensor, sides))


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


@pytest.mark.parametrize(
    "sentences, options, error, message",
    [
        ({("w5",), ("w6",)}, {}, TypeError, "sentences must be a list.* got type set"),
        (iter([["w5"]]), {}, TypeError, "sentences must be a list.* got type list_iterator"),
        ([["w5"], "w6"], {}, TypeError, r"sentences\[1\] must be .* got 'w6'"),
        ([["w5"], None], {}, TypeError, r"sentences\[1\] must be .* got None"),
        ([["w5"], 32 * ["w6"]], {}, ValueError, r"sentences\[1\] has 33 tokens .* at most 32"),
        ([["w5"]], {"beam_size": "5"}, ValueError, "beam_size must be a whole number, got '5'"),
        ([["w5"]], {"beam_size": 2.5}, ValueError, "beam_size must be a whole number, got 2.5"),
        ([["w5"]], {"beam_size": 0}, ValueError, r"beam_size must lie in \[1, 23\], got 0"),
        ([["w5"]], {"batch_size": "5"}, ValueError, "batch_size must be at least 1, got '5'"),
        ([["w5"]], {"length_penalty": "1"}, ValueError, "length_penalty must be a number, got '1'"),
    ],
)
def test_what_translate_cannot_take_is_named(sentences, options, error, message):
    with pytest.raises(error, match=message):
        translate(tiny_model(), Tokenizer(WORDS), sentences, **options)


def test_words_for_a_vocabulary_of_pieces_are_named():
    subwords = Subwords.learn(["le chat"], 100)
    with pytest.raises(TypeError, match=r"sentences\[1\] must be .* got \['le', 'chat'\]"):
        translate(tiny_model(), subwords, ["le chat", ["le", "chat"]])


def test_a_sentence_as_long_as_the_model_reads_is_translated():
    assert len(translate(tiny_model(), Tokenizer(WORDS), [31 * ["w6"]], max_length=2)) == 1


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
        (dict(beam_size=2.0), "beam_size"),
        (dict(length_penalty=-1.0), "length_penalty"),
        (dict(length_penalty=float("nan")), "length_penalty"),
        (dict(length_penalty=float("inf")), "length_penalty"),
        (dict(length_penalty=1e300), "length_penalty"),
        (dict(max_length=33), "max_length"),
    ],
)
def test_beam_search_names_what_is_wrong(options, named):
    model = tiny_model().train()
    with pytest.raises(ValueError, match=named):
        beam_search(model, pad(SENTENCES), **options)
    assert model.training


# ---- Every decoding path asks the model ---------------------------------------------------------

BUGS = [case.bug for case in CASES.values() if isinstance(case.bug, type)]
BROKEN = {
    name: kind
    for name, kind in vars(broken_models).items()
    if isinstance(kind, type) and kind in BUGS
}
BROKEN |= {
    name: kind
    for name, kind in vars(leaky_models).items()
    if isinstance(kind, type) and kind.__module__ == leaky_models.__name__
}
RANDOM = {"DropoutInEvaluation"}  # asked twice, it gives two answers
ONLY_IN_STEPS = {"CachedOneTooEarly"}  # reads a whole prefix as it should


def of_kind(kind, seed=0):
    """A broken model with the weights of `healthy(seed)`, which it shares a configuration with."""
    return put_into(kind, healthy(seed)).double()


def healthy(seed=0):
    torch.manual_seed(seed)
    return let_it_end(Transformer(TransformerConfig(23, 16, 4, 24, 3, 3, 0.0, True)).double())


def wired(wiring, seed=0):
    torch.manual_seed(seed)
    return let_it_end(build(wiring, TransformerConfig(23, 16, 4, 24, 3, 3, 0.0, True)).double())


@pytest.mark.parametrize("seed", seeds(3))
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_model_is_as_broken_in_a_beam_as_in_greedy_search(name, seed):
    model = of_kind(BROKEN[name], seed)
    if name in RANDOM:
        torch.manual_seed(5)
        found = beam_search(model, pad(SENTENCES), beam_size=1, max_length=12)[0]
        torch.manual_seed(5)
    else:
        found = beam_search(model, pad(SENTENCES), beam_size=1, max_length=12)[0]
    assert torch.equal(found, greedy(model, pad(SENTENCES), max_length=12))


def log_probability_by_prefixes(model, source_ids, ids):
    """As log_probability, but each prefix is read alone: for models that see the future too."""
    total = torch.zeros(len(ids), dtype=torch.float64)
    start = torch.full_like(ids[:, :1], BOS)
    for t in range(ids.size(1)):
        with torch.no_grad():
            logits = model(source_ids, torch.cat([start, ids[:, :t]], dim=1))[:, -1]
        gains = logits.log_softmax(-1).gather(-1, ids[:, t : t + 1])[:, 0]
        total += gains.masked_fill(ids[:, t] == PAD, 0.0)
    return total


@pytest.mark.parametrize("seed", seeds(2))  # with 2, the sentences end at once and show nothing
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_models_beam_is_its_own(name, seed):
    """Its score is what the broken model itself gives, and not what the healthy one would."""
    model, good, source_ids = of_kind(BROKEN[name], seed), healthy(seed), pad(SENTENCES)
    ids, scores = beam_search(model, source_ids, beam_size=3, length_penalty=0, max_length=12)
    assert not torch.allclose(scores, log_probability(good, source_ids, ids))
    if name not in RANDOM | ONLY_IN_STEPS:
        own = log_probability_by_prefixes(model, source_ids, ids)
        torch.testing.assert_close(scores, own, rtol=0, atol=1e-9)


@pytest.mark.parametrize("beam_size", [1, 4])
@pytest.mark.parametrize("name", ["InvertedMask", "TargetMaskInCross", "OwnKeysAndValues"])
def test_a_broken_model_translates_worse_in_every_search(name, beam_size):
    good, tokenizer = trained_translator()
    pairs = splits(train=1, validation=1, test=10).test
    sentences = [pair.source for pair in pairs]
    said = translate(put_into(BROKEN[name], good), tokenizer, sentences, beam_size=beam_size)
    right = translate(good, tokenizer, sentences, beam_size=beam_size)
    assert sum(a == list(p.target) for a, p in zip(right, pairs, strict=True)) > 7
    assert sum(a == list(p.target) for a, p in zip(said, pairs, strict=True)) < 3


@pytest.mark.parametrize("seed", seeds(3))
@pytest.mark.parametrize("wiring", WIRINGS)
def test_with_every_wiring_a_beam_of_one_is_greedy(wiring, seed):
    model = wired(wiring, seed)
    found, _ = beam_search(model, pad(SENTENCES), beam_size=1, max_length=12)
    assert torch.equal(found, greedy(model, pad(SENTENCES), max_length=12))


@pytest.mark.parametrize("seed", seeds(3))
@pytest.mark.parametrize("wiring", WIRINGS)
def test_with_every_wiring_the_cache_changes_nothing(wiring, seed):
    """The recurrent one leaves its cache empty, and is given the whole prefix each time."""
    model = wired(wiring, seed)
    cached, whole = (greedy(model, pad(SENTENCES), 12, cached=c) for c in (True, False))
    assert torch.equal(cached, whole)


@pytest.mark.parametrize("seed", seeds(3))
@pytest.mark.parametrize("wiring", WIRINGS)
def test_with_every_wiring_a_beams_score_is_the_models_own(wiring, seed):
    model, source_ids = wired(wiring, seed), pad(SENTENCES)
    ids, scores = beam_search(model, source_ids, beam_size=3, length_penalty=0, max_length=12)
    own = log_probability(model, source_ids, ids)
    torch.testing.assert_close(scores, own, rtol=0, atol=1e-9)


class WithoutCache(Transformer):
    """Nothing is wrong, but it knows nothing of caches and of beams."""

    def decode(self, target_ids, memory, source_mask, cache=None):
        return super().decode(target_ids, memory, source_mask)


@pytest.mark.parametrize("beam_size", [1, 3])
def test_a_model_that_ignores_the_cache_finds_the_same_beam(beam_size):
    model = model_that_ends(3)
    ignores = model_that_ends(3, kind=WithoutCache)
    for source_ids in (pad(SENTENCES), torch.tensor([SENTENCES[0]])):
        ids, scores = beam_search(model, source_ids, beam_size, max_length=12)
        same_ids, same_scores = beam_search(ignores, source_ids, beam_size, max_length=12)
        assert torch.equal(ids, same_ids)
        torch.testing.assert_close(scores, same_scores, rtol=0, atol=1e-10)


@pytest.mark.parametrize("search", ["greedy", "sample", "beam", "translate", "log_probability"])
def test_no_search_goes_round_decode(search, monkeypatch):
    """Whatever reads the decoder's layers has been asked to by Transformer.decode."""
    model, inside = model_that_ends(1), []

    def decode(self, *args, whole=Transformer.decode, **kwargs):
        inside.append(True)
        states = whole(self, *args, **kwargs)
        inside.pop()
        return states

    monkeypatch.setattr(Transformer, "decode", decode)
    asked = []
    for part in (model.target_embedding, model.decoder):
        part.register_forward_pre_hook(lambda *_: asked.append(bool(inside)))
    source_ids = pad(SENTENCES)
    {
        "greedy": lambda: greedy(model, source_ids, 6),
        "sample": lambda: sample(model, source_ids, torch.Generator().manual_seed(0), max_length=6),
        "beam": lambda: beam_search(model, source_ids, 3, max_length=6),
        "translate": lambda: translate(model.float(), Tokenizer(WORDS), [["w5"]], beam_size=2),
        "log_probability": lambda: log_probability(model, source_ids, source_ids),
    }[search]()
    assert asked and all(asked)


# ---- Sampling ----------------------------------------------------------------------------------


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


BEYOND = [0.0, -1.0, 1e-40, 1e40, float("inf"), float("nan")]


@pytest.mark.parametrize(
    ("name", "value"),
    [*(("temperature", t) for t in BEYOND), *(("top_p", p) for p in (0.0, 1.1, float("nan")))],
)
def test_sampling_names_a_temperature_or_top_p_that_is_none(name, value):
    with pytest.raises(ValueError, match=name):
        sample(tiny_model(), pad(SENTENCES), torch.Generator(), **{name: value})


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_coldest_sampling_is_greedy_and_the_hottest_takes_any_word(dtype):
    model, source_ids = model_that_ends(1).to(dtype), pad(SENTENCES)
    cold = sample(model, source_ids, torch.Generator().manual_seed(1), 1e-6, max_length=9)
    assert torch.equal(cold, greedy(model, source_ids, 9))
    many = pad(SENTENCES[:1]).expand(4000, -1)
    hot = sample(model, many, torch.Generator().manual_seed(1), 1e6, max_length=1)
    counts = hot.flatten().bincount(minlength=23)
    assert counts[[PAD, BOS]].sum() == 0 and counts[2:].min() > 120  # 4000 / 21 = 190


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_nucleus_of_one_keeps_every_word(dtype):
    """Also those so improbable that the sum of the others rounds to 1."""
    for vocab_size in (9, 3_000, 50_000):
        logits = 6 * torch.randn(4, vocab_size, generator=torch.Generator().manual_seed(0))
        probabilities = logits.softmax(-1).to(dtype)
        assert torch.equal(nucleus(probabilities, 1.0), probabilities)


def test_what_decoding_returns_may_be_trained_on():
    model = tiny_model()
    ids = greedy(model, pad(SENTENCES), 4)
    model(pad(SENTENCES), ids).sum().backward()  # tensors of inference mode would refuse


def test_by_default_a_sentence_may_have_50_tokens_more_than_its_source():
    """Section 6.1; but never more than the model has positions."""
    model = tiny_model()  # 32 positions
    roomy = Transformer(TransformerConfig(23, 8, 2, 8, 1, 1, max_length=60))
    for length, wanted in ((1, 51), (9, 59), (10, 60), (11, 60)):
        assert length_limits(roomy, torch.full((2, length), 5)).tolist() == [wanted] * 2
    assert length_limits(roomy, torch.tensor([[5, 6, EOS], [EOS, PAD, PAD]])).tolist() == [53, 51]
    assert length_limits(roomy, torch.zeros(2, 4, 7)).tolist() == [54, 54]  # pictures of 4 parts
    assert length_limits(model, torch.full((2, 5), 5), None).tolist() == [32, 32]
    for limit in (1, 32):
        assert length_limits(model, torch.full((2, 5), 5), limit).tolist() == [limit] * 2


def never_ends(model):
    with torch.no_grad():
        model.output.weight[EOS] = 0
        model.output.weight[7] *= 5
    return model.eval()


@pytest.mark.parametrize("limit", [1, 3, 32, None])
def test_a_sentence_that_does_not_end_is_cut_at_its_limit(limit):
    model = never_ends(tiny_model())
    rows = greedy(model, pad(SENTENCES), limit)
    assert EOS not in rows and rows.shape == (3, limit or 32)
    ids, scores = beam_search(model, pad(SENTENCES), 2, max_length=limit)
    assert ids.size(1) == (limit or 32) and scores.isfinite().all()


def test_decoding_stops_as_soon_as_every_sentence_has_ended():
    model, asked = tiny_model().eval(), []

    def ends_after(logits):
        """Sentence i says i + 1 tokens, the last of them EOS."""
        asked.append(logits.clone())
        return torch.tensor([EOS if len(asked) > i else 5 for i in range(3)])

    ids = decode(model, pad(SENTENCES), ends_after)
    assert ids.tolist() == [[EOS, PAD, PAD], [5, EOS, PAD], [5, 5, EOS]] and len(asked) == 3
    for logits in asked:  # nobody may choose padding, or a second beginning
        assert (logits[:, [PAD, BOS]] == -torch.inf).all() and logits[:, EOS:].isfinite().all()


@pytest.mark.parametrize(
    "length, penalty, plain, wanted",
    [
        (1, 0.6, False, 1.0),
        (7, 1.0, False, 2.0),
        (19, 0.5, False, 2.0),
        (9, 0.5, True, 3.0),
        (9, 0.0, False, 1.0),
        (9, 0.0, True, 1.0),
    ],
)
def test_the_length_penalty_is_that_of_its_paper(length, penalty, plain, wanted):
    """Wu et al. 2016, equation 14, worked out by hand; `plain` is the power of the length."""
    assert length_divisor(length, penalty, plain) == pytest.approx(wanted)
    if not plain:
        assert length_divisor(length, penalty) == pytest.approx(wanted)


def test_a_negative_length_penalty_is_refused():
    with pytest.raises(ValueError, match=r"length_penalty must lie in \[0, 10\], got -0.1"):
        length_divisor(5, -0.1)


@pytest.mark.parametrize(
    "beam_size, width, limit",
    [(0, 0, 23), (-1, -2, 23), (24, 24, 23), (12, 24, 11), (23, 23, None), (11, 22, None)],
)
def test_a_beam_is_no_wider_than_the_vocabulary(beam_size, width, limit):
    model = tiny_model()
    if limit is None:
        check_beam(model, beam_size, width)
    else:
        with pytest.raises(ValueError, match=rf"must lie in \[1, {limit}\], got {beam_size}$"):
            check_beam(model, beam_size, width)


def test_the_beams_defaults_are_four_and_six_tenths():
    model, source_ids = model_that_ends(3), pad(SENTENCES)
    ids, scores = beam_search(model, source_ids)
    same, wanted = beam_search(model, source_ids, 4, 0.6, 32, False)
    assert torch.equal(ids, same) and torch.equal(scores, wanted)
    tokenizer, sentences = Tokenizer(WORDS), [["w5", "w6", "w7"], ["w9"]]
    for size in (1, 3):
        wanted = translate(model, tokenizer, sentences, 250, size, 0.6, 32)
        assert translate(model, tokenizer, sentences, beam_size=size) == wanted


class Scripted(Transformer):
    """Says what a table of probabilities tells it: {the ids so far: {next id: probability}}."""

    table: dict

    def decode(self, target_ids, memory, source_mask, cache=None):
        rows = [tuple(row) for row in target_ids[:, 1:].tolist()]
        self.read = [self.table.get(row, {EOS: 1.0}) for row in rows]
        states = memory.new_zeros(*target_ids.shape, self.config.d_model)
        states[:, -1, 0] = torch.arange(len(rows)).to(states)
        return states


def scripted(table):
    model = Scripted(TransformerConfig(12, 2, 1, 2, 1, 1, max_length=8)).eval()
    model.table, model.steps = table, 0

    class Output(torch.nn.Module):
        def forward(self, hidden):
            model.steps += 1
            numbers = hidden[..., 0].long().flatten().tolist()
            logits = torch.full((len(numbers), 12), -50.0)
            for row, number in enumerate(numbers):
                for word, p in model.read[number].items():
                    logits[row, word] = math.log(p)
            return logits.view(*hidden.shape[:-1], 12)

    model.output = Output()
    return model


SOURCE = torch.tensor([[5, EOS]])


def test_the_search_goes_on_while_a_living_beginning_could_still_win():
    """A short sentence has ended with 0.4; a longer one, still alive with 0.6, ends better."""
    table = {(): {EOS: 0.4, 6: 0.6}, (6,): {7: 1.0}, (6, 7): {EOS: 0.9, 8: 0.1}}
    model = scripted(table)
    ids, scores = beam_search(model, SOURCE, beam_size=2, length_penalty=0.0)
    assert ids.tolist() == [[6, 7, EOS]]
    assert scores.tolist() == pytest.approx([math.log(0.6 * 0.9)])


def test_and_stops_once_none_can():
    """0.6 has ended and 0.4 lives: without a length penalty it can never be worth more."""
    table = {(): {EOS: 0.6, 6: 0.4}} | {(6,) * n: {6: 0.9, 7: 0.1} for n in range(1, 8)}
    model = scripted(table)
    ids, _ = beam_search(model, SOURCE, beam_size=2, length_penalty=0.0)
    assert ids.tolist() == [[EOS]] and model.steps == 1


def test_a_length_penalty_lets_the_longer_one_catch_up():
    """The same table: at 8 tokens 0.4 · 0.9⁷ counts for more than 0.6 at one."""
    table = {(): {EOS: 0.6, 6: 0.4}} | {(6,) * n: {6: 0.99, 7: 0.01} for n in range(1, 8)}
    ids, scores = beam_search(scripted(table), SOURCE, beam_size=2, length_penalty=2.0)
    assert ids.tolist() == [[6] * 8]
    wanted = (math.log(0.4) + 7 * math.log(0.99)) / (13 / 6) ** 2
    assert scores.tolist() == pytest.approx([wanted], rel=1e-4)


def test_the_probability_of_a_sentence_is_the_product_of_its_words():
    """Its end counts, padding does not; greedy takes the best word, a beam the best sentence."""
    table = {(): {6: 0.6, 7: 0.4}, (6,): {8: 0.5, 9: 0.5}, (7,): {EOS: 1.0}}
    model = scripted(table)
    assert greedy(model, SOURCE).tolist() == [[6, 8, EOS]]
    ids, scores = beam_search(model, SOURCE, beam_size=2, length_penalty=0.0)
    assert ids.tolist() == [[7, EOS]] and scores.tolist() == pytest.approx([math.log(0.4)])


def test_log_probability_counts_the_end_and_no_padding():
    model = tiny_model().eval()
    source_ids, ids = pad(SENTENCES[:1]), torch.tensor([[5, 6, EOS]])
    steps = model(source_ids, torch.tensor([[BOS, 5, 6]])).log_softmax(-1)[0]
    wanted = sum(steps[t, word] for t, word in enumerate(ids[0].tolist()))
    torch.testing.assert_close(log_probability(model, source_ids, ids), wanted[None].detach())
    padded = torch.tensor([[5, 6, EOS, PAD, PAD]])
    torch.testing.assert_close(log_probability(model, source_ids, padded), wanted[None].detach())
    model.train()
    log_probability(model, source_ids, ids)
    assert model.training


def test_sampling_follows_the_probabilities_the_temperature_and_the_nucleus():
    """2000 draws of one word: the shares, at temperature 2 those of the roots, and a cut tail."""
    table = {(): {6: 0.64, 7: 0.32, 8: 0.04}}
    sources, generator = SOURCE.expand(2000, -1), torch.Generator().manual_seed(0)

    def shares(*options):
        words = sample(scripted(table), sources, generator, *options, max_length=1)[:, 0]
        return [(words == word).float().mean().item() for word in (6, 7, 8)]

    assert shares() == pytest.approx([0.64, 0.32, 0.04], abs=0.03)
    roots = [0.8, 0.32**0.5, 0.2]
    assert shares(2.0) == pytest.approx([r / sum(roots) for r in roots], abs=0.035)
    assert shares(1.0, 0.7) == pytest.approx([2 / 3, 1 / 3, 0], abs=0.035)
    assert shares(1.0, 0.6) == [1, 0, 0]
    for wrong in (dict(temperature=-1.0), dict(temperature=math.nan), dict(top_p=-0.1)):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            sample(scripted(table), SOURCE, generator, **wrong)


def test_translations_are_read_in_batches_of_like_length():
    model, read = model_that_ends(1), []
    model.encoder.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0].shape[:2]))
    sentences = [["w5"] * n for n in (4, 1, 3, 2, 5)]
    said = translate(model, Tokenizer(WORDS), sentences, batch_size=2, max_length=4)
    assert [tuple(shape) for shape in read] == [(2, 3), (2, 5), (1, 6)]
    assert len(said) == 5 and all(len(words) <= 4 for words in said)


def test_maps_are_those_of_the_pair_in_evaluation_mode():
    """The last row writes EOS and the last column is the source's; dropout rests."""
    model, tokenizer = tiny_model(dropout=0.5).train(), Tokenizer(WORDS)
    maps = cross_attention_maps(model, tokenizer, ["w5", "w6"], ["w8"])
    assert model.training
    source_ids = torch.tensor([[*tokenizer.encode(["w5", "w6"]), EOS]])
    target_ids = torch.tensor([[BOS, *tokenizer.encode(["w8"])]])
    model.eval()
    layer, seen = model.decoder.layers[0].cross_attention, []
    layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
    model(source_ids, target_ids)
    ((y, memory, mask),) = [inputs[:3] for inputs in seen]
    query = layer.w_q(y).unflatten(-1, (4, 4)).transpose(1, 2)
    key = layer.w_k(memory).unflatten(-1, (4, 4)).transpose(1, 2)
    wanted = (query @ key.transpose(-1, -2) / 2).softmax(-1)[0]
    found = maps["decoder.layers.0.cross_attention"]
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-10)
    found.sum().requires_grad_()  # a tensor like any other, no longer bound to inference mode


# ---- What each search asks of the model, of the device and of the other functions --------------


def test_greedy_reads_each_token_once_unless_it_is_told_not_to():
    """With a cache the decoder is given the newest token alone, without one the whole prefix."""
    model, widths = never_ends(tiny_model()), []
    decoder = model.decode

    def watched(ids, *rest):
        widths.append(ids.size(1))
        return decoder(ids, *rest)

    model.decode = watched
    greedy(model, pad(SENTENCES), 4)
    decode(model, pad(SENTENCES), lambda logits: logits.argmax(-1), 4)
    greedy(model, pad(SENTENCES), 4, cached=False)
    assert widths == [1] * 4 + [1] * 4 + [1, 2, 3, 4]


@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
def test_a_search_works_where_its_sentences_are(search):
    """Here on the processor, although torch would put new tensors elsewhere."""
    model, source_ids = model_that_ends(1), pad(SENTENCES)
    wanted = search(model, source_ids)
    with torch.device("meta"):
        found = search(model, source_ids)
    assert torch.equal(found, wanted)


def test_limits_and_maps_are_where_the_sentences_are():
    model = tiny_model()
    for source in (torch.zeros(2, 4, 7, device="meta"), torch.ones(2, 3, device="meta").long()):
        for max_length in (None, 5):
            assert length_limits(model, source, max_length).device.type == "meta"
    assert length_limits(model, torch.zeros(2, 4, 7)).dtype == torch.long
    with torch.device("meta"):
        maps = cross_attention_maps(model, Tokenizer(WORDS), ["w5", "w6"], ["w8"])
    assert all(m.device.type == "cpu" and not m.is_inference() for m in maps.values())


def test_translations_and_scores_may_be_trained_on():
    """No tensor that a search returns is bound to inference mode."""
    model = tiny_model()
    for n_best in (None, 2):
        for returned in beam_search(model, pad(SENTENCES), 3, max_length=3, n_best=n_best):
            assert not returned.is_inference()


class Recorder:
    """A tokenizer that knows numbers, and keeps what it was asked to read back."""

    def __init__(self):
        self.rows = []

    def encode(self, sentence):
        return [int(number) for number in sentence.split()]

    def decode(self, ids):
        self.rows.append(ids)
        return " ".join(map(str, ids))


def test_translate_hands_on_what_it_was_told(monkeypatch):
    calls = []

    def recorded(name, answer):
        def search(model, source_ids, *rest):
            calls.append((name, source_ids.tolist(), *rest))
            return answer(source_ids)

        return search

    ids = lambda source_ids: source_ids[:, :1]
    monkeypatch.setattr("helpers.decoding.greedy", recorded("greedy", ids))
    monkeypatch.setattr(
        "helpers.decoding.beam_search", recorded("beam", lambda s: (ids(s), ids(s)))
    )
    model, tokenizer, read = tiny_model(), Recorder(), [[5, 6, EOS]]
    assert translate(model, tokenizer, ["5 6"]) == ["5"]
    translate(model, tokenizer, ["5 6"], max_length=7)
    translate(model, tokenizer, ["5 6"], beam_size=2)
    translate(model, tokenizer, ["5 6"], beam_size=3, length_penalty=1.5, max_length=7)
    assert calls == [
        ("greedy", read, None),
        ("greedy", read, 7),
        ("beam", read, 2, 0.6, None),
        ("beam", read, 3, 1.5, 7),
    ]
    calls.clear()
    found = translate(model, tokenizer, ["5 6"], 1, 3, search=lambda ids: ids + 1)
    assert found == ["6 7 3"] and not calls
    assert all(type(row) is list for row in tokenizer.rows)


def test_translate_reads_250_sentences_at_a_time_where_the_model_is():
    shapes = []

    def search(source_ids):
        assert source_ids.device.type == "meta"
        shapes.append(tuple(source_ids.shape))
        return torch.full((len(source_ids), 1), EOS)

    translate(tiny_model().to("meta"), Recorder(), ["5"] * 251, search=search)
    translate(tiny_model().to("meta"), Recorder(), ["5"] * 2, batch_size=1, search=search)
    assert shapes == [(250, 2), (1, 2), (1, 2), (1, 2)]


def test_what_translate_is_given_is_checked_before_anything_is_read():
    model = tiny_model()
    with pytest.raises(TypeError, match="sentences must be a list, got the single string '5 6'"):
        translate(model, Recorder(), "5 6")
    with pytest.raises(ValueError, match=r"batch_size must be at least 1, got 0"):
        translate(model, Recorder(), [], batch_size=0)
    for size in (0, 24):
        with pytest.raises(ValueError, match=rf"beam_size must lie in \[1, 23\], got {size}"):
            translate(model, Recorder(), [], beam_size=size)


def test_as_many_of_the_best_as_are_asked_for():
    """Each sentence's translations, best first; the first is what the search alone would give."""
    model, source_ids = model_that_ends(1), pad(SENTENCES)
    single, its_score = beam_search(model, source_ids, 3)
    for n_best in (1, 3):
        ids, scores = beam_search(model, source_ids, 3, n_best=n_best)
        assert ids.shape[:2] == scores.shape == (len(SENTENCES), n_best)
        assert torch.equal(scores[:, 0], its_score) and (scores.diff(dim=1) <= 0).all()
        for row, best in zip(ids[:, 0].tolist(), single.tolist(), strict=True):
            assert [i for i in row if i != PAD] == [i for i in best if i != PAD]
    for wrong in (0, 4):
        with pytest.raises(
            ValueError, match=rf"n_best must lie in \[1, beam_size=3\], got {wrong}"
        ):
            beam_search(model, source_ids, 3, n_best=wrong)


def test_what_a_search_did_not_find_is_padding_with_an_infinite_score():
    """Of five words two are never said, so there are three translations of one token, not five."""
    model = Transformer(TransformerConfig(5, 8, 2, 8, 1, 1, max_length=8)).eval()
    ids, scores = beam_search(model, torch.tensor([[3, EOS]]), 5, max_length=1, n_best=5)
    assert scores.isfinite().tolist() == [[True, True, True, False, False]]
    assert sorted(ids[0, :3, 0].tolist()) == [EOS, 3, 4] and ids[0, 3:].tolist() == [[PAD], [PAD]]


def test_what_has_not_ended_is_not_told():
    found = Finished(torch.zeros(1, 1), float, torch.tensor([4]), n_best=2)
    found.add(torch.tensor([[[BOS, 7, EOS], [BOS, 8, 9]]]), torch.tensor([[-1.0, -torch.inf]]))
    ids, scores = found.best(2)
    assert ids.tolist() == [[[7, EOS], [PAD, PAD]]] and scores.tolist() == [[-0.5, -torch.inf]]


def test_only_ids_are_checked_and_an_empty_tensor_has_none_that_are_wrong():
    model = tiny_model()
    check_ids("source_ids", torch.full((1, 4, 7), 99.0), model)  # a picture
    check_ids("source_ids", torch.zeros(0, 3, dtype=torch.long), model)
    with pytest.raises(ValueError, match=r"ids must lie in \[0, 23\), got 99 to 99$"):
        check_ids("ids", torch.full((1, 4), 99), model)


def test_as_transformers_a_slot_that_ends_is_filled_by_the_next_in_line():
    """Two slots, and the second beginning ends at once: does the third one take its place?"""
    table = {(): {6: 0.5, EOS: 0.3, 7: 0.2}, (6,): {8: 0.4, 9: 0.3, 10: 0.3}, (7,): {EOS: 1.0}}
    found = {}
    for as_transformers in (True, False):
        ids, _ = beam_search(
            scripted(table), SOURCE, 2, 0.0, as_transformers=as_transformers, n_best=2
        )
        found[as_transformers] = [[i for i in row if i != PAD] for row in ids[0].tolist()]
    assert found == {True: [[EOS], [7, EOS]], False: [[EOS], [6, 8, EOS]]}


def test_the_nucleus_ends_with_the_word_that_reaches_top_p():
    half = torch.tensor([[0.25, 0.5, 0.25]])
    assert nucleus(half, 0.5).tolist() == [[0.0, 1.0, 0.0]]
    # Sentence by sentence, although another one's words are more probable.
    both = torch.tensor([[0.1, 0.2, 0.7], [0.4, 0.35, 0.25]])
    wanted = torch.tensor([[0.0, 0.0, 1.0], [0.4 / 0.75, 0.35 / 0.75, 0.0]])
    torch.testing.assert_close(nucleus(both, 0.6), wanted)


@pytest.mark.parametrize(
    "outside, call",
    [
        ("1000000.5", lambda value: sample(tiny_model(), pad(SENTENCES), None, value)),
        ("10.5", lambda value: length_divisor(5, value)),
    ],
)
def test_a_bound_is_where_its_message_says(outside, call):
    with pytest.raises(ValueError, match=f"got {outside}"):
        call(float(outside))
    assert length_divisor(7, 10) == 2.0**10


def test_messages_hold_plain_numbers():
    model = tiny_model()
    with pytest.raises(ValueError, match=r"ids must lie in \[0, 23\), got -1 to 22$"):
        log_probability(model, pad(SENTENCES), torch.tensor([[-1, 22]] * 3))
    torch.nn.init.constant_(model.output.weight, math.nan)
    with pytest.raises(FloatingPointError, match=r"of 3 sentences \(the first is number 0\)"):
        greedy(model, pad(SENTENCES), 2)
