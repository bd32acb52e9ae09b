"""batching.py: sentences of unequal length in one rectangle, and batches without end."""

from itertools import islice

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.batching import collate, endless_batches, one_epoch, pad, rounded
from helpers.special_ids import BOS, EOS, PAD

EXAMPLES = [([4] * (1 + i % 9), [5] * (1 + i % 9 + i % 2)) for i in range(50)]


def test_a_batch_shifts_input_and_labels_by_one():
    batch = collate([([4, 5], [6, 7, 8]), ([4], [9])])
    assert batch.source_ids.tolist() == [[4, 5, EOS], [4, EOS, PAD]]
    assert batch.target_input.tolist() == [[BOS, 6, 7, 8], [BOS, 9, EOS, PAD]]
    assert batch.target_labels.tolist() == [[6, 7, 8, EOS], [9, EOS, PAD, PAD]]
    assert batch.num_tokens == 6 and type(batch.num_tokens) is int


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
        (lambda: one_epoch(EXAMPLES, 5, 0), "max_tokens=5 is less than one sentence's 12"),
        (lambda: one_epoch(EXAMPLES, 11, 0), "max_tokens=11 is less than one sentence's 12"),
        (lambda: one_epoch([([4] * 9, [4]), ([4], [4])], 9, 0), "less than one sentence's 10"),
        (lambda: collate(EXAMPLES[:3]).split(0), r"parts must lie in \[1, 3\].*got 0"),
        (lambda: collate(EXAMPLES[:3]).split(4), r"parts must lie in \[1, 3\].*got 4"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_batches_of_an_epoch_come_in_no_order_of_length():
    """Else every epoch would begin with short sentences and end with long ones."""
    longest = [max(len(EXAMPLES[i][1]) for i in batch) for batch in one_epoch(EXAMPLES, 24, 0)]
    assert len(longest) > 10
    assert longest != sorted(longest) and longest != sorted(longest, reverse=True)


def test_equally_long_sentences_meet_others_in_every_epoch():
    """Sixteen of one length, four to a batch: who is together changes."""
    alike = [([4, 5], [6])] * 16
    epochs = [one_epoch(alike, 12, seed) for seed in range(4)]
    assert all(len(batch) == 4 for epoch in epochs for batch in epoch)
    groups = {frozenset(map(frozenset, epoch)) for epoch in epochs}
    assert len(groups) == 4 and epochs[0] == one_epoch(alike, 12, 0)


@pytest.mark.parametrize(
    "source, target, length", [(3, 1, 4), (3, 2, 4), (3, 3, 5), (1, 4, 6), (5, 4, 6)]
)
def test_a_batch_is_filled_up_to_its_last_token(source, target, length):
    """The longer side counts: the source with its end, or the target with both."""
    examples = [([4] * source, [5] * target)] * 3
    assert [len(b) for b in one_epoch(examples, 3 * length, 0)] == [3]
    assert sorted(len(b) for b in one_epoch(examples, 3 * length - 1, 0)) == [1, 2]
    assert [len(b) for b in one_epoch(examples, length, 0)] == [1, 1, 1]


def order(seed, epoch):
    """Which sentences make the first batches of an epoch, told by their first word."""
    examples = [([100 + i], [5]) for i in range(40)]
    per_epoch = len(one_epoch(examples, 12, 0))
    stream = endless_batches(examples, 12, seed=seed, start=epoch * per_epoch)
    return tuple(i for batch in islice(stream, per_epoch) for i in batch.source_ids[:, 0].tolist())


def test_every_epoch_of_every_seed_has_an_order_of_its_own_and_keeps_it():
    orders = [order(seed, epoch) for seed in range(3) for epoch in range(3)]
    assert len(set(orders)) == 9
    assert all(sorted(one) == list(range(100, 140)) for one in orders)
    assert orders == [order(seed, epoch) for seed in range(3) for epoch in range(3)]


def test_a_resumed_stream_goes_on_within_an_epoch_and_behind_it():
    whole = [b.source_ids.tolist() for b in islice(endless_batches(EXAMPLES, 50, 7), 40)]
    assert whole == [b.source_ids.tolist() for b in islice(endless_batches(EXAMPLES, 50, 7, 0), 40)]
    per_epoch = len(one_epoch(EXAMPLES, 50, 0))
    for start in (1, per_epoch - 1, per_epoch, per_epoch + 1, 2 * per_epoch + 3):
        rest = islice(endless_batches(EXAMPLES, 50, 7, start), 40 - start)
        assert [b.source_ids.tolist() for b in rest] == whole[start:]
    seedless = islice(endless_batches(EXAMPLES, 50), 5)
    seeded = islice(endless_batches(EXAMPLES, 50, seed=0, start=0), 5)
    for one, other in zip(seedless, seeded, strict=True):
        assert one.source_ids.tolist() == other.source_ids.tolist()


def test_each_epoch_may_have_examples_of_its_own():
    asked = []

    def of_epoch(epoch):
        asked.append(epoch)
        return [([10 + epoch], [20 + epoch])] * 2

    found = [b.source_ids[:, 0].tolist() for b in islice(endless_batches(of_epoch, 3, start=1), 5)]
    assert found == [[10], [11], [11], [12], [12]] and asked == [0, 1, 2]


def test_a_batch_is_dealt_out_in_turn():
    batch = collate([([4] * n, [5] * n) for n in range(1, 6)])
    first, second = batch.split(2)
    assert first.source_ids.tolist() == batch.source_ids[[0, 2, 4]].tolist()
    assert second.target_ids.tolist() == batch.target_ids[[1, 3]].tolist()
    assert [len(part.source_ids) for part in batch.split(5)] == [1] * 5
    assert sum(part.num_tokens for part in batch.split(3)) == batch.num_tokens == 20
    (whole,) = batch.split(1)
    assert whole.source_ids.tolist() == batch.source_ids.tolist()


def test_a_batch_moves_as_a_whole():
    moved = collate(EXAMPLES[:2]).to("meta")
    assert moved.source_ids.device.type == moved.target_ids.device.type == "meta"


@pytest.mark.parametrize("source, target", [([4, 9], [5]), ([4], [5, 10]), ([4, -1], [5])])
def test_ids_outside_the_vocabulary_are_named_before_they_reach_a_device(source, target):
    batch = collate([(source, target), ([5], [6])])
    wrong = "source_ids" if {9, -1} & {*source} else "target_ids"
    low, high = min(0, *source), max(*source, *target)
    with pytest.raises(ValueError, match=rf"{wrong} must lie in \[0, 9\), got {low} to {high}"):
        batch.checked(9)
    right = collate([([4, 8], [8]), ([5], [6])])
    assert right.checked(9) is right


def test_lengths_are_rounded_to_few():
    known = {rounded(n) for n in range(1, 129)}
    assert sorted(known) == [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128]
    assert all(n <= rounded(n) < max(n + 8, 1.25 * n) for n in range(1, 5000))
    assert all(rounded(n) % 8 == 0 and rounded(rounded(n)) == rounded(n) for n in range(1, 5000))
    assert [rounded(n) for n in (1, 8, 9, 64, 65, 128, 129, 257)] == [
        8,
        8,
        16,
        64,
        80,
        128,
        160,
        320,
    ]
    assert type(rounded(65)) is int


def test_a_batch_is_pinned_whole(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda ids: ids + 100)  # pinning needs a GPU
    batch = collate([([4, 5], [6])])
    pinned = batch.pin_memory()
    assert torch.equal(pinned.source_ids, batch.source_ids + 100)
    assert torch.equal(pinned.target_ids, batch.target_ids + 100)
