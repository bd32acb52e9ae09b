"""Checks of notebook 11, why cross-attention."""

from typing import Any

import torch

from helpers.checks import Wrong, ask, choice, close, exercise, expect
from helpers.lessons.wirings import WIRINGS


@exercise("11.1")
def check_least_gradient(answer: Any) -> str:
    """Predict: which untrained model passes the least gradient to the first source word?"""
    if answer == "none":
        raise Wrong("that one passes none at all, to any word; the question is who has a path")
    if answer in ("mean", "shuffled"):
        raise Wrong(f"{answer!r} divides the gradient, but evenly: one step from every position")
    if answer == "recurrent with cross-attention":
        raise Wrong("it has the long way as well, but its attention is a short one beside it")
    if answer in WIRINGS and answer != "recurrent":
        raise Wrong("attention reaches every position in one step; which model needs many?")
    if answer != "recurrent":
        raise Wrong(f"name one of {', '.join(WIRINGS)}")
    return "a dozen steps back, each making the gradient smaller"


@exercise("11.2")
def check_zero_head(answer: Any) -> str:
    """Implement: silence one head in the merged output (batch, target, d_model)."""
    merged = torch.arange(1.0, 25.0).view(1, 2, 12)
    right = merged.clone()
    right[..., 4:8] = 0
    interleaved = merged.clone()
    interleaved[..., 1::3] = 0
    got = ask(answer, merged.clone(), 1, 3)
    others = merged - right
    if close(got, interleaved):
        raise Wrong("a head owns neighbouring columns, not every third one (see merge_heads)")
    if close(got, others):
        raise Wrong("this keeps that head and silences the others")
    one_column = merged.clone()
    one_column[..., 1] = 0
    if close(got, one_column):
        raise Wrong("that is one column; a head has d_k = d_model / num_heads of them")
    expect(got, right, "columns head · d_k up to (head + 1) · d_k are zero, all others stay")
    return "four columns of twelve: the head says nothing, the others as before"


@exercise("11.3")
def check_pooled(answer: Any) -> str:
    """Implement: the mean of a memory over real positions only."""
    memory = torch.tensor(
        [[[1.0, 2.0], [3.0, 6.0], [8.0, 8.0]], [[2.0, 0.0], [7.0, 7.0], [9.0, 9.0]]]
    )
    real = torch.tensor([[True, True, False], [True, False, False]])
    got = ask(answer, memory, real)
    right = torch.tensor([[[2.0, 4.0]], [[2.0, 0.0]]])
    if close(got, memory.mean(1, keepdim=True)):
        raise Wrong("padding is averaged in: a longer batch would change the vector")
    if close(got, (memory * real[..., None]).mean(1, keepdim=True)):
        raise Wrong("padding is zeroed but still counted in the number you divide by")
    if close(got, right[:, 0]):
        raise Wrong("the numbers are right; keep a source axis of length 1 for the keys")
    expect(got, right, "sum the real positions, divide by how many there are")
    return "one vector, whatever the length: the bottleneck in one line"


check_quiz = choice(
    "11.4",
    "b",
    {
        "a": "perhaps; neighbours in the memory may know the same. Only hiding it tells",
        "b": "that, and no more: what is mixed in is not yet what is needed",
        "c": "often, but a map shows where was looked, not what it means",
        "d": "a mean of 0.9 says most do; single heads may differ",
    },
)
