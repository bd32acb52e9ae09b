"""The terms of docs/glossary.md, and the links that lead from the notebooks to them.

An author writes a new term in bold where it is explained. `python -m tools.notebooks sync` turns
the first such use in each notebook into a link to the web book's glossary; the book itself links
the first use of every term on a page, bold or not (docs/conf.py).
"""

import re
from pathlib import Path

from nbformat import NotebookNode

from tools.address import pages

GLOSSARY = Path(__file__).parents[1] / "docs" / "glossary.md"
BOLD = re.compile(r"(?<!\[)\*\*([^*\n]+)\*\*(?!\])")
LINK = re.compile(r"\[(\*\*[^*\n]+\*\*)\]\(https://[^)\s]*/glossary\.html#term-([^)\s]+)\)")
FOLDED = re.compile(r"<details>.*?</details>", re.DOTALL)


def glossary_entries(text: str) -> list[list[str]]:
    """The names of each entry of glossary.md, the main one first.

    Names are at the left edge of the glossary's block, their explanation is indented below them.
    """
    block = re.search(r"^`{3}\{glossary\}\n(.*?)^`{3}$", text, re.S | re.M)[1]
    entries = re.findall(r"((?:^\S.*\n)+)(?:^[ \t]+\S.*\n)+", block, re.M)
    return [entry.splitlines() for entry in entries]


def forms(term: str) -> list[str]:
    """A term and its plural."""
    plural = re.sub("(?<![aeiou])y$", "ie", term) + "s"  # query: queries, but key: keys
    return [term, plural]


def entry_of_each_form() -> dict[str, str]:
    """{a term or its plural, in lower case: the main name of its entry}."""
    entries = glossary_entries(GLOSSARY.read_text(encoding="utf8"))
    return {form.lower(): entry[0] for entry in entries for term in entry for form in forms(term)}


def anchor(entry: str) -> str:
    """The name of a term's place on the glossary's page, as Sphinx makes it."""
    return "term-" + re.sub(r"[^\w]+", "-", entry).strip("-")


def address_of(entry: str) -> str:
    """Where the web book explains a term."""
    return f"{pages()}/glossary.html#{anchor(entry)}"


def link_terms(notebook: NotebookNode) -> bool:
    """Make the first bold use of each term a link, in place. Returns whether anything changed."""
    entry_of = entry_of_each_form()
    seen: set[str] = set()
    changed = False

    def link(found: re.Match) -> str:
        entry = entry_of.get(found[1].lower())
        if entry is None or entry in seen:
            return found[0]
        seen.add(entry)
        return f"[{found[0]}]({address_of(entry)})"

    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            before, text = cell.source, without_links(cell.source)
            parts, end = [], 0
            for fold in FOLDED.finditer(text):  # nobody looks for an explanation in a solution
                parts += [BOLD.sub(link, text[end : fold.start()]), fold[0]]
                end = fold.end()
            cell.source = "".join([*parts, BOLD.sub(link, text[end:])])
            changed |= cell.source != before
    return changed


def without_links(text: str) -> str:
    """The text with its terms in bold, but without the links; the book adds its own."""
    return LINK.sub(r"\1", text)
