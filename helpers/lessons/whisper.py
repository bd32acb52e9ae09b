"""Whisper in our classes: a published model that writes down what it hears. Built in notebook 16.

Its encoder reads sound instead of words; its decoder is the one of notebook 08. Two kinds of
files can be read: transformers' safetensors and CTranslate2's model.bin. Source: Radford et al.
2022, "Robust Speech Recognition via Large-Scale Weak Supervision".
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers.attention import MultiHeadAttention
from helpers.decoding import decode
from helpers.layers import FeedForward
from helpers.lessons.marian import marian_names
from helpers.lessons.published_weights import (
    assign,
    need,
    need_rows,
    pop_copies,
)
from helpers.lessons.sound import MELS
from helpers.lessons.whisper_files import read_ctranslate2, read_transformers
from helpers.lessons.whisper_text import Spelling, read_spelling, small_pieces, spell
from helpers.transformer import Transformer, TransformerConfig

WHISPER = {  # what config.json calls our sizes
    "vocab_size": "vocab_size",
    "d_model": "d_model",
    "encoder_attention_heads": "num_heads",
    "encoder_ffn_dim": "d_ff",
    "encoder_layers": "num_encoder_layers",
    "decoder_layers": "num_decoder_layers",
    "max_target_positions": "max_length",
}


class SoundEmbedding(nn.Module):
    """A spectrogram as a sequence: two convolutions along time, the second with steps of two.

    spectrogram (batch, mels, 2 · length) -> (batch, length, d_model), with a vector added for each
    moment that says when it is. Raises ValueError for another shape. Source: section 2.2.
    """

    def __init__(self, mels: int, d_model: int, length: int):
        super().__init__()
        self.conv_1 = nn.Conv1d(mels, d_model, kernel_size=3, padding=1)
        self.conv_2 = nn.Conv1d(d_model, d_model, kernel_size=3, stride=2, padding=1)
        self.positions = nn.Parameter(torch.zeros(length, d_model))  # sines, but not our sines

    def forward(self, spectrogram: Tensor) -> Tensor:
        wanted = (self.conv_1.in_channels, 2 * len(self.positions))
        if spectrogram.dim() != 3 or spectrogram.shape[1:] != wanted:
            raise ValueError(
                f"spectrogram must be (batch, {wanted[0]}, {wanted[1]}), "
                f"got {tuple(spectrogram.shape)}"
            )
        x = F.gelu(self.conv_1(spectrogram))  # (batch, d_model, 2 · length)
        x = F.gelu(self.conv_2(x))  # (batch, d_model, length)
        return x.transpose(1, 2) + self.positions  # (batch, length, d_model)


class Whisper(Transformer):
    """The Transformer of notebook 08 with six changes. `source_ids` are spectrograms.

    Interface and searches are Transformer's.
    """

    def __init__(self, config: TransformerConfig, mels: int = MELS, length: int = 1500):
        super().__init__(replace(config, norm_first=True))  # 1. the norm comes first
        c = config
        self.source_embedding = SoundEmbedding(mels, c.d_model, length)  # 2. sound goes in
        text = self.target_embedding
        text.positions = nn.Parameter(torch.zeros(c.max_length, c.d_model))  # 3. learned positions
        text.scale = 1.0  # 4. no √d_model
        for module in self.modules():
            if isinstance(module, FeedForward):
                module.activation = F.gelu  # 5. GELU for ReLU
            if isinstance(module, MultiHeadAttention):
                module.w_k.bias = None  # 6. keys without a bias

    def encode(self, source_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Spectrograms -> memory (batch, length, d_model), and a mask that hides nothing."""
        x = self.source_embedding(source_ids)
        mask = torch.ones(len(x), 1, 1, x.size(1), dtype=torch.bool, device=x.device)
        return self.encoder(x, mask), mask


def transcribe(
    model: Transformer, spelling: Spelling, spectrograms: Tensor, max_length: int = 100
) -> Tensor:
    """What is said, word piece after word piece: spectrograms (batch, 80, 3000) -> ids.

    Greedy search (notebook 10) under Whisper's rules: the first token is given, and some are
    never chosen. Returns ids as `decode` does, without BOS and without the given first token.
    """
    written = 0

    def choose(logits: Tensor) -> Tensor:
        nonlocal written
        written += 1
        if written == 1:
            return torch.full_like(logits[:, 0], spelling.first, dtype=torch.long)
        forbidden = [*spelling.never, *(spelling.not_first if written == 2 else ())]
        logits[:, forbidden] = -torch.inf
        return logits.argmax(-1)

    return decode(model, spectrograms, choose, max_length)[:, 1:]


def from_whisper(folder: str | Path) -> tuple[Whisper, Spelling]:
    """An English Whisper (tiny.en to medium.en) in our classes, in evaluation mode.

    The folder holds tokenizer.json and either model.bin and config.json as CTranslate2 writes
    them, or model.safetensors, config.json and generation_config.json as transformers does.
    Raises FileNotFoundError for files that are missing, ValueError naming settings that are not
    supported here, or weights that are missing, unknown or damaged.
    """
    folder = Path(folder)
    read = read_ctranslate2 if (folder / "model.bin").is_file() else read_transformers
    s, rules, weights = read(folder)
    need(
        s,
        (*WHISPER, "num_mel_bins", "max_source_positions"),
        model_type="whisper",
        activation_function="gelu",
        scale_embedding=False,
        tie_word_embeddings=True,
        decoder_attention_heads=s.get("encoder_attention_heads"),
        decoder_ffn_dim=s.get("encoder_ffn_dim"),
    )
    spelling = read_spelling(folder, s["vocab_size"], rules)
    sizes = {ours: s[theirs] for theirs, ours in WHISPER.items()}
    config = TransformerConfig(**sizes | {"vocab_size": len(spelling.vocabulary)}, dropout=0.0)
    model = Whisper(config, s["num_mel_bins"], s["max_source_positions"])

    shared = "model.decoder.embed_tokens.weight"
    need_rows(weights, shared, s["vocab_size"])
    pop_copies(weights, shared, ("proj_out.weight",))
    weights[shared] = weights[shared][spelling.vocabulary.rows]
    assign(model, weights, whisper_names(config))
    return model.eval(), spelling


def untrained(text: str) -> tuple[Whisper, Spelling]:
    """A Whisper with random weights and tiny.en's layers, heads and moments, but narrower.

    It takes the trained model's place where there are no weights. Whatever runs with that one runs
    with this one, only faster, but what it writes means nothing. Each word of `text` is one piece.
    """
    pieces = small_pieces(text)
    sizes = (96, 6, 384, 4, 4, 0.0)
    rules = {
        "suppress_tokens": [pieces.token_to_id(name) for name in ("<|nospeech|>", "<|prev|>")],
        "begin_suppress_tokens": [],
        "alignment_heads": [(3, head) for head in range(6)],
    }
    spelling = spell(pieces, pieces.get_vocab_size(), rules)
    config = TransformerConfig(len(spelling.vocabulary), *sizes, max_length=448)
    return Whisper(config).eval(), spelling


def whisper_names(config: TransformerConfig) -> Iterator[tuple[str, str]]:
    """(transformers' name, ours) of every weight; the layers are named as Marian's are."""
    for theirs, ours in marian_names(config):
        if ".layers." in theirs and not theirs.endswith("k_proj.bias"):
            yield theirs, ours
    yield "model.decoder.embed_tokens.weight", "target_embedding.token.weight"
    for side, embedding in (("encoder", "source_embedding"), ("decoder", "target_embedding")):
        yield f"model.{side}.embed_positions.weight", f"{embedding}.positions"
        for kind in ("weight", "bias"):
            yield f"model.{side}.layer_norm.{kind}", f"{side}.norm.{kind}"
    for number in (1, 2):
        for kind in ("weight", "bias"):
            yield f"model.encoder.conv{number}.{kind}", f"source_embedding.conv_{number}.{kind}"
