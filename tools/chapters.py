"""Take a chapter out of the series, or list where the others mention it.

python -m tools.chapters mentions 13    lists every place outside notebook 13 that mentions it
python -m tools.chapters drop 13        deletes it, mends what can be mended without reading, and
                                        lists what a person still has to reword

`drop` changes many files of this folder. Do it in a fork, commit before it, and read its diff.
course/changing.md says what it does and what is left to do.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from nbformat import NotebookNode

from tools import wording
from tools.notebooks import ROOT, read, write

# What is written for readers and may mention a chapter.
TEXTS = ("README.md", "docs/*.md", "course/*.md", "course/slides/*.md", "helpers/**/*.py",
         "helpers/data/live/*.js")  # fmt: skip
NEIGHBOUR = r"{} \[(?P<title>[^\]]*)\]\((?P<file>[^)]*)\)"


def series(root: Path = ROOT) -> list[Path]:
    return sorted((root / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def chapter(number: str, root: Path = ROOT) -> Path:
    """The notebook with this number. Raises ValueError if there is none."""
    found = [path for path in series(root) if path.name.startswith(f"{number}_")]
    if not found:
        raise ValueError(f"there is no notebook {number}")
    return found[0]


def texts(root: Path) -> Iterator[Path]:
    return (path for pattern in TEXTS for path in sorted(root.glob(pattern)))


# ---- What mentions a chapter -------------------------------------------------------------------


def speaks_of(number: str, name: str) -> re.Pattern[str]:
    """A pattern for "notebook 13", "exercise 13.5", "12 and 13", "13 or 14", or a link to it."""
    n = re.escape(number)
    listed = rf"[Nn]otebooks? (?:\d\d(?:, | and | to | or ))*{n}\b"
    exercise = rf"(?<![.\d]){n}\.[1-9]\d?\b(?![.\d]| ?%| ?s\b)"
    beside = rf"\b{n} (?:and|or|to) \d\d\b|\b\d\d (?:and|or|to) {n}\b"
    return re.compile(rf"{listed}|{exercise}|{beside}|\[{n}\]|\({n}\)|\b{n} ·|{re.escape(name)}")


def mentions(number: str, name: str, root: Path = ROOT) -> list[tuple[str, str]]:
    """(file and place, the words around) of everything that mentions the notebook `name`."""
    pattern, found = speaks_of(number, name), []

    def look(place: str, text: str) -> None:
        for match in pattern.finditer(text):
            around = text[max(0, match.start() - 40) : match.end() + 40]
            found.append((place, " ".join(around.split())))

    for path in series(root):
        if path.name != name:
            for cell in read(path).cells:
                look(f"notebooks/{path.name}, cell {cell.id}", cell.source)
    for path in texts(root):
        if path.name != f"nb{number}.py":  # the exercises' checks of that notebook itself
            for line, text in enumerate(path.read_text(encoding="utf8").splitlines(), start=1):
                look(f"{path.relative_to(root).as_posix()}:{line}", text)
    return found


# ---- What can be mended without reading --------------------------------------------------------


def neighbours(notebook: NotebookNode) -> dict[str, str]:
    """{"Previous:": "[title](file)", …} as the notebook's first cell has them."""
    found = {}
    for word in (wording.PREVIOUS, wording.NEXT):
        if link := re.search(NEIGHBOUR.format(re.escape(word)), notebook.cells[0].source):
            found[word] = link[0].removeprefix(f"{word} ")
    return found


def relinked(opening: str, name: str, instead: dict[str, str]) -> str:
    """A first cell whose link to the notebook `name` leads to the one beyond, or is gone."""
    for word in (wording.PREVIOUS, wording.NEXT):
        link = re.search(NEIGHBOUR.format(re.escape(word)), opening)
        if link and link["file"] == name:
            new = f"{word} {instead[word]}" if word in instead else ""
            opening = opening.replace(link[0], new)
    return re.sub(r"^ · | · $", "", opening, flags=re.MULTILINE)


def unlinked(text: str, name: str) -> str:
    """Text whose Markdown links to the notebook `name` have become plain words."""
    target = rf"\((?:[^()\s]*/)?{re.escape(name)}(?:#[^)]*)?\)"
    return re.sub(rf"\[([^\]]*)\]{target}", r"\1", text)


def without_rows(text: str, number: str, name: str) -> str:
    """Tables without the rows of a notebook, and lists of exercises without its own."""
    lines = []
    for line in text.splitlines():
        is_row = line.startswith("|")
        if line.startswith((f"| {number} |", f"| [{number}](")):
            continue
        if is_row:
            *cells, last, end = line.split("|")
            kept = [n for n in last.strip().split(", ") if not n.startswith(f"{number}.")]
            if ", ".join(kept) != last.strip():
                line = "|".join([*cells, f" {', '.join(kept)} ".replace("  ", " "), end])
        if line.strip() != f"notebooks/{name.removesuffix('.ipynb')}":  # the book's contents
            lines.append(line)
    return "\n".join(lines) + "\n"


def without_section(text: str, number: str) -> str:
    """Text without the section "## 13 · …"."""
    return re.sub(rf"^## {number} · .*?(?=^## |\Z)", "", text, flags=re.MULTILINE | re.DOTALL)


def without_home(text: str, number: str) -> str:
    """A glossary whose entries no longer say that this notebook explains them."""
    link = rf"\[{number}\]\([^)]*\)"
    text = re.sub(rf"\({link}\)", "(in no notebook here)", text)
    return re.sub(rf", {link}|{link}, ", "", text)


def drop(number: str, root: Path = ROOT) -> list[tuple[str, str]]:
    """Take the notebook out, and return what is left to be reworded, as `mentions` does.

    Raises ValueError for one that is not there, and for 00, with which all others begin.
    """
    path = chapter(number, root)
    if number == "00":
        raise ValueError("00 is where everybody starts; write another notebook in its place")
    name, instead = path.name, neighbours(read(path))
    path.unlink()
    (root / "course" / "slides" / f"{path.stem}.md").unlink(missing_ok=True)
    for other in series(root):
        notebook = read(other)
        before = [cell.source for cell in notebook.cells]
        notebook.cells[0].source = relinked(notebook.cells[0].source, name, instead)
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = unlinked(cell.source, name)
        if before != [cell.source for cell in notebook.cells]:
            write(notebook, other)
    for page in texts(root):
        if page.suffix != ".md":
            continue
        before = text = page.read_text(encoding="utf8")
        if page.name == "glossary.md":
            text = without_home(text, number)
        text = unlinked(without_section(without_rows(text, number, name), number), name)
        if text != before:
            page.write_text(text, encoding="utf8")
    return mentions(number, name, root)


def main(argv: list[str] | None = None) -> None:
    words = sys.argv[1:] if argv is None else argv
    if len(words) != 2 or words[0] not in ("drop", "mentions"):
        sys.exit(__doc__)
    try:
        name = chapter(words[1]).name
        found = drop(words[1]) if words[0] == "drop" else mentions(words[1], name)
    except ValueError as error:
        sys.exit(str(error))
    for place, around in found:
        print(f"{place}: …{around}…")
    print(f"{len(found)} places mention notebook {words[1]}. Read each, and reword it if needed.")


if __name__ == "__main__":
    main()
