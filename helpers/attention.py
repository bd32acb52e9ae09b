"""Attention: the one formula, and the one class that uses it for self- and for cross-attention.

`attention` is built in notebook 01, `MultiHeadAttention` and `record_attention` in 02, the check
of the mask in 03. Source: Vaswani et al. 2017, sections 3.2.1 to 3.2.3; what everybody calls
cross-attention is "encoder-decoder attention" there.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers.cache import KeysValues, KVCache

# (query, key, value, mask) -> (output, weights, or None where the weights are not kept)
AttentionFunction = Callable[[Tensor, Tensor, Tensor, Tensor | None], tuple[Tensor, Tensor | None]]


def attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Scaled dot-product attention: softmax(Q Kᵀ / √d_k) V.

    query (…, target, d_k), key (…, source, d_k), value (…, source, d_v); mask boolean,
    True = may attend, broadcastable to (…, target, source).
    Returns the output (…, target, d_v) and the weights (…, target, source). Each row of the
    weights sums to 1; a row that may attend to nothing is all zeros, and so is its output.
    Raises ValueError where shapes do not fit, TypeError for a mask that is not boolean.
    Source: Vaswani et al. 2017, section 3.2.1.
    """
    check_attention_inputs(query, key, value, mask)
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))  # (…, target, source)
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    weights = scores.softmax(dim=-1)  # (…, target, source)
    if mask is not None:
        weights = weights.masked_fill(~mask, 0.0)  # a row of nothing but -inf would be NaN
    return weights @ value, weights  # (…, target, d_v)


def fused_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, None]:
    """The same output from torch's fused kernel, which is faster and does not keep the weights.

    Arguments, output and errors are those of `attention`; the weights are None.
    """
    check_attention_inputs(query, key, value, mask)
    return F.scaled_dot_product_attention(query, key, value, mask), None


class MultiHeadAttention(nn.Module):
    """Several attentions side by side, each in its own d_k = d_model / num_heads dimensions.

    Queries come from `x`, keys and values from `context`: in self-attention the same tensor, in
    cross-attention the encoder's output. Raises ValueError if num_heads does not divide d_model.
    """

    def __init__(self, d_model: int, num_heads: int):
        super().__init__()
        check_heads(d_model, num_heads)
        self.d_model, self.num_heads = d_model, num_heads
        self.w_q = nn.Linear(d_model, d_model)
        self.w_k = nn.Linear(d_model, d_model)
        self.w_v = nn.Linear(d_model, d_model)
        self.w_o = nn.Linear(d_model, d_model)
        self.attention: AttentionFunction = fused_attention  # or `attention`, to see the weights

    def forward(
        self, x: Tensor, context: Tensor, mask: Tensor | None = None, cache: KVCache | None = None
    ) -> Tensor:
        """x (batch, target, d_model), context (batch, source, d_model) -> like x.

        mask broadcastable to (batch, heads, target, source), True = may attend. A cache brings
        back the keys and values of earlier calls (notebook 10).
        Raises ValueError or TypeError as `attention` does.
        """
        if cache is None:
            key, value = self.keys_values(context)
        else:
            key, value = cache.update(self.keys_values, context)
        return self.attend(x, key, value, mask)

    def keys_values(self, context: Tensor) -> KeysValues:
        """This layer's own keys and values of `context`: two (batch, heads, source, d_k)."""
        check_states("context", context, self.d_model)
        key = split_heads(self.w_k(context), self.num_heads)
        value = split_heads(self.w_v(context), self.num_heads)
        return key, value

    def attend(self, x: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
        """Let x (batch, target, d_model) attend to keys and values made before -> like x."""
        check_states("x", x, self.d_model)
        query = split_heads(self.w_q(x), self.num_heads)  # (batch, heads, target, d_k)
        output, _ = self.attention(query, key, value, mask)  # (batch, heads, target, d_k)
        return self.w_o(merge_heads(output))  # (batch, target, d_model)


def split_heads(x: Tensor, num_heads: int) -> Tensor:
    """(batch, length, d_model) -> (batch, heads, length, d_k): each head gets its own columns."""
    batch, length, d_model = x.shape
    return x.view(batch, length, num_heads, d_model // num_heads).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """(batch, heads, length, d_k) -> (batch, length, d_model): the inverse of split_heads."""
    return x.transpose(1, 2).flatten(2)


@contextmanager
def record_attention(model: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Look inside: `with record_attention(model) as maps: model(...)`.

    maps[name] holds the (batch, heads, target, source) weights of the layer `name`, exactly as its
    last call used them. Inside the block, each layer attends with a function that also records its
    weights, and that computes the formula where the fused kernel would not show them. When the
    block ends, the model is as it was.
    Raises ValueError if the model has no MultiHeadAttention, or if one of them keeps no weights.
    """
    layers = {n: m for n, m in model.named_modules() if isinstance(m, MultiHeadAttention)}
    if not layers:
        got = f"{type(model).__module__}.{type(model).__name__}"
        raise ValueError(f"model must contain helpers.attention.MultiHeadAttention, got {got}")
    before = {name: layer.attention for name, layer in layers.items()}
    maps: dict[str, Tensor] = {}

    def recorded(name: str, attend: AttentionFunction) -> AttentionFunction:
        def attend_and_record(
            query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None
        ) -> tuple[Tensor, Tensor | None]:
            output, weights = attend(query, key, value, mask)
            if weights is None:
                raise ValueError(f"the attention of {name!r} keeps no weights")
            maps[name or "attention"] = weights.detach()
            return output, weights

        return attend_and_record

    try:
        for name, layer in layers.items():
            shows_weights = attention if layer.attention is fused_attention else layer.attention
            layer.attention = recorded(name, shows_weights)
        yield maps
    finally:
        for name, layer in layers.items():
            layer.attention = before[name]


def use_attention(model: nn.Module, function: AttentionFunction) -> None:
    """Let every MultiHeadAttention of a model attend with `function`.

    `fused_attention` is the default; in bfloat16 on a CPU `attention` can be faster.
    """
    for module in model.modules():
        if isinstance(module, MultiHeadAttention):
            module.attention = function


def check_mask(mask: Tensor | None, scores_shape: tuple[int, ...]) -> None:
    """Raise unless `mask` is None or a boolean tensor that broadcasts to `scores_shape`.

    Raises TypeError for a mask that is not boolean, ValueError for one that does not fit.
    """
    if mask is None:
        return
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        got = mask.dtype if isinstance(mask, Tensor) else type(mask).__name__
        raise TypeError(f"mask must be a boolean tensor (True = may attend), got {got}")
    sizes = zip(reversed(mask.shape), reversed(scores_shape), strict=False)
    if mask.dim() > len(scores_shape) or any(m not in (1, s) for m, s in sizes):
        raise ValueError(
            "mask must broadcast to the scores' shape (…, target, source) = "
            f"{tuple(scores_shape)}, got {tuple(mask.shape)}"
        )


def check_attention_inputs(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> None:
    """Raise ValueError or TypeError, naming what does not fit, unless attention can be computed."""
    if min(query.dim(), key.dim(), value.dim()) < 2 or query.size(-1) != key.size(-1):
        raise ValueError(
            "query and key need the shapes (…, target, d_k) and (…, source, d_k), "
            f"got {tuple(query.shape)} and {tuple(key.shape)}"
        )
    if key.shape[:-1] != value.shape[:-1]:
        raise ValueError(
            "key and value need the same shape (…, source) before their last dimension, "
            f"got {tuple(key.shape)} and {tuple(value.shape)}"
        )
    if query.shape[:-2] != key.shape[:-2]:
        raise ValueError(
            "query and key need the same batch (and heads), "
            f"got {tuple(query.shape)} and {tuple(key.shape)}"
        )
    check_mask(mask, (*query.shape[:-1], key.size(-2)))


def check_states(name: str, x: Tensor, d_model: int) -> None:
    """Raise ValueError unless x is (batch, length, d_model)."""
    if x.dim() != 3 or x.size(-1) != d_model:
        raise ValueError(f"{name} must be (batch, length, {d_model}), got {tuple(x.shape)}")


def check_heads(d_model: int, num_heads: int) -> None:
    """Raise ValueError unless d_model can be divided evenly among num_heads."""
    if num_heads < 1 or d_model < 1 or d_model % num_heads:
        raise ValueError(
            f"d_model must be divisible by num_heads, got d_model={d_model}, num_heads={num_heads}"
        )
