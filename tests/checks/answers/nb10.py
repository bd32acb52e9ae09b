import numpy as np
import torch

from helpers.decoding import nucleus


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


def log_softmax(logits):
    return logits - logits.exp().sum().log()


def looks(ask, limit, after=1.0, own=1.0, score=log_softmax, eos=False, both=False, keep_end=False):
    """One word ahead, for all candidates at once in a list; the options are mistakes."""
    said = []
    while len(said) < limit:
        first = score(ask([1, *said]))
        nexts = [score(ask([1, *said, w])) for w in range(len(first))]
        totals = [
            own * float(first[w]) + (after * float(nexts[w].max()) if w != 2 or eos else 0.0)
            for w in range(len(first))
        ]
        word = int(np.argmax(totals))
        if word == 2:
            return [*said, 2] if keep_end else said
        said.append(word)
        if both and len(said) < limit:
            if int(nexts[word].argmax()) == 2:
                return said
            said.append(int(nexts[word].argmax()))
    return said


def recursive(ask, limit, ids=(1,)):
    if limit == 0:
        return []
    totals = ask(list(ids)).log_softmax(-1)
    for word in (0, 1, 3, 4, 5, 6):
        totals[word] += ask([*ids, word]).log_softmax(-1).max()
    word = totals.argmax().item()
    return [] if word == 2 else [word, *recursive(ask, limit - 1, (*ids, word))]


def multiplied(ask, limit):
    """With probabilities in the place of their logarithms."""
    said = []
    for _ in range(limit):
        p = ask([1, *said]).double().softmax(-1)
        for word in range(7):
            p[word] *= ask([1, *said, word]).double().softmax(-1).max() if word != 2 else 1
        if p.argmax() == 2:
            break
        said.append(p.argmax())
    return said


def never_appends(ask, limit):
    ids = [1]
    while len(ids) <= limit:
        if ask(ids).argmax() == 2:
            break
    return ids[1:]


RIGHT = {
    "check_key_counts": [(6, 72), [6, 72], np.array([6.0, 72.0]), "6, 72"],
    "check_winners": ["bca", "b, c, a", ("b", "c", "a"), ["B", "C", "A"]],
    "check_nucleus": [
        sorted_nucleus,
        nucleus_in_numpy,
        lambda p, top_p: nucleus(p[None], top_p)[0],
        lambda p, top_p: sorted_nucleus(p, top_p).tolist(),
    ],
    "check_look_ahead": [
        looks,
        recursive,
        multiplied,
        lambda ask, n: tuple(map(float, looks(ask, n))),
        lambda ask, n: torch.tensor(looks(ask, n)),
        lambda ask, n: np.array(looks(ask, n)),
        lambda ask, n: iter(looks(ask, n)),
        lambda ask, n: looks(lambda ids: ask(torch.tensor(ids)), n),
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
    "check_winners": [
        ("acb", "other way round"),
        ("abb", "closest to 0"),
        ("bbb", "divide before you compare"),
        ("cca", "to the power of 0"),
        ("baa", "by the last column"),
        ("bcc", "square the last column"),
        ("bc", "three letters"),
        ("bcd", "three letters"),
        (3, "in quotes"),
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
    "check_look_ahead": [
        (lambda ask, n: looks(ask, n, after=0), "that is greedy decoding"),
        (lambda ask, n: looks(ask, n, own=0), "own log-probability is missing"),
        (lambda ask, n: looks(ask, n, score=lambda x: x), "logits of two steps"),
        (lambda ask, n: looks(ask, n, score=lambda x: x.softmax(-1)), "multiply"),
        (lambda ask, n: looks(ask, n, eos=True), "nothing comes after <eos>"),
        (lambda ask, n: looks(ask, n, both=True), "one word in each step"),
        (lambda ask, n: looks(ask, n, keep_end=True), "leave it out"),
        (lambda ask, n: [1, *looks(ask, n)], "leave <bos> out"),
        (lambda ask, n: looks(ask, n - 1), "one word too few"),
        (lambda ask, n: looks(ask, n + 1), "one word too many"),
        (lambda ask, n: looks(ask, 39), "if no <eos> comes"),
        (lambda ask, n: looks(ask, 999), "never stops|if no <eos> comes"),
        (never_appends, "never stops"),
        (lambda ask, n: looks(lambda ids: ask(ids[-1:]), n), "<bos> included and first"),
        (lambda ask, n: looks(lambda ids: ask(ids[1:]), n), "<bos> included and first"),
        (lambda ask, n: ask(torch.tensor([[1]])), "without a batch"),
        (lambda ask, n: ask([[1]]), "without a batch"),
        (lambda ask, n: ask([torch.tensor([1, 2])]), "without a batch"),
        (lambda ask, n: [5, 4, 5], "for each candidate|fits one"),
        (lambda ask, n: looks(ask, n)[:1], "for each candidate"),
        (lambda ask, n: str(looks(ask, n)), "flat list"),
        (lambda ask, n: [looks(ask, n)], "flat list"),
    ],
}
