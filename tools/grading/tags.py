"""Tags that give a cell more time or another source: only the instructor's notebook sets them."""

import difflib

from nbformat import NotebookNode

from tools.colab import CELL
from tools.notebooks import setup_source, tags

GIVEN = {"setup", "slow"}
# How the set-up cell begins, in either edition. Colab's users begin cells of their own with @title.
SETUP = tuple(text.splitlines()[0] + "\n" for text in (setup_source(), CELL.read_text("utf8")))


def same(one: str, other: str) -> float:
    """How much two texts have in common, from 0 to 1."""
    if one.strip() == other.strip():
        return 1.0
    return difflib.SequenceMatcher(None, one[:3000], other[:3000], autojunk=False).ratio()


def lend_tags(source: NotebookNode, cells: list[NotebookNode]) -> None:
    """Give `cells` the tags of GIVEN that they have in the instructor's notebook, and no others.

    A cell that has no id of nbgrader, such as the one that trains, is recognised by its text. If
    there are copies of it, one is slow and the others are not.
    """
    about = {}
    for cell in source.cells:
        if name := cell.metadata.get("nbgrader", {}).get("grade_id"):
            about[name] = GIVEN.intersection(tags(cell))
    lent: dict[int, set] = {}
    free = [c for c in cells if c.cell_type == "code" and not c.metadata.get("nbgrader")]
    for given in source.cells:
        slow = {"slow"}.intersection(tags(given))
        if slow and not given.metadata.get("nbgrader"):
            likeness = [
                (same(given.source, cell.source), -i)
                for i, cell in enumerate(free)
                if 0.8 < (len(cell.source) + 1) / (len(given.source) + 1) < 1.25  # it is slow
            ]
            most, place = max(likeness, default=(0.0, 0))
            if most > 0.9:
                lent[id(free[-place])] = slow
    for cell in cells:
        claimed = cell.metadata.get("tags", [])
        own = [t for t in claimed if t not in GIVEN] if isinstance(claimed, list) else []
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        found = about.get(name, lent.get(id(cell)))
        if not name and cell.cell_type == "code" and cell.source.startswith(SETUP):
            found = {"setup"}
        if own or found or "tags" in cell.metadata:
            cell.metadata["tags"] = own + sorted(found or ())
