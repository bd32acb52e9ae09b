"""T5 in our classes: what a published model changes in the paper's, and what it leaves alone.

Built in notebook 14. It has relative positions, RMSNorm before each sub-layer and no biases, but
the wiring, the cache and every search are those of `Transformer`. Source: Raffel et al. 2020.
Version 1.1, from which flan-T5 descends, has a gate in the feed-forward layer (notebook 17).
"""

import math
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from helpers.attention import MultiHeadAttention
from helpers.cache import Cache
from helpers.layers import AddNorm
from helpers.lessons.modern import GatedFeedForward, tanh_gelu
from helpers.lessons.published_weights import (
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


class RelativeAttention(MultiHeadAttention):
    """Self-attention that adds to each score a number for the distance from query to key.

    `table` (buckets, heads) holds those numbers, one column for each head, and all layers of a
    stack share it. `both_ways` is for the encoder, where keys may also come later.
    """

    def __init__(self, d_model: int, num_heads: int, table: nn.Embedding, both_ways: bool):
        super().__init__(d_model, num_heads)
        self.table, self.both_ways = table, both_ways
        self.attention = self.attention_with_bias

    def attention_with_bias(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The formula of `attention` with one extra line, the second."""
        scores = query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))
        scores = scores + self.bias(query.size(2), key.size(2))  # (batch, heads, target, source)
        if mask is not None:
            scores = scores.masked_fill(~mask, -math.inf)
        weights = scores.softmax(dim=-1)
        if mask is not None:
            weights = weights.masked_fill(~mask, 0.0)
        return weights @ value, weights

    def bias(self, new: int, length: int) -> Tensor:
        """What is added to the scores of the last `new` queries: (heads, new, length)."""
        position = torch.arange(length, device=self.table.weight.device)
        if length > new:  # a cache: the tokens of one step, a beam's hypotheses, share a position
            position = (position + new - 1) // new
        distance = position[None, :] - position[-new:, None]  # (new, length)
        return self.table(bucket(distance, self.both_ways, len(self.table.weight))).permute(2, 0, 1)


def bucket(distance: Tensor, both_ways: bool, buckets: int = 32, furthest: int = 128) -> Tensor:
    """The row of the table for each distance (key minus query).

    Half of the rows stand for one distance each, the others for ranges of distances that widen
    logarithmically up to `furthest`; all distances beyond it share one row. Source: Raffel et al.
    2020, section 2.1.
    """
    first = torch.zeros_like(distance)
    if both_ways:
        buckets //= 2
        first, distance = buckets * (distance > 0), distance.abs()
    else:
        distance = (-distance).clamp(min=0)
    exact = buckets // 2
    share = (distance.clamp(min=1).float() / exact).log() / math.log(furthest / exact)
    ranges = (exact + (share * (buckets - exact)).long()).clamp(max=buckets - 1)
    return first + distance.where(distance < exact, ranges)


class T5(Transformer):
    """A Transformer with T5's six changes. Interface and searches are Transformer's."""

    def __init__(self, config: TransformerConfig, buckets: int = 32):
        super().__init__(config)
        c = config
        for stack, both_ways in ((self.encoder, True), (self.decoder, False)):
            table = nn.Embedding(buckets, c.num_heads)  # 1. distances: one table for a stack
            for layer in stack.layers:
                layer.self_attention = RelativeAttention(c.d_model, c.num_heads, table, both_ways)
            stack.norm = nn.RMSNorm(c.d_model, eps=1e-6)  # 2. no mean subtracted, no bias
        for module in self.modules():
            if isinstance(module, AddNorm):
                module.norm = nn.RMSNorm(c.d_model, eps=1e-6)
        for embedding in (self.source_embedding, self.target_embedding):
            embedding.positions.zero_()  # 1. and no positions in the embeddings
        for module in self.modules():
            if isinstance(module, nn.Linear) and module.bias is not None:
                module.bias = None  # 4. (3. is norm_first; 5. and 6. are done in from_t5)

    def decode(
        self,
        target_ids: Tensor,
        memory: Tensor,
        source_mask: Tensor,
        cache: Cache | None = None,
        ancestors: Tensor | None = None,
    ) -> Tensor:
        """As in Transformer, but with a cache it takes one new position at a time."""
        if cache is not None and ancestors is None and target_ids.size(1) > 1:
            raise ValueError(
                "with a cache, T5 must be given one token at a time, because each step is one "
                f"position, got {target_ids.size(1)} tokens"
            )
        return super().decode(target_ids, memory, source_mask, cache, ancestors)


SIZES = {  # what config.json calls our sizes
    "d_model": "d_model",
    "num_heads": "num_heads",
    "d_ff": "d_ff",
    "num_layers": "num_encoder_layers",
    "num_decoder_layers": "num_decoder_layers",
    "dropout_rate": "dropout",
}


def from_t5(
    path_or_name: str | Path, unk: int = 2, max_length: int = 1024
) -> tuple[T5, Vocabulary]:
    """A T5 checkpoint in our classes, in evaluation mode: t5-small, -base and -large, flan-t5-base.

    Version 1.1, which is flan-T5's, has a gate in its feed-forward layers and an output matrix of
    its own. Raises as from_marian does, and also if the heads together are not as wide as the model
    (flan-t5-small).
    """
    s, weights = read_checkpoint(path_or_name)
    s.setdefault("num_decoder_layers", s.get("num_layers"))
    gated = s.get("feed_forward_proj") == "gated-gelu"  # version 1.1
    s.setdefault("scale_decoder_outputs", s.get("tie_word_embeddings", True))
    need(
        s,
        (*SIZES, "d_kv", "vocab_size", *SPECIAL_IDS),
        model_type="t5",
        feed_forward_proj="gated-gelu" if gated else "relu",
        tie_word_embeddings=s.get("tie_word_embeddings") if gated else True,
        scale_decoder_outputs=not gated,
        layer_norm_epsilon=1e-6,
        relative_attention_max_distance=128,
        d_kv=s.get("d_model", 0) // s.get("num_heads", 1),
    )
    pad, start, eos = (s[name] for name in SPECIAL_IDS)
    ids = Vocabulary(s["vocab_size"], pad, start, eos, unk)
    sizes = {ours: s[theirs] for theirs, ours in SIZES.items()}
    config = TransformerConfig(
        len(ids), **sizes, norm_first=True, tied_embeddings=not gated, max_length=max_length
    )
    model = T5(config, s.get("relative_attention_num_buckets", 32))
    if gated:
        with_gates(model)

    need_rows(weights, "shared.weight", s["vocab_size"])
    copies = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
    pop_copies(weights, "shared.weight", copies if gated else ("lm_head.weight", *copies))
    if gated:  # if the file has no output matrix of its own, it is that of the embedding
        weights["lm_head.weight"] = weights.get("lm_head.weight", weights["shared.weight"])
        need_rows(weights, "lm_head.weight", s["vocab_size"])
        weights["lm_head.weight"] = weights["lm_head.weight"][ids.rows]
    # A leftover in the published files that nothing reads: two sequences have no distance.
    weights.pop("decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight", None)
    # Their input is E and their output h Eᵀ / √d_model; ours √d_model W and h Wᵀ: W = E / √d_model.
    # (In version 1.1 the output is h Lᵀ, with a matrix L of its own.)
    weights["shared.weight"] = weights["shared.weight"][ids.rows] / math.sqrt(config.d_model)
    for name in weights:
        if name.endswith("Attention.q.weight"):  # 5. undoes our division of scores by √d_k
            weights[name] = weights[name] * math.sqrt(config.d_model // config.num_heads)
    assign(model, weights, t5_names(config, gated))
    with_output_bias(model, ids.bias(torch.zeros(s["vocab_size"])))  # <bos> is never written
    return model.eval(), ids


def with_gates(model: T5) -> None:
    """Turn T5 into its version 1.1: GeGLU instead of ReLU, and an output matrix of its own."""
    c = model.config
    for layer in [*model.encoder.layers, *model.decoder.layers]:
        gate = layer.feed_forward = GatedFeedForward(c.d_model, c.d_ff)
        gate.activation = tanh_gelu
        for linear in (gate.w_1, gate.w_2, gate.w_3):
            linear.bias = None
    model.target_embedding.token.weight = model.source_embedding.token.weight


def t5_names(config: TransformerConfig, gated: bool = False) -> Iterator[tuple[str, str]]:
    """(T5's name, ours) of every weight; shared tables and matrices are listed once."""
    yield "shared.weight", "source_embedding.token.weight"
    if gated:
        yield "lm_head.weight", "output.weight"
    feeds = {"wi_0": "w_1", "wi_1": "w_3", "wo": "w_2"} if gated else {"wi": "w_1", "wo": "w_2"}
    sides = (("encoder", config.num_encoder_layers), ("decoder", config.num_decoder_layers))
    for side, layers in sides:
        sublayers = [("SelfAttention", "self_attention", "add_norm_self")]
        if side == "decoder":
            sublayers.append(("EncDecAttention", "cross_attention", "add_norm_cross"))
        yield f"{side}.final_layer_norm.weight", f"{side}.norm.weight"
        table = "0.SelfAttention.relative_attention_bias.weight"
        yield f"{side}.block.0.layer.{table}", f"{side}.layers.0.self_attention.table.weight"
        for i in range(layers):
            theirs, ours = f"{side}.block.{i}.layer", f"{side}.layers.{i}"
            for number, (name, attention, norm) in enumerate(sublayers):
                for letter in "qkvo":
                    yield (
                        f"{theirs}.{number}.{name}.{letter}.weight",
                        f"{ours}.{attention}.w_{letter}.weight",
                    )
                yield f"{theirs}.{number}.layer_norm.weight", f"{ours}.{norm}.norm.weight"
            last = len(sublayers)
            for name, feed in feeds.items():
                yield (
                    f"{theirs}.{last}.DenseReluDense.{name}.weight",
                    f"{ours}.feed_forward.{feed}.weight",
                )
            yield f"{theirs}.{last}.layer_norm.weight", f"{ours}.add_norm_ff.norm.weight"
