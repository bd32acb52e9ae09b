"""The weights of our two stacks into torch's nn.Transformer and back. Notebooks 05, 07, 08, 14."""

import warnings
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers.attention import MultiHeadAttention
from helpers.decoder import Decoder
from helpers.encoder import Encoder
from helpers.transformer import Transformer

Pairs = list[tuple[Tensor, Tensor]]  # (ours, theirs)


def to_torch(model: Transformer) -> nn.Transformer:
    """The two stacks with the same weights as an nn.Transformer (batch_first, without dropout).

    Embeddings and output are not part of nn.Transformer. Post-norm stacks get no further norm at
    their end: nn.Transformer would add one, but the paper has none.
    """
    c = model.config
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "enable_nested_tensor")  # torch's note on its fast path
        theirs = nn.Transformer(
            c.d_model,
            c.num_heads,
            c.num_encoder_layers,
            c.num_decoder_layers,
            c.d_ff,
            dropout=0.0,
            batch_first=True,
            norm_first=c.norm_first,
        ).to(next(model.parameters()).dtype)
    if not c.norm_first:
        theirs.encoder.norm = theirs.decoder.norm = None
    copy_stack(model.encoder, theirs.encoder, ours_to_theirs=True)
    copy_stack(model.decoder, theirs.decoder, ours_to_theirs=True)
    return theirs


def from_torch(theirs: nn.Transformer) -> tuple[Encoder, Decoder]:
    """Our two stacks with the weights of an nn.Transformer, in evaluation mode.

    If a stack of theirs ends in one more norm, as in a post-norm nn.Transformer, so does ours.
    Raises ValueError naming the first layer that ours cannot copy: one with an activation other
    than ReLU, without biases, with an ε in its norms other than 1e-5, or unlike the first layer.
    """
    check_stacks(theirs)
    layer = theirs.encoder.layers[0]
    sizes = (layer.self_attn.embed_dim, layer.self_attn.num_heads, layer.linear1.out_features)
    more = (layer.dropout1.p, layer.norm_first)
    encoder = Encoder(len(theirs.encoder.layers), *sizes, *more)
    decoder = Decoder(len(theirs.decoder.layers), *sizes, *more)
    pairs: list[tuple[Encoder | Decoder, nn.TransformerEncoder | nn.TransformerDecoder]]
    pairs = [(encoder, theirs.encoder), (decoder, theirs.decoder)]
    for ours, stack in pairs:
        ours.norm = nn.Identity() if stack.norm is None else nn.LayerNorm(sizes[0])
        ours.to(layer.linear1.weight.dtype)
        copy_stack(ours, stack, ours_to_theirs=False)
        ours.eval()
    return encoder, decoder


def check_stacks(theirs: nn.Transformer) -> None:
    """Raise ValueError, naming the part, unless our two stacks can compute what these compute."""
    if not (len(theirs.encoder.layers) and len(theirs.decoder.layers)):
        raise ValueError("encoder and decoder must have at least one layer each")
    first = kind_of(theirs.encoder.layers[0])
    for side in ("encoder", "decoder"):
        stack = getattr(theirs, side)
        for i, layer in enumerate(stack.layers):
            name = f"{side}.layers[{i}]"
            if kind_of(layer) != first:
                raise ValueError(
                    f"{name} must be like the first layer, {first}, got {kind_of(layer)}"
                )
            for part, module in layer.named_modules():
                check_part(f"{name}.{part}", module)
        if stack.norm is not None:
            check_part(f"{side}.norm", stack.norm)


def kind_of(layer: nn.TransformerEncoderLayer | nn.TransformerDecoderLayer) -> dict:
    """What our stacks have one setting for. Raises ValueError if the activation is not ReLU."""
    if layer.activation not in (F.relu, torch.relu) and not isinstance(layer.activation, nn.ReLU):
        raise ValueError(f"activation must be ReLU, got {layer.activation}")
    attentions = [m for m in layer.modules() if isinstance(m, nn.MultiheadAttention)]
    return {
        "d_model": layer.self_attn.embed_dim,
        "num_heads": sorted({m.num_heads for m in attentions}),
        "d_ff": layer.linear1.out_features,
        "norm_first": layer.norm_first,
    }


def check_part(name: str, module: nn.Module) -> None:
    """Raise ValueError for a part of a layer that is not of our kind."""
    biases = {nn.Linear: "bias", nn.MultiheadAttention: "in_proj_bias"}
    for kind, bias in biases.items():
        if isinstance(module, kind) and getattr(module, bias) is None:
            raise ValueError(f"{name}: bias must be True in nn.Transformer, got False")
    if isinstance(module, nn.MultiheadAttention):
        alone = module.in_proj_weight is None  # W_K and W_V, because they have sizes of their own
        if alone or module.bias_k is not None or module.add_zero_attn:
            raise ValueError(f"{name} must have no kdim, vdim, bias_kv or zero_attn of its own")
    if name.rpartition(".")[2].startswith("norm"):
        if not isinstance(module, nn.LayerNorm) or module.bias is None:
            raise ValueError(f"{name} must be a LayerNorm with weights and bias, got {module}")
        if module.eps != 1e-5:
            raise ValueError(f"{name}: layer_norm_eps must be 1e-5, got {module.eps}")


def copy_stack(
    ours: Encoder | Decoder,
    theirs: nn.TransformerEncoder | nn.TransformerDecoder,
    ours_to_theirs: bool,
) -> None:
    """Copy all weights of an encoder or a decoder, in either direction."""
    for mine, other in zip(ours.layers, theirs.layers, strict=True):
        copy_layer(mine, other, ours_to_theirs)
    if theirs.norm is not None:
        copy_weights(both(ours.norm, theirs.norm), ours_to_theirs)


def copy_layer(ours: Any, theirs: Any, ours_to_theirs: bool) -> None:
    """Copy all weights of an encoder or decoder layer, in either direction."""
    crossing = hasattr(theirs, "multihead_attn")
    pairs = attention_pairs(ours.self_attention, theirs.self_attn)
    pairs += both(ours.add_norm_self.norm, theirs.norm1)
    if crossing:
        pairs += attention_pairs(ours.cross_attention, theirs.multihead_attn)
        pairs += both(ours.add_norm_cross.norm, theirs.norm2)
    pairs += both(ours.feed_forward.w_1, theirs.linear1)
    pairs += both(ours.feed_forward.w_2, theirs.linear2)
    pairs += both(ours.add_norm_ff.norm, theirs.norm3 if crossing else theirs.norm2)
    copy_weights(pairs, ours_to_theirs)


def attention_pairs(ours: MultiHeadAttention, theirs: nn.MultiheadAttention) -> Pairs:
    """torch.nn keeps W_Q, W_K and W_V in one matrix, one above the other."""
    pairs = both(ours.w_o, theirs.out_proj)
    weights, biases = theirs.in_proj_weight.chunk(3), theirs.in_proj_bias.chunk(3)
    for linear, weight, bias in zip((ours.w_q, ours.w_k, ours.w_v), weights, biases, strict=True):
        pairs += [(linear.weight, weight), (linear.bias, bias)]
    return pairs


def both(ours: Any, theirs: Any) -> Pairs:
    """The weights and the biases of two linear maps or two norms."""
    return [(ours.weight, theirs.weight), (ours.bias, theirs.bias)]


@torch.no_grad()
def copy_weights(pairs: Pairs, ours_to_theirs: bool) -> None:
    for mine, other in pairs:
        source, target = (mine, other) if ours_to_theirs else (other, mine)
        target.copy_(source)
