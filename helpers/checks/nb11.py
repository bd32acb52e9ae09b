"""Checks of notebook 11, why cross-attention."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from helpers.checks import Wrong, choice, exercise, expect_like
from helpers.checks.reading import words
from helpers.lessons.wirings import WIRINGS


@exercise("11.1")
def check_least_gradient(answer: Any) -> str:
    """Predict: which untrained model passes the least gradient to the first source word?"""
    said = " ".join(words(answer))
    names = [name for name in WIRINGS if name in said]
    if said == "recurrent" or (said.startswith("recurrent") and "attention" not in said):
        return "a dozen steps back, each making the gradient smaller"
    if "none" in names:
        raise Wrong("that one passes none at all, to any word; the question is who has a path")
    if names and names[-1] in ("mean", "shuffled"):
        raise Wrong(f"{names[-1]!r} divides the gradient, but evenly: one step from each position")
    if "recurrent" in names:
        raise Wrong("it has the long path as well, but its attention is a short one beside it")
    if names:
        raise Wrong("attention reaches every position in one step; which model needs many?")
    raise Wrong(f"name one of {', '.join(WIRINGS)}")


def _without(columns: Callable[[Tensor, int, int], Tensor]) -> Callable:
    """The merged heads with some columns at zero: columns(numbers of all, head, num_heads)."""

    def silence(merged: Tensor, head: int, num_heads: int) -> Tensor:
        return merged * ~columns(torch.arange(merged.size(-1)), head, num_heads)

    return silence


@exercise("11.2")
def check_zero_head(answer: Any) -> str:
    """Implement: silence one head in the merged output (batch, target, d_model)."""

    def block(column: Tensor, head: int, heads: int) -> Tensor:
        return column // (len(column) // heads) == head

    expect_like(
        answer,
        _without(block),
        [
            (torch.arange(1.0, 25.0).view(1, 2, 12), 1, 3),
            (torch.arange(1.0, 49.0).view(2, 3, 8), 3, 4),
            (torch.arange(1.0, 13.0).view(2, 1, 6), 0, 2),
        ],
        {
            "a head owns neighbouring columns, not every third one (see merge_heads)": (
                _without(lambda c, head, heads: c % heads == head)
            ),
            "this keeps that head and silences the others": (
                _without(lambda c, head, heads: ~block(c, head, heads))
            ),
            "that is one column; a head has d_k = d_model / num_heads of them": (
                _without(lambda c, head, heads: c == head)
            ),
            "`head` is an index and counts from 0; you silence the one before it": (
                _without(lambda c, head, heads: block(c, head - 1, heads))
            ),
            "`head` is an index and counts from 0; you silence the one after it": (
                _without(lambda c, head, heads: block(c, head + 1, heads))
            ),
            "num_heads isn't the width of a head: that is d_k = d_model / num_heads": (
                _without(lambda c, head, heads: c // heads == head)
            ),
            "everything is silent": lambda merged, head, heads: merged * 0,
            "nothing is silent yet": lambda merged, head, heads: merged,
            "that zeroes a position; heads are columns, in the last dimension": (
                lambda merged, head, heads: (
                    merged * (torch.arange(merged.size(1)) != head)[None, :, None]
                )
            ),
        },
        "columns head · d_k up to (head + 1) · d_k are zero, all others stay",
    )
    return "four columns of twelve: the head is silent, the others as before"


@exercise("11.3")
def check_pooled(answer: Any) -> str:
    """Implement: the mean of a memory over real positions only."""
    memory = torch.tensor(
        [[[1.0, 2.0], [3.0, 6.0], [8.0, 8.0]], [[2.0, 0.0], [7.0, 7.0], [9.0, 9.0]]]
    )
    real = torch.tensor([[True, True, False], [True, False, False]])
    other = torch.tensor([[True, True, True, False], [True, False, False, False], [True] * 4])

    def over(denominator: Callable[[Tensor], Any]) -> Callable:
        def pooled(memory: Tensor, real: Tensor) -> Tensor:
            return (memory * real[..., None]).sum(1, keepdim=True) / denominator(real)

        return pooled

    right = over(lambda real: real.sum(1)[:, None, None])
    expect_like(
        answer,
        right,
        [(memory, real), (torch.arange(60.0).view(3, 4, 5) ** 1.5, other)],
        {
            "padding is averaged in: a longer batch would change the vector": (
                lambda memory, real: memory.mean(1, keepdim=True)
            ),
            "padding is zeroed but still counted in the number you divide by": (
                over(lambda real: real.size(1))
            ),
            "you divide by the real positions of the whole batch; each sentence has its own": (
                over(lambda real: real.sum())
            ),
            "you divide by the real positions of the longest sentence; each has its own": (
                over(lambda real: real.sum(1).max())
            ),
            "this is the sum; divide it by the number of real positions": over(lambda real: 1),
            "you divide by the number of sentences; divide by how many positions are real": (
                over(lambda real: real.size(0))
            ),
            "the numbers are right; keep a source axis of length 1 for the keys": (
                lambda memory, real: right(memory, real)[:, 0]
            ),
            "the whole batch is averaged into one vector; each sentence has its own": (
                lambda memory, real: memory[real].mean(0).expand(len(memory), 1, -1)
            ),
        },
        "sum the real positions, divide by how many there are",
    )
    return "one vector, whatever the length: the bottleneck in one line"


check_quiz = choice(
    "11.4",
    "b",
    {
        "a": "perhaps, but its neighbours in the memory may know the same; only hiding it tells",
        "b": "that, and no more: what is mixed in isn't yet what is needed",
        "c": "often, but a map shows where the model looked, not what that means",
        "d": "a mean of 0.9 says that most do; single heads may differ",
    },
)
