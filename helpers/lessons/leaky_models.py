"""Transformers in which a word sees what it must not see, or does not see what it should.

The tests use them; the broken models of notebook 12 are in `broken_models.py`.

Each breaks one promise about who may see what (`tests/test_who_sees_what.py`). They take the
weights of a `Transformer` and leave the cache empty, so every search hands them the whole prefix.
"""

from typing import Any

import torch
from torch import Tensor

from helpers.cache import Cache
from helpers.masks import causal_mask, padding_mask
from helpers.transformer import Transformer, TransformerConfig


class CausalMaskInverted(Transformer):
    """In the decoder's self-attention each word sees the later ones instead of the earlier ones."""

    def decode(
        self, target_ids: Tensor, memory: Tensor, source_mask: Tensor, cache: Cache | None = None
    ) -> Tensor:
        y = self.target_embedding(target_ids)
        return self.decoder(y, memory, ~causal_mask(y.size(1)), source_mask)


class CausalMaskForgotten(Transformer):
    """The decoder's self-attention hides padding, but not the future."""

    def decode(
        self, target_ids: Tensor, memory: Tensor, source_mask: Tensor, cache: Cache | None = None
    ) -> Tensor:
        y = self.target_embedding(target_ids)
        return self.decoder(y, memory, padding_mask(target_ids), source_mask)


class CausalMaskInCross(Transformer):
    """Cross-attention gets a causal mask: target word t sees only source words up to t."""

    def decode(
        self, target_ids: Tensor, memory: Tensor, source_mask: Tensor, cache: Cache | None = None
    ) -> Tensor:
        y = self.target_embedding(target_ids)
        rectangular = torch.ones(y.size(1), memory.size(1), dtype=torch.bool).tril()
        return self.decoder(y, memory, causal_mask(y.size(1)), rectangular)


class PaddingHeard(Transformer):
    """No mask hides the source's padding, neither in the encoder nor in cross-attention."""

    def encode(self, source_ids: Tensor) -> tuple[Tensor, Tensor]:
        mask = torch.ones_like(padding_mask(source_ids))
        return self.encoder(self.source_embedding(source_ids), mask), mask


class MemoryForgotten(Transformer):
    """Cross-attention reads zeros where the memory should be."""

    def decode(
        self, target_ids: Tensor, memory: Tensor, source_mask: Tensor, cache: Cache | None = None
    ) -> Tensor:
        return super().decode(target_ids, memory * 0, source_mask)


class EarlyEncoderLayers(Transformer):
    """Decoder layer i reads encoder layer i, or the final output if the encoder has no layer i.

    Like `broken_models.LayerByLayer`, but the two stacks may differ in depth.
    """

    def encode(self, source_ids: Tensor) -> tuple[Tensor, Tensor]:
        mask = padding_mask(source_ids)
        x, self.states = self.source_embedding(source_ids), []
        for layer in self.encoder.layers:
            x = layer(x, mask)
            self.states.append(x)
        return self.encoder.norm(x), mask

    def decode(
        self, target_ids: Tensor, memory: Tensor, source_mask: Tensor, cache: Cache | None = None
    ) -> Tensor:
        y = self.target_embedding(target_ids)
        mask, depth = causal_mask(y.size(1)), len(self.decoder.layers)
        rows = [len(memory) // len(x) for x in self.states]  # in a beam, each sentence repeats
        early = [x.repeat_interleave(n, 0) for x, n in zip(self.states, rows, strict=True)]
        contexts = [*early, *[memory] * depth][:depth]
        for layer, context in zip(self.decoder.layers, contexts, strict=True):
            y = layer(y, context, mask, source_mask)
        return self.decoder.norm(y)


class MemoryInLastLayerOnly(Transformer):
    """Only the last decoder layer has cross-attention; the others skip it."""

    def decode(
        self, target_ids: Tensor, memory: Tensor, source_mask: Tensor, cache: Cache | None = None
    ) -> Tensor:
        y = self.target_embedding(target_ids)
        mask = causal_mask(y.size(1))
        layer: Any
        for layer in self.decoder.layers[:-1]:
            h = layer.add_norm_self.before(y)
            y = layer.add_norm_self(y, layer.self_attention(h, h, mask))
            h = layer.add_norm_ff.before(y)
            y = layer.add_norm_ff(y, layer.feed_forward(h))
        return self.decoder.norm(self.decoder.layers[-1](y, memory, mask, source_mask))


class SharedCrossAttention(Transformer):
    """All decoder layers share one cross-attention, and so one W_K and one W_V."""

    def __init__(self, config: TransformerConfig):
        super().__init__(config)
        for layer in self.decoder.layers[1:]:
            layer.cross_attention = self.decoder.layers[0].cross_attention
