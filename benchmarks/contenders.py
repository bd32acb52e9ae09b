"""What the benchmarks of speed share: a Marian model of our sizes, and fair turns."""

import statistics
import time
from collections.abc import Callable

from transformers import MarianConfig, MarianMTModel
from transformers.utils import logging

from helpers.special_ids import BOS, EOS, PAD
from helpers.transformer import TransformerConfig

logging.set_verbosity_error()


def marian(config: TransformerConfig, kernel: str = "sdpa") -> MarianMTModel:
    """Hugging Face's Marian with our sizes; kernel "eager" or "sdpa"."""
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


def take_turns(contenders: dict[str, Callable], rounds: int) -> dict[str, list[float]]:
    """Seconds of each contender in each round; the first round warms up and is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(rounds + 1):
        for name, run in contenders.items():
            started = time.perf_counter()
            run()
            if turn:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def ratio(slow: list[float], fast: list[float]) -> float:
    """How many times as fast, round by round, the median."""
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))
