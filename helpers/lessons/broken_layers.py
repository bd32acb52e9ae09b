"""Broken layers: each makes one common mistake, which the tests of equality must notice.

They take the arguments of the layer they break and have the same parameters. Whole broken models
are in `broken_models.py` (notebook 12) and `leaky_models.py`.
"""

import math

from torch import Tensor

from helpers.attention import MultiHeadAttention, attention, split_heads
from helpers.cache import KeysValues, KVCache
from helpers.decoder import DecoderLayer


class ScaledByModelWidth(MultiHeadAttention):
    """The scores are divided by √d_model instead of √d_k."""

    def attend(self, x: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
        return super().attend(x, key / math.sqrt(self.num_heads), value, mask)


class KeysAsValues(MultiHeadAttention):
    """The keys are used as values as well: the published bug `k, v = x`."""

    def keys_values(self, context: Tensor) -> KeysValues:
        key, _ = super().keys_values(context)
        return key, key


class MergedWithoutTranspose(MultiHeadAttention):
    """The heads are merged by a reshape alone, which mixes up the positions."""

    def attend(self, x: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
        query = split_heads(self.w_q(x), self.num_heads)
        return self.w_o(attention(query, key, value, mask)[0].reshape(x.shape))


class ResidualFromMemory(DecoderLayer):
    """The residual around cross-attention comes from the encoder (which needs T = S)."""

    def forward(
        self,
        y: Tensor,
        memory: Tensor,
        target_mask: Tensor | None = None,
        source_mask: Tensor | None = None,
        cache: tuple[KVCache, KVCache] | None = None,
    ) -> Tensor:
        h = self.add_norm_self.before(y)
        y = self.add_norm_self(y, self.self_attention(h, h, target_mask))
        h = self.add_norm_cross.before(memory)
        y = self.add_norm_cross(memory, self.cross_attention(y, h, source_mask))
        h = self.add_norm_ff.before(y)
        return self.add_norm_ff(y, self.feed_forward(h))


class KeysFromDecoder(DecoderLayer):
    """The "cross-attention" takes its keys and values from the decoder."""

    def forward(
        self,
        y: Tensor,
        memory: Tensor | None = None,
        target_mask: Tensor | None = None,
        source_mask: Tensor | None = None,
        cache: tuple[KVCache, KVCache] | None = None,
    ) -> Tensor:
        h = self.add_norm_self.before(y)
        y = self.add_norm_self(y, self.self_attention(h, h, target_mask))
        h = self.add_norm_cross.before(y)
        y = self.add_norm_cross(y, self.cross_attention(h, h, source_mask))
        h = self.add_norm_ff.before(y)
        return self.add_norm_ff(y, self.feed_forward(h))


class CrossBeforeSelf(DecoderLayer):
    """Cross-attention comes before self-attention."""

    def forward(
        self,
        y: Tensor,
        memory: Tensor | None = None,
        target_mask: Tensor | None = None,
        source_mask: Tensor | None = None,
        cache: tuple[KVCache, KVCache] | None = None,
    ) -> Tensor:
        h = self.add_norm_cross.before(y)
        y = self.add_norm_cross(y, self.cross_attention(h, memory, source_mask))
        h = self.add_norm_self.before(y)
        y = self.add_norm_self(y, self.self_attention(h, h, target_mask))
        h = self.add_norm_ff.before(y)
        return self.add_norm_ff(y, self.feed_forward(h))
