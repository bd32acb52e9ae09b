import math

import numpy as np
import torch


def target(truth, vocab_size, epsilon):
    return [epsilon / vocab_size + (1 - epsilon) * (i == truth) for i in range(vocab_size)]


def share(same):
    return lambda a, b: sum(map(same, a, b)) / len(b)


def exactly(a, b):
    return a == b


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
    "check_uniform_loss": [6.9, 6.91, math.log(1000), "6.9", torch.tensor(1000.0).log(), [6.9]],
    "check_smoothed_target": [
        target,
        lambda t, v, e: np.full(v, e / v) + (1 - e) * np.eye(v)[t],
        lambda t, v, e: torch.lerp(torch.eye(v)[t], torch.full((v,), 1 / v), e),
        lambda t, v, e: tuple(target(t, v, e)),
    ],
    "check_exact_match": [
        share(exactly),
        lambda a, b: np.mean(np.array(a) == np.array(b)),
        lambda a, b: torch.tensor([x == y for x, y in zip(a, b, strict=True)]).double().mean(),
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
        (9.97, "bits"),
        (3.0, "base 10"),
        (0.001, "probability"),
        (-6.9, "the sign"),
        (1000, "perplexity"),
        (5, "1/1000"),
        (math.nan, "1/1000"),
        ("ln 1000", "one number is needed"),
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
    "check_exact_match": [
        (lambda a, b: sum(map(exactly, a, b)), "counts"),
        (lambda a, b: 1 - share(exactly)(a, b), "wrong"),
        (lambda a, b: 100 * share(exactly)(a, b), "percentage"),
        (lambda a, b: f"{share(exactly)(a, b):.0%}", "one number is needed"),
        (lambda a, b: 1.0, "every sign"),
        (lambda a, b: 2 / 3, "fits one input and not another"),
        (share(lambda x, y: x.lower() == y.lower()), "'The' isn't 'the'"),
        (share(lambda x, y: x.strip(" .!") == y.strip(" .!")), "every sign"),
        (lambda a, b: sum(x in b for x in a) / len(b), "ITS reference"),
        (lambda a, b: a == b, "each sentence"),
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
