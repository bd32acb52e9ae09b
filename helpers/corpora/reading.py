"""From what a reader types to the words that the model reads, and a plain sentence where it can't.

The live page does the same in JavaScript (helpers/data/live/text.js). This file is the definition;
tests/pictures/test_live_text.py compares the two. Used in notebook 00.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

# English words that a reader is likely to use and the corpus may not have.
_ENGLISH = """
    the a is are was were am be and of to with my your his her this that it he she we they i you do
    does did not has have had where what who why how when will would can
"""
ENGLISH = frozenset(_ENGLISH.split())
INVISIBLE = re.compile("[\u00ad\u200b-\u200d\u2060\ufeff]")
UMLAUTS = str.maketrans(dict(zip("äöüß", ("ae", "oe", "ue", "ss"), strict=True)))
LONGEST = 40  # letters; a longer word is never a misspelling of a known one


@dataclass(frozen=True)
class Reading:
    """A sentence as the model reads it, and what there is to say about it.

    words as the vocabulary spells them, with a full stop at the end; an index below counts them.
    changes  (index, typed, read): what was read differently, except a capital at the beginning.
    unknown  (index, word, suggestions): not in the vocabulary; the nearest known words first.
    foreign  (index, word): known, but only from the other language.
    unusual  (index, before, word): in training no word like `word` ever followed one like `before`,
    which is "." at the beginning of a sentence.
    empty: there is no word. english: it looks like English. too_long: the model has too few
    positions. sentences: how many there are; the model learned from single ones.
    """

    words: tuple[str, ...]
    changes: tuple[tuple[int, str, str], ...]
    unknown: tuple[tuple[int, str, tuple[str, ...]], ...]
    foreign: tuple[tuple[int, str], ...]
    unusual: tuple[tuple[int, str, str], ...]
    empty: bool
    english: bool
    too_long: bool
    sentences: int

    @property
    def ready(self) -> bool:
        """Whether there is something here that the model can translate."""
        return not (self.empty or self.too_long or self.english or self.unknown)

    def remarks(self) -> list[str]:
        """What a reader should know about the sentence, as sentences; often nothing."""
        if self.empty:
            return ["There is no word here yet. Type a German sentence."]
        if self.too_long:
            return [f"These are {len(self.words)} words, more than the model can read at once."]
        if self.english:
            return ["That looks like English. This model translates from German."]
        said = [unknown_remark(word, suggestions) for _, word, suggestions in self.unknown[:3]]
        if (more := len(self.unknown) - 3) > 0:
            said.append(f"There {'are' if more > 1 else 'is'} {more} more that it does not know.")
        said += [f"“{word}” is an English word." for _, word in self.foreign]
        said += [f"“{typed}” was read as “{word}”." for _, typed, word in self.changes]
        if self.sentences > 1:
            said.append("The model learned from single sentences. It may get lost in two.")
        return said + [unusual_remark(before, word) for _, before, word in self.unusual[:1]]


def unknown_remark(word: str, suggestions: Sequence[str]) -> str:
    short = word if len(word) <= 30 else f"{word[:29]}…"
    said = f"The model does not know “{short}”."
    if not suggestions:
        return said
    others = ", ".join(suggestions[:-1])
    choice = f"{others} or {suggestions[-1]}" if others else suggestions[-1]
    return f"{said} Did you mean {choice}?"


def unusual_remark(before: str, word: str) -> str:
    if before == ".":
        what = f"no sentence began with a word like “{word}”"
    elif word == ".":
        what = f"no sentence ended with a word like “{before}”"
    else:
        what = f"no word like “{word}” ever followed one like “{before}”"
    return f"In training, {what}, so the translation may well be wrong."


class SentenceReader:
    """Reads sentences for a model that knows `words`, of which `source_words` are its source's.

    followers[word] are the words that may follow a word according to the training sentences;
    without it, nothing is called unusual. Raises ValueError unless the source words are known.
    """

    def __init__(
        self,
        words: Iterable[str],
        source_words: Iterable[str],
        max_length: int,
        followers: Mapping[str, frozenset[str]] | None = None,
    ):
        self.words = frozenset(words)
        self.source_words = frozenset(source_words)
        self.max_length = max_length
        self.followers = followers
        if unknown := sorted(self.source_words - self.words):
            raise ValueError(f"source_words must be among words, got {unknown} on top")
        self.spellings: dict[str, list[str]] = {}  # spelled alike but for case and umlauts
        for word in self.source_words:
            self.spellings.setdefault(folded(word), []).append(word)

    def read(self, text: str) -> Reading:
        """Whatever the text is, this returns a Reading. Raises TypeError unless it is a str."""
        if not isinstance(text, str):
            raise TypeError(f"text must be a str, a sentence, got {type(text).__name__}")
        words: list[str] = []
        changes, unknown, foreign = [], [], []
        first, sentences = True, 0
        for typed in self.split(text):
            if typed == "." and first:
                continue  # "..." or "?!": one end is enough
            index, word = len(words), self.spelling(typed, first)
            words.append(word or typed)
            if word is None:
                unknown.append((index, typed))
            elif word != typed and not (first and word == typed[:1].lower() + typed[1:]):
                changes.append((index, typed, word))
            if word is not None and word not in self.source_words:
                foreign.append((index, word))
            first = typed == "."
            sentences += first
        empty = all(word in (",", ".") for word in words)
        if not first:
            sentences += 1
            words += ["."] if "." in self.words else []
        too_long = len(words) + 1 > self.max_length
        plain = not (empty or too_long or unknown or foreign)
        return Reading(
            words=tuple(words),
            changes=tuple(changes),
            unknown=tuple((i, w, () if too_long else self.nearest(w)) for i, w in unknown),
            foreign=tuple(foreign),
            unusual=tuple(self.unusual(words)) if plain else (),
            empty=empty,
            english=not empty and self.looks_english(words, dict(unknown).values(), len(foreign)),
            too_long=too_long,
            sentences=sentences,
        )

    def split(self, text: str) -> list[str]:
        """Words and punctuation, one after the other: composed letters (NFC), none invisible."""
        plain = INVISIBLE.sub("", unicodedata.normalize("NFC", text))
        words: list[str] = []
        for chunk in re.findall(r"[.,]|[^\s.,]+", plain):
            words += [chunk] if chunk in self.words else split_punctuation(chunk)
        return words

    def spelling(self, word: str, first: bool) -> str | None:
        """The word as the vocabulary spells it; a sentence's first word may have a capital."""
        if word in self.words:
            return word
        if first and word.lower() in self.words:
            return word.lower()
        alike = self.spellings.get(folded(word), [])
        if len(alike) == 1:
            return alike[0]
        return word.lower() if not alike and word.lower() in self.words else None

    def nearest(self, word: str, count: int = 3) -> tuple[str, ...]:
        """The nearest source words: at most two letters off, one for short words."""
        typed = bare(word)
        if not typed or len(word) > LONGEST:
            return ()
        most = 1 if len(typed) <= 3 else 2
        found = []
        for known in self.source_words:
            if abs(len(known) - len(word)) > most + 1 or not any(map(is_letter, known)):
                continue
            plain = bare(known)
            far = min(distance(word.lower(), known.lower()), distance(typed, plain) + 0.25)
            if far <= most + 0.25:
                found.append((far if plain[0] == typed[0] else far + 0.5, known))
        return tuple(known for _, known in sorted(found)[:count])

    def unusual(self, words: Sequence[str]) -> list[tuple[int, str, str]]:
        if self.followers is None:
            return []
        pairs = zip((".", *words), words, strict=False)
        return [
            (i, before, word)
            for i, (before, word) in enumerate(pairs)
            if word not in self.followers.get(before, ())
        ]

    def looks_english(self, words: Sequence[str], unknown: Iterable[str], foreign: int) -> bool:
        """Whether more words are English, among them so many foreign ones, than German."""
        english = foreign + sum(word.lower() in ENGLISH for word in unknown)
        source = sum(word in self.source_words and any(map(is_letter, word)) for word in words)
        return english > source


def is_letter(character: str) -> bool:
    return unicodedata.category(character)[0] == "L"


def split_punctuation(chunk: str) -> list[str]:
    """Ends of sentences become full stops; quotation marks, brackets, dashes and the like go."""
    keep = lambda c: unicodedata.category(c)[0] in "LMN" or c in ".'’<>$&%@#_- "
    chunk = re.sub("[!?…]+", " . ", chunk)
    chunk = "".join(c if keep(c) else " " for c in chunk)
    return re.sub(r"(^|\s)['’-]+|['’-]+(?=\s|$)", " ", chunk).split()


def folded(word: str) -> str:
    """ "Mädchen", "mädchen" and "MAEDCHEN" become "maedchen"."""
    return word.lower().translate(UMLAUTS)


def bare(word: str) -> str:
    """Without case and dots: "Tür" becomes "tur"."""
    letters = unicodedata.normalize("NFD", word.lower())
    return "".join(c for c in letters if unicodedata.category(c)[0] != "M")


def distance(a: str, b: str) -> int:
    """How many letters to insert, delete, replace, or swap with their neighbour."""
    before: list[int] = []
    last = list(range(len(b) + 1))
    for i in range(1, len(a) + 1):
        row = [i]
        for j in range(1, len(b) + 1):
            least = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1]))
            if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
                least = min(least, before[j - 2] + 1)
            row.append(least)
        before, last = last, row
    return last[-1]
