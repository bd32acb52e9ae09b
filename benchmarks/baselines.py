"""What ours is compared with: torch.nn.Transformer and Hugging Face's Marian, in our sizes.

Both have `encode`, `decode` and `output` like our Transformer, so that each loss fits all three,
even the one that computes logits only at real tokens. All are post-norm, as Marian is, so that
they have the same number of norms, biases and parameters.
"""

import math
import warnings

from torch import Tensor, nn
from transformers import MarianConfig, MarianMTModel
from transformers.utils import logging

from helpers.attention import use_attention
from helpers.dropout import Dropout
from helpers.layers import Embedding, FeedForward
from helpers.masks import causal_mask
from helpers.special_ids import BOS, EOS, PAD
from helpers.transformer import Transformer, TransformerConfig

logging.set_verbosity_error()


class TorchTransformer(nn.Module):
    """What a careful user of nn.Transformer writes: our embedding, their stacks, tied output.

    nn.Transformer also drops attention weights and the inside of the feed-forward layer; with
    `papers_dropout` it drops only where the paper, Marian and ours do.
    """

    def __init__(self, config: TransformerConfig, papers_dropout: bool = True):
        super().__init__()
        c = config
        self.embedding = Embedding(c.vocab_size, c.d_model, c.max_length)
        self.embedding.dropout = nn.Dropout(c.dropout)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "enable_nested_tensor")  # only matters in evaluation
            self.stacks = nn.Transformer(
                c.d_model,
                c.num_heads,
                c.num_encoder_layers,
                c.num_decoder_layers,
                c.d_ff,
                c.dropout,
                batch_first=True,
            )
        self.stacks.encoder.norm = self.stacks.decoder.norm = None  # the paper has no further norm
        self.output = nn.Linear(c.d_model, c.vocab_size, bias=False)
        self.output.weight = self.embedding.token.weight
        nn.init.normal_(self.output.weight, std=c.d_model**-0.5)
        if papers_dropout:
            for module in self.modules():
                if isinstance(module, nn.MultiheadAttention):
                    module.dropout = 0.0
                if isinstance(module, nn.TransformerEncoderLayer | nn.TransformerDecoderLayer):
                    module.dropout = nn.Identity()

    def forward(self, source_ids: Tensor, target_ids: Tensor) -> Tensor:
        return self.output(self.decode(target_ids, *self.encode(source_ids)))

    def encode(self, source_ids: Tensor) -> tuple[Tensor, Tensor]:
        hidden = source_ids == PAD  # torch.nn's masks are True where nothing may look
        states = self.embedding(source_ids)
        return self.stacks.encoder(states, src_key_padding_mask=hidden), hidden

    def decode(self, target_ids: Tensor, memory: Tensor, hidden: Tensor) -> Tensor:
        return self.stacks.decoder(
            self.embedding(target_ids),
            memory,
            tgt_mask=~causal_mask(target_ids.size(1), target_ids.device),
            tgt_key_padding_mask=target_ids == PAD,
            memory_key_padding_mask=hidden,
            tgt_is_causal=True,
        )


class Marian(nn.Module):
    """Hugging Face's Marian; kernel "sdpa" (torch's fused one) or "eager" (explicit softmax)."""

    def __init__(self, config: TransformerConfig, kernel: str = "sdpa"):
        super().__init__()
        self.inner = marian(config, kernel)

    def forward(self, source_ids: Tensor, target_ids: Tensor) -> Tensor:
        return self.inner(
            input_ids=source_ids,
            attention_mask=(source_ids != PAD).long(),
            decoder_input_ids=target_ids,
            decoder_attention_mask=(target_ids != PAD).long(),
            use_cache=False,
        ).logits

    def encode(self, source_ids: Tensor) -> tuple[Tensor, Tensor]:
        mask = (source_ids != PAD).long()
        states = self.inner.get_encoder()(input_ids=source_ids, attention_mask=mask)
        return states.last_hidden_state, mask

    def decode(self, target_ids: Tensor, memory: Tensor, source_mask: Tensor) -> Tensor:
        return self.inner.get_decoder()(
            input_ids=target_ids,
            attention_mask=(target_ids != PAD).long(),
            encoder_hidden_states=memory,
            encoder_attention_mask=source_mask,
            use_cache=False,
        ).last_hidden_state

    def output(self, states: Tensor) -> Tensor:
        return self.inner.lm_head(states) + self.inner.final_logits_bias


def marian(config: TransformerConfig, kernel: str = "sdpa") -> MarianMTModel:
    """A MarianMTModel with random weights and our sizes."""
    c = config
    return MarianMTModel(
        MarianConfig(
            vocab_size=c.vocab_size,
            d_model=c.d_model,
            encoder_layers=c.num_encoder_layers,
            decoder_layers=c.num_decoder_layers,
            encoder_attention_heads=c.num_heads,
            decoder_attention_heads=c.num_heads,
            encoder_ffn_dim=c.d_ff,
            decoder_ffn_dim=c.d_ff,
            max_position_embeddings=c.max_length,
            activation_function="relu",
            dropout=c.dropout,
            scale_embedding=True,
            pad_token_id=PAD,
            bos_token_id=BOS,
            eos_token_id=EOS,
            decoder_start_token_id=BOS,
            forced_eos_token_id=None,
            attn_implementation=kernel,
        )
    )


def with_nn_dropout(model: Transformer) -> Transformer:
    """Ours with nn.Dropout in place of the Dropout that draws a byte for each number."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, Dropout):
                setattr(module, name, nn.Dropout(child.p))
    return model


def with_torchs_dropout(model: Transformer) -> Transformer:
    """Ours with dropout wherever nn.Transformer has it."""
    dropout = Dropout(model.config.dropout)

    def attend(query, key, value, mask=None):
        scores = query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))
        weights = dropout(scores.masked_fill(~mask, -math.inf).softmax(dim=-1))
        return weights @ value, weights

    use_attention(model, attend)
    for module in model.modules():
        if isinstance(module, FeedForward):
            module.activation = nn.Sequential(nn.ReLU(), dropout)
    return model


def count_parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
