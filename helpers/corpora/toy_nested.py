"""Long sentences of the embedded corpus's grammar: clauses within clauses. Used in notebook 11.

    er sagt , dass wir wissen , dass der Hund , der den Ball sucht , schläft , weil … .
    he says that we know that the dog that looks for the ball is sleeping because … .

One to three people say, know, believe or hope what a clause with a relative clause in it says,
and another clause gives the reason. The words are those of `toy.py`, and so are the slots, which
make the alignment; the clauses' slots are kept apart by a prefix.
"""

import random
from collections.abc import Iterator
from itertools import islice

from helpers.corpora.toy import Corpus, Pair, make_pair
from helpers.corpora.toy_grammar import (
    COMMA,
    INTRANSITIVE,
    STOP,
    TRANSITIVE,
    Word,
    choose_clause,
    choose_subject,
    english,
    relative_pronoun,
    shows_its_case,
    verb_last,
    word,
)
from helpers.corpora.toy_words import SAYING, VERBS


def nested(rng: random.Random) -> Pair:
    """One random pair, 18 to 50 German words long."""
    source: list[Word] = []
    target: list[Word] = []
    features: frozenset[str] = frozenset()
    for depth in range(rng.choice((1, 2, 2, 3))):
        teller = choose_subject(rng, INTRANSITIVE[0], f"teller{depth}")
        first, third, plural, base, base_third = rng.choice(SAYING)
        says = {"first": first, "third": third, "plural": plural}[teller.person]
        said = base_third if teller.person == "third" else base
        saying, that = f"saying{depth}", f"that{depth}"
        source += [*teller.german, *word(says, saying), *COMMA, *word("dass", that)]
        target += [*teller.english, *word(said, saying), *word("that", that)]
        features |= teller.features
    tense = rng.choice(("present", "perfect"))
    main = choose_clause(rng, rng.choice(INTRANSITIVE), tense, "main.", time=None, place=None)
    subject, noun = main.subject, main.subject.noun
    verbs = [v for v in TRANSITIVE if noun and noun.kind in v.subjects]
    if noun is None or not verbs:
        return nested(rng)  # a pronoun, or a noun that none of these verbs fits: draw anew
    inner = choose_clause(rng, rng.choice(verbs), tense, "inner.", subject=subject, time=None)
    pronoun = relative_pronoun(subject)
    if pronoun != "der" and not shows_its_case(inner.objects[0], subject.person):
        return nested(rng)  # who sees whom would be open, as in toy_grammar.relative
    reason = choose_clause(rng, rng.choice(VERBS), tense, "reason.", time=None)
    who = "who" if noun.kind == "person" else "that"
    source += [*subject.german, *COMMA, *verb_last(inner, word(pronoun, "who")), *COMMA]
    source += verb_last(main)[len(subject.german) :]
    source += [*COMMA, *word("weil", "because"), *verb_last(reason), *STOP]
    target += [*subject.english, *english(inner, word(who, "who"))]
    target += english(main)[len(subject.english) :]
    target += [*word("because", "because"), *english(reason), *STOP]
    features = features.union(*(clause.features for clause in (main, inner, reason)))
    return make_pair(source, target, "nested", features)


def nested_pairs(seed: int) -> Iterator[Pair]:
    """An endless stream of distinct pairs, the same for the same seed."""
    rng, seen = random.Random(seed), set()
    while True:
        pair = nested(rng)
        if pair.source not in seen:
            seen.add(pair.source)
            yield pair


def nested_splits(
    seed: int = 0, train: int = 60_000, validation: int = 1_000, test: int = 1_000
) -> Corpus:
    """Three sets that share no sentence; `combinations` is empty.

    Raises ValueError unless all sizes are at least 1.
    """
    sizes = {"validation": validation, "test": test, "train": train}
    stream, sets = nested_pairs(seed), {}
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")
        sets[name] = list(islice(stream, size))
    return Corpus(**sets, combinations=[])
