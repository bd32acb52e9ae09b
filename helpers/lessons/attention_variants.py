"""What models of today change in attention, each as a small change of ours. Notebook 15.

Grouped-query attention (Ainslie et al. 2023) and rotary positions (Su et al. 2021). RMSNorm is
torch's own, `nn.RMSNorm` (Zhang and Sennrich 2019).
"""

import torch
from torch import Tensor, nn

from helpers.attention import MultiHeadAttention, split_heads


class GroupedQueryAttention(MultiHeadAttention):
    """Several heads of queries share one head of keys and values, so that caches are smaller.

    There are num_groups heads of keys and values. With num_groups = num_heads this is
    MultiHeadAttention, with one group it is multi-query attention. Raises ValueError unless
    num_groups divides num_heads.
    """

    def __init__(self, d_model: int, num_heads: int, num_groups: int):
        super().__init__(d_model, num_heads)
        if num_groups < 1 or num_heads % num_groups:
            raise ValueError(
                f"num_groups must divide num_heads, got {num_groups} for {num_heads} heads"
            )
        self.num_groups = num_groups
        narrow = d_model // num_heads * num_groups
        self.w_k, self.w_v = nn.Linear(d_model, narrow), nn.Linear(d_model, narrow)

    def keys_values(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """What a cache keeps: two (batch, groups, source, d_k)."""
        key = split_heads(self.w_k(context), self.num_groups)
        value = split_heads(self.w_v(context), self.num_groups)
        return key, value

    def attend(self, x: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (batch, target, d_model) -> like x; neighbouring heads read the same group."""
        share = self.num_heads // self.num_groups
        key, value = (part.repeat_interleave(share, dim=1) for part in (key, value))
        return super().attend(x, key, value, mask)


def rotate(x: Tensor, positions: Tensor) -> Tensor:
    """Turn each pair of numbers by an angle that grows with its position: rotary positions.

    x (…, length, d_k), positions (length,) -> like x. Pair i turns by
    position / 10000^(2i / d_k).
    The dot product of two turned vectors depends only on the difference of their positions.
    Raises ValueError if d_k is odd.
    """
    d_k = x.size(-1)
    if d_k % 2:
        raise ValueError(f"d_k must be even to be turned in pairs, got {d_k}")
    angle = positions[:, None] / 10_000 ** (torch.arange(0, d_k, 2, device=x.device) / d_k)
    sin, cos = angle.sin().to(x.dtype), angle.cos().to(x.dtype)  # (length, d_k / 2)
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1).flatten(-2)
