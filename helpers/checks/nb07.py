"""Checks of notebook 07, cross-attention."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from helpers.attention import MultiHeadAttention
from helpers.checks import Wrong, choice, exercise, expect_like
from helpers.checks.reading import numbers, output, several, shape, verdict
from helpers.layers import FeedForward
from helpers.masks import causal_mask, padding_mask

_IDS = torch.tensor([[5, 6, 7, 8, 9], [5, 6, 7, 0, 0]])


@exercise("7.1")
def check_shapes(answer: Any) -> str:
    """Predict: shapes of the weights and of the output for B=2, T=3, S=5, H=4, d_model=16."""
    shapes = several(answer)
    if len(shapes) != 2 or not all(len(several(part)) > 1 for part in shapes):
        raise Wrong("two shapes are needed: of the weights, and of the output")
    weights, result = map(shape, shapes)
    if (weights, result) == ((2, 3, 16), (2, 4, 3, 5)):
        raise Wrong("the other way round: first the weights, then the output")
    if weights == (2, 4, 5, 3):
        raise Wrong("rows are queries: the target comes before the source")
    if weights in ((2, 4, 3, 3), (2, 4, 5, 5)):
        raise Wrong("a square map is self-attention; here the target looks at the source")
    if weights in ((2, 3, 5), (4, 3, 5)):
        raise Wrong("every sentence of the batch and every head has a map of its own")
    if weights != (2, 4, 3, 5):
        raise Wrong("the weights are (batch, heads, target, source)")
    if result == (2, 5, 16):
        raise Wrong("one output vector per QUERY: as many as there are target positions")
    if result in ((2, 4, 3, 4), (2, 3, 4, 4), (2, 4, 3, 16)):
        raise Wrong("the heads are merged again at the end")
    if result != (2, 3, 16):
        raise Wrong("the output is shaped like the decoder's states, (batch, target, d_model)")
    return "a rectangular map, and an output shaped like the decoder's states"


@exercise("7.2")
def check_cross_attention(answer: Any) -> str:
    """Implement cross-attention with a MultiHeadAttention, decoder states, memory, source ids."""
    torch.manual_seed(0)
    layer, memory = MultiHeadAttention(16, 4), torch.randn(2, 5, 16)
    # First with T = S, where every mistake runs without an error.
    cases = [(layer, torch.randn(2, target, 16), memory, _IDS) for target in (5, 3)]

    def right(layer: Callable, y: Tensor, memory: Tensor, ids: Tensor) -> Tensor:
        return layer(y, memory, padding_mask(ids))

    def triangle(y: Tensor, memory: Tensor) -> Tensor:
        return torch.ones(y.size(1), memory.size(1), dtype=torch.bool).tril()

    with torch.no_grad():
        expect_like(
            answer,
            right,
            cases,
            {
                "queries come from the memory: x is the decoder's states, context the memory": (
                    lambda layer, y, m, ids: layer(m, y, padding_mask(ids)),
                    lambda layer, y, m, ids: layer(m, y),
                ),
                "keys and values come from the decoder: the context is the memory": (
                    lambda layer, y, m, ids: layer(y, y, padding_mask(ids)[..., : y.size(1)]),
                    lambda layer, y, m, ids: layer(y, y),
                ),
                "that is the memory looking at itself; the decoder's states should ask": (
                    lambda layer, y, m, ids: layer(m, m, padding_mask(ids)),
                    lambda layer, y, m, ids: layer(m, m),
                ),
                "the padded source words are looked at: the mask is missing": (
                    lambda layer, y, m, ids: layer(y, m)
                ),
                "this is the decoder's causal mask; cross-attention needs the SOURCE's padding "
                "mask": lambda layer, y, m, ids: layer(y, m, triangle(y, m)),
                "the padding mask is all that cross-attention needs; the triangle is for "
                "self-attention": (
                    lambda layer, y, m, ids: layer(y, m, triangle(y, m) & padding_mask(ids))
                ),
                "the mask is inverted: True = may attend": (
                    lambda layer, y, m, ids: layer(y, m, ~padding_mask(ids))
                ),
                "the residual is added already; return only what cross-attention gives": (
                    lambda *case: case[1] + right(*case)
                ),
            },
            "x, context and mask: which is which?",
            read=output,
        )
    return "queries from the decoder, keys and values from the memory, the source's mask"


@exercise("7.3")
def check_who_moved(answer: Any) -> str:
    """Explain: which of three decoder layers' maps move when layer 2's W_V changes (bits)."""
    moved = numbers(answer, "layer 1 moves", "layer 2 moves", "layer 3 moves")
    if not set(moved) <= {0, 1}:
        raise Wrong("write True or False for each layer, for example (True, False, False)")
    first, second, third = moved
    if first:
        raise Wrong("layer 1 comes before layer 2: nothing that it reads has changed")
    if second:
        raise Wrong("the map is made from queries and keys; values only enter the layer's output")
    if not third:
        raise Wrong("layer 3's keys didn't move, but its QUERIES come from layer 2's output")
    return "layer 2's output moves, and with it the queries of layer 3"


def _without_middle(memory: Tensor) -> Tensor:
    middle = memory.size(1) // 2
    return torch.cat([memory[:, :middle], memory[:, middle + 1 :]], 1)


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
        "a source word in the middle is lost": (
            lambda states, memory: layer(states, _without_middle(memory)),
            False,
        ),
    }
    for name, (function, hears) in cases.items():
        got = verdict(answer, function)
        if got != hears:
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


def _no_mask(state: Tensor, mask: Tensor) -> None:
    return None


def _decoder_layer(
    back: Callable = lambda h, y: (h, h),  # what self-attention gets, x and context
    across: Callable = lambda h, y, memory, norm: (h, memory),
    back_mask: Callable = lambda y, source: causal_mask(y.size(1)),
    across_mask: Callable = lambda y, source: source,
    order: str = "back across",
    norm_order: tuple[int, int, int] = (0, 1, 2),
    attentions: tuple[int, int] = (0, 1),
    keep: Callable = lambda y, h, memory: y,  # the residual around cross-attention
    keep_all: Callable = lambda y, h: y,  # those around the other two
    residuals: tuple[bool, bool, bool] = (True, True, True),
    normed: tuple[bool, bool, bool] = (True, True, True),
) -> Callable:
    """The pre-norm decoder layer, with one thing changed."""

    def layer(
        y: Tensor, memory: Tensor, source: Tensor, one: Any, two: Any, feed: Any, norms: Any
    ) -> Tensor:
        norms = [
            norms[i] if some else nn.Identity() for i, some in zip(norm_order, normed, strict=True)
        ]
        one, two = ((one, two)[i] for i in attentions)
        for place, step in enumerate(order.split()):
            h = norms[place](y)
            if step == "back":
                found, kept = one(*back(h, y), back_mask(y, source)), keep_all(y, h)
            else:
                heard = across(h, y, memory, norms[place])
                found, kept = two(*heard, across_mask(y, source)), keep(y, h, memory)
            y = kept + found if residuals[place] else found
        h = norms[2](y)
        return keep_all(y, h) + feed(h) if residuals[2] else feed(h)

    return layer


def _post_norm(
    y: Tensor, memory: Tensor, source: Tensor, one: Any, two: Any, feed: Any, norms: Any
) -> Tensor:
    y = norms[0](y + one(y, y, causal_mask(y.size(1))))
    y = norms[1](y + two(y, memory, source))
    return norms[2](y + feed(y))


@exercise("7.6")
def check_decoder_layer(answer: Any) -> str:
    """Implement: the pre-norm decoder layer from its parts, without dropout."""
    torch.manual_seed(0)
    attentions = MultiHeadAttention(16, 4), MultiHeadAttention(16, 4)
    norms = [nn.LayerNorm(16) for _ in range(3)]
    for norm in norms:
        nn.init.normal_(norm.weight), nn.init.normal_(norm.bias)
    y, memory = torch.randn(2, 5, 16), torch.randn(2, 5, 16)  # T = S: bugs stay silent
    parts = (padding_mask(_IDS), *attentions, FeedForward(16, 32), norms)
    mistakes: dict[str, Any] = {
        "nothing has happened yet": lambda y, *rest: y,
        "both masks are missing": _decoder_layer(back_mask=_no_mask, across_mask=_no_mask),
        "this is post-norm, as above; in pre-norm, each step is y + step(norm(y))": _post_norm,
        "the memory has no norm here: the encoder's last norm has prepared it": (
            _decoder_layer(across=lambda h, y, memory, norm: (h, norm(memory))),
            _decoder_layer(across=lambda h, y, memory, norm: (y, norm(memory))),
        ),
        "the residual carries y as it is; only what goes into a step has a norm": (
            _decoder_layer(keep=lambda y, h, memory: h, keep_all=lambda y, h: h)
        ),
        "in self-attention, queries, keys and values all come from norm(y)": (
            _decoder_layer(back=lambda h, y: (h, y)),
            _decoder_layer(back=lambda h, y: (y, h)),
        ),
        "one of the norms is missing: each step has one before it": tuple(
            _decoder_layer(normed=(i != 0, i != 1, i != 2)) for i in range(3)
        ),
        "the norms are missing: each step has one before it": (
            _decoder_layer(normed=(False, False, False))
        ),
        "the residuals are missing: each step ADDS to what was there": (
            _decoder_layer(residuals=(False, False, False))
        ),
        "one of the residuals is missing: each step ADDS to what was there": tuple(
            _decoder_layer(residuals=(i != 0, i != 1, i != 2)) for i in range(3)
        ),
        "the future is read: self-attention needs the causal mask": (
            _decoder_layer(back_mask=_no_mask),
            _decoder_layer(back_mask=lambda y, source: source[..., : y.size(1)]),
        ),
        "the source's padding is read: cross-attention needs source_mask": (
            _decoder_layer(across_mask=_no_mask)
        ),
        "cross-attention has the causal mask, which hides the source's end from the first words": (
            _decoder_layer(across_mask=lambda y, source: causal_mask(5)[: y.size(1)]),
            _decoder_layer(across_mask=lambda y, source: causal_mask(5)[: y.size(1)] & source),
        ),
        "the two masks are swapped": _decoder_layer(
            back_mask=lambda y, source: source[..., : y.size(1)],
            across_mask=lambda y, source: causal_mask(5)[: y.size(1)],
        ),
        "source_mask is inverted: True = may attend, as it comes": (
            _decoder_layer(across_mask=lambda y, source: ~source)
        ),
        "the causal mask is inverted: True = may attend": (
            _decoder_layer(back_mask=lambda y, source: ~causal_mask(y.size(1)))
        ),
        "cross-attention comes second: first look back, then across": (
            _decoder_layer(order="across back")
        ),
        "the residual is the decoder's own state, not the memory": (
            _decoder_layer(keep=lambda y, h, memory: memory[:, : y.size(1)])
        ),
        "keys and values of the second step come from the decoder; its context is the memory": (
            _decoder_layer(across=lambda h, y, memory, norm: (h, h), across_mask=_no_mask),
            _decoder_layer(
                across=lambda h, y, memory, norm: (h, h),
                across_mask=lambda y, source: source[..., : y.size(1)],
            ),
        ),
        "the memory asks and the decoder answers: x and context are swapped": (
            _decoder_layer(
                across=lambda h, y, memory, norm: (memory[:, : y.size(1)], h),
                across_mask=lambda y, source: source[..., : y.size(1)],
            ),
        ),
        "look_back and look_across are swapped": _decoder_layer(attentions=(1, 0)),
        "one attention does both steps; look_across has its own weights": (
            _decoder_layer(attentions=(0, 0)),
            _decoder_layer(attentions=(1, 1)),
        ),
        "each step has a norm of its own: norms[0], then norms[1], then norms[2]": tuple(
            _decoder_layer(norm_order=(i, j, k))
            for i in range(3)
            for j in range(3)
            for k in range(3)
            if (i, j, k) != (0, 1, 2)
        ),  # fmt: skip
    }
    with torch.no_grad():
        expect_like(
            answer,
            _decoder_layer(),
            [(y, memory, *parts), (y[:, :3], memory, *parts)],
            mistakes,
            "look back, look across, think; each time y + step(norm(y))",
        )
    return "a norm before each step, and none on the memory"
