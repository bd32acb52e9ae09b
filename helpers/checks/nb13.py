"""Checks of notebook 13, real language and scale."""

from typing import Any

from helpers.checks import Wrong, ask, attempted, choice, close, exercise, expect


@exercise("13.1")
def check_parts(answer: Any) -> str:
    """Predict: 2,048 tokens a step, 4 processes, --accumulate 2: (parts, tokens in each)."""
    pair = tuple(attempted(x) for x in answer)
    if pair == (4, 512):
        raise Wrong("that is one part a process; --accumulate 2 cuts each share in two again")
    if pair == (2, 1024):
        raise Wrong("accumulating cuts what each process has, it does not replace the processes")
    if pair == (8, 2048):
        raise Wrong("--tokens counts the whole step, all processes and parts together")
    if pair[::-1] == (8, 256):
        raise Wrong("first the number of parts, then the tokens in each")
    if pair != (8, 256):
        raise Wrong("processes times parts of each; the step's tokens are dealt out among them")
    return "eight parts of about 256 tokens, and one update of the weights"


@exercise("13.2")
def check_cut_up(answer: Any) -> str:
    """Implement: cut a new word into pieces by the learned merges, in their order."""
    merges = [("e", "i"), ("ei", "n"), ("▁", "ein"), ("h", "u"), ("n", "e"), ("n", "n")]
    right = {
        "einhuein": ["▁ein", "hu", "ein"],
        "hunnen": ["▁", "hu", "n", "ne", "n"],  # not nn: ("n", "e") was learned earlier
    }
    for word, pieces in right.items():
        got = ask(answer, word, merges)
        if not isinstance(got, list | tuple):
            raise Wrong(f"a list of pieces is needed here, got {type(got).__name__}")
        got = list(got)
        if got == list(word):
            raise Wrong("begin with ▁ and the letters, then merge")
        if got == ["▁", *word]:
            raise Wrong("nothing is merged yet")
        if "".join(got) != "▁" + word:
            raise Wrong(f"the pieces of {word!r} must join to ▁{word} again, yours to {got}")
        if word == "einhuein" and got == ["▁ein", "hu", "e", "i", "n"]:
            raise Wrong("a merge applies wherever its pair stands, not only the first time")
        if got != pieces:
            raise Wrong(f"{word!r} should give {pieces}, yours gives {got}: mind the merges' order")
    return "one merge after the other, each wherever it fits"


@exercise("13.3")
def check_whole_loss(answer: Any) -> str:
    """Implement: the loss of a whole batch from the mean losses of its parts."""
    losses, tokens = [2.0, 5.0, 3.0], [100, 20, 80]
    got = ask(answer, losses, tokens)
    if close(got, 10 / 3):
        raise Wrong("this weighs a part of 20 tokens like one of 100: count by tokens")
    if close(got, 540.0):
        raise Wrong("the sum over tokens is right; divide it by the number of tokens")
    if close(got, 10.0):
        raise Wrong("this adds the means; the loss would grow with the number of parts")
    expect(got, 2.7, "each part counts by its share of the tokens")
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
