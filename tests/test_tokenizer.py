"""tokenizer.py: words to ids and back."""

import pytest

from helpers.special_ids import BOS, EOS, PAD, SPECIAL_TOKENS, UNK
from helpers.tokenizer import Tokenizer, UnknownWords


def test_special_tokens_are_spelled_in_the_order_of_their_ids():
    assert [SPECIAL_TOKENS[i] for i in (PAD, BOS, EOS, UNK)] == ["<pad>", "<bos>", "<eos>", "<unk>"]


def test_words_survive_the_way_to_ids_and_back():
    tokenizer = Tokenizer(["Hund", "dog", "."])
    ids = tokenizer.encode(["dog", "Hund", "."])
    assert ids == [5, 4, 6] and len(tokenizer) == 7
    assert tokenizer.decode([BOS, *ids, EOS, 4, PAD]) == ["dog", "Hund", "."]


def test_every_unknown_word_is_named():
    tokenizer = Tokenizer(["Hund"])
    with pytest.raises(UnknownWords, match="not in the vocabulary: 'Wolf', 'Bär'") as caught:
        tokenizer.encode(["Wolf", "Hund", "Bär"])
    assert caught.value.words == ("Wolf", "Bär")
    assert tokenizer.encode_lossy(["Wolf", "Hund"]) == [UNK, 4]


def test_tokenizer_refuses_doubles_and_foreign_ids():
    with pytest.raises(ValueError, match=r"\['Hund'\]"):
        Tokenizer(["Hund", "Hund"])
    with pytest.raises(ValueError, match=r"\['<pad>'\]"):
        Tokenizer(["<pad>"])
    with pytest.raises(ValueError, match=r"ids must lie in \[0, 5\), got 5"):
        Tokenizer(["Hund"]).decode([5])


@pytest.mark.parametrize(
    "call, name",
    [
        (lambda: Tokenizer("Hund"), "words"),
        (lambda: Tokenizer(["H", "u"]).encode("Hu"), "words"),
        (lambda: Tokenizer(["H", "u"]).encode_lossy("Hu"), "words"),
    ],
)
def test_a_sentence_where_a_list_of_words_belongs_is_not_taken_for_its_letters(call, name):
    with pytest.raises(TypeError, match=f"{name} must be a list, got the single string 'Hu"):
        call()
