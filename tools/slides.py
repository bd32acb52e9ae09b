"""`python -m tools.slides [NAME] [--minutes 45 | --week 3] [--sharp] [--pdf]` makes the decks of
course/slides in build/slides.

A deck is one HTML file that needs no network: reveal.js, the formulas' MathJax and the pictures are
inside. With --pdf there are two PDFs beside it, one page a slide, printed by headless Chromium
through Playwright: NAME.pdf shows everything, and in NAME-handout.pdf all that waits for a key is
left blank, for an audience that is to think first. With --minutes there are, in files of their
own, the slides of a shorter talk, as the notes of the first slide describe it (tools/talks.py).
With --week there is one file with all slides of that week's lecture, as the table of the fourteen
weeks in course/syllabus.md has it. With --sharp the notebooks are executed first, and their
pictures drawn with twice the pixels and larger labels (tools/sharp.py).

A deck is Markdown, written for speaking. Its pictures, code and printed lines belong to the
notebook of the same name, and a deck that quotes what is no longer there cannot be made:

    ---                                   begins a slide; its first line is its title, # or ##
    . . .                                 what follows comes at the next key
    ![](07-05)                            the picture of the cell with this id
    ![](07-05/2) ![](figure:masks)        its second picture, and a drawing of tools/figures.py, in
                                          a row because they are on one line. A drawing is sharp
                                          at any size; a cell's picture has the pixels stored
    ```python {from=07-14 mark=2,3}       code whose lines are in this cell, in this order, or in
                                          a file: from=helpers/masks.py; lines 2 and 3 stand out
    ```printed {from=07-12}               lines that this cell prints
    Note:                                 what follows is for the speaker (key S). It begins with
                                          a list of one to three short lines, to be read at a glance
    {with "Title"} …                      a line that is there only if that slide is shown, in the
    - {without "Title"} …                 talk for which the deck is made, or only if it isn't

A line "…" or "# …" says that some were left out. The page itself comes from tools/templates:
slides.html.j2, slides.css and slides.js. When the page opens, the script makes the type of full
slides a little smaller, and what still does not fit is named by tests/test_slides.py.
"""

import argparse
import base64
import contextlib
import functools
import html
import importlib.metadata
import json
import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader
from nbconvert.filters import markdown2html
from nbformat import NotebookNode
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name

from helpers.pictures.style import DPI
from tools import live, sharp
from tools.address import pages
from tools.figures import FIGURES, svg
from tools.notebooks import ROOT, paths, read
from tools.talks import lectures, parts_of, talk, title_of

DECKS = ROOT / "course" / "slides"
FOLDER = ROOT / "build" / "slides"
TEMPLATES = ROOT / "tools" / "templates"
WIDTH, HEIGHT = 1280, 720

PAUSE = ". . ."
PICTURE = re.compile(r"!\[\]\(([\w:.-]+?)(?:/(\d+))?\)")
FENCE = re.compile(r"```(\w*)\s*(?:\{(.*)\})?$")
LEFT_OUT = ("…", "# …")
GLANCE = re.compile(r"(?:- .+(?:\n|$))+")  # the short lines with which notes begin
ONLY = re.compile(r'(- )?\{(with|without) "(.+?)"\} ')


# ---- A deck's text ---------------------------------------------------------------------------


@dataclass
class Block:
    """A paragraph, list or table ("prose"), a row of pictures ("pictures"), or lines in a fence,
    whose kind is the word behind the three backticks."""

    kind: str
    text: str
    of: str = ""  # the cell or the file that the lines come from
    marked: list[int] = field(default_factory=list)  # lines that stand out, from 1


@dataclass
class Slide:
    """A title, what appears at once and at each further key, and what the speaker may say."""

    title: str
    steps: list[list[Block]]
    notes: str

    @property
    def blocks(self) -> list[Block]:
        return [block for step in self.steps for block in step]


def slides(text: str) -> list[Slide]:
    """The slides of a deck. Raises ValueError if one has no title or a fence is not closed."""
    parts = parts_of(text)
    titles = {title_of(part) for part in parts}
    return [slide(list(fitting(part.strip("\n").splitlines(), titles))) for part in parts]


def fitting(lines: Iterable[str], titles: set[str]) -> Iterator[str]:
    """The lines without those that need a slide that isn't there, or that isn't to be there."""
    for line in lines:
        only = ONLY.match(line)
        if only is None:
            yield line
        elif (only[3] in titles) == (only[2] == "with"):
            yield (only[1] or "") + line[only.end() :]


def slide(lines: list[str]) -> Slide:
    title, *lines = lines
    if not re.match(r"##? \S", title):
        raise ValueError(f"a slide must begin with its title, # or ##, got {title!r}")
    notes = len(lines)
    if "Note:" in lines:
        notes = lines.index("Note:")
    found = Slide(title, [[]], "\n".join(lines[notes + 1 :]).strip())
    rest = iter(lines[:notes])
    for line in rest:
        step = found.steps[-1]
        if line == PAUSE:
            found.steps.append([])
        elif fence := FENCE.match(line):
            step.append(fenced(fence, rest, title))
        elif PICTURE.match(line):
            step.append(Block("pictures", line))
        elif line.strip():
            text = [line]
            for line in rest:
                if not line.strip():
                    break
                text.append(line)
            step.append(Block("prose", "\n".join(text)))
    return found


def fenced(fence: re.Match, rest: Iterator[str], title: str) -> Block:
    """The block after the line that opens it; `rest` then goes on after the line that closes it."""
    lines = []
    for line in rest:
        if line == "```":
            break
        lines.append(line)
    else:
        raise ValueError(f"{title}: a fence ``` must be closed")
    said = dict(pair.split("=") for pair in (fence[2] or "").split())
    marked = [int(number) for number in said.get("mark", "").split(",") if number]
    return Block(fence[1], "\n".join(lines), said.get("from", ""), marked)


# ---- What it takes from the notebook ---------------------------------------------------------


class Quoted:
    """The cells of a notebook, and our files, that a deck quotes.

    Its methods raise ValueError if something is not there, or no longer there.
    """

    def __init__(self, notebook: NotebookNode):
        self.cells = {cell.id: cell for cell in notebook.cells}
        self.times = notebook.metadata.get("sharp", {}).get("times", 1)

    def cell(self, name: str) -> NotebookNode:
        if name not in self.cells:
            raise ValueError(f"{name} must be the id of a cell of the notebook")
        return self.cells[name]

    def picture(self, name: str, number: int = 1) -> tuple[str, str]:
        """(the alt text, a data URI) of a cell's picture or of a drawing."""
        if name.startswith("figure:"):
            drawing = name.removeprefix("figure:")
            if drawing not in FIGURES:
                raise ValueError(f"{name} must be one of {', '.join(FIGURES)}")
            drawn, alt = large_drawing(drawing)
            as_wide = re.sub(rb'(width|height)="([\d.]+)pt"', in_pixels, drawn, count=2)
            return alt, f"data:image/svg+xml;base64,{base64.b64encode(as_wide).decode()}"
        outputs = self.cell(name).get("outputs", [])
        found = [o for o in outputs if "image/png" in o.get("data", {})]
        if len(found) < number:
            raise ValueError(f"{name} must show {number} picture(s), but it shows {len(found)}")
        picture = found[number - 1].data["image/png"].replace("\n", "")
        alt, uri = (
            found[number - 1].metadata["image/png"]["alt"],
            f"data:image/png;base64,{picture}",
        )
        return alt, uri if self.times == 1 else as_large_as_stored(uri, self.times)

    def check(self, block: Block) -> None:
        """Check that each line of a fence is where the fence says, in the same order."""
        if block.kind == "printed":
            available = printed(self.cell(block.of))
        elif "/" in block.of:
            available = (ROOT / block.of).read_text(encoding="utf8")
        elif block.of:
            available = self.cell(block.of).source
        else:
            return
        lines = iter(line.strip() for line in available.splitlines())
        for line in block.text.splitlines():
            wanted = line.strip()
            if wanted and wanted not in LEFT_OUT and not any(wanted == other for other in lines):
                raise ValueError(f"{block.of} must have the line {wanted!r} here")


@functools.cache
def large_drawing(name: str) -> tuple[bytes, str]:
    return svg(name, large=True)


def as_large_as_stored(uri: str, times: int) -> str:
    """A PNG with more pixels as a picture of the size that the notebook's own has."""
    data = base64.b64decode(uri.partition(",")[2])
    width, height = (int.from_bytes(data[at : at + 4], "big") / times for at in (16, 20))
    drawn = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}"><image width="100%" height="100%" href="{uri}"/>'
        "</svg>"
    )
    return f"data:image/svg+xml,{quote(drawn, safe='/+=:;, ')}"


def in_pixels(size: re.Match) -> bytes:
    """A drawing's width or height, so that it is as large as its picture in a notebook."""
    return b'%s="%.0f"' % (size[1], float(size[2]) * DPI / 72)


def printed(cell: NotebookNode) -> str:
    """Everything that a cell prints."""
    found = []
    for output in cell.get("outputs", []):
        found.append(output.get("text") or output.get("data", {}).get("text/plain", ""))
    return "\n".join(found)


# ---- From a deck to a page -------------------------------------------------------------------

MATHJAX = {
    "tex": {"inlineMath": [["$", "$"]]},
    "options": {"enableMenu": False, "ignoreHtmlClass": "code|printed"},
}


def as_html(block: Block, quoted: Quoted) -> str:
    if block.kind == "prose":
        return f'<div class="text">{markdown2html(block.text)}</div>'
    if block.kind == "pictures":
        found = [quoted.picture(name, int(n or 1)) for name, n in PICTURE.findall(block.text)]
        images = "".join(f'<img alt="{html.escape(alt)}" src="{uri}">' for alt, uri in found)
        return f'<div class="figure">{images}</div>'
    quoted.check(block)
    if block.kind == "printed":
        return f'<pre class="printed">{html.escape(block.text)}</pre>'
    lexer = get_lexer_by_name(block.kind or "text")
    code = highlight(block.text, lexer, HtmlFormatter(hl_lines=block.marked))
    return f'<div class="code">{code}</div>'


def section(slide: Slide, quoted: Quoted) -> str:
    """A slide as HTML."""
    found = [f'<div class="text title">{markdown2html(slide.title)}</div>']
    for i, step in enumerate(slide.steps):
        content = "\n".join(as_html(block, quoted) for block in step)
        found.append(f'<div class="fragment">{content}</div>' if i else content)
    if slide.notes:
        found.append(f'<aside class="notes">{as_notes(slide.notes)}</aside>')
    return "\n".join(found)


def as_notes(notes: str) -> str:
    """The speaker's notes as HTML: what is read at a glance is large, and a line ends it.

    The style is in the text, because the speaker's window has a style sheet of its own.
    """
    glance = GLANCE.match(notes)
    if glance is None:
        return markdown2html(notes)
    rest = notes[glance.end() :].strip()
    large = f'<div style="font-size: 1.35em; font-weight: 500">{markdown2html(glance[0])}</div>'
    return large + (f"<hr>{markdown2html(rest)}" if rest else "")


def packaged(distribution: str, end: str) -> str:
    """The text of the file in an installed package whose path has this end.

    Raises SystemExit if the package, or the file in it, is missing.
    """
    try:
        files = importlib.metadata.files(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        sys.exit(f"{distribution} is not installed: pip install -r requirements-teach.lock")
    for file in files:
        if str(file).endswith(end):
            return file.locate().read_text(encoding="utf8")
    sys.exit(f"{distribution} has no file {end}")


def ours(name: str) -> str:
    """The text of a file in tools/templates, beginning on a line of its own."""
    return "\n" + (TEMPLATES / name).read_text(encoding="utf8")


def page(text: str, notebook: NotebookNode) -> str:
    """A deck as one HTML text.

    Raises ValueError that names the slide which quotes something that the notebook doesn't have.
    """
    return joined([(text, notebook)])


def joined(talks: Iterable[tuple[str, NotebookNode]], title: str = "") -> str:
    """The talks of a lecture, each the text of a deck and its notebook, as one HTML text."""
    talks = list(talks)
    sections = [one for text, notebook in talks for one in sections_of(text, notebook)]
    title = title or slides(talks[0][0])[0].title.lstrip("# ")
    formulas = any("$" in text for text, _ in talks)
    reveal = [
        packaged("sphinx-revealjs", f"revealjs/{name}")
        for name in ("dist/reveal.css", "dist/reveal.js", "plugin/notes/notes.js")
    ]
    scripts = [*reveal[1:], ours("slides.js")]
    if formulas:
        settings = f"window.MathJax = {json.dumps(MATHJAX)};"
        scripts = [settings, packaged("sphinx-mathjax-offline", "/mathjax/tex-svg.js"), *scripts]
    css = [reveal[0], HtmlFormatter(style="xcode").get_style_defs(".highlight"), ours("slides.css")]
    template = Environment(loader=FileSystemLoader(TEMPLATES)).get_template("slides.html.j2")
    return template.render(title=title, css="\n".join(css), scripts=scripts, sections=sections)


def sections_of(text: str, notebook: NotebookNode) -> list[str]:
    text = re.sub(rf'(?<=[("]){re.escape(pages())}/live\.html', "live.html", text)
    quoted, sections = Quoted(notebook), []
    for number, one in enumerate(slides(text), start=1):
        try:
            sections.append(section(one, quoted))
        except ValueError as error:
            raise ValueError(f"slide {number}, {one.title!r}: {error}") from None
    return sections


def deck_of(notebook: Path) -> Path:
    """The deck that belongs to a notebook."""
    return DECKS / f"{notebook.stem}.md"


# ---- PDF -------------------------------------------------------------------------------------


@contextlib.contextmanager
def chromium():
    """The machine's Chromium, headless. Ends the program if it or Playwright is missing."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sys.exit("--pdf needs Playwright: pip install -r requirements-teach.lock")
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        sys.exit("--pdf needs Chromium: apt-get install chromium")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


def print_pdfs(browser, deck: Path) -> list[Path]:
    """Print the HTML file of a deck, one page a slide: all of it, and the handout, on which what
    waits for a key is left blank."""
    full, handout = deck.with_suffix(".pdf"), deck.with_name(f"{deck.stem}-handout.pdf")
    for pdf, how in ((full, "print-pdf"), (handout, "print-pdf&handout")):
        view = browser.new_page()
        view.goto(f"{deck.resolve().as_uri()}?{how}")
        view.wait_for_selector("body[data-ready]", state="attached")
        view.pdf(path=pdf, prefer_css_page_size=True, print_background=True)
        view.close()
    return [full, handout]


@dataclass
class File:
    """What one file in build/slides shows: the texts of decks, each with its notebook's path."""

    name: str
    talks: list[tuple[str, Path]]
    title: str = ""


def text_of(path: Path) -> str:
    return deck_of(path).read_text(encoding="utf8")


def lecture(week: int) -> File:
    """The decks of a week's lecture. Raises ValueError if the semester has no such week."""
    if week not in lectures():
        raise ValueError(f"there are the weeks 1 to {max(lectures())}, got {week}")
    found, first = [], 1
    for one in lectures()[week].talks:
        (path,) = paths(f"{one.deck}_")
        text = talk(text_of(path), one.minutes, one.part)
        last = first + len(parts_of(text)) - 1
        found.append((text, path, f"{one}: slides {first} to {last}"))
        first = last + 1
    shown = "; ".join(where for *_, where in found)
    votes = lectures()[week].votes
    said = f"**Week {week}.** {shown}. There is time for {votes} votes with neighbours."
    begin = found[0][0].replace("**Time.**", f"{said}\n\n**Time.**", 1)
    texts = [(begin, found[0][1]), *((text, path) for text, path, _ in found[1:])]
    return File(f"week{week:02}", texts, f"Week {week}")


def files(name: str, minutes: int | None, week: str) -> list[File]:
    """The files to write. Raises ValueError if there is no such talk, or no such week."""
    if week:
        weeks = lectures() if week == "all" else [int(week)]
        return [lecture(number) for number in weeks]
    found = []
    for path in paths(name):
        try:
            text = text_of(path)
            if minutes is None:
                found.append(File(path.stem, [(text, path)]))
            else:
                found.append(File(f"{path.stem}-{minutes}min", [(talk(text, minutes), path)]))
        except ValueError as error:
            raise ValueError(f"{deck_of(path).relative_to(ROOT)}, {error}") from None
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the decks of course/slides.")
    parser.add_argument("name", nargs="?", default="", help="a part of a notebook's name")
    parser.add_argument(
        "--pdf", action="store_true", help="a PDF and a handout of each deck as well"
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=int, help="the slides of a talk of this length only")
    length.add_argument(
        "--week", default="", help="one file for the lecture of this week of the semester, or all"
    )
    parser.add_argument(
        "--sharp", action="store_true", help="execute the notebooks for pictures with more pixels"
    )
    chosen = parser.parse_args()
    if chosen.week and chosen.week != "all" and not chosen.week.isdecimal():
        parser.error(f"--week must be a number or all, got {chosen.week!r}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    live.write(FOLDER / "live.html", f"{pages()}/")  # the decks' links to it lead to this copy
    written = []
    opened = functools.cache(sharp.redrawn if chosen.sharp else read)
    try:
        for file in files(chosen.name, chosen.minutes, chosen.week):
            target = FOLDER / f"{file.name}.html"
            talks = [(text, opened(path)) for text, path in file.talks]
            target.write_text(joined(talks, file.title), encoding="utf8")
            print(target.relative_to(ROOT), flush=True)
            written.append(target)
    except ValueError as error:
        sys.exit(str(error))
    if chosen.pdf:
        with chromium() as browser:
            for target in written:
                for pdf in print_pdfs(browser, target):
                    print(pdf.relative_to(ROOT))


if __name__ == "__main__":
    main()
