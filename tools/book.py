"""`python -m tools.book` builds the web book into build/book and checks what came out.

The notebooks are copied with small changes that a page needs and a notebook does not; Sphinx
turns the copies, docs/ and the helpers' docstrings into pages. No cell is executed, nothing is
fetched. Needs the packages of requirements-teach.lock.
"""

import argparse
import re
import shutil
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from nbformat import NotebookNode

from tools import live, wording
from tools.address import branch, repository
from tools.glossary import without_links
from tools.notebooks import ROOT, code_cells, fold_title, paths, read, tags, write

DOCS = ROOT / "docs"
SOURCE, BOOK = ROOT / "build" / "book-source", ROOT / "build" / "book"
LARGEST_PAGE = 3_000_000  # bytes, with everything that the page brings along

BADGE = re.compile(rf"\[!\[{wording.COLAB}\]\([^)]*\)\]\(([^)]*)\)")
DOWNLOAD = re.compile(rf"\[{wording.DOWNLOAD}\]\(https://[^)]*/(notebooks/[^)/]*\.ipynb)\)")
LIVE = re.compile(r"\[([^]]*)\]\(https://[\w-]+\.github\.io/[\w.-]+/(live\.html[^)]*)\)")
SAME_PAGE = re.compile(r"\[([^]]*)\]\((#[^)]*)\)")
LINK_OUT = re.compile(r"\]\(\.\./([^)#\s]+)")

# Cells that a reader of pages seldom needs: tag -> (how myst-nb folds it, the words on the fold).
FOLDED = {
    "setup": ("hide-cell", "The set-up cell"),
    "imports": ("hide-input", "The imports"),
}

API_PAGE = """\
{title}
{line}

.. automodule:: helpers.{name}
"""


def helper_modules() -> list[str]:
    """The modules of helpers/ that have a page, as "attention" or "corpora.toy".

    `checks` and the broken models hold answers to exercises, so they have none.
    """
    files = sorted((ROOT / "helpers").rglob("*.py"))
    names = [".".join(f.relative_to(ROOT / "helpers").with_suffix("").parts) for f in files]
    names = [name.removesuffix(".__init__") for name in names]
    hidden = re.compile(
        r"__init__|checks\b.*|lessons(\.(broken|leaky)_\w+)?|corpora|pictures|.*__main__"
    )
    return [name for name in names if not hidden.fullmatch(name)]


def for_the_book(notebook: NotebookNode) -> NotebookNode:
    """Change a copy for the book, in place: its links, and what is folded."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = page_text(cell.source)
    for cell in code_cells(notebook):
        folds = [FOLDED[tag] for tag in tags(cell) if tag in FOLDED]
        if not folds and fold_title(cell):
            folds = [("hide-input", fold_title(cell))]
        for fold, prompt in folds:
            cell.metadata.tags = [*tags(cell), fold]
            cell.metadata.mystnb = {"code_prompt_show": prompt, "code_prompt_hide": prompt}
    return notebook


def page_text(text: str) -> str:
    """The Markdown of a notebook as a page needs it."""
    text = without_links(text)
    # The badge is a picture from elsewhere, and an offline page has none.
    text = BADGE.sub(rf"[{wording.COLAB}](\1)", text)
    # The notebook as it is in the series, not the copy; it is in the same folder as the page.
    download = rf'<a href="../_sources/\1" download>{wording.DOWNLOAD}</a>'
    text = DOWNLOAD.sub(download, text)
    # The live page is in the book.
    text = LIVE.sub(r'<a href="../\2">\1</a>', text)
    # Sphinx would look for the anchor among its own targets.
    text = SAME_PAGE.sub(r'<a href="\2">\1</a>', text)
    # Files that are not pages are in the repository.
    return LINK_OUT.sub(rf"]({repository()}/blob/{branch()}/\1", text)


def alternative_texts(notebook: NotebookNode) -> list[str]:
    """The alternative texts of the notebook's pictures, in order; "" for a picture without one."""
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    return [output.metadata.get("image/png", {}).get("alt", "") for output in pictures]


def prepare(source: Path) -> None:
    """Everything that Sphinx reads, in one folder, made anew."""
    shutil.rmtree(source, ignore_errors=True)
    for folder in (source, source / "notebooks", source / "api"):
        folder.mkdir(parents=True)
    for path in (*DOCS.glob("*.md"), *DOCS.glob("*.png")):
        shutil.copy(path, source / path.name)
    for path in paths():
        write(for_the_book(read(path)), source / "notebooks" / path.name)
    for name in helper_modules():
        page = API_PAGE.format(title=name, line="=" * len(name), name=name)
        (source / "api" / f"{name}.rst").write_text(page, encoding="utf8")


def build(source: Path = SOURCE, book: Path = BOOK) -> None:
    """Prepare the sources and build the pages; a warning from Sphinx is an error."""
    prepare(source)
    shutil.rmtree(book, ignore_errors=True)
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--nitpicky"]
    command += ["--quiet", "--fresh-env", "--doctree-dir", str(source / ".doctrees")]
    subprocess.run([*command, "-c", str(DOCS), str(source), str(book)], check=True)
    live.write(book / "live.html", book="")
    for path in paths():  # for Download: the notebook itself, not the copy
        shutil.copy(path, book / "_sources" / "notebooks" / path.name)


# ---- Checks of the finished pages ---------------------------------------------------------------


class Page(HTMLParser):
    """What a page holds that can be checked without a browser."""

    def __init__(self, path: Path):
        super().__init__()
        self.path = path
        self.anchors, self.links, self.parts = set(), [], []
        self.without_alt: list[str] = []
        self.feed(path.read_text(encoding="utf8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        has = dict(attributes)
        self.anchors |= {has[name] for name in ("id", "name") if has.get(name)}
        if tag == "a" and has.get("href"):
            self.links.append(has["href"])
        brings = {"img": "src", "script": "src", "iframe": "src", "source": "src", "video": "src"}
        if tag in brings and has.get(brings[tag]):
            self.parts.append(has[brings[tag]])
        if tag == "link" and has.get("rel") in {"stylesheet", "preload", "icon", "preconnect"}:
            self.parts.append(has["href"])
        if tag == "img" and not (has.get("alt") or has.get("aria-hidden") == "true"):
            self.without_alt.append(has.get("src") or "?")


def local_target(page: Page, address: str) -> tuple[Path, str] | None:
    """(file, anchor) of an address in the book, None for one that leaves it."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return None
    path = (page.path.parent / unquote(parts.path)).resolve() if parts.path else page.path
    return (path / "index.html" if path.is_dir() else path), unquote(parts.fragment)


def size(page: Page) -> int:
    """Bytes of a page with the scripts, styles and pictures that it names."""
    files = {page.path.resolve()}
    for address in page.parts:
        target = local_target(page, address)
        if target and target[0].is_file():
            files.add(target[0].resolve())
    return sum(path.stat().st_size for path in files)


def complaints(book: Path = BOOK) -> list[str]:
    """What is wrong with the pages in a folder; an empty list if all is well."""
    pages = {path.resolve(): Page(path.resolve()) for path in sorted(book.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        name = path.relative_to(book.resolve()).as_posix()
        if "_static" in name:
            continue
        if (total := size(page)) > LARGEST_PAGE:
            most = LARGEST_PAGE / 1e6
            found.append(f"{name}: {total / 1e6:.1f} MB, but at most {most:.0f} MB are allowed")
        found += [f"{name}: a picture without alternative text: {s}" for s in page.without_alt]
        for address in page.parts:
            target = local_target(page, address)
            if target is None and not address.startswith("data:"):
                found.append(f"{name}: fetched from elsewhere: {address}")
            elif target and not target[0].is_file():
                found.append(f"{name}: there is no {address}")
        for address in page.links:
            target = local_target(page, address)
            if target is None:
                continue
            file, anchor = target
            if not file.is_file():
                found.append(f"{name}: broken link to {address}")
            elif file.name == "live.html":
                continue  # what follows the # there is the page's state
            elif anchor and file in pages and anchor not in pages[file].anchors:
                found.append(f"{name}: no such place: {address}")
    return found


def main() -> None:
    started = time.perf_counter()
    try:
        build()
    except subprocess.CalledProcessError:
        sys.exit("Sphinx has warnings; see above")
    if found := complaints():
        sys.exit("\n".join(found))
    sizes = {path: size(Page(path)) for path in BOOK.rglob("*.html") if "_static" not in str(path)}
    largest = max(sizes, key=sizes.get)
    print(
        f"{len(sizes)} pages in {BOOK.relative_to(ROOT)}/ after "
        f"{time.perf_counter() - started:.0f} s; the largest, {largest.name}, has "
        f"{sizes[largest] / 1e6:.1f} MB. Open {BOOK.relative_to(ROOT)}/index.html."
    )


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()  # no options but --help
    main()
