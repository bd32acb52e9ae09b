import numpy as np
import torch


def block(m, head, heads):
    return torch.arange(m.size(-1)) // (m.size(-1) // heads) == head


def in_numpy(merged, head, heads):
    merged, width = merged.numpy(), merged.size(-1) // heads
    alone = np.zeros_like(merged)
    alone[:, :, head * width : (head + 1) * width] = merged[:, :, head * width : (head + 1) * width]
    return alone


def by_parts(merged, head, heads):
    parts = list(merged.chunk(heads, -1))
    return torch.cat([p if i == head else 0 * p for i, p in enumerate(parts)], -1)


def halves(memory, real, middle=lambda n: (n + 1) // 2):
    both = []
    for vectors, words in zip(memory, real, strict=True):
        vectors = vectors[words]
        half = middle(len(vectors))
        both.append(torch.stack([vectors[:half].mean(0), vectors[half:].mean(0)]))
    return torch.stack(both)


def in_loops(memory, real):
    out = []
    for vectors, words in zip(memory.tolist(), real.tolist(), strict=True):
        kept = [v for v, word in zip(vectors, words, strict=True) if word]
        half = (len(kept) + 1) // 2
        columns = [list(zip(*part, strict=True)) for part in (kept[:half], kept[half:])]
        out.append([[sum(column) / len(column) for column in part] for part in columns])
    return out


def by_weights(memory, real):
    """One matrix product: each mean is a row of shares."""
    place, length = real.cumsum(1), real.sum(1, keepdim=True)
    first = real & (place <= (length + 1) // 2)
    shares = torch.stack([first, real & ~first], dim=1).float()
    return (shares / shares.sum(-1, keepdim=True)) @ memory


def of_the_batch(m, real):
    half = (m.size(1) + 1) // 2
    return torch.stack([m[:, :half].mean(1), m[:, half:].mean(1)], dim=1)


RIGHT = {
    "check_steps_back": [10, 10.0, "10", (10,), torch.tensor(10)],
    "check_only_head": [
        in_numpy,
        by_parts,
        lambda m, head, n: m.masked_fill(~block(m, head, n), 0.0),
        lambda m, head, n: (m * block(m, head, n)).tolist(),
        lambda m, head, n: m.double() * block(m, head, n),
    ],
    "check_two_means": [halves, in_loops, by_weights, lambda m, real: halves(m, real).numpy()],
}

WRONG = {
    "check_steps_back": [
        (0, "every state"),
        (1, "one step leads"),
        (12, "from the last state"),
        (11, "earliest state"),
        (9, "earliest state"),
        (3, "three states are seen"),
        (13, "11, 12 and 13"),
        ("ten", "one number"),
        ((10, 12), "one number"),
    ],
    "check_only_head": [
        (lambda m, head, n: m * (torch.arange(m.size(-1)) % n == head), "neighbouring"),
        (lambda m, head, n: m * ~block(m, head, n), "silences that head"),
        (lambda m, head, n: m * (torch.arange(m.size(-1)) == head), "one column"),
        (lambda m, head, n: m * block(m, head - 1, n), "counts from 0"),
        (lambda m, head, n: m * block(m, head + 1, n), "counts from 0"),
        (lambda m, head, n: m * (torch.arange(m.size(-1)) // n == head), "width of a head"),
        (lambda m, head, n: m * (torch.arange(m.size(-1)) // 4 == 1), "fits one input"),
        (lambda m, head, n: m * 0, "everything is silent"),
        (lambda m, head, n: m, "nothing is silent"),
        (lambda m, head, n: m[..., block(m, head, n)], "shape"),
    ],
    "check_two_means": [
        (lambda m, real: halves(m, real, lambda n: n // 2), "odd number"),
        (of_the_batch, "padding gets into"),
        (lambda m, real: halves(m, real).flip(1), "wrong way round"),
        (lambda m, real: halves(m, real, lambda n: n).nan_to_num()[:, [0, 0]], "one mean, twice"),
        (lambda m, real: halves(m, real)[:, 0], "shape"),
        (lambda m, real: halves(m, real).flatten(1), "shape"),
    ],
}
