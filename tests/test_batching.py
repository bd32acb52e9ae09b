"""batching.py: sentences of unequal length in one rectangle, and batches without end."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.batching import collate, endless_batches, one_epoch, pad
from helpers.special_ids import BOS, EOS, PAD

EXAMPLES = [([4] * (1 + i % 9), [5] * (1 + i % 9 + i % 2)) for i in range(50)]


def test_a_batch_shifts_input_and_labels_by_one():
    batch = collate([([4, 5], [6, 7, 8]), ([4], [9])])
    assert batch.source_ids.tolist() == [[4, 5, EOS], [4, EOS, PAD]]
    assert batch.target_input.tolist() == [[BOS, 6, 7, 8], [BOS, 9, EOS, PAD]]
    assert batch.target_labels.tolist() == [[6, 7, 8, EOS], [9, EOS, PAD, PAD]]
    assert batch.num_tokens == 6


@settings(max_examples=30, deadline=None)
@given(st.integers(12, 60), st.integers(0, 99))
def test_an_epoch_holds_every_example_once_and_no_batch_is_too_large(max_tokens, seed):
    epoch = one_epoch(EXAMPLES, max_tokens, seed)
    assert sorted(i for indices in epoch for i in indices) == list(range(len(EXAMPLES)))
    for indices in epoch:
        batch = collate([EXAMPLES[i] for i in indices])
        assert max(batch.source_ids.numel(), batch.target_ids.numel()) <= max_tokens


def test_bucketing_pads_less_than_chance():
    def padding(batches):
        ids = [collate([EXAMPLES[i] for i in b]).source_ids for b in batches]
        return sum((x == PAD).sum().item() for x in ids)

    bucketed = one_epoch(EXAMPLES, 50, seed=0)
    in_order = [list(range(i, i + 5)) for i in range(0, 50, 5)]
    assert padding(bucketed) < padding(in_order) / 2


def test_batches_start_anywhere_and_differ_by_epoch():
    def first(count, start):
        stream = endless_batches(EXAMPLES, 50, seed=1, start=start)
        return [next(stream).source_ids.tolist() for _ in range(count)]

    assert first(30, 0)[12:] == first(18, 12)
    per_epoch = len(one_epoch(EXAMPLES, 50, 1))
    assert first(per_epoch, 0) != first(per_epoch, per_epoch)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: pad([]), "sequences must be"),
        (lambda: pad([[4], []]), "sequences must be"),
        (lambda: one_epoch([], 50, 0), "at least one sentence pair"),
        (lambda: one_epoch(EXAMPLES, 5, 0), "max_tokens=5 is less than one sentence's"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
