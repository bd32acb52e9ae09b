"""`python -m tools.slides [NAME]` writes a deck of slides for each notebook into build/slides.

A deck is one HTML file that needs no network: reveal.js, the formulas' MathJax and the pictures are
inside. It is computed from the notebook and from the `slide_type` of its cells (JupyterLab's
property inspector sets it), so it cannot drift:

slide, subslide   begins a slide, to the right or below; a heading begins one too
fragment, -       stands on the same slide, and appears at the next key or at once
skip              stands in the notebook only
notes             stands in the speaker's notes only (key S)

Cells are made for reading, and a slide takes a part of them. Of Markdown: headings, lists, tables,
formulas, boxes, and of a paragraph the first sentences, the questions and what is set in bold; all
of its text goes into the speaker's notes. Text before a heading belongs to the slide before; where
the cell is a subslide, it is one of its own. Under "Exercises" the quiz is a slide, with its
solution in the notes, and the other exercises are none. A code cell shows its picture, or else code
and what it prints; `"show": "code"`, `"output"` or `"both"` beside the `slide_type` says it
otherwise. Docstrings are cut to their first line; long code goes on, at a blank line, on the next
slide; of a long output a dozen lines are shown, the last two among them.

The page itself comes from tools/templates: slides.html.j2, slides.css and slides.js. When the page
opens, the script shrinks type and pictures until every slide fits into 1280 × 720, and only then
starts reveal.js. tests/test_slides.py looks at every slide and names what is cut.
"""

import ast
import importlib.metadata
import json
import re
import sys
from dataclasses import dataclass, field

from jinja2 import FileSystemLoader
from nbconvert import SlidesExporter
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from pygments.formatters import HtmlFormatter

from tools import live, wording
from tools.address import pages
from tools.notebooks import ROOT, paths, read

FOLDER = ROOT / "build" / "slides"
TEMPLATES = ROOT / "tools" / "templates"
TYPES = ("slide", "subslide", "fragment", "-", "skip", "notes")
WIDTH, HEIGHT = 1280, 720

SENTENCES = 240  # characters of a paragraph's first sentences
PRINTED = 12  # lines of a printed output
CODE = 27  # lines of code on one slide

EXERCISE = re.compile(r"\*\*\d+\.\d+ · ")
DETAILS = re.compile(r"<details><summary>(.*?)</summary>(.*?)</details>", re.DOTALL)
LIST = re.compile(r"(- |\d+\. )")
MARKER = re.compile(r"@@details(\d+)@@")


# ---- What a slide takes of a cell ------------------------------------------------------------


def is_navigation(block: str) -> bool:
    """A block of badges and of links to the notebooks before and after."""
    return block.startswith(("[![", wording.PREVIOUS, wording.NEXT))


def slide_type(cell: NotebookNode) -> str:
    return cell.metadata.get("slideshow", {}).get("slide_type", "")


def sentences(text: str) -> list[str]:
    """The sentences of a paragraph; none is cut inside brackets, code or emphasis."""
    found, start = [], 0
    for gap in re.finditer(r"(?<=[.?!])[)”\"*]*\s+(?=[^a-z\s])", text):
        part = text[start : gap.end()].strip()
        closed = part.count("(") == part.count(")") and not (part.count("**") % 2)
        if closed and not part.count("`") % 2 and not re.search(r"\b(al|e\.g|i\.e)\.$", part):
            found.append(part)
            start = gap.end()
    return [*found, text[start:].strip()]


def opening(text: str, limit: int = SENTENCES) -> str:
    """The first sentences, at least one, while they stay below the limit; questions; bold type."""
    kept: list[str] = []
    for i, sentence in enumerate(sentences(text)):
        first = i == len(kept) and len(" ".join([*kept, sentence])) <= limit
        if not kept or first or sentence.endswith("?") or "**" in sentence:
            kept.append(sentence)
    # What ends in a colon announces something that is not there any more.
    return re.sub(r":$", ".", " ".join(kept))


def blocks(text: str) -> list[str]:
    """Paragraphs, lists, tables, fences and formulas, each as one text."""
    found: list[str] = []
    fence = False
    for line in text.splitlines():
        inside = fence
        fence ^= line.startswith("```")
        item, before = LIST.match(line), found[-1] if found else ""
        begins_list = item and not LIST.match(before) and not inside
        if not line.strip() and not inside:
            found.append("")
        elif inside or (before and not begins_list):
            found[-1] += "\n" + line
        elif found and not before:
            found[-1] = line
        else:
            found.append(line)
    return [block for block in found if block]


def condensed(block: str) -> str:
    """What a slide shows of a block, "" for nothing."""
    if is_navigation(block) or block.startswith((wording.TIME, wording.BEFORE)):
        return ""
    if block.startswith(("#", "|", "```", "$$", "<iframe")):
        return block
    if LIST.match(block):
        items = re.split(r"\n(?=- |\d+\. )", block)
        return "\n".join(opening(item, 160) for item in items)
    if block.startswith(">"):
        return "> " + opening(re.sub(r"\n?> ?", " ", block).strip(), 260)
    return opening(block)


@dataclass
class Piece:
    """A stretch of a Markdown cell between two cuts: text, heading, exercise or folded."""

    kind: str
    text: str


def pieces(source: str) -> list[Piece]:
    """A Markdown cell, cut at its headings, at exercises, and around what is folded away."""
    folded = list(DETAILS.finditer(source))
    numbers = iter(range(len(folded)))
    source = DETAILS.sub(lambda m: f"\n\n@@details{next(numbers)}@@\n\n", source)
    found: list[Piece] = []
    for block in blocks(source):
        if marker := MARKER.fullmatch(block.strip()):
            found.append(Piece("folded", "{}:{}".format(*folded[int(marker[1])].groups())))
        elif block.startswith("#"):
            found.append(Piece("heading", block))
        elif EXERCISE.match(block):
            found.append(Piece("exercise", block))
        elif found and found[-1].kind != "folded":
            found[-1].text += "\n\n" + block
        else:
            found.append(Piece("text", block))
    return found


def without_docstrings(source: str) -> str:
    """The code with every docstring cut to its first line."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
            text = node.body[0]
            if text.end_lineno > text.lineno:
                lines[text.lineno - 1] += '"""'
                for number in range(text.lineno, text.end_lineno):
                    lines[number] = None
    return "\n".join(line for line in lines if line is not None)


def portions(source: str, limit: int = CODE) -> list[str]:
    """Code in portions of at most `limit` lines, cut at blank lines where there are any."""
    parts = re.split(r"\n\s*\n", source)
    found = [parts[0]]
    for part in parts[1:]:
        if (found[-1] + "\n\n" + part).count("\n") < limit:
            found[-1] += "\n\n" + part
        else:
            found.append(part)
    return found


def printed(outputs: list[NotebookNode]) -> list[str]:
    """What a cell printed; of a long output the beginning and the last two lines."""
    found = []
    for output in outputs:
        if output.output_type == "stream":
            lines = output.text.strip("\n").splitlines()
            if len(lines) > PRINTED:
                lines = [*lines[: PRINTED - 2], "…", *lines[-2:]]
            found.append("\n".join(lines))
    return found


def pictures(outputs: list[NotebookNode]) -> list[NotebookNode]:
    return [o for o in outputs if "image/png" in o.get("data", {})]


# ---- From a notebook to a deck ---------------------------------------------------------------


@dataclass
class Slide:
    """What stands on a slide: (Markdown or code cell, "" or "fragment"), and the notes."""

    kind: str
    title: str
    cells: list[tuple[NotebookNode, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Deck:
    """The slides of one notebook, in order."""

    def __init__(self, notebook: NotebookNode):
        self.slides: list[Slide] = []
        self.in_exercises = self.asked = False
        for cell in notebook.cells:
            kind = slide_type(cell)
            if kind == "notes":
                self.slides[-1].notes.append(DETAILS.sub(r"\1:\2", cell.source))
            elif kind not in ("", "skip"):
                (self.add_text if cell.cell_type == "markdown" else self.add_code)(cell, kind)
            if cell.cell_type == "markdown" and wording.EXERCISES in cell.source.splitlines():
                self.in_exercises = True

    def begin(self, kind: str, title: str = "") -> Slide:
        """A new slide; without a title of its own it repeats the section's."""
        again = title or re.sub(r"^#+", "###", self.slides[-1].title)
        self.slides.append(Slide(kind, title or self.slides[-1].title))
        self.slides[-1].cells.append((new_markdown_cell(again, id="title"), ""))
        return self.slides[-1]

    def add_text(self, cell: NotebookNode, kind: str) -> None:
        parts = pieces(cell.source)
        has_heading = any(part.kind == "heading" for part in parts)
        for i, piece in enumerate(parts):
            if piece.kind == "heading":
                title, *rest = piece.text.split("\n\n")
                self.in_exercises = title == wording.EXERCISES
                if not self.in_exercises:
                    self.begin("slide", title)
                    self.put(rest, "")
            elif piece.kind == "exercise" and self.in_exercises:
                self.asked = f"· {wording.QUIZ}" in piece.text
                if self.asked:
                    self.begin("slide", f"## {wording.QUIZ}")
                    question = EXERCISE.sub("**", piece.text).replace(
                        f"**{wording.QUIZ}.** ", "", 1
                    )
                    self.put([question], "")
            elif piece.kind == "folded":
                if not self.in_exercises or self.asked:
                    self.slides[-1].notes.append(piece.text)
                self.asked = False
            elif not self.in_exercises:
                begins = kind == "subslide" or (kind == "slide" and not has_heading)
                if begins and i == 0:
                    self.begin("subslide" if kind == "subslide" else "slide")
                self.put(
                    [piece.text], "fragment" if kind != "-" and not (begins and i == 0) else ""
                )

    def put(self, texts: list[str], fragment: str) -> None:
        """Text on the current slide, condensed; and all of it into the notes."""
        for text in texts:
            whole = self.slides[-1].title == wording.RECAP
            shown = text if whole else "\n\n".join(filter(None, map(condensed, blocks(text))))
            if shown:
                shown = re.sub(
                    rf'(?<=[("]){re.escape(pages())}/', "", shown.replace(".ipynb)", ".html)")
                )
                cell = new_markdown_cell(shown, id="text")
                self.slides[-1].cells.append((cell, fragment))
            if shown != text:
                spoken = [block for block in blocks(text) if not is_navigation(block)]
                self.slides[-1].notes.append("\n\n".join(spoken))

    def add_code(self, cell: NotebookNode, kind: str) -> None:
        images, prints = pictures(cell.outputs), printed(cell.outputs)
        wanted = cell.metadata["slideshow"].get("show", "output" if images else "both")
        code = portions(without_docstrings(cell.source)) if wanted != "output" else []
        shown: list[NotebookNode] = []  # one for each slide that is needed
        for part in code:
            shown.append(new_code_cell(part, id="code"))
        if wanted != "code":
            outputs = [new_output("stream", text=text) for text in prints] + images
            together = shown and (shown[-1].source + "\n".join(prints)).count("\n") < CODE
            if not together or images:
                shown.append(new_code_cell("", id="output"))
            shown[-1].outputs = outputs
        for i, part in enumerate(shown):
            if i or kind in ("slide", "subslide"):
                self.begin(kind if i == 0 else "subslide")
            if part.source or part.outputs:
                fragment = "fragment" if kind == "fragment" and not i else ""
                self.slides[-1].cells.append((part, fragment))

    def notebook(self) -> NotebookNode:
        """The deck as a notebook whose cells carry the slide types that nbconvert knows."""
        cells = []
        for slide in self.slides:
            for i, (cell, fragment) in enumerate(slide.cells):
                kind = slide.kind if i == 0 else fragment or "-"
                cells.append(new(cell, kind, f"s{len(cells)}"))
                if i == 0 and slide.notes:
                    notes = new_markdown_cell("\n\n".join(slide.notes))
                    cells.append(new(notes, "notes", f"s{len(cells)}"))
        return new_notebook(cells=cells)


def new(cell: NotebookNode, kind: str, name: str) -> NotebookNode:
    cell.metadata["slideshow"], cell.id = {"slide_type": kind}, name
    return cell


# ---- From a deck to a file -------------------------------------------------------------------

MATHJAX = {
    "tex": {"inlineMath": [["$", "$"]]},
    "options": {"enableMenu": False, "ignoreHtmlClass": "code|printed"},
}


def packaged(distribution: str, end: str) -> str:
    """The text of an installed package's file whose path ends so.

    Raises SystemExit where the package, or the file in it, is missing.
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


def page(notebook: NotebookNode) -> str:
    """The deck of a notebook as one HTML text."""
    deck = Deck(notebook)
    if not deck.slides:
        raise ValueError("the notebook must have a cell whose slide_type is slide, got none")
    reveal = [
        packaged("sphinx-revealjs", f"revealjs/{name}")
        for name in ("dist/reveal.css", "dist/reveal.js", "plugin/notes/notes.js")
    ]
    scripts = [*reveal[1:], ours("slides.js")]
    cells = deck.notebook()
    if any("$" in cell.source for cell in cells.cells if cell.cell_type == "markdown"):
        settings = f"window.MathJax = {json.dumps(MATHJAX)};"
        scripts = [settings, packaged("sphinx-mathjax-offline", "/mathjax/tex-svg.js"), *scripts]
    highlighting = HtmlFormatter(style="xcode").get_style_defs(".highlight")
    css = [reveal[0], highlighting, ours("slides.css")]
    resources = {
        "deck": {
            "title": deck.slides[0].title.lstrip("# "),
            "css": "\n".join(css),
            "scripts": scripts,
        }
    }
    exporter = SlidesExporter(
        extra_loaders=[FileSystemLoader(TEMPLATES)], template_file="slides.html.j2"
    )
    return exporter.from_notebook_node(cells, resources)[0]


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    live.write(FOLDER / "live.html", f"{pages()}/")  # the decks' links to it lead to this copy
    for path in paths(*sys.argv[1:]):
        target = FOLDER / f"{path.stem}.html"
        target.write_text(page(read(path)), encoding="utf8")
        print(target.relative_to(ROOT))


if __name__ == "__main__":
    main()
