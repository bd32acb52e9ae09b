"""Links to cells of notebooks in the pages of course/, named as a reader finds them.

    [cell 14 under "A heading"](../notebooks/07_cross_attention.ipynb#cell-id=07-22)

The number is the one beside the cell after "Restart and run all"; a link written with any text gets
this one from `make sync`. JupyterLab opens such an address at the cell.
"""

import functools
import re
from pathlib import Path

import nbformat

COURSE = Path(__file__).parents[1] / "course"
LINK = re.compile(r"\[[^\]\n]*\]\((\.\./notebooks/[\w.]+\.ipynb)#cell-id=([\w-]+)\)")


@functools.cache
def places(path: Path) -> dict[str, tuple[int, str]]:
    """{a code cell's id: (its number, the heading it is under)}."""
    found, heading, number = {}, "", 0
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            for line in re.findall(r"^#+ (.+)$", cell.source, re.MULTILINE):
                heading = re.sub(r"[*`\[\]]", "", line)
        elif cell.cell_type == "code":
            number += 1
            found[cell.id] = (number, heading)
    return found


def named(text: str) -> str:
    """The page with the right text in each link to a cell.

    Raises ValueError if there is no such notebook, or no such code cell in it.
    """

    def link(found: re.Match) -> str:
        path, name = found.groups()
        if not (COURSE / path).exists():
            raise ValueError(f"{path} must be a notebook, for the cell {name!r}")
        there = places((COURSE / path).resolve())
        if name not in there:
            raise ValueError(f"{path} must have a code cell with the id {name!r}")
        number, heading = there[name]
        return f'[cell {number} under "{heading}"]({path}#cell-id={name})'

    return LINK.sub(link, text)


def write() -> None:
    for page in sorted(COURSE.glob("*.md")):
        text = page.read_text(encoding="utf8")
        if (new := named(text)) != text:
            page.write_text(new, encoding="utf8")
            print(f"{page.name}: links to cells updated")
