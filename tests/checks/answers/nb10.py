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


def updates(append=lambda old, new: torch.cat([old, new], 2), grow=True, recompute=False):
    """The update of a cache; the options are mistakes."""

    def update(kept, keys_values, context, grows):
        if kept is None or (recompute and not grows):
            return keys_values(context)
        if grows if grow is True else grow == "always":
            return [append(old, new) for old, new in zip(kept, keys_values(context), strict=True)]
        return kept

    return update


def in_numpy(kept, keys_values, context, grows):
    if kept is not None and not grows:
        return [part.numpy() for part in kept]
    new = [part.numpy() for part in keys_values(context)]
    return (
        new if kept is None else [np.concatenate(both, 2) for both in zip(kept, new, strict=True)]
    )


def one_by_one(kept, keys_values, context, grows):
    """Asks for the keys and for the values separately, and begins with nothing."""
    if kept and not grows:
        return kept
    keys, values = keys_values(context)[0], keys_values(context)[1]
    old_keys, old_values = kept or (keys[:, :, :0], values[:, :, :0])
    return torch.cat((old_keys, keys), -2), torch.cat((old_values, values), -2)


def only_keys(kept, keys_values, context, grows, part=0):
    if kept is None or not grows:
        return kept or keys_values(context)
    got = list(keys_values(context))
    got[part] = torch.cat([kept[part], got[part]], 2)
    return got


RIGHT = {
    "check_key_counts": [(6, 72), [6, 72], np.array([6.0, 72.0]), "6, 72"],
    "check_update": [updates(), in_numpy, one_by_one],
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
    "check_update": [
        (updates(lambda old, new: new), "only the newest word's"),
        (lambda kept, keys_values, context, grows: keys_values(context), "only the newest word's"),
        (updates(grow="never"), "newest word's keys and values are missing"),
        (lambda kept, f, c, grows: updates()(kept, f, c, not grows), "missing"),
        (updates(grow="always"), "nothing is appended"),
        (updates(recompute=True), "computed again in every step"),
        (updates(lambda old, new: torch.cat([new, old], 2)), "the order"),
        (updates(lambda old, new: torch.cat([old, new], 0)), "another dimension"),
        (updates(lambda old, new: torch.cat([old, new], 1)), "another dimension"),
        (updates(lambda old, new: torch.cat([old, new], -1)), "another dimension"),
        (updates(lambda old, new: torch.cat([old[:, :, :1], new], 2)), "keep the old ones|shape"),
        (updates(lambda old, new: old + new), "append the newest word's|shape"),
        (only_keys, "the values have to be appended"),
        (lambda *args: only_keys(*args, part=1), "the keys have to be appended"),
        (lambda *args: updates()(*args)[::-1], "keys first"),
        (lambda kept, f, c, grows: [x * 2 for x in f(c)], "in the first step"),
        (
            lambda kept, f, c, grows: f(c) if kept is None else None,
            "not attempted yet, or a return is missing",
        ),
        (lambda kept, f, c, grows: torch.cat([kept[0], f(c)[0]]), "TypeError"),
        (lambda kept, f, c, grows: torch.stack(f(c)), "return a pair"),
        (lambda kept, f, c, grows: f(c)[0], "return a pair"),
        (lambda kept, f, c, grows: ("keys", "values"), "a tensor each"),
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
