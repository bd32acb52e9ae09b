import math

import numpy as np
import torch


def unit(x, eps=1e-6):
    return x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt()


def norm_in_loops(x, w, eps=1e-6):
    rows = x.reshape(-1, len(w))
    out = [row / (sum(n * n for n in row) / len(row) + eps) ** 0.5 * (1 + w) for row in rows]
    return torch.stack(out).view(x.shape)


def hide(logits, hidden):
    return logits.masked_fill(hidden, -math.inf)


def least(z, share):
    return z.amax(-1, keepdim=True) + math.log(share)


def by_probabilities(z, share):
    p = z.softmax(-1)
    return torch.where(p >= share * p.amax(-1, keepdim=True), z, -math.inf)


def left_over(p, q):
    rest = (p - q).clamp(min=0)
    return rest / rest.sum() if rest.sum() > 0 else p


def left_over_in_loops(p, q):
    rest = [max(a - b, 0.0) for a, b in zip(p.tolist(), q.tolist(), strict=True)]
    return [r / sum(rest) for r in rest] if sum(rest) else p.tolist()


def means(a, b, chosen):
    return a[chosen].mean(-1), b[chosen].mean(-1)


RIGHT = {
    "check_cache_numbers": [
        (16_384_000, 4_096_000),
        [8 * 2 * 16 * 64 * 1000, torch.tensor(8 * 2 * 4 * 64 * 1000)],
        "16,384,000 and 4,096,000",
    ],
    "check_rms_norm": [
        norm_in_loops,
        lambda x, w, eps=1e-6: unit(x, eps) + unit(x, eps) * w,
        lambda x, w, eps=1e-6: torch.nn.functional.rms_norm(x, (len(w),), 1 + w, eps),
    ],
    "check_min_p": [
        by_probabilities,
        lambda z, s: hide(z, z < least(z, s)).tolist(),
        lambda z, s: np.where(z.numpy() >= least(z, s).numpy(), z.numpy(), -np.inf),
    ],
    "check_leftover": [
        left_over_in_loops,
        lambda p, q: left_over(p.double(), q.double()),
    ],
    "check_bootstrap": [
        lambda a, b, c: np.mean([float(a[r].mean()) > float(b[r].mean()) for r in c]),
        lambda a, b, c: torch.gt(*means(a, b, c)).sum() / len(c),
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
        ((16_384_000,), "2 numbers are needed"),
    ],
    "check_rms_norm": [
        (lambda x, w, eps=1e-6: unit(x, eps) * w, "counts from 0"),
        (lambda x, w, eps=1e-6: unit(x, eps), "weight is missing"),
        (lambda x, w, eps=1e-6: unit(x - x.mean(-1, keepdim=True), eps) * (1 + w), "subtracts"),
        (lambda x, w, eps=1e-6: x / (x.pow(2).sum(-1, True) + eps).sqrt() * (1 + w), "their sum"),
        (
            lambda x, w, eps=1e-6: x / (x.pow(2).mean(-1, keepdim=True) + eps) * (1 + w),
            "square root",
        ),
        (
            lambda x, w, eps=1e-6: x / (x.pow(2).mean(-1, keepdim=True).sqrt() + eps) * (1 + w),
            "inside the root",
        ),
        (lambda x, w, eps=1e-6: unit(x, 0) * (1 + w), "inside the root"),
        (lambda x, w, eps=1e-6: unit(x) * (1 + w), "the one that is given"),
        (lambda x, w, eps=1e-6: x / (x.pow(2).mean() + eps).sqrt() * (1 + w), "each position"),
        (lambda x, w, eps=1e-6: x, "mean of x²"),
    ],
    "check_min_p": [
        (lambda z, s: hide(z, z.softmax(-1) < s), "the BEST word's"),
        (lambda z, s: hide(z, z < s * z.amax(-1, keepdim=True)), "share of a logit"),
        (lambda z, s: hide(z, z < z.max() + math.log(s)), "each row"),
        (lambda z, s: hide(z, z < z.amax(-1, keepdim=True) - s), "the logarithm"),
        (lambda z, s: z.masked_fill(z < least(z, s), 0.0), "hidden words get -inf"),
        (lambda z, s: z.softmax(-1).masked_fill(z < least(z, s), 0.0), "not probabilities"),
        (lambda z, s: hide(z, z < least(z, s)).softmax(-1), "rescaled probabilities"),
        (lambda z, s: z, "nothing is hidden"),
        (lambda z, s: "logits", "numbers are needed"),
    ],
    "check_leftover": [
        (lambda p, q: p, "draft likes get two"),
        (lambda p, q: q, "draft's own"),
        (lambda p, q: (p - q).clamp(min=0), "divide by the sum"),
        (lambda p, q: p - q, "clamp at 0"),
        (lambda p, q: left_over(q, p), "other way round"),
        (lambda p, q: torch.minimum(p, q) / torch.minimum(p, q).sum(), "what was accepted"),
        (lambda p, q: (p - q).clamp(min=0).softmax(-1), "something to every word"),
        (lambda p, q: (p - q).clamp(min=0) / (p - q).clamp(min=0).sum(), "return p"),
    ],
    "check_bootstrap": [
        (lambda a, b, c: torch.lt(*means(a, b, c)).float().mean(), "`other` is better"),
        (lambda a, b, c: torch.ge(*means(a, b, c)).float().mean(), "a tie"),
        (lambda a, b, c: (a[c] > b[c]).float().mean(), "mean of each draw first"),
        (lambda a, b, c: torch.gt(*means(a, b, c)).sum(), "not their number"),
        (lambda a, b, c: 100 * torch.gt(*means(a, b, c)).float().mean(), "percentage"),
        (lambda a, b, c: (a[c] - b[c]).mean(), "mean difference"),
        (lambda a, b, c: float(a.mean() > b.mean()), "the whole test set once"),
        (lambda a, b, c: (a[c.flip(0)].mean(-1) > b[c].mean(-1)).float().mean(), "same draw"),
        (lambda a, b, c: 0.123, "share of rows"),
    ],
}
