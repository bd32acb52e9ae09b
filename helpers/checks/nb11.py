"""Checks of notebook 11, why cross-attention."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from helpers.checks import Wrong, choice, exercise, expect_like
from helpers.checks.reading import number


@exercise("11.1")
def check_steps_back(answer: Any) -> str:
    """Predict: the shortest way back to the first of 13 states, if only the last 3 are seen."""
    steps = number(answer)
    if steps == 0:
        raise Wrong("that is so if attention sees every state, the first one's own included")
    if steps == 1:
        raise Wrong("one step leads from attention to a state it sees; the first isn't one of them")
    if steps == 12:
        raise Wrong("that is the way from the last state; attention sees an earlier one, too")
    if steps in (9, 11):
        raise Wrong("which is the earliest state it sees? Count the steps from there to state 1")
    if steps == 3:
        raise Wrong("three states are seen; how far is the nearest of them from the first?")
    if steps != 10:
        raise Wrong("it sees states 11, 12 and 13; how many steps are there from 11 back to 1?")
    return "from state 11 to state 1: a window of three hardly shortens the way"


@exercise("11.2")
def check_two_means(answer: Any) -> str:
    """Implement: the means of the first and of the second half of the real positions."""
    first = torch.tensor([[True] * 5, [True] * 4 + [False], [True] * 2 + [False] * 3])
    second = torch.tensor([[True] * 3 + [False], [True] * 4])

    def halves(middle: Callable[[int], int], real_only: bool = True) -> Callable:
        def two(memory: Tensor, real: Tensor) -> Tensor:
            pairs = []
            for vectors, words in zip(memory, real, strict=True):
                length = int(words.sum()) if real_only else len(words)
                half = max(1, middle(length))
                both = vectors[:half].mean(0), vectors[half:length].mean(0)
                pairs.append(torch.stack(both))
            return torch.stack(pairs)

        return two

    def boundary_of_the_batch(memory: Tensor, real: Tensor) -> Tensor:
        half = (real.size(1) + 1) // 2
        keep = real[..., None] * memory
        counts = real[:, :half].sum(1), real[:, half:].sum(1).clamp(min=1)
        sums = keep[:, :half].sum(1), keep[:, half:].sum(1)
        return torch.stack([s / c[:, None] for s, c in zip(sums, counts, strict=True)], dim=1)

    right = halves(lambda length: (length + 1) // 2)
    expect_like(
        answer,
        right,
        [
            (torch.arange(30.0).view(3, 5, 2) ** 1.5, first),
            (torch.arange(24.0).view(2, 4, 3) ** 1.3, second),
        ],
        {
            "with an odd number of words, the middle one belongs to the first half": (
                halves(lambda length: length // 2)
            ),
            "padding gets into the halves: divide the real words of each sentence": (
                halves(lambda length: (length + 1) // 2, real_only=False)
            ),
            "the boundary is that of the padded batch; each sentence has its own": (
                boundary_of_the_batch
            ),
            "the halves are the wrong way round": lambda m, real: right(m, real).flip(1),
            "these are the sums of the halves; divide each by its number of words": (
                lambda m, real: (
                    right(m, real)
                    * torch.stack([(real.sum(1) + 1) // 2, real.sum(1) // 2], dim=1)[..., None]
                )
            ),
            "this is one mean, twice; the sentence has two halves": (
                lambda m, real: ((m * real[..., None]).sum(1) / real.sum(1)[:, None])[
                    :, None
                ].expand(-1, 2, -1)
            ),
        },
        "the mean of the first ⌈n/2⌉ real vectors, and that of the others",
    )
    return "two vectors, whatever the length: half a bottleneck"


def _without(columns: Callable[[Tensor, int, int], Tensor]) -> Callable:
    """The merged heads with some columns at zero: columns(numbers of all, head, num_heads)."""

    def silence(merged: Tensor, head: int, num_heads: int) -> Tensor:
        return merged * ~columns(torch.arange(merged.size(-1)), head, num_heads)

    return silence


@exercise("11.3")
def check_only_head(answer: Any) -> str:
    """Implement: silence all heads but one in the merged output (batch, target, d_model)."""

    def block(column: Tensor, head: int, heads: int) -> Tensor:
        return column // (len(column) // heads) == head

    def others(*change: Callable) -> Callable:
        return _without(lambda c, head, heads: ~change[0](c, head, heads))

    expect_like(
        answer,
        others(block),
        [
            (torch.arange(1.0, 25.0).view(1, 2, 12), 1, 3),
            (torch.arange(1.0, 49.0).view(2, 3, 8), 3, 4),
            (torch.arange(1.0, 13.0).view(2, 1, 6), 0, 2),
        ],
        {
            "a head owns neighbouring columns, not every third one (see merge_heads)": (
                others(lambda c, head, heads: c % heads == head)
            ),
            "this silences that head and keeps the others": _without(block),
            "that is one column; a head has d_k = d_model / num_heads of them": (
                others(lambda c, head, heads: c == head)
            ),
            "`head` is an index and counts from 0; you keep the one before it": (
                others(lambda c, head, heads: block(c, head - 1, heads))
            ),
            "`head` is an index and counts from 0; you keep the one after it": (
                others(lambda c, head, heads: block(c, head + 1, heads))
            ),
            "num_heads isn't the width of a head: that is d_k = d_model / num_heads": (
                others(lambda c, head, heads: c // heads == head)
            ),
            "everything is silent": lambda merged, head, heads: merged * 0,
            "nothing is silent yet": lambda merged, head, heads: merged,
            "that keeps a position; heads are columns, in the last dimension": (
                lambda merged, head, heads: (
                    merged * (torch.arange(merged.size(1)) == head)[None, :, None]
                )
            ),
            "keep the shape: the columns of the other heads are zero, not gone": (
                lambda merged, head, heads: merged[..., block(merged[0, 0], head, heads)]
            ),
        },
        "columns head · d_k up to (head + 1) · d_k stay, all others are zero",
    )
    return "four columns of twelve speak, the others are silent"


check_quiz = choice(
    "11.4",
    "b",
    {
        "a": "perhaps, but its neighbours in the memory may know the same; only hiding it tells",
        "b": "that, and no more: even how much came out of it depends on how large the value is",
        "c": "often, but a map shows where the model looked, not what that means",
        "d": "a mean of 0.9 says that most do; single heads may differ",
    },
)
