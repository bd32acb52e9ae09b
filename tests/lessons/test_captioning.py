"""lessons/captioning.py: pictures show what captions say, and the decoder looks at them."""

import pytest
import torch

from helpers.attention import record_attention
from helpers.decoding import beam_search, greedy
from helpers.lessons.captioning import (
    COLOURS,
    PATCH,
    RELATIONS,
    SIZE,
    WORDS,
    Captioner,
    PatchEmbedding,
    batch_of,
    combinations,
    picture,
    pictures,
    scenes,
)
from helpers.tokenizer import Tokenizer
from helpers.training import translation_loss
from helpers.transformer import TransformerConfig

SOME = scenes(60, seed=5)


def centre(image, colour):
    """(x, y) of all pixels of a colour, and how many there are."""
    paint = torch.tensor(COLOURS[colour])[:, None, None]
    inside = (image - paint).abs().amax(0) < 1e-6
    y, x = inside.nonzero().float().mean(0).tolist()
    return (x, y), int(inside.sum())


@pytest.mark.parametrize("scene", [s for s in SOME if s.large[0] != s.small[0]])
def test_a_picture_shows_what_its_caption_says(scene):
    image = picture(scene)
    assert image.shape == (3, SIZE, SIZE) and image.min() >= 0 and image.max() <= 1
    (x, y), area = centre(image, scene.large[0])
    (a, b), smaller = centre(image, scene.small[0])
    assert area > smaller > 10  # both whole, the larger one larger
    dx, dy = RELATIONS[scene.relation]
    along, across = (x - a) * dx + (y - b) * dy, (x - a) * dy + (y - b) * dx
    assert along > 5 and along > 2 * abs(across)


def test_scenes_follow_their_seed_and_hold_combinations_out():
    assert scenes(60, seed=5) == SOME != scenes(60, seed=6)
    held = {s.combination for s in scenes(2000, seed=1, held_out=True)}
    open_ = {s.combination for s in scenes(5000, seed=2)}
    assert not held & open_ and len(held) <= len(combinations()) // 10 + 1
    assert {w for s in scenes(2000, seed=1, held_out=True) for w in s.caption} == set(WORDS)
    with pytest.raises(ValueError, match="count must be at least 1"):
        scenes(0, seed=1)


def test_patches_are_cut_row_by_row():
    layer = PatchEmbedding(SIZE, PATCH, 16)
    image = pictures(SOME[:2])
    whole = layer(image)
    changed = image.clone()
    changed[:, :, 0:PATCH, PATCH : 2 * PATCH] += 0.1  # the second patch of the first row
    moved = (layer(changed) - whole).abs().amax((0, 2)) > 0
    assert moved.nonzero().flatten().tolist() == [1]
    below = image.clone()
    below[:, :, PATCH : 2 * PATCH, 0:PATCH] += 0.1
    moved = (layer(below) - whole).abs().amax((0, 2)) > 0
    assert moved.nonzero().flatten().tolist() == [SIZE // PATCH]


def test_positions_differ_in_rows_and_columns():
    positions = PatchEmbedding(SIZE, PATCH, 16).positions
    assert len({tuple(row.tolist()) for row in positions}) == len(positions) == (SIZE // PATCH) ** 2


def test_pictures_of_another_size_are_refused():
    with pytest.raises(ValueError, match="images must be"):
        PatchEmbedding(SIZE, PATCH, 16)(torch.zeros(2, 3, 8, 8))
    with pytest.raises(ValueError, match="patch must divide size"):
        PatchEmbedding(10, 3, 16)


@pytest.fixture
def captioner():
    torch.manual_seed(0)
    return Captioner(TransformerConfig(len(WORDS) + 4, 16, 4, 24, 1, 2, 0.0, max_length=16))


def test_the_decoder_looks_at_patches(captioner):
    batch = batch_of(SOME[:3], Tokenizer(WORDS))
    with record_attention(captioner) as maps:
        captioner(batch.source_ids, batch.target_input)
    words = batch.target_input.size(1)
    assert maps["decoder.layers.1.cross_attention"].shape == (3, 4, words, (SIZE // PATCH) ** 2)


def test_captions_are_decoded_by_every_search(captioner):
    images = pictures(SOME[:3])
    assert greedy(captioner, images, 9).dtype == torch.long
    found, _ = beam_search(captioner, images, 1, max_length=9)
    assert torch.equal(found, greedy(captioner, images, 9))


def test_a_changed_picture_changes_the_loss_and_gradients_reach_the_patches(captioner):
    batch = batch_of(SOME[:3], Tokenizer(WORDS))
    loss = translation_loss(captioner, batch)
    loss.backward()
    assert captioner.source_embedding.linear.weight.grad.abs().sum() > 0
    batch.source_ids[:, :, 5:20, 5:20] = 0
    assert translation_loss(captioner, batch) != loss
