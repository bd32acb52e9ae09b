"""corpus.py: correct German and English, gold alignments, honest splits."""

import re
from collections import defaultdict

import pytest

from helpers.corpora.toy import (
    HELD_OUT,
    RUNNING,
    count_simple_clauses,
    generate,
    join_words,
    splits,
    vocabulary,
)
from helpers.corpora.toy_words import ADJECTIVES, NOUNS, VERBS

PAIRS = generate(6_000, seed=11)

# Independent tables, written from a grammar and not from the corpus: which (article, adjective
# ending) may stand before a masculine, feminine, neuter or plural noun, in any of three cases.
AGREEMENT = {
    "m": "der+e den+en dem+en ein+er einen+en einem+en dieser+e diesen+en diesem+en",
    "f": "die+e der+en eine+e einer+en diese+e dieser+en",
    "n": "das+e dem+en ein+es einem+en dieses+e diesem+en",
    "p": "die+en den+en diese+en diesen+en meine+en meinen+en keine+en keinen+en",
}
FOLLOWS_EIN = {"m": "- en em", "f": "e er", "n": "- em"}


def allowed(gender: str) -> set[tuple[str, str]]:
    found = {tuple(entry.split("+")) for entry in AGREEMENT[gender].split()}
    if gender != "p":
        endings = {a.removeprefix("ein"): e for a, e in found if a.startswith("ein")}
        for stem in ("mein", "kein"):
            found |= {(stem + ending, adjective) for ending, adjective in endings.items()}
    return found


def noun_phrases(pair):
    """(article, adjective or None, noun) wherever they stand next to each other."""
    nouns = {n.singular for n in NOUNS} | {n.plural for n in NOUNS}
    nouns |= {n.plural + "n" for n in NOUNS}
    articles = {a for g in "mfnp" for a, _ in allowed(g)}
    for i, word in enumerate(pair.source):
        if word in nouns:
            before = pair.source[i - 1]
            if before in articles:
                yield before, None, word
            elif i > 1 and pair.source[i - 2] in articles:
                yield pair.source[i - 2], before, word


def genders(noun: str) -> set[str]:
    found = {n.gender for n in NOUNS if n.singular == noun}
    return found | ({"p"} if any(noun in (n.plural, n.plural + "n") for n in NOUNS) else set())


def agrees(article, adjective, noun):
    stems = sorted((a.stem for a in ADJECTIVES), key=len, reverse=True)
    for gender in genders(noun):
        for one, ending in allowed(gender):
            if one == article:
                if adjective is None:
                    return True
                if any(adjective == stem + ending for stem in stems):
                    return True
    return False


def test_articles_adjectives_and_nouns_agree():
    seen = [phrase for pair in PAIRS for phrase in noun_phrases(pair)]
    assert len(seen) > 10_000
    wrong = {phrase for phrase in seen if not agrees(*phrase)}
    assert not wrong


@pytest.mark.parametrize(
    "phrase",
    [
        ("der", "kleine", "Frau"),
        ("das", None, "Hund"),
        ("die", "kleine", "Hunde"),
        ("ein", "kleine", "Hund"),
        ("den", "kleinen", "Auto"),
        ("einen", "roten", "Tasche"),
    ],
)
def test_the_agreement_check_refuses_wrong_german(phrase):
    assert not agrees(*phrase)


def test_verbs_agree_with_pronouns_in_both_languages():
    first = {v.first for v in VERBS} - {v.third for v in VERBS}
    third = {v.third for v in VERBS} - {v.plural for v in VERBS} - {v.participle for v in VERBS}
    third_english = {v.english_third for v in VERBS}
    for pair in PAIRS:
        for before, after in zip(pair.source, pair.source[1:], strict=False):
            assert not (before == "ich" and after in third)
            assert not (before in ("er", "wir") and after in first)
        for before, after in zip(pair.target, pair.target[1:], strict=False):
            assert not (before in ("I", "we") and after in third_english)
            assert not (before == "an" and after[0] not in "aeiou")
            assert not (before == "a" and after[0] in "aeiou")


def test_the_finite_verb_is_second_in_main_clauses_and_last_after_a_conjunction():
    finite = {form for v in VERBS for form in (v.first, v.third, v.plural)}
    finite |= {"habe", "hat", "haben", "kann", "können", "muss", "müssen", "soll", "sollen"}
    finite |= {"will", "wollen"} | {v.particle + f for v in VERBS for f in (v.third, v.plural)}
    finite |= {v.particle + v.first for v in VERBS}
    time_words = {"heute", "jetzt", "gestern", "morgen"}
    for pair in PAIRS:
        if pair.source[0] in time_words:
            assert pair.source[1] in finite, pair.source_text
        text = " ".join(pair.source)
        if match := re.search(r"(?:dass|weil) (.*) \.$", text):
            assert match.group(1).split()[-1] in finite, pair.source_text


def test_every_alignment_link_is_in_range_and_covers_what_can_be_aligned():
    for pair in [*PAIRS, RUNNING]:
        targets, sources = ({link[i] for link in pair.alignment} for i in (0, 1))
        assert all(
            0 <= t < len(pair.target) and 0 <= s < len(pair.source) for t, s in pair.alignment
        )
        assert {pair.target[t] for t in set(range(len(pair.target))) - targets} <= {","}
        assert {pair.source[s] for s in set(range(len(pair.source))) - sources} <= {","}


def links_are_consistent(pairs):
    """Every German noun is linked to its own English noun, and to that noun only."""
    dictionary = defaultdict(set)
    for n in NOUNS:
        dictionary[n.singular].add(n.english)
        for plural in (n.plural, n.plural + "n"):
            dictionary[plural].add(n.english_plural)
    for pair in pairs:
        for t, s in pair.alignment:
            if pair.source[s] in dictionary:
                assert pair.target[t] in dictionary[pair.source[s]], pair


def test_nouns_are_linked_to_their_translation():
    links_are_consistent(PAIRS)


def test_the_link_check_refuses_a_shifted_alignment():
    pair = PAIRS[0]
    shifted = frozenset((t, (s + 1) % len(pair.source)) for t, s in pair.alignment)
    broken = type(pair)(pair.source, pair.target, shifted, pair.structure, pair.features)
    with pytest.raises(AssertionError):
        links_are_consistent([broken])


def test_the_running_sentence_is_aligned_as_a_person_would():
    links = {(RUNNING.target[t], RUNNING.source[s]) for t, s in RUNNING.alignment}
    assert links == {
        *(("the", "der"), ("little", "kleine"), ("dog", "Hund"), ("found", "hat")),
        *(("found", "gefunden"), ("the", "den"), ("ball", "Ball"), ("yesterday", "gestern")),
        (".", "."),
    }
    assert RUNNING.target_text == "The little dog found the ball yesterday."


@pytest.mark.slow
def test_english_is_a_function_of_german():
    seen = {}
    for seed in range(3):
        for pair in generate(6_000, seed):
            assert seen.setdefault(pair.source, pair.target) == pair.target


def test_the_same_seed_gives_the_same_distinct_pairs():
    assert generate(200, seed=3) == generate(200, seed=3) != generate(200, seed=4)
    assert len({p.source for p in PAIRS}) == len(PAIRS)


@pytest.mark.slow
def test_there_are_more_than_a_million_sentences():
    assert count_simple_clauses() > 1_000_000


@pytest.fixture(scope="module")
def data():
    return splits(seed=1, train=20_000, validation=300, test=300)


def test_no_sentence_is_in_two_splits(data):
    parts = (data.train, data.validation, data.test, data.combinations)
    assert [len(part) for part in parts] == [20_000, 300, 300, 300]
    sentences = [pair.source for part in parts for pair in part]
    assert len(sentences) == len(set(sentences))
    assert RUNNING.source not in set(sentences)


def test_held_out_combinations_are_never_seen_but_their_words_are(data):
    seen = set().union(*(pair.features for pair in [*data.train, *data.validation, *data.test]))
    assert not seen & HELD_OUT
    words = {word for pair in data.train for word in (*pair.source, *pair.target)}
    for pair in data.combinations:
        assert pair.features & HELD_OUT
        assert {*pair.source, *pair.target} <= words
    assert set().union(*(pair.features for pair in data.combinations)) >= HELD_OUT


def test_combinations_are_recognised_by_the_words_themselves(data):
    """Independent of `features`: no training sentence has an inflected alt- before Hund."""
    pattern = re.compile(r"\balt(e|en|er|es) Hund(e|en)?\b")
    assert not any(pattern.search(pair.source_text) for pair in data.train)
    assert any(pattern.search(pair.source_text) for pair in data.combinations)


def test_vocabulary_holds_every_word():
    words = set(vocabulary())
    assert len(words) == len(vocabulary()) and 400 < len(words) < 700
    for pair in PAIRS:
        assert {*pair.source, *pair.target} <= words


def test_words_become_a_sentence():
    assert join_words(RUNNING.source) == "Gestern hat der kleine Hund den Ball gefunden."
    assert (
        join_words(["er", "lacht", ",", "weil", "ich", "singe", "."]) == "Er lacht, weil ich singe."
    )
    assert join_words([]) == ""


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: generate(0), "count must be at least 1, got 0"),
        (lambda: splits(train=0), "train must be at least 1"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
