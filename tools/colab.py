"""`python -m tools.colab` writes notebooks that run alone into build/colab.

Each holds, in one collapsed cell, the helpers that it uses, as readable text, and the data that
these read. Nothing is fetched, either from this repository's address or from anywhere else.
"""

import argparse
import ast
import base64
import copy
import re
from pathlib import Path

import nbformat
from jinja2 import Template
from nbformat import NotebookNode

import helpers
from tools.notebooks import NOTEBOOKS, ROOT, code_cells, paths, read, setup_source, tags, write

FOLDER = ROOT / "build" / "colab"
DATA = ROOT / "helpers" / "data"
CELL = ROOT / "tools" / "templates" / "colab_cell.py.j2"  # the code of the collapsed cell

INTRODUCTION = """\
> **This edition stands alone.** The next cell holds the files of `helpers/` that this notebook
> uses, as text (open it to read them); it writes them into a temporary folder and imports them
> from there. Everything else is the notebook as it is in the series."""


def imported(source: str) -> set[str]:
    """The files of helpers/, as "helpers/name.py", that a piece of Python imports."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    found = set()
    for name in names:
        if name.partition(".")[0] == "helpers":
            path = name.replace(".", "/")
            found |= {f for f in (f"{path}.py", f"{path}/__init__.py") if (ROOT / f).is_file()}
    return found


def needed(notebook: NotebookNode) -> list[str]:
    """Every file of helpers/ that a notebook needs, those that other helpers import included."""
    solutions = re.findall(
        r"```python\n(.*?)```", "\n".join(c.source for c in notebook.cells), re.S
    )
    cells = [cell.source for cell in code_cells(notebook)]
    waiting = {"helpers/__init__.py", "helpers/notebook_setup.py"}.union(
        *map(imported, [*cells, *solutions])
    )
    if any("helpers.trainer" in source for source in cells):
        waiting.add("helpers/trainer/__main__.py")  # `launch` starts it as a command
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting |= imported((ROOT / name).read_text(encoding="utf8")) - found
        parent = f"{Path(name).parent.as_posix()}/__init__.py"
        if (ROOT / parent).is_file():
            waiting |= {parent} - found
    return sorted(found)


def data_for(notebook: NotebookNode, files: list[str]) -> list[Path]:
    """The files of helpers/data whose names the notebook or one of its helpers mentions."""
    texts = [cell.source for cell in code_cells(notebook)]
    texts += [(ROOT / name).read_text(encoding="utf8") for name in files]
    files = [path for path in sorted(DATA.rglob("*")) if path.is_file()]
    return [path for path in files if any(f'"{path.name}"' in text for text in texts)]


def packages_for(files: list[str]) -> list[str]:
    """What Colab may lack: packages other than torch and numpy that these helpers import."""
    texts = [(ROOT / name).read_text(encoding="utf8") for name in files]
    known = ("filelock", "platformdirs", "pooch", "safetensors", "sacrebleu", "tokenizers", "tqdm")
    return [p for p in known if any(re.search(rf"^(import|from) {p}\b", t, re.M) for t in texts)]


def standalone(notebook: NotebookNode) -> NotebookNode:
    """The notebook with its set-up cell replaced by one that holds the helpers."""
    files = needed(notebook)
    texts = {name: (ROOT / name).read_text(encoding="utf8") for name in files}
    for name, text in texts.items():
        if "'''" in text or text.endswith("\\"):
            raise ValueError(f"{name} cannot be a raw string: it holds ''' or ends in \\")
    data = {
        path.relative_to(ROOT).as_posix(): base64.b64encode(path.read_bytes()).decode("ascii")
        for path in data_for(notebook, files)
    }
    alone = copy.deepcopy(notebook)
    index = next(i for i, c in enumerate(alone.cells) if "setup" in tags(c))
    setup = alone.cells[index]
    template = Template(CELL.read_text(encoding="utf8"), keep_trailing_newline=True)
    source = setup_source()
    setup.source = template.render(
        files=texts,
        data=data,
        packages=packages_for(files),
        version=helpers.__version__,
        right_kernel=source[source.index("Stopped =") : source.index("for folder in")],
        right_helpers=source[source.index("where =") : source.index("importlib.import_module")],
    )
    alone.cells.insert(index, nbformat.v4.new_markdown_cell(INTRODUCTION, id="standalone"))
    return alone


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path in paths():
        write(standalone(read(path)), FOLDER / path.name)
        size = (FOLDER / path.name).stat().st_size / 1e6
        print(f"{path.name}: {size:.1f} MB", flush=True)
    print(f"{len(list(NOTEBOOKS.glob('*.ipynb')))} notebooks in {FOLDER.relative_to(ROOT)}/")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()  # no options but --help
    main()
