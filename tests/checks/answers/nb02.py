import numpy as np
import torch

from helpers.attention import attention, merge_heads, record_attention, split_heads


def head_by_head(x, heads):
    """Cut the rows into heads, then put each word's pieces side by side."""
    rows = x.flatten(1).reshape(len(x), heads, x.size(1), -1)
    return torch.cat([rows[:, head] for head in range(heads)], dim=-1)


def number_by_number(x, heads):
    batch, length, d_model = x.shape
    d_k = d_model // heads
    out = np.zeros(x.shape)
    for b in range(batch):
        numbers = x[b].flatten().tolist()
        for head in range(heads):
            for word in range(length):
                for i in range(d_k):
                    out[b, word, head * d_k + i] = numbers[(head * length + word) * d_k + i]
    return out


def repaired(x, heads):
    return x.reshape(len(x), heads, x.size(1), -1).transpose(1, 2).flatten(2)


def softmax(q, k, v):
    return (q @ k.transpose(-2, -1) / q.size(-1) ** 0.5).softmax(-1) @ v


def heads(q, k, v, number):
    parts = [x.unflatten(-1, (number, -1)).transpose(1, 2) for x in (q, k, v)]
    return softmax(*parts).transpose(1, 2).flatten(2)


def columns_of_each(q, k, v, number):
    """A loop over heads, each with its own columns."""
    return torch.cat([softmax(*parts) for parts in zip(*(x.chunk(number, -1) for x in (q, k, v)),
                                                       strict=True)], -1)  # fmt: skip


def with_weights(q, k, v, number):
    output, weights = attention(*(split_heads(x, number) for x in (q, k, v)))
    return merge_heads(output), weights


def cut_badly(q, k, v, number):
    q, k, v = (x.reshape(len(x), number, x.size(1), -1) for x in (q, k, v))
    return merge_heads(attention(q, k, v)[0])


def merged_badly(q, k, v, number):
    found = attention(*(split_heads(x, number) for x in (q, k, v)))[0]
    return found.reshape(q.shape)


def maps_of(layer, x):
    with record_attention(layer) as maps:
        layer(x, x)
    return maps["attention"].detach()


def recording_on(layer, x):
    found = maps_of(layer, x)[0].argmax(-1)
    layer.attention = lambda *inputs, whole=layer.attention: whole(*inputs)
    return found


def by_hand(layer, x):
    query, key = split_heads(layer.w_q(x), layer.num_heads), layer.keys_values(x)[0]
    return (query @ key.transpose(-2, -1))[0].argmax(-1)


@torch.no_grad()
def in_loops(layer, x):
    return [[max(range(len(row)), key=row.__getitem__) for row in head.tolist()]
            for head in maps_of(layer, x)[0]]  # fmt: skip


RIGHT = {
    "check_doubled_heads": [(1, 1 / 2, 2), [1.0, 0.5, 2.0], torch.tensor([1, 0.5, 2]), "1, 0.5, 2"],
    "check_unscramble": [
        repaired,
        head_by_head,
        number_by_number,
        lambda x, heads: merge_heads(x.view(len(x), heads, x.size(1), x.size(2) // heads)),
        lambda x, heads: repaired(x, heads).tolist(),
    ],
    "check_heads_needed": [(2, 1, 0), [2.0, 1.0, 0.0], np.array([2, 1, 0]), "2, 1, 0"],
    "check_multi_head": [heads, columns_of_each, with_weights],
    "check_strongest": [in_loops, by_hand, lambda layer, x: maps_of(layer, x)[0].argmax(-1).int()],
    "check_did_heads": [
        ("nicht", "nicht", "nicht", "hat"),
        ["Nicht", "Nicht", "Nicht", "Hat"],
        "nicht nicht nicht hat",
    ],
}

WRONG = {
    "check_doubled_heads": [
        ((2, 0.5, 2), "do those grow"),
        ((1, 2, 2), "does each get more"),
        ((1, 1, 2), "has doubled"),
        ((1, 8, 2), "By which factor"),
        ((1, 0.5, 1), "map of its own"),
        ((1, 0.5, 4), "count the maps"),
        ((16640, 0.5, 2), "new divided by old"),
        (2, "3 numbers are needed"),
    ],
    "check_unscramble": [
        (lambda x, h: x, "nothing has changed"),
        (lambda x, h: merge_heads(split_heads(x, h)), "nothing has changed"),
        (lambda x, h: split_heads(x, h), "scrambled already"),
        (lambda x, h: split_heads(x, h).reshape(x.shape), "a second time"),
        (lambda x, h: x.reshape(len(x), h, x.size(1), -1), "now merge them"),
        (lambda x, h: x.reshape(len(x), h, x.size(1), -1).transpose(1, 2), "join the last two"),
        (
            lambda x, h: x.reshape(len(x), h, x.size(1), -1).permute(0, 2, 3, 1).flatten(2),
            "interleaved",
        ),
        (lambda x, h: x.flip(1), "bring the heads back"),
        (lambda x, h: x.transpose(1, 2).view(2, 5, 12), "stops with RuntimeError"),
    ],
    "check_heads_needed": [
        ((1, 1, 0), "which second number"),
        ((0, 1, 0), "give each to a head"),
        ((2, 2, 0), "half of gefunden"),
        ((2, 0, 0), "half of gefunden"),
        ((2, 1, 2), "average of 6, 0 and 7"),
        ((3, 1, 0), "write 1, 2 or 0"),
        (2, "3 numbers are needed"),
    ],
    "check_multi_head": [
        (lambda q, k, v, h: softmax(q, k, v), "one head"),
        (lambda q, k, v, h: heads(q, k / h**0.5, v, h), "√d_model"),
        (lambda q, k, v, h: heads(q, k / (k.size(-1) / h) ** 0.5, v, h), "scaled twice"),
        (lambda q, k, v, h: heads(q, k * (k.size(-1) / h) ** 0.5, v, h), "aren't scaled"),
        (lambda q, k, v, h: heads(q, k, k, h), "split all three"),
        (lambda q, k, v, h: heads(q, k, v, 4), "fits one input|stops with"),
        (cut_badly, "cut by a reshape"),
        (merged_badly, "merged by a reshape"),
        (lambda q, k, v, h: attention(*(split_heads(x, h) for x in (q, k, v)))[0], "still apart"),
    ],
    "check_strongest": [
        (lambda layer, x: maps_of(layer, x)[0], "argmax"),
        (lambda layer, x: maps_of(layer, x)[0].amax(-1), "largest weights"),
        (lambda layer, x: maps_of(layer, x).argmax(-1), "batch"),
        (lambda layer, x: maps_of(layer, x)[0].argmax(-2), "rows are queries"),
        (lambda layer, x: maps_of(layer, x)[0].mean(0).argmax(-1), "averaged"),
        (lambda layer, x: maps_of(layer, x)[0].argmax(-1) + 1, "count from 0"),
        (recording_on, "still records"),
    ],
    "check_did_heads": [
        (("nicht", "nicht", "nicht", "nicht"), "not all of them"),
        (("hat", "nicht", "nicht", "nicht"), "which head is which"),
        (("Frau", "Frau", "Frau", "Frau"), "writes 'woman'"),
        (("<eos>", ".", "nicht", "."), "has read 'did'"),
        (("nicht", "gelesen", "nicht", "gelesen"), "first layer"),
        (("nicht", "hat"), "these are 2"),
        (("nicht",), "four words"),
        (("Buch", "hat", "hat", "hat"), "largest weight"),
        ((7, 7, 7, 1), "words are needed"),
    ],
}
