"""Text to pieces of words and back: byte-pair encoding, through the `tokenizers` library.

Used in notebook 13. Ids 0 to 3 are the special tokens, as in `tokenizer.Tokenizer`; here a
sentence is a string, not a list of words. Source: Sennrich et al. 2016.
"""

import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

import tokenizers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, trainers

from helpers.batching import Example
from helpers.special_ids import EOS, SPECIAL_TOKENS
from helpers.tokenizer import check_list

# Scripts that put no spaces between words. Without this, a whole clause would become one piece.
UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}ー]|[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]\p{M}*"
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]  # as `tokenizers` spells them


OUR_MARK, THEIR_MARK = "▁", "\ue000"  # a space before a word; and what stands for a ▁ of the text


class Subwords:
    """A vocabulary of pieces, learned from text. A piece that begins a word starts with ▁.

    Text comes back as it was, apart from spaces at its beginning. Only the way accents are encoded
    is normalised (NFC). A character that was never seen is spelled in bytes, and a ▁ in the text
    itself is told from ours by a character from Unicode's private area, which stands for it.
    """

    def __init__(self, inner: tokenizers.Tokenizer):
        self.inner = inner
        inner.encode_special_tokens = True  # a sentence with the text "<eos>" is spelled, not ended

    @classmethod
    def learn(cls, texts: Iterable[str], vocab_size: int, lowercase: bool = False) -> "Subwords":
        """Merge the most frequent pair of pieces, again and again, up to vocab_size pieces.

        A piece for each of the 256 bytes comes on top. In scripts that put no spaces between words
        (Chinese, Japanese, Thai, …) a piece is one character. Give it the texts of both languages
        for one joint vocabulary. With `lowercase`, everything it reads is lower-cased first.
        Raises ValueError if vocab_size is below 100, TypeError if texts is one string.
        """
        check_list("texts", texts)
        if vocab_size < 100:
            raise ValueError(f"vocab_size must be at least 100, got {vocab_size}")
        inner = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
        lower = [normalizers.Lowercase()] if lowercase else []
        apart = normalizers.Replace(OUR_MARK, THEIR_MARK)
        inner.normalizer = normalizers.Sequence([normalizers.NFC(), *lower, apart])
        inner.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Metaspace(),
                pre_tokenizers.Punctuation(),
                pre_tokenizers.Split(Regex(UNSPACED), "isolated"),
            ]
        )
        back = decoders.Replace(THEIR_MARK, OUR_MARK)
        inner.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(), back])
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=list(SPECIAL_TOKENS),
            limit_alphabet=3 * vocab_size // 4,  # of thousands of characters, the rarest are bytes
            show_progress=False,
        )
        inner.train_from_iterator(texts, trainer)
        table = json.loads(inner.to_str())
        pieces = table["model"]["vocab"]
        pieces |= {byte: len(pieces) + i for i, byte in enumerate(BYTES)}
        return cls(tokenizers.Tokenizer.from_str(json.dumps(table)))

    def __len__(self) -> int:
        return self.inner.get_vocab_size()

    def encode(self, text: str) -> list[int]:
        """Text -> ids, without BOS and EOS."""
        return self.inner.encode(text).ids

    def encode_many(self, texts: Sequence[str]) -> list[list[int]]:
        """Many texts at once, which is faster. Raises TypeError unless given a list of strings."""
        check_list("texts", texts)
        texts = list(texts)
        for text in texts:
            if not isinstance(text, str):  # the library would encode a pair as one text
                raise TypeError(f"texts must be strings, got {text!r}")
        return [encoding.ids for encoding in self.inner.encode_batch_fast(texts)]

    def examples(self, pairs: Sequence[tuple[str, str]]) -> list[Example]:
        """Many pairs of sentences at once. Raises TypeError if one of them is not a pair."""
        for pair in pairs:
            if isinstance(pair, str) or len(pair) != 2:
                raise TypeError(f"pairs must be pairs of a source and a target, got {pair!r}")
        sources, targets = (self.encode_many([pair[side] for pair in pairs]) for side in (0, 1))
        return list(zip(sources, targets, strict=True))

    def drop_merges(self, dropout: float, seed: int) -> "Subwords":
        """The same pieces and ids, but each merge is left out with probability `dropout`.

        Words then fall into other, smaller pieces, which keeps a model from learning pieces by
        heart. This is not BPE dropout (Provilkov et al. 2020), which draws anew at each word:
        here one table holds for all words, so that a merge that builds on a dropped one is gone
        as well. (The library's own BPE dropout cannot be repeated from a seed.)
        Raises ValueError unless 0 <= dropout < 1.
        """
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), got {dropout}")
        table, draw = json.loads(self.inner.to_str()), random.Random(seed)
        merges = table["model"]["merges"]
        table["model"]["merges"] = [merge for merge in merges if draw.random() >= dropout]
        return Subwords(tokenizers.Tokenizer.from_str(json.dumps(table)))

    def pieces(self, text: str) -> list[str]:
        """The pieces of a text as strings, with "▁" where a word begins."""
        return self.inner.encode(text).tokens

    def decode(self, ids: Iterable[int]) -> str:
        """Ids -> text, up to the first EOS; special tokens are left out.

        Raises ValueError for an id outside the vocabulary.
        """
        ids = [int(i) for i in ids]
        size = len(self)
        for i in ids:
            if not 0 <= i < size:
                raise ValueError(f"ids must lie in [0, {size}), got {i}")
        ids = ids[: ids.index(EOS)] if EOS in ids else ids
        return self.inner.decode(ids, skip_special_tokens=True)

    def save(self, path: str | Path) -> None:
        """Write everything to one JSON file."""
        Path(path).write_text(self.inner.to_str(), encoding="utf8")

    @classmethod
    def load(cls, path: str | Path) -> "Subwords":
        """What `save` wrote. Raises FileNotFoundError, or ValueError for another kind of file."""
        try:
            return cls(tokenizers.Tokenizer.from_str(Path(path).read_text(encoding="utf8")))
        except FileNotFoundError:
            raise FileNotFoundError(f"no vocabulary at {str(path)!r}") from None
        except Exception as error:  # the library raises bare Exception
            raise ValueError(f"{str(path)!r} is not a saved vocabulary ({error})") from None
