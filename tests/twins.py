"""Copies of our modules in torch.nn, with the same weights: what the equality tests compare with.

torch.nn is post-norm plus one more LayerNorm at the end of each stack, which the paper does not
have and we do not have; the twins leave it out in post-norm.
"""

import warnings

import torch
from torch import nn

from helpers.attention import MultiHeadAttention
from helpers.transformer import Transformer, TransformerConfig


def attention_twin(ours: MultiHeadAttention) -> nn.MultiheadAttention:
    twin = nn.MultiheadAttention(ours.d_model, ours.num_heads, batch_first=True)
    twin = twin.to(ours.w_q.weight.dtype)
    copy_attention(ours, twin)
    return twin


def copy_attention(ours: MultiHeadAttention, twin: nn.MultiheadAttention) -> None:
    with torch.no_grad():
        projections = (ours.w_q, ours.w_k, ours.w_v)
        twin.in_proj_weight.copy_(torch.cat([p.weight for p in projections]))
        twin.in_proj_bias.copy_(torch.cat([p.bias for p in projections]))
        twin.out_proj.load_state_dict(ours.w_o.state_dict())


def copy_encoder_layer(ours, twin: nn.TransformerEncoderLayer) -> None:
    copy_attention(ours.self_attention, twin.self_attn)
    twin.linear1.load_state_dict(ours.feed_forward.w_1.state_dict())
    twin.linear2.load_state_dict(ours.feed_forward.w_2.state_dict())
    twin.norm1.load_state_dict(ours.add_norm_self.norm.state_dict())
    twin.norm2.load_state_dict(ours.add_norm_ff.norm.state_dict())


def copy_decoder_layer(ours, twin: nn.TransformerDecoderLayer) -> None:
    copy_attention(ours.self_attention, twin.self_attn)
    copy_attention(ours.cross_attention, twin.multihead_attn)
    twin.linear1.load_state_dict(ours.feed_forward.w_1.state_dict())
    twin.linear2.load_state_dict(ours.feed_forward.w_2.state_dict())
    twin.norm1.load_state_dict(ours.add_norm_self.norm.state_dict())
    twin.norm2.load_state_dict(ours.add_norm_cross.norm.state_dict())
    twin.norm3.load_state_dict(ours.add_norm_ff.norm.state_dict())


def stacks_twin(model: Transformer) -> nn.Transformer:
    """nn.Transformer (no embeddings, no output layer) with the weights of our two stacks."""
    c = model.config
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "enable_nested_tensor")  # torch's note on its fast path
        twin = nn.Transformer(
            c.d_model,
            c.num_heads,
            c.num_encoder_layers,
            c.num_decoder_layers,
            c.d_ff,
            dropout=0.0,
            batch_first=True,
            norm_first=c.norm_first,
        ).to(next(model.parameters()).dtype)
    for ours, theirs in zip(model.encoder.layers, twin.encoder.layers, strict=True):
        copy_encoder_layer(ours, theirs)
    for ours, theirs in zip(model.decoder.layers, twin.decoder.layers, strict=True):
        copy_decoder_layer(ours, theirs)
    if c.norm_first:
        twin.encoder.norm.load_state_dict(model.encoder.norm.state_dict())
        twin.decoder.norm.load_state_dict(model.decoder.norm.state_dict())
    else:
        twin.encoder.norm = twin.decoder.norm = None
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
