"""The live page of the project's own translator, into build/live.html."""

from helpers.checkpoints import load_model
from helpers.corpora.toy import RUNNING, Pair, splits, vocabulary
from helpers.pictures.live_page import live_page
from helpers.tokenizer import Tokenizer
from tools.notebooks import ROOT

TRANSLATOR = ROOT / "helpers" / "data" / "translator.safetensors"
PATH = ROOT / "build" / "live.html"


def german_words() -> set[str]:
    """What a visitor may type: every word that the sources of the corpus use."""
    corpus = splits(train=6_000)
    pairs = [RUNNING, *corpus.train, *corpus.validation, *corpus.test, *corpus.combinations]
    return {word for pair in pairs for word in pair.source}


def offered(pair: Pair, shows: str) -> dict:
    """A sentence to pick from, with its translation and which words belong together."""
    return {
        "source": pair.source,
        "target": pair.target,
        "alignment": sorted(pair.alignment),
        "shows": shows,
    }


def main() -> None:
    PATH.parent.mkdir(exist_ok=True)
    live_page(
        load_model(TRANSLATOR),
        Tokenizer(vocabulary()),
        PATH,
        source_words=german_words(),
        sentences=[offered(RUNNING, "the two halves of the perfect become one word")],
    )
    print(f"{PATH}: {PATH.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
