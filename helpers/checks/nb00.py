"""Checks of notebook 00, the first minute."""

from typing import Any

from helpers.checks import Wrong, choice, exercise
from helpers.checks.reading import number, several, words


@exercise("0.1")
def check_three_parts(answer: Any) -> str:
    """Name the three parts of the original Transformer."""
    said = " ".join(words(answer))
    if not isinstance(answer, str) and len(several(answer)) > 3:
        raise Wrong("three names are enough: which of yours isn't one of the three parts?")
    connects = "cross" if "cross" in said else "encoder decoder attention"  # the paper's name
    if connects in said:
        said = said.replace(connects, "", 1)
    elif "encoder" in said and "decoder" in said:
        raise Wrong("one part is missing: what connects the two?")
    if "encoder" not in said:
        raise Wrong("one part is missing: what reads?")
    if "decoder" not in said:
        raise Wrong("one part is missing: what writes?")
    return "what reads, what writes, and what lets the writer look at what was read"


@exercise("0.2")
def check_row(answer: Any) -> str:
    """Read the map: which German words does 'found' look at."""
    said = set(words(answer))
    if said & {"dog", "found", "ball", "little", "yesterday", "the"} and "der" not in said:
        raise Wrong("the rows are English and the columns German: name the columns")
    if not said <= {"hat", "gefunden"}:
        raise Wrong("find the row 'found' on the left, and then its darkest cells")
    if "gefunden" not in said:
        raise Wrong("there is a darker cell further to the right in that row")
    if "hat" not in said:
        raise Wrong("that is the darkest cell; a second one in the same row is dark as well")
    return "the participle at the end of the sentence, with its helping verb"


@exercise("0.3")
def check_order(answer: Any) -> str:
    """Predict: position in English (1 = first) of the translation of the first German word."""
    place = number(answer)
    if place == 1:
        raise Wrong("word by word it would come first; look at the English sentence")
    if place == 0:
        raise Wrong("that is its place in German, and counted from 0; count from 1, in English")
    if place == 6:
        raise Wrong("right if you count from 0; here the first word is number 1")
    if place == 8:
        raise Wrong("the eighth is the full stop")
    if place != 7:
        raise Wrong("find 'yesterday' in the English sentence, and count up to it")
    return "from first to seventh: attention doesn't care about distance"


check_quiz = choice(
    "0.4",
    "c",
    {
        "a": "that is the older, recurrent kind of model; here nothing is squeezed into one vector",
        "b": "decoder-only models do that; here the two sentences meet only in cross-attention",
        "c": "at every word, the decoder looks at the whole German sentence again",
        "d": "the model knows nothing about spelling: to it, a word is a number",
    },
)
