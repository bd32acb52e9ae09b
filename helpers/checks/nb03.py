"""Checks of notebook 03, masks."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from helpers.checks import Wrong, ask, choice, exercise, shown
from helpers.checks.reading import numbers, pair, verdict, words
from helpers.masks import causal_mask

_IDS = (
    torch.tensor([[1, 7, 8, 9], [1, 7, 0, 0]]),
    torch.tensor([[1, 7, 0, 0, 0], [1, 7, 8, 9, 5], [1, 7, 8, 9, 0]]),
)


def _boolean(mask: Any) -> Tensor:
    if not isinstance(mask, Tensor):
        raise Wrong(f"a mask is a boolean tensor; this is of type {type(mask).__name__}")
    if mask.dtype != torch.bool:
        raise Wrong(f"a mask is a boolean tensor, True or False in each cell; yours: {mask.dtype}")
    return mask


@exercise("3.1")
def check_zero_row(answer: Any) -> str:
    """Predict: padding before the sentence, & the triangle; empty rows, and entries False of 25."""
    empty, hidden = numbers(answer, "empty rows", "entries that are False")
    if (empty, hidden) == (19, 2):
        raise Wrong("the other way round: first the empty rows, then the entries")
    if hidden == 6:
        raise Wrong("6 entries are True; how many of the 25 aren't?")
    if hidden == 10:
        raise Wrong("that is the triangle alone; with &, the padding mask has to say yes as well")
    if hidden == 13:
        raise Wrong("that is padding at the end; here the two pads come first")
    if hidden == 18:
        raise Wrong("a pad may not look at itself either: its column is hidden from every row")
    if hidden != 19:
        raise Wrong("hide the first two columns, and of the rest all that is above the diagonal")
    if empty == 0:
        raise Wrong("the first row may look at nothing but itself, and it is padding")
    if empty != 2:
        raise Wrong("a row is empty if all that it could see up to the diagonal is padding")
    return "padding in front leaves the two pads nothing to look at; 19 of the 25 entries are False"


@exercise("3.2")
def check_sorted_masks(answer: Any) -> str:
    """Sort: which of five masks belongs to which situation, a letter for each mask in order."""
    letters = "".join(words(answer))
    if len(letters) != 5 or not set(letters) <= set("abcde"):
        raise Wrong(
            f"five letters from a to e are needed, one for each mask; this is {shown(answer)}"
        )
    if len(set(letters)) < 5:
        twice = next(letter for letter in letters if letters.count(letter) > 1)
        raise Wrong(f"{twice} comes twice, but every letter occurs once")
    if letters == "ebacd":
        raise Wrong("the other way round: start from the masks, and give the letter of each")
    if letters[0] != "c":
        raise Wrong("mask 1 isn't square, so its queries and its keys come from two sentences")
    if letters[1] != "b":
        raise Wrong("mask 2: which situation needs a triangle, and hides a pad besides?")
    if letters[3] != "e":
        raise Wrong("mask 4: its last row may look at nothing at all; whose row is that?")
    if letters[2:] != "dea":
        raise Wrong("masks 3 and 5 differ in the last cell: in mask 3 the pad may look at "
                    "itself, as the triangle allows and the padding mask forbids")  # fmt: skip
    return "the shape, the triangle and the last column tell them apart"


@exercise("3.3")
def check_leak_test(answer: Any) -> str:
    """Write a test: True for a function that leaks the future, False for one that does not."""

    def first_hears_third(x: Tensor) -> Tensor:
        y = x.clone()
        y[:, :1] += x[:, 2:3].sum(1, keepdim=True)
        return y

    functions: dict[str, Callable[[Tensor], Tensor]] = {
        "a running sum": lambda x: x.cumsum(1),
        "each position alone": lambda x: x * x,
        "a sum over the future": lambda x: x.flip(1).cumsum(1).flip(1),
        "a mean over all positions": lambda x: x + x.mean(1, keepdim=True),
        "each with its next": lambda x: x + torch.cat([x[:, 1:], x[:, -1:]], 1),
        "the first with the third": first_hears_third,
    }
    leaks = [name not in ("a running sum", "each position alone") for name in functions]

    def of_numbers(function: Callable) -> Callable:  # a test may be made of ids
        return lambda x: function(torch.as_tensor(x).double())

    got = [verdict(answer, of_numbers(function)) for function in functions.values()]
    if got == [not leak for leak in leaks]:
        raise Wrong("the verdicts are swapped: return True when the future leaks")
    if all(got) or got[0]:
        raise Wrong("a running sum never sees the future, but your test says that it leaks")
    if got[1]:
        raise Wrong("what a position does alone is not a leak: leave out the one that you changed")
    if not any(got) or not got[2]:
        raise Wrong("a sum over the future passes: change a LATER token, compare EARLIER outputs")
    if not got[3]:
        raise Wrong("a mean over all positions passes; compare all earlier positions")
    if not got[4]:
        raise Wrong("a position that sees just its next one passes: compare right up to the change")
    if not got[5]:
        raise Wrong("a leak from the third token into the first passes: change EVERY later token")
    return "change the future, compare the past"


check_quiz = choice(
    "3.4",
    "b",
    {
        "a": "they are computed and then masked; nothing is saved here",
        "b": "it would learn to copy the answer instead of finding it",
        "c": "padding has its own mask; the triangle hides real words",
        "d": "softmax doesn't care how many columns there are",
    },
)


@exercise("3.5")
def check_for_torch(answer: Any) -> str:
    """Translate: (key_padding_mask, attn_mask) of a decoder's ids, as torch wants them."""
    for ids in _IDS:
        first, second = map(_boolean, pair(ask(answer, ids), "(key_padding_mask, attn_mask)"))
        padding, future = ids == 0, ~causal_mask(ids.size(1))
        shapes = tuple(first.shape), tuple(second.shape)
        if shapes == (future.shape, padding.shape):
            raise Wrong("swapped: the first has a row for each sentence, the second for each query")
        if shapes != (padding.shape, future.shape):
            wanted = f"{tuple(padding.shape)} and {tuple(future.shape)}"
            raise Wrong(f"torch wants (batch, source) and (target, source), {wanted}; yours are "
                        f"{shapes[0]} and {shapes[1]}")  # fmt: skip
        if torch.equal(first, ~padding):
            raise Wrong("key_padding_mask is True where there is padding, because True is HIDDEN")
        if torch.equal(second, ~future) or torch.equal(second, future.T):
            raise Wrong("in attn_mask True means HIDDEN: this one hides the past, not the future")
        if torch.equal(second, future | torch.eye(len(future), dtype=torch.bool)):
            raise Wrong("a word may look at itself: don't hide the diagonal")
        if not torch.equal(first, padding):
            raise Wrong("key_padding_mask should be True at padding, and only there")
        if not torch.equal(second, future):
            raise Wrong("attn_mask should be True above the diagonal, and only there")
    return "the same two facts, said the other way round"
