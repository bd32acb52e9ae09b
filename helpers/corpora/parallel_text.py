"""Sentence pairs from a folder of your own: two plain text files, line beside line."""

import gzip
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

Pair = tuple[str, str]  # source and target sentence


@dataclass(frozen=True)
class Texts:
    """Sentence pairs to train on, to choose by, and to report."""

    train: Sequence[Pair]
    validation: Sequence[Pair]
    test: Sequence[Pair]


def read_pairs(folder: Path, name: str, sides: Sequence[str]) -> list[Pair]:
    """Line by line, the sentences of name.de and name.en (plain or .gz), for example."""
    needed = [f"{part}.{side}" for part in ("train", "val", "test") for side in sides]
    texts = [read_text(folder, f"{name}.{side}", needed) for side in sides]
    texts = [text.removeprefix("\ufeff") for text in texts]  # the mark that some editors leave
    lines = [text.removesuffix("\n").split("\n") for text in texts]
    if len(lines[0]) != len(lines[1]):
        raise ValueError(f"{name}: {len(lines[0])} lines against {len(lines[1])} in {folder}")
    pairs = [(s.strip(), t.strip()) for s, t in zip(*lines, strict=True)]
    pairs = [(s, t) for s, t in pairs if s and t]
    if not pairs:
        both = " and ".join(f"{name}.{side}" for side in sides)
        raise ValueError(f"{both} in {str(folder)!r} must hold at least one pair of sentences")
    return pairs


def read_text(folder: Path, name: str, needed: Iterable[str]) -> str:
    """The text of `name` or `name`.gz in a folder that should hold all of `needed`.

    Raises FileNotFoundError if it is not there, ValueError if it is damaged.
    """
    packed, plain = folder / f"{name}.gz", folder / name
    if not packed.is_file() and not plain.is_file():
        raise FileNotFoundError(
            f"{str(folder)!r} holds neither {name} nor {name}.gz; it needs {', '.join(needed)}"
        )
    try:
        data = gzip.decompress(packed.read_bytes()) if packed.is_file() else plain.read_bytes()
        return data.decode("utf8")
    except (EOFError, zlib.error, gzip.BadGzipFile, UnicodeDecodeError) as error:
        raise ValueError(f"{name} in {str(folder)!r} is damaged ({error})") from None
