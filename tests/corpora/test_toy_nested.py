"""corpora/toy_nested.py: long sentences with the words and the promises of the short ones."""

from itertools import islice

import pytest

from helpers.corpora.toy import vocabulary
from helpers.corpora.toy_nested import nested_pairs, nested_splits

PAIRS = list(islice(nested_pairs(0), 300))


def test_the_sentences_are_long_and_have_no_new_words():
    lengths = sorted(len(pair.source) for pair in PAIRS)
    assert lengths[0] > 12 and lengths[150] > 25
    words = {w for pair in PAIRS for w in (*pair.source, *pair.target)}
    assert words <= set(vocabulary())


def test_clauses_are_nested_and_their_verbs_come_last():
    for pair in PAIRS:
        text = pair.source_text
        assert text.count(" dass ") in (1, 2, 3) and text.count(" weil ") == 1
        assert text.count(" dass ") == sum(text.count(f", dass{x}") for x in (" ",))
        assert pair.source[-1] == pair.target[-1] == "."


def test_every_word_but_a_comma_belongs_to_one():
    for pair in PAIRS:
        aligned = {s for _, s in pair.alignment}
        assert {s for s, w in enumerate(pair.source) if w != ","} == aligned
        assert {t for t, _ in pair.alignment} == set(range(len(pair.target)))
        # A link stays within its clause: the reason's words are linked to the reason's words.
        because, weil = pair.target.index("because"), pair.source.index("weil")
        links = [link for link in pair.alignment if link[0] < len(pair.target) - 1]
        assert all((t > because) == (s > weil) for t, s in links if t != because)


def test_a_seed_gives_the_same_sentences_and_the_sets_share_none():
    data = nested_splits(seed=3, train=50, validation=20, test=10)
    again = nested_splits(seed=3, train=50, validation=20, test=10)
    assert data == again
    sentences = [p.source for part in (data.train, data.validation, data.test) for p in part]
    assert len(set(sentences)) == len(sentences) == 80 and data.combinations == []
    with pytest.raises(ValueError, match="train must be at least 1, got 0"):
        nested_splits(train=0)
