"""Sentences with gaps, and words that fit, for readers who want to write German but know none.

Every way of filling the gaps gives a sentence of the toy language. Used in notebook 00.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from helpers.corpora.toy_words import NOUNS, VERBS

GAPS = ("①", "②")


@dataclass(frozen=True)
class Pattern:
    """A German sentence and its translation, both with the same gaps, and the words for each gap.

    title says what the pattern shows; words holds, for each gap, pairs of (German, English).
    """

    title: str
    german: str
    english: str
    words: tuple[tuple[tuple[str, str], ...], ...]

    def __str__(self) -> str:
        lines = [self.title, f"   {self.german}"]
        for gap, words in zip(GAPS, self.words, strict=False):
            lines.append(f"   {gap} " + ", ".join(f"{de} ({en})" for de, en in words))
        return "\n".join(lines)

    def sentences(self) -> Iterator[tuple[str, str]]:
        """Every sentence that the pattern allows, with its translation."""
        for chosen in product(*self.words):
            german, english = self.german, self.english
            for gap, (de, en) in zip(GAPS, chosen, strict=False):
                german, english = german.replace(gap, de), english.replace(gap, en)
            yield german, english


def _meanings() -> dict[str, str]:
    """The English of each noun in the singular and of each verb's infinitive and third person."""
    found = {noun.singular: noun.english for noun in NOUNS}
    for verb in VERBS:
        found |= {verb.infinitive: verb.english, verb.third: verb.english_third}
    return found


_MEANING = _meanings()


def _pattern(title: str, german: str, english: str, *words: str) -> Pattern:
    pairs = (tuple((word, _MEANING[word]) for word in line.split()) for line in words)
    return Pattern(title, german, english, tuple(pairs))


PATTERNS = (
    _pattern(
        "Who does what",
        "Der ① sucht den ②.",
        "The ① seeks the ②.",
        "Mann Hund Lehrer Arzt Vogel Bruder",
        "Ball Hut Schlüssel Apfel Brief Freund",
    ),
    _pattern(
        "Yesterday: the verb has two halves",
        "Gestern hat die ① das ② gefunden.",
        "The ① found the ② yesterday.",
        "Frau Katze Königin Schwester Maus",
        "Buch Ei Auto Gedicht Fenster Kind",
    ),
    _pattern(
        "We must: the second verb waits at the end",
        "Wir müssen die ① ②.",
        "We must ② the ①.",
        "Lampe Tür Tasche Jacke Zeitung",
        "suchen finden malen kaufen brauchen",
    ),
    _pattern(
        "A verb that comes apart",
        "Heute ruft der ① die ② an.",
        "The ① calls the ② today.",
        "Mann Lehrer Arzt Freund Bruder",
        "Frau Königin Schwester",
    ),
    _pattern(
        "After dass (that) the verb goes to the end",
        "Ich glaube, dass das Kind den ① ②.",
        "I believe that the child ② the ①.",
        "Ball Hut Schlüssel Brief Kuchen",
        "sieht sucht kauft braucht vergisst",
    ),
    _pattern(
        "After weil (because), too",
        "Mein Freund ①, weil die ② schläft.",
        "My friend ① because the ② sleeps.",
        "lacht singt tanzt arbeitet wartet",
        "Katze Frau Maus Schwester Königin",
    ),
    _pattern(
        "A sentence inside a sentence",
        "Der ①, der die Zeitung liest, ②.",
        "The ① who reads the newspaper ②.",
        "Mann Lehrer Arzt Freund Bruder",
        "lacht singt tanzt schläft wartet",
    ),
    _pattern(
        "The object first: den says who is seen",
        "Den ① sieht das ②.",
        "The ② sees the ①.",
        "Hund Vogel Mann Ball Lehrer",
        "Kind Mädchen Pferd",
    ),
    _pattern(
        "Not: one word becomes two",
        "Die ① kauft das ② nicht.",
        "The ① does not buy the ②.",
        "Frau Königin Schwester",
        "Buch Auto Ei Gedicht Fenster",
    ),
)
