"""`python -m tools.live [--picture]` writes the live page into build/live.html.

With --picture it also takes the picture of it that the README shows (docs/live.png), in headless
Chromium through Playwright.
"""

import argparse
import shutil
import sys
from pathlib import Path

from helpers.checkpoints import load_model
from helpers.corpora.toy import vocabulary
from helpers.corpora.toy_order import german_words, seen_in_training
from helpers.pictures.live_page import live_page
from helpers.tokenizer import Tokenizer
from tools.address import pages
from tools.live_sentences import sentences
from tools.notebooks import ROOT

TRANSLATOR = ROOT / "helpers" / "data" / "translator.safetensors"
PATH = ROOT / "build" / "live.html"
PICTURE = ROOT / "docs" / "live.png"


def write(path: Path, book: str | None) -> None:
    """Write the page. `book` says where the web book is, or None; errors are those of live_page."""
    live_page(
        load_model(TRANSLATOR),
        Tokenizer(vocabulary()),
        path,
        source_words=german_words(),
        order=seen_in_training(),
        sentences=sentences(),
        book=book,
    )


def picture(page: Path, png: Path) -> None:
    """What a visitor sees of cross-attention: a word, and where every head looked for it."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("--picture needs Chromium: apt-get install chromium")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        view = browser.new_page(viewport={"width": 1180, "height": 900})
        view.emulate_media(color_scheme="light", reduced_motion="reduce")
        view.goto(page.as_uri() + "#s=Gestern+hat+der+kleine+Hund+den+Ball+gefunden.&word=4")
        view.wait_for_selector("#challenges-root .card")
        view.add_style_tag(content="#bench { display: none }")
        box = view.locator("#look").bounding_box()
        view.set_viewport_size({"width": 1180, "height": round(box["y"] + box["height"]) + 40})
        clip = {"x": 0, "y": box["y"] + 28, "width": 1180, "height": box["height"]}
        view.screenshot(path=png, clip=clip)
        browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--picture", action="store_true", help="take a picture of the page as well")
    arguments = parser.parse_args()
    PATH.parent.mkdir(exist_ok=True)
    write(PATH, f"{pages()}/")
    if arguments.picture:
        picture(PATH, PICTURE)
    print(f"build/{PATH.name}: {PATH.stat().st_size / 1e6:.2f} MB, open it in a browser")


if __name__ == "__main__":
    main()
