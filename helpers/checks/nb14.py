"""Checks of notebook 14, real weights."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from helpers.attention import MultiHeadAttention
from helpers.checks import Wrong, ask, choice, close, exercise, expect_like
from helpers.checks.reading import numbers, pair


@exercise("14.1")
def check_rows(answer: Any) -> str:
    """Predict: 10 pieces, pad = start = 3, eos 0, unk 1: (rows of ours, our id of their 4)."""
    rows, place = numbers(answer, "rows", "our id of their 4")
    if (rows, place) == (5, 11):
        raise Wrong("the other way round: first the rows, then the id")
    if (rows, place) == (10, 5):
        raise Wrong("their padding is two things for us: padding, and the start of a sentence")
    if (rows, place) == (11, 4):
        raise Wrong("0 to 3 are taken by the special ones here; all others come after them")
    if rows == 14:
        raise Wrong("the special pieces are among the ten; they move, they don't come on top")
    if (rows, place) == (11, 6):
        raise Wrong("counted from 0: our 0 to 3 are special, and their 2 comes before their 4")
    if (rows, place) != (11, 5):
        raise Wrong("one row for each piece, and one more because padding also starts sentences")
    return (
        "ten pieces and a start of its own; their 2 and 4 are the first two after the special ones"
    )


@exercise("14.2")
def check_halves(answer: Any) -> str:
    """Implement: all sines, then all cosines -> sin, cos, sin, cos, …"""

    def alternating(table: Tensor, first: int = 0) -> Tensor:
        halves = table.chunk(2, 1)
        return torch.stack([halves[first], halves[1 - first]], -1).flatten(1)

    def wave(length: int, width: int) -> Tensor:
        return torch.arange(float(length * width)).view(length, width)

    expect_like(
        answer,
        alternating,
        [(wave(3, 8),), (wave(2, 6),), (wave(4, 10),)],
        {
            "nothing has moved yet": lambda table: table,
            "of each pair the sine, which is in the first half, should come first": (
                lambda table: alternating(table, 1)
            ),
            "this is the way there, from alternating to halves": (
                lambda table: torch.cat([table[:, 0::2], table[:, 1::2]], 1)
            ),
            "the halves have changed places; they should be dealt out one by one": (
                lambda table: torch.cat(table.chunk(2, 1)[::-1], 1)
            ),
            "a position is a row and stays; it is the columns that move": (
                lambda table: table[[0, *range(2, len(table)), 1]],
                lambda table: (
                    torch.stack(table.chunk(2, 0), 1).flatten(0, 1)
                    if len(table) % 2 == 0
                    else table
                ),
            ),
            "put each sine BESIDE its cosine: stack along a new last dimension, then flatten": (
                lambda table: torch.stack(table.chunk(2, 1), 1).flatten(1)
            ),
        },
        "the first of each half, the second of each half, and so on",
    )
    return "the same numbers, with the columns in another order"


def _rms(along: Any = -1, eps: float = 1e-6, root: float = 0.5, weighted: bool = True) -> Callable:
    """RMSNorm with one thing changed."""

    def norm(x: Tensor, weight: Tensor) -> Tensor:
        square = x.pow(2).mean(along, keepdim=True)
        return x / (square + eps) ** root * (weight if weighted else 1.0)

    return norm


@exercise("14.3")
def check_rms_norm(answer: Any) -> str:
    """Implement RMSNorm: divide each vector by its root mean square, times a weight."""
    x = torch.tensor([[3.0, -1.0, 2.0, 4.0], [1.0, 1.0, -5.0, 0.5], [1e-3, -1e-3, 2e-3, 0.0]])
    batch = torch.tensor(
        [[[1.0, 2.0], [-3.0, 0.5], [2e-3, 1e-3]], [[4.0, 1.0], [0.1, 0.3], [1, 9]]]
    )
    other_axes = (0, 1, (0, 1), None)
    expect_like(
        answer,
        _rms(),
        [(x, torch.tensor([1.0, 2.0, 0.5, 1.0])), (batch, torch.tensor([0.5, 3.0]))],
        {
            "that is the layer norm: RMSNorm doesn't subtract the mean": tuple(
                lambda x, w, eps=eps: torch.nn.functional.layer_norm(x, (len(w),), w, None, eps)
                for eps in (1e-5, 1e-6)
            ),
            "divide by the square ROOT of the mean square": _rms(root=1.0),
            "that is the length; the MEAN square is the squared length over d_model": (
                lambda x, w: x / x.norm(dim=-1, keepdim=True) * w,
                lambda x, w: x / (x.pow(2).sum(-1, keepdim=True) + 1e-6).sqrt() * w,
            ),
            "the weight is missing": _rms(weighted=False),
            "each vector by itself: the mean runs over the last dimension, dim=-1": tuple(
                _rms(axes, eps) for axes in other_axes for eps in (1e-6, 0.0)
            ),
            "multiply by the weight, don't divide": lambda x, w: _rms()(x, 1 / w),
            "ε = 1e-6 belongs under the root; it matters for vectors near zero": (
                _rms(eps=0.0),
                lambda x, w: x / (x.pow(2).mean(-1, keepdim=True).sqrt() + 1e-6) * w,
            ),
            "that is another ε; a vector near zero shows it, and here it is 1e-6": (
                _rms(eps=1e-5),
                _rms(eps=1e-8),
                _rms(eps=1e-12),
                _rms(eps=torch.finfo(torch.float32).eps),  # the default of torch's own RMSNorm
            ),
        },
        "x / √(mean of x² + 1e-6) · weight",
        tolerance=1e-4,
    )
    return "no mean, no bias: half of what a layer norm does"


@exercise("14.4")
def check_compare(answer: Any) -> str:
    """Implement: which names are missing and which are unknown, sorted."""
    cases = (
        (
            ["b.bias", "a.bias", "b.weight", "a.weight"],
            {"d.weight": 1, "b.weight": 2, "c.weight": 3, "a.weight": 4},
        ),
        (["x", "y"], {"y": 1, "x": 2}),
        (["z", "m", "k"], {"k": 1, "q": 2}),
    )
    for asked, found in cases:
        missing = sorted(name for name in asked if name not in found)
        unknown = sorted(name for name in found if name not in asked)
        got = pair(ask(answer, asked, found), "(missing, unknown)")
        lists = [part for part in got if isinstance(part, list | tuple | set | dict)]
        if len(lists) < 2 or not all(isinstance(name, str) for part in lists for name in part):
            raise Wrong("each half of the pair should be a list of names")
        sets = [set(part) for part in got]
        if sets == [set(unknown), set(missing)] != sets[::-1]:
            raise Wrong("swapped: missing is what we ask for and the file doesn't have")
        if sets == [set(missing), set()] and unknown:
            raise Wrong(
                "a weight that nobody asked for is an error as well: it would be lost silently"
            )
        if sets == [set(), set(unknown)] and missing:
            raise Wrong("a weight that we ask for and the file doesn't have would stay random")
        if sets != [set(missing), set(unknown)]:
            raise Wrong("missing: asked for, not found; unknown: found, not asked for")
        if [list(part) for part in got] != [missing, unknown] or {set, dict} & {*map(type, got)}:
            raise Wrong("the names are right; sort them, so that a message is always the same")
    return "two lists: with both empty, every number has found its place"


check_quiz = choice(
    "14.5",
    "b",
    {
        "a": "they differ by 1e-6 or so, and in float64 by 1e-14; this is four digits more",
        "b": "compare the output of each layer, and the first that differs is where to look",
        "c": "it might, and you would never know what was wrong",
        "d": "they may, and still be worse than they should: looking at a few proves nothing",
    },
)


@exercise("14.6")
def check_into_ours(answer: Any) -> str:
    """Implement: the weights of nn.MultiheadAttention into our MultiHeadAttention."""
    torch.manual_seed(0)
    for width, heads in ((8, 2), (6, 3)):
        _check_one_layer(answer, width, heads)
    return "one matrix cut in three, and every bias with it"


def _check_one_layer(answer: Any, width: int, heads: int) -> None:
    theirs = torch.nn.MultiheadAttention(width, heads, batch_first=True)
    ours = MultiHeadAttention(width, heads)
    torch.nn.init.normal_(theirs.in_proj_bias)  # they start at zero, where a lost one won't show
    torch.nn.init.normal_(theirs.out_proj.bias)
    before = theirs.in_proj_weight.detach().clone()
    x, context = torch.randn(2, 3, width), torch.randn(2, 5, width)
    got = ask(answer, theirs, ours)
    if not isinstance(got, MultiHeadAttention):
        raise Wrong(f"return ours, a MultiHeadAttention, not {type(got).__name__}")
    if not torch.equal(theirs.in_proj_weight, before):
        raise Wrong("theirs has changed: copy, and leave the original as it is")
    blocks = dict(zip(("w_q", "w_k", "w_v"), theirs.in_proj_weight.chunk(3), strict=True))
    for name, block in {**blocks, "w_o": theirs.out_proj.weight}.items():
        mine = getattr(got, name).weight
        if close(mine, block.T):
            raise Wrong(
                f"{name} is transposed: both are nn.Linear inside, (out, in), and fit as they are"
            )
        for other, weight in blocks.items():
            if close(mine, weight) and other != name:
                raise Wrong(f"{name} got the rows of {other}: torch packs q, k, v in this order")
        if not close(mine, block):
            third = dict(zip(blocks, ("first", "second", "last"), strict=True)).get(name)
            place = f"the {third} third of in_proj_weight" if third else "out_proj"
            raise Wrong(f"{name}.weight is not theirs yet: it is {place}")
    with torch.no_grad():
        right = theirs(x, context, context)[0].clone()
        if not close(got(x, context), right):
            raise Wrong(
                "the weights are right, the biases aren't: in_proj_bias is packed like them"
            )
        for parameter in theirs.parameters():
            parameter.zero_()
        if not close(got(x, context), right):
            raise Wrong("ours changes when theirs does: copy the numbers, don't share them")
