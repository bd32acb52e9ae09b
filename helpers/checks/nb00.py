"""Checks of notebook 00, the first minute."""

from pathlib import Path
from typing import Any

import helpers
from helpers.checkpoints import load_model
from helpers.checks import Wrong, attempted, choice, exercise, shown
from helpers.checks.reading import number, several, words
from helpers.corpora.toy import join_words, vocabulary
from helpers.corpora.toy_order import read_german
from helpers.decoding import cross_attention_maps, translate
from helpers.tokenizer import Tokenizer

SHOWN = ("Den Apfel isst mein Bruder.", "Schläft der Hund?")  # in the notebook already


@exercise("0.1")
def check_without_cross(answer: Any) -> str:
    """Predict: how many sentences it writes without cross-attention, and what is idle then."""
    parts = answer.replace(" and ", ",").split(",") if isinstance(answer, str) else several(answer)
    if len(parts) != 2 or isinstance(answer, set | frozenset | dict):
        raise Wrong('a number and a name are needed here, such as (50, "decoder")')
    count, said = number(parts[0]), " ".join(words(parts[1]))
    if count == 100:
        raise Wrong("how would the decoder know that it got another German sentence?")
    if count == 0:
        raise Wrong("the decoder has learned how English goes on, so it will write something")
    if count != 1:
        raise Wrong(
            "what could differ from one sentence to the next? It always begins the same way"
        )
    if "decoder" in said:
        raise Wrong("1 is right; but the decoder is what writes that sentence")
    if "cross" in said:
        raise Wrong("1 is right; but cross-attention is gone: whose work does nobody look at now?")
    if "encoder" not in said:
        raise Wrong("1 is right; which of the three parts made what cross-attention looked at?")
    return "the encoder still reads, but nobody looks at what it has read"


@exercise("0.2")
def check_row(answer: Any) -> str:
    """Read the map: which German word does 'calls' look at."""
    said = set(words(answer))
    if said & {"the", "doctor", "calls", "queen", "today"}:
        raise Wrong("the rows are English and the columns German: name the columns")
    if "ruft" in said and "an" in said:
        raise Wrong("that is what you'd expect after 'hat … gefunden'; look at the map once more")
    if "an" in said:
        raise Wrong("'an' is the other half of the verb; look at the map once more")
    if said != {"ruft"}:
        raise Wrong("find the row 'calls' on the left, and then its darkest cell")
    return "nothing is left for 'an', whose meaning the encoder may have added to 'ruft'"


@exercise("0.3")
def check_turned(answer: Any) -> str:
    """Bend it: a German sentence whose English begins at its end and ends at its beginning."""
    if not isinstance(attempted(answer), str):
        raise Wrong(f"a German sentence is needed here, in quotes; this is {shown(answer)}")
    reading = read_german(answer)
    if not reading.ready:
        raise Wrong(reading.remarks()[0][0].lower() + reading.remarks()[0][1:].rstrip("."))
    if reading.words in (read_german(text).words for text in SHOWN):
        raise Wrong("this notebook has translated that one already; write another")
    model = load_model(Path(helpers.__file__).parent / "data" / "translator.safetensors")
    tokenizer = Tokenizer(vocabulary())
    english = translate(model, tokenizer, [reading.words])[0]
    attended = list(cross_attention_maps(model, tokenizer, reading.words, english).values())[-1]
    columns = attended.mean(0).argmax(-1).tolist()  # the darkest cell of each row
    source = [word for word in reading.words if word != "."]
    target = [word for word in english if word != "."]
    says = f"the model writes “{join_words(english)}”"
    if columns[0] < len(source) - 2:
        start = reading.words[columns[0]]
        raise Wrong(f"{says}, and its first word comes from “{start}”, not from the end")
    last = columns[len(target) - 1]
    if last > 1:
        end = reading.words[last]
        raise Wrong(f"{says}, and its last word comes from “{end}”, not from the beginning")
    return f"{says}: what stood at one end now stands at the other"


check_quiz = choice(
    "0.4",
    "c",
    {
        "a": "that is the older, recurrent kind of model; here nothing is squeezed into one vector",
        "b": "word orders differ: *found* was the fourth English word, and its verb came last",
        "c": "at every word, the decoder looks at the whole German sentence again",
        "d": "nothing is crossed off: it may look at a word as often as it likes",
    },
)
