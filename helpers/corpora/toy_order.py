"""Which word follows which in the training sentences, and a reader for German who knows it.

Words that behave alike share a class ("noun m", "verb third"), and two words may stand side by
side if some training sentence had two words of their classes side by side. helpers/data/german.json
holds these pairs for all 60,000 training sentences; `make checkpoint` writes it anew. Used in
notebook 00 and in the live page.
"""

import json
from collections.abc import Iterable
from functools import cache
from importlib import resources

from helpers.corpora.reading import Reading, SentenceReader
from helpers.corpora.toy import Pair, vocabulary
from helpers.corpora.toy_words import ADJECTIVES, MODALS, NOUNS, SAYING, VERBS


@cache
def word_classes() -> dict[str, str]:
    """The class of every noun, adjective and verb; each other word is a class of its own.

    A form that is two things at once, such as the infinitive and plural "sehen", has both names.
    """
    names: dict[str, set[str]] = {}

    def add(word: str, name: str) -> None:
        names.setdefault(word, set()).add(name)

    for noun in NOUNS:
        add(noun.singular, f"noun {noun.gender}")
        add(noun.plural, "noun plural")
        add(noun.plural if noun.plural[-1] in "ns" else f"{noun.plural}n", "noun dative plural")
    for adjective in ADJECTIVES:
        for ending in ("e", "en", "er", "es"):
            add(adjective.stem + ending, f"adjective {ending}")
    for verb in VERBS:
        for form in ("first", "third", "plural", "infinitive", "participle"):
            kind = "separable verb" if verb.particle else "verb"
            add(getattr(verb, form), f"{kind} {form}")
            if verb.particle and form in ("first", "third", "plural"):
                add(verb.particle + getattr(verb, form), f"joined verb {form}")
    for kind, rows in (("modal", MODALS), ("saying", SAYING)):
        for row in rows:
            for word, form in zip(row, ("first", "third", "plural"), strict=False):
                add(word, f"{kind} {form}")
    return {word: ", ".join(sorted(name)) for word, name in names.items()}


def seen_in(pairs: Iterable[Pair]) -> list[dict]:
    """What german.json holds: each class with its words, and the numbers of those that follow it.

    A sentence begins after a full stop, so the classes that follow "." are those that begin one.
    """
    words: dict[str, set[str]] = {}
    seen: dict[str, set[str]] = {}
    for pair in pairs:
        names = [word_classes().get(word, word) for word in (".", *pair.source)]
        for word, name in zip((".", *pair.source), names, strict=True):
            words.setdefault(name, set()).add(word)
        for before, name in zip(names, names[1:], strict=False):
            seen.setdefault(before, set()).add(name)
    order = sorted(words)
    number = {name: i for i, name in enumerate(order)}
    return [
        {
            "class": name,
            "words": sorted(words[name]),
            "then": sorted(number[n] for n in seen.get(name, ())),
        }
        for name in order
    ]


def to_text(classes: list[dict]) -> str:
    """JSON with a line for each class, so that a change is easy to read."""
    rows = (json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in classes)
    return "[\n" + ",\n".join(rows) + "\n]\n"


@cache
def seen_in_training() -> list[dict]:
    """What `seen_in` gave for the sentences that the translator in helpers/data was trained on."""
    path = resources.files("helpers") / "data" / "german.json"
    return json.loads(path.read_text(encoding="utf8"))


def german_words() -> frozenset[str]:
    """Every German word of the corpus."""
    return frozenset(word for row in seen_in_training() for word in row["words"])


@cache
def german_reader(max_length: int) -> SentenceReader:
    classes = seen_in_training()
    followers: dict[str, frozenset[str]] = {}
    for row in classes:
        allowed = frozenset(word for i in row["then"] for word in classes[i]["words"])
        followers |= dict.fromkeys(row["words"], allowed)
    return SentenceReader(vocabulary(), german_words(), max_length, followers)


def read_german(text: str, max_length: int = 64) -> Reading:
    """A sentence as somebody types it, read for a model with room for `max_length` words.

    Raises TypeError unless the text is a str; everything else is said by Reading.remarks().
    """
    return german_reader(max_length).read(text)
