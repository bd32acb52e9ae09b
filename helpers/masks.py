"""Masks: who may look at what. Boolean, True = may attend, everywhere in this series.

Built in notebook 03. That is the convention of torch's `scaled_dot_product_attention` and the
opposite of `nn.MultiheadAttention`, `nn.Transformer` and their kin, where True = hidden; the two
adapters at the end translate.
"""

import torch
from torch import Tensor

from helpers.special_ids import PAD


def padding_mask(ids: Tensor) -> Tensor:
    """True at real tokens: ids (batch, source) -> (batch, 1, 1, source).

    Only columns (keys) are masked, never rows (queries).
    Raises ValueError unless ids has two dimensions.
    """
    if ids.dim() != 2:
        raise ValueError(f"ids must be (batch, length), got shape {tuple(ids.shape)}")
    return (ids != PAD)[:, None, None, :]


def causal_mask(length: int, device: torch.device | str | None = None) -> Tensor:
    """True on and below the diagonal: position t may attend to 0 … t. (length, length)."""
    if length < 1:
        raise ValueError(f"length must be at least 1, got {length}")
    return torch.ones(length, length, dtype=torch.bool, device=device).tril()


def to_key_padding_mask(mask: Tensor) -> Tensor:
    """Our padding mask (batch, 1, 1, source) -> torch.nn's (batch, source), True = hidden."""
    if mask.dim() != 4 or mask.size(1) != 1 or mask.size(2) != 1:
        raise ValueError(f"mask must be (batch, 1, 1, source), got {tuple(mask.shape)}")
    return ~mask[:, 0, 0, :]


def to_attn_mask(mask: Tensor) -> Tensor:
    """Our (target, source) mask -> torch.nn's attn_mask (target, source), True = hidden."""
    if mask.dim() != 2:
        raise ValueError(f"mask must be (target, source), got {tuple(mask.shape)}")
    return ~mask


def decoder_mask(target_ids: Tensor, past: int = 0) -> Tensor | None:
    """What each of these tokens may look at: real tokens that are not later than itself.

    target_ids (batch, target) -> (batch, 1, target, target). With `past` cached tokens before
    them: (target, past + target), or None for one token, which sees them all. (A row of
    the batch that has ended holds PAD there; what it predicts then is ignored.)
    """
    causal = causal_mask(past + target_ids.size(1), target_ids.device)
    if past == 0:
        return padding_mask(target_ids) & causal
    return causal[past:] if target_ids.size(1) > 1 else None
