"""What a decoder need not compute twice: the keys and values of the words it has already read.

Built in notebook 10. Vaswani et al. 2017 do not mention it, but every decoder that writes one token
at a time does it, because under a causal mask the keys and values of past tokens never change.
"""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

KeysValues = tuple[Tensor, Tensor]  # two (batch, heads, length, d_k)


class KVCache(Protocol):
    """What `MultiHeadAttention` asks of a cache: the keys and values to attend to now."""

    def update(self, keys_values: Callable[[Tensor], KeysValues], context: Tensor) -> KeysValues:
        """keys_values(context) computes those of `context`; the cache calls it if it needs them."""


class SelfAttentionCache:
    """Appends the new tokens' keys and values to those of the past.

    They are kept in one block with room to spare, time first, so that adding a token rarely
    copies what is there already.
    """

    def __init__(self) -> None:
        self.block: Tensor | None = None  # (2, room, batch, heads, d_k): keys, then values
        self.length = 0  # how much of the room is used

    def update(self, keys_values: Callable[[Tensor], KeysValues], context: Tensor) -> KeysValues:
        """context (batch, new, d_model) -> keys and values of all tokens so far."""
        both = torch.stack(keys_values(context)).permute(0, 3, 1, 2, 4)
        start, self.length = self.length, self.length + both.size(1)
        if self.block is None or self.length > self.block.size(1):
            roomier = both.new_empty(2, 2 * self.length + 14, *both.shape[2:])
            if self.block is not None:
                roomier[:, :start] = self.block[:, :start]
            self.block = roomier
        self.block[:, start : self.length] = both  # (2, new, batch, heads, d_k)
        key, value = self.block[:, : self.length].permute(0, 2, 3, 1, 4)
        return key, value  # (batch, heads, so far, d_k)


class CrossAttentionCache:
    """Computes the memory's keys and values at the first call and keeps them.

    Later calls are assumed to pass the same memory; this is not checked.
    """

    def __init__(self) -> None:
        self.kept: KeysValues | None = None

    def update(self, keys_values: Callable[[Tensor], KeysValues], context: Tensor) -> KeysValues:
        """context (batch, source, d_model), the memory -> its keys and values."""
        if self.kept is None:
            self.kept = keys_values(context)  # (batch, heads, source, d_k)
        return self.kept


class Cache:
    """One (SelfAttentionCache, CrossAttentionCache) pair for each decoder layer.

    A cache belongs to one batch of sources, and to decoding from the first token on.
    """

    def __init__(self, num_layers: int):
        self.layers = [(SelfAttentionCache(), CrossAttentionCache()) for _ in range(num_layers)]
        self.length = 0  # positions of the target that `Transformer.decode` has read so far
