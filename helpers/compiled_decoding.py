"""Decoding for GPUs, in which every step is the same graph. The results are those of `decoding`.

A step of decoding is hundreds of tiny kernels, and on a GPU starting them takes longer than running
them. torch.compile and CUDA graphs start them all at once, if every step has the same shapes. So
the cache has its full size from the beginning, a mask says how much of it is filled, and the
bookkeeping of the search is part of the step.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from helpers.attention import MultiHeadAttention
from helpers.batching import rounded
from helpers.cache import KeysValues
from helpers.decoding import (
    best_continuations,
    check_beam,
    check_finite,
    check_ids,
    gather_beams,
    length_divisor,
    length_limits,
    suppress_special,
)
from helpers.layers import Embedding
from helpers.special_ids import BOS, EOS, PAD
from helpers.transformer import Transformer

CHECK_EVERY = 8  # on a GPU, steps between two checks whether all sentences have ended


@dataclass
class FixedSelfCache:
    """Keys and values (batch, heads, room, d_k) with room for all steps; new ones go to `slots`."""

    keys: Tensor
    values: Tensor
    slots: Tensor  # (beam,), places in the room

    def update(self, keys_values: Callable[[Tensor], KeysValues], context: Tensor) -> KeysValues:
        key, value = keys_values(context)  # (batch, heads, beam, d_k)
        self.keys.index_copy_(2, self.slots, key)
        self.values.index_copy_(2, self.slots, value)
        return self.keys, self.values


@dataclass
class FixedCrossCache:
    """The memory's keys and values, computed before the first step."""

    kept: KeysValues

    def update(self, keys_values: Callable[[Tensor], KeysValues], context: Tensor) -> KeysValues:
        return self.kept


class FixedCache:
    """What `Transformer.decode` asks of a cache, made anew for each step."""

    def __init__(self, layers: list[tuple[FixedSelfCache, FixedCrossCache]]):
        self.layers = layers
        self.length = 0  # the model is lent one row of positions, which is the current one


class Search:
    """All tensors of a search over this many sentences, hypotheses, source and target tokens.

    They stay where they are in memory, because a CUDA graph writes to the same places each time.
    """

    def __init__(self, model: Transformer, batch: int, beam: int, source: int, room: int):
        like = model.output.weight
        new = lambda *shape, kind=like.dtype: torch.zeros(shape, dtype=kind, device=like.device)
        c = model.config
        heads, d_k = c.num_heads, c.d_model // c.num_heads
        cells = (batch, heads, room * beam, d_k)
        self.source_mask = new(batch, 1, 1, source, kind=torch.bool)
        self.memory = new(batch, source, c.d_model)
        self.past = [(new(*cells), new(*cells)) for _ in model.decoder.layers]
        across = (batch, heads, source, d_k)
        self.across = [(new(*across), new(*across)) for _ in model.decoder.layers]
        self.limits = new(batch, kind=torch.long)
        self.position = new(1, kind=torch.long)  # of the token that is read next
        self.table = model.target_embedding.positions  # (max_length, d_model)
        self.positions = new(1, c.d_model)  # the current row of that table
        self.ids = new(batch, beam, room + 1, kind=torch.long)
        self.best = new(batch)  # the largest logits, added up: NaN stays NaN
        self.done = new(batch, beam, kind=torch.bool)
        self.alive = new(batch, beam)  # log-probabilities
        self.ancestors = new(batch, beam, room * beam, kind=torch.bool)
        self.found_ids = new(batch, room, kind=torch.long)
        self.found_scores = new(batch)
        self.divisors = new(room + 1)  # by length
        self.largest = new(batch)  # each sentence's divisor at its limit
        for value in vars(self).values():
            for tensor in self.tensors_in(value):
                torch._dynamo.mark_static_address(tensor)

    def tensors_in(self, value: object) -> list[Tensor]:
        if isinstance(value, Tensor):
            return [value]
        return [t for pair in value for t in pair] if isinstance(value, list) else []

    def begin(self, model: Transformer, source_ids: Tensor, limits: Tensor) -> None:
        """Encode the sources and forget the previous search."""
        memory, source_mask = model.encode(source_ids)
        self.memory.copy_(memory)
        self.source_mask.copy_(source_mask)
        for layer, kept in zip(model.decoder.layers, self.across, strict=True):
            attention = layer.cross_attention
            assert isinstance(attention, MultiHeadAttention)
            for there, now in zip(kept, attention.keys_values(memory), strict=True):
                there.copy_(now)
        self.limits.copy_(limits)
        for tensor in (self.position, self.best, self.done, self.ancestors, self.found_ids):
            tensor.zero_()
        self.ids.fill_(PAD)
        self.ids[:, :, 0] = BOS
        self.alive.fill_(-torch.inf)  # at first, a sentence has only one hypothesis
        self.alive[:, 0] = 0.0
        self.found_scores.fill_(-torch.inf)


class CompiledDecoding:
    """Greedy and beam search for one model. The step of each is compiled once for every shape.

    The first call with a new shape takes long, and later ones win that time back. To keep shapes
    few, rows and lengths are padded to a few sizes. The results are those of `decoding.greedy` and
    `decoding.beam_search`, whose docstrings explain the arguments. The model may be trained between
    two calls. Raises TypeError for a model that decodes or embeds its tokens in another way.
    """

    def __init__(self, model: Transformer):
        own = type(model).decode is Transformer.decode and type(model).encode is Transformer.encode
        if not own or type(model.target_embedding) is not Embedding:
            raise TypeError(
                "model must be a Transformer with its own encode, decode and Embedding, "
                f"got {type(model).__name__}"
            )
        self.model = model
        self.on_gpu = model.output.weight.device.type == "cuda"
        mode = "reduce-overhead" if self.on_gpu else None
        compiled = lambda step: torch.compile(step, fullgraph=True, dynamic=True, mode=mode)
        self.greedy_step, self.beam_step = compiled(greedy_step), compiled(beam_step)
        self.searches: dict[tuple[int, ...], tuple[Search, nn.Module]] = {}

    def greedy(self, source_ids: Tensor, max_length: int | None = None) -> Tensor:
        """source_ids (batch, source) -> ids (batch, length)."""
        with Evaluating(self.model):
            search, window, count = self.begin(source_ids, 1, max_length)
            for step in range(count):
                self.greedy_step(window, search)
                if self.asks(step) and search.done.all():
                    break
            rows = len(source_ids)
            check_finite(search.best[:rows])
            return without_padding(search.ids[:rows, 0, 1:])

    def beam_search(
        self,
        source_ids: Tensor,
        beam_size: int = 4,
        length_penalty: float = 0.6,
        max_length: int | None = None,
    ) -> tuple[Tensor, Tensor]:
        """source_ids (batch, source) -> ids (batch, length), scores (batch,)."""
        check_beam(self.model, beam_size, beam_size)
        with Evaluating(self.model):
            search, window, count = self.begin(source_ids, beam_size, max_length)
            divisor = [length_divisor(n, length_penalty) for n in range(len(search.divisors))]
            search.divisors.copy_(torch.tensor(divisor, dtype=torch.float64))
            search.largest.copy_(search.divisors[search.limits])
            for step in range(count):
                self.beam_step(window, search)
                if self.asks(step):
                    winning = search.alive.amax(-1) / search.largest > search.found_scores
                    if not winning.any():
                        break
            rows = len(source_ids)
            check_finite(search.best[:rows])
            return without_padding(search.found_ids[:rows]), search.found_scores[:rows].clone()

    def asks(self, step: int) -> bool:
        """Whether to check now if all have ended. On a GPU, each check means waiting for it."""
        return not self.on_gpu or step % CHECK_EVERY == CHECK_EVERY - 1

    def begin(
        self, source_ids: Tensor, beam: int, max_length: int | None
    ) -> tuple[Search, nn.Module, int]:
        """A search of this shape, ready to start; the model at its position; the limit on steps."""
        check_ids("source_ids", source_ids, self.model)
        limits = length_limits(self.model, source_ids, max_length)
        count, longest = int(limits.max()), self.model.config.max_length
        batch = 2 ** (len(source_ids) - 1).bit_length()
        source = max(source_ids.size(1), min(rounded(source_ids.size(1)), longest))
        shape = (batch, beam, source, min(rounded(count), longest))
        if shape not in self.searches:
            search = Search(self.model, *shape)
            self.searches[shape] = search, with_positions(self.model, search.positions)
        search, window = self.searches[shape]
        padded = source_ids.new_full((batch, source), PAD)
        padded[:, 0] = EOS  # a row that only fills up the batch ends after one token
        padded[: len(source_ids), : source_ids.size(1)] = source_ids
        ends = limits.new_ones(batch)
        ends[: len(limits)] = limits
        search.begin(self.model, padded, ends)
        return search, window, count


class Evaluating:
    """Evaluation mode without gradients; afterwards the model is as it was.

    (Tensors made inside `evaluation.evaluating` could not be used outside; the ones here are.)
    """

    def __init__(self, model: nn.Module):
        self.model, self.no_grad = model, torch.no_grad()

    def __enter__(self) -> None:
        self.was_training = self.model.training
        self.model.eval()
        self.no_grad.__enter__()

    def __exit__(self, *error: object) -> None:
        self.no_grad.__exit__(*error)
        self.model.train(self.was_training)


def with_positions(model: Transformer, positions: Tensor) -> Transformer:
    """The same model, sharing all weights, that knows only these positions of the target."""
    window, embedding = copy.copy(model), copy.copy(model.target_embedding)
    window._modules = {**model._modules, "target_embedding": embedding}
    embedding._buffers = {**embedding._buffers, "positions": positions}
    return window


def states_of_next(model: Transformer, search: Search) -> Tensor:
    """Decoder states (batch, beam, d_model) of the newest tokens, which are read into the cache."""
    beam = search.ids.size(1)
    search.positions.copy_(search.table.index_select(0, search.position))
    slots = search.position * beam + torch.arange(beam, device=search.ids.device)
    layers = [
        (FixedSelfCache(*past, slots), FixedCrossCache(across))
        for past, across in zip(search.past, search.across, strict=True)
    ]
    newest = search.ids.index_select(2, search.position)[:, :, 0]  # (batch, beam)
    return model.decode(
        newest,
        search.memory,
        search.source_mask,
        FixedCache(layers),  # type: ignore[arg-type]  # it has what is asked of a Cache
        search.ancestors,
    )


def greedy_step(model: Transformer, search: Search) -> None:
    """One more token for every sentence that has not ended."""
    room = torch.arange(search.ancestors.size(2), device=search.ids.device)
    search.ancestors.copy_((room <= search.position).expand_as(search.ancestors))
    states = states_of_next(model, search)
    logits = suppress_special(model.output(states))  # (batch, 1, vocab_size)
    search.best.add_(logits.amax((1, 2)))
    chosen = logits.argmax(-1).masked_fill(search.done, PAD)  # (batch, 1)
    length = search.position + 1
    search.ids.index_copy_(2, length, chosen[:, :, None])
    search.done.logical_or_((chosen == EOS) | (length >= search.limits)[:, None])
    search.position.add_(1)


def beam_step(model: Transformer, search: Search) -> None:
    """Every hypothesis one token longer; those that end are compared with the best so far."""
    beam = search.ids.size(1)
    room = torch.arange(search.ancestors.size(2), device=search.ids.device)
    itself = search.position * beam + torch.arange(beam, device=room.device)  # (beam,)
    search.ancestors.logical_or_(room == itself[:, None])
    states = states_of_next(model, search)
    logits = model.output(states)  # (batch, beam, vocab_size)
    alive, parent, words = best_continuations(search.alive, logits, beam)
    search.best.add_(logits.amax((1, 2)))
    length = search.position + 1  # with the new token
    ids = gather_beams(search.ids, parent).index_copy(2, length, words[:, :, None])
    ended = (words == EOS) | (search.limits == length)[:, None]  # (batch, beam)
    totals, slot = alive.where(ended, -torch.inf).max(-1)  # (batch,)
    scores = totals / search.divisors.index_select(0, length)
    new = scores > search.found_scores
    won = gather_beams(ids, slot[:, None])[:, 0, 1:]  # (batch, room)
    search.found_ids.copy_(torch.where(new[:, None], won, search.found_ids))
    search.found_scores.copy_(torch.where(new, scores, search.found_scores))
    alive, kept = alive.masked_fill(ended, -torch.inf).topk(beam)
    search.alive.copy_(alive)
    search.ids.copy_(gather_beams(ids, kept))
    search.ancestors.copy_(gather_beams(search.ancestors, parent.gather(1, kept)))
    search.position.add_(1)


def without_padding(ids: Tensor) -> Tensor:
    """The ids without those last columns that hold nothing but padding."""
    used = (ids != PAD).any(0).nonzero()
    return ids[:, : int(used.max()) + 1].clone()
