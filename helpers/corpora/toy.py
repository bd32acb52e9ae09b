"""An embedded German-English corpus with gold word alignments: a grammar, no download.

Every sentence is derived in both languages at once. A derivation writes each word together with
the *slot* that it fills ("verb", "object.noun", …); a German and an English word are aligned if
and only if they share a slot. So the alignment is gold by construction:

- content words, articles and full stops are linked to their counterparts;
- a verb's parts share one slot: found ↔ {hat, gefunden}, calls ↔ {ruft, an};
- the helping verb of a negation belongs to it: {does, not} ↔ nicht, cannot ↔ {kann, nicht};
- {in, the} ↔ im; wants, to ↔ will; no ↔ keinen; who or that ↔ the relative pronoun;
- German commas have no counterpart, and no link.

The English is a function of the German: the perfect is always the simple past, the present always
the simple present, and a clause starts with its object only where case shows that it is one.
Sentence-initial words keep the case that they have inside a sentence ("gestern"); `join_words`
capitalises. Used in every notebook.
"""

import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from helpers.corpora.toy_grammar import (
    PRONOUNS,
    STOP,
    STRUCTURES,
    TRANSITIVE,
    Clause,
    Word,
    adjectives_of,
    english,
    noun_phrase,
    nouns_of,
    verb_second,
)
from helpers.corpora.toy_words import ADJECTIVES, NOUNS, VERBS


@dataclass(frozen=True)
class Pair:
    """A German sentence, its English translation, and which words belong together.

    alignment holds (target index, source index): rows and columns of a cross-attention map.
    structure names the kind of clause; the held-out split is chosen by features.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    alignment: frozenset[tuple[int, int]]
    structure: str
    features: frozenset[str]

    @property
    def source_text(self) -> str:
        return join_words(self.source)

    @property
    def target_text(self) -> str:
        return join_words(self.target)


@dataclass(frozen=True)
class Corpus:
    """Pairs to train on, to validate with, to test on, and with combinations seen nowhere else."""

    train: list[Pair]
    validation: list[Pair]
    test: list[Pair]
    combinations: list[Pair]


# Combinations that only the fourth split may hold: adjective with noun, verb with structure.
HELD_OUT = frozenset(
    {"alt Hund", "klein Katze", "jung Lehrer", "nett Schwester", "müd Kind", "schwarz Pferd"}
    | {
        "rot Ball",
        "neu Auto",
        "schön Buch",
        "lang Brief",
        "groß Apfel",
        "grün Tür",
        "alt Schlüssel",
    }
    | {"lesen because", "kaufen object first", "anrufen when", "helfen modal", "suchen relative"}
    | {
        "besuchen perfect",
        "zeigen that",
        "waschen fronted",
        "aufmachen negated",
        "schlafen fronted",
    }
)


def derive(rng: random.Random) -> Pair:
    """One random pair."""
    structure = rng.choice(list(STRUCTURES))
    while (parts := STRUCTURES[structure](rng, structure)) is None:
        pass
    source, target, clauses = parts
    features = frozenset({f"{clauses[0].verb.infinitive} {structure}"}).union(
        *(clause.features for clause in clauses)
    )
    return make_pair([*source, *STOP], [*target, *STOP], structure, features)


def make_pair(
    source: list[Word], target: list[Word], structure: str, features: frozenset[str]
) -> Pair:
    """Words and slots -> a Pair, in which words that share a slot are aligned."""
    alignment = frozenset(
        (t, s)
        for t, (_, filled) in enumerate(target)
        for s, (_, slots) in enumerate(source)
        if filled & slots
    )
    words = (tuple(w for w, _ in source), tuple(w for w, _ in target))
    return Pair(*words, alignment, structure, features)


def _running() -> Pair:
    noun = {n.singular: n for n in NOUNS}
    little = next(a for a in ADJECTIVES if a.stem == "klein")
    find = next(v for v in VERBS if v.infinitive == "finden")
    dog = noun_phrase(noun["Hund"], little, "d", False, "nominative", "subject")
    ball = noun_phrase(noun["Ball"], None, "d", False, "accusative", "object")
    time = ("gestern", "yesterday")
    clause = Clause(find, dog, (ball,), time, None, False, "perfect", (), "")
    source, target = verb_second(clause, "time"), english(clause)
    return make_pair([*source, *STOP], [*target, *STOP], "fronted", clause.features)


RUNNING = _running()  # the sentence that goes through all notebooks; in no split


def count_simple_clauses() -> int:
    """How many distinct sentences the plainest structure alone has, by exact count.

    That is a subject, a verb in the present and one accusative object, and nothing else. The other
    structures come on top.
    """

    def phrases(kinds: tuple[str, ...], case: str, determiners: str) -> set[tuple[str, ...]]:
        return {
            tuple(w for w, _ in noun_phrase(noun, adjective, d, plural, case, "").german)
            for noun in nouns_of(kinds)
            for adjective in (None, *adjectives_of(noun.kind))
            for d in determiners.split()
            for plural in ((False,) if d == "ein" else (False, True))
        }

    return sum(
        (len(phrases(verb.subjects, "nominative", "d ein mein dies")) + len(PRONOUNS))
        * len(phrases(verb.objects, "accusative", "d ein mein dies kein"))
        for verb in TRANSITIVE
    )


def pairs(seed: int) -> Iterator[Pair]:
    """An endless stream of distinct pairs, the same for the same seed."""
    rng, seen = random.Random(seed), {RUNNING.source}
    while True:
        pair = derive(rng)
        if pair.source not in seen:
            seen.add(pair.source)
            yield pair


def generate(count: int, seed: int = 0) -> list[Pair]:
    """`count` distinct pairs. Raises ValueError unless count is at least 1."""
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    stream = pairs(seed)
    return [next(stream) for _ in range(count)]


def splits(
    seed: int = 0, train: int = 60_000, validation: int = 1_000, test: int = 1_000
) -> Corpus:
    """Four sets that share no sentence; `combinations` is as large as `test`.

    Every sentence of `combinations` has a combination (HELD_OUT) that occurs in no other set.
    Raises ValueError unless all sizes are at least 1.
    """
    sizes = {"validation": validation, "test": test, "combinations": test, "train": train}
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")
    sets: dict[str, list[Pair]] = {name: [] for name in sizes}
    for pair in pairs(seed):
        if pair.features & HELD_OUT:
            if len(sets["combinations"]) < test:
                sets["combinations"].append(pair)
            continue
        short = [n for n in sizes if n != "combinations" and len(sets[n]) < sizes[n]]
        if short:
            sets[short[0]].append(pair)
        elif len(sets["combinations"]) == test:
            return Corpus(**sets)
    raise AssertionError("the stream of pairs is endless")


@cache
def vocabulary() -> tuple[str, ...]:
    """Every word, German and English, in alphabetical order."""
    found = set(RUNNING.source + RUNNING.target)
    stream = pairs(seed=0)
    unseen = 0
    while unseen < 3_000:
        pair = next(stream)
        new = {*pair.source, *pair.target} - found
        found |= new
        unseen = 0 if new else unseen + 1
    return tuple(sorted(found))


def join_words(words: Iterable[str]) -> str:
    """Words to a sentence: "gestern hat … ." becomes "Gestern hat … ."."""
    text = re.sub(r" ([.,])", r"\1", " ".join(words))
    return text[:1].upper() + text[1:]
