"""Checks of notebook 10, decoding."""

from typing import Any

import torch
from torch import Tensor

from helpers.checks import Wrong, ask, attempted, choice, close, exercise, expect
from helpers.decoding import length_divisor, nucleus
from helpers.special_ids import BOS, EOS


@exercise("10.1")
def check_key_counts(answer: Any) -> str:
    """Predict: cross-attention key computations for 12 tokens, 6 layers: (cached, uncached)."""
    pair = tuple(attempted(x) for x in answer)
    if pair == (72, 6):
        raise Wrong("the other way round: the cache saves work")
    if pair == (1, 12):
        raise Wrong("that is one layer's share; each of the six computes its own keys")
    if pair == (72, 72):
        raise Wrong("that is without a cache; with one, no layer computes the memory's keys twice")
    if pair != (6, 72):
        raise Wrong("count layers times how often each one asks W_K for keys of the memory")
    return "once a sentence and layer, against once a token and layer"


@exercise("10.2")
def check_winner(answer: Any) -> str:
    """Implement: the best of several hypotheses after length normalisation."""
    totals, lengths = [-4.0, -4.6, -7.0], [4, 7, 12]
    plain, normal = ask(answer, totals, lengths, 0.0), ask(answer, totals, lengths, 0.6)
    by_mean = max(range(3), key=lambda i: totals[i] / lengths[i])
    if plain == 2 and normal == 2:
        raise Wrong("a log-probability is negative: the best score is the largest, near zero")
    if plain != 0:
        raise Wrong("with length_penalty 0 every divisor is 1, so the most probable one wins")
    if normal == 0:
        raise Wrong("the length does not count yet: divide by ((5 + length) / 6) ** penalty")
    if normal == by_mean:
        raise Wrong("this divides by the length itself, or by its full power: mind the exponent")
    right = max(range(3), key=lambda i: totals[i] / length_divisor(lengths[i], 0.6))
    if normal != right:
        raise Wrong("divide each total by ((5 + length) / 6) ** penalty, then take the largest")
    return "the middle one wins: less probable than the short one, but by less than its length"


@exercise("10.3")
def check_nucleus(answer: Any) -> str:
    """Implement top-p for one row of probabilities."""
    p = torch.tensor([0.1, 0.45, 0.05, 0.3, 0.1])
    got = ask(answer, p, 0.7)
    if close(got, torch.tensor([0.0, 0.45, 0.0, 0.3, 0.0])):
        raise Wrong("the right words are kept; rescale them so that they sum to 1")
    if close(got, torch.tensor([0.0, 1.0, 0.0, 0.0, 0.0])):
        raise Wrong("the word that crosses top_p is missing: keep words until the sum reaches it")
    if close(got, p):
        raise Wrong("nothing is cut off yet")
    expect(got, nucleus(p[None], 0.7)[0], "keep the most probable words that reach 0.7 together")
    expect(ask(answer, p, 0.01), nucleus(p[None], 0.01)[0], "the most probable word always stays")
    return "two words carry three quarters; the tail is gone"


check_quiz = choice(
    "10.4",
    "a",
    {
        "a": "up to rounding, every logit is the same",
        "b": "they are not: under a causal mask the past never changes",
        "c": "the memory is the same with and without",
        "d": "the limit is the number of positions, cache or not",
    },
)


@exercise("10.5")
def check_greedy(answer: Any) -> str:
    """Implement: greedy decoding with a function that gives the logits of the next word."""
    asked: list[tuple[int, ...]] = []
    script = {(BOS,): 7, (BOS, 7): 5, (BOS, 7, 5): 7, (BOS, 7, 5, 7): EOS}

    def flat(ids: Any) -> tuple[int, ...]:
        if any(torch.as_tensor(i).numel() != 1 for i in ids) or torch.as_tensor(ids).dim() > 1:
            raise Wrong("the question is a flat list of ids, without a batch")
        if len(ids) > 40:
            raise Wrong("it never stops: at <eos>, or else after max_words")
        return tuple(int(i) for i in ids)

    def logits_after(ids: Any) -> Tensor:
        asked.append(flat(ids))
        logits = torch.zeros(10)
        logits[script.get(asked[-1], 9)] = 2.0
        logits[6] = 1.9
        return logits

    got = [int(i) for i in ask(answer, logits_after, 8)]
    if not asked:
        raise Wrong("logits_after was never asked")
    if asked[0] != (BOS,):
        raise Wrong("the first question is about [BOS] alone")
    if any(len(ids) == 1 for ids in asked[1:]):
        raise Wrong("it reads only the newest word: give it all words so far, <bos> included")
    if got[:1] == [BOS]:
        raise Wrong("the answer is what was written: leave <bos> out")
    if got[:3] != [7, 5, 7]:
        raise Wrong(f"take the word with the largest logit each time; you wrote {got}")
    if got == [7, 5, 7, EOS]:
        raise Wrong("<eos> ends the sentence and is no word of it")
    if len(got) > 3:
        raise Wrong("it goes on after <eos>: stop there")
    endless = ask(answer, lambda ids: torch.arange(10.0) + 0 * len(flat(ids)), 4)
    endless = [int(i) for i in endless]
    if endless != [9] * 4:
        raise Wrong(f"with no <eos> in sight stop after max_words = 4; you wrote {endless}")
    return "ask, take the best, append, until <eos>"
