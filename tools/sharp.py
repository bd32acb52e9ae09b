"""Pictures for a hall: a notebook's figures, drawn once more with twice the pixels.

The pictures stored in a notebook fit a page, not a projector. `redrawn` executes the notebook with
another `helpers.pictures.style.png`, which also makes labels larger as far as there is room.
Nothing is written into the notebooks; what was executed is kept in build/sharp until a source
changes.
"""

import hashlib
import io
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from helpers.pictures import style
from tools.figures import enlarge, labels_of, places
from tools.notebooks import ROOT, read, run_notebook, tags, write

FOLDER = ROOT / "build" / "sharp"
TIMES = 2
SMALLER = (0.7, 0.8, 0.9)
LEAST = 0.7  # of the room that the axes had

BEFORE = f"""\
import sys
sys.path.insert(0, {str(ROOT)!r})
from tools import sharp
sharp.take_over()"""


def take_over() -> None:
    """From now on, `show` displays pictures for a hall. Meant for a kernel of its own."""
    style.png = png


def png(figure: Figure) -> bytes:
    """The figure as PNG, with TIMES as many pixels a side and with labels as large as there is
    room: the same labels on a smaller figure, and then larger ones."""
    if not hasattr(figure, "for_a_hall"):
        figure.for_a_hall = prepare(figure)
    buffer = io.BytesIO()
    dots = TIMES * style.DPI / figure.for_a_hall
    figure.savefig(buffer, format="png", dpi=dots, metadata={"Software": None})
    return buffer.getvalue()


def prepare(figure: Figure) -> float:
    """Give the figure larger labels, unless they would leave too little room to what it shows; the
    factor by which it has become smaller."""
    size, fonts = figure.get_size_inches(), [t.get_fontsize() for t in labels_of(figure)]
    labels, before = labels_of(figure), share_of_axes(figure)
    factor = condense(figure)
    enlarge(figure)
    if share_of_axes(figure) >= LEAST * before:
        return factor
    for label, font in zip(labels, fonts, strict=True):
        label.set_fontsize(font)
    figure.set_size_inches(size)
    return 1.0


def share_of_axes(figure: Figure) -> float:
    """How much of the figure its axes cover, as it would be drawn now."""
    FigureCanvasAgg(figure).draw()
    boxes = [axes.get_window_extent() for axes in figure.axes]
    return sum(box.width * box.height for box in boxes) / (figure.bbox.width * figure.bbox.height)


def condense(figure: Figure) -> float:
    """Make the figure as small as it can be without more labels touching; by which factor."""
    size, before = figure.get_size_inches(), None
    for factor in (1.0, *SMALLER):
        figure.set_size_inches(size * factor)
        FigureCanvasAgg(figure).draw()
        inside, apart = places(figure)
        touching = (~inside & ~apart).sum()
        if before is None:
            before = touching
        elif touching <= before:
            return factor
    figure.set_size_inches(size)
    FigureCanvasAgg(figure).draw()
    return 1.0


def redrawn(path: Path) -> NotebookNode:
    """The notebook, executed for a hall, or as it is stored if its results are others here.

    Exits naming the cell if one fails.
    """
    kept, key = FOLDER / path.name, state(path)
    if kept.exists() and (found := read(kept)).metadata.get("sharp", {}).get("of") == key:
        return found
    print(f"executing {path.name} for its pictures …", flush=True)
    notebook, _ = run_notebook(path, new_code_cell(BEFORE))
    stored = read(path)
    if other := [a.id for a, b in zip(stored.cells, notebook.cells, strict=True) if differ(a, b)]:
        print(
            f"{path.name} prints something else here than it stores, first in cell {other[0]!r}, "
            "perhaps because weights or data are missing. So its stored pictures are used."
        )
        return stored
    notebook.metadata["sharp"] = {"of": key, "times": TIMES}
    FOLDER.mkdir(parents=True, exist_ok=True)
    write(notebook, kept)
    return notebook


def differ(stored: NotebookNode, executed: NotebookNode) -> bool:
    """Whether a cell prints something else than it stores, although it should not."""
    if stored.cell_type != "code" or "nbval-ignore-output" in tags(stored):
        return False
    first, second = (
        [output.text for output in cell.outputs if "text" in output] for cell in (stored, executed)
    )
    return first != second


def state(path: Path) -> str:
    """A digest of all that a picture depends on."""
    digest = hashlib.sha256()
    here = [ROOT / "tools" / name for name in ("figures.py", "sharp.py")]
    for file in [path, *here, *sorted(ROOT.glob("helpers/**/*.py"))]:
        digest.update(file.read_bytes())
    return digest.hexdigest()
