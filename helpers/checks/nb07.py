"""Checks of notebook 07, cross-attention."""

from typing import Any

import torch
from torch import Tensor, nn

from helpers.attention import MultiHeadAttention
from helpers.checks import Wrong, ask, attempted, choice, close, exercise, expect
from helpers.layers import FeedForward
from helpers.masks import causal_mask, padding_mask


@exercise("7.1")
def check_shapes(answer: Any) -> str:
    """Predict: shapes of the weights and of the output for B=2, T=3, S=5, H=4, d_model=16."""
    weights, output = (tuple(shape) for shape in answer)
    if weights == (2, 4, 5, 3):
        raise Wrong("rows are queries: the target comes before the source")
    if weights in ((2, 4, 3, 3), (2, 4, 5, 5)):
        raise Wrong("a square map is self-attention; here T looks at S")
    if weights != (2, 4, 3, 5):
        raise Wrong("the weights are (batch, heads, target, source)")
    if output == (2, 5, 16):
        raise Wrong("one output vector per QUERY: as many as target positions")
    if output != (2, 3, 16):
        raise Wrong("the output is shaped like the decoder's states, (batch, target, d_model)")
    return "a rectangular map, and an output shaped like the decoder's states"


@exercise("7.2")
def check_cross_attention(answer: Any) -> str:
    """Implement cross-attention with a MultiHeadAttention, decoder states, memory, source ids."""
    torch.manual_seed(0)
    layer = MultiHeadAttention(16, 4)
    states, memory = torch.randn(2, 5, 16), torch.randn(2, 5, 16)  # T = S: bugs stay silent
    ids = torch.tensor([[5, 6, 7, 8, 9], [5, 6, 7, 0, 0]])
    mask = padding_mask(ids)
    got = ask(answer, layer, states, memory, ids)
    causal = torch.ones(5, 5, dtype=torch.bool).tril()
    mistakes = {
        "queries come from the memory: x is the decoder's states, context the memory": layer(
            memory, states, mask
        ),
        "keys and values come from the decoder: the context is the memory": layer(
            states, states, mask
        ),
        "the padded source words are looked at: the mask is missing": layer(states, memory),
        "this is the decoder's causal mask; cross-attention needs the SOURCE's padding mask": layer(
            states, memory, causal
        ),
        "the mask is inverted: True = may attend": layer(states, memory, ~mask),
    }
    for message, wrong in mistakes.items():
        if close(got, wrong):
            raise Wrong(message)
    expect(got, layer(states, memory, mask), "x, context and mask: which is which?")
    return "queries from the decoder, keys and values from the memory, the source's mask"


@exercise("7.3")
def check_who_moved(answer: Any) -> str:
    """Explain: which of three decoder layers' maps move when layer 2's W_V changes (bits)."""
    first, second, third = (bool(attempted(x)) for x in answer)
    if first:
        raise Wrong("layer 1 comes before layer 2: nothing that it reads has changed")
    if second:
        raise Wrong("the map is made of queries and keys; values only enter what comes out of it")
    if not third:
        raise Wrong("layer 3's keys did not move, but its QUERIES come from layer 2's output")
    return "layer 2's output moves, and with it the queries of layer 3"


@exercise("7.4")
def check_hearing_test(answer: Any) -> str:
    """Break it: a test that f(states, memory) hears every source vector, for any T and S."""
    torch.manual_seed(0)
    layer = MultiHeadAttention(16, 4)
    cases = {
        "right": (lambda states, memory: layer(states, memory), True),
        "keys and values from the decoder": (lambda states, memory: layer(states, states), False),
        "queries from the memory": (lambda states, memory: layer(memory, states), False),
        "only the first source word": (
            lambda states, memory: layer(states, memory[:, :1]),
            False,
        ),
        "the last source word is lost": (
            lambda states, memory: layer(states, memory[:, :-1]),
            False,
        ),
    }
    for name, (function, verdict) in cases.items():
        got = ask(answer, function)
        if bool(got) != verdict:
            says = "accepts" if got else "rejects"
            raise Wrong(f"your test {says} the wiring '{name}'")
    return "one source vector at a time, and T different from S"


check_quiz = choice(
    "7.5",
    "b",
    {
        "a": "that W_K makes the encoder's own keys; ruining it changed nothing here",
        "b": "every decoder layer makes its own keys of the same memory",
        "c": "those are the keys of self-attention; here they would make the model deaf",
        "d": "the final output goes to every decoder layer, not layer i to layer i",
    },
)


@exercise("7.6")
def check_decoder_layer(answer: Any) -> str:
    """Implement: the post-norm decoder layer from its parts, without dropout."""
    torch.manual_seed(0)
    look_back, look_across = MultiHeadAttention(16, 4), MultiHeadAttention(16, 4)
    feed = FeedForward(16, 32)
    norms = [nn.LayerNorm(16) for _ in range(3)]
    for norm in norms:
        nn.init.normal_(norm.weight), nn.init.normal_(norm.bias)
    y, memory = torch.randn(2, 5, 16), torch.randn(2, 5, 16)  # T = S: bugs stay silent
    ids = torch.tensor([[5, 6, 7, 8, 9], [5, 6, 7, 0, 0]])
    source = padding_mask(ids)

    def layer(
        y: Tensor = y,
        causal: bool = True,
        masked: bool = True,
        order: str = "back across",
        own: bool = True,
    ) -> Tensor:
        state, triangle = y, causal_mask(y.shape[1]) if causal else None
        for norm, step in zip(norms[:2], order.split(), strict=True):
            if step == "back":
                state = norm(state + look_back(state, state, triangle))
            else:
                heard = look_across(state, memory, source if masked else None)
                state = norm((state if own else memory) + heard)
        return norms[2](state + feed(state))

    def norm_first(state: Tensor) -> Tensor:
        h = norms[0](state)
        state = state + look_back(h, h, causal_mask(5))
        state = state + look_across(norms[1](state), memory, source)
        return state + feed(norms[2](state))

    def without_residuals(state: Tensor) -> Tensor:
        state = norms[0](look_back(state, state, causal_mask(5)))
        return norms[2](feed(norms[1](look_across(state, memory, source))))

    with torch.no_grad():
        parts = source, look_back, look_across, feed, norms
        got = ask(answer, y.clone(), memory.clone(), *parts)
        mistakes = {
            "both masks are missing": layer(causal=False, masked=False),
            "this is pre-norm; the paper's order is norm(x + sublayer(x))": norm_first(y),
            "the residuals are missing: each step ADDS to what was there": without_residuals(y),
            "the future is read: self-attention needs the causal mask": layer(causal=False),
            "the source's padding is read: cross-attention needs source_mask": layer(masked=False),
            "cross-attention comes second: first look back, then across": layer(
                order="across back"
            ),
            "the residual is the decoder's own state, not the memory": layer(own=False),
        }
        for message, wrong in mistakes.items():
            if close(got, wrong):
                raise Wrong(message)
        right, shorter = layer(), layer(y[:, :3])
        less = ask(answer, y[:, :3].clone(), memory.clone(), *parts)
    if close(got, y):
        raise Wrong("nothing has happened yet")
    expect(got, right, "look back, look across, feed; each time norm(state + what came out)")
    expect(less, shorter, "with three target words it is wrong: the triangle is as long as y")
    return "three sub-layers, one of which looks at another sentence"
