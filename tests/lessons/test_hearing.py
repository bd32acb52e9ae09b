"""lessons/hearing.py: the path through a map, times of words, and mistakes in words."""

import itertools
import math

import pytest
import torch

from helpers.lessons.hearing import (
    MOMENT,
    best_path,
    edits,
    errors_by_head,
    heard_where,
    match,
    split_at_spaces,
    timing_error,
    word_error_rate,
    word_times,
)
from helpers.lessons.whisper import from_whisper, untrained
from tests.lessons.support import save_whisper

SENTENCE = "the dog found the ball"


def every_path(tokens, moments):
    """All ways from the first cell to the last, by trying every step."""

    def go(t, m):
        if (t, m) == (tokens - 1, moments - 1):
            yield [(t, m)]
        for a, b in ((1, 0), (0, 1), (1, 1)):
            if t + a < tokens and m + b < moments:
                yield from ([(t, m), *rest] for rest in go(t + a, m + b))

    return go(0, 0)


@pytest.mark.parametrize("tokens, moments", [(1, 1), (1, 4), (3, 1), (3, 4), (4, 4)])
def test_no_other_path_collects_more(tokens, moments):
    torch.manual_seed(0)
    table = torch.randn(tokens, moments, dtype=torch.float64)
    gain = lambda path: sum(table[place].item() for place in path)
    found = best_path(table)
    assert found in list(every_path(tokens, moments))
    assert gain(found) == pytest.approx(max(map(gain, every_path(tokens, moments))))


@pytest.fixture(scope="module")
def listener():
    return untrained(SENTENCE)


def staircase(spelling, ends, length=100):
    """A map in which token i looks evenly at the moments between two ends; EOS at the rest."""
    weights = torch.full((1, len(ends) + 1, length), 1e-4)
    for row, (start, end) in enumerate(itertools.pairwise([0, *ends, length])):
        weights[0, row, start:end] = 1
    return weights / weights.sum(-1, keepdim=True)


def test_times_are_read_off_a_clear_map(listener):
    _, spelling = listener
    ids = spelling.encode(SENTENCE)
    ends = [12, 31, 50, 58, 83]
    found = word_times(staircase(spelling, ends), spelling, ids)
    assert [word for word, *_ in found] == SENTENCE.split()
    for (_, start, end), a, b in zip(found, [0, *ends], ends, strict=False):
        assert start == pytest.approx(a * MOMENT, abs=2 * MOMENT)
        assert end == pytest.approx(b * MOMENT, abs=2 * MOMENT)


def test_a_text_of_no_words_has_no_times(listener):
    _, spelling = listener
    assert split_at_spaces(spelling, []) == []


def test_a_very_short_sound_has_a_path_too():
    assert match(torch.rand(2, 3, 2, generator=torch.Generator().manual_seed(0))).shape == (3, 2)


def test_what_all_tokens_look_at_tells_nothing(listener):
    weights = staircase(listener[1], [12, 31, 50, 58, 83])
    weights[:, :, 40:44] += 5
    fits = match(weights / weights.sum(-1, keepdim=True))
    assert fits[:, 40:44].abs().max() < fits.abs().max()
    assert fits.shape == (6, 100)


def test_words_are_put_together_from_pieces(tmp_path):
    _, folder = save_whisper(tmp_path)
    _, spelling = from_whisper(folder)
    ids = spelling.encode("the gardens found")
    words = split_at_spaces(spelling, ids)
    assert [word for word, *_ in words] == ["the", "gardens", "found"]
    assert words[1][2] - words[1][1] > 1 and words[-1][2] == len(ids)


def test_maps_are_cut_to_the_sound_and_add_up_to_one(tmp_path):
    _, folder = save_whisper(tmp_path)
    model, spelling = from_whisper(folder)
    ids = spelling.encode("the dog")
    maps = heard_where(model, spelling, torch.randn(10, 70), ids, 0.3)
    assert maps.shape == (3, 3, len(ids) + 1, 15)
    torch.testing.assert_close(maps.sum(-1), torch.ones(3, 3, len(ids) + 1))
    errors = errors_by_head(maps, spelling, ids, [("the", 0.0, 0.1), ("dog", 0.1, 0.3)])
    assert len(errors) == 9 and all(0 <= e < 0.3 for e in errors.values())


def test_the_error_is_the_median_of_the_known_beginnings():
    true = [("a", 0.0, 1.0), ("b", 1.0, 2.0), ("c", math.nan, 3.0), ("d", 3.0, 4.0)]
    found = [("a", 0.0, 0.0), ("b", 1.5, 0.0), ("c", 9.0, 0.0), ("d", 3.1, 0.0)]
    assert timing_error(found, true) == pytest.approx(0.1)
    with pytest.raises(ValueError, match="same words, got 1 and 4"):
        timing_error(found[:1], true)


@pytest.mark.parametrize(
    "said, meant, count",
    [("abc", "abc", 0), ("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("ab", "ba", 2)],
)
def test_edits_are_the_fewest(said, meant, count):
    assert edits(said, meant) == edits(meant, said) == count


def test_the_rate_counts_words_not_spelling():
    assert word_error_rate(["The dog, slept."], ["the dog slept"]) == 0
    assert word_error_rate(["a b", "c d e f"], ["a x", "c d e f"]) == pytest.approx(1 / 6)
    with pytest.raises(ValueError, match="equally many texts, got 1, 2"):
        word_error_rate(["a"], ["a", "b"])
    with pytest.raises(ValueError, match="at least one word"):
        word_error_rate([""], ["."])
