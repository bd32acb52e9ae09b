import math

import torch
from torch import nn

from helpers.attention import MultiHeadAttention, merge_heads, split_heads
from helpers.decoder import DecoderLayer
from helpers.layers import AddNorm, FeedForward
from helpers.lessons.leaky_models import (
    CausalMaskForgotten,
    CausalMaskInCross,
    CausalMaskInverted,
    PaddingHeard,
)
from helpers.transformer import Transformer


def counted(d_model, d_ff):
    layer = DecoderLayer(d_model, 1, d_ff, dropout=0.0)
    return sum(parameter.numel() for parameter in layer.parameters())


def without(d, f, *, attentions=2, norms=3, bias=1, maps=4):
    feed = 2 * d * f + bias * (d + f)
    return attentions * maps * (d * d + bias * d) + feed + norms * 2 * d


class Broken(Transformer):
    """The series' own model as a learner's, with one thing changed."""

    def __init__(self, config, change=None):
        super().__init__(config)
        if change is not None:
            change(self)


def formula(scale=0.5, axis=-1, merged=True, split=True, clean=True, change_mask=None):
    """A learner's attention with a usual mistake, as a method of MultiHeadAttention."""

    def cut(x, heads):
        return split_heads(x, heads) if split else x.reshape(len(x), heads, x.size(1), -1)

    def forward(self, x, context, mask=None, cache=None):
        query, key, value = (
            cut(linear(y), self.num_heads)
            for linear, y in ((self.w_q, x), (self.w_k, context), (self.w_v, context))
        )
        scores = query @ key.transpose(-2, -1) * scale
        mask = mask if change_mask is None else change_mask(mask)
        if mask is not None:
            scores = scores.masked_fill(~mask, -math.inf)
        weights = scores.softmax(axis)
        found = (weights.nan_to_num(0.0) if clean else weights) @ value
        return self.w_o(merge_heads(found) if merged else found.reshape(x.shape))

    return forward


def attending(only="", **mistake):
    def change(model):
        for name, module in model.named_modules():
            if isinstance(module, MultiHeadAttention) and only in name:
                module.forward = formula(**mistake).__get__(module)

    return lambda config: Broken(config, change)


def rows_of(mask):
    """The last row of a mask: in the decoder, its padding alone."""
    return mask[..., -1:, :]


def past_of(mask):
    return torch.ones(mask.shape[-2:], dtype=torch.bool).tril()


class Embedding(nn.Module):
    """An embedding with its parts put together in another way."""

    def __init__(self, own, together):
        super().__init__()
        self.token, self.positions, self.together = own.token, own.positions, together

    def forward(self, ids, start=0, length=None):
        token, places = self.token(ids), self.positions[: ids.size(1)]
        return self.together(token, places, token.size(-1))


def embedding(together):
    def change(model):
        for name in ("source_embedding", "target_embedding"):
            setattr(model, name, Embedding(getattr(model, name), together))

    return lambda config: Broken(config, change)


def pre_norm(model):
    for module in model.modules():
        if isinstance(module, AddNorm):
            module.norm_first = True


def gelu(model):
    for module in model.modules():
        if isinstance(module, FeedForward):
            module.forward = lambda x, m=module: m.w_2(nn.functional.gelu(m.w_1(x)))


def deaf(model):
    for layer in model.decoder.layers:
        attention, whole = layer.cross_attention, layer.cross_attention.forward
        attention.forward = lambda x, context, mask=None, cache=None, f=whole: f(x, x)


def with_output_bias(model):
    model.output = nn.Linear(16, 23)


def probabilities(model):
    model.output.register_forward_hook(lambda m, inputs, output: output.softmax(-1))


class ThreeLogits(Transformer):
    def forward(self, source_ids, target_ids):
        return super().forward(source_ids, target_ids)[:, -1]


class Doubled(Transformer):
    def forward(self, source_ids, target_ids):
        return 2 * super().forward(source_ids, target_ids)


class Renamed(Transformer):
    def __init__(self, config):
        super().__init__(config)
        self.head = self.output
        del self.output


class WithDropout(Transformer):
    """As it comes from its constructor, in training mode, with dropout of its own."""

    def __init__(self, config):
        super().__init__(config)
        self.more = nn.Dropout(0.5)

    def forward(self, source_ids, target_ids):
        return self.more(super().forward(source_ids, target_ids))


def list_at_once(received, memory, layers):
    return received == [memory] * layers


def equal_numbers(received, memory, layers):
    good = [torch.equal(context, memory) for context in received]
    return len(good) == layers and all(good)


RIGHT = {
    "check_arrows": [(6, 1), [6, 1], torch.tensor([6, 1]), "6, 1"],
    "check_parameter_count": [
        counted,
        lambda d, f: torch.tensor(without(d, f)),
        lambda d, f: float(without(d, f)),
        lambda d, f: str(without(d, f)),
    ],
    "check_wiring_test": [
        equal_numbers,
        list_at_once,
        lambda r, m, n: len(r) == n and sum(c is m for c in r) == n,
        lambda r, m, n: torch.tensor(equal_numbers(r, m, n)),
    ],
    "check_from_scratch": [
        Transformer,
        WithDropout,
        attending(),
        attending(clean=False),
        attending("decoder.layers.0.self", change_mask=past_of),  # it hides padding at the end, too
    ],
}

WRONG = {
    "check_arrows": [
        ((1, 1), "cross-attention per layer"),
        ((1, 6), "other way round"),
        ((6, 6), "layer i"),
        ((12, 1), "K and V"),
        ((6, 2), "what travels on it is the memory"),
        ((3, 3), "one arrow into each"),
        (6, "2 numbers are needed"),
    ],
    "check_parameter_count": [
        (lambda d, f: without(d, f, attentions=1, norms=2), "encoder layer"),
        (lambda d, f: without(d, f, attentions=1), "two attentions"),
        (lambda d, f: without(d, f, bias=0), "biases"),
        (lambda d, f: without(d, f, norms=2), "three norms"),
        (lambda d, f: without(d, f, norms=0), "norms are missing"),
        (lambda d, f: without(d, f) - 3 * d, "a weight AND a bias"),
        (lambda d, f: without(d, f, maps=3), "W_O is missing"),
        (lambda d, f: without(d, f) - f * d - d, "up to d_ff and down"),
        (lambda d, f: 4204032, "add them up"),
        (lambda d, f: without(d, f) - f - d * f, "add them up"),
        (lambda d, f: d * f, "add them up"),
        (lambda d, f: (1, 2), "one number is needed"),
    ],
    "check_wiring_test": [
        (lambda r, m, n: m in r, "layer i"),
        (lambda r, m, n: all(c is m for c in r), "last layer only"),
        (lambda r, m, n: len(set(r)) == 1 and len(r) == n, "early encoder"),
        (lambda r, m, n: len(r) == 3 and all(c is m for c in r), "rejects.*right, with two layers"),
        (lambda r, m, n: r[0] is m and r[-1] is m and len(r) == n, "stops with|middle"),
        (lambda r, m, n: r[:1] == [m] and r[-1:] == [m] and len(r) == n, "the middle layer"),
        (lambda r, m, n: False, "rejects the wiring 'right'"),
        (lambda r, m, n: True, "accepts the wiring"),
    ],
    "check_from_scratch": [
        (attending(scale=1.0), r"encoder\.layers\.0\.self_attention: the scores are not divided"),
        (attending(scale=0.25), "divided by d_k, not by its root"),
        (attending(axis=-2), "softmax runs over the wrong axis"),
        (attending(axis=-2, clean=False), "softmax runs over the wrong axis"),
        (attending(merged=False), "merged without bringing a word's heads together"),
        (attending(split=False), "split without bringing a head's words together"),
        (attending(change_mask=lambda mask: ~mask), "the mask is inverted"),
        (attending(change_mask=lambda mask: ~mask, clean=False), "the mask is inverted"),
        (attending(change_mask=lambda mask: None), "self_attention: the mask is missing"),
        (attending("decoder", change_mask=rows_of), "the future|causal mask is missing"),
        (attending("decoder", change_mask=rows_of, clean=False), "causal mask is missing"),
        (
            attending("decoder.layers.0.self", change_mask=lambda m: past_of(m).mT & rows_of(m)),
            r"decoder\.layers\.0\.self_attention: the triangle is the wrong way up",
        ),
        (
            attending("decoder.layers.0.self", change_mask=lambda m: m.tril(-1), clean=False),
            r"decoder\.layers\.0\.self_attention: the triangle leaves out the diagonal",
        ),
        (PaddingHeard, r"encoder\.layers\.0\.self_attention: the mask is missing"),
        (CausalMaskForgotten, r"decoder\.layers\.0\.self_attention: the causal mask is missing"),
        (CausalMaskInverted, r"decoder\.layers\.0\.self_attention: "),
        (CausalMaskInCross, r"decoder\.layers\.0\.cross_attention: it has a causal mask"),
        (embedding(lambda token, places, d: token * d**0.5), "positions aren't added"),
        (embedding(lambda token, places, d: token + places), "isn't multiplied by √d_model"),
        (embedding(lambda token, places, d: (token + places) * d**0.5), "to the token alone"),
        (embedding(lambda token, places, d: token * d + places), "its square root"),
        (embedding(lambda token, places, d: token), "neither"),
        (embedding(lambda token, places, d: places - token), "source_embedding: √d_model times"),
        (lambda c: Broken(c, pre_norm), r"post-norm"),
        (lambda c: Broken(c, gelu), r"feed_forward: W_2 · relu"),
        (lambda c: Broken(c, deaf), r"decoder\.layers\.0\.cross_attention: "),
        (lambda c: Broken(c, probabilities), "what comes last|output"),
        (lambda c: Broken(c, with_output_bias), "does not have: output.bias"),
        (Doubled, "the logits aren't: what comes last"),
        (ThreeLogits, "the shape should be"),
        (Renamed, r"there is no weight output\.weight"),
        (lambda c: 3, "must be an nn.Module"),
        (nn.Linear(2, 2), "pass the class itself"),
    ],
}
