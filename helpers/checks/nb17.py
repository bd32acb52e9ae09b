"""Checks of notebook 17, what has changed since 2017."""

import math
from typing import Any

import torch

from helpers.checks import Wrong, ask, attempted, choice, close, exercise, expect


@exercise("17.1")
def check_cache_numbers(answer: Any) -> str:
    """Predict: numbers in a self-attention cache with 16 and with 4 groups."""
    got = tuple(attempted(x) for x in answer)
    if len(got) != 2:
        raise Wrong(f"two numbers are needed, (with 16 groups, with 4), got {len(got)}")
    right = 8 * 2 * 16 * 64 * 1000
    if got == (right, right):
        raise Wrong("with 4 groups there are fewer heads of keys and values to keep")
    if got == (right // 4, right):
        raise Wrong("the other way round: fewer groups keep less")
    if close(got, (right // 2, right // 8)):
        raise Wrong("keys AND values are kept")
    if close(got, (right // 8, right // 32)):
        raise Wrong("every layer keeps its own")
    if close(got, (right, right // 16)):
        raise Wrong("that is one group; four are asked for")
    if got != (right, right // 4):
        raise Wrong("layers times keys and values times groups times d_k times words")
    return f"{right:,} and {right // 4:,}: a quarter of the groups, a quarter of the cache"


@exercise("17.2")
def check_rms_norm(answer: Any) -> str:
    """Implement: Gemma's RMSNorm, x / root mean square, times 1 + weight."""
    torch.manual_seed(0)
    x, weight = 1 + 3 * torch.randn(2, 3, 8), torch.randn(8)
    x[0, 0] = 1e-4 * torch.arange(1.0, 9.0)  # where the small number in the root is felt
    mean_square = x.pow(2).mean(-1, keepdim=True)
    unit = x / (mean_square + 1e-6).sqrt()
    got = ask(answer, x.clone(), weight.clone())
    centred = x - x.mean(-1, keepdim=True)
    if close(got, unit * weight):
        raise Wrong("that multiplies by the weight; Gemma's counts from 0, so it is 1 + weight")
    if close(got, unit):
        raise Wrong("the weight is missing: multiply by 1 + weight")
    if close(got, centred / (centred.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt() * (1 + weight)):
        raise Wrong("that subtracts the mean, as layer norm does; RMSNorm leaves it in")
    if close(got, x / (x.pow(2).sum(-1, keepdim=True) + 1e-6).sqrt() * (1 + weight)):
        raise Wrong("the MEAN of the squares, not their sum")
    if close(got, x / (mean_square + 1e-6) * (1 + weight)):
        raise Wrong("the square root is missing")
    if close(got, x / (mean_square.sqrt() + 1e-6) * (1 + weight)):
        raise Wrong("eps belongs inside the root; near zero that makes a difference")
    if close(got, x / (x.pow(2).mean() + 1e-6).sqrt() * (1 + weight)):
        raise Wrong("a mean for each position, over its own numbers: dim=-1, keepdim=True")
    expect(got, unit * (1 + weight), "x / sqrt(mean of x² + eps) · (1 + weight)")
    again = ask(answer, x.flip(-1), weight.clone())
    wanted = unit.flip(-1) * (1 + weight)
    expect(again, wanted, "right for one x and not for another: use the x you get")
    return "no mean is taken away; a weight of 0 leaves everything as it is"


@exercise("17.3")
def check_min_p(answer: Any) -> str:
    """Implement: min-p on logits."""
    logits = torch.tensor([[2.0, 1.95, 1.0, -0.2, -0.5], [0.0, 0.1, 0.2, -1.9, -2.5]])
    got = ask(answer, logits.clone(), 0.1)
    probabilities = logits.softmax(-1)
    best = probabilities.amax(-1, keepdim=True)

    def without(hidden: torch.Tensor) -> torch.Tensor:
        return logits.masked_fill(hidden, -math.inf)

    right = without(probabilities < 0.1 * best)
    if _same(got, without(probabilities < 0.1)):
        raise Wrong("that cuts at a probability of `share`; it is a share of the BEST word's")
    if _same(got, without(logits < 0.1 * logits.amax(-1, keepdim=True))):
        raise Wrong("a share of a probability is not a share of a logit: add log(share)")
    if _same(got, without(logits < logits.max() + math.log(0.1))):
        raise Wrong("each row has its own best word: amax(-1, keepdim=True)")
    if _same(got, without(logits < logits.amax(-1, keepdim=True) - 0.1)):
        raise Wrong("add the logarithm of the share, not the share")
    if _same(got, right.masked_fill(right == -math.inf, 0.0)):
        raise Wrong("a logit of 0 is not a probability of 0; hidden words get -inf")
    if close(got, probabilities.where(probabilities >= 0.1 * best, torch.tensor(0.0))):
        raise Wrong("logits are asked for, not probabilities")
    if not _same(got, right):
        raise Wrong("keep what is at least the best logit plus log(share), else -inf")
    if not _same(ask(answer, logits.clone(), 0.5), without(probabilities < 0.5 * best)):
        raise Wrong("right for a share of 0.1, but not for one of 0.5")
    return "a ratio of probabilities is a difference of logits"


@exercise("17.4")
def check_leftover(answer: Any) -> str:
    """Implement: the distribution after a rejection in speculative sampling."""
    p, q = torch.tensor([0.5, 0.3, 0.2, 0.0]), torch.tensor([0.1, 0.6, 0.1, 0.2])
    got = ask(answer, p.clone(), q.clone())
    rest = (p - q).clamp(min=0)
    if close(got, p):
        raise Wrong("that draws from p; then the words that the draft likes come twice")
    if close(got, rest):
        raise Wrong("probabilities add up to 1: divide by the sum")
    if close(got, p - q) or close(got, (p - q) / (p - q).abs().sum()):
        raise Wrong("where the draft says more than the large model, nothing is left: clamp at 0")
    if close(got, (q - p).clamp(min=0) / rest.sum()):
        raise Wrong("the other way round: what p has and q does not cover")
    if close(got, torch.minimum(p, q) / torch.minimum(p, q).sum()):
        raise Wrong("that is what was accepted; the rest is asked for")
    if close(got, rest.softmax(-1)):
        raise Wrong("divide by the sum; a softmax gives something to every word")
    expect(got, rest / rest.sum(), "max(p - q, 0), divided by its sum")
    same = ask(answer, p.clone(), p.clone())
    if not close(same, p):
        raise Wrong("with p equal to q the sum is 0; nothing is ever rejected then, so return p")
    return "accepted and left over add up to p exactly"


@exercise("17.5")
def check_bootstrap(answer: Any) -> str:
    """Implement: the paired bootstrap for a mean over sentences."""
    generator = torch.Generator().manual_seed(0)
    hard = torch.randn(40, generator=generator)  # how hard each sentence is, for both
    one, other = hard + 0.05, hard + 0.3 * torch.randn(40, generator=generator)
    other[:20] = one[:20]  # half of the sentences are alike, so that some draws tie
    chosen = torch.randint(0, 40, (400, 40), generator=generator)
    chosen[:30] = chosen[:30] % 20  # draws in which both are equal
    got = ask(answer, one.clone(), other.clone(), chosen.clone())
    a, b = one[chosen].mean(-1), other[chosen].mean(-1)
    right = (a > b).double().mean()
    shuffled = one[chosen.flip(0)].mean(-1)
    if close(got, (a < b).double().mean()):
        raise Wrong("that is the share in which `other` is better")
    if close(got, (a >= b).double().mean()):
        raise Wrong("a tie is not better: >, not >=")
    if close(got, (one[chosen] > other[chosen]).double().mean()):
        raise Wrong("first the mean of each draw, then compare: a draw is a test set")
    if close(got, (a > b).double().sum()):
        raise Wrong("the share of the draws, not their number")
    if close(got, (a - b).mean()):
        raise Wrong("that is the mean difference; the share of draws is asked for")
    if close(got, float(one.mean() > other.mean())):
        raise Wrong("that compares the whole test set once; compare on every draw")
    if close(got, (shuffled > b).double().mean()):
        raise Wrong("paired: both systems get the same draw")
    expect(got, right, "the share of rows of `chosen` in which the mean of one is larger")
    turned = ask(answer, other.clone(), one.clone(), chosen.clone())
    expect(turned, (b > a).double().mean(), "right for one pair of systems and not for another")
    return f"better in {float(right):.0%} of the draws"


check_quiz = choice(
    "17.6",
    "b",
    {
        "a": "the memory is only looked at; there is one of it in either model",
        "b": "one W_K and one W_V make the keys and values of both, and one softmax weighs them",
        "c": "the triangle is for looking back alone, in both models",
        "d": "there is one feed-forward layer in either model",
    },
)


def _same(got: Any, wanted: torch.Tensor) -> bool:
    """The same logits, with -inf in the same places."""
    try:
        got = torch.as_tensor(got, dtype=wanted.dtype)
    except (TypeError, ValueError, RuntimeError):
        return False
    return got.shape == wanted.shape and torch.allclose(got, wanted)
