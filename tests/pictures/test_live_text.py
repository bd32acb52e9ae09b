"""text.js: whatever a visitor types becomes words and ids, or a word of help; it never throws."""

import unicodedata

import pytest

from helpers.corpora.toy import RUNNING, join_words, split_words, vocabulary
from helpers.pictures.live_page import export, ids_of
from helpers.special_ids import EOS
from helpers.tokenizer import Tokenizer
from helpers.transformer import Transformer, TransformerConfig
from tests.pictures.test_live_model import ask, corpus, needs_node
from tools.live import german_words

pytestmark = needs_node
SIZES = dict(d_model=4, num_heads=2, d_ff=4, num_encoder_layers=1, num_decoder_layers=1)


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """read(texts) -> (what readSentence gives for each, the whole answer)."""
    tokenizer = Tokenizer(vocabulary())
    model = Transformer(TransformerConfig(len(tokenizer), **SIZES, max_length=64))
    data = export(model, tokenizer)
    data["source_words"] = ids_of("source_words", german_words(), tokenizer)

    def run(texts):
        answer = ask(tmp_path_factory.mktemp("text"), data, texts=list(texts))
        return answer["read"], answer

    return run


@pytest.mark.slow
def test_it_agrees_with_split_words_on_the_whole_corpus(read):
    pairs = [RUNNING, *corpus().test, *corpus().combinations]
    found, answer = read(pair.source_text for pair in pairs)
    tokenizer = Tokenizer(vocabulary())
    for pair, ours in zip(pairs, found, strict=True):
        assert tuple(ours["words"]) == pair.source == split_words(pair.source_text)
        assert ours["ids"] == [*tokenizer.encode(pair.source), EOS]
        assert ours["changes"] == ours["unknown"] == ours["foreign"] == []
        assert not ours["english"] and not ours["empty"] and ours["sentences"] == 1
    assert answer["joined"] == [join_words(pair.source) for pair in pairs]


@pytest.mark.slow
def test_english_sentences_of_the_corpus_look_like_english(read):
    found, _ = read(pair.target_text for pair in corpus().test)
    assert all(ours["english"] for ours in found)


def test_it_agrees_with_split_words_wherever_both_know_the_words(read):
    known = set(vocabulary())
    texts = ["der Hund schläft", "Der Hund schläft", "Hund", "  Der\tHund \n schläft .", "das, die"]
    texts += ["Der Hund schläft.Er", "ich, du", ", der Hund", "Hund ,Katze", "I see the hat."]
    found, _ = read(texts)
    for text, ours in zip(texts, found, strict=True):
        words = split_words(text)
        if set(words) <= known:
            assert tuple(ours["words"]) == words, text
    assert sum(set(split_words(text)) <= known for text in texts) >= 7


@pytest.mark.parametrize(
    "text",
    [
        "der hund schläft",
        "DER HUND SCHLÄFT!",
        "Der Hund schläft?!",
        "„Der Hund schläft.“",
        "»der« (Hund) – schläft…",
        "'Der Hund schläft'",
        "Der Hund schlaeft...",
        "Der Hu\u00adnd schl\u200bäft",
        unicodedata.normalize("NFD", "Der Hund schläft."),
    ],
)
def test_case_punctuation_and_umlauts_are_no_obstacle(read, text):
    (ours,), _ = read([text])
    assert ours["words"] == ["der", "Hund", "schläft", "."] and ours["ids"] is not None
    assert not ours["english"] and ours["unknown"] == []


def test_what_was_read_differently_is_said(read):
    (ours, capital), _ = read(["Der hund schlaeft", "Der Hund schläft"])
    wanted = [("hund", "Hund"), ("schlaeft", "schläft")]
    assert [(c["from"], c["to"]) for c in ours["changes"]] == wanted
    assert [c["index"] for c in ours["changes"]] == [1, 2] and capital["changes"] == []


@pytest.mark.parametrize(
    "typed, meant",
    [("Hnud", "Hund"), ("schlaft", "schläft"), ("Kazte", "Katze"), ("Mädhcen", "Mädchen")]
    + [("gefunde", "gefunden"), ("Tur", "Tür"), ("Schlüsel", "Schlüssel")],
)
def test_an_unknown_word_comes_with_the_word_that_was_meant(read, typed, meant):
    (ours,), _ = read([f"Der Hund sucht {typed}"])
    (unknown,) = ours["unknown"]
    assert ours["ids"] is None and unknown["word"] == typed and unknown["index"] == 3
    assert unknown["suggestions"][0] == meant and len(unknown["suggestions"]) <= 3


def test_english_is_recognised_also_in_words_that_the_corpus_does_not_have(read):
    texts = ["Where is my umbrella?", "The cat sleeps.", "The dog", "How are you", "sleeps"]
    found, _ = read(texts)
    assert [ours["english"] for ours in found] == [True] * len(texts)
    german = ["Der Hund hat in Hut", "Wo ist der Hund?", "hat", "an", "Krankenhaus"]
    found, _ = read(german)
    assert [ours["english"] for ours in found] == [False] * len(german)
    (mixed,), _ = read(["Der dog schläft."])
    assert [f["word"] for f in mixed["foreign"]] == ["dog"] and not mixed["english"]


@pytest.mark.parametrize("text", ["", " ", "\n\t", "...", ".", "?!", "„“", ",", "\u200b", "\u00ad"])
def test_nothing_is_nothing(read, text):
    (ours,), _ = read([text])
    assert ours["empty"] and ours["ids"] is None and not ours["english"]


def test_several_sentences_are_counted_and_too_many_words_are_said(read):
    (two, long, just), _ = read(
        ["Der Hund schläft. Die Katze schläft.", "Hund " * 63, "Hund " * 62]
    )
    assert two["sentences"] == 2 and two["words"][4] == "die" and two["ids"] is not None
    assert long["tooLong"] and long["ids"] is None
    assert not just["tooLong"] and len(just["ids"]) == 64


def test_hostile_text_is_unknown_words_and_nothing_else(read):
    texts = [
        "<script>alert(1)</script>",
        "__proto__ constructor toString",
        "<eos> <pad>",
        "\\u003c",
    ]
    texts += [
        "a" * 50_000,
        "\ud83d\ude00 👩‍👩‍👧",
        "$x$ `y` ${z}",
        "x" + "\u0301" * 500,
        "%s {} [object]",
    ]
    found, _ = read(texts)
    for ours in found:
        assert ours["ids"] is None and (ours["unknown"] or ours["empty"])


def test_completions_come_from_the_source_language_with_or_without_dots(read):
    _, answer = read(["mä", "ma", "maed", "Hun", "", "dog", "xyz"])
    dots, plain, spelled, dog, nothing, english, none = answer["completions"]
    assert "Mädchen" in dots and "Mann" not in dots
    assert "Mann" in plain and spelled == ["Mädchen"]
    assert dog[0] == "Hund" and nothing == english == none == []
