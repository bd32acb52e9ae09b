"""Checks of notebook 15, cross-attention everywhere."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from helpers.checks import Wrong, ask, choice, exercise, expect_like
from helpers.checks.reading import number, shape


@exercise("15.1")
def check_map_shape(answer: Any) -> str:
    """Predict: 40 by 40 pixels, patches of 8, 4 heads, 7 words: the shape of one layer's map."""
    got = shape(answer)
    if got[:1] == (1,) and len(got) == 4:
        raise Wrong("leave out the batch: one picture's map is (heads, queries, keys)")
    if got == (4, 7, 25):
        raise Wrong("one more query: the last row writes <eos>")
    if got in ((4, 25, 8), (4, 25, 7)):
        raise Wrong("rows are queries, so they are words; columns are keys, so they are patches")
    if got == (4, 8, 5):
        raise Wrong("5 patches along each side make 5 times 5 of them")
    if got == (4, 8, 1600):
        raise Wrong("keys are patches, not pixels")
    if got in ((4, 8, 8), (4, 7, 7)):
        raise Wrong("that would be self-attention among the words")
    if got == (4, 8, 64):
        raise Wrong("64 is the number of pixels in a patch; how many patches are there?")
    if got == (8, 25):
        raise Wrong("every head has a map of its own")
    if got != (4, 8, 25):
        raise Wrong("(heads, queries, keys): a query for each word and <eos>, a key for each patch")
    return "eight queries, and each may look at twenty-five patches"


@exercise("15.2")
def check_patches(answer: Any) -> str:
    """Implement: an image (3, 6, 6) into patches of 2: (9, 12), row by row, channel by channel."""

    def ordered(*order: int) -> Callable:
        """The patches, from dimensions (channel, row, column, row inside, column inside)."""

        def cut(image: Tensor, patch: int) -> Tensor:
            grid = image.unfold(1, patch, patch).unfold(2, patch, patch)
            return grid.permute(*order).reshape(-1, 3 * patch * patch)

        return cut

    right = ordered(1, 2, 0, 3, 4)
    expect_like(
        answer,
        right,
        [(torch.arange(108.0).view(3, 6, 6), 2), (torch.arange(243.0).view(3, 9, 9), 3)],
        {
            "a plain reshape cuts lines, not squares: bring rows and columns to the front first": (
                lambda image, patch: image.reshape(-1, 3 * patch * patch)
            ),
            "these go column by column; they should go row by row, as we read a page": (
                ordered(2, 1, 0, 3, 4)
            ),
            "right patches, but inside each all of red comes first, then green, then blue": (
                ordered(1, 2, 3, 4, 0)
            ),
            "inside a patch, the pixels are read row by row as well": ordered(1, 2, 0, 4, 3),
            "the channels are apart: each patch has its red, green and blue together": (
                ordered(0, 1, 2, 3, 4)
            ),
            "transpose it: there should be a row for each patch": lambda image, patch: (
                right(image, patch).T
            ),
        },
        "patch 0 is the upper left square, patch 1 the one to its right",
    )
    return "nine squares of twelve numbers: a sentence of nine words"


@exercise("15.3")
def check_cache_numbers(answer: Any) -> str:
    """Implement: how many numbers the cross-attention cache of one sentence holds."""
    expect_like(
        answer,
        lambda layers, source, d_k, groups: 2 * layers * source * d_k * groups,
        [(6, 100, 64, 8), (6, 100, 64, 2), (3, 7, 16, 1)],
        {
            "keys AND values are kept": lambda n, s, d, g: n * s * d * g,
            "every decoder layer makes its own": lambda n, s, d, g: 2 * s * d * g,
            "that is one group; every group has keys and values": lambda n, s, d, g: 2 * n * s * d,
            "each of them is a vector of d_k numbers": lambda n, s, d, g: 2 * n * s * g,
            "every source position has its key and its value": lambda n, s, d, g: 2 * n * d * g,
            "with a quarter of the groups, the result should be a quarter as large": (
                lambda n, s, d, g: 2 * n * s * d * 8
            ),
            "that is the size of a map; the cache keeps vectors": lambda n, s, d, g: n * s * s * g,
        },
        "layers times keys and values times source times groups times d_k",
        read=number,
        tolerance=1e-9,
    )
    return "614,400 numbers with eight groups, 153,600 with two"


def _turned(x: Tensor, angle: float) -> Tensor:
    sin, cos = math.sin(angle), math.cos(angle)
    return torch.stack([x[..., 0] * cos - x[..., 1] * sin, x[..., 0] * sin + x[..., 1] * cos], -1)


@exercise("15.4")
def check_rotation(answer: Any) -> str:
    """Implement: turn one pair of numbers (…, 2) by an angle of `place` radians."""
    if not callable(answer):
        ask(answer)

    def any_form(x: Tensor, place: float) -> Any:
        """The place may be a number, a tensor, or one for each row, as `rotate` takes them."""
        first = None
        for form in (place, torch.tensor(place), torch.full((x.size(-2),), place)):
            try:
                return ask(answer, x, form)
            except Wrong as stops:
                first = first or stops
        raise first or Wrong("")

    pairs = torch.tensor([[1.0, 0.0], [0.5, -2.0]])
    expect_like(
        any_form,
        _turned,
        [(pairs, 0.7), (torch.randn(3, 4, 2, generator=torch.Generator().manual_seed(0)), 2.5)],
        {
            "the other way round: the first number becomes x cos - y sin": (
                lambda x, p: _turned(x, -p)
            ),
            "that adds the position; a rotation keeps the length of the pair": lambda x, p: x + p,
            "both numbers of the pair mix: cos and sin are needed": (
                lambda x, p: x * math.cos(p),
                lambda x, p: x * torch.tensor([math.cos(p), math.sin(p)]),
            ),
            "`place` is in radians already": (
                lambda x, p: _turned(x, math.radians(p)),
                lambda x, p: _turned(x, math.degrees(p)),
            ),
            "the second number is mixed from the first one's NEW value: keep the old one": (
                lambda x, p: torch.stack(
                    [
                        _turned(x, p)[..., 0],
                        _turned(x, p)[..., 0] * math.sin(p) + x[..., 1] * math.cos(p),
                    ],
                    -1,
                )
            ),
            "the numbers of the pair have changed places": lambda x, p: _turned(x, p).flip(-1),
            "nothing has turned yet": lambda x, p: x,
        },
        "(x cos p - y sin p, x sin p + y cos p)",
    )
    return "turned and not stretched, so dot products depend only on differences of positions"


check_quiz = choice(
    "15.5",
    "c",
    {
        "a": "their vectors are the memory, from which the keys and values are computed",
        "b": "there is no photograph: the picture is only being made",
        "c": "each place asks the prompt what should be there",
        "d": "a step is a whole pass through the network",
    },
)
