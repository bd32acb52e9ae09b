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

Type and pictures are fitted to 1280 × 720 when the page opens (FIT); tests/test_slides.py looks at
every slide and names what is cut.
"""

import ast
import importlib.metadata
import json
import re
import sys
from dataclasses import dataclass, field

from jinja2 import DictLoader
from nbconvert import SlidesExporter
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from pygments.formatters import HtmlFormatter

from tools.notebooks import ROOT, paths, read

FOLDER = ROOT / "build" / "slides"
TYPES = ("slide", "subslide", "fragment", "-", "skip", "notes")
WIDTH, HEIGHT = 1280, 720

SENTENCES = 240  # characters of a paragraph's first sentences
PRINTED = 12  # lines of a printed output
CODE = 27  # lines of code on one slide

LINKS = ("[![", "Previous:", "Next:")
NOT_SHOWN = ("**Time**", "**Before this**", *LINKS)
EXERCISE = re.compile(r"\*\*\d+\.\d+ · ")
DETAILS = re.compile(r"<details><summary>(.*?)</summary>(.*?)</details>", re.DOTALL)
LIST = re.compile(r"(- |\d+\. )")
MARKER = re.compile(r"@@details(\d+)@@")


# ---- What a slide takes of a cell ------------------------------------------------------------


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
    if block.startswith(NOT_SHOWN):
        return ""
    if block.startswith(("#", "|", "```", "$$")):
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
            if cell.cell_type == "markdown" and "## Exercises" in cell.source.splitlines():
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
                self.in_exercises = title == "## Exercises"
                if not self.in_exercises:
                    self.begin("slide", title)
                    self.put(rest, "")
            elif piece.kind == "exercise" and self.in_exercises:
                self.asked = "· Quiz" in piece.text
                if self.asked:
                    self.begin("slide", "## Quiz")
                    question = EXERCISE.sub("**", piece.text).replace("**Quiz.** ", "", 1)
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
            whole = self.slides[-1].title == "## Recap"
            shown = text if whole else "\n\n".join(filter(None, map(condensed, blocks(text))))
            if shown:
                cell = new_markdown_cell(shown.replace(".ipynb)", ".html)"), id="text")
                self.slides[-1].cells.append((cell, fragment))
            if shown != text:
                spoken = [block for block in blocks(text) if not block.startswith(LINKS)]
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

TEMPLATE = """\
{%- extends 'index.html.j2' -%}
{%- block header -%}
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{{ resources.deck.title | e }}</title>
<style>{{ resources.deck.css }}</style>
</head>
{%- endblock header -%}
{%- block body_header -%}<body><div class="reveal"><div class="slides">{%- endblock -%}
{%- block body_footer -%}</div></div>{%- endblock -%}
{%- block markdowncell -%}
<div class="text">{{ cell.source | markdown2html }}</div>
{%- endblock -%}
{%- block codecell -%}
{%- if cell.source -%}<div class="code">{{ cell.source | highlight_code }}</div>{%- endif -%}
{%- for output in cell.outputs -%}
{%- if output.output_type == 'stream' -%}<pre class="printed">{{ output.text | e }}</pre>
{%- else -%}
<div class="figure"><img alt="{{ output.metadata['image/png'].alt | e }}"
     src="data:image/png;base64,{{ output.data['image/png'] | replace('\\n', '') }}"></div>
{%- endif -%}
{%- endfor -%}
{%- endblock -%}
{%- block footer -%}
{%- for script in resources.deck.scripts %}
<script>{{ script }}</script>
{%- endfor %}
</body>
</html>
{%- endblock -%}
"""

CSS = """
html, body { height: 100%; margin: 0; background: #fff; color: #1F2937; }
.reveal { font-family: "DejaVu Sans", "Segoe UI", "Helvetica Neue", Arial, sans-serif; }
.reveal .slides { text-align: left; }
.reveal .slides > section > section {
  box-sizing: border-box; width: 1280px; height: 720px; padding: 34px 60px 40px; margin: 0;
  flex-direction: column; justify-content: flex-start; gap: 14px; line-height: 1.4;
  font-size: 28px;
}
.reveal section section > * { flex-shrink: 0; }
.reveal .fragment:not(li) { display: flex; flex-direction: column; gap: 12px; }
.reveal .figure, .reveal section section > .fragment:has(.figure) {
  display: flex; flex-direction: column; flex-shrink: 1; min-height: 0;
}
.reveal .figure img {
  min-height: 120px; min-width: 0; flex: 0 1 auto; max-width: 100%; margin: 0;
  object-fit: contain; object-position: left top;
}
.reveal .beside > :not(:first-child) { box-sizing: border-box; width: 37%; }
.reveal .beside .figure { position: absolute; left: 510px; right: 40px; bottom: 44px; }
.reveal section.beside > .figure { width: auto; }
.reveal h1, .reveal h2, .reveal h3 { margin: 0; line-height: 1.2; font-weight: 700; }
.reveal h1 { font-size: 1.75em; border-bottom: 6px solid #D6307F; padding-bottom: 14px; }
.reveal h2 { font-size: 1.35em; border-left: 10px solid #D6307F; padding-left: 18px; }
.reveal h3 { font-size: 0.72em; color: #6B7280; font-weight: 400; }
.reveal p, .reveal ul, .reveal ol, .reveal blockquote, .reveal table { margin: 0 0 10px; }
.reveal .text > :last-child { margin-bottom: 0; }
.reveal ul, .reveal ol { padding-left: 1.2em; }
.reveal li { margin: 4px 0; }
.reveal blockquote { padding: 12px 20px; background: #FCE3EF; border-left: 8px solid #D6307F; }
.reveal table { border-collapse: collapse; font-size: 0.8em; }
.reveal th, .reveal td { padding: 6px 16px 6px 0; border-bottom: 1px solid #C9CED6; }
.reveal th { text-align: left; }
.reveal a { color: #2B74D8; text-decoration: none; }
.reveal .anchor-link { display: none; }
.reveal pre, .reveal code { font-family: "DejaVu Sans Mono", Menlo, Consolas, monospace; }
.reveal pre { margin: 0; font-size: var(--code); line-height: 1.32; white-space: pre; }
.reveal .code pre, .reveal .text pre { padding: 10px 16px; background: #F3F4F6; }
.reveal pre code { font-size: 1em; }
.reveal code { font-size: 0.88em; }
.reveal .printed { white-space: pre-wrap; padding: 2px 16px; border-left: 4px solid #B87900; }
.reveal .slide-number {
  right: auto; left: 54px; background: none; color: #6B7280; font-size: 15px;
}
.reveal .controls { color: #6B7280; font-size: 7px; }
"""

# Smaller type, step by step, until a slide's content fits; reveal.js starts when that is done.
FIT = """
const SIZES = [[28, 21], [28, 18], [26, 18], [26, 17], [24, 16], [22, 15], [20, 14]];
const inside = e => e.scrollHeight <= e.clientHeight + 1 && e.scrollWidth <= e.clientWidth + 1;
const low = e => e.matches("aside") ? 0 : e.offsetTop + e.offsetHeight;
const fits = slide => [slide, ...slide.querySelectorAll("pre")].every(inside)
  && Math.max(...[...slide.children].map(low)) <= slide.clientHeight - 34;
const scale = slide => Math.min(...[...slide.querySelectorAll("img")].map(img =>
  Math.min(img.offsetWidth / img.naturalWidth, img.offsetHeight / img.naturalHeight)));

function shrink(slide) {
  const pictures = slide.querySelectorAll("img");
  for (const img of pictures) img.style.minHeight = Math.min(img.naturalHeight, 330) + "px";
  for (const [text, code] of SIZES) {
    slide.style.fontSize = text + "px";
    slide.style.setProperty("--code", code + "px");
    if (fits(slide)) break;
  }
  for (const img of pictures) img.style.minHeight = "";
}
function fit(slide) {
  shrink(slide);
  const before = scale(slide), content = [...slide.children].slice(1);
  const texts = content.filter(e => !e.matches(".figure, aside") && !e.querySelector(".figure"));
  if (slide.querySelectorAll("img").length != 1 || !texts.length || before > 0.8) return;
  const title = slide.children[0], figure = slide.querySelector(".figure");
  figure.style.top = title.offsetTop + title.offsetHeight + 14 + "px";
  slide.classList.add("beside");  // a picture that is too small under the text goes beside it
  shrink(slide);
  if (!fits(slide) || scale(slide) <= before) {
    slide.classList.remove("beside");
    shrink(slide);
  }
}
async function start() {
  if (window.MathJax) await MathJax.startup.promise;
  await Promise.all([...document.images].map(img => img.decode()));
  document.querySelector(".slides").style.cssText = "display:block; width:1280px";
  const all = document.querySelectorAll(".slides section");
  for (const s of all) s.style.display = s.parentElement.matches(".slides") ? "block" : "flex";
  for (const s of document.querySelectorAll(".slides > section > section")) fit(s);
  for (const s of all) s.style.display = "";
  document.querySelector(".slides").style.cssText = "";
  await Reveal.initialize({
    width: 1280, height: 720, margin: 0, center: false, display: "flex", hash: true,
    slideNumber: "c/t", transition: "none", navigationMode: "linear", plugins: [RevealNotes],
  });
  document.body.dataset.ready = "yes";
}
start();
"""

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


def page(notebook: NotebookNode) -> str:
    """The deck of a notebook as one HTML text."""
    deck = Deck(notebook)
    if not deck.slides:
        raise ValueError("the notebook must have a cell whose slide_type is slide, got none")
    reveal = [
        packaged("sphinx-revealjs", f"revealjs/{name}")
        for name in ("dist/reveal.css", "dist/reveal.js", "plugin/notes/notes.js")
    ]
    scripts = [*reveal[1:], FIT]
    cells = deck.notebook()
    if any("$" in cell.source for cell in cells.cells if cell.cell_type == "markdown"):
        settings = f"window.MathJax = {json.dumps(MATHJAX)};"
        scripts = [settings, packaged("sphinx-mathjax-offline", "/mathjax/tex-svg.js"), *scripts]
    css = [reveal[0], HtmlFormatter(style="xcode").get_style_defs(".highlight"), CSS]
    resources = {
        "deck": {
            "title": deck.slides[0].title.lstrip("# "),
            "css": "\n".join(css),
            "scripts": scripts,
        }
    }
    exporter = SlidesExporter(
        extra_loaders=[DictLoader({"deck.html.j2": TEMPLATE})], template_file="deck.html.j2"
    )
    return exporter.from_notebook_node(cells, resources)[0]


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path in paths(*sys.argv[1:]):
        target = FOLDER / f"{path.stem}.html"
        target.write_text(page(read(path)), encoding="utf8")
        print(target.relative_to(ROOT))


if __name__ == "__main__":
    main()
