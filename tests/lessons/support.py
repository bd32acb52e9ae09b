"""Untrained models of the kinds that are published, made by the library that publishes them."""

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import (
    MarianConfig,
    MarianMTModel,
    T5Config,
    T5ForConditionalGeneration,
    WhisperConfig,
    WhisperForConditionalGeneration,
)

from helpers.lessons.marian import from_marian
from helpers.lessons.t5 import from_t5
from helpers.lessons.whisper_text import small_pieces

transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()


def marian(seed=0, **changes):
    torch.manual_seed(seed)
    settings = dict(
        vocab_size=53,
        d_model=16,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=24,
        decoder_ffn_dim=24,
        encoder_layers=2,
        decoder_layers=3,
        max_position_embeddings=40,
        pad_token_id=52,
        decoder_start_token_id=52,
        eos_token_id=0,
        forced_eos_token_id=None,
        scale_embedding=True,
        activation_function="swish",
        init_std=0.4,
    )
    model = MarianMTModel(MarianConfig(**{**settings, **changes})).eval()
    with torch.no_grad():  # norms and biases away from 1 and 0, so that a lost one shows
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
        model.final_logits_bias.normal_(std=0.3)
    return model


def t5(seed=0, **changes):
    torch.manual_seed(seed)
    settings = dict(
        vocab_size=53,
        d_model=16,
        d_kv=4,
        num_heads=4,
        d_ff=24,
        num_layers=2,
        num_decoder_layers=3,
        decoder_start_token_id=0,
        pad_token_id=0,
        eos_token_id=1,
        initializer_factor=1.0,
    )
    model = T5ForConditionalGeneration(T5Config(**{**settings, **changes})).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1 or "relative" in name:
                parameter.add_(torch.randn_like(parameter) * (1.0 if "relative" in name else 0.1))
    return model


def whisper(seed=0, **changes):
    """A small Whisper, and the tokenizer that it goes with."""
    torch.manual_seed(seed)
    pieces = small_pieces("the dog found the ball in the garden")
    start, eos, first = (pieces.token_to_id(f"<|{n}|>") for n in WHISPER_SPECIAL)
    settings = dict(
        vocab_size=pieces.get_vocab_size() + 3,  # as with the published ones, more than pieces
        d_model=24,
        encoder_attention_heads=3,
        decoder_attention_heads=3,
        encoder_ffn_dim=40,
        decoder_ffn_dim=40,
        encoder_layers=2,
        decoder_layers=3,
        num_mel_bins=10,
        max_source_positions=35,
        max_target_positions=30,
        pad_token_id=eos,
        bos_token_id=start,
        eos_token_id=eos,
        decoder_start_token_id=start,
        init_std=0.5,
    )
    model = WhisperForConditionalGeneration(WhisperConfig(**{**settings, **changes})).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    rules = model.generation_config
    rules.suppress_tokens = [7, start, pieces.token_to_id("<|nospeech|>"), 4]
    rules.begin_suppress_tokens = [11, eos]
    rules.alignment_heads = [[0, 1], [2, 0]]
    rules.no_timestamps_token_id = first
    rules.is_multilingual = False
    return model, pieces


WHISPER_SPECIAL = ("startoftranscript", "endoftext", "notimestamps")


def save_whisper(folder, **changes):
    """(their model, the folder in which it is saved as the published ones are)."""
    model, pieces = whisper(**changes)
    model.save_pretrained(folder)
    pieces.save(str(folder / "tokenizer.json"))
    return model, folder


def sources(theirs, seed=0):
    """Their ids of four sentences of unequal length, and their mask."""
    generator = torch.Generator().manual_seed(seed)
    pad, eos = theirs.config.pad_token_id, theirs.config.eos_token_id
    ids = torch.randint(4, 50, (4, 9), generator=generator)
    for row, length in enumerate((9, 4, 7, 2)):
        ids[row, length - 1] = eos
        ids[row, length:] = pad
    return ids, (ids != pad).long()


def change_weights(folder, change):
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")


KINDS = {"marian": (marian, from_marian), "t5": (t5, from_t5)}  # how to make one, how to read it
