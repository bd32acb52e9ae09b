"""text.js: whatever a visitor types becomes words and ids, or a word of help; it never throws.

helpers/corpora/reading.py is the definition; the second half compares text.js with it.
"""

import unicodedata

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from helpers.corpora.reading import ENGLISH, SentenceReader
from helpers.corpora.toy import RUNNING, join_words, vocabulary
from helpers.corpora.toy_order import german_reader, german_words, read_german, seen_in_training
from helpers.pictures.live_page import export, ids_of
from helpers.special_ids import EOS
from helpers.tokenizer import Tokenizer
from helpers.transformer import Transformer, TransformerConfig
from tests.pictures.test_live_model import ask, corpus, needs_node

pytestmark = needs_node
SIZES = dict(d_model=4, num_heads=2, d_ff=4, num_encoder_layers=1, num_decoder_layers=1)


def node(folder, words, source_words, order=None, max_length=64):
    """read(texts) -> (what readSentence gives for each, the whole answer)."""
    tokenizer = Tokenizer(words)
    model = Transformer(TransformerConfig(len(tokenizer), **SIZES, max_length=max_length))
    data = export(model, tokenizer)
    data["source_words"] = ids_of("source_words", source_words, tokenizer)
    if order is not None:
        data["order"] = order

    def run(texts):
        answer = ask(folder, data, texts=list(texts))
        return answer["read"], answer

    return run


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text")
    return node(folder, vocabulary(), german_words(), seen_in_training())


@pytest.mark.slow
def test_sentences_of_the_corpus_are_read_as_they_are(read):
    pairs = [RUNNING, *corpus().test, *corpus().combinations]
    found, answer = read(pair.source_text for pair in pairs)
    tokenizer = Tokenizer(vocabulary())
    for pair, ours in zip(pairs, found, strict=True):
        assert tuple(ours["words"]) == pair.source
        assert ours["ids"] == [*tokenizer.encode(pair.source), EOS]
        assert ours["changes"] == ours["unknown"] == ours["foreign"] == []
        assert not ours["english"] and not ours["empty"] and ours["sentences"] == 1
    assert answer["joined"] == [join_words(pair.source) for pair in pairs]


@pytest.mark.slow
def test_english_sentences_of_the_corpus_look_like_english(read):
    found, _ = read(pair.target_text for pair in corpus().test)
    assert all(ours["english"] for ours in found)


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


# ---- Python and JavaScript read alike ----------------------------------------------------------


def as_python(ours: dict) -> dict:
    """What text.js says, in the words of reading.py."""
    rows = lambda name, *keys: tuple(tuple(row[key] for key in keys) for row in ours[name])
    unknown = rows("unknown", "index", "word", "suggestions")
    return {
        "words": tuple(ours["words"]),
        "changes": rows("changes", "index", "from", "to"),
        "unknown": tuple((i, word, tuple(near)) for i, word, near in unknown),
        "foreign": rows("foreign", "index", "word"),
        "unusual": rows("unusual", "index", "before", "word"),
        "empty": ours["empty"],
        "english": ours["english"],
        "too_long": ours["tooLong"],
        "sentences": ours["sentences"],
    }


def assert_alike(texts, found, reader: SentenceReader) -> None:
    for text, ours in zip(texts, found, strict=True):
        reading = reader.read(text)
        assert as_python(ours) == vars(reading), repr(text)
        assert (ours["ids"] is not None) == reading.ready, repr(text)


TYPED = [
    "Schläft der Hund?",
    "hund",
    "schläft!",
    "„Der Hund schläft.“",
    "»Der Hund«, sagt er, ‚schläft‘ …",
    "'Der Hund' - schläft's? Rock-'n'-Roll",
    unicodedata.normalize("NFD", "Der müde Hund hört die Vögel, während das Mädchen schläft."),
    unicodedata.normalize("NFD", "schlaft Mädhcen Tur"),
    "The little dog found the ball yesterday.",
    "Where is my umbrella?",
    "Der dog sleeps.",
    "",
    "Den Mann sieht der Hund.",
    "Der Mann sieht den Hund.",
    "Der Hund, den die Katze sieht, schläft.",
    "Hund der schläft",
    "  Der\tHund \n schläft .",
    "Der Hund schläft.Er",
    ", der Hund",
    "Hund ,Katze das, die",
    "I see the hat.",
    "Der Hund 🐕 schläft 😀.",
    "🐕🐕🐕",
    "Hund🐕",
    "𝔥und 𝕳𝖚𝖓𝖉 ｈｕｎｄ",
    "3 Hunde, 2,5 Katzen und ½ Ei",
    "Der\tHund\r\nschläft\v.\f\x1cDie\x85Katze\u2028schläft",
    "Der\u00a0Hund\u202fschläft",
    "Der Hund schläft. Die Katze schläft! Wer?",
    "Donaudampfschifffahrtsgesellschaftskapitän " + "a" * 300,
    "Hund " * 70 + "Hnud",
    "HUND MÄDCHEN MAEDCHEN GROẞ GROSS groß weiss ΣΑΣ İstanbul",
    "Arzte Apfel Aepfel Äpfl öpfel",
    "\u0301 a\u0301\u0301 x\ud83d y",
    "<script>alert('x')</script> &amp; __proto__ constructor",
    " ".join(sorted(ENGLISH)),
]


def test_sentences_as_readers_type_them_are_read_alike(read):
    texts = [*TYPED, *ENGLISH, *vocabulary(), *(f"x {word}" for word in ENGLISH)]
    texts += [word.swapcase() for word in vocabulary()]
    texts += [word[1:] + word[:1] for word in sorted(german_words())[::6]]
    found, _ = read(texts)
    assert_alike(texts, found, german_reader(64))
    kinds = ("changes", "unknown", "foreign", "unusual", "empty", "english", "tooLong")
    assert [kind for kind in kinds if not any(ours[kind] for ours in found)] == []


def pieces():
    """What sentences are made of: words of both languages, nearly words, marks, and anything."""
    known = st.sampled_from(vocabulary())
    nearly = st.builds(lambda word, i: word[:i] + word[i + 1 :], known, st.integers(0, 6))
    decomposed = known.map(lambda word: unicodedata.normalize("NFD", word))
    marks = st.sampled_from([*".,!?…„“»«‚‘'’\"-–—()/:; \t\n", "...", "\u00ad", "\u200b", "'s"])
    shouted = known.map(str.upper)
    # Not the letters that only the newer of two Unicode versions knows, node's and Python's.
    characters = st.characters(exclude_categories=["Cn"])
    anything = st.text(characters, max_size=6)
    return st.one_of(known, known, nearly, decomposed, shouted, marks, anything)


SENTENCES = st.builds(
    lambda parts, glue: glue.join(parts),
    st.lists(pieces(), max_size=12),
    st.sampled_from([" ", ""]),
)


@pytest.mark.slow
@settings(
    max_examples=12,
    deadline=None,
    database=None,
    phases=[Phase.generate],  # a failure names its text, which is short enough as it is
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(texts=st.lists(SENTENCES, min_size=30, max_size=60))
def test_any_text_is_read_alike(read, texts):
    found, _ = read(texts)
    assert_alike(texts, found, german_reader(64))


@pytest.mark.slow
def test_the_corpus_and_its_scrambled_sentences_are_read_alike(read):
    pairs = [*corpus().test, *corpus().combinations]
    texts = [pair.source_text for pair in pairs]
    texts += [" ".join(sorted(pair.source)) for pair in pairs]
    texts += [pair.target_text for pair in pairs[::10]]
    found, _ = read(texts)
    assert_alike(texts, found, german_reader(64))


def test_other_vocabularies_are_read_alike(tmp_path):
    words = ["zebra", "Zebra", "ähre", "Ahre", ".", "o'clock", "e.g", "dog", "Σας", "x", "𝔥"]
    source = words[:6] + words[8:]
    texts = [
        "zebra ZEBRA Zebr",
        "o'clock 'o'clock' e.g. e.g",
        "ahre Ähre aehre",
        "dog Dog dog",
        "σας",
    ]
    texts += ["x y z", "zebra " * 9, "𝔥 𝔦", "Ahr", "dgo"]
    for max_length in (6, 64):
        found, _ = node(tmp_path, words, source, max_length=max_length)(texts)
        assert_alike(texts, found, SentenceReader(words, source, max_length))


def test_a_difference_between_the_two_would_be_seen(read):
    (ours,), _ = read(["Der hund schlaeft"])
    for change in ({"words": ["der"]}, {"changes": []}, {"english": True}, {"sentences": 2}):
        with pytest.raises(AssertionError):
            assert_alike(["Der hund schlaeft"], [ours | change], german_reader(64))
    assert read_german("Der hund schlaeft").ready
