import math

import numpy as np
import torch

from helpers.masks import causal_mask, padding_mask


def for_torch(ids):
    return ids == 0, ~causal_mask(ids.shape[1])


def seen(f, x, changed, rows):
    return not torch.equal(f(x)[:, rows], f(changed)[:, rows])


def ids_changed(f):
    """Whole numbers, as in a sentence of ids."""
    ids = torch.tensor([[1, 7, 8, 9], [1, 5, 6, 3]])
    for place in range(1, 4):
        changed = ids.clone()
        changed[:, place] = 4
        if seen(f, ids, changed, slice(None, place)):
            return True
    return False


def every_place(f):
    x = torch.randn(1, 5)
    for place in range(1, 5):
        changed = x.clone()
        changed[0, place] += 1
        if seen(f, x, changed, slice(None, place)):
            return True
    return False


def by_gradient(f):
    x = torch.randn(1, 5, requires_grad=True)
    for place in range(4):
        (gradient,) = torch.autograd.grad(f(x)[0, place], x)
        if gradient[0, place + 1 :].any():
            return True
    return False


def last_changed(f, rows, place=-1):
    x = torch.randn(2, 6)
    changed = x.clone()
    changed[:, place] += 1.0
    return seen(f, x, changed, rows)


RIGHT = {
    "check_zero_row": [(2, 19), [2, 19], np.array([2, 19]), torch.tensor([2.0, 19.0])],
    "check_sorted_masks": ["cbdea", "CBDEA", "c, b, d, e, a", list("cbdea"), tuple("CBDEA")],
    "check_leak_test": [
        ids_changed,
        every_place,
        by_gradient,
        lambda f: torch.tensor(every_place(f)),
        lambda f: np.bool_(every_place(f)),
    ],
    "check_step": [
        [16.0, 24.0, 3.8],
        (16, 24.009, 3.79955),  # w made 0.001 larger
        (16, 24.09, 3.7955),  # and 0.01
        "16, 24, 3.8",
        np.array([16, 24, 3.8]),
        (torch.tensor(16.0), "24", 5 - 0.05 * 24),
    ],
    "check_losses": [
        (6.91, 1.39),
        (6.9, 1.4),
        "6.908, 1.386",
        (-math.log(1 / 1000), math.log(4)),
        -torch.tensor([1 / 1000, 0.25]).log(),
    ],
    "check_for_torch": [
        lambda ids: [ids.eq(0), ~causal_mask(ids.shape[1])],
        lambda ids: (
            ~padding_mask(ids)[:, 0, 0],
            torch.ones(ids.size(1), ids.size(1)).triu(1).bool(),
        ),
        lambda ids: (torch.from_numpy(ids.numpy() == 0), causal_mask(ids.shape[1]) == 0),
    ],
}

WRONG = {
    "check_zero_row": [
        ((2, 6), "how many of the 25 aren't"),
        ((19, 2), "other way round"),
        ((0, 10), "the triangle alone"),
        ((0, 13), "padding at the end"),
        ((1, 18), "its column is hidden"),
        ((2, 9), "above the diagonal"),
        ((0, 19), "nothing but itself"),
        ((5, 19), "up to the diagonal"),
        (19, "2 numbers are needed"),
    ],
    "check_sorted_masks": [
        ("cbaed", "differ in the last cell"),
        ("cbeda", "mask 4"),
        ("cdbea", "mask 2"),
        ("abdec", "isn't square"),
        ("ebacd", "the other way round"),
        ("cbdee", "e comes twice"),
        ("cbde", "five letters"),
        ("cbdez", "five letters"),
        ("52134", "five letters"),
        ([3, 2, 4, 5, 1], "in quotes"),
    ],
    "check_leak_test": [
        (lambda f: True, "never sees"),
        (lambda f: False, "LATER"),
        (lambda f: not every_place(f), "swapped"),
        (lambda f: last_changed(f, slice(1, None), place=0), "never sees"),
        (lambda f: last_changed(f, slice(None)), "never sees"),
        (lambda f: last_changed(f, [0]) and last_changed(f, [4]), "sees just its next"),
        (lambda f: last_changed(f, slice(None, 3)), "sees just its next"),
        (lambda f: last_changed(f, slice(None, -1)), "EVERY later token"),
        (lambda f: f(torch.ones(2, 6)) != 1, "one True or False"),
        (lambda f: "leaks", "the text"),
    ],
    "check_step": [
        ((24, 16, 3.8), "other way round"),
        ((15, 24, 3.8), "15 is the prediction"),
        ((4, 24, 3.8), "square of that"),
        ((-4, 24, 3.8), "square of that"),
        ((8, 24, 3.8), "the whole square"),
        ((36, 24, 3.8), "predict 3 · 5"),
        ((16, -24, 6.2), "gradient's sign"),
        ((16, -24.009, 3.8), "gradient's sign"),
        ((16, 12, 4.4), "lacks a factor of 2"),
        ((16, 8, 4.6), "gradient of the prediction"),
        ((16, 4, 4.8), "lacks two factors"),
        ((16, 0.024, 3.8), "divide it by"),
        ((16, 30, 3.5), "how many times"),
        ((16, 24, 6.2), "against the gradient"),
        ((16, 24, -19), "learning rate is missing"),
        ((16, 24, 29), "subtract it: w has to become smaller"),
        ((16, 24, 1.2), "subtract it from w"),
        ((16, 24, -1.2), "step alone"),
        ((16, 24, 4.2), "along the loss"),
        ((16, 24, 4.95), "learning rate alone"),
        ((16, 24, 4.4), "w after the step"),
        ((16, 24), "3 numbers are needed"),
        ((16, 24, ...), "not attempted"),
    ],
    "check_losses": [
        ((1.39, 6.91), "other way round"),
        ((-6.91, 1.39), "minus sign"),
        ((6.91, -1.39), "minus sign"),
        ((3, 0.6), "base 10"),
        ((math.log2(1000), 2), "base 2"),
        ((6.91, 2), "base 2"),
        ((0.001, 1.39), "what is −log of that"),
        ((1000, 1.39), "what is −log of that"),
        ((5, 1.39), "probability for the right word"),
        ((6.91, 2.77), "the sum over both"),
        ((6.91, -math.log(0.3125)), "average probability"),
        ((6.91, 0.69), "one of the words"),
        ((6.91, 2.08), "one of the words"),
        ((6.91, 0.3125), "still a probability"),
        ((6.91, 1.0), "of each of the two"),
        (6.91, "2 numbers are needed"),
        ((..., 1.39), "not attempted"),
    ],
    "check_for_torch": [
        (lambda ids: (ids != 0, ~causal_mask(ids.size(1))), "where there is padding"),
        (lambda ids: (ids == 0, causal_mask(ids.size(1))), "hides the past"),
        (lambda ids: (ids == 0, causal_mask(ids.size(1)).tril(-1)), "hides the past"),
        (lambda ids: for_torch(ids)[::-1], "swapped"),
        (lambda ids: (~padding_mask(ids), ~causal_mask(ids.size(1))), "yours are"),
        (lambda ids: (ids == 0, torch.ones(ids.size(1), ids.size(1)).triu() > 0), "diagonal"),
        (lambda ids: ids == 0, "return a pair"),
        (lambda ids: ((ids == 0).float(), ~causal_mask(ids.size(1))), "boolean"),
        (lambda ids: (ids == 9, ~causal_mask(ids.size(1))), "at padding, and only there"),
    ],
}
