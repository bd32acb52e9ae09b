"""Checks of notebook 17, what has changed since 2017."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from helpers.checks import Wrong, choice, exercise, expect_like, to_array
from helpers.checks.reading import number, numbers


@exercise("17.1")
def check_cache_numbers(answer: Any) -> str:
    """Predict: numbers in a self-attention cache with 16 and with 4 groups."""
    got = tuple(numbers(answer, "with 16 groups", "with 4"))
    right = 8 * 2 * 16 * 64 * 1000
    if got == (right, right):
        raise Wrong("with 4 groups there are fewer heads of keys and values to keep")
    if got == (right // 4, right):
        raise Wrong("it is the other way round: fewer groups keep less")
    if got == (right // 2, right // 8):
        raise Wrong("keys AND values are kept")
    if got == (right // 8, right // 32):
        raise Wrong("every layer keeps its own")
    if got == (right, right // 16):
        raise Wrong("that is one group, and there should be four")
    if got != (right, right // 4):
        raise Wrong("layers times keys and values times groups times d_k times words")
    return f"{right:,} and {right // 4:,}: a quarter of the groups, a quarter of the cache"


def _norm(
    along: Any = -1, root: float = 0.5, add: float = 1.0, centred: bool = False, total: bool = False
) -> Callable:
    """Gemma's RMSNorm with one thing changed."""

    def norm(x: Tensor, weight: Tensor, eps: float = 1e-6) -> Tensor:
        x = x - x.mean(-1, keepdim=True) if centred else x
        square = x.pow(2).sum(along, True) if total else x.pow(2).mean(along, keepdim=True)
        return x / (square + eps) ** root * (add + weight)

    return norm


@exercise("17.2")
def check_rms_norm(answer: Any) -> str:
    """Implement: Gemma's RMSNorm, x / root mean square, times 1 + weight."""
    torch.manual_seed(0)
    x, other = 1 + 3 * torch.randn(2, 3, 8), torch.randn(4, 5)
    x[0, 0] = 1e-4 * torch.arange(1.0, 9.0)  # so small that eps matters
    right = _norm()
    expect_like(
        answer,
        right,
        [(x, torch.randn(8)), (other, torch.randn(5)), (1e-2 * other, torch.randn(5), 1e-3)],
        {
            "that multiplies by the weight; Gemma's counts from 0, so it is 1 + weight": (
                _norm(add=0.0)
            ),
            "the weight is missing: multiply by 1 + weight": (
                lambda x, weight, eps=1e-6: right(x, 0 * weight, eps)
            ),
            "that subtracts the mean, as layer norm does; RMSNorm leaves it in": (
                _norm(centred=True)
            ),
            "the MEAN of the squares, not their sum": _norm(total=True),
            "the square root is missing": _norm(root=1.0),
            "eps belongs inside the root; near zero that makes a difference": (
                lambda x, weight, eps=1e-6: (
                    x / (x.pow(2).mean(-1, keepdim=True).sqrt() + eps) * (1 + weight)
                ),
                lambda x, weight, eps=1e-6: right(x, weight, 0.0),
            ),
            "eps is an argument: use the one that is given": (
                lambda x, weight, eps=1e-6: right(x, weight)
            ),
            "a mean for each position, over its own numbers: dim=-1, keepdim=True": (
                _norm(None),
                _norm(0),
                _norm(1),
            ),
        },
        "x / sqrt(mean of x² + eps) · (1 + weight)",
    )
    return "no mean is subtracted, and a weight of 0 leaves everything as it is"


def _cut(least: Callable[[Tensor, float], Tensor], hidden: float = -math.inf) -> Callable:
    """Logits in which whatever is below least(logits, share) is hidden."""

    def cut(logits: Tensor, share: float) -> Tensor:
        return logits.masked_fill(logits < least(logits, share), hidden)

    return cut


def _best(logits: Tensor) -> Tensor:
    return logits.amax(-1, keepdim=True)


def _logits(got: Any) -> Any:
    """-inf as a number that can be compared."""
    array = to_array(got)
    return got if array is None else np.where(np.isneginf(array), -1e9, array)


@exercise("17.3")
def check_min_p(answer: Any) -> str:
    """Implement: min-p on logits."""
    logits = torch.tensor([[2.0, 1.95, 1.0, -0.2, -0.5], [0.0, 0.1, 0.2, -1.9, -2.5]])
    one = torch.tensor([0.5, 3.0, 2.0, 1.0])

    def comparable(function: Callable) -> Callable:
        return lambda *case: _logits(function(*case))

    right = _cut(lambda z, share: _best(z) + math.log(share))
    mistakes: dict[str, Callable] = {
        "that cuts at a probability of `share`; it is a share of the BEST word's": (
            _cut(lambda z, share: z.logsumexp(-1, keepdim=True) + math.log(share))
        ),
        "a share of a probability is not a share of a logit: add log(share)": (
            _cut(lambda z, share: share * _best(z))
        ),
        "each row has its own best word: amax(-1, keepdim=True)": (
            _cut(lambda z, share: z.max() + math.log(share))
        ),
        "add the logarithm of the share, not the share": _cut(lambda z, share: _best(z) - share),
        "a logit of 0 is not a probability of 0; hidden words get -inf": (
            _cut(lambda z, share: _best(z) + math.log(share), 0.0)
        ),
        "return logits, not probabilities": (
            lambda z, share: z.softmax(-1) * (right(z, share) > -math.inf)
        ),
        "these are rescaled probabilities; return logits": (
            lambda z, share: right(z, share).softmax(-1)
        ),
        "nothing is hidden yet": lambda z, share: z,
    }
    expect_like(
        answer,
        comparable(right),
        [(logits, 0.1), (one, 0.3)],
        {message: comparable(function) for message, function in mistakes.items()},
        "keep what is at least the best logit plus log(share), else -inf",
        read=_logits,
    )
    return "a ratio of probabilities is a difference of logits"


@exercise("17.4")
def check_leftover(answer: Any) -> str:
    """Implement: the distribution after a rejection in speculative sampling."""
    p, q = torch.tensor([0.5, 0.3, 0.2, 0.0]), torch.tensor([0.1, 0.6, 0.1, 0.2])

    def positive(p: Tensor, q: Tensor) -> Tensor:
        return (p - q).clamp(min=0)

    def right(p: Tensor, q: Tensor) -> Tensor:
        rest = positive(p, q)
        return rest / rest.sum() if rest.sum() > 0 else p

    expect_like(
        answer,
        right,
        [(p, q), (q, p), (torch.tensor([0.25, 0.75]), torch.tensor([0.5, 0.5])), (p, p)],
        {
            "that draws from p, so the words that the draft likes get two chances": lambda p, q: p,
            "that is the draft's own distribution": lambda p, q: q,
            "probabilities add up to 1: divide by the sum": positive,
            "where the draft gives more than the large model, nothing is left over: clamp at 0": (
                lambda p, q: p - q,
                lambda p, q: (p - q) / (p - q).abs().sum(),
                lambda p, q: (p - q).abs() / (p - q).abs().sum(),
            ),
            "it is the other way round: the part of p that q does not cover": lambda p, q: right(
                q, p
            ),
            "that is what was accepted; return what is left over": (
                lambda p, q: torch.minimum(p, q) / torch.minimum(p, q).sum()
            ),
            "divide by the sum: a softmax would give something to every word": (
                lambda p, q: positive(p, q).softmax(-1)
            ),
            "if p equals q the sum is 0, and nothing is ever rejected: return p then": (
                lambda p, q: positive(p, q) / positive(p, q).sum(),
                lambda p, q: positive(p, q) / positive(p, q).sum().clamp(min=1e-9),
            ),
        },
        "max(p - q, 0), divided by its sum",
    )
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

    def share(better: Callable[[Tensor, Tensor], Tensor]) -> Callable:
        return lambda a, b, c: better(a[c].mean(-1), b[c].mean(-1)).double().mean()

    expect_like(
        answer,
        share(torch.gt),
        [(one, other, chosen), (other, one, chosen[:50])],
        {
            "that is the share in which `other` is better": share(torch.lt),
            "a tie is not better: >, not >=": share(torch.ge),
            "take the mean of each draw first, then compare, because a draw is a test set": (
                lambda a, b, c: (a[c] > b[c]).double().mean()
            ),
            "the share of the draws, not their number": (
                lambda a, b, c: share(torch.gt)(a, b, c) * len(c)
            ),
            "that is a percentage; a share is between 0 and 1": (
                lambda a, b, c: share(torch.gt)(a, b, c) * 100
            ),
            "that is the mean difference; return the share of the draws": (
                lambda a, b, c: (a[c] - b[c]).mean()
            ),
            "that compares the whole test set once; compare on each draw": (
                lambda a, b, c: float(a.mean() > b.mean())
            ),
            "paired means that both systems get the same draw": (
                lambda a, b, c: (a[c.flip(0)].mean(-1) > b[c].mean(-1)).double().mean()
            ),
        },
        "the share of rows of `chosen` in which the mean of one is larger",
        read=number,
    )
    return "a lead that most draws confirm isn't the luck of a few sentences"


check_quiz = choice(
    "17.6",
    "b",
    {
        "a": "the memory is only looked at, and both models have just one",
        "b": "one W_K and one W_V make the keys and values of both, and one softmax weighs them",
        "c": "in both models, the triangle is only for looking back",
        "d": "both models have one feed-forward layer there",
    },
)
