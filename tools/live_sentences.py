"""The sentences that the live page offers to pick from, each because it shows something.

All but the last come from the two test splits, so the model has never seen them in training, and
the corpus knows their translation and which words belong together.
"""

from helpers.corpora.toy import RUNNING, Pair, splits
from helpers.corpora.toy_order import read_german

# German, and what to look at.
SENTENCES = (
    (RUNNING.source_text, "Two words become one: hat … gefunden is “found”."),
    ("Ich mache mein Buch auf.", "The verb comes apart: mache … auf is “open”."),
    ("Meinen Arzt hat der Hund geliebt.", "The object comes first. Who loved whom?"),
    (
        "Ein Mädchen sagt, dass meine Katze einen Ball sucht.",
        "The verb waits until the end of the clause.",
    ),
    ("Die Frau, die einen Brief schreibt, schläft.", "A sentence inside another one."),
    ("Er liest die Zeitung nicht.", "One nicht becomes two words: “does not”."),
    ("Wir müssen diese Schwester besuchen.", "English moves the second verb forward."),
    (
        "Wenn der Mann kein Mädchen liebt, schläft ein Vogel.",
        "Two clauses, and both change their order.",
    ),
    ("Am Fluss arbeite ich im Sommer.", "Place and time move to the end."),
    (
        "Jetzt schläft das Kind.",
        "New to the model: in training, no sentence with schlafen began with a time.",
    ),
    (
        "Ich habe den alten Hund geliebt.",
        "Also new: in training, no dog was ever old.",
    ),
)
# Not in the grammar: the model has only met relative clauses about a subject.
FAILURE = {
    "source": read_german("Der Hund, den die Katze sieht, schläft.").words,
    "target": ("the", "dog", "that", "the", "cat", "sees", "sleeps", "."),
    "shows": "A failure: den makes the dog the object, and training had nothing like it.",
}


def sentences() -> list[dict]:
    """Mappings as live_page takes them, with the gold alignment where the corpus has it."""
    data = splits(train=1)
    known = {p.source_text: p for p in (RUNNING, *data.test, *data.combinations)}
    return [*(offered(known[text], shows) for text, shows in SENTENCES), FAILURE]


def offered(pair: Pair, shows: str) -> dict:
    return {
        "source": pair.source,
        "target": pair.target,
        "alignment": sorted(pair.alignment),
        "shows": shows,
    }
