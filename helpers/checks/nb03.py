"""Checks of notebook 03, masks."""

from typing import Any

import torch
from torch import Tensor

from helpers.checks import Wrong, ask, attempted, choice, exercise
from helpers.masks import causal_mask, padding_mask


def _same(got: object, wanted: Tensor) -> bool:
    return isinstance(got, Tensor) and got.dtype == torch.bool and torch.equal(got, wanted)


@exercise("3.1")
def check_zero_row(answer: Any) -> str:
    """Predict: which row of the output is zero, and how many weights of a causal map of 5 are 0."""
    hidden, zeros = (int(x) for x in answer)
    if zeros in (15, 20):
        raise Wrong("15 weights are allowed in a causal map of 5 by 5; how many are not?")
    if zeros != 10:
        raise Wrong("above the diagonal: 4 + 3 + 2 + 1 + 0")
    if hidden != 0:
        raise Wrong("under a causal mask even the first position may look at itself")
    return "every position sees itself, so no row is empty; 10 of 25 weights are hidden"


@exercise("3.2")
def check_decoder_mask(answer: Any) -> str:
    """Implement: the mask of the decoder's self-attention for ids (batch, target)."""
    ids = torch.tensor([[1, 7, 8, 9], [1, 7, 0, 0]])
    got = ask(answer, ids)
    right = padding_mask(ids) & causal_mask(4)
    if not isinstance(got, Tensor) or got.dtype != torch.bool:
        raise Wrong("a mask is a boolean tensor: & of two boolean tensors stays boolean")
    if _same(got, ~right):
        raise Wrong("this is True where looking is HIDDEN: our convention is True = may attend")
    if _same(got, padding_mask(ids) | causal_mask(4)):
        raise Wrong("`|` allows what either mask allows; both have to allow it")
    if _same(got, causal_mask(4)) or _same(got, causal_mask(4).expand(2, 1, 4, 4)):
        raise Wrong("the padding of the second sentence may still be looked at")
    if _same(got, padding_mask(ids)):
        raise Wrong("the future may still be looked at: the causal mask is missing")
    if not _same(got.expand(2, 1, 4, 4) if got.dim() == 4 else got, right):
        raise Wrong(f"it should broadcast to {tuple(right.shape)}, yours is {tuple(got.shape)}")
    return "a real token, and not later than the one that looks"


@exercise("3.3")
def check_leak_test(answer: Any) -> str:
    """Write a test: True for a function that leaks the future, False for one that does not."""

    def honest(x: Tensor) -> Tensor:
        return x.cumsum(1)

    def leaky(x: Tensor) -> Tensor:
        return x.flip(1).cumsum(1).flip(1)

    def leaks_by_mean(x: Tensor) -> Tensor:
        return x + x.mean(1, keepdim=True)

    got = [bool(attempted(ask(answer, f))) for f in (honest, leaky, leaks_by_mean)]
    if got == [True, False, False]:
        raise Wrong("the verdicts are swapped: return True when the future leaks")
    if got[0]:
        raise Wrong("a running sum never sees the future, but your test says that it leaks")
    if not got[1]:
        raise Wrong("a sum over the future passes: change a LATER token, compare EARLIER outputs")
    if not got[2]:
        raise Wrong("a mean over all positions passes; compare all earlier positions")
    return "change the future, compare the past"


check_quiz = choice(
    "3.4",
    "b",
    {
        "a": "they are computed and then masked; nothing is saved here",
        "b": "it would learn to copy the answer instead of finding it",
        "c": "padding has its own mask; the triangle hides real words",
        "d": "softmax does not care how many columns there are",
    },
)


@exercise("3.5")
def check_for_torch(answer: Any) -> str:
    """Translate: (key_padding_mask, attn_mask) of a decoder's ids, as torch wants them."""
    ids = torch.tensor([[1, 7, 8, 9], [1, 7, 0, 0]])
    got = ask(answer, ids)
    if not isinstance(got, tuple | list) or len(got) != 2:
        raise Wrong("a pair is needed: (key_padding_mask, attn_mask)")
    if not all(isinstance(m, Tensor) and m.dtype == torch.bool for m in got):
        raise Wrong("both masks are boolean tensors")
    pad, future = ids == 0, ~causal_mask(4)
    shapes = tuple(got[0].shape), tuple(got[1].shape)
    if shapes == ((4, 4), (2, 4)):
        raise Wrong("swapped: the first has a row per sentence, the second a row per query")
    if shapes != ((2, 4), (4, 4)):
        raise Wrong(f"torch wants (batch, source) and (target, source), yours are {shapes}")
    if _same(got[0], ~pad):
        raise Wrong("key_padding_mask is True where there is padding, so that it is HIDDEN")
    if _same(got[1], ~future):
        raise Wrong("in attn_mask True means HIDDEN: this one hides the past and shows the future")
    if _same(got[1], future | torch.eye(4, dtype=torch.bool)):
        raise Wrong("a word may look at itself: the diagonal is not hidden")
    if not _same(got[0], pad) or not _same(got[1], future):
        raise Wrong("True at padding, and True above the diagonal")
    return "the same two facts, said the other way round"
