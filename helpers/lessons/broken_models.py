"""Ten broken Transformers for notebook 12. Somebody published each of the bugs; the code is ours.

All of them take the weights of a `Transformer`, so that a trained model can be put into a broken
one. Most leave the cache empty, so that every search hands them the whole prefix and shows the bug.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from helpers.attention import MultiHeadAttention, attention, use_attention
from helpers.cache import Cache
from helpers.lessons.leaky_models import MemoryForgotten
from helpers.lessons.wirings import WiredTransformer
from helpers.masks import causal_mask, decoder_mask, padding_mask
from helpers.special_ids import BOS, EOS, PAD
from helpers.transformer import Transformer, TransformerConfig

# Two sentence pairs for tests: unequal lengths on all sides, the second source padded.
source_ids = torch.tensor([[5, 6, 7, 8, 9, EOS], [10, 11, 12, EOS, PAD, PAD]])
target_ids = torch.tensor([[BOS, 13, 14, 15], [BOS, 16, 17, 18]])


class FutureInEvaluation(Transformer):
    """The causal mask is made only in training mode."""

    def decode(
        self, target_ids: Tensor, memory: Tensor, source_mask: Tensor, cache: Cache | None = None
    ) -> Tensor:
        y = self.target_embedding(target_ids)
        target_mask = padding_mask(target_ids)
        if self.training:
            target_mask = target_mask & causal_mask(y.size(1), y.device)
        return self.decoder(y, memory, target_mask, source_mask)


class TargetMaskInCross(Transformer):
    """Cross-attention gets the padding mask of the target, cut or filled to the source's length."""

    def decode(
        self, target_ids: Tensor, memory: Tensor, source_mask: Tensor, cache: Cache | None = None
    ) -> Tensor:
        source, target = memory.size(1), target_ids.size(1)
        wrong = F.pad(padding_mask(target_ids), (0, max(0, source - target)))[..., :source]
        return super().decode(target_ids, memory, wrong)


class InvertedMask(Transformer):
    """Cross-attention takes True for "hidden"."""

    def decode(
        self, target_ids: Tensor, memory: Tensor, source_mask: Tensor, cache: Cache | None = None
    ) -> Tensor:
        return super().decode(target_ids, memory, ~source_mask)


class ResidualFromEncoder(Transformer):
    """After cross-attention the encoder's states are added, not the decoder's own."""

    def decode(
        self, target_ids: Tensor, memory: Tensor, source_mask: Tensor, cache: Cache | None = None
    ) -> Tensor:
        y, target_mask = self.target_embedding(target_ids), decoder_mask(target_ids)
        source, target = memory.size(1), y.size(1)
        theirs = F.pad(memory, (0, 0, 0, max(0, target - source)))[:, :target]
        layer: Any
        for layer in self.decoder.layers:
            h = layer.add_norm_self.before(y)
            y = layer.add_norm_self(y, layer.self_attention(h, h, target_mask))
            h = layer.add_norm_cross.norm(y)
            found = layer.cross_attention(h, memory, source_mask)
            y = theirs + layer.add_norm_cross.dropout(found)
            h = layer.add_norm_ff.before(y)
            y = layer.add_norm_ff(y, layer.feed_forward(h))
        return self.decoder.norm(y)


class LayerByLayer(WiredTransformer):
    """Encoder layer i feeds decoder layer i."""

    def __init__(self, config: TransformerConfig):
        super().__init__(config, "layer by layer")


class FirstLayerEverywhere(Transformer):
    """The first encoder layer's output, not the last's, goes to every decoder layer."""

    def encode(self, source_ids: Tensor) -> tuple[Tensor, Tensor]:
        source_mask = padding_mask(source_ids)
        first = self.encoder.layers[0](self.source_embedding(source_ids), source_mask)
        self.encoder.layers[1](first, source_mask)  # computed, but nothing reads it
        return self.encoder.norm(first), source_mask


class OwnKeysAndValues(WiredTransformer):
    """The "cross-attention" takes keys and values from the decoder: nothing reads the encoder."""

    def __init__(self, config: TransformerConfig):
        super().__init__(config, "none")


class StartIsPadding(Transformer):
    """The target starts with the id of padding, so the mask hides the start from every position."""

    def decode(
        self, target_ids: Tensor, memory: Tensor, source_mask: Tensor, cache: Cache | None = None
    ) -> Tensor:
        return super().decode(target_ids.masked_fill(target_ids == BOS, PAD), memory, source_mask)


class DropoutInEvaluation(Transformer):
    """What the heads found is dropped by a function call that ignores the model's mode."""

    def __init__(self, config: TransformerConfig):
        super().__init__(config)
        for module in self.modules():
            if isinstance(module, MultiHeadAttention):
                module.w_o.register_forward_pre_hook(lambda m, inputs: (F.dropout(inputs[0], 0.3),))


class CachedOneTooEarly(Transformer):
    """With a cache, the new token is given the position of the one before it."""

    def decode(
        self,
        target_ids: Tensor,
        memory: Tensor,
        source_mask: Tensor,
        cache: Cache | None = None,
        ancestors: Tensor | None = None,
    ) -> Tensor:
        if cache is None or cache.length == 0:
            return super().decode(target_ids, memory, source_mask, cache, ancestors)
        past, new = cache.length, 1 if ancestors is not None else target_ids.size(1)
        y = self.target_embedding(target_ids, past - 1, new)
        target_mask = decoder_mask(target_ids, past) if ancestors is None else ancestors[:, None]
        cache.length += new
        return self.decoder(y, memory, target_mask, source_mask, cache)


class Refactored(Transformer):
    """Nothing is wrong here: the same model, written differently. No good test may fail on it."""

    def __init__(self, config: TransformerConfig):
        super().__init__(config)
        use_attention(self, attention)  # the formula step by step, which rounds differently

    def decode(
        self,
        target_ids: Tensor,
        memory: Tensor,
        source_mask: Tensor,
        cache: Cache | None = None,
        ancestors: Tensor | None = None,
    ) -> Tensor:
        past = cache.length if cache is not None else 0
        new = target_ids.size(1) if ancestors is None else 1
        y = self.target_embedding(target_ids, past, new)
        if ancestors is not None:
            target_mask = ancestors[:, None]
        else:
            position = torch.arange(past + new, device=y.device)
            target_mask = position[None, :] <= position[past:, None]
            if past == 0:
                target_mask = target_mask & padding_mask(target_ids)
        kept = cache.layers if cache is not None else [None] * len(self.decoder.layers)
        for layer, pair in zip(self.decoder.layers, kept, strict=True):
            y = layer(y, memory, target_mask, source_mask, pair)
        if cache is not None:
            cache.length += new
        return self.decoder.norm(y)


def swapped_labels(source: list[str], target: list[str]) -> tuple[list[str], list[str]]:
    """(labels of the rows, labels of the columns) of a cross-attention map: the wrong way."""
    return source, target


def labels(source: list[str], target: list[str]) -> tuple[list[str], list[str]]:
    """(labels of the rows, labels of the columns): rows are queries, the target."""
    return target, source


def labels_in_other_words(source: list[str], target: list[str]) -> tuple[list[str], list[str]]:
    """The same as `labels`, written differently."""
    return [*target], [*source]


class PaddingInCross(Transformer):
    """Cross-attention looks at the source's padding as well as at its words."""

    def decode(
        self, target_ids: Tensor, memory: Tensor, source_mask: Tensor, cache: Cache | None = None
    ) -> Tensor:
        return super().decode(target_ids, memory, torch.ones_like(source_mask))


class NothingInCross(Transformer):
    """Cross-attention looks at nothing at all, neither at padding nor at words."""

    def decode(
        self, target_ids: Tensor, memory: Tensor, source_mask: Tensor, cache: Cache | None = None
    ) -> Tensor:
        return super().decode(target_ids, memory, torch.zeros_like(source_mask))


@dataclass(frozen=True)
class Case:
    """A bug, where it was reported, and what its test runs against: models, or functions."""

    reported: str  # repository and number
    bug: Callable[..., Any]
    fix: Callable[..., Any] = Transformer
    refactoring: Callable[..., Any] = Refactored
    relatives: tuple[type[Transformer], ...] = ()  # similar bugs, which a good test also finds

    def subject(self, kind: Callable[..., Any], evaluating: bool = False) -> Any:
        """A new model of this kind, always with the same random weights; or the function itself."""
        if not isinstance(kind, type):
            return kind
        state = torch.get_rng_state()
        torch.manual_seed(0)
        model = kind(TransformerConfig(24, 16, 4, 32, 2, 2, dropout=0.1, max_length=32)).double()
        torch.set_rng_state(state)
        return model.eval() if evaluating else model


CASES = {
    1: Case("d2l-ai/d2l-en #2057", FutureInEvaluation),
    2: Case("keras-team/keras-io #1046", TargetMaskInCross),
    3: Case(
        "lucidrains/x-transformers #160",
        InvertedMask,
        relatives=(PaddingInCross, NothingInCross),
    ),
    4: Case("georgepar/slp #26", ResidualFromEncoder),
    5: Case(
        "jadore801120/attention-is-all-you-need-pytorch #27",
        LayerByLayer,
        relatives=(FirstLayerEverywhere,),
    ),
    6: Case(
        "keitakurita/Practical_NLP_in_PyTorch #1", OwnKeysAndValues, relatives=(MemoryForgotten,)
    ),
    7: Case("harvardnlp/annotated-transformer #104", swapped_labels, labels, labels_in_other_words),
    8: Case("harvardnlp/annotated-transformer #127", StartIsPadding),
    9: Case("wenet-e2e/wenet #2699", DropoutInEvaluation),
    10: Case("huggingface/transformers #15751", CachedOneTooEarly),
}
for number, case in CASES.items():  # what `print(model)` shows must not give the bug away
    case.bug.__name__ = case.bug.__qualname__ = f"Case{number}"


def put_into(kind: type[Transformer], model: Transformer) -> Transformer:
    """The weights of `model` in a (broken) model of this kind, in evaluation mode."""
    other = kind(model.config)
    other.load_state_dict(model.state_dict())
    return other.eval()
