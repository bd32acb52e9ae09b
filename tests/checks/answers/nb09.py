import math

import numpy as np
import torch


def target(truth, vocab_size, epsilon):
    return [epsilon / vocab_size + (1 - epsilon) * (i == truth) for i in range(vocab_size)]


def share(same):
    return lambda a, b: sum(same(x.split(), y.split()) for x, y in zip(a, b, strict=True)) / len(b)


def wrong_words(a, b):
    return sum(x != y for x, y in zip(a, b, strict=False))


def near(a, b):
    return len(a) == len(b) and wrong_words(a, b) < 2


def near_by_loops(ours, theirs):
    close = 0
    for a, b in zip(ours, theirs, strict=True):
        a, b = a.split(" "), b.split(" ")
        if len(a) != len(b):
            continue
        mistakes = 0
        for i in range(len(a)):
            if a[i] != b[i]:
                mistakes += 1
        if mistakes in (0, 1):
            close += 1
    return close / len(ours)


def padding(batches):
    real = places = 0
    for batch in batches:
        for length in batch:
            real += length
            places += max(batch)
    return (places - real) / places


def padded(batches):
    """By really making the rectangles."""
    zeros = total = 0
    for batch in batches:
        rows = torch.zeros(len(batch), max(batch))
        for row, length in zip(rows, batch, strict=True):
            row[:length] = 1
        zeros += (rows == 0).sum()
        total += rows.numel()
    return zeros / total


def rate(step, peak, warmup, steps):
    if step < warmup:
        return peak * step / warmup
    return peak * (1 - (step - warmup) / (steps - warmup))


RIGHT = {
    "check_uniform_loss": [4.6, 4.61, math.log(100), "4.6", torch.tensor(100.0).log(), [4.6]],
    "check_smoothed_target": [
        target,
        lambda t, v, e: np.full(v, e / v) + (1 - e) * np.eye(v)[t],
        lambda t, v, e: torch.lerp(torch.eye(v)[t], torch.full((v,), 1 / v), e),
        lambda t, v, e: tuple(target(t, v, e)),
    ],
    "check_near_match": [
        share(near),
        near_by_loops,
        lambda a, b: np.mean([near(x.split(), y.split()) for x, y in zip(a, b, strict=True)]),
        lambda a, b: torch.tensor(share(near)(a, b)),
    ],
    "check_padding_share": [padding, padded, lambda batches: np.float32(padding(batches))],
    "check_rate": [
        rate,
        lambda *case: torch.tensor(rate(*case)),
        lambda s, p, w, n: np.interp(s, [0, w, n], [0, p, 0]),
    ],
}

WRONG = {
    "check_uniform_loss": [
        (6.64, "bits"),
        (2.0, "base 10"),
        (0.01, "probability"),
        (-4.6, "the sign"),
        (100, "logarithm"),
        (6.9, "how many are left"),
        (6.8, "ruled out"),
        (5.5, "1/100"),
        (math.nan, "1/100"),
        ("ln 100", "one number is needed"),
    ],
    "check_smoothed_target": [
        (lambda t, v, e: torch.eye(v)[t], "hard target"),
        (lambda t, v, e: torch.eye(v)[t] + e / v, "more than 1"),
        (lambda t, v, e: torch.full((v,), e) + (1 - 2 * e) * torch.eye(v)[t], "more than 1"),
        (
            lambda t, v, e: torch.full((v,), e / (v - 1)) + (1 - e - e / (v - 1)) * torch.eye(v)[t],
            "other words",
        ),
        (lambda t, v, e: torch.full((v,), e / v) + (1 - e - e / v) * torch.eye(v)[t], "less than"),
        (lambda t, v, e: target(2, 5, 0.1), "shape"),
        (lambda t, v, e: 0.92, "shape"),
    ],
    "check_near_match": [
        (lambda a, b: share(near)(a, b) * len(b), "divide"),
        (lambda a, b: 1 - share(near)(a, b), "NOT near"),
        (lambda a, b: 100 * share(near)(a, b), "percentage"),
        (lambda a, b: f"{share(near)(a, b):.0%}", "one number is needed"),
        (share(lambda x, y: x == y), "exact match"),
        (share(lambda x, y: len(x) == len(y) and wrong_words(x, y) == 1), "none is fine"),
        (share(lambda x, y: wrong_words(x, y) < 2), "lengths first"),
        (share(lambda x, y: len(x) == len(y) and len(set(y) - set(x)) < 2), "at its place"),
        (share(lambda x, y: len(x) == len(y) and wrong_words(x, y) < 3), "two pass"),
        (lambda a, b: 0.4, "fits one input and not another"),
    ],
    "check_padding_share": [
        (lambda batches: 1 - padding(batches), "share of real"),
        (lambda batches: sum(max(b) - n for b in batches for n in b), "divide"),
        (lambda batches: 100 * padding(batches), "percentage"),
        (lambda batches: sum(padding([b]) for b in batches) / len(batches), "mean of shares"),
        (
            lambda batches: (
                1 - sum(map(sum, batches)) / (max(map(max, batches)) * sum(map(len, batches)))
            ),
            "ITS longest",
        ),
        (lambda batches: padding(batches) / (1 - padding(batches)), "not by the real tokens"),
        (lambda batches: 6 / 37, "fits one input and not another"),
        (lambda batches: [padding([b]) for b in batches], "one number is needed"),
    ],
    "check_rate": [
        (lambda s, p, w, n: p * min(1, s / w), "should fall"),
        (lambda s, p, w, n: p * (n - s) / n, "warm-up is missing"),
        (lambda s, p, w, n: p * s / w if s <= w else p * (n - s) / n, "jumps"),
        (lambda s, p, w, n: p * max(s / w, (n - s) / (n - w)), "LOWER"),
        (lambda s, p, w, n: rate(s, 1.0, w, n), "multiply it by the peak"),
        (lambda s, p, w, n: p * min(s / w, (w / s) ** 0.5), "1/√step"),
        (lambda s, p, w, n: rate(s - 1, p, w, n), "counted from 1"),
        (lambda s, p, w, n: rate(s, 0.5, 4, 20), "fits one input and not another"),
        (lambda s, p, w, n: p, "straight down to 0"),
    ],
}
