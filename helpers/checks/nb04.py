"""Checks of notebook 04, the rest of a block."""

from typing import Any

import torch
from torch import nn

from helpers.checks import Wrong, ask, choice, close, exercise, expect
from helpers.layers import sinusoidal_positions


@exercise("4.1")
def check_feed_forward_share(answer: Any) -> str:
    """Predict: parameters of attention and of feed-forward at d_model 512, d_ff 2048."""
    attention, feed_forward = (int(x) for x in answer)
    right = (4 * (512 * 512 + 512), 512 * 2048 + 2048 + 2048 * 512 + 512)
    if (attention, feed_forward) == right[::-1]:
        raise Wrong("the two are swapped: attention first")
    if feed_forward == 512 * 2048 + 2048:
        raise Wrong("the feed-forward has two linear maps: up to d_ff and down again")
    if (attention, feed_forward) == (4 * 512 * 512, 2 * 512 * 2048):
        raise Wrong("nearly: each linear map has a bias as well")
    if (attention, feed_forward) != right:
        raise Wrong("attention is 4 maps of 512 by 512, feed-forward 512 by 2048 and back")
    return "two thirds of a layer's parameters are in the feed-forward"


@exercise("4.2")
def check_layer_norm(answer: Any) -> str:
    """Implement layer norm of x (batch, length, d_model), without weight and bias."""
    torch.manual_seed(0)
    x = 3 * torch.randn(2, 3, 8) + 1
    got = ask(answer, x)
    mistakes = {
        "you divide by the variance: the square root is missing": (x - x.mean(-1, keepdim=True))
        / (x.var(-1, keepdim=True, unbiased=False) + 1e-5),
        "mean and variance run over the batch or the words; each vector is normed alone (dim=-1)": (
            x - x.mean((0, 1), keepdim=True)
        )
        / (x.var((0, 1), keepdim=True, unbiased=False) + 1e-5).sqrt(),
        "the mean is not subtracted (that would be RMSNorm, almost)": x
        / (x.var(-1, keepdim=True, unbiased=False) + 1e-5).sqrt(),
        "the variance divides by n - 1: pass unbiased=False": (x - x.mean(-1, keepdim=True))
        / (x.var(-1, keepdim=True) + 1e-5).sqrt(),
    }
    for message, wrong in mistakes.items():
        if close(got, wrong, 1e-4):
            raise Wrong(message)
    expect(got, nn.functional.layer_norm(x, (8,)), "compare with nn.LayerNorm(8)", 1e-4)
    return "every vector by itself: mean 0, variance 1"


@exercise("4.3")
def check_block(answer: Any) -> str:
    """Implement one sub-layer step, pre-norm: x, norm, sublayer -> new x."""
    torch.manual_seed(0)
    x, norm, linear = torch.randn(2, 3, 8), nn.LayerNorm(8), nn.Linear(8, 8)
    got = ask(answer, x, norm, linear)
    if close(got, norm(x + linear(x))):
        raise Wrong("this is post-norm: in pre-norm the norm stands before the sub-layer")
    if close(got, linear(norm(x))):
        raise Wrong("the residual is missing: add x")
    if close(got, norm(x) + linear(norm(x))):
        raise Wrong("the residual goes AROUND the norm: add x, not norm(x)")
    expect(got, x + linear(norm(x)), "x plus the sub-layer of the normed x")
    return "nothing stands on the residual path"


check_quiz = choice(
    "4.4",
    "d",
    {
        "a": "it works on each word alone: change one word, and one output moves",
        "b": "it uses the mean of one word's own numbers",
        "c": "it passes each word on to itself",
        "d": "all other parts work on each position by itself",
    },
)


@exercise("4.5")
def check_position(answer: Any) -> str:
    """Implement: the vector of the sines and cosines for one position."""
    right = sinusoidal_positions(8, 6)
    first, got = ask(answer, 0, 6), ask(answer, 5, 6)
    if close(got, right[6]) or close(got, right[4]):
        raise Wrong("positions are counted from 0, and the first vector is 0, 1, 0, 1, …")
    if close(got, right[5][[1, 0, 3, 2, 5, 4]]):
        raise Wrong("the sine comes first: even columns are sines, odd ones cosines")
    if close(got, right[5][[0, 2, 4, 1, 3, 5]]):
        raise Wrong("sine and cosine alternate here (all sines first is Marian's layout)")
    waves = 5 / 10_000 ** (torch.arange(6) / 6)
    if close(got, torch.where(torch.arange(6) % 2 == 0, waves.sin(), waves.cos())):
        raise Wrong("a sine and the cosine beside it share one wavelength: the exponent is 2i / d")
    expect(
        got, right[5], "column 2i: sin(position / 10000^(2i / d_model)); column 2i + 1: its cosine"
    )
    expect(first, right[0], "the first position gives 0, 1, 0, 1, …")
    return "a clock with many hands, the first the fastest"
