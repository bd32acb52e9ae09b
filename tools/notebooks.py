"""Keep the notebooks in step: `python -m tools.notebooks sync | address | execute | run [NAME]`.

sync     copies the set-up cell and each helper's definition into the cells tagged for them, and
         links each bold term that the glossary explains
address  writes the repository's address, that of git's remote, wherever it is needed
execute  runs notebooks in a fresh kernel and stores their outputs in place
run      runs the whole series into build/ and prints what the trained model translates
"""

import ast
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

import helpers
from tools import cells
from tools.address import write_address
from tools.glossary import link_terms

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "notebooks"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
# How JupyterLab and Colab know that a cell's code is folded away; VS Code folds nothing by itself.
FOLDED = {"cellView": "form", "jupyter": {"source_hidden": True}}
FOLD = "# @title "  # begins the first line of such a cell; the words after it are what Colab shows


def paths(name: str = "") -> list[Path]:
    """The notebooks whose file name holds `name`, or begins with it if it is a number, in order.

    Raises SystemExit if there are none.
    """
    fits = str.startswith if name[:1].isdigit() else str.__contains__
    found = sorted(p for p in NOTEBOOKS.glob("*.ipynb") if fits(p.name, name))
    if not found:
        sys.exit(f"no notebook in {NOTEBOOKS.name}/ has {name!r} in its name")
    return found


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def write(notebook: NotebookNode, path: Path) -> None:
    nbformat.validate(notebook)
    nbformat.write(notebook, path)


def tags(cell: NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def code_cells(notebook: NotebookNode) -> Iterator[NotebookNode]:
    return (cell for cell in notebook.cells if cell.cell_type == "code")


def helper_names(cell: NotebookNode) -> list[str]:
    """["attention.MultiHeadAttention"] for a cell tagged helper:attention.MultiHeadAttention."""
    return [tag.removeprefix("helper:") for tag in tags(cell) if tag.startswith("helper:")]


def definition(name: str) -> str:
    """The source of a definition in helpers/, decorators and docstring included.

    Raises ValueError if there is no such file or no such definition.
    """
    module, _, wanted = name.rpartition(".")
    path = ROOT / "helpers" / f"{module.replace('.', '/')}.py"
    if not path.is_file():
        raise ValueError(f"tag helper:{name}: there is no helpers/{module}.py")
    source = path.read_text(encoding="utf8")
    for node in ast.parse(source).body:
        if getattr(node, "name", None) == wanted:
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            return "\n".join(source.splitlines()[first - 1 : node.end_lineno])
    raise ValueError(f"tag helper:{name}: helpers/{module}.py does not define {wanted}")


def fold_title(cell: NotebookNode) -> str:
    """What the fold of a code cell says, or "" for a cell that is open."""
    first = cell.source.partition("\n")[0]
    return first.removeprefix(FOLD) if first.startswith(FOLD) else ""


def setup_source() -> str:
    return (ROOT / "tools" / "setup_cell.py").read_text(encoding="utf8").rstrip()


def wanted_source(cell: NotebookNode) -> str | None:
    """What a tagged cell must hold, or None for a cell that is the author's own."""
    if "setup" in tags(cell):
        return setup_source()
    names, title = helper_names(cell), fold_title(cell)
    if not names:
        return None
    source = "\n\n\n".join(definition(name) for name in names)
    return f"{FOLD}{title}\n{source}" if title else source


def update(cell: NotebookNode) -> bool:
    """Give a tagged cell its source, fold what has a title; returns whether anything changed."""
    before = (cell.source, dict(cell.metadata))
    cell.source = wanted_source(cell) or cell.source
    if fold_title(cell):
        cell.metadata.update(nbformat.from_dict(FOLDED))
    return (cell.source, dict(cell.metadata)) != before


def write_version() -> None:
    """Write the helpers' version into the set-up cell, which fetches helpers of this version."""
    path, line = ROOT / "tools" / "setup_cell.py", r'(?m)^VERSION, ADDRESS = "[^"]*"'
    text = path.read_text(encoding="utf8")
    new, count = re.subn(line, f'VERSION, ADDRESS = "{helpers.__version__}"', text)
    assert count == 1, f"{path.name} should have one line with its version"
    if new != text:
        path.write_text(new, encoding="utf8")
        print(f"{path.name}: version {helpers.__version__}")


def sync() -> None:
    write_version()
    for path in [*paths(), *sorted(ROOT.glob("course/source/*/*.ipynb"))]:
        notebook = read(path)
        stale = sum([update(cell) for cell in code_cells(notebook)])
        linked = path.parent == NOTEBOOKS and link_terms(notebook)
        if stale or linked:
            write(notebook, path)
            print(f"{path.name}: {stale} code cells updated{', terms linked' if linked else ''}")
    cells.write()


def run_notebook(path: Path, before: NotebookNode | None = None) -> tuple[NotebookNode, float]:
    """Execute in a fresh kernel; (the notebook with outputs, seconds). Exits naming what failed.

    `before` is a code cell that is executed first and is not part of the result.
    """
    notebook = read(path)
    notebook.cells[:0] = [before] if before else []
    started = time.perf_counter()
    client = NotebookClient(
        notebook,
        timeout=1800,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        record_timing=False,
        coalesce_streams=True,
        extra_arguments=["--log-level=ERROR"],  # of the kernel; keeps its start-up notes away
    )
    try:
        client.execute()
    except CellExecutionError as error:
        sys.exit(f"{path.name} stopped:\n{error}")
    notebook.cells = notebook.cells[1 if before else 0 :]
    notebook.metadata = nbformat.from_dict(
        {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    )
    return notebook, time.perf_counter() - started


def execute(name: str = "") -> None:
    for path in paths(name):
        notebook, seconds = run_notebook(path)
        write(notebook, path)
        print(f"{path.name}: {seconds:.0f} s", flush=True)


def run(name: str = "") -> None:
    build = ROOT / "build"
    build.mkdir(exist_ok=True)
    chosen, held_out = paths(name), []
    for number, path in enumerate(chosen, start=1):
        print(f"[{number}/{len(chosen)}] {path.name} …", end=" ", flush=True)
        notebook, seconds = run_notebook(path)
        write(notebook, build / path.name)
        print(f"{seconds:.0f} s", flush=True)
        for cell in code_cells(notebook):
            if "held-out" in tags(cell):
                held_out += [output.text for output in cell.outputs if "text" in output]
    print(f"\nThe executed notebooks are in {build.name}/.")
    if held_out:
        print("Sentences that the model trained just now had never seen:\n")
        print("".join(held_out))


def main() -> None:
    commands = {"sync": sync, "address": write_address, "execute": execute, "run": run}
    arguments = sys.argv[1:]
    if not arguments or arguments[0] not in commands:
        sys.exit(__doc__)
    commands[arguments[0]](*arguments[1:])


if __name__ == "__main__":
    main()
