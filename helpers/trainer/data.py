"""The texts of a training run, its vocabulary and its batches."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from helpers.batching import Batch, Example, collate, one_epoch
from helpers.corpora import multi30k
from helpers.corpora.parallel_text import Texts, read_pairs
from helpers.corpora.toy import splits
from helpers.distributed import broadcast_from_main, is_main_process
from helpers.files import write_text
from helpers.subwords import Subwords


def read_texts(arguments: argparse.Namespace) -> Texts:
    """The three sets of sentence pairs. Raises OSError or ValueError saying what is missing."""
    sides = (arguments.source, arguments.target)
    if arguments.data == "corpus":
        data = splits()
        sets = [data.train, data.validation, data.test]
        pairs = [[(p.source_text, p.target_text) for p in s] for s in sets]
    elif arguments.data == "multi30k":
        texts = multi30k.load()
        pairs = [texts.train, texts.validation, texts.test]
    else:
        folder = Path(arguments.data)
        if not folder.is_dir():
            raise FileNotFoundError(
                f"--data must be multi30k, corpus or a folder, and {arguments.data!r} is none"
            )
        return Texts(*(read_pairs(folder, name, sides) for name in ("train", "val", "test")))
    if set(sides) != {"de", "en"}:
        raise ValueError(f"--data {arguments.data} has de and en, not {' and '.join(sides)}")
    if sides == ("en", "de"):
        pairs = [[(target, source) for source, target in s] for s in pairs]
    return Texts(*pairs)


def vocabulary_of(arguments: argparse.Namespace, texts: Texts) -> Subwords:
    """The run's pieces of words: learned by process 0, kept in the folder, read by all."""
    path = arguments.out / "vocabulary.json"
    if is_main_process() and not arguments.resume:
        both = (text for pair in texts.train for text in pair)
        learned = Subwords.learn(both, arguments.vocabulary, lowercase=not arguments.cased)
        write_text(path, learned.inner.to_str())
    broadcast_from_main(None)  # wait until it is there
    return Subwords.load(path)


def check_room(arguments: argparse.Namespace, subwords: Subwords, longest: int) -> None:
    """Raise ValueError if a sentence does not fit into a batch, or a beam into the vocabulary."""
    if longest + 2 > arguments.tokens:
        raise ValueError(
            f"--tokens must be at least {longest + 2}, because a sentence of training or "
            f"validation has {longest} pieces, got {arguments.tokens}"
        )
    if arguments.beam > len(subwords):
        raise ValueError(f"--beam must be at most {len(subwords)}, got {arguments.beam}")


def in_batches(examples: Sequence[Example], max_tokens: int) -> list[Batch]:
    return [collate([examples[i] for i in ids]) for ids in one_epoch(examples, max_tokens, seed=0)]
