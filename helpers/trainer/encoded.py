"""A training text as ids in a file that is mapped into memory, so that it may be of any size."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np

from helpers.batching import Example
from helpers.corpora.parallel_text import Pair
from helpers.files import cannot_write, remove
from helpers.subwords import Subwords

CHUNK = 10_000  # pairs that are encoded at once


class EncodedPairs(Sequence[Example]):
    """Examples in a file: ids[starts[2i] : starts[2i+1]] is the source of pair i, and what follows
    up to starts[2i+2] is its target. Only the batch that is asked for is read."""

    def __init__(self, file: Path | IO[bytes], starts: np.ndarray, kind: type[np.unsignedinteger]):
        self.starts = starts
        self.ids = np.memmap(file, kind, mode="r", shape=(int(starts[-1]),)).view(np.ndarray)

    def __len__(self) -> int:
        return len(self.starts) // 2

    def __getitem__(self, i: int) -> Example:  # type: ignore[override]  # no slices
        a, b, c = self.starts[2 * i : 2 * i + 3].tolist()
        return self.ids[a:b].tolist(), self.ids[b:c].tolist()

    def __iter__(self) -> Iterator[Example]:
        """Every pair, as views of the file. Their lengths are known without reading it."""
        for first in range(0, len(self), CHUNK):
            a, *ends = self.starts[2 * first : 2 * (first + CHUNK) + 1].tolist()
            for b, c in zip(ends[::2], ends[1::2], strict=True):
                yield self.ids[a:b], self.ids[b:c]  # type: ignore[misc]  # arrays are sequences
                a = c

    def longest(self) -> int:
        """The number of pieces of the longest sentence."""
        return int(np.diff(self.starts).max())


def kind_for(subwords: Subwords) -> type[np.unsignedinteger]:
    """The smallest type that holds every id."""
    return np.uint16 if len(subwords) <= 2**16 else np.uint32


def encode_pairs(
    pairs: Iterable[Pair],
    subwords: Subwords,
    file: IO[bytes],
    longest: int,
    thin: Subwords | None = None,
    longest_thin: int = 0,
) -> tuple[EncodedPairs, list[int]]:
    """Write the ids of all pairs into an empty file: (what was written, the pairs left out).

    A pair is left out if one side has more than `longest` pieces. `thin`, if given, spells with
    fewer merges; a pair that would then have more than `longest_thin` pieces is spelled as before.
    Raises ValueError if no pair is left.
    """
    starts, end, left_out, count = [np.zeros(1, np.int64)], 0, [], 0
    stream, kind = iter(pairs), kind_for(subwords)
    while chunk := list(islice(stream, CHUNK)):
        examples = subwords.examples(chunk)
        fits = [max(map(len, example)) <= longest for example in examples]
        left_out += [count + i for i, fit in enumerate(fits) if not fit]
        count += len(chunk)
        if thin is not None:
            examples = [
                cut if max(map(len, cut)) <= longest_thin else whole
                for cut, whole in zip(thin.examples(chunk), examples, strict=True)
            ]
        sides = [side for e, fit in zip(examples, fits, strict=True) if fit for side in e]
        if sides:
            starts.append(end + np.cumsum([len(side) for side in sides]))
            end = int(starts[-1][-1])
            file.write(np.concatenate([np.asarray(side, kind) for side in sides]).data)
    if not end:
        raise ValueError(
            f"no pair of sentences has at most {longest} pieces on both sides; raise --max-length "
            "or --tokens"
        )
    file.flush()
    return EncodedPairs(file, np.concatenate(starts), kind), left_out


def write_examples(
    folder: Path, pairs: Iterable[Pair], subwords: Subwords, longest: int
) -> list[int]:
    """Write train.ids and train.starts.npy into a folder; returns the pairs that were left out.

    Raises OSError naming the file if there is no room.
    """
    part = folder / "train.ids.part"
    try:
        with part.open("w+b") as file:
            examples, left_out = encode_pairs(pairs, subwords, file, longest)
            starts = examples.starts
            del examples  # Windows cannot move a file that is still mapped
        part.replace(folder / "train.ids")
        np.save(folder / "train.starts.npy", starts)
    except OSError as error:
        raise cannot_write(folder / "train.ids", error) from None
    finally:
        remove(part)
    return left_out


def open_examples(folder: Path, subwords: Subwords) -> EncodedPairs:
    """What write_examples wrote. Raises FileNotFoundError, or ValueError if it does not fit."""
    starts = np.load(folder / "train.starts.npy", mmap_mode="r")
    return EncodedPairs(folder / "train.ids", starts, kind_for(subwords))
