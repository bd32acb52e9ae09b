"""The texts of a training run, its vocabulary and its batches."""

import argparse
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from helpers.batching import Batch, Example, collate, one_epoch
from helpers.corpora import multi30k
from helpers.corpora.parallel_text import PARTS, Kept, Pair, Texts, checksum, read_own
from helpers.corpora.toy import splits
from helpers.evaluation import finds_words, tokenizer_for
from helpers.files import write_text
from helpers.subwords import Subwords
from helpers.trainer.encoded import kind_for, open_examples, write_examples
from helpers.trainer.reports import as_lines


def read_texts(arguments: argparse.Namespace) -> Texts:
    """The three sets of sentence pairs. Raises OSError or ValueError saying what is missing."""
    sides = (arguments.source, arguments.target)
    name = arguments.data[0]
    if name not in ("multi30k", "corpus"):
        return read_own(arguments.data, sides, arguments.encoding, arguments.strict)
    if name == "corpus":
        data = splits()
        sets = [data.train, data.validation, data.test]
        pairs = [[(p.source_text, p.target_text) for p in s] for s in sets]
    else:
        texts = multi30k.load()
        pairs = [texts.train, texts.validation, texts.test]
    if set(sides) != {"de", "en"}:
        raise ValueError(f"--data {name} has de and en, not {' and '.join(sides)}")
    if sides == ("en", "de"):
        pairs = [[(target, source) for source, target in s] for s in pairs]
    checksums = {part: checksum(s) for part, s in zip(("train", "val", "test"), pairs, strict=True)}
    train, validation, test = pairs
    return Texts(train, validation, test, range(len(test)), [], checksums)


def prepare(arguments: argparse.Namespace, texts: Texts) -> tuple[Texts, int]:
    """What process 0 does before training: make choices that depend on the texts, learn the
    vocabulary, encode.

    Returns the texts without pairs that are too long, with notes on these alone, and the number of
    pieces of the longest sentence.
    Raises ValueError if a resumed run had other texts, or if too many sentences are too long.
    """
    references = [target for _, target in texts.validation]
    if not arguments.resume:
        arguments.checksums = texts.checksums
        arguments.capitals = begin_with_capitals(references)
        if arguments.bleu_tokenize == "auto":
            arguments.bleu_tokenize = tokenizer_for(references)
    elif changed := [p for p, s in texts.checksums.items() if s != arguments.checksums.get(p)]:
        raise ValueError(
            f"the texts are not those that the run began with: {' and '.join(changed)} changed. "
            "Name the old ones with --data, or begin a run on the new ones with --from "
            f"{arguments.out}"
        )
    subwords = vocabulary_of(arguments, texts)
    room = min(arguments.max_length, arguments.tokens - 2)
    said = []
    there = all((arguments.out / name).is_file() for name in ("train.ids", "train.starts.npy"))
    if not (arguments.resume and there):
        left_out = write_examples(arguments.out, texts.train, subwords, room)
        said += too_long("train", texts.train, left_out, room, arguments.strict)
    longest = open_examples(arguments.out, subwords).longest()
    kept: dict[str, list[Pair]] = {}
    test_lines = texts.test_lines
    for part in ("validation", "test"):
        pairs = getattr(texts, part)
        lengths = [max(map(len, example)) for example in subwords.examples(pairs)] if pairs else []
        fits = [length <= arguments.max_length for length in lengths]
        kept[part] = [pair for pair, fit in zip(pairs, fits, strict=True) if fit]
        left_out = [i for i, fit in enumerate(fits) if not fit]
        said += too_long(part, pairs, left_out, arguments.max_length, arguments.strict)
        longest = max([longest, *(n for n, fit in zip(lengths, fits, strict=True) if fit)])
        if part == "test" and left_out:
            place_of = {old: new for new, old in enumerate(i for i, fit in enumerate(fits) if fit)}
            test_lines = [None if i is None else place_of.get(i) for i in test_lines]
    if not kept["validation"]:
        raise ValueError("every validation sentence is too long; raise --max-length")
    if arguments.beam > len(subwords):
        raise ValueError(f"--beam must be at most {len(subwords)}, got {arguments.beam}")
    if not finds_words(arguments.bleu_tokenize, references):
        said.append(
            f"BLEU with {arguments.bleu_tokenize} finds no words in this script, so the validation "
            "loss chooses the model"
        )
    if arguments.start_from is not None and not arguments.resume:
        said += trained_before(Path(arguments.start_from), subwords, kept)
    kept_texts = Texts(
        texts.train, kept["validation"], kept["test"], test_lines, said, texts.checksums
    )
    write_held_out(arguments, kept_texts)
    return kept_texts, longest


def write_held_out(arguments: argparse.Namespace, texts: Texts) -> None:
    """Write val.de, val.en, test.de and test.en into held_out/; test.txt matches them by line.

    They have a folder of their own because --out may be the folder that --data names.
    """
    names = [re.sub(r"[^\w-]", "_", name) for name in (arguments.source, arguments.target)]
    if names[0] == names[1]:
        names = ["source", "target"]
    folder = arguments.out / "held_out"
    folder.mkdir(exist_ok=True)
    for part, lines in (
        ("validation", range(len(texts.validation))),
        ("test", texts.test_lines if texts.test else ()),
    ):
        for name, side in zip(names, zip(*getattr(texts, part), strict=True), strict=False):
            write_text(folder / f"{PARTS[part]}.{name}", as_lines(side, lines))


def trained_before(
    begun_with: Path, subwords: Subwords, held: Mapping[str, Sequence[Pair]]
) -> list[str]:
    """How many held-out pairs `begun_with`, or a run that it began with, was trained on.

    The runs share a vocabulary, so pairs are compared as pieces with what those runs encoded.
    """
    kind = kind_for(subwords)
    encoded = {
        part: [as_bytes(example, kind) for example in subwords.examples(ps)]
        for part, ps in held.items()
    }
    wanted, seen = {pair for pairs in encoded.values() for pair in pairs}, set()
    said: list[str] = []
    run: Path | None = begun_with
    while run is not None:
        try:
            for example in open_examples(run, subwords):
                if (pair := as_bytes(example, kind)) in wanted:
                    seen.add(pair)
            settings = json.loads((run / "settings.json").read_text(encoding="utf8"))
        except (OSError, ValueError) as error:
            said.append(
                f"careful: the training text of {run} cannot be read ({error}), so some of its "
                "pairs may be in validation and test"
            )
            break
        older = settings.get("start_from")
        run = Path(older) if older else None
    for part, pairs in encoded.items():
        if count := sum(pair in seen for pair in pairs):
            said.append(
                f"careful: of the {len(pairs):,} pairs of {part}, {count:,} were in the training "
                f"text of {begun_with}, so scores on them are too good"
            )
    return said


def as_bytes(example: Example, kind: type[np.unsignedinteger]) -> tuple[bytes, bytes]:
    source, target = (np.asarray(side, kind).tobytes() for side in example)
    return source, target


def too_long(
    part: str, pairs: Sequence[Pair] | Kept, left_out: Sequence[int], room: int, strict: bool
) -> list[str]:
    """What to print about pairs that are too long.

    Raises ValueError if `strict` allows none, or if most of the text is too long.
    """
    if not left_out:
        return []
    where = place(pairs, left_out[0])
    if 2 * len(left_out) > len(pairs):
        raise ValueError(
            f"{part}: {len(left_out):,} of {len(pairs):,} pairs have a side with more than {room} "
            f"pieces (first: {where}); raise --max-length or --tokens"
        )
    if strict:
        raise ValueError(f"{part}, {where}: a side has more than {room} pieces (--max-length)")
    return [
        f"{part}: {len(left_out):,} left out because a side has more than {room} pieces "
        f"(first: {where})"
    ]


def place(pairs: Sequence[Pair] | Kept, index: int) -> str:
    """In words, where a pair is in its text."""
    if not isinstance(pairs, Kept):
        return f"pair {index + 1:,}"
    line = next(line for i, line in enumerate(pairs.lines()) if i == index)
    return f"line {line:,} of {pairs.text}"


def begin_with_capitals(sentences: Sequence[str]) -> bool:
    """Whether most of the sentences that begin with a letter begin with a capital one."""
    first = [s[0] for s in sentences if s[:1].lower() != s[:1].title()]  # of a script that has both
    return sum(letter == letter.title() for letter in first) > len(first) / 2


def vocabulary_of(arguments: argparse.Namespace, texts: Texts) -> Subwords:
    """The run's pieces of words: learned now, or taken from the run that this one begins with."""
    path = arguments.out / "vocabulary.json"
    if arguments.resume:
        return Subwords.load(path)
    if arguments.start_from is not None:
        shutil.copyfile(Path(arguments.start_from) / "vocabulary.json", path)
        return Subwords.load(path)
    both = (text for pair in texts.train for text in pair)
    learned = Subwords.learn(both, arguments.vocabulary, lowercase=not arguments.cased)
    write_text(path, learned.inner.to_str())
    return learned


def in_batches(examples: Sequence[Example], max_tokens: int) -> list[Batch]:
    """Batches to measure the loss on. A sentence that is longer than a batch is left out."""
    short = [e for e in examples if max(map(len, e)) <= max_tokens - 2]
    if not short:
        raise ValueError(f"--tokens must be larger, got {max_tokens}: no validation sentence fits")
    return [collate([short[i] for i in ids]) for ids in one_epoch(short, max_tokens, seed=0)]
