"""decoding.py: greedy decoding equals the definition, alone and in a batch."""

import pytest
import torch

from helpers.batching import pad
from helpers.decoding import cross_attention_maps, greedy, translate
from helpers.masks import BOS, EOS, PAD
from helpers.tokenizer import Tokenizer, UnknownWords
from tests.twins import tiny_model

SENTENCES = [[5, 6, 7, 8, EOS], [9, EOS], [10, 11, 12, EOS]]
WORDS = [f"w{i}" for i in range(4, 23)]


def by_definition(model, source, max_length):
    ids = [BOS]
    while len(ids) <= max_length and ids[-1] != EOS:
        logits = model(torch.tensor([source]), torch.tensor([ids]))
        ids.append(int(logits[0, -1].argmax()))
    return ids[1:]


def model_that_ends(seed):
    """An untrained model, nudged so that sentences end at different lengths."""
    model = tiny_model(seed=seed).eval()
    with torch.no_grad():
        model.output.weight[EOS] += 0.25
    return model


@pytest.mark.parametrize("seed", range(5))
def test_batched_greedy_equals_one_sentence_at_a_time(seed):
    model = model_that_ends(seed)
    got = greedy(model, pad(SENTENCES), max_length=12).tolist()
    for row, source in zip(got, SENTENCES, strict=True):
        expected = by_definition(model, source, 12)
        assert row[: len(expected)] == expected
        assert all(i == PAD for i in row[len(expected) :])


def test_greedy_asks_in_evaluation_mode_and_restores_the_mode():
    model = tiny_model(dropout=0.5).train()
    first, second = (greedy(model, pad(SENTENCES), max_length=8) for _ in range(2))
    assert torch.equal(first, second) and model.training


def test_length_limit_is_kept_and_checked():
    model = tiny_model()
    assert greedy(model, pad(SENTENCES), max_length=3).size(1) <= 3
    for wrong in (0, 33):
        with pytest.raises(ValueError, match=r"max_length must lie in \[1, 32\]"):
            greedy(model, pad(SENTENCES), max_length=wrong)


def test_translations_come_back_in_the_order_given():
    model, tokenizer = model_that_ends(1), Tokenizer(WORDS)
    sentences = [["w5", "w6", "w7", "w8"], ["w9"], ["w10", "w11", "w12"]]
    together = translate(model, tokenizer, sentences, batch_size=2)
    assert together == [translate(model, tokenizer, [words])[0] for words in sentences]
    with pytest.raises(UnknownWords, match="'Wolf'"):
        translate(model, tokenizer, [["Wolf"]])


def test_maps_are_rectangular_and_name_their_layer():
    model, tokenizer = tiny_model(), Tokenizer(WORDS)
    maps = cross_attention_maps(model, tokenizer, ["w5", "w6", "w7"], ["w8"])
    assert list(maps) == [f"decoder.layers.{i}.cross_attention" for i in range(3)]
    for weights in maps.values():
        assert weights.shape == (4, 2, 4)
        torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights.sum(-1)))
