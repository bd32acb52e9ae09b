"""Pictures for a hall: a notebook's figures, drawn once more with twice the pixels.

The pictures stored in a notebook fit a page, not a projector. `redrawn` executes the notebook with
another `helpers.pictures.style.png`, which also makes labels larger where there is room. Nothing is
written into the notebooks; what was executed is kept in build/sharp until a source changes.
"""

import hashlib
import io
from pathlib import Path

from matplotlib.figure import Figure
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from helpers.pictures import style
from tools.figures import enlarge
from tools.notebooks import ROOT, read, run_notebook, write

FOLDER = ROOT / "build" / "sharp"
TIMES = 2

BEFORE = f"""\
import sys
sys.path.insert(0, {str(ROOT)!r})
from tools import sharp
sharp.take_over()"""


def take_over() -> None:
    """From now on, `show` displays pictures for a hall. Meant for a kernel of its own."""
    style.png = png


def png(figure: Figure) -> bytes:
    """The figure as PNG, with large labels and TIMES as many pixels a side."""
    if not getattr(figure, "is_enlarged", False):
        enlarge(figure)
        figure.is_enlarged = True
    buffer = io.BytesIO()
    with_pixels = {"dpi": TIMES * style.DPI, "metadata": {"Software": None}}
    figure.savefig(buffer, format="png", **with_pixels)
    return buffer.getvalue()


def redrawn(path: Path) -> NotebookNode:
    """The notebook, executed for a hall. Exits naming the cell if one fails."""
    kept, key = FOLDER / path.name, state(path)
    if kept.exists() and (found := read(kept)).metadata.get("sharp", {}).get("of") == key:
        return found
    print(f"executing {path.name} for its pictures …", flush=True)
    notebook, _ = run_notebook(path, new_code_cell(BEFORE))
    notebook.metadata["sharp"] = {"of": key, "times": TIMES}
    FOLDER.mkdir(parents=True, exist_ok=True)
    write(notebook, kept)
    return notebook


def state(path: Path) -> str:
    """A digest of all that a picture depends on."""
    digest = hashlib.sha256()
    for file in [path, ROOT / "tools" / "figures.py", *sorted(ROOT.glob("helpers/**/*.py"))]:
        digest.update(file.read_bytes())
    return digest.hexdigest()
