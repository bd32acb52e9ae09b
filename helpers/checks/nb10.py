"""Checks of notebook 10, decoding."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from helpers.cache import Cache, KeysValues
from helpers.checks import (
    Wrong,
    ask,
    choice,
    close,
    exercise,
    expect,
    expect_like,
    shown,
    to_array,
)
from helpers.checks.reading import numbers, pair, several, words
from helpers.decoding import nucleus
from helpers.special_ids import BOS, EOS, PAD
from helpers.transformer import Transformer, TransformerConfig


@exercise("10.1")
def check_key_counts(answer: Any) -> str:
    """Predict: cross-attention key computations for 12 tokens, 6 layers: (cached, uncached)."""
    counts = tuple(numbers(answer, "with the cache", "without"))
    if counts == (72, 6):
        raise Wrong("the other way round: the cache saves work")
    if counts == (1, 12):
        raise Wrong("that is one layer's share; each of the six computes its own keys")
    if counts == (72, 72):
        raise Wrong("that is without a cache; with one, no layer computes the memory's keys twice")
    if counts[0] == 12:
        raise Wrong("the memory doesn't change from token to token: with a cache, once is enough")
    if counts != (6, 72):
        raise Wrong("count layers times how often each one asks W_K for keys of the memory")
    return "once for each sentence and layer, against once for each token and layer"


class _Asking:
    """A cache that asks the learner's function, and compares with computing everything again."""

    def __init__(self, answer: Any, grows: bool):
        self.answer, self.grows = answer, grows
        self.read: list[Tensor] = []  # the contexts so far
        self.kept: KeysValues | None = None

    def update(self, keys_values: Callable[[Tensor], KeysValues], context: Tensor) -> KeysValues:
        calls = 0

        def counted(context: Tensor) -> KeysValues:
            nonlocal calls
            calls += 1
            return keys_values(context)

        got = pair(ask(self.answer, self.kept, counted, context, self.grows), "(keys, values)")
        arrays = [to_array(part) for part in got]
        if any(array is None for array in arrays):
            raise Wrong("the keys and the values that you return are a tensor each")
        self.read = [*self.read, context] if self.grows else [context]
        wanted = keys_values(torch.cat(self.read, dim=1))
        _compare(arrays, wanted, self.kept, keys_values(context), self.grows)
        if self.kept is not None and not self.grows and calls:
            raise Wrong("right, but the memory's keys and values are computed again in every "
                        "step: keep those of the first")  # fmt: skip
        self.kept = wanted
        return wanted


def _compare(
    got: list, wanted: KeysValues, old: KeysValues | None, new: KeysValues, grows: bool
) -> None:
    """Raise Wrong unless the learner's keys and values are those that are wanted."""

    def same(keys_values: Any) -> bool:
        return all(close(mine, right) for mine, right in zip(got, keys_values, strict=True))

    def joined(first: KeysValues, then: KeysValues, dim: int = 2) -> list[Tensor]:
        return [torch.cat(both, dim) for both in zip(first, then, strict=True)]

    if same(wanted):
        return
    if same(wanted[::-1]):
        raise Wrong("the other way round: return the keys first, then the values")
    if old is None:
        otherwise = "in the first step, the keys and values are those of the context"
    elif not grows:
        if same(joined(old, new)):
            raise Wrong("where grows is False, nothing is appended: the memory stays as it is")
        otherwise = "where grows is False, return what was kept in the first step"
    else:
        if same(new):
            raise Wrong("only the newest word's keys and values come back: append them to those "
                        "that were kept")  # fmt: skip
        if same(old):
            raise Wrong("the newest word's keys and values are missing: where grows is True, "
                        "append them to those that were kept")  # fmt: skip
        if same(joined(new, old)):
            raise Wrong("the order: append the newest word behind those that were kept")
        # Along the batch or the heads they fit only in the second step; that is where it is seen.
        if any(same(joined(old, new, dim)) for dim in (0, 1, 3) if old[0].shape == new[0].shape):
            raise Wrong("that is another dimension: the words are along dim=2, the length")
        if close(got[0], wanted[0]):
            raise Wrong("the keys are right; the values have to be appended as well")
        if close(got[1], wanted[1]):
            raise Wrong("the values are right; the keys have to be appended as well")
        otherwise = "keep the old ones as they were, and append the newest word's along dim=2"
    for mine, right in zip(got, wanted, strict=True):
        expect(mine, right, otherwise)


@exercise("10.3")
def check_update(answer: Any) -> str:
    """Implement: one function for both caches, tried in a decoder that reads word by word."""
    torch.manual_seed(0)
    model = Transformer(
        TransformerConfig(
            vocab_size=20,
            d_model=12,
            num_heads=2,
            d_ff=8,
            num_encoder_layers=1,
            num_decoder_layers=2,
            dropout=0.0,
        )
    )
    ids = torch.randint(EOS + 1, 20, (3, 4))
    with torch.no_grad():
        memory, source_mask = model.encode(torch.randint(EOS + 1, 20, (3, 5)))
        cache: Any = Cache(0)
        cache.layers = [(_Asking(answer, True), _Asking(answer, False)) for _ in range(2)]
        for word in ids.split(1, dim=1):
            model.decode(word, memory, source_mask, cache)
    return "word by word, the keys and values that a decoder without a cache computes"


@exercise("10.4")
def check_winners(answer: Any) -> str:
    """Predict: which of three finished hypotheses wins if the length penalty is 0, 1 and 2."""
    letters = "".join(words(answer))
    if len(letters) != 3 or not set(letters) <= set("abc"):
        raise Wrong(f"three letters from a to c are needed; this is {shown(answer)}")
    if letters == "acb":
        raise Wrong("the other way round: a larger α divides a LONG hypothesis's total by more")
    if letters == "abb":
        raise Wrong("scores are negative: the best is the largest, which is closest to 0")
    if letters == "bbb":
        raise Wrong("that is right for α = 0; with a larger α, divide before you compare")
    if letters[0] != "b":
        raise Wrong("α = 0: anything to the power of 0 is 1, so the totals themselves decide")
    if letters[1] != "c":
        raise Wrong("α = 1: divide each total by the last column; which is closest to 0?")
    if letters[2] != "a":
        raise Wrong("α = 2: square the last column, and divide again")
    return "the larger the so-called penalty, the longer the winner"


@exercise("10.5")
def check_nucleus(answer: Any) -> str:
    """Implement top-p for one row of probabilities."""

    def kept(keep: Callable[[Tensor, float], Tensor], rescale: bool = True) -> Callable:
        def row(p: Tensor, top_p: float) -> Tensor:
            cut = p * keep(p, top_p)
            return cut / cut.sum() if rescale else cut

        return row

    def core(p: Tensor, top_p: float) -> Tensor:
        return nucleus(p[None], top_p)[0] > 0

    def one_too_few(p: Tensor, top_p: float) -> Tensor:
        value, order = p.sort(descending=True)
        return (value.cumsum(0) <= top_p)[order.argsort()]

    def from_below(p: Tensor, top_p: float) -> Tensor:
        value, order = p.sort()
        return (value.cumsum(0) - value < top_p)[order.argsort()]

    def in_order(p: Tensor, top_p: float) -> Tensor:
        return p.cumsum(0) - p < top_p

    expect_like(
        answer,
        kept(core),
        [
            (torch.tensor([0.1, 0.45, 0.05, 0.3, 0.1]), 0.7),
            (torch.tensor([0.1, 0.45, 0.05, 0.3, 0.1]), 0.01),
            (torch.tensor([0.25, 0.5, 0.125, 0.125]), 0.5),
            (torch.tensor([0.2, 0.35, 0.45]), 1.0),
        ],
        {
            "the right words are kept; rescale them so that they sum to 1": kept(core, False),
            "the word that crosses top_p is missing: keep words until the sum reaches it": (
                kept(one_too_few),
                kept(one_too_few, False),
                lambda p, top_p: p * 0,
            ),
            "nothing is cut off yet": lambda p, top_p: p,
            "only the most probable word is left: keep words until they REACH top_p": (
                lambda p, top_p: (p == p.max()).float()
            ),
            "the LEAST probable words are kept: sort them from the largest down": kept(from_below),
            "the words are taken in their own order: sort them by probability first": (
                kept(in_order)
            ),
            "that keeps words more probable than top_p; it is their SUM that counts": (
                kept(lambda p, top_p: p >= top_p),
                kept(lambda p, top_p: p > top_p),
            ),
            "the result is sorted; put each probability back in its own place": (
                lambda p, top_p: kept(core)(p, top_p).sort(descending=True).values
            ),
            "one word too many: the sum has reached top_p exactly, so stop": (
                kept(lambda p, top_p: core(p, top_p + 1e-3))
            ),
        },
        "keep the most probable words that reach top_p together, and rescale them",
    )
    return "two words carry three quarters; the tail is gone"


check_quiz = choice(
    "10.2",
    "c",
    {
        "a": "that is one layer's share, and each of the six keeps its own",
        "b": "that is the self-attention cache; the keys and values of the source are kept, too",
        "c": "6 layers x 2 x 50 tokens x 512: keys and values of both attentions",
        "d": "the heads share d_model among themselves, so don't multiply by their number",
    },
)

# Seed of a model, and max_words; together they tell all of the mistakes apart.
QUESTIONS = ((342, 6), (36, 6), (36, 2), (5, 6))
WRITTEN = 40  # more words than any question of 10.6 allows


def _written(got: Any) -> np.ndarray:
    """The ids that were written, followed by zeros, so that any two answers can be compared."""
    ids = to_array(got if isinstance(got, list | tuple | Tensor) else several(got))
    if ids is None or ids.ndim != 1 or not np.isfinite(ids).all():
        raise Wrong("return the ids that were written, in one flat list")
    if ids.size and ids[0] == BOS:
        raise Wrong("the answer is what was written: leave <bos> out")
    if EOS in ids:
        raise Wrong("stop at <eos>, and leave it out: it isn't a word of the sentence")
    return np.pad(ids[:WRITTEN], (0, WRITTEN - len(ids[:WRITTEN])))


def _random_model(seed: int) -> Callable[[Any], Tensor]:
    """logits_after(ids) of a small language; the logits depend on the length and the last word."""
    table = 2 * torch.randn(WRITTEN + 9, 7, 7, generator=torch.Generator().manual_seed(seed))
    table[..., [PAD, BOS]] = -9.0
    calls = 0

    def logits_after(ids: Any) -> Tensor:
        nonlocal calls
        calls += 1
        ids = _flat(ids)
        if not ids or ids[0] != BOS:
            raise Wrong("give logits_after all the words so far, <bos> included and first")
        if len(ids) >= len(table) or calls > 5_000:
            raise Wrong("it never stops: at <eos>, or else after max_words")
        return table[len(ids), ids[-1]].clone()

    return logits_after


def _look_ahead(
    logits_after: Callable[[Any], Tensor],
    max_words: int,
    score: Callable[[Tensor], Tensor] = lambda logits: logits.log_softmax(-1),
    own: float = 1.0,
    then: float = 1.0,
    after_eos: bool = False,
    both: bool = False,
) -> np.ndarray:
    """The answer to 10.6; the options make the usual mistakes."""
    ids = [BOS]
    while len(ids) <= max_words:
        first = score(logits_after(ids))
        totals, followers = own * first, [EOS] * len(first)
        for word in range(len(first)):
            if word != EOS or after_eos:
                second = score(logits_after([*ids, word]))
                totals[word] += then * second.max()
                followers[word] = int(second.argmax())
        best = int(totals.argmax())
        ids += [best, followers[best]] if both else [best]
        if EOS in ids:
            break
    return _written([i for i in ids[1 : max_words + 1] if i != EOS])


@exercise("10.6")
def check_look_ahead(answer: Any) -> str:
    """Implement: greedy decoding that looks one word ahead."""

    def mistaken(**options: Any) -> Callable:
        return lambda logits_after, max_words: _look_ahead(logits_after, max_words, **options)

    def as_logits(logits: Tensor) -> Tensor:
        return logits

    def as_probabilities(logits: Tensor) -> Tensor:
        return logits.softmax(-1)

    def limit(change: Callable[[int], int]) -> Callable:
        return lambda logits_after, max_words: _look_ahead(logits_after, change(max_words))

    expect_like(
        answer,
        _look_ahead,
        [(_random_model(seed), most) for seed, most in QUESTIONS],
        {
            "that is greedy decoding: add the log-probability of the best word that can follow": (
                mistaken(then=0.0)
            ),
            "that counts only the word after; the candidate's own log-probability is missing": (
                mistaken(own=0.0)
            ),
            "logits of two steps don't compare: turn them into log-probabilities before you add": (
                mistaken(score=as_logits)
            ),
            "probabilities of words that follow each other multiply: add their logarithms": (
                mistaken(score=as_probabilities)
            ),
            "nothing comes after <eos>: only its own log-probability counts": (
                mistaken(after_eos=True)
            ),
            "append one word in each step; the word after it is chosen again": mistaken(both=True),
            "one word too few: max_words of them are allowed": limit(lambda most: most - 1),
            "one word too many: stop after max_words of them": limit(lambda most: most + 1),
            "if no <eos> comes, stop after max_words": limit(lambda most: WRITTEN),
        },
        "for each candidate, add its log-probability and that of the best word after it",
        read=_written,
    )
    return "one step beyond greedy, and already it calls the model once for every word"


def _flat(ids: Any) -> list[int]:
    """The ids that logits_after got; raises Wrong unless they are a flat list."""
    parts = several(ids)
    if any(isinstance(i, list) or (isinstance(i, Tensor) and i.numel() != 1) for i in parts):
        raise Wrong("logits_after needs a flat list of ids, without a batch")
    return [int(i) for i in parts]
