import math

import numpy as np
import torch


def loudness(power, logarithm, loudest=torch.max):
    log = logarithm(power.clamp(min=1e-10))
    return (log.maximum(loudest(log) - 8) + 4) / 4


def loudness_in_numpy(power):
    log = np.log10(np.maximum(power.numpy(), 1e-10))
    return (np.maximum(log, log.max() - 8) + 4) / 4


def greedy(match):
    t = m = 0
    total = match[0][0]
    while (t, m) != (len(match) - 1, len(match[0]) - 1):
        ahead = [(t + 1, m + 1), (t, m + 1), (t + 1, m)]
        ahead = [(a, b) for a, b in ahead if a < len(match) and b < len(match[0])]
        t, m = max(ahead, key=lambda cell: match[cell[0]][cell[1]])
        total += match[t][m]
    return total


ALL = ((1, 1), (1, 0), (0, 1))


def largest(match, steps=ALL):
    """The sum of the best path, walked backwards, with these steps alone."""

    def best(t, m):
        if (t, m) == (0, 0):
            return match[0][0]
        if t < 0 or m < 0:
            return -math.inf
        return match[t][m] + max(best(t - a, m - b) for a, b in steps)

    return best(len(match) - 1, len(match[0]) - 1)


def by_table(match):
    match = np.array(match, dtype=float)
    best = np.full((match.shape[0] + 1, match.shape[1] + 1), -np.inf)
    best[0, 0] = 0
    for t, m in np.ndindex(match.shape):
        best[t + 1, m + 1] = match[t, m] + max(best[t, m], best[t, m + 1], best[t + 1, m])
    return best[-1, -1]


def distance(said, meant):
    if not said or not meant:
        return len(said) + len(meant)
    return min(
        distance(said[1:], meant) + 1,
        distance(said, meant[1:]) + 1,
        distance(said[1:], meant[1:]) + (said[0] != meant[0]),
    )


def only_in_or_out(said, meant):
    """By the longest common part: a changed word is one out and one in."""
    table = [[0] * (len(meant) + 1) for _ in range(len(said) + 1)]
    for i, word in enumerate(said):
        for j, wanted in enumerate(meant):
            common = table[i][j] + 1 if word == wanted else max(table[i][j + 1], table[i + 1][j])
            table[i + 1][j + 1] = common
    return (len(said) + len(meant) - 2 * table[-1][-1]) / len(meant)


def word_by_word(said, meant):
    """Without moving along: what differs at each place."""
    differ = sum(a != b for a, b in zip(said, meant, strict=False))
    return (differ + abs(len(said) - len(meant))) / len(meant)


RIGHT = {
    "check_map_shape": [[6, 10, 1500], torch.Size([6, 10, 1500]), np.array([6, 10, 1500])],
    "check_moment": [
        lambda seconds: torch.tensor(seconds * 50 + 1e-4).floor(),
        lambda seconds: math.floor(round(seconds / 0.02, 6)),
        lambda seconds: np.floor(seconds * 50 + 1e-9),
        lambda seconds: round(seconds * 100) // 2,
    ],
    "check_compress": [
        loudness_in_numpy,
        lambda power: loudness(power, torch.log10).tolist(),
        lambda power: loudness(power.double(), torch.log10),
        lambda power: loudness(power, lambda x: x.log() / math.log(10)),
    ],
    "check_path": [by_table, lambda m: np.float64(largest(m)), lambda m: torch.tensor(largest(m))],
    "check_error_rate": [
        lambda said, meant: torch.tensor(distance(said, meant) / len(meant)),
        lambda said, meant: np.float32(distance(said, meant)) / len(meant),
    ],
}

WRONG = {
    "check_map_shape": [
        ((6, 9, 1500), "one more query"),
        ((6, 1500, 10), "rows are queries"),
        ((6, 10, 3000), "steps of two"),
        ((6, 10, 80), "mel bands"),
        ((4, 10, 1500), "number of layers"),
        ((6, 10, 237), "30 seconds, always"),
        ((6, 10), "heads, queries, keys"),
        ((1, 6, 10, 1500), "leave out the batch"),
        (1500, "heads, queries, keys"),
    ],
    "check_moment": [
        (lambda s: s * 50, "a whole number"),
        (lambda s: int(s * 100 + 1e-9), "half as many"),
        (lambda s: int(s * 16_000), "samples"),
        (lambda s: math.ceil(round(s * 50, 6)), "round down"),
        (lambda s: round(s * 50 + 1e-9), "round down"),
        (lambda s: int(s * 50) + 1, "counted from 0"),
        (lambda s: int(s * 50), "add a tiny number"),
        (lambda s: int(s * 20), "0.02 s"),
        (lambda s: [1, 2], "one number is needed"),
    ],
    "check_compress": [
        (lambda p: loudness(p, torch.log), "natural logarithm"),
        (lambda p: loudness(p, lambda x: 10 * x.log10()), "decibels"),
        (lambda p: (p.clamp(min=1e-10).log10() + 4) / 4, "raised to 8 below"),
        (lambda p: loudness(p, torch.log10, lambda x: x.amax(1, keepdim=True)), "whole picture"),
        (lambda p: loudness(p, torch.log10, lambda x: x.amax(0, keepdim=True)), "whole picture"),
        (lambda p: loudness(p, torch.log10, lambda x: torch.zeros(())), "raise it to -8"),
        (lambda p: 4 * loudness(p, torch.log10) - 4, "add 4 and divide by 4"),
        (lambda p: loudness(p, torch.log10) - 1 + 4, "first add 4"),
        (lambda p: (p.log10() + 4) / 4, "minus infinity"),
        (lambda p: (p.log10().maximum(p.log10().max() - 8) + 4) / 4, "clamp at 1e-10 first: in"),
        (lambda p: loudness(p, torch.log10) + 0.1, "clamp at 1e-10, log10"),
        (lambda p: p.clamp(1e-10).missing, "stops with"),
        (3.0, "a function is needed"),
    ],
    "check_path": [
        (lambda m: sum(map(max, m)), "back in time"),
        (lambda m: sum(map(max, zip(*m, strict=True))), "back in the text"),
        (lambda m: largest(m, ((1, 0), (0, 1))), "at once"),
        (lambda m: largest(m, ((1, 1), (0, 1))), "the moment stays"),
        (lambda m: largest(m, ((1, 1), (1, 0))), "the piece stays"),
        (lambda m: largest(m) - m[0][0], "first cell"),
        (lambda m: -largest([[-x for x in row] for row in m]), "smallest sum"),
        (greedy, "isn't always on the best path"),
        (lambda m: 1000, "it should be"),
        (lambda m: "much", "one number is needed"),
        (lambda m: [(0, 0), (1, 1)], "not the path"),
        (lambda m: m.sum(), "stops with AttributeError"),
    ],
    "check_error_rate": [
        (lambda said, meant: 1 - distance(said, meant) / len(meant), "share of words"),
        (lambda said, meant: 5, "fewest words"),
        (lambda said, meant: 0.0, "fits one input"),
        (lambda said, meant: len(set(meant) - set(said)) / len(meant), "the order counts"),
        (only_in_or_out, "not one left out and one inserted"),
        (distance, "divide it by"),
        (lambda said, meant: 100 * distance(said, meant) / len(meant), "percentage"),
        (word_by_word, "one mistake, not three"),
        (lambda said, meant: distance(said, meant) / max(len(said), 1), "not by those"),
        (lambda said, meant: min(1.0, distance(said, meant) / len(meant)), "a rate of 2"),
        (lambda said, meant: said == meant, "fewest words"),
    ],
}
