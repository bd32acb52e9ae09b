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
