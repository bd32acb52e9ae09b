"""After a NameError, say which cell of the notebook makes that name. The set-up cells call it.

A learner who starts in the middle, or runs cells in another order, then knows what to run first.
"""

import json
import os
import re
from pathlib import Path
from symtable import symtable
from traceback import walk_tb

from IPython import get_ipython
from IPython.core.interactiveshell import ExecutionResult

ABOVE = "choose Run > Run All Above Selected Cell (on Colab: Runtime > Run before)"


def explain_missing_names() -> None:
    """From now on, add a line to every NameError of this kernel. Outside IPython, do nothing."""
    if (shell := get_ipython()) is not None:
        shell.events.register("post_run_cell", say_which_cell)  # which takes a function only once


def say_which_cell(result: ExecutionResult) -> None:
    """If a cell stopped because a name is missing, print what to run first, below its traceback.

    Nothing is printed for a name that no cell makes (a typo) or that a library's code looked for.
    """
    error, cell, names = result.error_in_exec, result.info, get_ipython().user_ns
    if type(error) is not NameError or not error.name or not raised_with(error, names):
        return
    path = notebook_path(names)
    if path is None:
        print(f"If a cell further up makes `{error.name}`, run it first, or {ABOVE}.")
        return
    cells = json.loads(path.read_text(encoding="utf8"))["cells"]
    where = cell_that_makes(error.name, cells, cell.cell_id, cell.raw_cell) if cell else None
    if where is not None:
        print(f"`{error.name}` is made in the cell {where}. Run that cell first, or {ABOVE}.")


def raised_with(error: BaseException, names: dict) -> bool:
    """Whether the line that raised it sees these names as its globals."""
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    return bool(frames) and frames[-1].f_globals is names


def notebook_path(names: dict) -> Path | None:
    """The notebook's file, if VS Code or Jupyter's server name it, or None (Colab, nbconvert)."""
    name = names.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME") or ""
    return Path(name) if name.endswith(".ipynb") and Path(name).is_file() else None


def cell_that_makes(
    name: str, cells: list[dict], cell_id: str | None, source: str | None
) -> str | None:
    """In words, the last cell above this one (else the first anywhere) that makes `name`."""
    above, anywhere, heading, passed = None, None, "", False
    for cell in cells:
        text = "".join(cell["source"])  # in the file, a list of lines
        if cell["cell_type"] == "markdown":
            prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
            heading = (re.findall(r"^#+ (.+)", prose, re.MULTILINE) or [heading])[-1]
        elif cell_id is not None and cell.get("id") == cell_id or text == source:
            passed = True
        elif name in made_by(text):
            lines = [line.strip() for line in text.splitlines() if not re.match(r"\s*#", line)]
            line = next(line for line in lines if re.search(rf"\b{name}\b", line))
            words = f"with the line `{line[:60]}`, under '{heading}'"
            above, anywhere = (above if passed else words), (anywhere or words)
    return above if passed and above else anywhere


def made_by(source: str) -> set[str]:
    """The names that a cell assigns, imports or defines; none if it is not plain Python."""
    try:
        symbols = symtable(source, "cell", "exec").get_symbols()
    except SyntaxError:  # a magic, or a cell that is being written
        return set()
    return {s.get_name() for s in symbols if s.is_assigned() or s.is_imported()}
