"""From a trained model to a translation, one token at a time. Built in notebook 10.

Greedy search and sampling call `next_logits`. Beam search calls `extend_hypotheses`, which does the
same for several hypotheses at once. Both call `model.decode`: with a cache it reads only the newest
token, without one the whole prefix, and the model's code is the same either way.
"""

from collections.abc import Callable, Iterable, Sequence
from numbers import Integral, Real
from typing import Any, Protocol, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from helpers.attention import record_attention
from helpers.batching import pad
from helpers.cache import Cache
from helpers.evaluation import evaluating
from helpers.special_ids import BOS, EOS, PAD
from helpers.tokenizer import check_list
from helpers.transformer import Transformer

Read = TypeVar("Read", contravariant=True)
Written = TypeVar("Written", covariant=True)


class AnyTokenizer(Protocol[Read, Written]):
    """A `Tokenizer`, whose sentences are lists of words, or `Subwords`, whose are strings."""

    def encode(self, text: Read, /) -> list[int]: ...
    def decode(self, ids: Iterable[int], /) -> Written: ...


def next_logits(
    model: Transformer, ids: Tensor, memory: Tensor, source_mask: Tensor, cache: Cache | None = None
) -> Tensor:
    """The logits of the token after `ids` (rows, so far) -> (rows, vocab_size).

    memory (rows, source, d_model) and source_mask (rows, 1, 1, source) as `encode` gives them.
    With a cache, the model reads only the tokens that the cache does not have yet. A model that
    leaves the cache empty reads all of them each time.
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
    """One token after another, for a whole batch; choose(logits (batch, vocab_size)) -> (batch,).

    source_ids (batch, source) -> ids (batch, length), without BOS; each row ends in EOS, then
    PAD, or is cut off at its own limit, see `length_limits`. The model runs in evaluation mode
    and returns to the mode it was in.
    Raises ValueError as length_limits and check_ids do, FloatingPointError as check_finite does.
    """
    check_ids("source_ids", source_ids, model)
    limits = length_limits(model, source_ids, max_length)  # (batch,)
    with evaluating(model):
        memory, source_mask = model.encode(source_ids)  # once per sentence
        cache = Cache(model.config.num_decoder_layers) if cached else None
        ids = torch.full((len(source_ids), 1), BOS, device=source_ids.device)
        done = torch.zeros_like(ids[:, 0], dtype=torch.bool)  # (batch,)
        best = memory.new_zeros(len(source_ids))  # the largest logits, added up: NaN stays NaN
        while not done.all():
            logits = suppress_special(next_logits(model, ids, memory, source_mask, cache))
            best = best + logits.amax(-1)
            chosen = choose(logits)  # (batch,)
            ids = torch.cat([ids, chosen.masked_fill(done, PAD)[:, None]], dim=1)
            done = done | (chosen == EOS) | (ids.size(1) > limits)
    check_finite(best)
    return ids[:, 1:].clone()  # an ordinary tensor, usable outside inference mode


def suppress_special(scores: Tensor) -> Tensor:
    """Scores (…, vocab_size) with PAD and BOS at -inf, in place: neither can come next."""
    scores[..., PAD] = scores[..., BOS] = -torch.inf
    return scores


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

    The logits are divided by the temperature. It then draws only from the smallest set of most
    probable words that reaches top_p (nucleus sampling, Holtzman et al. 2020).
    Raises ValueError unless 1e-6 <= temperature <= 1e6 and 0 < top_p <= 1, or as `decode` does.
    """
    if not 1e-6 <= temperature <= 1e6:  # outside, the quotients overflow or vanish
        raise ValueError(
            f"temperature must lie in [1e-6, 1e6], got {temperature}; for one near 0, use greedy()"
        )
    if not 0 < top_p <= 1:
        raise ValueError(f"top_p must lie in (0, 1], got {top_p}")

    def draw(logits: Tensor) -> Tensor:
        check_finite(logits.amax(-1))
        probabilities = nucleus((logits / temperature).softmax(-1), top_p)
        return torch.multinomial(probabilities, 1, generator=generator)[:, 0]

    return decode(model, source_ids, draw, max_length)


def nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    """Zero all but the smallest set of words that reaches probability top_p; rescale the rest.

    (batch, vocab_size) -> the same shape, rows summing to 1. The most probable word always stays,
    and with top_p = 1 every word does.
    """
    if top_p == 1:  # in the sum below, rounding could reach 1 too early
        return probabilities
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
    as_transformers: bool = False,
    n_best: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Keep the beam_size most probable beginnings instead of one.

    source_ids (batch, source) -> ids (batch, length) and scores (batch,): the log-probability,
    EOS included, over `length_divisor`. With n_best, that many of each, (batch, n_best, …), best
    first, -inf where fewer were found. as_transformers searches as that library does (notebook 14).
    Raises ValueError as check_beam, length_divisor and `decode` do.
    """
    width = 2 * beam_size if as_transformers else beam_size  # so that a freed slot is filled
    check_beam(model, beam_size, width, n_best)
    check_ids("source_ids", source_ids, model)
    limits = length_limits(model, source_ids, max_length)  # (batch,)
    with evaluating(model):
        memory, source_mask = model.encode(source_ids)
        cache = Cache(model.config.num_decoder_layers)
        ids = torch.full((len(source_ids), 1, 1), BOS, device=source_ids.device)  # one per sentence
        alive = memory.new_zeros(ids.shape[:2])  # its log-probability
        ancestors = ids[:, :, :0].bool()  # (batch, beam, cached): which cached tokens it may see
        divisor = lambda length: length_divisor(length, length_penalty, as_transformers)
        found = Finished(memory, divisor, limits, n_best or 1)
        best = memory.new_zeros(len(source_ids))  # the largest logits, added up: NaN stays NaN
        for length in range(1, int(limits.max()) + 1):
            logits, ancestors = extend_hypotheses(model, ids, ancestors, memory, source_mask, cache)
            alive, parent, words = best_continuations(alive, logits, width)
            best = best + logits.amax((1, 2))
            ids = torch.cat([gather_beams(ids, parent), words[:, :, None]], dim=-1)
            ended = (words == EOS) | (limits == length)[:, None]  # (batch, width)
            found.add(ids[:, :beam_size], alive.where(ended, -torch.inf)[:, :beam_size])
            alive, kept = alive.masked_fill(ended, -torch.inf).topk(beam_size)
            ids = gather_beams(ids, kept)
            ancestors = gather_beams(ancestors, parent.gather(1, kept))
            if found.is_done(alive):
                break
    check_finite(best)
    return found.best(n_best)


def extend_hypotheses(
    model: Transformer,
    ids: Tensor,
    ancestors: Tensor,
    memory: Tensor,
    source_mask: Tensor,
    cache: Cache,
) -> tuple[Tensor, Tensor]:
    """Logits (batch, beam, vocab_size) after each hypothesis, and ancestors, one column wider.

    The newest tokens of ids (batch, beam, length) are put side by side, at one position. In the
    cache, each may look at itself and at its ancestors (batch, beam, cached). A model that
    leaves the cache empty reads every hypothesis from its beginning instead.
    """
    batch, beam, length = ids.shape
    itself = torch.eye(beam, dtype=torch.bool, device=ids.device).expand(batch, -1, -1)
    ancestors = torch.cat([ancestors, itself], dim=-1)
    if cache.length == length - 1:
        beside = (ancestors,) if beam > 1 else ()  # a single token sees everything
        hidden = model.decode(ids[:, :, -1], memory, source_mask, cache, *beside)
    else:
        memory, source_mask = (x.repeat_interleave(beam, 0) for x in (memory, source_mask))
        hidden = model.decode(ids.flatten(0, 1), memory, source_mask)[:, -1].view(batch, beam, -1)
    return model.output(hidden), ancestors


def best_continuations(
    alive: Tensor, logits: Tensor, beam_size: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The beam_size best of all continuations: (log-probability, parent, word), (batch, beam_size).

    alive (batch, beam) holds each hypothesis' log-probability; logits (batch, beam, vocab_size)
    score the words after it. `parent` is the hypothesis that each new one continues.
    """
    gains = suppress_special(logits.log_softmax(-1))  # what each word would add
    scores = suppress_special(logits)
    # (batch, beam, beam_size): no more are needed; on a tie, greedy's choice: the first
    one = beam_size == 1
    words = scores.argmax(-1, keepdim=True) if one else scores.topk(beam_size).indices
    totals = (alive[:, :, None] + gains.gather(-1, words)).flatten(1)
    alive, index = totals.topk(beam_size)
    return alive, index // beam_size, words.flatten(1).gather(1, index)


def gather_beams(x: Tensor, parent: Tensor) -> Tensor:
    """Row parent[b, i] of x (batch, beam, …) for each new hypothesis i of sentence b."""
    return x[torch.arange(len(x), device=x.device)[:, None], parent]


class Finished:
    """The best hypotheses that have ended, for each sentence: ids (batch, n_best, length), scores.

    divisor(length) is `length_divisor`; limits (batch,) is how long each sentence may become.
    """

    def __init__(
        self, memory: Tensor, divisor: Callable[[int], float], limits: Tensor, n_best: int
    ):
        size = (len(memory), n_best)
        self.ids = torch.empty(*size, 0, dtype=torch.long, device=memory.device)
        self.scores = memory.new_full(size, -torch.inf)
        self.divisor = divisor
        self.largest = memory.new_tensor([divisor(limit) for limit in limits.tolist()])  # (batch,)

    def add(self, ids: Tensor, totals: Tensor) -> None:
        """ids (batch, beam, 1 + length) with BOS; totals (batch, beam), -inf for the living."""
        scores = totals / self.divisor(ids.size(-1) - 1)
        if (scores.amax(-1) > self.scores[:, -1]).any():
            kept = F.pad(self.ids, (0, ids.size(-1) - 1 - self.ids.size(-1)), value=PAD)
            both = torch.cat([self.scores, scores], dim=1)
            order = both.sort(dim=1, descending=True, stable=True).indices  # on a tie, the first
            order = order[:, : self.scores.size(1)]
            self.scores = both.gather(1, order)
            ids = torch.cat([kept, ids[:, :, 1:]], dim=1)
            self.ids = gather_beams(ids, order)  # of those at -inf, our empty ones are first

    def is_done(self, alive: Tensor) -> bool:
        """Whether no living hypothesis, alive (batch, beam), can still be among the best.

        More tokens can only lower a log-probability, and no divisor exceeds the one at the limit.
        """
        return not (alive.amax(dim=-1) / self.largest > self.scores[:, -1]).any()

    def best(self, n_best: int | None) -> tuple[Tensor, Tensor]:
        """ids and scores of all that were kept; with n_best=None those of the first, (batch, …).

        They are ordinary tensors, usable outside inference mode.
        """
        ids, scores = self.ids.clone(), self.scores.clone()
        return (ids[:, 0], scores[:, 0]) if n_best is None else (ids, scores)


def check_beam(model: Transformer, beam_size: int, width: int, n_best: int | None = None) -> None:
    """Raise ValueError unless 1 <= n_best <= beam_size and width is at most vocab_size."""
    if not isinstance(beam_size, Integral):
        raise ValueError(f"beam_size must be a whole number, got {beam_size!r}")
    limit = model.config.vocab_size * max(beam_size, 1) // max(width, 1)
    if not 1 <= beam_size <= limit:
        raise ValueError(f"beam_size must lie in [1, {limit}], got {beam_size!r}")
    if n_best is not None and not 1 <= n_best <= beam_size:
        raise ValueError(f"n_best must lie in [1, beam_size={beam_size}], got {n_best}")


def length_divisor(length: int, length_penalty: float, plain: bool = False) -> float:
    """((5 + length) / 6) ** length_penalty: what makes long and short hypotheses comparable.

    With `plain` it is length ** length_penalty, as in the library transformers. A penalty of 0
    leaves the log-probability as it is, which prefers short hypotheses. Usual values are between
    0 and 1. Source: Wu et al. 2016, equation 14.
    Raises ValueError unless 0 <= length_penalty <= 10.
    """
    if not 0 <= length_penalty <= 10:
        raise ValueError(f"length_penalty must lie in [0, 10], got {length_penalty}")
    return (length if plain else (5 + length) / 6) ** length_penalty


def log_probability(model: Transformer, source_ids: Tensor, ids: Tensor) -> Tensor:
    """log P(ids | source) of each row, (batch,): ids (batch, length) without BOS, PAD not counted.

    Computed without a cache, in one pass: an independent check of every search.
    Raises ValueError for ids outside the vocabulary.
    """
    check_ids("source_ids", source_ids, model)
    check_ids("ids", ids, model)
    with evaluating(model):
        read = torch.cat([ids.new_full((ids.size(0), 1), BOS), ids[:, :-1]], dim=1)
        log_probabilities = model(source_ids, read).log_softmax(-1)
        said = log_probabilities.gather(-1, ids[:, :, None])[:, :, 0]  # (batch, length)
    return said.masked_fill(ids == PAD, 0.0).sum(-1)


def length_limits(model: Transformer, source_ids: Tensor, max_length: int | None = None) -> Tensor:
    """How many tokens each sentence's translation may have, EOS included: (batch,).

    It is max_length for all of them; by default, 50 more than the source has, padding not counted
    (section 6.1 of Vaswani et al. 2017), but never more than the model has positions. If the source
    is not a sentence but, say, a picture, its second dimension is its length.
    Raises ValueError unless max_length is a whole number from 1 to the model's positions.
    """
    limit = model.config.max_length
    if max_length is not None:
        if not isinstance(max_length, Integral) or not 1 <= max_length <= limit:
            raise ValueError(f"max_length must lie in [1, {limit}], got {max_length!r}")
        return torch.full((len(source_ids),), max_length, device=source_ids.device)
    real = source_ids != PAD if source_ids.dim() == 2 else torch.ones(source_ids.shape[:2])
    return (real.sum(-1).long() + 50).clamp(max=limit).to(source_ids.device)


def check_ids(name: str, ids: Tensor, model: Transformer) -> None:
    """Raise ValueError for ids outside the vocabulary, which on a GPU would end the process.

    Called once for each batch to translate. A source that has no ids, such as a picture, passes.
    """
    if ids.is_floating_point() or not ids.numel():
        return
    low, high = (int(i) for i in ids.aminmax())
    if low < 0 or high >= model.config.vocab_size:
        raise ValueError(f"{name} must lie in [0, {model.config.vocab_size}), got {low} to {high}")


def check_finite(best: Tensor) -> None:
    """Raise FloatingPointError if `best` (batch,), from the largest logits, is NaN or infinite."""
    finite = best.isfinite()
    if not finite.all():
        wrong = (~finite).nonzero().flatten().tolist()
        raise FloatingPointError(
            f"the model's logits are NaN or infinite for {len(wrong)} of {len(finite)} sentences "
            f"(the first is number {wrong[0]}), so no word is the most probable one; look for NaN "
            "in the model's weights"
        )


def translate(
    model: Transformer,
    tokenizer: AnyTokenizer[Read, Written],
    sentences: Sequence[Read],
    batch_size: int = 250,
    beam_size: int = 1,
    length_penalty: float = 0.6,
    max_length: int | None = None,
    search: Callable[[Tensor], Tensor] | None = None,
) -> list[Written]:
    """German words -> English words, sentence by sentence, in the order given.

    Greedy search if beam_size is 1, otherwise beam search; max_length as in `decode`. A `search`
    takes the place of both: like `CompiledDecoding(model).greedy`, it takes source_ids and returns
    ids. With `Subwords` as the tokenizer, sentences and translations are strings.
    Raises UnknownWords for a word that the tokenizer does not have, TypeError for a sentence that
    it cannot read, ValueError for one that is longer than the model can read.
    """
    check_list("sentences", sentences)
    if not isinstance(sentences, Sequence):
        kind = type(sentences).__name__
        raise TypeError(f"sentences must be a list, because their order counts, got type {kind}")
    if not isinstance(batch_size, Integral) or batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size!r}")
    if beam_size != 1:
        check_beam(model, beam_size, beam_size)
    if not isinstance(length_penalty, Real):
        raise ValueError(f"length_penalty must be a number, got {length_penalty!r}")
    encoded = [encode_for(model, tokenizer, words, i) for i, words in enumerate(sentences)]
    order = sorted(range(len(encoded)), key=lambda i: len(encoded[i]))  # little padding
    device = next(model.parameters()).device
    translations: dict[int, Written] = {}
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        source_ids = pad([encoded[i] for i in chosen]).to(device)
        if search is not None:
            ids = search(source_ids)
        elif beam_size == 1:
            ids = greedy(model, source_ids, max_length)
        else:
            ids, _ = beam_search(model, source_ids, beam_size, length_penalty, max_length)
        for i, row in zip(chosen, ids.tolist(), strict=True):
            translations[i] = tokenizer.decode(row)
    return [translations[i] for i in range(len(encoded))]


def encode_for(
    model: Transformer, tokenizer: AnyTokenizer[Read, Any], sentence: Read, number: int
) -> list[int]:
    """The ids of sentences[number], EOS included. Raises TypeError or ValueError naming it."""
    try:
        ids = [*tokenizer.encode(sentence), EOS]
    except TypeError as error:
        raise TypeError(
            f"sentences[{number}] must be what the tokenizer encodes, got {sentence!r:.60} "
            f"({error})"
        ) from None
    if len(ids) > model.config.max_length:
        raise ValueError(
            f"sentences[{number}] has {len(ids):,} tokens with its end, but the model reads at "
            f"most {model.config.max_length:,}: {sentence!r:.60}"
        )
    return ids


def cross_attention_maps(
    model: Transformer, tokenizer: AnyTokenizer[Read, Any], source: Read, target: Read
) -> dict[str, Tensor]:
    """Where the decoder looks while it writes `target`: one map for each decoder layer.

    Returns {layer name: (heads, target + 1, source + 1)}. Row t is the query that *writes*
    target word t (it has read BOS and the words before t); the last row writes EOS, and the last
    column is the source's EOS. Evaluation mode, before dropout.
    """
    device = next(model.parameters()).device
    source_ids = torch.tensor([[*tokenizer.encode(source), EOS]], device=device)
    target_ids = torch.tensor([[BOS, *tokenizer.encode(target)]], device=device)
    check_ids("source", source_ids, model)
    check_ids("target", target_ids, model)
    with evaluating(model), record_attention(model) as maps:
        model(source_ids, target_ids)
    return {name: m[0].cpu().clone() for name, m in maps.items() if "cross_attention" in name}
