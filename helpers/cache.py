"""What a decoder need not compute twice: the keys and values of the words it has already read.

Built in notebook 10. Source of the idea: nothing in Vaswani et al. 2017, but every decoder that
writes one token at a time uses it; under a causal mask the past's keys and values never change.
"""

from collections.abc import Callable

import torch
from torch import Tensor

KeysValues = tuple[Tensor, Tensor]  # two (batch, heads, length, d_k)


class Growing:
    """Self-attention's cache: the new tokens' keys and values are appended to the past's.

    They stand in one block with room to spare, time first: what is there already stays where it
    is when a token is added. A call with new (batch, new, d_model) gives the keys and values of
    all so far, two (batch, heads, so far, d_k).
    """

    def __init__(self):
        self.block: Tensor | None = None  # (2, room, batch, heads, d_k): keys, then values
        self.length = 0

    def __call__(self, keys_values: Callable[[Tensor], KeysValues], new: Tensor) -> KeysValues:
        both = torch.stack(keys_values(new)).permute(0, 3, 1, 2, 4)  # (2, new, batch, heads, d_k)
        start, self.length = self.length, self.length + both.size(1)
        if self.block is None or self.length > self.block.size(1):
            roomier = both.new_empty(2, 2 * self.length + 14, *both.shape[2:])
            if self.block is not None:
                roomier[:, :start] = self.block[:, :start]
            self.block = roomier
        self.block[:, start : self.length] = both
        key, value = self.block[:, : self.length].permute(0, 2, 3, 1, 4)
        return key, value  # (batch, heads, so far, d_k)


class Once:
    """Cross-attention's cache: the memory's keys and values are computed at the first call.

    memory (batch, source, d_model) -> two (batch, heads, source, d_k). That later calls bring the
    same memory is not checked.
    """

    def __init__(self):
        self.kept: KeysValues | None = None

    def __call__(self, keys_values: Callable[[Tensor], KeysValues], memory: Tensor) -> KeysValues:
        if self.kept is None:
            self.kept = keys_values(memory)  # (batch, heads, source, d_k)
        return self.kept


class Cache:
    """One (Growing, Once) pair for each decoder layer.

    A cache belongs to one batch of sources, and to decoding from the first token on.
    """

    def __init__(self, num_layers: int):
        self.layers = [(Growing(), Once()) for _ in range(num_layers)]

    @property
    def length(self) -> int:
        """How many target tokens are cached."""
        return self.layers[0][0].length
