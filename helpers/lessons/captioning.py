"""Small drawn scenes with captions, and a Transformer whose source is a picture. Notebook 15.

A scene has two coloured shapes on a light ground. Its caption names the larger one first and says
where it is: "a red ring left of a blue square". Scenes are drawn from a seed, not downloaded.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor, nn

from helpers.batching import Batch, pad
from helpers.layers import sinusoidal_positions
from helpers.special_ids import BOS, EOS
from helpers.tokenizer import Tokenizer
from helpers.transformer import Transformer, TransformerConfig

SIZE, PATCH = 40, 5  # pixels: a picture is SIZE × SIZE, cut into (SIZE / PATCH)² patches
COLOURS = {  # red, green, blue from 0 to 1; lightness differs too, for colour-blind readers
    "red": (0.80, 0.15, 0.15),
    "green": (0.20, 0.60, 0.30),
    "blue": (0.10, 0.25, 0.75),
    "yellow": (0.95, 0.80, 0.15),
    "black": (0.10, 0.10, 0.10),
}
SHAPES = ("ring", "square", "triangle")
RELATIONS = {"left of": (-1, 0), "right of": (1, 0), "above": (0, -1), "below": (0, 1)}
GROUND = 0.93
WORDS = ("a", *COLOURS, *SHAPES, "left", "right", "of", "above", "below")
Thing = tuple[str, str]  # colour and shape


@dataclass(frozen=True)
class Scene:
    """What there is to see: a larger thing, its relation to a smaller one, and their places."""

    large: Thing
    relation: str
    small: Thing
    places: tuple[tuple[float, float, float], ...]  # x, y, radius in pixels of large and small

    @property
    def caption(self) -> list[str]:
        """The words of the caption."""
        return ["a", *self.large, *self.relation.split(), "a", *self.small]

    @property
    def combination(self) -> tuple[Thing, str, Thing]:
        return self.large, self.relation, self.small


def scenes(count: int, seed: int, held_out: bool = False) -> list[Scene]:
    """`count` random scenes. A tenth of all combinations appears only in held-out scenes.

    A combination is a thing, a relation and another thing. So every word of a held-out caption has
    been seen, but the sentence has not. Raises ValueError if count is below 1.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    draw = random.Random(seed)
    found: list[Scene] = []
    allowed = [c for i, c in enumerate(combinations()) if (i % 10 == 0) == held_out]
    while len(found) < count:
        large, relation, small = draw.choice(allowed)
        found.append(Scene(large, relation, small, place(relation, draw)))
    return found


def combinations() -> list[tuple[Thing, str, Thing]]:
    """Every (thing, relation, other thing), in an order that is shuffled but always the same."""
    things = list(product(COLOURS, SHAPES))
    every = [(a, r, b) for a, r, b in product(things, RELATIONS, things) if a != b]
    random.Random(0).shuffle(every)
    return every


def place(relation: str, draw: random.Random) -> tuple[tuple[float, float, float], ...]:
    """(x, y, radius) of the large and of the small thing, apart and clearly in this relation."""
    dx, dy = RELATIONS[relation]
    large, small = draw.uniform(7.0, 8.5), draw.uniform(4.25, 5.0)
    gap = large + small + draw.uniform(1.5, 6.0)
    aside = draw.uniform(-4.0, 4.0)
    # The small thing is on the side opposite to the direction of the large one.
    x, y = (-dx * gap + aside * abs(dy), -dy * gap + aside * abs(dx))
    places = [(0.0, 0.0, large), (x, y, small)]
    low = [min(p[i] - p[2] for p in places) for i in (0, 1)]
    high = [max(p[i] + p[2] for p in places) for i in (0, 1)]
    shift = [draw.uniform(-low[i], SIZE - high[i]) for i in (0, 1)]
    return tuple((x + shift[0], y + shift[1], r) for x, y, r in places)


def picture(scene: Scene) -> Tensor:
    """The scene as an image (3, SIZE, SIZE), red, green and blue from 0 to 1, row 0 on top."""
    image = torch.full((3, SIZE, SIZE), GROUND)
    rows, columns = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    for (colour, shape), (x, y, radius) in zip(
        (scene.large, scene.small), scene.places, strict=True
    ):
        right, down = columns + 0.5 - x, rows + 0.5 - y
        if shape == "ring":
            distance = (right**2 + down**2).sqrt()
            inside = (distance <= radius) & (distance >= radius / 2)
        elif shape == "square":
            inside = torch.maximum(right.abs(), down.abs()) <= 0.88 * radius
        else:  # a triangle on its base
            inside = (down <= 0.8 * radius) & (2 * right.abs() <= down + radius)
        image[:, inside] = torch.tensor(COLOURS[colour])[:, None]
    return image


def pictures(some: Sequence[Scene]) -> Tensor:
    """(batch, 3, SIZE, SIZE)."""
    return torch.stack([picture(scene) for scene in some])


def batch_of(some: Sequence[Scene], tokenizer: Tokenizer) -> Batch:
    """Pictures as the source, captions between BOS and EOS as the target."""
    captions = [[BOS, *tokenizer.encode(scene.caption), EOS] for scene in some]
    return Batch(pictures(some), pad(captions))


class PatchEmbedding(nn.Module):
    """A picture as a sequence: each patch becomes one vector, plus one that says where it is.

    Half of the position's numbers are the sines and cosines of its row, the other half those of its
    column. They are multiplied by three, because where a thing is is the hard part to learn.

    images (batch, 3, size, size) -> (batch, patches, d_model), row by row from the upper left.
    Raises ValueError for another shape. Source: Dosovitskiy et al. 2021, section 3.1.
    """

    positions: Tensor  # (patches, d_model)

    def __init__(self, size: int, patch: int, d_model: int):
        super().__init__()
        if size % patch:
            raise ValueError(f"patch must divide size, got size={size}, patch={patch}")
        self.size, self.patch = size, patch
        self.linear = nn.Linear(3 * patch**2, d_model)
        side = size // patch
        along = sinusoidal_positions(side, d_model // 2)  # (side, d_model / 2)
        positions = torch.cat([along.repeat_interleave(side, 0), along.repeat(side, 1)], dim=1)
        self.register_buffer("positions", positions, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        if images.dim() != 4 or images.shape[1:] != (3, self.size, self.size):
            raise ValueError(
                f"images must be (batch, 3, {self.size}, {self.size}), got {tuple(images.shape)}"
            )
        p = self.patch
        grid = images.unfold(2, p, p).unfold(3, p, p)  # (batch, 3, rows, columns, p, p)
        patches = grid.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)
        return self.linear(2 * patches - 1) + 3 * self.positions  # (batch, patches, d_model)


class Captioner(Transformer):
    """The Transformer of notebook 08 with a picture for its source: embedding and `encode` are new.

    Here source_ids are images (batch, 3, SIZE, SIZE); the decoder is none the wiser.
    """

    def __init__(self, config: TransformerConfig):
        super().__init__(config)
        self.source_embedding = PatchEmbedding(SIZE, PATCH, config.d_model)

    def encode(self, source_ids: Tensor) -> tuple[Tensor, Tensor]:
        """images -> memory (batch, patches, d_model), and a mask: every patch is real."""
        x = self.source_embedding(source_ids)
        mask = torch.ones(len(x), 1, 1, x.size(1), dtype=torch.bool, device=x.device)
        return self.encoder(x, mask), mask
