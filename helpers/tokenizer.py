"""Words to ids and back: one vocabulary for both languages, in which every word is a token.

Used from notebook 03 on. Real text needs pieces of words instead; see notebook 13.
"""

from collections.abc import Iterable, Sequence

from helpers.special_ids import BOS, EOS, PAD, SPECIAL_TOKENS, UNK


def check_list(name: str, texts: object) -> None:
    """Raise TypeError if a single string is given where a list of them belongs.

    Python would take it for a list of its letters, and nothing would raise an error.
    """
    if isinstance(texts, str):
        raise TypeError(f"{name} must be a list, got the single string {texts!r}; put it in [ ]")


class UnknownWords(ValueError):
    """Words that the vocabulary does not have: `words`, in the order of the sentence."""

    def __init__(self, words: Sequence[str]):
        self.words = tuple(words)
        listed = ", ".join(repr(word) for word in self.words)
        super().__init__(f"not in the vocabulary: {listed}")


class Tokenizer:
    """A fixed list of words; ids 0 to 3 are the special tokens, the words follow.

    Raises ValueError if a word occurs twice or has the name of a special token.
    """

    def __init__(self, words: Iterable[str]):
        check_list("words", words)
        self.words = (*SPECIAL_TOKENS, *words)
        self.ids = {word: i for i, word in enumerate(self.words)}
        if len(self.ids) != len(self.words):
            twice = sorted({word for word in self.words if self.words.count(word) > 1})
            raise ValueError(f"words must be distinct and not special, got {twice} twice")

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, words: Iterable[str]) -> list[int]:
        """Words -> ids. Raises UnknownWords (a ValueError) that lists every unknown word."""
        check_list("words", words)
        words = list(words)
        unknown = [word for word in words if word not in self.ids]
        if unknown:
            raise UnknownWords(unknown)
        return [self.ids[word] for word in words]

    def encode_lossy(self, words: Iterable[str]) -> list[int]:
        """Words -> ids; a word that is not in the vocabulary becomes UNK."""
        check_list("words", words)
        return [self.ids.get(word, UNK) for word in words]

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Ids -> words, up to the first EOS; PAD and BOS are left out.

        Raises ValueError for an id outside the vocabulary.
        """
        words = []
        for i in map(int, ids):
            if i == EOS:
                break
            if not 0 <= i < len(self.words):
                raise ValueError(f"ids must lie in [0, {len(self.words)}), got {i}")
            if i not in (PAD, BOS):
                words.append(self.words[i])
        return words
