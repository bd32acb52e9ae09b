import numpy as np
import torch

from helpers.attention import attention, merge_heads, record_attention, split_heads


def head_by_head(x):
    return torch.cat([x[:, head] for head in range(x.size(1))], dim=-1)


def number_by_number(x):
    batch, heads, length, d_k = x.shape
    out = np.zeros((batch, length, heads * d_k))
    for head in range(heads):
        out[:, :, head * d_k : (head + 1) * d_k] = x[:, head].numpy()
    return out


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
    "check_parameters": [(16640, 16640), [16640.0, 16640], torch.tensor([16640, 16640])],
    "check_merge": [
        head_by_head,
        number_by_number,
        lambda x: x.permute(0, 2, 1, 3).reshape(len(x), x.size(2), -1),
        lambda x: x.transpose(1, 2).flatten(2).tolist(),
        lambda x: x.transpose_(1, 2).flatten(2),
    ],
    "check_two_places": [
        [[1, 0, 0], [0, 0, 1]],
        ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0)),
        np.array([[1, 0, 0], [0, 0, 1]]),
        torch.tensor([[1.0, 0, 0], [0, 0, 1]], requires_grad=True),
        torch.tensor([[True, False, False], [False, False, True]]),
        [torch.tensor([1.0, 0, 0]), torch.tensor([0, 0, 1.0])],
    ],
    "check_multi_head": [heads, columns_of_each, with_weights],
    "check_strongest": [in_loops, by_hand, lambda layer, x: maps_of(layer, x)[0].argmax(-1).int()],
}

WRONG = {
    "check_parameters": [
        ((16384, 16384), "also has a bias"),
        ((12480, 12480), "W_O is missing"),
        ((4160, 4160), "one of the four"),
        ((16640, 133120), "does the size change"),
        ((16640, 2080), "does the size change"),
        (16640, "2 numbers are needed"),
        ((1, 1), "count W_Q"),
    ],
    "check_merge": [
        (lambda x: x.reshape(len(x), x.size(2), -1), "mixes words"),
        (lambda x: x.reshape(2, 5, 12), "mixes words"),
        (lambda x: x.permute(0, 2, 3, 1).flatten(2), "interleaved"),
        (lambda x: x.mean(1), "averaged"),
        (lambda x: x.sum(1), "added up"),
        (lambda x: x.transpose(1, 2), "join the last two"),
        (lambda x: x, r"should be \(2, 5, 12\), yours is \(2, 3, 5, 4\)"),
        (lambda x: x.transpose(1, 2).view(2, 5, 12), "stops with RuntimeError"),
    ],
    "check_two_places": [
        ([[0.5, 0, 0.5]] * 2, "look alike"),
        ([[1, 1, 0], [0, 0, 1]], "sum to 1"),
        ([[0, 0, 1], [1, 0, 0]], "each other's word: head 1 owns column 1, head 2 column 2"),
        ([[0, 1 / 7, 6 / 7], [0, 0, 1]], "gets you less"),
        ([[2, -1, 0], [0, 0, 1]], "never negative"),
        ([[1, 0], [0, 0], [0, 1]], "a row for each head"),
        ([1, 0, 0], r"\(2, 3\), yours is \(3,\)"),
        ([[0, 1, 0], [0, 0, 1]], "fetch the 6"),
        ("heads", "numbers are needed"),
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
}
