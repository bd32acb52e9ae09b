"""From a trained model to a translation, one token at a time. Used in notebooks 00, 08 and 09."""

from collections.abc import Sequence

import torch
from torch import Tensor

from helpers.attention import record_attention
from helpers.batching import pad
from helpers.masks import BOS, EOS, PAD
from helpers.tokenizer import Tokenizer
from helpers.transformer import Transformer


@torch.no_grad()
def greedy(model: Transformer, source_ids: Tensor, max_length: int | None = None) -> Tensor:
    """Always the most probable next token, for a whole batch at once.

    source_ids (batch, source) -> ids (batch, length), without BOS; each row ends in EOS, then
    PAD, or is cut at max_length tokens (the model's own limit if none is given). The model is
    asked in evaluation mode and left in the mode it was in.
    Raises ValueError if max_length exceeds the model's positions.
    """
    max_length = model.config.max_length if max_length is None else max_length
    if not 1 <= max_length <= model.config.max_length:
        raise ValueError(f"max_length must lie in [1, {model.config.max_length}], got {max_length}")
    was_training = model.training
    model.eval()
    try:
        memory, source_mask = model.encode(source_ids)  # once per sentence
        ids = source_ids.new_full((source_ids.size(0), 1), BOS)
        done = torch.zeros(source_ids.size(0), dtype=torch.bool, device=source_ids.device)
        while not done.all() and ids.size(1) <= max_length:
            hidden = model.decode(ids, memory, source_mask)  # (batch, so far, d_model)
            following = model.output(hidden[:, -1]).argmax(dim=-1)  # (batch,)
            following = following.masked_fill(done, PAD)
            ids = torch.cat([ids, following[:, None]], dim=1)
            done = done | (following == EOS)
        return ids[:, 1:]
    finally:
        model.train(was_training)


def translate(
    model: Transformer,
    tokenizer: Tokenizer,
    sentences: Sequence[Sequence[str]],
    batch_size: int = 250,
) -> list[list[str]]:
    """German words -> English words, sentence by sentence, in the order given.

    Raises UnknownWords for a word that the tokenizer does not have.
    """
    encoded = [[*tokenizer.encode(words), EOS] for words in sentences]
    order = sorted(range(len(encoded)), key=lambda i: len(encoded[i]))  # little padding
    device = next(model.parameters()).device
    translations: list[list[str]] = [[] for _ in encoded]
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        ids = greedy(model, pad([encoded[i] for i in chosen]).to(device))
        for i, row in zip(chosen, ids.tolist(), strict=True):
            translations[i] = tokenizer.decode(row)
    return translations


@torch.no_grad()
def cross_attention_maps(
    model: Transformer, tokenizer: Tokenizer, source: Sequence[str], target: Sequence[str]
) -> dict[str, Tensor]:
    """Where the decoder looks while it writes `target`, a map per decoder layer.

    Returns {layer name: (heads, target + 1, source + 1)}. Row t is the query that *writes*
    target word t (it has read BOS and the words before t); the last row writes EOS, and the last
    column is the source's EOS. Evaluation mode, before dropout.
    """
    device = next(model.parameters()).device
    source_ids = torch.tensor([[*tokenizer.encode(source), EOS]], device=device)
    target_ids = torch.tensor([[BOS, *tokenizer.encode(target)]], device=device)
    was_training = model.training
    model.eval()
    try:
        with record_attention(model) as maps:
            model(source_ids, target_ids)
    finally:
        model.train(was_training)
    return {name: m[0].cpu() for name, m in maps.items() if "cross_attention" in name}
