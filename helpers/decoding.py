"""From a trained model to a translation, one token at a time. Built in notebook 10.

Greedy search, sampling and beam search all ask the same question, `next_logits`; with a cache
it reads only the newest token, without one the whole prefix. The model's code is the same.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from helpers.attention import record_attention
from helpers.batching import pad
from helpers.cache import Cache
from helpers.masks import BOS, EOS, PAD
from helpers.tokenizer import Tokenizer
from helpers.transformer import Transformer


def next_logits(
    model: Transformer, ids: Tensor, memory: Tensor, source_mask: Tensor, cache: Cache | None = None
) -> Tensor:
    """What the model says about the token after `ids` (rows, so far) -> (rows, vocab_size).

    With a cache only the tokens that it does not hold yet are read.
    """
    new = ids if cache is None else ids[:, cache.length :]
    hidden = model.decode(new, memory, source_mask, cache)  # (rows, new, d_model)
    return model.output(hidden[:, -1])


def decode(
    model: Transformer,
    source_ids: Tensor,
    choose: Callable[[Tensor], Tensor],
    max_length: int | None = None,
    cached: bool = True,
) -> Tensor:
    """Token after token for a whole batch; choose(logits (batch, vocab_size)) -> ids (batch,).

    source_ids (batch, source) -> ids (batch, length), without BOS; each row ends in EOS, then
    PAD, or is cut at max_length tokens: by default 50 more than the source has (section 6.1 of
    Vaswani et al. 2017), but never more than the model has positions. The model is asked in
    evaluation mode and left in the mode it was in.
    Raises ValueError if max_length exceeds the model's positions.
    """
    max_length = longest(model, source_ids, max_length)
    with evaluating(model):
        memory, source_mask = model.encode(source_ids)  # once per sentence
        cache = Cache(len(model.decoder.layers)) if cached else None
        ids = source_ids.new_full((source_ids.size(0), 1), BOS)
        done = torch.zeros_like(ids[:, 0], dtype=torch.bool)  # (batch,)
        while not done.all() and ids.size(1) <= max_length:
            chosen = choose(next_logits(model, ids, memory, source_mask, cache))  # (batch,)
            ids = torch.cat([ids, chosen.masked_fill(done, PAD)[:, None]], dim=1)
            done = done | (chosen == EOS)
    return ids[:, 1:].clone()  # a tensor like any other, no longer bound to inference mode


def greedy(
    model: Transformer, source_ids: Tensor, max_length: int | None = None, cached: bool = True
) -> Tensor:
    """Always the most probable next token. source_ids (batch, source) -> ids, as in `decode`."""
    return decode(model, source_ids, lambda logits: logits.argmax(-1), max_length, cached)


def sample(
    model: Transformer,
    source_ids: Tensor,
    generator: torch.Generator,
    temperature: float = 1.0,
    top_p: float = 1.0,
    max_length: int | None = None,
) -> Tensor:
    """Draw each token from the model's distribution. source_ids (batch, source) -> ids.

    The logits are divided by the temperature; of the words only the most probable ones that
    together reach probability top_p are drawn from (nucleus sampling, Holtzman et al. 2020).
    Raises ValueError unless temperature > 0 and 0 < top_p <= 1.
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, got {temperature}; greedy() is its limit")
    if not 0 < top_p <= 1:
        raise ValueError(f"top_p must lie in (0, 1], got {top_p}")

    def draw(logits: Tensor) -> Tensor:
        probabilities = nucleus((logits / temperature).softmax(-1), top_p)
        return torch.multinomial(probabilities, 1, generator=generator)[:, 0]

    return decode(model, source_ids, draw, max_length)


def nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    """Zero all but the smallest set of words that reaches probability top_p; rescale the rest.

    (batch, vocab_size) -> the same shape, rows summing to 1. The most probable word always stays.
    """
    ordered, words = probabilities.sort(dim=-1, descending=True)
    before = ordered.cumsum(-1) - ordered  # the probability of all more probable words
    kept = torch.zeros_like(ordered).scatter(-1, words, ordered.masked_fill(before >= top_p, 0.0))
    return kept / kept.sum(-1, keepdim=True)


def beam_search(
    model: Transformer,
    source_ids: Tensor,
    beam_size: int = 4,
    length_penalty: float = 0.6,
    max_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Keep the beam_size most probable beginnings instead of one.

    source_ids (batch, source) -> ids (batch, length) as in `decode`, and scores (batch,): the
    log-probability of the tokens, EOS included, over `length_divisor`. A hypothesis that ends
    frees its slot; the search stops when none that lives could still beat the best that ended.
    What lives at max_length is cut there and counts as ended.
    Raises ValueError for beam_size outside [1, vocab_size], a negative length_penalty, or a
    max_length that exceeds the model's positions.
    """
    vocab_size = model.config.vocab_size
    if not 1 <= beam_size <= vocab_size:
        raise ValueError(f"beam_size must lie in [1, {vocab_size}], got {beam_size}")
    max_length = longest(model, source_ids, max_length)
    batch, device = source_ids.size(0), source_ids.device
    sentence = torch.arange(batch, device=device)[:, None]  # (batch, 1), to index with
    with evaluating(model):
        memory, source_mask = model.encode(source_ids)
        cache = Cache(len(model.decoder.layers))
        ids = source_ids.new_full((batch, 1, 1), BOS)  # one hypothesis; after one step, beam_size
        alive = memory.new_zeros(batch, 1)  # log-probability of each
        ancestors = torch.ones(batch, 1, 0, dtype=torch.bool, device=device)
        best_ids = source_ids.new_full((batch, max_length), PAD)
        best = memory.new_full((batch,), -torch.inf)
        for length in range(1, max_length + 1):
            # The newest tokens stand side by side, at one position. Of all that is cached each
            # may look at itself and at its ancestors: (batch, beam, cached).
            beam = ids.size(1)
            itself = torch.eye(beam, dtype=torch.bool, device=device).expand(batch, -1, -1)
            ancestors = torch.cat([ancestors, itself], dim=-1)
            y = model.target_embedding(ids[:, :, -1].reshape(-1, 1), start=length - 1)
            y = y.view(batch, beam, -1)  # (batch, beam, d_model)
            hidden = model.decoder(y, memory, ancestors[:, None], source_mask, cache)
            log_probabilities = model.output(hidden).log_softmax(-1)  # (batch, beam, vocab_size)

            gains, words = log_probabilities.topk(beam_size)  # (batch, beam, beam_size)
            totals = (alive[:, :, None] + gains).flatten(1)  # (batch, beam * beam_size)
            alive, place = totals.topk(beam_size)  # (batch, beam_size)
            parent = place // beam_size  # which hypothesis each of the new ones continues
            words = words.flatten(1).gather(1, place)
            ids = torch.cat([ids[sentence, parent], words[:, :, None]], dim=-1)
            ancestors = ancestors[sentence, parent]

            ended = (words == EOS) | (length == max_length)  # (batch, beam_size)
            scores = alive.where(ended, -torch.inf) / length_divisor(length, length_penalty)
            score, slot = scores.max(dim=-1)  # (batch,)
            new = score > best
            best = torch.where(new, score, best)
            best_ids[new, :length] = ids[new, slot[new], 1:]

            alive = alive.masked_fill(ended, -torch.inf)
            # More tokens can only lower a log-probability, and no divisor is larger than this.
            hope = alive.amax(dim=-1) / length_divisor(max_length, length_penalty)
            if (hope <= best).all():
                break
    longest_best = int((best_ids != PAD).sum(-1).max())
    return best_ids[:, :longest_best].clone(), best.clone()


def length_divisor(length: int, length_penalty: float) -> float:
    """((5 + length) / 6) ** length_penalty: what makes long and short hypotheses comparable.

    0 divides by 1: the plain log-probability, which prefers the short. Source: Wu et al. 2016,
    equation 14. Raises ValueError for a negative length_penalty.
    """
    if length_penalty < 0:
        raise ValueError(f"length_penalty must not be negative, got {length_penalty}")
    return ((5 + length) / 6) ** length_penalty


def log_probability(model: Transformer, source_ids: Tensor, ids: Tensor) -> Tensor:
    """log P(ids | source) of each row, (batch,): ids (batch, length) without BOS, PAD not counted.

    Computed without a cache, in one pass: an independent check of every search.
    """
    with evaluating(model):
        read = torch.cat([ids.new_full((ids.size(0), 1), BOS), ids[:, :-1]], dim=1)
        log_probabilities = model(source_ids, read).log_softmax(-1)
        said = log_probabilities.gather(-1, ids[:, :, None])[:, :, 0]  # (batch, length)
    return said.masked_fill(ids == PAD, 0.0).sum(-1)


def longest(model: Transformer, source_ids: Tensor, max_length: int | None) -> int:
    """max_length, checked; by default 50 tokens more than the source, or what the model has."""
    limit = model.config.max_length
    if max_length is None:
        return min(limit, source_ids.size(1) + 50)
    if not 1 <= max_length <= limit:
        raise ValueError(f"max_length must lie in [1, {limit}], got {max_length}")
    return max_length


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside the block, and nothing kept for gradients; afterwards as before."""
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(was_training)


def translate(
    model: Transformer,
    tokenizer: Tokenizer,
    sentences: Sequence[Sequence[str]],
    batch_size: int = 250,
    beam_size: int = 1,
) -> list[list[str]]:
    """German words -> English words, sentence by sentence, in the order given.

    Greedy for beam_size 1, else beam search with its usual length penalty.
    Raises UnknownWords for a word that the tokenizer does not have.
    """
    encoded = [[*tokenizer.encode(words), EOS] for words in sentences]
    order = sorted(range(len(encoded)), key=lambda i: len(encoded[i]))  # little padding
    device = next(model.parameters()).device
    translations: list[list[str]] = [[] for _ in encoded]
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        source_ids = pad([encoded[i] for i in chosen]).to(device)
        if beam_size == 1:
            ids = greedy(model, source_ids)
        else:
            ids, _ = beam_search(model, source_ids, beam_size)
        for i, row in zip(chosen, ids.tolist(), strict=True):
            translations[i] = tokenizer.decode(row)
    return translations


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
    with evaluating(model), record_attention(model) as maps:
        model(source_ids, target_ids)
    return {name: m[0].cpu().clone() for name, m in maps.items() if "cross_attention" in name}
