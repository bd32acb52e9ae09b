import numpy as np
import torch

from helpers.masks import causal_mask
from helpers.special_ids import BOS, EOS


def appended(ids):
    reads, says = [BOS], []
    for i in ids:
        reads.append(i)
        says.append(i)
    return reads, [*says, EOS]


def tensors(ids):
    ids = torch.as_tensor(ids)
    return torch.cat([torch.tensor([BOS]), ids]), torch.cat([ids, torch.tensor([EOS])])


def one_row_of_a_batch(ids):
    return ids[:, :-1], ids[:, 1:]


def unsqueezed(ids):
    ids = torch.tensor([[BOS, *ids, EOS]])
    return ids[:, :-1], ids[:, 1:]


def softmax(z, t):
    powers = np.exp(np.array(z) / t)
    return powers / powers.sum(-1, keepdims=True)


RIGHT = {
    "check_shift": [
        appended,
        tensors,
        one_row_of_a_batch,
        unsqueezed,
        lambda ids: ((BOS, *ids), (*ids, EOS)),
        lambda ids: [np.array([BOS, *ids]), np.array([*ids, EOS])],
        lambda ids: ([BOS] + ids, ids + [EOS]),
        lambda ids: (
            torch.cat([torch.full_like(ids[:, :1], BOS), ids], 1),
            torch.cat([ids, torch.full_like(ids[:, :1], EOS)], 1),
        ),
    ],
    "check_temperature": [
        softmax,
        lambda z, t: torch.nn.functional.softmax(z.double() / t, dim=-1),
        lambda z, t: (z / t).exp() / (z / t).exp().sum(-1, keepdim=True),
        lambda z, t: (z / t).log_softmax(-1).exp().tolist(),
    ],
    "check_what_it_needs": [
        "cross-attention",
        "Cross-Attention",
        "the Encoder",
        "memory",
        "The memory.",
        "source",
        ("encoder", "cross-attention"),
        "cross-attention and its mask",
    ],
    "check_decoder_only": [
        lambda layer, x: layer(x, torch.ones(x.size(1), x.size(1)).tril().bool()),
        lambda layer, x: layer(x, causal_mask(x.size(1))[None, None]),
        lambda layer, x: torch.cat(
            [layer(x[:, : t + 1], causal_mask(t + 1))[:, -1:] for t in range(x.size(1))], 1
        ),
    ],
}

WRONG = {
    "check_shift": [
        (lambda ids: (ids, ids), "only have to copy"),
        (lambda ids: (ids[:-1], ids[1:]), "start"),
        (lambda ids: ([*ids, 2], [1, *ids]), "wrong way"),
        (lambda ids: ([1, *ids, 2], [*ids, 2]), "equally long"),
        (lambda ids: ([1, *ids], ids), "labels have no EOS"),
        (lambda ids: (ids, [*ids, 2]), "input has no BOS"),
        (lambda ids: ([0, *ids], [*ids, 2]), r"for words \[7, 8, 9\]"),
        (lambda ids: ([1, 7, 8, 9], [7, 8, 9, 2]), r"for words \[5, 6\]"),
        (lambda ids: [1, *ids, 2], "return a pair"),
        (lambda ids: (ids[:, 1:], ids[:, :-1]), "is a list such as"),
        (lambda ids: ids.missing, r"is a list such as \[7, 8, 9\]"),
        (([1, 7], [7, 2]), "a function is needed"),
    ],
    "check_temperature": [
        (lambda z, t: (z * t).softmax(-1), "multiplied"),
        (lambda z, t: z.softmax(-1) / t, "BEFORE"),
        (lambda z, t: z / t, "still"),
        (lambda z, t: z.softmax(-1), "isn't used"),
        (lambda z, t: (z / t).log_softmax(-1), "log-probabilities"),
        (lambda z, t: (z / t) / (z / t).sum(-1, keepdim=True), "without exp"),
        (lambda z, t: (z / t).softmax(0), "wrong dimension"),
        (lambda z, t: (z / 0.5).softmax(-1), "fits one input"),
        (lambda z, t: (z / t).softmax(-1).argmax(-1), "shape"),
    ],
    "check_what_it_needs": [
        ("a mask", "has a mask"),
        ("positions", "positions"),
        ("more layers", "which sentence"),
        ("attention", "OTHER attention"),
        (3, "words are needed"),
    ],
    "check_decoder_only": [
        (lambda layer, x: layer(x), "mask is missing"),
        (lambda layer, x: layer(x, ~causal_mask(x.shape[1])), "inverted"),
        (lambda layer, x: layer(x, causal_mask(x.shape[1]).T), "rows are queries"),
        (lambda layer, x: layer(x, causal_mask(x.shape[1]).tril(-1)), "diagonal"),
        (lambda layer, x: layer(x, causal_mask(x.shape[1])[:1]), "triangle"),
        (lambda layer, x: layer(x, causal_mask(5)), "stops with"),
        (lambda layer, x: x, "call the layer"),
        (lambda layer, x: layer(x, causal_mask(x.shape[1]).float()), "stops with TypeError"),
    ],
}
