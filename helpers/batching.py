"""Sentences of unequal length into rectangular tensors, with little padding.

Used from notebook 03 on, explained in 09.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import torch
from torch import Tensor

from helpers.special_ids import BOS, EOS, PAD


@dataclass(frozen=True)
class Batch:
    """source_ids (batch, source) and target_ids (batch, target + 1), padded on the right.

    target_ids hold BOS … EOS: the decoder reads `target_input`, all but the last column, and is
    scored against `target_labels`, all but the first. This is teacher forcing: position t reads
    the true token t and has to predict token t + 1.
    """

    source_ids: Tensor
    target_ids: Tensor

    @property
    def target_input(self) -> Tensor:
        return self.target_ids[:, :-1]

    @property
    def target_labels(self) -> Tensor:
        return self.target_ids[:, 1:]

    @property
    def num_tokens(self) -> int:
        """How many labels are scored. Padding does not count."""
        return int((self.target_labels != PAD).sum())

    def split(self, parts: int) -> list["Batch"]:
        """Cut into `parts` batches of about equal work, by dealing out the sentences in turn.

        Raises ValueError if there are fewer sentences than parts.
        """
        if not 1 <= parts <= len(self.source_ids):
            raise ValueError(
                f"parts must lie in [1, {len(self.source_ids)}], because each needs a sentence of "
                f"the batch, got {parts}"
            )
        return [Batch(self.source_ids[i::parts], self.target_ids[i::parts]) for i in range(parts)]

    def checked(self, vocab_size: int) -> "Batch":
        """This batch. Raises ValueError if an id is not in [0, vocab_size).

        On a CPU, such an id raises an error anyway. On a GPU, the error comes too late, and
        afterwards this process cannot use the GPU any more. So the trainer checks first.
        """
        for name, ids in (("source_ids", self.source_ids), ("target_ids", self.target_ids)):
            low, high = (int(i) for i in ids.aminmax())
            if low < 0 or high >= vocab_size:
                raise ValueError(f"{name} must lie in [0, {vocab_size}), got {low} to {high}")
        return self

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on a device. From pinned memory, nothing waits until it is there."""
        at_once = self.source_ids.is_pinned()
        source_ids, target_ids = (
            ids.to(device, non_blocking=at_once) for ids in (self.source_ids, self.target_ids)
        )
        return Batch(source_ids, target_ids)

    def pin_memory(self) -> "Batch":
        """The same batch in pinned memory, from which a GPU can copy by itself."""
        return Batch(self.source_ids.pin_memory(), self.target_ids.pin_memory())


def rounded(length: int) -> int:
    """The next of the lengths 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, …

    All of them are multiples of 8, which suits a GPU's matrix units best. From 32 on there are
    four to each doubling, so that sentences of up to 128 tokens come in only twelve lengths.
    """
    step = max(8, 2 ** (length - 1).bit_length() // 8)
    return -(-length // step) * step


Example = tuple[Sequence[int], Sequence[int]]  # source ids and target ids, without BOS and EOS


def pad(sequences: Sequence[Sequence[int]]) -> Tensor:
    """Lists of ids -> (batch, longest), filled with PAD on the right.

    Raises ValueError if there is no sequence, or if one of them is empty.
    """
    if not sequences or not all(len(sequence) for sequence in sequences):
        raise ValueError("sequences must be one or more non-empty lists of ids")
    longest = max(map(len, sequences))
    return torch.tensor([[*ids, *[PAD] * (longest - len(ids))] for ids in sequences])


def collate(examples: Sequence[Example]) -> Batch:
    """Examples -> one Batch. The source gets EOS at its end, the target BOS before and EOS after.

    Raises ValueError if there is no example.
    """
    sources = [[*source, EOS] for source, _ in examples]
    targets = [[BOS, *target, EOS] for _, target in examples]
    return Batch(pad(sources), pad(targets))


def one_epoch(examples: Sequence[Example], max_tokens: int, seed: int) -> list[list[int]]:
    """Every example once, as lists of indices: sentences of similar length share a batch.

    A batch holds at most max_tokens tokens on its longer side, padding included. The order of
    batches, and of equally long sentences within them, follows from `seed`.
    Raises ValueError if a single sentence is longer than max_tokens, or if there is no example.
    """
    if not examples:
        raise ValueError("examples must hold at least one sentence pair, got none")
    shuffled = random.Random(seed)
    order = list(range(len(examples)))
    shuffled.shuffle(order)
    lengths = [max(len(source) + 1, len(target) + 2) for source, target in examples]
    order.sort(key=lengths.__getitem__)  # stable: equal lengths stay shuffled
    if lengths[order[-1]] > max_tokens:
        raise ValueError(
            f"max_tokens={max_tokens} is less than one sentence's {lengths[order[-1]]}"
        )
    batches: list[list[int]] = [[]]
    for index in order:
        if (len(batches[-1]) + 1) * lengths[index] > max_tokens:
            batches.append([])
        batches[-1].append(index)
    shuffled.shuffle(batches)
    return batches


def endless_batches(
    examples: Sequence[Example] | Callable[[int], Sequence[Example]],
    max_tokens: int,
    seed: int = 0,
    start: int = 0,
) -> Iterator[Batch]:
    """Batches without end: one epoch after another, each in an order of its own.

    `start` skips that many batches, to resume a run. If every epoch has examples of its own,
    `examples` is a function that returns those of a given epoch.
    """
    for epoch in count():
        now = examples(epoch) if callable(examples) else examples
        for indices in one_epoch(now, max_tokens, seed=seed * 1_000_003 + epoch):
            if start > 0:
                start -= 1
                continue
            yield collate([now[i] for i in indices])
