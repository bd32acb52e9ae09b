"""Checks of notebook 02, multi-head attention. Heads are counted from 1 in words and pictures."""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from helpers.attention import MultiHeadAttention, attention, merge_heads, split_heads
from helpers.checks import Wrong, ask, choice, close, exercise, expect, expect_like, to_array
from helpers.checks.reading import numbers, output


@exercise("2.1")
def check_parameters(answer: Any) -> str:
    """Predict: parameters of MultiHeadAttention with d_model = 64, with 1 head and with 8."""
    one, eight = numbers(answer, "with 1 head", "with 8 heads")
    right = 4 * (64 * 64 + 64)
    if one != eight and one in (right, 4 * 64 * 64):
        raise Wrong("heads share out the columns of the same matrices: does the size change?")
    if one == eight == 4 * 64 * 64:
        raise Wrong("the weights are right; each of the four linear maps also has a bias")
    if one == eight and one in (3 * (64 * 64 + 64), 3 * 64 * 64):
        raise Wrong("that is three of the four maps: W_O is missing")
    if one == eight and one in (64 * 64 + 64, 64 * 64):
        raise Wrong("that is one of the four maps: there are W_Q, W_K, W_V and W_O")
    if (one, eight) != (right, right):
        raise Wrong("count W_Q, W_K, W_V and W_O: each d_model by d_model, plus a bias")
    return "four maps of 64 · 64 + 64 each; heads cost no parameters"


@exercise("2.2")
def check_merge(answer: Any) -> str:
    """Implement: (batch, heads, length, d_k) -> (batch, length, d_model)."""
    cases = [
        (torch.arange(float(b * h * s * d)).reshape(b, h, s, d),)
        for b, h, s, d in ((2, 3, 5, 4), (3, 4, 2, 6))
    ]

    def lengths(x: Tensor) -> tuple[int, int, int]:
        return len(x), x.size(2), x.size(1) * x.size(3)

    expect_like(
        answer,
        merge_heads,
        cases,
        {
            "reshape alone mixes words: heads and length must be transposed first": (
                lambda x: x.reshape(lengths(x))
            ),
            "the columns of the heads are interleaved: keep each head's d_k together": (
                lambda x: x.permute(0, 2, 3, 1).flatten(2)
            ),
            "the heads are averaged; they should be side by side": lambda x: x.mean(1),
            "the heads are added up; they should be side by side": lambda x: x.sum(1),
            "heads and length have changed places; now join the last two dimensions": (
                lambda x: x.transpose(1, 2)
            ),
        },
        "merging is the inverse of split_heads: compare with it",
    )
    return "the inverse of split_heads"


@exercise("2.3")
def check_two_places(answer: Any) -> str:
    """Break one head: the best weights of one head for two different needs."""
    found = to_array(answer)
    if found is None:
        raise Wrong("numbers are needed here: two rows of three weights")
    if found.shape == (3, 2):
        raise Wrong("turn it round: a row for each head, a column for each word")
    if found.shape != (2, 3):
        raise Wrong(f"two heads over three words make (2, 3), yours is {found.shape}")
    if not close(found.sum(-1), [1.0, 1.0]):
        raise Wrong("each head's weights must sum to 1")
    if (found < 0).any():
        raise Wrong("a weight is a share, and never negative")
    if close(found[0], found[1]):
        raise Wrong("both heads look alike: then one head would do")
    if close(found, [[0, 0, 1], [1, 0, 0]]):
        raise Wrong("the heads look at each other's word: head 1 owns column 1, head 2 column 2")
    if not close(found.max(-1), [1.0, 1.0]):
        raise Wrong("a mixture gets you less: each head should put all its attention on one word")
    expect(found, [[1, 0, 0], [0, 0, 1]], "head 1 should fetch the 6, and head 2 the 8")
    return "one head alone has the same shares for both columns: never 6 and 8"


@exercise("2.4")
def check_multi_head(answer: Any) -> str:
    """Implement multi-head attention from ready projections."""
    torch.manual_seed(0)
    cases = [
        (torch.randn(b, t, d), torch.randn(b, s, d), torch.randn(b, s, d), heads)
        for b, t, s, d, heads in ((2, 3, 5, 8, 4), (1, 4, 3, 6, 2))
    ]

    def by_heads(scale: Callable = lambda d, h: 1.0, merge: Callable = merge_heads) -> Callable:
        def attend(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
            key = k * scale(k.size(-1), heads)
            return merge(attention(*(split_heads(x, heads) for x in (q, key, v)))[0])

        return attend

    def cut_badly(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
        parts = (x.reshape(len(x), heads, x.size(1), -1) for x in (q, k, v))
        return merge_heads(attention(*parts)[0])

    expect_like(
        answer,
        by_heads(),
        cases,
        {
            "this is one head over all columns: split before you attend": (
                lambda q, k, v, heads: attention(q, k, v)[0]
            ),
            "the scores are scaled by √d_model; each head has only d_k columns": (
                by_heads(lambda d, h: h**-0.5)
            ),
            "the scores aren't scaled by √d_k": by_heads(lambda d, h: (d / h) ** 0.5),
            "the scores are scaled twice: `attention` does it already": (
                by_heads(lambda d, h: (d / h) ** -0.5)
            ),
            "the keys are used as values as well: split all three": (
                lambda q, k, v, heads: by_heads()(q, k, k, heads)
            ),
            "the heads are merged by a reshape alone, which mixes up the words: use merge_heads": (
                by_heads(merge=lambda x: x.reshape(len(x), x.size(2), -1))
            ),
            "the heads are cut by a reshape alone, which mixes up the words: use split_heads": (
                cut_badly
            ),
            "the heads are still apart: merge them": by_heads(merge=lambda x: x),
        },
        "split all three, attend, merge",
        read=output,
    )
    return "split, attend, merge"


check_quiz = choice(
    "2.5",
    "a",
    {
        "a": "each output column of W_O reads all heads",
        "b": "putting the heads side by side does that already",
        "c": "softmax does that, before W_O",
        "d": "the next layer has a W_Q of its own",
    },
)


@exercise("2.6")
def check_strongest(answer: Any) -> str:
    """Look inside: the column with the largest weight for each head and query of one sentence."""
    torch.manual_seed(0)
    # The notebook's own class, if its cell was run, because its record_attention looks for that.
    own = getattr(inspect.unwrap(answer), "__globals__", {}) if callable(answer) else {}
    kind = own.get("MultiHeadAttention", MultiHeadAttention)
    for width, heads, length in ((8, 4, 5), (6, 2, 3)):
        layer, x = kind(width, heads), 3 * torch.randn(1, length, width)
        default = layer.attention
        weights = _weights(layer, x)[0]
        got = ask(answer, layer, x)
        if close(got, weights):
            raise Wrong("these are the weights; argmax turns them into the NUMBER of a column")
        if close(got, weights.argmax(-1)[None]):
            raise Wrong("the batch is still there: take its first and only sentence")
        if close(got, weights.argmax(-2)):
            raise Wrong("rows are queries: the largest weight of a row is argmax(-1)")
        if close(got, weights.mean(0).argmax(-1)):
            raise Wrong("the heads are averaged; look at each by itself")
        if close(got, weights.argmax(-1) + 1):
            raise Wrong("columns are indices here, and count from 0")
        if close(got, weights.amax(-1)):
            raise Wrong("these are the largest weights; which COLUMN are they in? That is argmax")
        expect(got, weights.argmax(-1), "for each head and query, the column of the largest weight")
        if layer.attention is not default:
            raise Wrong("the layer still records: use `with`, which puts it back as it was")
    return "what a layer computed on the way, without a change to its code"


def _weights(layer: Any, x: Tensor) -> Tensor:
    """The layer's attention weights in self-attention. The layer stays as it was."""
    maps: list[Tensor] = []

    def noting(
        query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        found, weights = attention(query, key, value, mask)
        maps.append(weights.detach())
        return found, weights

    default, layer.attention = layer.attention, noting
    layer(x, x)
    layer.attention = default
    return maps[0]
