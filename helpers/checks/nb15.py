"""Checks of notebook 15, cross-attention everywhere."""

from typing import Any

import torch

from helpers.checks import Wrong, ask, attempted, choice, close, exercise, expect
from helpers.lessons.attention_variants import rotate


@exercise("15.1")
def check_map_shape(answer: Any) -> str:
    """Predict: 40 by 40 pixels, patches of 8, 4 heads, 7 words: the shape of one layer's map."""
    shape = tuple(attempted(x) for x in answer)
    if shape == (4, 7, 25):
        raise Wrong("one query more: the last row writes <eos>")
    if shape == (4, 25, 8):
        raise Wrong("rows are queries, the words; columns are keys, the patches")
    if shape == (4, 8, 5):
        raise Wrong("5 patches a side make 5 times 5 of them")
    if shape == (4, 8, 1600):
        raise Wrong("keys are patches, not pixels")
    if shape == (4, 8, 8):
        raise Wrong("that would be self-attention among the words")
    if shape != (4, 8, 25):
        raise Wrong("(heads, queries, keys): words and <eos> ask, patches are asked")
    return "eight rows that write, twenty-five columns that are seen"


@exercise("15.2")
def check_patches(answer: Any) -> str:
    """Implement: an image (3, 6, 6) into patches of 2: (9, 12), row by row, channel by channel."""
    image = torch.arange(108.0).view(3, 6, 6)
    grid = image.unfold(1, 2, 2).unfold(2, 2, 2)  # (3, 3, 3, 2, 2): channel, row, column, p, p
    right = grid.permute(1, 2, 0, 3, 4).reshape(9, 12)
    got = ask(answer, image.clone(), 2)
    if close(got, image.reshape(9, 12)):
        raise Wrong(
            "a plain reshape cuts lines, not squares: bring rows and columns in front first"
        )
    if close(got, grid.permute(2, 1, 0, 3, 4).reshape(9, 12)):
        raise Wrong("these go column by column; text is read row by row, and so is the caption")
    if close(got, grid.permute(1, 2, 3, 4, 0).reshape(9, 12)):
        raise Wrong("the right patches; inside one, all of red comes first, then green, then blue")
    expect(got, right, "patch 0 is the upper left square, patch 1 the one to its right")
    return "nine squares of twelve numbers: a sentence of nine words"


@exercise("15.3")
def check_cache_numbers(answer: Any) -> str:
    """Implement: how many numbers the cross-attention cache of one sentence holds."""
    got = ask(answer, 6, 100, 64, 8)  # layers, source, d_k, groups
    right = 6 * 2 * 100 * 64 * 8
    if got == right // 2:
        raise Wrong("keys AND values are kept")
    if got == right // 6:
        raise Wrong("every decoder layer makes its own")
    if got == right // 8:
        raise Wrong("that is one group; there are eight")
    if got != right:
        raise Wrong("layers times keys and values times source times groups times d_k")
    few = ask(answer, 6, 100, 64, 2)
    if few != right // 4:
        raise Wrong("with a quarter of the groups it should be a quarter")
    return f"{right:,} numbers with eight groups, {right // 4:,} with two"


@exercise("15.4")
def check_rotation(answer: Any) -> str:
    """Implement: turn one pair of numbers (…, 2) by an angle of `position` radians."""
    x = torch.tensor([[1.0, 0.0], [0.5, -2.0]])
    got = ask(answer, x.clone(), 0.7)
    right = rotate(x, torch.tensor([0.7, 0.7]))
    if close(got, rotate(x, torch.tensor([-0.7, -0.7]))):
        raise Wrong("the other way round: the first number becomes x cos - y sin")
    if close(got, x + 0.7):
        raise Wrong("that adds the position; a rotation keeps the length of the pair")
    if close(got, x * torch.tensor([0.7]).cos()):
        raise Wrong("both numbers of the pair mix: cos and sin are needed")
    expect(got, right, "(x cos p - y sin p, x sin p + y cos p)")
    return "turned, not stretched: dot products know only differences of positions"


check_quiz = choice(
    "15.5",
    "c",
    {
        "a": "those are asked: they are the memory, keys and values",
        "b": "there is no photograph; the picture is being made",
        "c": "each place asks the prompt what should be there",
        "d": "a step is a whole pass of the network",
    },
)
