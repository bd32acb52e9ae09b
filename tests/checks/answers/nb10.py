import numpy as np
import torch

from helpers.decoding import nucleus


def best(divisor, pick=max):
    def winner(totals, lengths, penalty):
        scores = [t / divisor(n, penalty) for t, n in zip(totals, lengths, strict=True)]
        return scores.index(pick(scores)), pick(scores)

    return winner


def divisor(n, p):
    return ((5 + n) / 6) ** p


def vectorised(totals, lengths, penalty):
    scores = torch.tensor(totals) / ((5 + torch.tensor(lengths)) / 6) ** penalty
    return scores.argmax(), scores.max()


def in_numpy(totals, lengths, penalty):
    scores = np.array(totals) / ((5 + np.array(lengths)) / 6) ** penalty
    return [np.argmax(scores), scores.max()]


def sorted_nucleus(p, top_p):
    values, order = p.sort(descending=True)
    values[values.cumsum(0) - values >= top_p] = 0
    kept = torch.zeros_like(p)
    kept[order] = values
    return kept / kept.sum()


def nucleus_in_numpy(p, top_p):
    p, kept, total = p.numpy(), np.zeros(len(p)), 0.0
    for i in np.argsort(-p):
        if total >= top_p:
            break
        kept[i] = p[i]
        total += p[i]
    return kept / kept.sum()


def one_too_few(p, top_p):
    values, order = p.sort(descending=True)
    kept = torch.zeros_like(p)
    kept[order] = values * (values.cumsum(0) <= top_p)
    return kept / kept.sum()


def from_below(p, top_p):
    values, order = p.sort()
    kept = torch.zeros_like(p)
    kept[order] = values * (values.cumsum(0) - values < top_p)
    return kept / kept.sum()


def writes(ask, limit, start=(1,), newest=False, keep_end=False, stop=True, pick=torch.argmax):
    ids = list(start)
    for _ in range(limit):
        word = int(pick(ask(ids[-1:] if newest else ids)))
        ids.append(word)
        if word == 2 and stop:
            break
    said = ids[len(start) :]
    return said if keep_end or said[-1:] != [2] else said[:-1]


def never_appends(ask, limit):
    ids = [1]
    while len(ids) <= limit:
        word = ask(ids).argmax()
        if word == 2:
            break
    return ids[1:]


def recursive(ask, limit, ids=(1,)):
    word = int(ask(list(ids)).argmax())
    if limit == 0 or word == 2:
        return []
    return [word, *recursive(ask, limit - 1, (*ids, word))] if limit > 1 else [word]


RIGHT = {
    "check_key_counts": [(6, 72), [6, 72], np.array([6.0, 72.0]), "6, 72"],
    "check_winner": [best(divisor), vectorised, in_numpy, lambda *case: list(vectorised(*case))],
    "check_nucleus": [
        sorted_nucleus,
        nucleus_in_numpy,
        lambda p, top_p: nucleus(p[None], top_p)[0],
        lambda p, top_p: sorted_nucleus(p, top_p).tolist(),
    ],
    "check_greedy": [
        writes,
        recursive,
        lambda ask, n: tuple(map(float, writes(ask, n))),
        lambda ask, n: torch.tensor(writes(ask, n)),
        lambda ask, n: np.array(writes(ask, n)),
        lambda ask, n: iter(writes(ask, n)),
        lambda ask, n: writes(lambda ids: ask(torch.tensor(ids)), n),
    ],
}

WRONG = {
    "check_key_counts": [
        ((72, 6), "other way round"),
        ((1, 12), "one layer"),
        ((72, 72), "without a cache"),
        ((12, 72), "once is enough"),
        ((6, 12), "count layers"),
        (72, "2 numbers are needed"),
        ((..., 72), "not attempted"),
    ],
    "check_winner": [
        (best(divisor, min), "largest, nearest to zero"),
        (best(lambda n, p: 1), "length doesn't count"),
        (best(lambda n, p: n**p), "length itself"),
        (best(lambda n, p: n), "length itself"),
        (best(lambda n, p: (5 + n) ** p), "the 6 is missing"),
        (best(lambda n, p: n ** (p / 2)), "divide each total"),
        (best(lambda n, p: ((5 + n) / 6) ** (p / 2)), "exponent is the penalty itself"),
        (best(lambda n, p: (5 + n) / 6), "exponent is the penalty itself"),
        (best(lambda n, p: 1 / divisor(n, p)), "DIVIDE"),
        (lambda t, n, p: (1 if p else 0, t[1 if p else 0]), "divide each total"),
        (lambda t, n, p: (1, best(divisor)(t, n, p)[1]), "divide each total|fits one"),
        (lambda *case: best(divisor)(*case)[::-1], "first the index"),
        (lambda *case: best(divisor)(*case)[0], "return a pair"),
        (lambda t, n, p: t, "return a pair"),
    ],
    "check_nucleus": [
        (lambda p, top_p: p * (sorted_nucleus(p, top_p) > 0), "sum to 1"),
        (one_too_few, "crosses top_p"),
        (lambda p, top_p: (p == p.max()).float(), "REACH top_p"),
        (lambda p, top_p: p, "nothing is cut"),
        (from_below, "LEAST"),
        (
            lambda p, top_p: p * (p.cumsum(0) - p < top_p) / (p * (p.cumsum(0) - p < top_p)).sum(),
            "in their own order",
        ),
        (lambda p, top_p: sorted_nucleus(p, top_p).sort(descending=True).values, "own place"),
        (lambda p, top_p: sorted_nucleus(p, top_p + 1e-4), "one word too many"),
        (lambda p, top_p: torch.tensor([0, 0.6, 0, 0.4, 0]), "fits one input and not another"),
        (lambda p, top_p: sorted_nucleus(p, top_p).nonzero(), "shape"),
    ],
    "check_greedy": [
        (lambda ask, n: writes(ask, n, keep_end=True), "isn't a word of it"),
        (lambda ask, n: [1, *writes(ask, n)], "leave <bos> out"),
        (lambda ask, n: writes(ask, n, newest=True), "newest"),
        (lambda ask, n: writes(ask, n, stop=False), "goes on"),
        (lambda ask, n: writes(ask, 9), "max_words = 4"),
        (lambda ask, n: writes(ask, 999, stop=False), "never stops"),
        (lambda ask, n: writes(ask, 999), "never stops"),
        (never_appends, "never stops"),
        (lambda ask, n: ask(torch.tensor([[1]])), "without a batch"),
        (lambda ask, n: ask([[1]]), "without a batch"),
        (lambda ask, n: ask([torch.tensor([1, 2])]), "without a batch"),
        (lambda ask, n: writes(ask, n, start=[]), r"\[BOS\] alone"),
        (lambda ask, n: writes(ask, n, pick=lambda x: int(x.argsort()[-2])), "largest logit"),
        (lambda ask, n: [7, 5, 7], "never calls"),
        (lambda ask, n: ask([1]) is not None and [7, 5, 7], "largest logit"),
        (lambda ask, n: str(writes(ask, n)), "flat list"),
        (lambda ask, n: [] if ask([1]) is not None else [], "nothing was written"),
        (lambda ask, n: writes(ask, n)[1:], "the first word is missing"),
        (lambda ask, n: writes(ask, n)[:-1], "the last word is missing"),
        (lambda ask, n: [writes(ask, n)], "flat list"),
    ],
}
