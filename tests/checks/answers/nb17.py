import math

import numpy as np
import torch


def unit(x):
    return x / (x.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt()


def hide(logits, hidden):
    return logits.masked_fill(hidden, -math.inf)


def left_over(p, q):
    rest = [max(a - b, 0.0) for a, b in zip(p, q, strict=True)]
    return [r / sum(rest) for r in rest] if sum(rest) else p


RIGHT = {
    "check_cache_numbers": [
        (torch.tensor(16_384_000), 4_096_000.0),
        [8 * 2 * 16 * 64 * 1000, torch.tensor(8 * 2 * 4 * 64 * 1000)],
    ],
    "check_rms_norm": [
        lambda x, w: unit(x).double() * (1 + w),
        lambda x, w: (x * (x * x).mean(-1, True).add(1e-6).rsqrt() * (1 + w)).tolist(),
    ],
    "check_leftover": [
        lambda p, q: p if torch.equal(p, q) else torch.relu(p - q) / torch.relu(p - q).sum(),
        lambda p, q: left_over(p.tolist(), q.tolist()),
    ],
    "check_min_p": [
        lambda z, s: hide(z, z < z.amax(-1, True) + math.log(s)).tolist(),
        lambda z, s: hide(z, z.softmax(-1) < s * z.softmax(-1).amax(-1, True)),
    ],
    "check_bootstrap": [
        lambda a, b, c: np.mean([float(a[r].mean()) > float(b[r].mean()) for r in c]),
        lambda a, b, c: ((a - b)[c].sum(-1) > 1e-6).double().mean(),
    ],
}

WRONG = {
    "check_cache_numbers": [
        ((16_384_000, 16_384_000), "fewer heads of keys"),
        ((4_096_000, 16_384_000), "other way round"),
        ((8_192_000, 2_048_000), "keys AND values"),
        ((2_048_000, 512_000), "every layer"),
        ((16_384_000, 1_024_000), "one group"),
        ((16_384, 4_096), "layers times keys and values"),
        ((16_384_000,), "two numbers"),
    ],
    "check_rms_norm": [
        (lambda x, w: unit(x) * w, "counts from 0"),
        (lambda x, w: unit(x), "weight is missing"),
        (lambda x, w: unit(x - x.mean(-1, keepdim=True)) * (1 + w), "subtracts the mean"),
        (
            lambda x, w: x / (x.pow(2).sum(-1, keepdim=True) + 1e-6).sqrt() * (1 + w),
            "not their sum",
        ),
        (lambda x, w: x / (x.pow(2).mean(-1, keepdim=True) + 1e-6) * (1 + w), "square root"),
        (
            lambda x, w: x / (x.pow(2).mean(-1, keepdim=True).sqrt() + 1e-6) * (1 + w),
            "inside the root",
        ),
        (lambda x, w: x / (x.pow(2).mean() + 1e-6).sqrt() * (1 + w), "each position"),
        (lambda x, w: x, "mean of x²"),
    ],
    "check_min_p": [
        (lambda z, s: hide(z, z.softmax(-1) < s), "the BEST word's"),
        (lambda z, s: hide(z, z < s * z.amax(-1, keepdim=True)), "share of a logit"),
        (lambda z, s: hide(z, z < z.max() + math.log(s)), "each row"),
        (lambda z, s: hide(z, z < z.amax(-1, keepdim=True) - s), "the logarithm"),
        (
            lambda z, s: z.masked_fill(z < z.amax(-1, keepdim=True) + math.log(s), 0.0),
            "hidden words get -inf",
        ),
        (
            lambda z, s: (
                hide(z, z < z.amax(-1, keepdim=True) + math.log(s)).softmax(-1)
                * hide(z, z < z.amax(-1, keepdim=True) + math.log(s))
                .softmax(-1)
                .sum(-1, keepdim=True)
            ),
            "else -inf",
        ),
        (
            lambda z, s: z.softmax(-1).masked_fill(z < z.amax(-1, keepdim=True) + math.log(s), 0.0),
            "not probabilities",
        ),
        (lambda z, s: z, "else -inf"),
        (lambda z, s: "logits", "else -inf"),
    ],
    "check_leftover": [
        (lambda p, q: p, "draft likes come twice"),
        (lambda p, q: (p - q).clamp(min=0), "divide by the sum"),
        (lambda p, q: p - q, "clamp at 0"),
        (lambda p, q: (q - p).clamp(min=0) / (p - q).clamp(min=0).sum(), "other way round"),
        (lambda p, q: torch.minimum(p, q) / torch.minimum(p, q).sum(), "what was accepted"),
        (lambda p, q: (p - q).clamp(min=0).softmax(-1), "something to every word"),
        (lambda p, q: q, "divided by its sum"),
        (lambda p, q: (p - q).clamp(min=0) / (p - q).clamp(min=0).sum(), "return p"),
    ],
    "check_bootstrap": [
        (lambda a, b, c: (a[c].mean(-1) < b[c].mean(-1)).float().mean(), "`other` is better"),
        (lambda a, b, c: (a[c].mean(-1) >= b[c].mean(-1)).float().mean(), "a tie"),
        (lambda a, b, c: (a[c] > b[c]).float().mean(), "first the mean"),
        (lambda a, b, c: (a[c].mean(-1) > b[c].mean(-1)).sum(), "not their number"),
        (lambda a, b, c: (a[c] - b[c]).mean(), "mean difference"),
        (lambda a, b, c: float(a.mean() > b.mean()), "the whole test set once"),
        (lambda a, b, c: (a[c.flip(0)].mean(-1) > b[c].mean(-1)).float().mean(), "same draw"),
        (lambda a, b, c: 0.123, "share of rows"),
    ],
}
