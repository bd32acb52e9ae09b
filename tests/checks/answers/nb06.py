import numpy as np
import torch

from helpers.masks import causal_mask
from helpers.special_ids import BOS, EOS, PAD


def appended(source, target):
    reads, says = [BOS], []
    for i in source:
        reads.append(i)
        says.append(PAD)
    reads, says = [*reads, EOS], [*says, PAD]
    for i in target:
        reads.append(i)
        says.append(i)
    return reads, [*says, EOS]


def tensors(source, target):
    source, target = torch.as_tensor(source), torch.as_tensor(target)
    eos = torch.tensor([EOS])
    reads = torch.cat([torch.tensor([BOS]), source, eos, target])
    return reads, torch.cat([torch.full((len(source) + 1,), PAD), target, eos])


def only_tensors(source, target):
    ids = torch.cat([source.new_tensor([BOS]), source, source.new_tensor([EOS]), target])
    says = torch.cat([ids[1:], source.new_tensor([EOS])])
    says[: source.numel() + 1] = PAD
    return ids, says


def a_batch_of_one(source, target):
    ids = torch.tensor([[BOS, *source, EOS, *target, EOS]])
    says = ids[:, 1:].clone()
    says[:, : len(source) + 1] = PAD
    return ids[:, :-1], says


def opened(x, cells):
    """The causal mask, with these cells open as well."""
    mask = causal_mask(x.size(1))
    mask[cells] = True
    return mask


def square(layer, x, prefix):
    """Only the German's own square is opened: below it, the causal mask is open anyway."""
    return layer(x, opened(x, (slice(prefix), slice(prefix))))


def in_two_parts(layer, x, prefix, alone=False):
    """An encoder for the German, and the causal layer for the English."""
    rest = layer(x[:, prefix:], causal_mask(x.size(1) - prefix)) if alone else None
    rest = layer(x, causal_mask(x.size(1)))[:, prefix:] if rest is None else rest
    return torch.cat([layer(x[:, :prefix]), rest], dim=1)


RIGHT = {
    "check_source_in_front": [
        appended,
        tensors,
        only_tensors,
        a_batch_of_one,
        lambda s, t: ((BOS, *s, EOS, *t), (PAD,) * (len(s) + 1) + (*t, EOS)),
        lambda s, t: [np.array([BOS, *s, EOS, *t]), np.array([0] * len(s) + [0, *t, EOS])],
    ],
    "check_two_temperatures": [
        (3 / 4, 81 / 82),
        "0.75 and 0.99",
        [0.75, 0.988],
        np.array([0.75, 0.98780]),
        torch.tensor([0.75, 0.99]),
    ],
    "check_rows_that_change": [
        (6, 1, 0),
        "6, 1, 0",
        [6.0, 1.0, 0.0],
        torch.tensor([6, 1, 0]),
        ([6], [1], [0]),
    ],
    "check_prefix": [
        lambda layer, x, n: layer(x, causal_mask(x.size(1)) | (torch.arange(x.size(1)) < n)),
        square,
        in_two_parts,
    ],
}

WRONG = {
    "check_source_in_front": [
        (lambda s, t: ([BOS, *t], [*t, EOS]), "read the German before"),
        (lambda s, t: ([BOS, *s, EOS, *t], [BOS, *s, EOS, *t]), "only have to copy"),
        (lambda s, t: ([BOS, *s, EOS, *t], [0] * (len(s) + 2) + t), "only have to copy"),
        (lambda s, t: ([BOS, *s, EOS, *t], [*s, EOS, *t, EOS]), "grades the German"),
        (lambda s, t: ([BOS, *s, EOS, *t], [0] * len(s) + [EOS, *t, EOS]), "between the languages"),
        (lambda s, t: ([BOS, *s, EOS, *t], [0] * len(s) + [0, 0, *t[1:], EOS]), "first English"),
        (lambda s, t: ([BOS, *s, EOS, *t], [0] * (len(s) + 1) + t), "learn to stop"),
        (lambda s, t: ([BOS, *s, EOS, *t], [0] * len(s) + [0, *t, 0]), "learn to stop"),
        (lambda s, t: ([BOS, *s, EOS, *t], [-100] * len(s) + [-100, *t, EOS]), "ignores PAD"),
        (lambda s, t: ([*s, EOS, *t], [0] * len(s) + [*t, EOS]), "input has no BOS"),
        (lambda s, t: ([BOS, *s, *t], [0] * len(s) + [*t, EOS]), "no EOS after the German"),
        (
            lambda s, t: ([BOS, *s, EOS, *t, EOS], [0] * len(s) + [0, *t, EOS, 0]),
            "needn't read it",
        ),
        (lambda s, t: ([BOS, *s, EOS, *t], [*t, EOS]), r"equally long; .* have 7 and 3 ids"),
        (lambda s, t: ([BOS, *s, BOS, *t], [0] * len(s) + [0, *t, EOS]), r"German \[7, 8, 9\]"),
        (lambda s, t: ([BOS, *s, EOS, *t], [0, 0, 0, 0, *t, EOS]), r"for German \[5, 6\]"),
        (lambda s, t: [BOS, *s, EOS, *t], "return a pair"),
        (lambda s, t: s.missing, r"are lists such as \[7, 8, 9\]"),
        (([1, 7], [7, 2]), "a function is needed"),
    ],
    "check_two_temperatures": [
        ((0.99, 0.75), "the other way round"),
        ((0.25, 0.01), "left for"),
        ((75, 99), "percentages"),
        ((3, 81), "the ratios"),
        ((0.82, 0.95), "halved and doubled"),
        ((0.45, 1.8), "not the probabilities"),
        ((0.60, 0.83), "of the probabilities"),
        ((0.9, 0.9), "temperature of 1"),
        ((0.95, 0.8), "evens the two words out"),
        ((0.75, 0.95), "right at 2"),
        ((0.8, 0.99), "right at 0.5"),
        ((0.7, 0.95), "ratio is 9 to 1"),
        (0.75, "at a temperature of 2"),
    ],
    "check_rows_that_change": [
        ((6, 1, 1), "where would the German"),
        ((6, 1, 6), "where would the German"),
        ((9, 9, 0), "how an encoder reads"),
        ((6, 9, 0), "how an encoder reads"),
        ((1, 1, 0), "rows below"),
        ((5, 1, 0), "itself can change"),
        ((4, 1, 0), "rows above"),
        ((3, 1, 0), "rows above"),
        ((7, 1, 0), "one too many"),
        ((2, 1, 0), "isn't hatched"),
        ((6, 0, 0), "looks itself"),
        ((6, 2, 0), "last column"),
        ((6, 1), "rows for"),
    ],
    "check_prefix": [
        (lambda layer, x, n: layer(x, causal_mask(x.size(1))), "both ways yet"),
        (lambda layer, x, n: layer(x), "English looks ahead"),
        (lambda layer, x, n: layer(x, opened(x, slice(n))), "into the English"),
        (lambda layer, x, n: layer(x, causal_mask(x.size(1)).T), "upside down"),
        (lambda layer, x, n: layer(x, opened(x, (slice(None), slice(n))).T), "upside down"),
        (lambda layer, x, n: layer(x, ~opened(x, (slice(None), slice(n)))), "inverted"),
        (lambda layer, x, n: in_two_parts(layer, x, n, alone=True), "no longer sees"),
        (lambda layer, x, n: layer(x, opened(x, (slice(None), slice(n + 1)))), "too many"),
        (lambda layer, x, n: layer(x, opened(x, (slice(None), slice(n - 1)))), "too few"),
        (lambda layer, x, n: layer(x, opened(x, (slice(None), slice(3)))), "hard-coded"),
        (lambda layer, x, n: layer(x, causal_mask(7)), "stops with"),
        (lambda layer, x, n: x, "call the layer"),
        (lambda layer, x, n: layer(x, causal_mask(x.size(1)).float()), "stops with TypeError"),
    ],
}
