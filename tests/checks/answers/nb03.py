import numpy as np
import torch

from helpers.masks import causal_mask, padding_mask


def both(ids):
    return padding_mask(ids) & causal_mask(ids.shape[1])


def in_loops(ids):
    batch, target = ids.shape
    mask = torch.zeros(batch, 1, target, target, dtype=torch.bool)
    for b in range(batch):
        for row in range(target):
            for column in range(row + 1):
                mask[b, 0, row, column] = ids[b, column] != 0
    return mask


def in_numpy(ids):
    real = ids.numpy() != 0
    mask = real[:, None, None] & np.tril(np.ones((ids.shape[1],) * 2, dtype=bool))
    return torch.from_numpy(mask)


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
    "check_zero_row": [(0, 10), [0, 10], np.array([0, 10]), torch.tensor([0.0, 10.0])],
    "check_decoder_mask": [
        in_loops,
        in_numpy,
        lambda ids: both(ids).expand(-1, 1, -1, -1),
        lambda ids: (ids != 0)[:, None, None, :] * causal_mask(ids.shape[1]),
        lambda ids: torch.logical_and(padding_mask(ids), causal_mask(ids.shape[1])),
    ],
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
        ((0, 15), "how many aren't"),
        ((10, 0), "other way round"),
        ((1, 10), "itself"),
        ((0, 4), "the first row alone"),
        ((0, 5), "above the diagonal"),
        (10, "2 numbers are needed"),
    ],
    "check_decoder_mask": [
        (lambda ids: ~both(ids), "HIDDEN"),
        (lambda ids: causal_mask(ids.size(1)), "padding of the second sentence"),
        (lambda ids: causal_mask(ids.size(1)).expand(len(ids), 1, -1, -1), "padding of the second"),
        (padding_mask, "future"),
        (lambda ids: both(ids).float(), "boolean tensor.*torch.float32"),
        (lambda ids: both(ids).numpy(), "boolean tensor.*ndarray"),
        (lambda ids: padding_mask(ids) | causal_mask(ids.size(1)), "either"),
        (lambda ids: padding_mask(ids) & causal_mask(ids.size(1)).T, "the wrong way up"),
        (lambda ids: padding_mask(ids) & ~causal_mask(ids.size(1)), "row"),
        (lambda ids: padding_mask(ids) & causal_mask(ids.size(1)).tril(-1), "leaves out the diag"),
        (
            lambda ids: padding_mask(ids) & torch.ones(ids.size(1), ids.size(1)).tril(1).bool(),
            "shows the next word",
        ),
        (lambda ids: both(ids) & padding_mask(ids).transpose(-2, -1), "padded rows needn't"),
        (lambda ids: padding_mask(ids).mT & causal_mask(ids.size(1)), "padded rows needn't"),
        (lambda ids: ~padding_mask(ids) & causal_mask(ids.size(1)), "hides the words"),
        (lambda ids: both(ids)[:, 0], r"axis for the heads: \(2, 1, 4, 4\), yours is \(2, 4, 4\)"),
        (lambda ids: ids != 0, r"broadcast to \(2, 1, 4, 4\), but yours is \(2, 4\)"),
        (lambda ids: padding_mask(ids) & causal_mask(4), "stops with RuntimeError"),
        (lambda ids: both(ids) & both(ids).roll(1, -1), "a real token AND not later"),
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
