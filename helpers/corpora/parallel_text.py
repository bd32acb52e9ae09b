"""Sentence pairs of your own: two plain files that match line by line, or two columns of a table.

Files are read as they are needed and never held in memory. `Texts.notes` says in sentences how
many pairs were kept, how many were left out, and why. Both sides are normalised in the same two
small ways: accents are joined with their letters (Unicode's NFC), and outer spaces are dropped.
"""

import hashlib
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from helpers.corpora.text_files import ParallelText, locate
from helpers.tokenizer import check_list

Pair = tuple[str, str]  # source and target sentence
PARTS = {"train": "train", "validation": "val", "test": "test"}  # and what their files are called


@dataclass(frozen=True)
class Kept:
    """The pairs of a text that have both sides, without some of its lines; read anew each time."""

    text: ParallelText
    count: int
    without: Collection[int] = frozenset()  # numbers of lines

    def __len__(self) -> int:
        return self.count

    def lines(self) -> Iterator[int]:
        """The line of each pair."""
        return (n for n, s, t in self.text if s and t and n not in self.without)

    def __iter__(self) -> Iterator[Pair]:
        return ((s, t) for n, s, t in self.text if s and t and n not in self.without)


@dataclass(frozen=True)
class Texts:
    """Sentence pairs to train on, to choose by, and to report; the test set may be empty.

    test_lines: for each line of the test file the number of its pair, or None for a blank one.
    notes: what was read, kept and left out, as sentences. checksums: of each file's pairs.
    """

    train: Sequence[Pair] | Kept
    validation: Sequence[Pair]
    test: Sequence[Pair]
    test_lines: Sequence[int | None]
    notes: Sequence[str]
    checksums: dict[str, str]


class Survey:
    """What one pass over a text finds. `held`: the surveys of validation and test, if this is the
    training text, whose pairs are not kept in memory.

    Raises ValueError for a text without a pair, and with `strict` for a blank side.
    """

    def __init__(
        self, text: ParallelText, strict: bool, held: "Mapping[str, Survey] | None" = None
    ):
        self.text, self.lines, self.blank, self.long = text, 0, 0, 0
        self.first_blank = self.first_long = 0  # their lines
        self.first: tuple[int, str, str] | None = None  # the first pair, with its line
        self.pairs: list[Pair] = []
        self.pair_of_line: list[int | None] = []
        numbers, sources, targets, places = array("q"), array("q"), array("q"), array("Q")
        digest = hashlib.sha256()
        for number, source, target in text:
            self.lines += 1
            if held is None:
                self.pair_of_line.append(len(numbers) if source and target else None)
            if not (source and target):
                if strict:
                    where = text.paths[-1 if source else 0]
                    raise ValueError(
                        f"{where}, line {number:,}: a side is blank; without --strict such lines "
                        "are left out and counted"
                    )
                self.first_blank = self.first_blank or number
                self.blank += 1
                continue
            self.first = self.first or (number, source, target)
            if "\n" in source or "\n" in target:
                self.first_long = self.first_long or number
                self.long += 1
            digest.update(f"{source}\t{target}\n".encode())
            numbers.append(number)
            if held is None:
                self.pairs.append((source, target))
            source, target = source.casefold(), target.casefold()
            sources.append(hash(source))
            targets.append(hash(target))
            if held is not None:
                places.append(place_of(source, target))
        if not numbers:
            raise ValueError(f"{text} must hold at least one pair of sentences")
        self.digest = digest.hexdigest()
        self.numbers = np.asarray(numbers)
        self.sources, self.targets = np.asarray(sources), np.asarray(targets)
        self.places = np.asarray(places)
        self.held = held or {}

    def __len__(self) -> int:
        return len(self.numbers)

    def note(self) -> str:
        kind = "rows" if len(self.text.paths) == 1 else "lines"
        said = f"{len(self):,} pairs from {self.lines:,} {kind} of {self.text}"
        if self.text.columns:
            said += f", {self.text.columns}"
        if self.blank:
            said += f"; {self.blank:,} left out because a side is blank (first: line "
            said += f"{self.first_blank:,})"
        if self.long:
            said += f"; careful: {self.long:,} with a sentence of several lines (first: line "
            said += f"{self.first_long:,}); is a quotation mark missing there?"
        return said

    def shared(self) -> dict[str, int]:
        """How many source sentences of each held text are in this one as well."""
        return {p: int(np.isin(h.sources, self.sources).sum()) for p, h in self.held.items()}

    def draw(self, parts: Sequence[str]) -> dict[str, frozenset[int]]:
        """Lines for each of these parts: a tenth of all, but at most 1,000.

        The first part gets the lines with the lowest hashes, the second those with the highest.
        So a pair stays in its part when other lines of the text are edited, moved or added, apart
        from a few pairs next to the limit.
        """
        free = once(self.sources) & once(self.targets)
        for held in self.held.values():
            free &= ~np.isin(self.sources, held.sources) & ~np.isin(self.targets, held.targets)
        lines = self.numbers[free][np.argsort(self.places[free], kind="stable")].tolist()
        size = min(1000, max(1, len(self) // 10), len(lines) // (len(parts) + 1))
        if parts and not size:
            raise ValueError(
                f"{self.text}: too few different sentences to take {' and '.join(parts)} out of "
                "it; put these into files of their own (val.…, test.…)"
            )
        ends = (lines[:size], lines[len(lines) - size :])
        return {part: frozenset(end) for part, end in zip(parts, ends, strict=False)}


def place_of(source: str, target: str) -> int:
    """A hash of a pair that is the same in every process, whatever the spaces in it."""
    letters = f"{source}\t{target}".replace(" ", "").encode()
    return int.from_bytes(hashlib.blake2b(letters, digest_size=8).digest())


def once(keys: np.ndarray) -> np.ndarray:
    """For each key whether no other equals it."""
    _, group, sizes = np.unique(keys, return_inverse=True, return_counts=True)
    return sizes[group] == 1


def find_parts(
    data: Sequence[str], sides: Sequence[str], encoding: str, to_train: bool = True
) -> dict[str, ParallelText]:
    """The texts that `data` names: a folder with train.de, train.en, …, two files, or a table.

    If it isn't `to_train`, a folder may lack the training text. Raises FileNotFoundError saying
    what is missing, ValueError for names that do not fit together.
    """
    check_list("data", data)
    paths = [Path(name) for name in data]
    if not 1 <= len(paths) <= 2:
        raise ValueError(f"data must be one or two names, got {len(paths)}")
    if len(paths) == 1 and paths[0].is_dir():
        folder = paths[0]
        parts = {}
        for part, name in PARTS.items():
            names = [f"{name}.{side}" for side in sides]
            here = [
                n for n in names if any((folder / f"{n}{end}").is_file() for end in ("", ".gz"))
            ]
            if here or (part == "train" and to_train):
                parts[part] = ParallelText(
                    [locate(folder, n, names) for n in names], sides, encoding
                )
        return parts
    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(
                "--data must be multi30k, corpus, a folder, a table (.tsv, .csv) or two plain "
                f"files, and {str(path)!r} is none of these"
            )
    if len(paths) == 2:
        if paths[0].samefile(paths[1]):
            raise ValueError(f"--data names the same file twice, {paths[0]}; name its translation")
        for path in paths:
            if {".tsv", ".csv"} & set(path.suffixes):
                raise ValueError(
                    f"--data {path}: each of two files must be plain text with a sentence on each "
                    "line; or else name one table that holds both sides"
                )
    elif not {".tsv", ".csv"} & set(paths[0].suffixes):
        raise ValueError(
            f"--data {paths[0]}: a single file must be a table, .tsv or .csv; or else name two"
        )
    return {"train": ParallelText(paths, sides, encoding)}


def checksum(pairs: Iterable[Pair]) -> str:
    digest = hashlib.sha256()
    for source, target in pairs:
        digest.update(f"{source}\t{target}\n".encode())
    return digest.hexdigest()


def read_own(
    data: Sequence[str], sides: Sequence[str], encoding: str = "utf-8", strict: bool = False
) -> Texts:
    """The texts of a reader. Without a validation set, one is taken out of the training text.

    If there is only one text, a test set is taken out of it as well. Both are chosen by a hash,
    from the pairs whose two sentences occur only once. So no sentence is in two parts, and a pair
    stays in its part when other lines change. With `strict`, a pair with a blank side is an error.
    Raises as ParallelText does.
    """
    parts = find_parts(data, sides, encoding)
    held = {part: Survey(text, strict) for part, text in parts.items() if part != "train"}
    train = Survey(parts["train"], strict, held)
    surveys = {"train": train, **held}
    notes = [f"{part}: {survey.note()}" for part, survey in surveys.items()]
    notes += [
        f"careful: of the {len(held[part]):,} source sentences of {part}, {count:,} are also in "
        "train"
        for part, count in train.shared().items()
        if count
    ]
    wanted = [part for part in ("validation", "test") if part not in parts]
    taken = train.draw(wanted if "validation" in wanted else [])
    for part, lines in taken.items():
        notes.append(
            f"{part}: {len(lines):,} pairs taken out of train, from those whose sentences occur "
            "only once there"
        )
    if "test" not in parts and "test" not in taken:
        notes.append("test: none, so the last scores will be those on validation")
    pairs: dict[str, list[Pair]] = {"test": []} | {p: survey.pairs for p, survey in held.items()}
    pairs |= {part: [] for part in taken}
    for number, source, target in parts["train"] if taken else ():
        for part, lines in taken.items():
            if number in lines:
                pairs[part].append((source, target))
    without = frozenset().union(*taken.values())
    kept = Kept(parts["train"], len(train) - len(without), without)
    if train.first is not None:
        line, source, target = train.first
        where = "" if line == 1 else f", in line {line:,}"
        notes.append(f"the first pair{where}: {source[:60]!r} -> {target[:60]!r}")
    return Texts(
        kept,
        pairs["validation"],
        pairs["test"],
        held["test"].pair_of_line if "test" in held else range(len(pairs["test"])),
        notes,
        {part: survey.digest for part, survey in surveys.items()}
        | {part: checksum(pairs[part]) for part in taken},
    )
