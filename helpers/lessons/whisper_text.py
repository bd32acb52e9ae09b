"""The text side of Whisper: pieces of words, special tokens, rules for writing. Notebook 16."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor

from helpers.lessons.published_weights import Vocabulary

SPECIAL = ("<|startoftranscript|>", "<|endoftext|>", "<|notimestamps|>")
ENGLISH = 51_864  # pieces of text in the English models; the others have one more, or two


@dataclass(frozen=True)
class Spelling:
    """What belongs to a Whisper besides its weights: the pieces of its text and its house rules.

    All ids in it are ours.
    """

    vocabulary: Vocabulary
    pieces: Tokenizer  # the checkpoint's own
    first: int  # the token that is always written first: "no time stamps, please"
    never: tuple[int, ...]  # tokens that are never written, such as "♪" or "["
    not_first: tuple[int, ...]  # tokens that the text itself does not begin with
    aligning: tuple[tuple[int, int], ...]  # (layer, head) of the heads that follow the sound

    def encode(self, text: str) -> list[int]:
        """The ids of a text, which begins with a space as Whisper's texts do."""
        theirs = self.pieces.encode(" " + text.strip(), add_special_tokens=False).ids
        return self.vocabulary.encode(torch.tensor(theirs, dtype=torch.long)).tolist()

    def decode(self, ids: Tensor | list[int]) -> str:
        """The text of a row of ids; PAD, BOS, EOS and other special tokens are left out."""
        theirs = self.vocabulary.decode(torch.as_tensor(ids, dtype=torch.long))
        return self.pieces.decode(theirs.tolist(), skip_special_tokens=True).strip()


def read_spelling(folder: Path, vocab_size: int, rules: dict) -> Spelling:
    """The spelling of a checkpoint: the pieces of text in tokenizer.json, and the rules.

    Whisper has neither padding nor unknown words, so two tokens that it never writes take the
    places of PAD and UNK. Raises FileNotFoundError or ValueError naming what is missing.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise FileNotFoundError(f"{str(folder)!r} must hold tokenizer.json")
    if vocab_size > ENGLISH:
        raise ValueError(
            f"only the English models (tiny.en to medium.en) are built here, with a vocab_size of "
            f"at most {ENGLISH}; got {vocab_size}, a model for many languages"
        )
    return spell(Tokenizer.from_file(str(path)), vocab_size, rules)


def spell(pieces: Tokenizer, vocab_size: int, rules: dict) -> Spelling:
    """The spelling with these pieces, and with our ids in the rules."""
    special = [i for i in map(pieces.token_to_id, SPECIAL) if i is not None]
    never = [i for i in rules["suppress_tokens"] if i not in special]
    if len(special) < len(SPECIAL) or len(never) < 2:
        raise ValueError(f"tokenizer.json must have {SPECIAL}, and two tokens must be suppressed")
    start, eos, first = special
    vocabulary = Vocabulary(vocab_size, never[-2], start, eos, never[-1])

    def ours(theirs: Iterable[int]) -> tuple[int, ...]:
        return tuple(vocabulary.encode(torch.tensor(list(theirs), dtype=torch.long)).tolist())

    return Spelling(
        vocabulary,
        pieces,
        ours([first])[0],
        ours(never),
        ours(rules["begin_suppress_tokens"]),
        tuple((layer, head) for layer, head in rules["alignment_heads"]),
    )


def small_pieces(text: str) -> Tokenizer:
    """A tokenizer like Whisper's, learned from one text, with Whisper's special tokens."""
    pieces = Tokenizer(models.BPE())
    pieces.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pieces.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1000,
        min_frequency=1,
        special_tokens=[*SPECIAL, "<|nospeech|>", "<|prev|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    pieces.train_from_iterator([" " + text], trainer)
    return pieces
