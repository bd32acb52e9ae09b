"""Checks of notebook 00, the first minute."""

from typing import Any

from helpers.checks import Wrong, choice, exercise


@exercise("0.1")
def check_three_parts(answer: Any) -> str:
    """Name the three parts of the original Transformer."""
    said = " ".join(map(str, answer)).lower() if not isinstance(answer, str) else answer.lower()
    for part in ("encoder", "decoder", "cross"):
        if part not in said:
            hint = {
                "cross": "what connects the two?",
                "encoder": "what reads?",
                "decoder": "what writes?",
            }
            raise Wrong(f"one part is missing: {hint[part]}")
    return "what reads, what writes, and what lets the writer look at what was read"


@exercise("0.2")
def check_row(answer: Any) -> str:
    """Read the map: which German words does 'found' look at."""
    words = {str(w).strip() for w in ([answer] if isinstance(answer, str) else answer)}
    if words & {"dog", "found", "ball", "little"}:
        raise Wrong("rows are English, columns German: name the columns")
    if not words <= {"hat", "gefunden"}:
        raise Wrong("find the row 'found' at the left, and its darkest cells")
    if "gefunden" not in words:
        raise Wrong("there is a darker cell further to the right in that row")
    return "the participle at the end of the sentence, with the helping verb"


@exercise("0.3")
def check_order(answer: Any) -> str:
    """Predict: position in English (1 = first) of the translation of the first German word."""
    if int(answer) == 1:
        raise Wrong("translated word by word it would be first; look at the English sentence")
    if int(answer) == 0:
        raise Wrong("count from 1")
    if int(answer) != 7:
        raise Wrong("where does 'yesterday' stand?")
    return "from first to seventh: attention does not care about distance"


check_quiz = choice(
    "0.4",
    "c",
    {
        "a": "that is the older, recurrent kind of model; here nothing is squeezed into one vector",
        "b": "decoder-only models do that; here the two sentences meet only in cross-attention",
        "c": "at every word, the writer looks at all of the source again",
        "d": "the model knows nothing of spelling: a word is a number to it",
    },
)
