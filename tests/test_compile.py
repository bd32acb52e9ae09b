"""The whole model is one graph for torch.compile, whatever is switched on, and computes the same.

Counting needs no C++ compiler: the backend here only counts the graphs that it is given. Equality
is tried with the real one where a compiler is installed.
"""

import os
import shutil
from contextlib import nullcontext

import pytest
import torch
import torch._dynamo as dynamo
import torch.nn.functional as F

from helpers.cache import Cache
from helpers.special_ids import PAD
from helpers.transformer import Transformer, TransformerConfig

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # compiling brings warnings of torch to itself
]

# With such a context torch runs every function through Python, which is where graphs break.
CONTEXTS = {"plain": nullcontext, "inside a device context": lambda: torch.device("cpu")}


@pytest.fixture(autouse=True)
def forgets_what_was_compiled():
    dynamo.reset()
    yield
    dynamo.reset()


def model_of(norm_first=False, dropout=0.1, layers=2):
    torch.manual_seed(0)
    sizes = dict(vocab_size=29, d_model=16, num_heads=4, d_ff=24, max_length=64)
    stacks = dict(num_encoder_layers=layers, num_decoder_layers=layers)
    return Transformer(TransformerConfig(dropout=dropout, norm_first=norm_first, **sizes, **stacks))


def ids(length, batch=3, seed=0):
    found = torch.randint(4, 29, (batch, length), generator=torch.Generator().manual_seed(seed))
    found[0, -1] = PAD
    return found


def counting():
    """(a backend that runs each graph as it is, the graphs that it was given)."""
    graphs = []

    def backend(graph, example_inputs):
        graphs.append(graph)
        return graph.forward

    return backend, graphs


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_one_graph(training, norm_first, context):
    model = model_of(norm_first).train(training)
    with CONTEXTS[context]():
        found = dynamo.explain(model)(ids(5), ids(4))
    assert (found.graph_count, found.graph_break_count) == (1, 0), found.break_reasons


def test_that_check_notices_a_break():
    class Breaking(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            dynamo.graph_break()
            return self.inner(x)

    model = model_of()
    layer = model.decoder.layers[1]
    layer.feed_forward = Breaking(layer.feed_forward)
    found = dynamo.explain(model)(ids(5), ids(4))
    assert found.graph_count > 1 and found.graph_break_count > 0


@pytest.mark.parametrize("training", [True, False])
def test_sentences_of_other_lengths_need_no_other_graph(training):
    """Two graphs at most: one for the first shape, and one for every other."""
    backend, graphs = counting()
    model = model_of(layers=3).train(training)
    compiled = torch.compile(model, fullgraph=True, backend=backend)
    for source, target in ((5, 4), (7, 6), (9, 11), (12, 8), (13, 9)):
        assert compiled(ids(source), ids(target)).shape == (3, target, 29)
    assert 1 <= len(graphs) <= 2


def steps(model, decode, length):
    """Decoder states (batch, length, d_model), one cached step at a time."""
    memory, source_mask = model.encode(ids(7))
    cache = Cache(model.config.num_decoder_layers)
    target_ids = ids(length, seed=1)
    found = [decode(target_ids[:, [t]], memory, source_mask, cache) for t in range(length)]
    return torch.cat(found, dim=1)


@pytest.mark.parametrize("context", CONTEXTS)
def test_a_cached_step_is_one_graph_for_nearly_all_steps(context):
    """The first step, the second, those that follow, and those in which the cache must grow."""
    numbers = []
    for layers in (1, 2):
        dynamo.reset()
        backend, graphs = counting()
        model = model_of(layers=layers).double().eval()
        compiled = torch.compile(model.decode, fullgraph=True, backend=backend)
        with CONTEXTS[context](), torch.no_grad():
            found, wanted = steps(model, compiled, 20), steps(model, model.decode, 20)
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-10)
        numbers.append(len(graphs))
    assert numbers[0] == numbers[1] <= 6


COMPILER = os.name == "posix" and (shutil.which("g++") or shutil.which("c++"))
BACKEND = "inductor" if COMPILER else "aot_eager"


@pytest.mark.parametrize("norm_first", [False, True])
def test_compiled_equals_eager_forward_and_backward(norm_first):
    model = model_of(norm_first, dropout=0.0, layers=1).double().train()
    source_ids, target_ids = ids(6), ids(5)

    def gradients(forward):
        model.zero_grad()
        logits = forward(source_ids, target_ids)
        F.cross_entropy(logits.flatten(0, 1), ids(5, seed=2).flatten()).backward()
        return logits.detach(), {n: p.grad.clone() for n, p in model.named_parameters()}

    logits, eager = gradients(model)
    again, compiled = gradients(torch.compile(model, fullgraph=True, backend=BACKEND))
    torch.testing.assert_close(again, logits, rtol=0, atol=1e-10)
    torch.testing.assert_close(compiled, eager, rtol=0, atol=1e-10)
    model.eval()
    with torch.no_grad():
        torch.testing.assert_close(
            torch.compile(model, fullgraph=True, backend=BACKEND)(source_ids, target_ids),
            model(source_ids, target_ids),
            rtol=0,
            atol=1e-10,
        )
