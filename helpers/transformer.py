"""The whole machine: embeddings, encoder, decoder, output layer, and the masks between them.

Built in notebook 08. Source: Vaswani et al. 2017, section 3.
"""

from dataclasses import dataclass, fields
from numbers import Integral
from typing import get_type_hints

from torch import Tensor, nn

from helpers.attention import check_heads
from helpers.cache import Cache
from helpers.decoder import Decoder
from helpers.dropout import check_dropout
from helpers.encoder import Encoder
from helpers.layers import Embedding
from helpers.masks import decoder_mask, padding_mask


@dataclass(frozen=True)
class TransformerConfig:
    """The sizes and choices of a Transformer; the defaults are the paper's base model (table 3).

    Raises TypeError or ValueError naming the field that is wrong.
    """

    vocab_size: int  # one vocabulary for both languages
    d_model: int = 512
    num_heads: int = 8
    d_ff: int = 2048
    num_encoder_layers: int = 6
    num_decoder_layers: int = 6
    dropout: float = 0.1
    norm_first: bool = False  # False: post-norm, the paper; True: pre-norm, trains more easily
    tied_embeddings: bool = True  # source, target and output share one matrix (section 3.4)
    max_length: int = 512  # positions per sentence

    def __post_init__(self) -> None:
        kinds = get_type_hints(type(self))
        for name in (field.name for field in fields(self)):
            value = getattr(self, name)
            if kinds[name] is int:
                if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
                    raise ValueError(f"{name} must be a whole number >= 1, got {value!r}")
                object.__setattr__(self, name, int(value))  # numpy's become plain ones
            if kinds[name] is bool and not isinstance(value, bool):
                raise TypeError(f"{name} must be True or False, got {value!r}")
        check_dropout("dropout", self.dropout)
        object.__setattr__(self, "dropout", float(self.dropout))
        check_heads(self.d_model, self.num_heads)
        if self.d_model % 2:
            raise ValueError(f"d_model must be even (sine and cosine pairs), got {self.d_model}")


class Transformer(nn.Module):
    """source_ids (batch, source), target_ids (batch, target) -> logits (batch, target, vocab_size).

    The logits at position t predict token t + 1.
    """

    def __init__(self, config: TransformerConfig):
        super().__init__()
        self.config = c = config
        sizes = (c.d_model, c.num_heads, c.d_ff, c.dropout, c.norm_first)
        self.source_embedding = Embedding(c.vocab_size, c.d_model, c.max_length, c.dropout)
        self.target_embedding = Embedding(c.vocab_size, c.d_model, c.max_length, c.dropout)
        self.encoder = Encoder(c.num_encoder_layers, *sizes)
        self.decoder = Decoder(c.num_decoder_layers, *sizes)
        self.output = nn.Linear(c.d_model, c.vocab_size, bias=False)
        if c.tied_embeddings:
            tie_embeddings(self)
        initialize(self)

    def forward(self, source_ids: Tensor, target_ids: Tensor) -> Tensor:
        memory, source_mask = self.encode(source_ids)
        return self.output(self.decode(target_ids, memory, source_mask))

    def encode(self, source_ids: Tensor) -> tuple[Tensor, Tensor]:
        """source_ids (batch, source) -> memory (batch, source, d_model) and its padding mask."""
        source_mask = padding_mask(source_ids)  # (batch, 1, 1, source)
        return self.encoder(self.source_embedding(source_ids), source_mask), source_mask

    def decode(
        self,
        target_ids: Tensor,
        memory: Tensor,
        source_mask: Tensor,
        cache: Cache | None = None,  # this and the next are for generating, in notebook 10
        ancestors: Tensor | None = None,
    ) -> Tensor:
        """target_ids (batch, target) -> decoder states (batch, target, d_model)."""
        past, new, target_mask = positions_and_mask(target_ids, cache, ancestors)
        y = self.target_embedding(target_ids, past, new)
        states = self.decoder(y, memory, target_mask, source_mask, cache)
        if cache is not None:
            cache.length += new
        return states


def positions_and_mask(
    target_ids: Tensor, cache: Cache | None, ancestors: Tensor | None
) -> tuple[int, int, Tensor | None]:
    """How many tokens come before these, how many positions these take, what each may look at.

    Without a cache: 0, one for each, and the decoder's mask. With one, target_ids (batch, target)
    are only the tokens that it does not have yet. In a beam they are alternatives for one
    position, and `ancestors` (batch, target, so far) is the mask.
    """
    past = 0 if cache is None else cache.length
    if ancestors is not None:
        return past, 1, ancestors[:, None]
    return past, target_ids.size(1), decoder_mask(target_ids, past)


def tie_embeddings(model: Transformer) -> None:
    """Both embeddings and the output layer share one matrix (section 3.4 of the paper)."""
    model.source_embedding.token.weight = model.output.weight
    model.target_embedding.token.weight = model.output.weight


def initialize(model: Transformer) -> None:
    """Xavier-uniform matrices, no biases; embeddings of size 1/√d_model.

    (torch.nn.Transformer draws W_Q, W_K and W_V as one matrix, so they start √2 smaller there.)
    """
    for module in model.modules():
        if isinstance(module, nn.Linear) and module is not model.output:
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
    for table in (model.source_embedding.token, model.target_embedding.token, model.output):
        nn.init.normal_(table.weight, std=model.config.d_model**-0.5)
