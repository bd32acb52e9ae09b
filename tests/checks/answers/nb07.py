import numpy as np
import torch

from helpers.attention import attention, merge_heads, split_heads
from helpers.masks import causal_mask, padding_mask


def by_hand(layer, states, memory, ids, keep_weights=False):
    query = split_heads(layer.w_q(states), layer.num_heads)
    key, value = layer.keys_values(memory)
    found, weights = attention(query, key, value, (ids != 0)[:, None, None])
    output = layer.w_o(merge_heads(found))
    return (output, weights) if keep_weights else output


def rectangle(states, memory):
    return torch.ones(states.size(1), memory.size(1), dtype=torch.bool).tril()


def hears(f, target, source, positions):
    """Whether f keeps the states' shape and hears a change of the memory at each position."""
    states, memory = torch.randn(1, target, 16), torch.randn(1, source, 16)
    before = f(states, memory)
    for position in positions:
        changed = memory.clone()
        changed[0, position] += 1.0
        if torch.equal(f(states, changed), before):
            return False
    return before.shape == states.shape


def by_gradient(f):
    states, memory = torch.randn(1, 3, 16), torch.randn(1, 5, 16, requires_grad=True)
    output = f(states, memory)
    if output.shape != states.shape:
        return False
    output.sum().backward()
    return memory.grad is not None and bool(memory.grad.abs().sum(-1).gt(0).all())


def decoder_layer(
    y, memory, source_mask, look_back, look_across, think, norms,
    causal=True, masked=True, swapped=False, residual="own", triangle=None, context=None,
    across_mask=None,
):  # fmt: skip
    if triangle is None and causal:
        triangle = causal_mask(y.shape[1])
    source_mask = source_mask if masked else None
    source_mask = source_mask if across_mask is None else across_mask
    if residual == "none":
        h = norms[0](y)
        y = look_back(h, h, triangle)
        return think(norms[2](look_across(norms[1](y), memory, source_mask)))
    if swapped:
        y = y + look_across(norms[0](y), memory, source_mask)
        h = norms[1](y)
        y = y + look_back(h, h, triangle)
    else:
        h = norms[0](y)
        y = y + look_back(h, h, triangle)
        h = norms[1](y)
        heard = look_across(h, h if context == "own" else memory, source_mask)
        y = (memory if residual == "memory" else y) + heard
    return y + think(norms[2](y))


def changed(y, memory, mask, back, across, think, norms, attentions=(0, 1), order=(0, 1, 2)):
    """The decoder layer, with its attentions or norms taken for one another."""
    back, across = ((back, across)[i] for i in attentions)
    return decoder_layer(y, memory, mask, back, across, think, [norms[i] for i in order])


def in_place(y, memory, source_mask, look_back, look_across, think, norms):
    h = norms[0](y)
    y += look_back(h, h, causal_mask(y.shape[1]))
    y += look_across(norms[1](y), memory, source_mask)
    y += think(norms[2](y))
    return y


def post_norm(y, memory, source_mask, look_back, look_across, think, norms):
    y = norms[0](y + look_back(y, y, causal_mask(y.shape[1])))
    y = norms[1](y + look_across(y, memory, source_mask))
    return norms[2](y + think(y))


def normed_memory(y, memory, mask, look_back, look_across, think, norms):
    return decoder_layer(y, norms[1](memory), mask, look_back, look_across, think, norms)


def normed_residual(y, memory, source_mask, look_back, look_across, think, norms):
    y = norms[0](y)
    y = y + look_back(y, y, causal_mask(y.shape[1]))
    y = norms[1](y)
    y = y + look_across(y, memory, source_mask)
    y = norms[2](y)
    return y + think(y)


def keys_without_norm(y, memory, source_mask, look_back, look_across, think, norms):
    y = y + look_back(norms[0](y), y, causal_mask(y.shape[1]))
    y = y + look_across(norms[1](y), memory, source_mask)
    return y + think(norms[2](y))


def without_norms(y, memory, mask, look_back, look_across, think, norms, left_out=(0, 1, 2)):
    norms = [torch.nn.Identity() if i in left_out else norm for i, norm in enumerate(norms)]
    return decoder_layer(y, memory, mask, look_back, look_across, think, norms)


RIGHT = {
    "check_shapes": [
        ((2, 4, 3, 5), (2, 3, 16)),
        [[2, 4, 3, 5], [2, 3, 16]],
        (torch.Size([2, 4, 3, 5]), torch.Size([2, 3, 16])),
        (np.array([2, 4, 3, 5]), torch.tensor([2, 3, 16])),
    ],
    "check_cross_attention": [
        by_hand,
        lambda *inputs: by_hand(*inputs, keep_weights=True),
        lambda a, y, m, ids: a(x=y, context=m, mask=padding_mask(ids)),
        lambda a, y, m, ids: torch.cat(
            [a(y[b : b + 1], m[b : b + 1, ids[b] != 0]) for b in range(len(y))]
        ),
        lambda a, y, m, ids: torch.cat(
            [a(y[:, t : t + 1], m, (ids != 0)[:, None, None]) for t in range(y.size(1))], 1
        ),
    ],
    "check_who_moved": [
        (False, False, True),
        [0, 0, 1],
        np.array([False, False, True]),
        torch.tensor([False, False, True]),
    ],
    "check_hearing_test": [
        by_gradient,
        lambda f: hears(f, 4, 7, range(7)),
        lambda f: torch.tensor(hears(f, 2, 3, range(3))),
    ],
    "check_decoder_layer": [
        in_place,
        decoder_layer,
        lambda y, m, mask, *rest: decoder_layer(y, m, mask.expand(-1, 4, y.size(1), -1), *rest),
    ],
}

WRONG = {
    "check_shapes": [
        (((2, 4, 5, 3), (2, 3, 16)), "rows are queries"),
        (((2, 4, 3, 3), (2, 3, 16)), "square"),
        (((2, 3, 5), (2, 3, 16)), "a map of its own"),
        (((2, 4, 3, 5), (2, 5, 16)), "per QUERY"),
        (((2, 4, 3, 5), (2, 4, 3, 4)), "merged again"),
        (((2, 3, 16), (2, 4, 3, 5)), "other way round"),
        ((2, 4, 3, 5), "two shapes are needed"),
        (((2, 4, 3, 5),), "two shapes are needed"),
        (60, "two shapes are needed"),
        (((2, 4, 3, "S"), (2, 3, 16)), "one number is needed"),
    ],
    "check_cross_attention": [
        (lambda a, y, m, ids: a(m, y, padding_mask(ids)), "queries come from"),
        (lambda a, y, m, ids: a(m, y), "queries come from"),
        (lambda a, y, m, ids: a(y, y), "from the decoder"),
        (lambda a, y, m, ids: a(y, y, padding_mask(ids)), "from the decoder"),
        (lambda a, y, m, ids: a(m, m, padding_mask(ids)), "the memory looking at itself"),
        (lambda a, y, m, ids: a(y, m), "mask is missing"),
        (lambda a, y, m, ids: a(y, m, rectangle(y, m)), "causal mask"),
        (lambda a, y, m, ids: a(y, m, causal_mask(5)), "causal"),
        (lambda a, y, m, ids: a(y, m, rectangle(y, m) & padding_mask(ids)), "triangle is for self"),
        (lambda a, y, m, ids: a(y, m, ~padding_mask(ids)), "inverted"),
        (lambda a, y, m, ids: y + a(y, m, padding_mask(ids)), "residual is added already"),
        (lambda a, y, m, ids: a(y, m, ids != 0), "stops with ValueError: mask"),
        (lambda a, y, m, ids: torch.zeros_like(y), "which is which"),
    ],
    "check_who_moved": [
        ((True, False, True), "comes before"),
        ((False, True, True), "only enter"),
        ((False, False, False), "QUERIES"),
        ((3,), "3 numbers are needed"),
        (3, "3 numbers are needed"),
        ((0, 2, 3), "True or False for each layer"),
        (("no", "no", "yes"), "one number is needed"),
    ],
    "check_hearing_test": [
        (lambda f: True, "accepts the wiring 'keys and values from the decoder'"),
        (lambda f: False, "rejects the wiring 'right'"),
        (lambda f: hears(f, 5, 5, range(5)), "'queries from the memory'"),
        (lambda f: hears(f, 3, 5, [0]), "'only the first source word'"),
        (lambda f: hears(f, 3, 5, range(4)), "'only the first source word'|'the last"),
        (lambda f: hears(f, 3, 5, [0, 4]), "'a source word in the middle is lost'"),
        (lambda f: hears(f, 3, 5, [slice(None)]), "'only the first source word'"),
        (lambda f: f(torch.randn(1, 3, 16), torch.randn(1, 5, 16)) > 0, "one True or False"),
    ],
    "check_decoder_layer": [
        (lambda *parts: decoder_layer(*parts, causal=False), "future"),
        (lambda *parts: decoder_layer(*parts, masked=False), "padding"),
        (lambda *parts: decoder_layer(*parts, swapped=True), "second"),
        (lambda *parts: decoder_layer(*parts, residual="memory"), "residual is the decoder's own"),
        (lambda y, *parts: y, "nothing has happened"),
        (lambda *parts: decoder_layer(*parts, causal=False, masked=False), "both masks"),
        (lambda *parts: decoder_layer(*parts, triangle=causal_mask(5)), "stops with"),
        (lambda *parts: decoder_layer(*parts, residual="none"), "residuals are missing"),
        (post_norm, "post-norm"),
        (normed_memory, "memory has no norm"),
        (normed_residual, "carries y as it is"),
        (keys_without_norm, "queries, keys and values"),
        (without_norms, "the norms are missing"),
        (lambda *parts: without_norms(*parts, left_out=[2]), "one of the norms is missing"),
        (
            lambda y, m, mask, *rest: decoder_layer(
                y, m, mask, *rest, across_mask=causal_mask(5)[: y.size(1)]
            ),
            "cross-attention has the causal mask",
        ),
        (lambda y, m, mask, *rest: decoder_layer(y, m, ~mask, *rest), "source_mask is inverted"),
        (
            lambda y, m, mask, *rest: decoder_layer(
                y, m, mask, *rest, triangle=~causal_mask(y.size(1))
            ),
            "causal mask is inverted",
        ),
        (lambda *parts: decoder_layer(*parts, context="own", masked=False), "context is the mem"),
        (lambda *parts: decoder_layer(*parts, context="own"), "context is the mem"),
        (lambda *parts: changed(*parts, attentions=(1, 0)), "look_back and look_across are swap"),
        (lambda *parts: changed(*parts, attentions=(0, 0)), "one attention does both"),
        (lambda *parts: changed(*parts, order=(1, 0, 2)), "a norm of its own"),
        (lambda *parts: changed(*parts, order=(0, 0, 0)), "a norm of its own"),
    ],
}
