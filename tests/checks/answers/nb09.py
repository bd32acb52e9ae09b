import math

import numpy as np
import torch


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


RIGHT = {
    "check_uniform_loss": [4.6, 4.61, math.log(100), "4.6", torch.tensor(100.0).log(), [4.6]],
    "check_curves": ["cab", "c, a, b", ["c", "a", "b"], ("C", "A", "B"), "C A B."],
    "check_near_match": [
        share(near),
        near_by_loops,
        lambda a, b: np.mean([near(x.split(), y.split()) for x, y in zip(a, b, strict=True)]),
        lambda a, b: torch.tensor(share(near)(a, b)),
    ],
    "check_causes": ["bceda", "b c e d a", ["b", "c", "e", "d", "a"], "B, C, E, D, A"],
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
    "check_curves": [
        ("acb", "begins just as the correct one"),
        ("abc", "which task is easier"),
        ("bca", "which task is easier"),
        ("cad", "stay where it began"),
        ("ccb", "c comes twice"),
        ("ca", "3 letters from a to d"),
        ("cae", "3 letters from a to d"),
        ("312", "3 letters from a to d"),
        (3, "in quotes"),
        (["c", ..., "b"], "not attempted"),
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
    "check_causes": [
        ("aceda", "a comes twice"),
        ("acedb", "translation 1"),
        ("becda", "translation 2"),
        ("bcade", "translation 3"),
        ("bcead", "translation 4"),
        ("eabdc", "translation 1"),
        ("bced", "5 letters from a to e"),
        ("bcedf", "5 letters from a to e"),
        (5, "in quotes"),
    ],
}
