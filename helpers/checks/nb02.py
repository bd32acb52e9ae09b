"""Checks of notebook 02, multi-head attention."""

import inspect
from typing import Any

import torch
from torch import Tensor

from helpers.attention import MultiHeadAttention, attention, merge_heads, split_heads
from helpers.checks import Wrong, ask, choice, close, exercise, expect


@exercise("2.1")
def check_parameters(answer: Any) -> str:
    """Predict: parameters of MultiHeadAttention with d_model = 64, with 1 head and with 8."""
    one, eight = (int(x) for x in answer)
    right = 4 * (64 * 64 + 64)
    if one == eight == 4 * 64 * 64:
        raise Wrong("the weights are right; each of the four linear maps has a bias too")
    if one == eight == 3 * (64 * 64 + 64):
        raise Wrong("three of the four maps are counted: W_O is missing")
    if one == right and eight != right:
        raise Wrong("heads share out the columns of the same matrices: does the size change?")
    if (one, eight) != (right, right):
        raise Wrong("count W_Q, W_K, W_V and W_O: each d_model by d_model, plus a bias")
    return "four maps of 64 · 64 + 64 each; heads cost no parameters"


@exercise("2.2")
def check_merge(answer: Any) -> str:
    """Implement: (batch, heads, length, d_k) -> (batch, length, d_model)."""
    x = torch.arange(2 * 3 * 5 * 4.0).reshape(2, 3, 5, 4)
    got = ask(answer, x)
    if close(got, x.reshape(2, 5, 12)):
        raise Wrong("reshape alone mixes words: heads and length must be transposed first")
    if close(got, x.permute(0, 2, 3, 1).flatten(2)):
        raise Wrong("the columns of the heads are interleaved: keep each head's d_k together")
    if close(got, x.mean(1)):
        raise Wrong("the heads are averaged; they should stand side by side")
    expect(got, merge_heads(x), "merging is the inverse of split_heads: compare with it")
    return "the inverse of split_heads"


@exercise("2.3")
def check_two_places(answer: Any) -> str:
    """Break one head: the best weights of one head for two different needs."""
    weights = torch.as_tensor(answer, dtype=torch.float)
    if weights.shape != (2, 3):
        raise Wrong(f"two heads over three words make (2, 3), yours is {tuple(weights.shape)}")
    if not close(weights.sum(-1), [1.0, 1.0]):
        raise Wrong("each head's weights sum to 1")
    if close(weights[0], weights[1]):
        raise Wrong("both heads look alike: then one head would do")
    values = torch.tensor([[6.0, 5.0], [0.0, 0.0], [7.0, 8.0]])  # two columns per word
    got = torch.stack([weights[0] @ values[:, 0], weights[1] @ values[:, 1]])
    if close(got, [7.0, 5.0]):
        raise Wrong("the heads look at each other's word: head 1 owns column 1")
    expect(got, [6.0, 8.0], "head 1 should fetch the 6 and head 2 the 8, both undiluted")
    return "one head has the same shares for both columns: never 6 and 8"


@exercise("2.4")
def check_multi_head(answer: Any) -> str:
    """Implement multi-head attention from ready projections."""
    torch.manual_seed(0)
    query, key, value = torch.randn(2, 3, 8), torch.randn(2, 5, 8), torch.randn(2, 5, 8)
    got = ask(answer, query, key, value, 4)

    def by_heads(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return merge_heads(attention(*(split_heads(x, 4) for x in (q, k, v)))[0])

    right = by_heads(query, key, value)
    if close(got, attention(query, key, value)[0]):
        raise Wrong("this is one head over all columns: split before you attend")
    if close(got, by_heads(query, key * 2**-0.5, value)):
        raise Wrong("the scores are scaled by √d_model; each head has only d_k columns")
    expect(got, right, "split all three, attend, merge")
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
    layer, x = kind(8, 4), 3 * torch.randn(1, 5, 8)
    maps: list[Tensor] = []

    def noting(
        query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        output, weights = attention(query, key, value, mask)
        maps.append(weights.detach())
        return output, weights

    default, layer.attention = layer.attention, noting
    layer(x, x)
    layer.attention = default
    weights = maps[0][0]
    right = weights.argmax(-1)
    got = ask(answer, layer, x)
    if close(got, weights):
        raise Wrong("these are the weights; asked is the NUMBER of the largest column: argmax")
    if close(got, right[None]):
        raise Wrong("the batch is still there: take its first and only sentence")
    if close(got, weights.argmax(-2)):
        raise Wrong("rows are queries: the largest along a row is argmax(-1)")
    if close(got, weights.mean(0).argmax(-1)):
        raise Wrong("the heads are averaged; look at each by itself")
    expect(got, right, "for each head and each query, the column with the largest weight")
    if layer.attention is not default:
        raise Wrong("the layer still records: use `with`, which puts it back as it was")
    return "what a layer computed on the way, without a change to its code"
