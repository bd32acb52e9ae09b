"""What a decoder need not compute twice: the keys and values of the words it has already read.

Built in notebook 10. Source of the idea: nothing in Vaswani et al. 2017, but all that decodes
one token at a time uses it; under a causal mask the past's keys and values never change.
"""

from collections.abc import Callable

import torch
from torch import Tensor

KeysValues = tuple[Tensor, Tensor]  # two (batch, heads, length, d_k)


class Growing:
    """Self-attention's cache: the new tokens' keys and values are appended to the past's."""

    def __init__(self):
        self.kept: KeysValues | None = None

    def __call__(self, keys_values: Callable[[Tensor], KeysValues], new: Tensor) -> KeysValues:
        key, value = keys_values(new)  # (batch, heads, new, d_k)
        if self.kept is not None:
            key = torch.cat([self.kept[0], key], dim=2)  # (batch, heads, so far, d_k)
            value = torch.cat([self.kept[1], value], dim=2)
        self.kept = key, value
        return self.kept


class Once:
    """Cross-attention's cache: the memory's keys and values are computed at the first call."""

    def __init__(self):
        self.kept: KeysValues | None = None

    def __call__(self, keys_values: Callable[[Tensor], KeysValues], memory: Tensor) -> KeysValues:
        if self.kept is None:
            self.kept = keys_values(memory)  # (batch, heads, source, d_k)
        return self.kept


class Cache:
    """One (Growing, Once) pair for each decoder layer, and how to keep only some rows of them.

    A cache belongs to one batch of sources, and to decoding from the first token on.
    """

    def __init__(self, num_layers: int):
        self.layers = [(Growing(), Once()) for _ in range(num_layers)]

    @property
    def length(self) -> int:
        """How many target tokens are cached."""
        past = self.layers[0][0].kept
        return 0 if past is None else past[0].size(2)

    def select(self, rows: Tensor, memory_too: bool = True) -> None:
        """Go on with these rows (whole numbers, repeats allowed), in this order.

        memory_too=False leaves the memory's keys and values as they are: right when every row
        is replaced by one of the same source sentence, as beams are.
        """
        for pair in self.layers:
            for part in pair if memory_too else pair[:1]:
                if part.kept is not None:
                    part.kept = (part.kept[0][rows], part.kept[1][rows])
