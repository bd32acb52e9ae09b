"""Parts of today's Transformers, each a small change of ours, and T5Gemma, which has them all.

Built in notebook 17; grouped queries and `rotate` come from notebook 15. Sources: Shazeer 2020
(gated feed-forward layers), Su et al. 2021 (rotary positions), Gemma Team 2024 (norms on both
sides, soft caps), Zhang et al. 2025 (T5Gemma).
"""

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers.attention import AttentionFunction, attention
from helpers.layers import AddNorm, FeedForward
from helpers.lessons.attention_variants import GroupedQueryAttention, rotate
from helpers.transformer import Transformer, TransformerConfig


class GatedFeedForward(FeedForward):
    """A feed-forward layer in which one linear map decides how much of another one passes.

    (batch, length, d_model) -> the same shape. Its name depends on the activation: SwiGLU with
    F.silu, GeGLU with F.gelu. Source: Shazeer 2020.
    """

    def __init__(self, d_model: int, d_ff: int):
        super().__init__(d_model, d_ff)
        self.w_3 = nn.Linear(d_model, d_ff)
        self.activation = F.silu

    def forward(self, x: Tensor) -> Tensor:
        return self.w_2(self.activation(self.w_1(x)) * self.w_3(x))


class RotaryAttention(GroupedQueryAttention):
    """Self-attention that turns queries and keys by their positions before they meet.

    Then `formula` computes the attention. A cache keeps the keys as they are before turning, so
    the newest query always has the last position. Source: Su et al. 2021.
    """

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        num_groups: int,
        formula: AttentionFunction = attention,
    ):
        super().__init__(d_model, num_heads, num_groups)
        self.formula = formula
        self.attention = self.turned_attention

    def turned_attention(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """What `formula` returns for the turned queries and keys."""
        new, length = query.size(2), key.size(2)
        position = torch.arange(length, device=key.device)
        if length > new:  # a cache: the tokens of one step, a beam's hypotheses, share a position
            position = (position + new - 1) // new
        query, key = rotate(query, position[-new:]), rotate(key, position)
        return self.formula(query, key, value, mask)


class SandwichNorm(AddNorm):
    """A norm on either side of the sub-layer: x + norm(sublayer(norm(x))). Source: Gemma 2."""

    def __init__(self, d_model: int, dropout: float):
        super().__init__(d_model, dropout, norm_first=True)
        self.norm = nn.RMSNorm(d_model, eps=1e-6)
        self.norm_after = nn.RMSNorm(d_model, eps=1e-6)

    def forward(self, x: Tensor, found: Tensor) -> Tensor:
        return super().forward(x, self.norm_after(found))


class SoftCap(nn.Module):
    """Numbers of any size -> numbers between -limit and limit; small ones hardly change."""

    def __init__(self, limit: float):
        super().__init__()
        self.limit = limit

    def forward(self, x: Tensor) -> Tensor:
        return self.limit * torch.tanh(x / self.limit)


def capped_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, limit: float = 50.0
) -> tuple[Tensor, Tensor]:
    """The formula of `attention` with a soft cap on the scores, as in Gemma 2."""
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))
    scores = SoftCap(limit)(scores)  # (…, target, source)
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    weights = scores.softmax(dim=-1)
    if mask is not None:
        weights = weights.masked_fill(~mask, 0.0)
    return weights @ value, weights


def tanh_gelu(x: Tensor) -> Tensor:
    """GELU approximated with a tanh, as T5 1.1 and Gemma compute it."""
    return F.gelu(x, approximate="tanh")


class T5Gemma(Transformer):
    """The Transformer of notebook 08 with parts of 2025. Its interface and searches are the same.

    Sentences must be shorter than its sliding window (4,096 tokens), which is not built here.
    """

    def __init__(self, config: TransformerConfig, num_groups: int):
        super().__init__(replace(config, norm_first=True, tied_embeddings=False))
        c = config
        sizes = (c.d_model, c.num_heads, num_groups)
        for stack in (self.encoder, self.decoder):
            stack.norm = nn.RMSNorm(c.d_model, eps=1e-6)
            for layer in stack.layers:
                layer.self_attention = RotaryAttention(*sizes, capped_attention)
                layer.feed_forward = GatedFeedForward(c.d_model, c.d_ff)
                layer.feed_forward.activation = tanh_gelu
                layer.add_norm_self = SandwichNorm(c.d_model, c.dropout)
                layer.add_norm_ff = SandwichNorm(c.d_model, c.dropout)
        for layer in self.decoder.layers:
            layer.cross_attention = GroupedQueryAttention(*sizes)
            layer.cross_attention.attention = capped_attention
            layer.add_norm_cross = SandwichNorm(c.d_model, c.dropout)
        for embedding in (self.source_embedding, self.target_embedding):
            embedding.positions.zero_()  # the rotation says where a word is
        for module in self.modules():
            if isinstance(module, nn.Linear):
                module.bias = None
        self.target_embedding.token.weight = self.output.weight
        self.output = nn.Sequential(self.output, SoftCap(30.0))


T5GEMMA = {  # parts of its names -> parts of ours
    "model.encoder.embed_tokens": "source_embedding.token",
    "model.decoder.embed_tokens": "target_embedding.token",
    "lm_head.out_proj": "output.0",
    "model.": "",
    "pre_self_attn_layernorm": "add_norm_self.norm",
    "post_self_attn_layernorm": "add_norm_self.norm_after",
    "pre_cross_attn_layernorm": "add_norm_cross.norm",
    "post_cross_attn_layernorm": "add_norm_cross.norm_after",
    "pre_feedforward_layernorm": "add_norm_ff.norm",
    "post_feedforward_layernorm": "add_norm_ff.norm_after",
    "self_attn": "self_attention",
    "cross_attn": "cross_attention",
    "q_proj": "w_q",
    "k_proj": "w_k",
    "v_proj": "w_v",
    "o_proj": "w_o",
    "mlp.gate_proj": "feed_forward.w_1",
    "mlp.up_proj": "feed_forward.w_3",
    "mlp.down_proj": "feed_forward.w_2",
}


def from_t5gemma(theirs: Mapping[str, Tensor], d_k: int) -> dict[str, Tensor]:
    """The weights of transformers' T5Gemma under our names.

    Two kinds of weight change on the way. A norm's weight counts from 0 there, and from 1 here. A
    rotation pairs column i of a head with column i + d_k / 2 there, and with its neighbour here.
    """
    weights = {}
    for name, weight in theirs.items():
        if "norm" in name:
            weight = weight + 1
        if "self_attn.q_proj" in name or "self_attn.k_proj" in name:
            weight = neighbours(weight, d_k)
        for part, ours in T5GEMMA.items():
            name = name.replace(part, ours)
        weights[name] = weight
    return weights


def neighbours(weight: Tensor, d_k: int) -> Tensor:
    """Rows of W_Q or W_K (heads · d_k, d_model) in another order: 0, d_k / 2, 1, d_k / 2 + 1, …"""
    return weight.unflatten(0, (-1, 2, d_k // 2)).transpose(1, 2).flatten(0, 2)
