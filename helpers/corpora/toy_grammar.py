"""The grammar of the toy corpus: noun phrases, clauses and sentences, in both languages at once.

A rule writes each word together with the *slot* that it fills ("verb", "object.noun", …); `toy.py`
makes the alignment from the slots and draws the sentences. The words are in `toy_words.py`.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from helpers.corpora.toy_words import (
    ADJECTIVES,
    MODALS,
    NOUNS,
    PLACES,
    SAYING,
    TIMES,
    VERBS,
    Adjective,
    Noun,
    Verb,
)

Word = tuple[str, frozenset[str]]  # a word and the slots that it fills


@dataclass(frozen=True)
class Phrase:
    """A noun phrase in both languages, and what the rest of the clause must know about it."""

    german: tuple[Word, ...]
    english: tuple[Word, ...]
    person: str  # first, third or plural: the verb's form
    determiner: str
    noun: Noun | None
    features: frozenset[str]


PRONOUNS = (("ich", "I", "first"), ("er", "he", "third"), ("wir", "we", "plural"))

# Endings of der-words and ein-words, and of the adjective after them: by case, then m f n plural.
_DER = {"nominative": "er ie as ie", "accusative": "en ie as ie", "dative": "em er em en"}
_DIES = {"nominative": "er e es e", "accusative": "en e es e", "dative": "em er em en"}
_EIN = {"nominative": "- e - e", "accusative": "en e - e", "dative": "em er em en"}
_WEAK = {"nominative": "e e e en", "accusative": "en e e en", "dative": "en en en en"}
_MIXED = {"nominative": "er e es en", "accusative": "en e es en", "dative": "en en en en"}

# stem: (endings, adjective endings, English singular, English plural)
DETERMINERS = {
    "d": (_DER, _WEAK, "the", "the"),
    "dies": (_DIES, _WEAK, "this", "these"),
    "ein": (_EIN, _MIXED, "a", ""),
    "mein": (_EIN, _MIXED, "my", "my"),
    "kein": (_EIN, _MIXED, "no", "no"),
}


def ending(table: dict[str, str], case: str, gender: str) -> str:
    return table[case].split()["mfnp".index(gender)].strip("-")


def word(text: str, *slots: str) -> list[Word]:
    """One or more words that fill the same slots."""
    return [(part, frozenset(slots)) for part in text.split()]


@cache
def noun_phrase(
    noun: Noun, adjective: Adjective | None, determiner: str, plural: bool, case: str, role: str
) -> Phrase:
    """The phrase in both languages; `role` (subject, object, …) names its slots."""
    der, weak, english_one, english_many = DETERMINERS[determiner]
    gender = "p" if plural else noun.gender
    german = word(determiner + ending(der, case, gender), f"{role}.determiner")
    article = english_many if plural else english_one
    english_noun = noun.english_plural if plural else noun.english
    describing: list[Word] = []
    features: frozenset[str] = frozenset()
    if adjective:
        german += word(adjective.stem + ending(weak, case, gender), f"{role}.adjective")
        describing = word(adjective.english, f"{role}.adjective")
        features = frozenset({f"{adjective.stem} {noun.singular}"})
    if article == "a" and (describing[0][0] if describing else english_noun)[0] in "aeiou":
        article = "an"
    text = noun.plural if plural else noun.singular
    if plural and case == "dative" and text[-1] not in "ns":
        text += "n"
    german += word(text, f"{role}.noun")
    english = word(article, f"{role}.determiner") + describing + word(english_noun, f"{role}.noun")
    number = "plural" if plural else "third"
    return Phrase(tuple(german), tuple(english), number, determiner, noun, features)


@cache
def nouns_of(kinds: tuple[str, ...]) -> tuple[Noun, ...]:
    return tuple(noun for noun in NOUNS if noun.kind in kinds)


@cache
def adjectives_of(kind: str) -> tuple[Adjective, ...]:
    return tuple(adjective for adjective in ADJECTIVES if kind in adjective.kinds)


def choose_phrase(
    rng: random.Random,
    kinds: tuple[str, ...],
    case: str,
    role: str,
    determiners: Sequence[str] = ("d", "d", "ein", "mein", "dies"),
) -> Phrase:
    noun = rng.choice(nouns_of(kinds))
    determiner = rng.choice(determiners)
    plural = determiner != "ein" and rng.random() < 0.3
    adjective = rng.choice(adjectives_of(noun.kind)) if rng.random() < 0.5 else None
    return noun_phrase(noun, adjective, determiner, plural, case, role)


def choose_subject(rng: random.Random, verb: Verb, role: str = "subject") -> Phrase:
    if rng.random() < 0.2:
        german, english, person = rng.choice(PRONOUNS)
        slot = f"{role}.noun"
        both = (*word(german, slot),), (*word(english, slot),)
        return Phrase(*both, person, "", None, frozenset())
    return choose_phrase(rng, verb.subjects, "nominative", role)


@dataclass(frozen=True)
class Clause:
    """The parts of a clause before they are put in order; `at` keeps the slots of two apart."""

    verb: Verb
    subject: Phrase
    objects: tuple[Phrase, ...]
    time: tuple[str, str] | None
    place: tuple[str, str] | None
    negated: bool
    tense: str  # present, perfect or modal
    modal: tuple[str, ...]  # empty in the other tenses
    at: str

    @property
    def features(self) -> frozenset[str]:
        return self.subject.features.union(*(phrase.features for phrase in self.objects))


def choose_clause(rng: random.Random, verb: Verb, tense: str, at: str = "", **fixed: Any) -> Clause:
    """Fill a clause around `verb`; fixed= subject, time, place or negated override the dice."""
    subject = fixed.get("subject") or choose_subject(rng, verb, f"{at}subject")
    objects = []
    negated = fixed.get("negated", rng.random() < 0.15)
    plain = ("d", "d", "mein", "dies")
    if verb.frame in ("dative", "both"):
        objects.append(
            choose_phrase(rng, ("person",), "dative", f"{at}recipient", (*plain, "ein"))
            if verb.frame == "both"
            else choose_phrase(rng, verb.objects, "dative", f"{at}object", plain)
        )
    if verb.frame in ("accusative", "both"):
        kinds = plain if negated else (*plain, "ein", "ein", "kein")
        objects.append(choose_phrase(rng, verb.objects, "accusative", f"{at}object", kinds))
    times = [t[:2] for t in TIMES if tense in t[2]]
    time = fixed["time"] if "time" in fixed else (rng.choice(times) if rng.random() < 0.3 else None)
    place = fixed.get("place")
    if "place" not in fixed and not negated and rng.random() < 0.15:
        place = rng.choice(PLACES)
    modal = rng.choice(MODALS[:1] if negated else MODALS) if tense == "modal" else ()
    return Clause(verb, subject, tuple(objects), time, place, negated, tense, modal, at)


def german_verb(clause: Clause) -> tuple[list[Word], list[Word]]:
    """The finite verb, and what closes the clause: particle, participle or infinitive."""
    verb, person, slot = clause.verb, clause.subject.person, f"{clause.at}verb"
    if clause.tense == "perfect":
        have = {"first": "habe", "third": "hat", "plural": "haben"}[person]
        return word(have, slot), word(verb.participle, slot)
    if clause.tense == "modal":
        finite = clause.modal[("first", "third", "plural").index(person)]
        return word(finite, f"{clause.at}modal"), word(verb.infinitive, slot)
    return word(getattr(verb, person), slot), word(verb.particle, slot)


def middle(clause: Clause, without: str = "") -> list[Word]:
    """What comes between the verb's two parts, after the subject: time, objects, place, nicht."""
    words: list[Word] = []
    if without != "time":
        words += time_words(clause)
    for phrase in clause.objects if without != "object" else ():
        words += phrase.german
    if clause.place and without != "place":
        words += place_words(clause.place[0], clause.at)
    return words + (word("nicht", f"{clause.at}not") if clause.negated else [])


def time_words(clause: Clause) -> list[Word]:
    return word(clause.time[0], f"{clause.at}time") if clause.time else []


def place_words(text: str, at: str) -> list[Word]:
    """ "in the garden": preposition and article share a slot, for im is both of them."""
    *front, noun = text.split()
    return word(" ".join(front), f"{at}place.in") + word(noun, f"{at}place.noun")


def verb_second(clause: Clause, first: str = "subject") -> list[Word]:
    """A main clause: one part, the finite verb, the rest, and the verb's other part."""
    finite, closing = german_verb(clause)
    subject = list(clause.subject.german)
    if first == "subject":
        return subject + finite + middle(clause) + closing
    if first == "time":
        front = time_words(clause)
    elif first == "place" and clause.place:
        front = place_words(clause.place[0], clause.at)
    else:
        front = list(clause.objects[0].german)
    return front + finite + subject + middle(clause, without=first) + closing


def verb_last(clause: Clause, subject: list[Word] | None = None) -> list[Word]:
    """A subordinate clause: the finite verb comes last, glued to its particle."""
    finite, closing = german_verb(clause)
    if clause.tense == "present" and closing:
        finite, closing = word(closing[0][0] + finite[0][0], f"{clause.at}verb"), []
    return (
        (list(clause.subject.german) if subject is None else subject)
        + middle(clause)
        + closing
        + finite
    )


def english(clause: Clause, subject: list[Word] | None = None) -> list[Word]:
    """Subject, verb, recipient, object, place, time: one order for every German one."""
    verb, at, person = clause.verb, clause.at, clause.subject.person
    slot, no = f"{at}verb", f"{at}not"
    third = person == "third"
    if clause.tense == "modal":
        helping = clause.modal[4 if third else 3]
        words = word("cannot", f"{at}modal", no) if clause.negated else word(helping, f"{at}modal")
        words += word(verb.english, slot)
    elif clause.negated:
        does = "did" if clause.tense == "perfect" else "does" if third else "do"
        words = word(f"{does} not", no) + word(verb.english, slot)
    elif clause.tense == "perfect":
        words = word(verb.english_past, slot)
    else:
        words = word(verb.english_third if third else verb.english, slot)
    words = (list(clause.subject.english) if subject is None else subject) + words
    for phrase in clause.objects:
        words += phrase.english
    if clause.place:
        words += place_words(clause.place[1], at)
    return words + (word(clause.time[1], f"{at}time") if clause.time else [])


COMMA: list[Word] = [(",", frozenset())]
STOP = word(".", "stop")
TRANSITIVE = tuple(v for v in VERBS if v.frame == "accusative")
INTRANSITIVE = tuple(v for v in VERBS if v.frame == "none")


# The words in both languages, and the parts whose features they have.
Sentence = tuple[list[Word], list[Word], tuple[Clause, *tuple[Clause | Phrase, ...]]]


def _any_tense(rng: random.Random) -> str:
    return rng.choice(("present", "perfect"))


def main_clause(rng: random.Random, structure: str) -> Sentence:
    tense = structure if structure in ("perfect", "modal") else "present"
    fixed: dict[str, Any] = dict(negated=True, place=None) if structure == "negated" else {}
    clause = choose_clause(rng, rng.choice(VERBS), tense, **fixed)
    return verb_second(clause), english(clause), (clause,)


def fronted(rng: random.Random, structure: str) -> Sentence:
    tense = rng.choice(("present", "perfect", "modal"))
    if rng.random() < 0.7:
        first, time = "time", rng.choice([t[:2] for t in TIMES if tense in t[2]])
        clause = choose_clause(rng, rng.choice(VERBS), tense, time=time)
    else:
        first, place = "place", rng.choice(PLACES)
        clause = choose_clause(rng, rng.choice(VERBS), tense, place=place, negated=False)
    return verb_second(clause, first), english(clause), (clause,)


def object_first(rng: random.Random, structure: str) -> Sentence | None:
    verb = rng.choice(TRANSITIVE)
    clause = choose_clause(rng, verb, _any_tense(rng), place=None)
    if not masculine(clause.objects[0]):
        return None  # only a masculine accusative looks unlike a nominative
    return verb_second(clause, "object"), english(clause), (clause,)


def that_clause(rng: random.Random, structure: str) -> Sentence:
    clause = choose_clause(rng, rng.choice(VERBS), _any_tense(rng))
    first, third, plural, base, base_third = rng.choice(SAYING)
    teller = choose_subject(rng, INTRANSITIVE[0], "teller")
    german = {"first": first, "third": third, "plural": plural}[teller.person]
    said = base_third if teller.person == "third" else base
    source = [*teller.german, *word(german, "saying"), *COMMA, *word("dass", "that")]
    target = [*teller.english, *word(said, "saying"), *word("that", "that")]
    return source + verb_last(clause), target + english(clause), (clause, teller)


def because(rng: random.Random, structure: str) -> Sentence:
    tense = _any_tense(rng)
    main = choose_clause(rng, rng.choice(INTRANSITIVE), tense, "main.", time=None, negated=False)
    reason = choose_clause(rng, rng.choice(VERBS), tense, time=None)
    source = [*verb_second(main), *COMMA, *word("weil", "because"), *verb_last(reason)]
    target = [*english(main), *word("because", "because"), *english(reason)]
    return source, target, (reason, main)


def when(rng: random.Random, structure: str) -> Sentence:
    event = choose_clause(rng, rng.choice(VERBS), "present", time=None)
    main = choose_clause(rng, rng.choice(INTRANSITIVE), "present", "main.", time=None, place=None)
    finite, closing = german_verb(main)
    source = [*word("wenn", "when"), *verb_last(event), *COMMA]
    source += [*finite, *main.subject.german, *middle(main), *closing]
    target = [*word("when", "when"), *english(event), *COMMA, *english(main)]
    return source, target, (event, main)


def shows_its_case(phrase: Phrase, subjects_person: str) -> bool:
    """Whether an accusative cannot be taken for the subject, by its form or the verb's number."""
    other_number = (phrase.person == "plural") != (subjects_person == "plural")
    return other_number or masculine(phrase)


def masculine(phrase: Phrase) -> bool:
    return phrase.noun is not None and phrase.noun.gender == "m" and phrase.person != "plural"


def relative_pronoun(phrase: Phrase) -> str:
    """What a relative clause about this phrase begins with, where it is the clause's subject."""
    if phrase.person == "plural" or phrase.noun is None:
        return "die"
    return {"m": "der", "f": "die", "n": "das"}[phrase.noun.gender]


def relative(rng: random.Random, structure: str) -> Sentence | None:
    tense = _any_tense(rng)
    main = choose_clause(rng, rng.choice(INTRANSITIVE), tense, "main.", time=None, place=None)
    subject, noun = main.subject, main.subject.noun
    verbs = [v for v in TRANSITIVE if noun and noun.kind in v.subjects]
    if noun is None or not verbs:
        return None
    inner = choose_clause(rng, rng.choice(verbs), tense, subject=subject, time=None)
    pronoun = relative_pronoun(subject)
    if pronoun != "der" and not shows_its_case(inner.objects[0], subject.person):
        return None  # "das Kind, das die Frau sieht": who sees whom?
    who = "who" if noun.kind == "person" else "that"
    source = [*subject.german, *COMMA, *verb_last(inner, word(pronoun, "who")), *COMMA]
    target = [*subject.english, *english(inner, word(who, "who"))]
    source += verb_second(main)[len(subject.german) :]
    target += english(main)[len(subject.english) :]
    return source, target, (inner, main)


STRUCTURES: dict[str, Callable[[random.Random, str], Sentence | None]] = {
    "main": main_clause,
    "perfect": main_clause,
    "modal": main_clause,
    "negated": main_clause,
    "fronted": fronted,
    "object first": object_first,
    "that": that_clause,
    "because": because,
    "when": when,
    "relative": relative,
}
