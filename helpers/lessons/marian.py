"""Marian: a published translator in our Transformer. Built in notebook 14.

Helsinki-NLP's models (Junczys-Dowmunt et al. 2018; Tiedemann and Thottingal 2020) differ from the
paper in four small ways.
"""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from helpers.layers import FeedForward
from helpers.lessons.published_weights import (
    ACTIVATIONS,
    SPECIAL_IDS,
    Vocabulary,
    assign,
    need,
    need_rows,
    pop_copies,
    read_checkpoint,
    with_output_bias,
)
from helpers.transformer import Transformer, TransformerConfig

MARIAN = {  # what config.json calls our sizes
    "d_model": "d_model",
    "encoder_attention_heads": "num_heads",
    "encoder_ffn_dim": "d_ff",
    "encoder_layers": "num_encoder_layers",
    "decoder_layers": "num_decoder_layers",
    "dropout": "dropout",
    "max_position_embeddings": "max_length",
}
OF_THE_DECODER = {  # what our two stacks share, but Marian's could set separately
    "decoder_attention_heads": "encoder_attention_heads",
    "decoder_ffn_dim": "encoder_ffn_dim",
}


def from_marian(path_or_name: str | Path, unk: int = 1) -> tuple[Transformer, Vocabulary]:
    """A Marian checkpoint in our Transformer, in evaluation mode, and the map between the ids.

    There are four differences from the paper's model: swish instead of ReLU, sines and cosines in
    two halves instead of alternating, a bias on the logits, and padding as the first target token.
    `unk` is the id of the unknown piece in its tokenizer. Raises as read_checkpoint does, and
    ValueError naming settings that are not supported here, or weights that are missing or unknown.
    """
    s, weights = read_checkpoint(path_or_name)
    need(
        s,
        [*MARIAN, *OF_THE_DECODER, *SPECIAL_IDS]
        + ["vocab_size", "scale_embedding", "activation_function"],
        model_type="marian",
        scale_embedding=True,
        static_position_embeddings=True,
        normalize_before=False,
        normalize_embedding=False,
        add_final_layer_norm=False,
        share_encoder_decoder_embeddings=True,
        tie_word_embeddings=True,
        decoder_vocab_size=s.get("vocab_size"),
        **{name: s.get(same) for name, same in OF_THE_DECODER.items()},
    )
    if s["activation_function"] not in ACTIVATIONS:
        raise ValueError(
            f"activation_function must be one of {', '.join(ACTIVATIONS)}, "
            f"got {s['activation_function']!r}"
        )
    pad, start, eos = (s[name] for name in SPECIAL_IDS)
    ids = Vocabulary(s["vocab_size"], pad, start, eos, unk)
    config = TransformerConfig(len(ids), **{ours: s[theirs] for theirs, ours in MARIAN.items()})
    model = Transformer(config)
    for module in model.modules():
        if isinstance(module, FeedForward):
            module.activation = ACTIVATIONS[s["activation_function"]]
    for embedding in (model.source_embedding, model.target_embedding):
        embedding.positions = in_halves(embedding.positions)

    need_rows(weights, "model.shared.weight", s["vocab_size"])
    if "final_logits_bias" not in weights:
        raise ValueError("weights missing: ['final_logits_bias']")
    copies = ("lm_head", "model.encoder.embed_tokens", "model.decoder.embed_tokens")
    pop_copies(weights, "model.shared.weight", (f"{name}.weight" for name in copies))
    for side in ("encoder", "decoder"):  # some files also store the table, which can be computed
        name = f"model.{side}.embed_positions.weight"
        pop_positions(weights, name, model.source_embedding.positions)
    weights["model.shared.weight"] = weights["model.shared.weight"][ids.rows]
    bias = ids.bias(weights.pop("final_logits_bias")[0])
    assign(model, weights, marian_names(config))
    with_output_bias(model, bias)
    return model.eval(), ids


def in_halves(positions: Tensor) -> Tensor:
    """sin, cos, sin, cos, … -> all sines, then all cosines: (length, d_model), the same numbers."""
    return torch.cat([positions[:, 0::2], positions[:, 1::2]], dim=1)


def pop_positions(weights: dict[str, Tensor], name: str, ours: Tensor) -> None:
    """Remove a stored table of positions. Raises ValueError if it is not the table we compute."""
    theirs = weights.pop(name, ours)
    # In half precision a stored sine is off by up to 0.0005.
    if theirs.shape != ours.shape or not torch.allclose(theirs, ours, rtol=0, atol=1e-3):
        raise ValueError(
            f"{name} must hold the sines and cosines of {ours.size(0)} positions, but it does not, "
            "and other positions are not supported here"
        )


def marian_names(config: TransformerConfig) -> Iterator[tuple[str, str]]:
    """(Marian's name, ours) of every weight; the output's matrix is the shared embedding."""
    yield "model.shared.weight", "source_embedding.token.weight"
    attention = {"q_proj": "w_q", "k_proj": "w_k", "v_proj": "w_v", "out_proj": "w_o"}
    parts = {f"self_attn.{t}": f"self_attention.{o}" for t, o in attention.items()} | {
        "self_attn_layer_norm": "add_norm_self.norm",
        "fc1": "feed_forward.w_1",
        "fc2": "feed_forward.w_2",
        "final_layer_norm": "add_norm_ff.norm",
    }
    cross = {f"encoder_attn.{t}": f"cross_attention.{o}" for t, o in attention.items()} | {
        "encoder_attn_layer_norm": "add_norm_cross.norm"
    }
    sides = (
        ("encoder", config.num_encoder_layers, parts),
        ("decoder", config.num_decoder_layers, parts | cross),
    )
    for side, layers, names in sides:
        for i in range(layers):
            for theirs, ours in names.items():
                for kind in ("weight", "bias"):
                    yield (
                        f"model.{side}.layers.{i}.{theirs}.{kind}",
                        f"{side}.layers.{i}.{ours}.{kind}",
                    )
