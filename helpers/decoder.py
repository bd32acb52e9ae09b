"""The decoder: masked self-attention, cross-attention, feed-forward. Built in 06, 07 and 08.

Without memory (`with_memory=False`) the middle sub-layer is left out, and the same stack is a
decoder-only language model. Source: Vaswani et al. 2017, section 3.1.
"""

from torch import Tensor, nn

from helpers.attention import MultiHeadAttention
from helpers.cache import Cache, KVCache
from helpers.layers import AddNorm, FeedForward


class DecoderLayer(nn.Module):
    """Masked self-attention, cross-attention to the memory, feed-forward, each inside add & norm.

    y (batch, target, d_model), memory (batch, source, d_model), target_mask broadcastable to
    (batch, heads, target, target), source_mask to (batch, heads, target, source) -> like y.
    Raises ValueError as check_memory does.
    """

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        d_ff: int,
        dropout: float = 0.1,
        norm_first: bool = False,
        with_memory: bool = True,
    ):
        super().__init__()
        self.self_attention = MultiHeadAttention(d_model, num_heads)
        self.add_norm_self = AddNorm(d_model, dropout, norm_first)
        self.with_memory = with_memory
        if with_memory:
            self.cross_attention = MultiHeadAttention(d_model, num_heads)
            self.add_norm_cross = AddNorm(d_model, dropout, norm_first)
        self.feed_forward = FeedForward(d_model, d_ff)
        self.add_norm_ff = AddNorm(d_model, dropout, norm_first)

    def forward(
        self,
        y: Tensor,
        memory: Tensor | None = None,
        target_mask: Tensor | None = None,
        source_mask: Tensor | None = None,
        cache: tuple[KVCache, KVCache] | None = None,
    ) -> Tensor:
        check_memory(memory, self.with_memory)
        own, across = cache or (None, None)  # keys and values of earlier calls (notebook 10)
        h = self.add_norm_self.before(y)  # look back: the target looks at the target
        y = self.add_norm_self(y, self.self_attention(h, h, target_mask, cache=own))
        if self.with_memory:
            h = self.add_norm_cross.before(y)  # look across: the target looks at the source
            y = self.add_norm_cross(y, self.cross_attention(h, memory, source_mask, cache=across))
        h = self.add_norm_ff.before(y)  # think: each position by itself
        return self.add_norm_ff(y, self.feed_forward(h))


def check_memory(memory: Tensor | None, with_memory: bool) -> None:
    """Raise ValueError if memory is missing, or given to a layer built without cross-attention."""
    if (memory is not None) != with_memory:
        got = "no memory" if memory is None else "a memory"
        raise ValueError(f"a layer built with with_memory={with_memory} got {got}")


class Decoder(nn.Module):
    """num_layers decoder layers. Every one of them receives the same memory.

    y (batch, target, d_model), memory (batch, source, d_model) -> like y.
    """

    def __init__(
        self,
        num_layers: int,
        d_model: int,
        num_heads: int,
        d_ff: int,
        dropout: float = 0.1,
        norm_first: bool = False,
        with_memory: bool = True,
    ):
        super().__init__()
        self.layers = nn.ModuleList(
            DecoderLayer(d_model, num_heads, d_ff, dropout, norm_first, with_memory)
            for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(d_model) if norm_first else nn.Identity()

    def forward(
        self,
        y: Tensor,
        memory: Tensor | None = None,
        target_mask: Tensor | None = None,
        source_mask: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        caches = [None] * len(self.layers) if cache is None else cache.layers
        for layer, kept in zip(self.layers, caches, strict=True):
            y = layer(y, memory, target_mask, source_mask, kept)
        return self.norm(y)
