"""Checks of notebook 04, the rest of a block."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from helpers.checks import Wrong, choice, exercise, expect_like
from helpers.checks.reading import numbers
from helpers.layers import sinusoidal_positions

check_quiz = choice(
    "4.1",
    "c",
    {
        "a": "no combination of letters has to be stored this time; and does their order matter?",
        "b": "shuffle the letters so far: does the answer change?",
        "c": "other letters have to be seen, in whatever order, and nothing has to be worked out",
        "d": "they see a single letter, the present one; the largest may have come before",
    },
)


def _normed(
    mean: Any = -1, variance: Any = -1, root: float = 0.5, eps: float = 1e-5, unbiased: bool = False
) -> Callable:
    """Layer norm with one thing changed; `mean` and `variance` say over which dimensions."""

    def norm(x: Tensor) -> Tensor:
        centred = x if mean is None else x - x.mean(mean, keepdim=True)
        spread = x.var(variance, keepdim=True, unbiased=unbiased)
        return centred / (spread + eps) ** root

    return norm


@exercise("4.2")
def check_layer_norm(answer: Any) -> str:
    """Repair: layer norm of x (batch, length, d_model), without weight and bias."""
    torch.manual_seed(0)
    small = torch.randn(2, 3, 4) * 4e-3 + 1  # so small that ε matters
    cases = [(3 * torch.randn(2, 3, 8) + 1,), (torch.randn(4, 2, 6) - 2,), (small,)]
    other_axes = [0, 1, (0, 1), (1, 2), (0, 1, 2)]
    expect_like(
        answer,
        lambda x: nn.functional.layer_norm(x, (x.size(-1),)),
        cases,
        {
            "you divide by the variance: the square root is missing": _normed(root=1.0),
            "mean and variance are taken along the wrong axis: each vector alone, dim=-1": tuple(
                _normed(axes, axes, unbiased=unbiased)
                for axes in other_axes
                for unbiased in (False, True)
            ),
            "the mean isn't subtracted (that would be RMSNorm, almost)": _normed(mean=None),
            "the variance divides by n - 1; layer norm divides by n: pass unbiased=False": (
                _normed(unbiased=True),
                lambda x: (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-5),
            ),
            "ε is missing: it keeps vectors with hardly any variance from exploding": (
                _normed(eps=0.0)
            ),
            "ε = 1e-5 belongs under the root, beside the variance": (
                lambda x: (
                    (x - x.mean(-1, keepdim=True))
                    / (x.std(-1, keepdim=True, unbiased=False) + 1e-5)
                )
            ),
            "so far only the mean is subtracted; divide by the standard deviation as well": (
                lambda x: x - x.mean(-1, keepdim=True)
            ),
            "the mean is right, but the variance is taken along the wrong axis: dim=-1": tuple(
                _normed(-1, axes) for axes in other_axes
            ),
        },
        "compare with nn.LayerNorm: (x - mean) / √(variance + ε), each vector by itself",
        tolerance=2e-4,
    )
    return "every vector by itself: mean 0, variance 1"


@exercise("4.3")
def check_block(answer: Any) -> str:
    """Implement one sub-layer step, pre-norm: x, norm, sublayer -> new x."""
    torch.manual_seed(0)
    norm, linear = nn.LayerNorm(8), nn.Linear(8, 8)
    nn.init.normal_(norm.weight), nn.init.normal_(norm.bias)
    cases = [(torch.randn(2, 3, 8), norm, linear), (torch.randn(1, 5, 8), norm, linear)]
    with torch.no_grad():
        expect_like(
            answer,
            lambda x, norm, sublayer: x + sublayer(norm(x)),
            cases,
            {
                "this is post-norm: in pre-norm the norm comes before the sub-layer": (
                    lambda x, norm, sublayer: norm(x + sublayer(x))
                ),
                "the residual is missing: add x": lambda x, norm, sublayer: sublayer(norm(x)),
                "the residual goes AROUND the norm: add x, not norm(x)": (
                    lambda x, norm, sublayer: norm(x) + sublayer(norm(x))
                ),
                "the norm is missing: the sub-layer should read norm(x)": (
                    lambda x, norm, sublayer: x + sublayer(x)
                ),
                "the norm belongs before the sub-layer, not after it": (
                    lambda x, norm, sublayer: x + norm(sublayer(x))
                ),
                "one norm too many: nothing is normalised after the sum": (
                    lambda x, norm, sublayer: norm(x + sublayer(norm(x)))
                ),
            },
            "x plus the sub-layer of the normalised x",
        )
    return "nothing is in the way of the residual"


@exercise("4.4")
def check_feed_forward_share(answer: Any) -> str:
    """Predict: parameters of attention and of feed-forward at d_model 512, d_ff 2048."""
    attention, feed_forward = numbers(answer, "attention", "feed-forward")
    right = (4 * (512 * 512 + 512), 512 * 2048 + 2048 + 2048 * 512 + 512)
    if (attention, feed_forward) == right[::-1]:
        raise Wrong("the two are swapped: attention first")
    if feed_forward in (512 * 2048 + 2048, 512 * 2048):
        raise Wrong("the feed-forward has two linear maps: up to d_ff and down again")
    if attention in (3 * (512 * 512 + 512), 3 * 512 * 512):
        raise Wrong("that is three maps in the attention: W_O is missing")
    if attention == 4 * 512 * 512 or feed_forward == 2 * 512 * 2048:
        raise Wrong("nearly: each linear map has a bias as well")
    if (attention, feed_forward) != right:
        raise Wrong("attention is 4 maps of 512 by 512, feed-forward 512 by 2048 and back")
    return "two thirds of a layer's parameters are in the feed-forward"


def _waves(exponents: Callable[[int], Tensor]) -> Callable:
    """Alternating sine and cosine of position / 10000^exponent, one exponent a column."""

    def vector(position: int, d_model: int) -> Tensor:
        angle = position / 10_000.0 ** exponents(d_model)
        return torch.where(torch.arange(d_model) % 2 == 0, angle.sin(), angle.cos())

    return vector


def _row(position: int, d_model: int) -> Tensor:
    return sinusoidal_positions(position + 1, d_model)[position]


@exercise("4.5")
def check_position(answer: Any) -> str:
    """Implement: the vector of the sines and cosines for one position."""

    def columns(d_model: int) -> Tensor:
        return torch.arange(d_model)

    def halves_first(position: int, d_model: int) -> Tensor:
        return torch.cat([_row(position, d_model)[0::2], _row(position, d_model)[1::2]])

    expect_like(
        answer,
        _row,
        [(5, 6), (0, 6), (3, 8), (31, 4)],
        {
            "positions are counted from 0, and the first vector is 0, 1, 0, 1, …": (
                lambda position, d: _row(position + 1, d),
                lambda position, d: _row(abs(position - 1), d),
            ),
            "the sine comes first: even columns are sines, odd ones cosines": (
                lambda position, d: _row(position, d).view(-1, 2).flip(1).flatten()
            ),
            "sine and cosine alternate here (all sines first is Marian's layout)": halves_first,
            "a sine and the cosine beside it share one wavelength: the exponent is 2i / d_model": (
                _waves(lambda d: columns(d) / d)
            ),
            "the exponent is 2i / d_model: you have i, the number of the pair, without the 2": (
                _waves(lambda d: columns(d) // 2 / d)
            ),
            "the exponent has the 2 twice: `arange(0, d_model, 2)` is 2i already": (
                _waves(lambda d: 4 * (columns(d) // 2) / d)
            ),
            "every column has the same wavelength: divide by 10000^(2i / d_model)": (
                _waves(lambda d: 0.0 * columns(d))
            ),
            "the position is multiplied by it; DIVIDE it by 10000^(2i / d_model)": (
                _waves(lambda d: -2 * (columns(d) // 2) / d)
            ),
        },
        "column 2i: sin(position / 10000^(2i / d_model)); column 2i + 1: its cosine",
    )
    return "a clock with many hands, and the first is the fastest"
