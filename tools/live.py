"""The live page of the project's own translator, into build/live.html."""

from pathlib import Path

from helpers.checkpoints import load_model
from helpers.corpora.toy import RUNNING, splits, vocabulary
from helpers.pictures.live_page import live_page
from helpers.tokenizer import Tokenizer
from tools.live_sentences import sentences
from tools.notebooks import ROOT

TRANSLATOR = ROOT / "helpers" / "data" / "translator.safetensors"
PATH = ROOT / "build" / "live.html"


def german_words() -> set[str]:
    """What a visitor may type: every word that the sources of the corpus use."""
    corpus = splits(train=6_000)
    pairs = [RUNNING, *corpus.train, *corpus.validation, *corpus.test, *corpus.combinations]
    return {word for pair in pairs for word in pair.source}


def write(path: Path) -> None:
    """Write the page. Raises as live_page does."""
    live_page(
        load_model(TRANSLATOR),
        Tokenizer(vocabulary()),
        path,
        source_words=german_words(),
        sentences=sentences(),
    )


def main() -> None:
    PATH.parent.mkdir(exist_ok=True)
    write(PATH)
    print(f"build/{PATH.name}: {PATH.stat().st_size / 1e6:.2f} MB, open it in a browser")


if __name__ == "__main__":
    main()
