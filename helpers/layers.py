"""The parts of a block that are not attention. Built in notebook 04.

Source: Vaswani et al. 2017, sections 3.1 (residual and norm), 3.3, 3.4 and 3.5.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FeedForward(nn.Module):
    """Two linear maps with a ReLU between them, applied to each position alone.

    (batch, length, d_model) -> the same shape. Source: section 3.3.
    """

    def __init__(self, d_model: int, d_ff: int):
        super().__init__()
        self.w_1 = nn.Linear(d_model, d_ff)
        self.w_2 = nn.Linear(d_ff, d_model)
        self.activation = torch.relu  # published models have others, see notebook 14

    def forward(self, x: Tensor) -> Tensor:
        return self.w_2(self.activation(self.w_1(x)))


class Dropout(nn.Module):
    """nn.Dropout in about a third of its time on a CPU, where drawing random numbers is its cost.

    One random byte decides about each number, so the rate p is rounded to a multiple of 1/256;
    what is kept grows by 1 / (1 - rate), which keeps the mean. Does nothing in evaluation mode.
    Raises ValueError unless 0 <= p and p rounds to less than 1.
    """

    def __init__(self, p: float):
        super().__init__()
        if not 0 <= p < 511 / 512:
            raise ValueError(f"p must lie in [0, 511/512), got {p}")
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        dropped = round(self.p * 256)  # of 256 possible bytes
        if not self.training or dropped == 0:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.p)
        eight_bytes = torch.empty(x.numel() // 8 + 1, dtype=torch.int64).random_(-(2**63), None)
        keep = eight_bytes.view(torch.uint8)[: x.numel()].view(x.shape) >= dropped
        return x * keep.to(x.dtype).mul_(256 / (256 - dropped))


class AddNorm(nn.Module):
    """What wraps every sub-layer: a residual connection and a layer norm.

    Post-norm (the paper): norm(x + sublayer(x)). Pre-norm (norm_first): x + sublayer(norm(x)).
    Dropout falls on the sub-layer's output, before it is added (section 5.4); torch.nn's layers
    drop attention weights and the inside of the feed-forward too.
    """

    def __init__(self, d_model: int, dropout: float, norm_first: bool):
        super().__init__()
        self.norm = nn.LayerNorm(d_model)
        self.dropout = Dropout(dropout)
        self.norm_first = norm_first

    def forward(self, x: Tensor, sublayer: Callable[[Tensor], Tensor]) -> Tensor:
        if self.norm_first:
            return x + self.dropout(sublayer(self.norm(x)))
        return self.norm(x + self.dropout(sublayer(x)))


def sinusoidal_positions(length: int, d_model: int) -> Tensor:
    """One vector per position, (length, d_model): sines in even columns, cosines in odd ones.

    Column pair i turns with wavelength 2π · 10000^(2i / d_model). Raises ValueError if d_model
    is odd. Source: section 3.5.
    """
    if d_model % 2:
        raise ValueError(f"d_model must be even for sine and cosine pairs, got {d_model}")
    position = torch.arange(length, dtype=torch.float64)[:, None]  # (length, 1)
    wavelength = 10_000 ** (torch.arange(0, d_model, 2, dtype=torch.float64) / d_model)
    angle = position / wavelength  # (length, d_model / 2)
    pairs = torch.stack([angle.sin(), angle.cos()], dim=-1)  # (length, d_model / 2, 2)
    return pairs.flatten(1).to(torch.get_default_dtype())  # (length, d_model)


class Embedding(nn.Module):
    """Token ids to vectors: √d_model times the token's row, plus its position, then dropout.

    ids (batch, length) -> (batch, length, d_model); the first one stands at position `start`,
    which is 0 unless a cache holds what came before. Raises ValueError for an empty batch or
    sentence, for ids outside [0, vocab_size) and for sentences longer than max_length.
    Source: sections 3.4 and 3.5.
    """

    def __init__(self, vocab_size: int, d_model: int, max_length: int, dropout: float = 0.0):
        super().__init__()
        self.token = nn.Embedding(vocab_size, d_model)
        self.dropout = Dropout(dropout)
        positions = sinusoidal_positions(max_length, d_model)
        self.register_buffer("positions", positions, persistent=False)

    def forward(self, ids: Tensor, start: int = 0) -> Tensor:
        if ids.dim() != 2 or ids.numel() == 0 or ids.is_floating_point():
            raise ValueError(
                "ids must be whole numbers (batch, length), at least one sentence and one token, "
                f"got {ids.dtype} of shape {tuple(ids.shape)}"
            )
        end, max_length = start + ids.size(1), self.positions.size(0)
        if end > max_length:
            raise ValueError(f"ids has {end} positions, but max_length is {max_length}")
        try:
            x = self.token(ids) * math.sqrt(self.token.embedding_dim)
        except IndexError:
            raise ValueError(
                f"ids must lie in [0, {self.token.num_embeddings}), "
                f"got {int(ids.min())} to {int(ids.max())}"
            ) from None
        return self.dropout(x + self.positions[start:end])
