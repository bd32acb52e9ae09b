import numpy as np
import torch


def block(m, head, heads):
    return torch.arange(m.size(-1)) // (m.size(-1) // heads) == head


def in_numpy(merged, head, heads):
    merged, width = merged.numpy(), merged.size(-1) // heads
    merged[:, :, head * width : (head + 1) * width] = 0
    return merged


def by_parts(merged, head, heads):
    parts = list(merged.chunk(heads, -1))
    parts[head] = torch.zeros_like(parts[head])
    return torch.cat(parts, -1)


def sentence_by_sentence(memory, real):
    return torch.stack([m[r].mean(0, keepdim=True) for m, r in zip(memory, real, strict=True)])


def in_loops(memory, real):
    out = []
    for vectors, words in zip(memory.tolist(), real.tolist(), strict=True):
        kept = [v for v, word in zip(vectors, words, strict=True) if word]
        out.append([[sum(column) / len(kept) for column in zip(*kept, strict=True)]])
    return out


def over(m, real, by):
    return (m * real[..., None]).sum(1, keepdim=True) / by


RIGHT = {
    "check_least_gradient": [
        "recurrent",
        "Recurrent",
        " RECURRENT. ",
        ("recurrent",),
        ["Recurrent"],
    ],
    "check_zero_head": [
        in_numpy,
        by_parts,
        lambda m, head, n: m.masked_fill(block(m, head, n), 0.0),
        lambda m, head, n: (m * ~block(m, head, n)).tolist(),
        lambda m, head, n: m.double() * ~block(m, head, n),
    ],
    "check_pooled": [
        sentence_by_sentence,
        in_loops,
        lambda m, real: (real.float() / real.sum(1, keepdim=True))[:, None] @ m,
        lambda m, real: np.stack([x[r].numpy().mean(0)[None] for x, r in zip(m, real)]),  # noqa: B905
        lambda m, real: m.masked_fill(~real[..., None], torch.nan).nanmean(1, keepdim=True),
    ],
}

WRONG = {
    "check_least_gradient": [
        ("none", "none at all"),
        ("Mean", "evenly"),
        ("shuffled", "evenly"),
        ("full", "one step"),
        ("layer by layer", "one step"),
        ("Recurrent with cross-attention", "the long path as well"),
        ("lstm", "name one of"),
        (0, "words are needed"),
    ],
    "check_zero_head": [
        (lambda m, head, n: m * (torch.arange(m.size(-1)) % n != head), "neighbouring"),
        (lambda m, head, n: m * block(m, head, n), "keeps that head"),
        (lambda m, head, n: m * (torch.arange(m.size(-1)) != head), "one column"),
        (lambda m, head, n: m * ~block(m, head - 1, n), "counts from 0"),
        (lambda m, head, n: m * ~block(m, head + 1, n), "counts from 0"),
        (lambda m, head, n: m * (torch.arange(m.size(-1)) // n != head), "width of a head"),
        (lambda m, head, n: m * (torch.arange(m.size(-1)) // 4 != 1), "fits one input"),
        (lambda m, head, n: m * 0, "everything is silent"),
        (lambda m, head, n: m, "nothing is silent"),
        (lambda m, head, n: m[..., ~block(m, head, n)], "shape"),
    ],
    "check_pooled": [
        (lambda m, real: m.mean(1, keepdim=True), "padding is averaged"),
        (lambda m, real: over(m, real, m.size(1)), "still counted"),
        (lambda m, real: over(m, real, real.sum()), "whole batch"),
        (lambda m, real: over(m, real, real.sum(1).max()), "longest sentence"),
        (lambda m, real: over(m, real, len(m)), "number of sentences"),
        (lambda m, real: over(m, real, 1), "this is the sum"),
        (lambda m, real: over(m, real, real.sum(1)[:, None, None])[:, 0], "source axis"),
        (lambda m, real: m[real].mean(0).expand(len(m), 1, -1), "into one vector"),
        (lambda m, real: m[real].mean(0), "shape"),
    ],
}
