"""subwords.py: pieces of words, there and back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.corpora.toy import splits
from helpers.special_ids import BOS, EOS, PAD, SPECIAL_TOKENS, UNK
from helpers.subwords import Subwords

PAIRS = [(p.source_text, p.target_text) for p in splits(train=300, validation=1, test=1).train]
TEXTS = [text for pair in PAIRS for text in pair]


@pytest.fixture(scope="module")
def subwords():
    return Subwords.learn(TEXTS, 300)


def test_special_tokens_have_their_ids(subwords):
    assert [subwords.inner.token_to_id(s) for s in SPECIAL_TOKENS] == [PAD, BOS, EOS, UNK]
    assert len(subwords) == 300 + 256  # a piece for each byte comes on top


def test_every_sentence_comes_back(subwords):
    for text in TEXTS:
        assert subwords.decode(subwords.encode(text)) == text


@pytest.mark.parametrize("text", ["▁", "a ▁ b", "▁▁der ▁Hund▁", "der▁Hund", "der Hund ▁ 狗▁"])
def test_the_mark_of_a_word_s_beginning_may_stand_in_a_text(subwords, text):
    assert subwords.decode(subwords.encode(text)) == text


LETTERS = sorted(set("".join(TEXTS)) - {" "})


@given(st.lists(st.text(st.sampled_from(LETTERS), min_size=1, max_size=6), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
@pytest.mark.slow
def test_any_words_of_known_letters_come_back(words):
    subwords = Subwords.learn(TEXTS, 300)
    assert subwords.decode(subwords.encode(" ".join(words))).split() == " ".join(words).split()


def test_decoding_stops_at_the_end(subwords):
    ids = subwords.encode("Der Hund")
    assert subwords.decode([BOS, *ids, EOS, *ids, PAD]) == "Der Hund"


def test_lowercase_is_the_vocabularys_business():
    small = Subwords.learn(TEXTS, 300, lowercase=True)
    assert small.decode(small.encode("Der Hund")) == "der hund"


def test_examples_are_pairs_of_ids(subwords):
    assert subwords.examples(PAIRS[:3]) == [
        (subwords.encode(a), subwords.encode(b)) for a, b in PAIRS[:3]
    ]


def test_dropped_merges_keep_ids_and_text_and_follow_their_seed(subwords):
    one, again, other = (subwords.drop_merges(0.3, seed) for seed in (1, 1, 2))
    text = " ".join(TEXTS[:20])
    assert one.encode(text) == again.encode(text) != other.encode(text)
    assert len(one.encode(text)) > len(subwords.encode(text))
    assert subwords.decode(one.encode(text)) == text
    assert subwords.drop_merges(0.0, 1).encode(text) == subwords.encode(text)
    with pytest.raises(ValueError, match=r"dropout must lie in \[0, 1\)"):
        subwords.drop_merges(1.0, 1)


def test_a_vocabulary_is_saved_and_loaded(subwords, tmp_path):
    subwords.save(tmp_path / "v.json")
    assert Subwords.load(tmp_path / "v.json").encode(TEXTS[0]) == subwords.encode(TEXTS[0])
    with pytest.raises(FileNotFoundError, match="no vocabulary at"):
        Subwords.load(tmp_path / "nothing.json")
    (tmp_path / "v.json").write_text("{}", encoding="utf8")
    with pytest.raises(ValueError, match="is not a saved vocabulary"):
        Subwords.load(tmp_path / "v.json")


def test_too_small_a_vocabulary_is_refused():
    with pytest.raises(ValueError, match="vocab_size must be at least 100, got 4"):
        Subwords.learn(TEXTS, 4)


@pytest.mark.parametrize(
    "text",
    [
        "Der 😀 Hund ☕️ schläft 🏳️‍🌈.",  # emoji, joined by marks that nobody sees
        "全角！，…　です",  # full-width punctuation and an ideographic space
        "10\u00a0km, 5\u202f%, ﬁn, ½, ²",  # what NFKC would replace
        "龘 and <eos> <0xE6> too",
        "zwei  Leerzeichen\tund ein Tab",
        "ქართული, İstanbul",
    ],
)
def test_characters_that_were_never_seen_come_back_as_they_were(subwords, text):
    assert UNK not in subwords.encode(text)
    assert subwords.decode(subwords.encode(text)) == text


def test_accents_are_read_alike_however_they_are_encoded(subwords):
    assert subwords.encode("scha\u0308ft") == subwords.encode("schäft")


def test_pieces_are_single_characters_where_words_have_no_spaces():
    """BPE knows no words there and would learn whole clauses by heart."""
    texts = [
        "我们今天去公园，你呢？",
        "犬がコンピュータを見ている。",
        "ฉันกินข้าวที่บ้าน",
        "the dog sees it",
    ]
    pieces = Subwords.learn(texts * 20, 300)
    assert pieces.pieces("我们去")[1:] == ["我", "们", "去"]
    assert pieces.pieces("コンピュータ")[1:] == list("コンピュータ")
    assert pieces.pieces("ที่บ้าน")[1:] == ["ที่", "บ้", "า", "น"]  # with their marks
    assert pieces.pieces("the dog") == ["▁the", "▁dog"]
    for text in texts:
        assert pieces.decode(pieces.encode(text)) == text


def test_thousands_of_characters_leave_room_for_pieces():
    """The rare ones are spelled in bytes."""
    rare = [chr(0x4E00 + i) for i in range(500)]
    texts = [f"der Hund {character}" for character in rare] + ["狗 der Hund"] * 50
    pieces = Subwords.learn(texts, 120)
    assert len(pieces) <= 120 + 256
    assert pieces.pieces("狗")[-1] == "狗" and "▁Hund" in pieces.pieces("der Hund")
    assert sum(len(pieces.pieces(c)) == 4 for c in rare) > 400  # ▁ and three bytes
    assert all(pieces.decode(pieces.encode(c)) == c for c in rare)


def test_a_string_is_not_taken_for_a_list_of_its_letters(subwords):
    for call in (lambda: Subwords.learn("ab", 300), lambda: subwords.encode_many("ab")):
        with pytest.raises(TypeError, match="texts must be a list, got the single string 'ab'"):
            call()


def test_what_is_no_list_of_strings_or_of_pairs_is_named(subwords):
    for texts in ([("le chat", "the cat")], ["le chat", None], [["le", "chat"]]):
        with pytest.raises(TypeError, match="texts must be strings, got"):
            subwords.encode_many(texts)
    for pairs in (["ab", "cd"], [("a", "b"), ("a", "b", "c")], [("a",)]):
        with pytest.raises(TypeError, match="pairs must be pairs of a source and a target, got"):
            subwords.examples(pairs)
    assert subwords.examples([]) == [] and subwords.encode_many([]) == []


@pytest.mark.parametrize("wrong", [-1, 556, 99999])
def test_an_id_outside_the_vocabulary_is_named(subwords, wrong):
    with pytest.raises(ValueError, match=rf"ids must lie in \[0, 556\), got {wrong}"):
        subwords.decode([5, wrong])
    assert subwords.decode([555]) == "\ufffd"
