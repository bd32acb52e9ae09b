"""The parts of a block that are not attention. Built in notebook 04.

Source: Vaswani et al. 2017, sections 3.1 (residual and norm), 3.3, 3.4 and 3.5.
"""

import math

import torch
from torch import Tensor, nn

from helpers.dropout import Dropout


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


class AddNorm(nn.Module):
    """What wraps every sub-layer: a residual connection and a layer norm.

        h = add_norm.before(x)
        x = add_norm(x, sublayer(h))

    is norm(x + sublayer(x)) in post-norm (the paper) and x + sublayer(norm(x)) in pre-norm
    (norm_first). Dropout is applied to what the sub-layer found (section 5.4).
    """

    def __init__(self, d_model: int, dropout: float, norm_first: bool):
        super().__init__()
        self.norm = nn.LayerNorm(d_model)
        self.dropout = Dropout(dropout)
        self.norm_first = norm_first

    def before(self, x: Tensor) -> Tensor:
        """What the sub-layer reads: x itself, or in pre-norm its norm. Same shape."""
        return self.norm(x) if self.norm_first else x

    def forward(self, x: Tensor, found: Tensor) -> Tensor:
        """Add what the sub-layer found to x, and in post-norm take the norm. Same shape."""
        x = x + self.dropout(found)
        return x if self.norm_first else self.norm(x)


def sinusoidal_positions(length: int, d_model: int) -> Tensor:
    """One vector per position, (length, d_model): sines in even columns, cosines in odd ones.

    Column pair i completes one turn every 2π · 10000^(2i / d_model) positions. Raises ValueError
    if d_model is odd. Source: section 3.5.
    """
    if d_model % 2:
        raise ValueError(f"d_model must be even for sine and cosine pairs, got {d_model}")
    position = torch.arange(length, dtype=torch.float64)[:, None]  # (length, 1)
    slowness = 10_000 ** (torch.arange(0, d_model, 2, dtype=torch.float64) / d_model)
    angle = position / slowness  # (length, d_model / 2)
    pairs = torch.stack([angle.sin(), angle.cos()], dim=-1)  # (length, d_model / 2, 2)
    return pairs.flatten(1).to(torch.get_default_dtype())  # (length, d_model)


class Embedding(nn.Module):
    """Token ids to vectors: √d_model times the token's row, plus its position, then dropout.

    ids (batch, length) -> (batch, length, d_model). The first id has position `start`, which is 0
    unless a cache holds what came before. Each id has a position of its own, or all of them share
    one (positions=1), as the alternatives in a beam do.
    Raises ValueError for an empty batch or sentence, for ids outside [0, vocab_size) and for
    sentences longer than max_length. Source: sections 3.4 and 3.5.
    """

    positions: Tensor  # (max_length, d_model): a buffer, because it is not learned

    def __init__(self, vocab_size: int, d_model: int, max_length: int, dropout: float = 0.0):
        super().__init__()
        self.token = nn.Embedding(vocab_size, d_model)
        self.scale = math.sqrt(d_model)  # Whisper has 1, see notebook 16
        self.dropout = Dropout(dropout)
        positions = sinusoidal_positions(max_length, d_model)
        self.register_buffer("positions", positions, persistent=False)

    def forward(self, ids: Tensor, start: int = 0, positions: int | None = None) -> Tensor:
        if ids.dim() != 2 or ids.numel() == 0 or ids.is_floating_point():
            raise ValueError(
                "ids must be whole numbers (batch, length), at least one sentence and one token, "
                f"got {ids.dtype} of shape {tuple(ids.shape)}"
            )
        end = start + (ids.size(1) if positions is None else positions)
        if end > self.positions.size(0):
            raise ValueError(f"ids has {end} positions, but max_length is {self.positions.size(0)}")
        try:
            x = self.token(ids) * self.scale
        except IndexError:
            raise ValueError(
                f"ids must lie in [0, {self.token.num_embeddings}), "
                f"got {int(ids.min())} to {int(ids.max())}"
            ) from None
        return self.dropout(x + self.positions[start:end])
