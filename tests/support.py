"""Copies of our modules in torch.nn, with the same weights: what the equality tests compare with.

The whole stacks are `interop.to_torch`.
"""

import torch
from torch import nn

from helpers.attention import MultiHeadAttention
from helpers.lessons.torch_nn import attention_pairs, copy_weights
from helpers.transformer import Transformer, TransformerConfig


def attention_twin(ours: MultiHeadAttention) -> nn.MultiheadAttention:
    twin = nn.MultiheadAttention(ours.d_model, ours.num_heads, batch_first=True)
    twin = twin.to(ours.w_q.weight.dtype)
    copy_weights(attention_pairs(ours, twin), ours_to_theirs=True)
    return twin


def tiny_model(norm_first: bool = False, dropout: float = 0.0, seed: int = 0) -> Transformer:
    """Sizes pairwise different, so that a swapped axis cannot pass; float64; untrained."""
    torch.manual_seed(seed)
    config = TransformerConfig(
        vocab_size=23,
        d_model=16,
        num_heads=4,
        d_ff=24,
        num_encoder_layers=2,
        num_decoder_layers=3,
        dropout=dropout,
        norm_first=norm_first,
        max_length=32,
    )
    model = Transformer(config).double()
    with torch.no_grad():  # norms and biases away from 1 and 0, so that a lost one shows
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model
