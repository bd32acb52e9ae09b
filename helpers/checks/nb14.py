"""Checks of notebook 14, real weights."""

from typing import Any

import torch

from helpers.attention import MultiHeadAttention
from helpers.checks import Wrong, ask, attempted, choice, close, exercise, expect


@exercise("14.1")
def check_rows(answer: Any) -> str:
    """Predict: 10 pieces, pad = start = 3, eos 0, unk 1: (rows of ours, our id of their 4)."""
    pair = tuple(attempted(x) for x in answer)
    if pair == (10, 5):
        raise Wrong("their padding is two things for us: padding, and the start of a sentence")
    if pair == (11, 4):
        raise Wrong("0 to 3 are taken by the special ones here; all others move up behind them")
    if pair[0] == 14:
        raise Wrong("the special pieces are among the ten; they move, they do not come on top")
    if pair != (11, 5):
        raise Wrong("one row for each piece, and one more because padding also starts sentences")
    return (
        "ten pieces and a start of its own; their 2 and 4 are the first two behind the special ones"
    )


@exercise("14.2")
def check_halves(answer: Any) -> str:
    """Implement: all sines, then all cosines -> sin, cos, sin, cos, …"""
    table = torch.arange(24.0).view(3, 8)
    right = table[:, [0, 4, 1, 5, 2, 6, 3, 7]]
    got = ask(answer, table.clone())
    if close(got, table):
        raise Wrong("nothing has moved yet")
    if close(got, table[:, [4, 0, 5, 1, 6, 2, 7, 3]]):
        raise Wrong("of each pair the sine, which stands in the first half, should come first")
    if close(got, table[:, [0, 2, 4, 6, 1, 3, 5, 7]]):
        raise Wrong("this is the way there, from alternating to halves")
    if close(got, table[[0, 2, 1]]):
        raise Wrong("a position is a row and stays; it is the columns that move")
    expect(got, right, "the first of each half, the second of each half, and so on")
    return "the same numbers, in another order of columns"


@exercise("14.3")
def check_rms_norm(answer: Any) -> str:
    """Implement RMSNorm: divide each vector by its root mean square, times a weight."""
    x = torch.tensor([[3.0, -1.0, 2.0, 4.0], [1.0, 1.0, -5.0, 0.5], [1e-3, -1e-3, 2e-3, 0.0]])
    weight = torch.tensor([1.0, 2.0, 0.5, 1.0])
    square = x.pow(2).mean(-1, keepdim=True)
    right = x / (square + 1e-6).sqrt() * weight
    got = ask(answer, x.clone(), weight.clone())
    if close(got, torch.nn.functional.layer_norm(x, (4,), weight), 1e-4):
        raise Wrong("that is the layer norm: RMSNorm does not take the mean away")
    if close(got, x / (square + 1e-6) * weight):
        raise Wrong("divide by the square ROOT of the mean square")
    if close(got, x / x.norm(dim=-1, keepdim=True) * weight):
        raise Wrong("that is the length; the MEAN square is the squared length over d_model")
    if close(got, x / (square + 1e-6).sqrt()):
        raise Wrong("the weight is missing")
    if close(got, x / (x.pow(2).mean(0, keepdim=True) + 1e-6).sqrt() * weight):
        raise Wrong("each vector by itself: the mean runs over the last dimension")
    if close(got, x / square.sqrt() * weight, 1e-4) or close(
        got, x / (square.sqrt() + 1e-6) * weight, 1e-3
    ):
        raise Wrong("ε = 1e-6 belongs under the root; it matters for vectors near zero")
    expect(got, right, "x / √(mean of x² + 1e-6) · weight", 1e-4)
    return "no mean, no bias: half of what a layer norm does"


@exercise("14.4")
def check_compare(answer: Any) -> str:
    """Implement: which names are missing and which are unknown, sorted."""
    asked = ["b.bias", "a.bias", "b.weight", "a.weight"]
    found = {"d.weight": 1, "b.weight": 2, "c.weight": 3, "a.weight": 4}
    missing, unknown = ["a.bias", "b.bias"], ["c.weight", "d.weight"]
    got = ask(answer, asked, found)
    if not isinstance(got, list | tuple) or len(got) != 2:
        raise Wrong("a pair of lists is needed: (missing, unknown)")
    if not all(isinstance(part, list | tuple | set) for part in got):
        raise Wrong("each half of the pair is a list of names")
    ordered = tuple(sorted(part) for part in got)
    if ordered == (unknown, missing):
        raise Wrong("swapped: missing is what we ask for and the file does not have")
    if ordered == (missing, []):
        raise Wrong("a weight that nobody asked for is an error too: it would be lost silently")
    if ordered != (missing, unknown):
        raise Wrong("missing: asked for, not found; unknown: found, not asked for")
    if tuple(list(part) for part in got) != ordered or set in map(type, got):
        raise Wrong("the names are right; sort them, so that a message says the same each time")
    return "two lists: with both empty, every number has found its place"


check_quiz = choice(
    "14.5",
    "b",
    {
        "a": "by 1e-6 or so, and in float64 by 1e-14; this is four digits more",
        "b": "compare the output of each layer, and the first that differs is where to look",
        "c": "it might, and you would never know what was wrong",
        "d": "they may, and still be worse than they should: looking at a few proves nothing",
    },
)


@exercise("14.6")
def check_into_ours(answer: Any) -> str:
    """Implement: the weights of nn.MultiheadAttention into our MultiHeadAttention."""
    torch.manual_seed(0)
    theirs, ours = torch.nn.MultiheadAttention(8, 2, batch_first=True), MultiHeadAttention(8, 2)
    torch.nn.init.normal_(theirs.in_proj_bias)  # they start at zero, where nobody misses them
    torch.nn.init.normal_(theirs.out_proj.bias)
    before = theirs.in_proj_weight.detach().clone()
    x, context = torch.randn(2, 3, 8), torch.randn(2, 5, 8)
    got = ask(answer, theirs, ours)
    if not isinstance(got, MultiHeadAttention):
        raise Wrong(f"return ours, a MultiHeadAttention, not {type(got).__name__}")
    if not torch.equal(theirs.in_proj_weight, before):
        raise Wrong("theirs has changed: copy, and leave the original as it is")
    blocks = dict(zip(("w_q", "w_k", "w_v"), theirs.in_proj_weight.chunk(3), strict=True))
    for name, block in {**blocks, "w_o": theirs.out_proj.weight}.items():
        mine = getattr(got, name).weight
        if torch.equal(mine, block.T):
            raise Wrong(
                f"{name} is transposed: both are nn.Linear inside, (out, in), and fit as they are"
            )
        for other, weight in blocks.items():
            if torch.equal(mine, weight) and other != name:
                raise Wrong(f"{name} got the rows of {other}: torch packs q, k, v in this order")
        if not torch.equal(mine, block):
            third = dict(zip(blocks, ("first", "second", "last"), strict=True)).get(name)
            place = f"the {third} third of in_proj_weight" if third else "out_proj"
            raise Wrong(f"{name}.weight is not theirs yet: it is {place}")
    with torch.no_grad():
        right = theirs(x, context, context)[0].clone()
        if not close(got(x, context), right):
            raise Wrong("the weights are right, the biases not: in_proj_bias is packed like them")
        for parameter in theirs.parameters():
            parameter.zero_()
        if not close(got(x, context), right):
            raise Wrong("ours changes when theirs does: copy the numbers, do not share them")
    return "one matrix cut in three, and every bias with it"
