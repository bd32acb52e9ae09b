import math

import numpy as np
import torch
from torch import nn

from helpers.layers import sinusoidal_positions


def layer_norm(x, axis=-1, eps=1e-5, unbiased=False):
    centred = x - x.mean(axis, keepdim=True)
    return centred / (x.var(axis, keepdim=True, unbiased=unbiased) + eps).sqrt()


def layer_norm_in_loops(x):
    out = torch.empty_like(x)
    for b, sentence in enumerate(x):
        for t, vector in enumerate(sentence):
            mean = sum(vector) / len(vector)
            variance = sum((number - mean) ** 2 for number in vector) / len(vector)
            out[b, t] = (vector - mean) / math.sqrt(variance + 1e-5)
    return out


def layer_norm_in_numpy(x):
    x = x.numpy()
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


def step_in_place(x, norm, sublayer):
    x += sublayer(norm(x))
    return x


def position_in_loops(place, d_model):
    vector = []
    for i in range(d_model // 2):
        angle = place / 10_000 ** (2 * i / d_model)
        vector += [math.sin(angle), math.cos(angle)]
    return vector


def position_in_numpy(place, d_model):
    angle = place / 10_000 ** (np.arange(0, d_model, 2) / d_model)
    out = np.zeros(d_model)
    out[0::2], out[1::2] = np.sin(angle), np.cos(angle)
    return out


def waves(place, exponents):
    angle = place / 10_000.0**exponents
    return torch.where(torch.arange(len(exponents)) % 2 == 0, angle.sin(), angle.cos())


def row(place, d_model):
    return sinusoidal_positions(place + 2, d_model)[place]


RIGHT = {
    "check_feed_forward_share": [
        (1_050_624, 2_099_712),
        [1050624.0, 2099712],
        "1,050,624 and 2,099,712",
        torch.tensor([1050624, 2099712]),
    ],
    "check_layer_norm": [
        layer_norm_in_loops,
        layer_norm_in_numpy,
        layer_norm,
        lambda x: nn.LayerNorm(x.size(-1))(x),
        lambda x: nn.functional.layer_norm(x, x.shape[-1:]),
        lambda x: layer_norm(x.double()),
    ],
    "check_block": [step_in_place, lambda x, norm, sublayer: torch.add(sublayer(norm(x)), x)],
    "check_position": [
        position_in_loops,
        position_in_numpy,
        row,
        lambda place, d: tuple(position_in_loops(place, d)),
    ],
}

WRONG = {
    "check_feed_forward_share": [
        ((2099712, 1050624), "swapped"),
        ((1050624, 1050624), "up to d_ff"),
        ((1048576, 2097152), "bias"),
        ((1050624, 2097152), "bias"),
        ((787968, 2099712), "W_O is missing"),
        (1050624, "2 numbers are needed"),
        ((1, 2), "4 maps"),
    ],
    "check_layer_norm": [
        (
            lambda x: (
                (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, unbiased=False) + 1e-5)
            ),
            "square root",
        ),
        (lambda x: x / (x.var(-1, keepdim=True, unbiased=False) + 1e-5).sqrt(), "isn't subtracted"),
        (lambda x: layer_norm(x, unbiased=True), "n - 1"),
        (lambda x: (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-5), "n - 1"),
        (lambda x: layer_norm(x, (0, 1)), "wrong axis: each vector"),
        (lambda x: layer_norm(x, (0, 1, 2)), "wrong axis"),
        (lambda x: (x - x.mean()) / (x.var(unbiased=False) + 1e-5).sqrt(), "wrong axis"),
        (lambda x: layer_norm(x, 1), "wrong axis"),
        (lambda x: layer_norm(x, 1, unbiased=True), "wrong axis"),
        (lambda x: layer_norm(x, 0), "wrong axis"),
        (lambda x: layer_norm(x, (1, 2)), "wrong axis"),
        (
            lambda x: (x - x.mean(-1, keepdim=True)) / (x.var(unbiased=False) + 1e-5).sqrt(),
            "variance is taken along the wrong axis",
        ),
        (lambda x: layer_norm(x, eps=0), "ε is missing"),
        (
            lambda x: (
                (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True, unbiased=False) + 1e-5)
            ),
            "under the root",
        ),
        (lambda x: x - x.mean(-1, keepdim=True), "only the mean"),
        (lambda x: (x - x.mean(-1)) / x.std(-1), "stops with RuntimeError"),
        (lambda x: x, "compare with nn.LayerNorm"),
    ],
    "check_block": [
        (lambda x, n, s: n(x + s(x)), "post-norm"),
        (lambda x, n, s: s(n(x)), "residual is missing"),
        (lambda x, n, s: n(x) + s(n(x)), "AROUND"),
        (lambda x, n, s: x + s(x), "norm is missing"),
        (lambda x, n, s: x + n(s(x)), "not after"),
        (lambda x, n, s: n(x + s(n(x))), "one norm too many"),
        (lambda x, n, s: x, "x plus the sub-layer"),
    ],
    "check_position": [
        (lambda t, d: row(t + 1, d), "counted from 0"),
        (lambda t, d: row(t, d).view(-1, 2).flip(1).flatten(), "sine comes first"),
        (lambda t, d: torch.cat([row(t, d)[0::2], row(t, d)[1::2]]), "alternate"),
        (lambda t, d: waves(t, torch.arange(d) / d), "share one wavelength"),
        (lambda t, d: waves(t, torch.arange(d) // 2 / d), "without the 2"),
        (lambda t, d: waves(t, 4 * (torch.arange(d) // 2) / d), "has the 2 twice"),
        (lambda t, d: waves(t, torch.zeros(d)), "same wavelength"),
        (lambda t, d: waves(t, -2 * (torch.arange(d) // 2) / d), "DIVIDE"),
        (lambda t, d: row(t, d)[None], r"should be \(6,\), yours is \(1, 6\)"),
        (lambda t, d: row(t, 6), r"should be \(8,\), yours is \(6,\)"),
        (lambda t, d: [0, 1] * (d // 2), "column 2i"),
    ],
}
