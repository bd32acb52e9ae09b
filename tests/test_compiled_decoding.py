"""compiled_decoding.py finds what decoding.py finds, with one graph for every step and shape."""

import pytest
import torch
import torch._dynamo as dynamo

from helpers.batching import pad
from helpers.compiled_decoding import CompiledDecoding
from helpers.corpora.toy import splits
from helpers.decoding import beam_search, greedy
from helpers.special_ids import EOS, PAD
from helpers.transformer import Transformer
from tests.support import model_that_ends, seeds, tiny_model, trained_translator

pytestmark = pytest.mark.filterwarnings("default")  # compiling brings warnings of torch to itself


@pytest.fixture
def eager(monkeypatch):
    """The steps as they are, not compiled; what is told to torch.compile."""
    told = []
    monkeypatch.setattr(torch, "compile", lambda step, **options: told.append(options) or step)
    return told


@pytest.fixture
def graphs(monkeypatch):
    """torch.compile only counts its graphs."""
    found, really = [], torch.compile

    def backend(graph, inputs):
        found.append(graph)
        return graph.forward

    monkeypatch.setattr(
        torch, "compile", lambda step, mode, **options: really(step, backend=backend, **options)
    )
    dynamo.reset()
    yield found
    dynamo.reset()


def sources(rows, length, seed=0):
    random = torch.Generator().manual_seed(seed)
    ids = torch.randint(4, 23, (rows, length), generator=random)
    for row, end in enumerate(torch.randint(1, length, (rows,), generator=random).tolist()):
        ids[row, end] = EOS
        ids[row, end + 1 :] = PAD
    return ids


def same(found, wanted):
    ids, scores = found
    assert torch.equal(ids, wanted[0])
    torch.testing.assert_close(scores, wanted[1], rtol=0, atol=1e-10)


@pytest.mark.parametrize("max_length, norm_first", [(None, False), (1, True), (6, True)])
@pytest.mark.parametrize("seed", seeds(3))
def test_it_finds_what_the_plain_searches_find(eager, seed, norm_first, max_length):
    model = model_that_ends(seed, norm_first=norm_first)
    search = CompiledDecoding(model)
    for rows, length in ((5, 6), (1, 3)):  # filled up to 8 rows, and 1
        ids = sources(rows, length, seed)
        assert torch.equal(search.greedy(ids, max_length), greedy(model, ids, max_length))
        for beam, penalty in ((1, 0.6), (3, 1.5)):
            wanted = beam_search(model, ids, beam, penalty, max_length)
            same(search.beam_search(ids, beam, penalty, max_length), wanted)


@pytest.mark.parametrize("max_length", [None, 9])  # with a limit that cuts most of them
def test_a_trained_model_whose_hypotheses_overtake_each_other(eager, max_length):
    model, tokenizer = trained_translator()
    search, pairs = CompiledDecoding(model), splits().test[:48]
    for part in (pairs[:16], pairs[16:32], pairs[32:]):
        ids = pad([[*tokenizer.encode(pair.source), EOS] for pair in part])
        assert torch.equal(search.greedy(ids, max_length), greedy(model, ids, max_length))
        for beam, penalty in ((2, 0.0), (5, 0.6)):
            found = search.beam_search(ids, beam, penalty, max_length)
            wanted = beam_search(model, ids, beam, penalty, max_length)
            assert torch.equal(found[0], wanted[0])
            torch.testing.assert_close(found[1], wanted[1])
    assert len(search.searches) == 3  # greedy, two beams: each shape once


def test_a_search_forgets_the_one_before_and_follows_new_weights(eager):
    model = model_that_ends(0)
    search, ids, other = CompiledDecoding(model), sources(4, 6), sources(4, 6, seed=5)
    for _ in range(2):
        same(search.beam_search(other, 3), beam_search(model, other, 3))
        same(search.beam_search(ids, 3), beam_search(model, ids, 3))
        assert torch.equal(search.greedy(ids), greedy(model, ids))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
    assert not model.training
    model.train()
    search.greedy(ids)
    assert model.training


def test_a_gpu_is_asked_for_the_end_only_now_and_then(eager):
    model, ids = model_that_ends(1), sources(5, 6)
    search = CompiledDecoding(model)
    search.on_gpu = True  # it only decides how often to ask
    assert [step for step in range(20) if search.asks(step)] == [7, 15]
    assert torch.equal(search.greedy(ids), greedy(model, ids))
    same(search.beam_search(ids, 3), beam_search(model, ids, 3))


def test_what_torch_compile_is_told(eager):
    CompiledDecoding(tiny_model())
    assert eager == [{"fullgraph": True, "dynamic": True, "mode": None}] * 2


def test_logits_that_are_no_numbers_and_ids_out_of_range_are_named(eager):
    model = model_that_ends(0)
    search = CompiledDecoding(model)
    with pytest.raises(ValueError, match=r"source_ids must lie in \[0, 23\)"):
        search.greedy(torch.tensor([[4, 23]]))
    with pytest.raises(ValueError, match="ids has 40 positions, but max_length is 32"):
        search.greedy(sources(2, 40))
    with pytest.raises(ValueError, match="beam_size must lie in"):
        search.beam_search(sources(2, 4), 0)
    with torch.no_grad():
        model.decoder.layers[0].feed_forward.w_1.weight.fill_(torch.nan)
    for look in (search.greedy, search.beam_search):
        with pytest.raises(FloatingPointError, match="NaN or infinite for 2 of 2 sentences"):
            look(sources(2, 4))


def test_a_model_that_decodes_in_its_own_way_is_not_guessed_at():
    class Other(Transformer):
        def decode(self, *arguments):
            return super().decode(*arguments)

    with pytest.raises(TypeError, match="its own encode, decode and Embedding, got Other"):
        CompiledDecoding(tiny_model(kind=Other))


@pytest.mark.slow
def test_every_step_and_every_shape_share_one_graph(graphs):
    model = model_that_ends(0)
    search = CompiledDecoding(model)
    for shapes in ([(5, 6), (3, 12)], [(7, 7), (2, 17), (9, 9)]):  # warm-up, then the test
        before = len(graphs)
        for rows, length in shapes:
            ids = sources(rows, length)
            assert torch.equal(search.greedy(ids), greedy(model, ids))
            same(search.beam_search(ids, 3), beam_search(model, ids, 3))
    assert len(graphs) == before and 2 <= before <= 4
