"""Checks of notebook 13, real language and scale."""

from typing import Any

from helpers.checks import Wrong, ask, choice, exercise, expect_like
from helpers.checks.reading import number, numbers, several


@exercise("13.1")
def check_parts(answer: Any) -> str:
    """Predict: 2,048 tokens a step, 4 processes, --accumulate 2: (parts, tokens in each)."""
    parts = tuple(numbers(answer, "parts", "tokens in each"))
    if parts == (4, 512):
        raise Wrong("that is one part for each process; --accumulate 2 cuts each in two again")
    if parts == (2, 1024):
        raise Wrong("accumulating cuts what each process has, it doesn't replace the processes")
    if parts == (8, 2048):
        raise Wrong("--tokens counts the whole step, all processes and parts together")
    if parts[::-1] == (8, 256):
        raise Wrong("first the number of parts, then the tokens in each")
    if parts != (8, 256):
        raise Wrong("processes times parts of each; the step's tokens are dealt out among them")
    return "eight parts of about 256 tokens, and one update of the weights"


def _cut(word: str, merges: list[tuple[str, str]], once: bool = False) -> list[str]:
    """The pieces of a word: each merge in turn, wherever it fits, or only at the first place."""
    pieces = list("▁" + word)
    for first, second in merges:
        joined: list[str] = []
        used = False
        for piece in pieces:
            if joined and (joined[-1], piece) == (first, second) and not (once and used):
                joined[-1], used = first + second, True
            else:
                joined.append(piece)
        pieces = joined
    return pieces


def _longest(word: str, merges: list[tuple[str, str]]) -> list[str]:
    """The longest known piece first, from the left: what byte-pair encoding is often taken for."""
    known, rest, pieces = {a + b for a, b in merges}, "▁" + word, []
    while rest:
        size = max(n for n in range(1, len(rest) + 1) if n == 1 or rest[:n] in known)
        pieces.append(rest[:size])
        rest = rest[size:]
    return pieces


@exercise("13.2")
def check_cut_up(answer: Any) -> str:
    """Implement: cut a new word into pieces by the learned merges, in their order."""
    merges = [("e", "i"), ("ei", "n"), ("▁", "ein"), ("h", "u"), ("n", "e"), ("n", "n")]
    few = [("a", "b"), ("b", "a"), ("ab", "ab"), ("▁", "c")]
    # In "hunnen" it is not nn: ("n", "e") was learned earlier.
    for word, learned in (("einhuein", merges), ("hunnen", merges), ("cababa", few), ("x", few)):
        got = ask(answer, word, learned)
        if isinstance(got, str) and got.split() == _cut(word, learned):
            raise Wrong("the right pieces; return them in a list, not in one text")
        if isinstance(got, str):
            raise Wrong("a list of pieces is needed here, not one text")
        got = several(got)
        if not all(isinstance(piece, str) for piece in got):
            raise Wrong("a list of pieces is needed here, each of them a text")
        if got == _cut(word, learned):
            continue
        if got == list(word):
            raise Wrong("begin with ▁ and the letters, then merge")
        if got == ["▁", *word]:
            raise Wrong("nothing is merged yet")
        if "".join(got) == word:
            raise Wrong("the ▁ that marks a word's beginning is missing")
        if "".join(got) != "▁" + word:
            raise Wrong(f"the pieces of {word!r} must join to ▁{word} again, yours are {got}")
        if got == _cut(word, learned, once=True):
            raise Wrong("a merge applies wherever its pair occurs, not only the first time")
        if got == _cut(word, learned[:1]):
            raise Wrong("only the first merge was made: go through all of them")
        if got in (_cut(word, learned[::-1]), _longest(word, learned)):
            raise Wrong("mind the merges' order: the one that was learned first comes first")
        raise Wrong(f"{word!r} should give {_cut(word, learned)}, yours gives {got}")
    return "one merge after the other, each wherever it fits"


@exercise("13.3")
def check_whole_loss(answer: Any) -> str:
    """Implement: the loss of a whole batch from the mean losses of its parts."""

    def total(losses: list[float], tokens: list[int]) -> float:
        return sum(loss * count for loss, count in zip(losses, tokens, strict=True))

    expect_like(
        answer,
        lambda losses, tokens: total(losses, tokens) / sum(tokens),
        [([2.0, 5.0, 3.0], [100, 20, 80]), ([1.5, 4.0], [30, 10])],
        {
            "this weighs a part of 20 tokens like one of 100: count by tokens": (
                lambda losses, tokens: sum(losses) / len(losses)
            ),
            "the sum over tokens is right; divide it by the number of tokens": total,
            "divide by the number of TOKENS, not of parts": (
                lambda losses, tokens: total(losses, tokens) / len(losses)
            ),
            "this adds the means; the loss would grow with the number of parts": (
                lambda losses, tokens: sum(losses)
            ),
            "each mean is of its own tokens: multiply by them first, then divide once": (
                lambda losses, tokens: sum(losses) / sum(tokens)
            ),
        },
        "each part counts by its share of the tokens",
        read=number,
    )
    return "the mean over all tokens, however they are cut"


check_quiz = choice(
    "13.4",
    "d",
    {
        "a": "you saw one system get two scores from the same sentences, only by counting letters",
        "b": "nothing about honesty follows from a number",
        "c": "with the same signature 1.4 points may well mean something",
        "d": "the signature says what was compared",
    },
)
