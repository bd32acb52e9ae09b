import math

import numpy as np
import torch


def softmax(scores, axis=-1):
    powers = np.exp(scores - scores.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


def scores_of(q, k):
    return q @ k.T / np.sqrt(q.shape[-1])


def in_loops(query, key, value):
    """Row by row and number by number, as lists."""
    out = []
    for q in query.tolist():
        powers = []
        for k in key.tolist():
            powers.append(math.exp(sum(a * b for a, b in zip(q, k, strict=True)) / len(q) ** 0.5))
        shares = [p / sum(powers) for p in powers]
        columns = zip(*value.tolist(), strict=True)
        out.append([sum(s * v for s, v in zip(shares, c, strict=True)) for c in columns])
    return out


def in_torch(q, k, v):
    return torch.nn.functional.scaled_dot_product_attention(*map(torch.from_numpy, (q, k, v)))


def in_place(q, k, v):
    q /= np.sqrt(q.shape[-1])
    scores = np.exp(q @ k.T)
    scores /= scores.sum(-1, keepdims=True)
    return scores @ v


def minus_infinity(length):
    scores = np.full((length, length), -np.inf)
    scores[0, 0] = 0
    scores[np.arange(1, length), np.arange(length - 1)] = 0
    return scores


def fixed(length):
    return 10.0 * np.eye(4, k=-1)


def all_hidden(length):
    scores = minus_infinity(length)
    scores[0] = -np.inf
    return scores


def knows_order(f, order=(3, 0, 5, 1, 4, 2), moved=True, exactly=False):
    x, order = np.random.default_rng(0).normal(size=(6, 3)), list(order)
    one, other = f(x[order]), f(x)[order] if moved else f(x)
    return not (np.array_equal(one, other) if exactly else np.allclose(one, other))


def with_nine_words(f):
    x, order = np.random.default_rng(0).normal(size=(9, 4)), np.arange(9)
    order[[0, 1, 4]] = order[[4, 0, 1]]
    return not np.allclose(f(x[order]), f(x)[order])


def with_tensors(f):
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    return (torch.as_tensor(f(x.flip(0)[[1, 0, 2, 3, 4]])) - torch.as_tensor(f(x)).flip(0)[
        [1, 0, 2, 3, 4]
    ]).abs().max() > 1e-6  # fmt: skip


RIGHT = {
    "check_empty_query": [
        (1 / 4, 1 / 4, 2 / 4),
        (0.25, (0.25, 0.5)),
        [0.25, np.array([0.25, 0.5])],
        torch.tensor([0.25, 0.25, 0.5]),
        "0.25, 0.25, 0.5",
        ("0.25", "0.25", "0.5"),
    ],
    "check_attention_by_hand": [
        in_loops,
        in_torch,
        in_place,
        lambda q, k, v: (softmax(scores_of(q, k)) @ v, softmax(scores_of(q, k))),
        lambda q, k, v: (softmax(scores_of(q, k)) @ v).astype(np.float32),
        lambda q, k, v: np.stack([softmax(scores_of(row, k)) @ v for row in q]),
    ],
    "check_copying_scores": [
        minus_infinity,
        lambda n: [[10.0 * (s == t - 1) for s in range(n)] for t in range(n)],
        lambda n: torch.diag(torch.full((n - 1,), 10), -1),
        lambda n: -5.0 * np.abs(np.arange(n) - np.arange(n)[:, None] + 1),
    ],
    "check_order_test": [
        with_nine_words,
        with_tensors,
        lambda f: np.bool_(knows_order(f)),
        lambda f: torch.tensor(knows_order(f)),
        lambda f: int(knows_order(f)),
    ],
}

WRONG = {
    "check_empty_query": [
        ((1, 1, 2), "divide by the sum"),
        ((0.81, 0.81, 0.1), r"query \(2, 0\)"),
        ((1, 1, 0), "nobody gets everything"),
        ((0, 0, 0), "isn't a share of 0"),
        ((25, 0.25, 0.5), "percentage"),
        ((100, 1, 0), "percentage"),
        ((0.33, 0.33, 0.67), "looks at itself"),
        ((0.5, 0.5, 0.5), "equal scores"),
        ((0.25, 0.5, 0.25), "other way round"),
        ((0.25, 0.25, 0.25), "both have the value"),
        ((0.25, 0.33, 0.67), "takes a quarter"),
        ((0.25, (1, 2)), "multiply by the weights"),
        ((0.25, 0.75, 0.5), "mean of all four"),
        (0.25, r"3 numbers are needed.*the weight, the output's first, its second.*this is one"),
        ((0.25, 0.25), "these are 2"),
        ((0.25, 0.25, 0.5, 1), "these are 4"),
        ({0.25, 0.5}, "keep them in order"),
        (("a quarter", 0.25, 0.5), "one number is needed"),
        (({}, 0.25, 0.5), "one number is needed"),
    ],
    "check_attention_by_hand": [
        (lambda q, k, v: softmax(q @ k.T) @ v, "aren't divided"),
        (lambda q, k, v: softmax(q @ k.T / q.shape[-1]) @ v, "square root"),
        (lambda q, k, v: softmax(q @ k.T / 4) @ v, "differ from softmax"),
        (lambda q, k, v: softmax(scores_of(q, k), axis=0) @ v, "wrong axis"),
        (lambda q, k, v: softmax(scores_of(q, k), axis=None) @ v, "wrong axis"),
        (lambda q, k, v: softmax(q @ k.T, axis=0) @ v, "wrong axis"),
        (lambda q, k, v: softmax(q @ k.T / len(q) ** 0.5) @ v, "width of a query"),
        (lambda q, k, v: scores_of(q, k) @ v, "softmax is missing"),
        (lambda q, k, v: softmax(scores_of(q, k)), "these are the weights"),
        (lambda q, k, v: scores_of(q, k), "these are the scores"),
        (lambda q, k, v: softmax(q @ k.T / 2) @ v, "fits one input and not another"),
        (lambda q, k, v: np.full((len(q), v.shape[1]), np.nan), "NaN"),
        (lambda q, k, v: (q @ k).sum(), "stops with ValueError"),
        (lambda q, k, v: "words", "numbers are needed here, but this is a str"),
        (lambda: 1, "stops with TypeError"),
        (np.zeros((3, 2)), "a function is needed"),
    ],
    "check_copying_scores": [
        (lambda n: 10 * np.eye(n, k=1), "NEXT"),
        (lambda n: np.eye(n, k=-1), "larger differences"),
        (lambda n: 10 * np.eye(n), "column t - 1"),
        (lambda n: 10 * np.eye(n - 1), r"\(4, 4\)"),
        (fixed, r"for 7 words.*\(7, 7\), yours are \(4, 4\)"),
        (all_hidden, "nowhere to look"),
        (lambda n: np.full((n, n), -np.inf), "nowhere to look"),
        (lambda n: np.where(np.eye(n, k=-1) > 0, np.inf, 0), "softmax NaN"),
        (lambda n: np.full((n, n), np.nan), "softmax NaN"),
        (lambda n: "10", "numbers are needed"),
    ],
    "check_order_test": [
        (lambda f: knows_order(f, moved=False), "move along"),
        (lambda f: knows_order(f, exactly=True), "allow for rounding"),
        (lambda f: knows_order(f, order=(3, 0, 5, 1, 4)), "keep every word"),
        (lambda f: knows_order(f, order=range(5, -1, -1)), "read backwards"),
        (lambda f: not knows_order(f), "swapped"),
        (lambda f: True, "True for every f"),
        (lambda f: False, "False for every f"),
        (lambda f: "True", "the text 'True'"),
        (lambda f: f(np.ones((3, 2))) == f(np.ones((3, 2))), r"one True or False.*\(3, 2\)"),
    ],
}
