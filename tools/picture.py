"""Draw the README's picture: docs/transformer.png."""

from helpers.diagrams import transformer
from helpers.plots import png
from tools.notebooks import ROOT

if __name__ == "__main__":
    (ROOT / "docs" / "transformer.png").write_bytes(png(transformer()))
