"""Every notebook keeps the house's rules; each rule rejects a notebook that breaks it."""

import ast
import copy
import os
import re
import subprocess
import sys

import nbformat
import pytest

from tools import notebooks as tools
from tools import wording
from tools.address import branch

ROOT = tools.ROOT
PATHS = sorted(tools.NOTEBOOKS.glob("*.ipynb"))
# Never in a stored output: a path of somebody's machine, an escape code, a warning.
FORBIDDEN = re.compile(r"/(root|home|tmp|work|Users|usr)/[\w.-]|[A-Z]:\\\\|\x1b\[|Warning")


def outputs(notebook):
    return [output for cell in tools.code_cells(notebook) for output in cell.outputs]


def was_run_top_to_bottom(notebook):
    counts = [cell.execution_count for cell in tools.code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))


def has_clean_outputs(notebook):
    for output in outputs(notebook):
        assert output.output_type != "error", "stores an error"
        assert output.get("name") != "stderr", "stores stderr"
        text = output.get("text", "") + str(output.get("data", {}).get("text/plain", ""))
        assert not FORBIDDEN.search(text), f"stores a path, a warning or colour codes: {text!r}"
        assert "✗" not in text, f"an untouched exercise is judged: {text!r}"


def describes_its_pictures(notebook):
    for output in outputs(notebook):
        if "image/png" in output.get("data", {}):
            alt = output.metadata.get("image/png", {}).get("alt", "")
            assert len(alt) > 20, "a picture without alternative text"
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            assert "![](" not in cell.source, "an image without alternative text"


def opens_as_all_do(notebook):
    first, setup, imports, minimap = notebook.cells[:4]
    frame = (wording.TIME, wording.TO_READ, wording.TO_RUN, wording.BEFORE)
    for wanted in ("# ", *frame, f"{wording.GOALS}\n-"):
        assert wanted in first.source, f"the first cell lacks {wanted!r}"
    for badge in ("colab-badge.svg", f"[{wording.DOWNLOAD}]"):
        assert badge in first.source
    assert tools.tags(setup) == ["setup", "nbval-ignore-output"]
    assert tools.tags(imports) == ["imports"]
    for cell in (setup, imports):
        assert cell.source.startswith("# @title ")  # what Colab shows of it
        assert tools.FOLDED.items() <= cell.metadata.items()
    assert "architecture.minimap(" in minimap.source


def closes_with_a_recap(notebook):
    """What follows the recap is for the curious, so that whoever stops there has missed nothing."""
    optional = (
        i for i, cell in enumerate(notebook.cells) if cell.source.startswith(wording.CURIOUS)
    )
    last = notebook.cells[next(optional, len(notebook.cells)) - 1].source
    assert wording.RECAP in last and wording.AND_NEXT in last


def recap(notebook):
    return next(cell for cell in notebook.cells if cell.source.startswith(wording.RECAP))


def shows_the_helpers_definitions(notebook):
    for cell in tools.code_cells(notebook):
        wanted = tools.wanted_source(cell)
        if wanted is not None:
            assert ast.dump(ast.parse(cell.source)) == ast.dump(ast.parse(wanted)), (
                f"the cell {tools.tags(cell)} differs from its source: run make sync"
            )


def folds_what_has_a_title(notebook):
    for cell in tools.code_cells(notebook):
        folded = tools.FOLDED.items() <= cell.metadata.items()
        assert folded == bool(tools.fold_title(cell)), f"fold, or no title: {cell.source[:60]!r}"


def has_short_cells(notebook):
    for cell in tools.code_cells(notebook):
        if "imports" in tools.tags(cell):
            continue
        limit = 30
        if tools.helper_names(cell):
            limit = 55  # a class that is being built
        length = len(cell.source.splitlines())
        assert length <= limit, f"a cell of {length} lines: {cell.source[:60]!r}"


def has_exercises(notebook):
    exercises = [i for i, c in enumerate(notebook.cells) if "exercise" in tools.tags(c)]
    assert 4 <= len(exercises) <= 10
    for index in exercises:
        solution = notebook.cells[index + 1].source
        assert solution.startswith(f"<details><summary>{wording.SOLUTION}</summary>")
        assert "```python" in solution
        assert solution.endswith("</details>"), "a solution has a cell of its own"


def needs_no_network(notebook):
    for cell in tools.code_cells(notebook):
        if "setup" not in tools.tags(cell):
            assert not re.search(r"https?://|urlopen|requests\.|pip install", cell.source)


RULES = [
    was_run_top_to_bottom,
    has_clean_outputs,
    describes_its_pictures,
    opens_as_all_do,
    closes_with_a_recap,
    shows_the_helpers_definitions,
    folds_what_has_a_title,
    has_short_cells,
    has_exercises,
    needs_no_network,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_notebook_keeps_the_rule(path, rule):
    rule(tools.read(path))


def test_numbers_are_in_order():
    """Numbers may be missing where somebody has dropped a chapter; README says which are there."""
    numbers = [path.name[:2] for path in PATHS]
    assert numbers == sorted(set(numbers)) and numbers[0] == "00"


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_notebook_is_valid_and_small(path):
    notebook = tools.read(path)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) >= (4, 5)
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    assert path.stat().st_size < 2_000_000


def first_code(notebook, wanted=lambda cell: True):
    return next(cell for cell in tools.code_cells(notebook) if wanted(cell))


def image_output(notebook):
    return next(o for o in outputs(notebook) if "image/png" in o.get("data", {}))


def stream(text, name="stdout"):
    return nbformat.v4.new_output("stream", text=text, name=name)


def is_home(cell):
    return bool(tools.helper_names(cell))


def is_open(cell):
    return not tools.fold_title(cell)


def last_solution(notebook):
    return [c for c in notebook.cells if f"<summary>{wording.SOLUTION}<" in c.source][-1]


# One mutation for each rule: what the rule must refuse.
MUTATIONS = {
    "run out of order": (was_run_top_to_bottom, lambda n: first_code(n).update(execution_count=9)),
    "a path": (has_clean_outputs, lambda n: first_code(n).outputs.append(stream("/home/me/x.py"))),
    "stderr": (has_clean_outputs, lambda n: first_code(n).outputs.append(stream("x", "stderr"))),
    "a warning": (
        has_clean_outputs,
        lambda n: first_code(n).outputs.append(stream("UserWarning: x")),
    ),
    "a check that fails": (
        has_clean_outputs,
        lambda n: first_code(n).outputs.append(stream("✗ Exercise 7.1: the check can't read it")),
    ),
    "no alt text": (describes_its_pictures, lambda n: image_output(n).metadata.clear()),
    "no goals": (opens_as_all_do, lambda n: n.cells[0].update(source="# A title")),
    "an open set-up": (opens_as_all_do, lambda n: n.cells[1].metadata.pop("jupyter")),
    "a fold without a title": (
        folds_what_has_a_title,
        lambda n: first_code(n, is_open).metadata.update(tools.FOLDED),
    ),
    "a title without a fold": (
        folds_what_has_a_title,
        lambda n: first_code(n, is_open).update(source="# @title Mine\n"),
    ),
    "no mini-map": (opens_as_all_do, lambda n: n.cells.pop(3)),
    "no recap": (closes_with_a_recap, lambda n: recap(n).update(source="The end.")),
    "another definition": (
        shows_the_helpers_definitions,
        lambda n: first_code(n, is_home).update(
            source=first_code(n, is_home).source.replace("return", "return None and")
        ),
    ),
    "a long cell": (
        has_short_cells,
        lambda n: first_code(n, lambda c: not tools.tags(c)).update(source="x = 1\n" * 31),
    ),
    "a long set-up": (has_short_cells, lambda n: first_code(n).update(source="x = 1\n" * 56)),
    "no solution": (has_exercises, lambda n: last_solution(n).update(source=wording.RECAP)),
    "a solution with the next task": (
        has_exercises,
        lambda n: last_solution(n).update(
            source=last_solution(n).source + "\n\n**7.9 · Quiz.** Now"
        ),
    ),
    "a download": (
        needs_no_network,
        lambda n: n.cells[5].update(cell_type="code", source="urlopen('http://x')"),
    ),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_rule_refuses_what_breaks_it(name):
    rule, mutate = MUTATIONS[name]
    notebook = copy.deepcopy(tools.read(PATHS[7]))
    rule(notebook)
    mutate(notebook)
    with pytest.raises(AssertionError):
        rule(notebook)


def test_every_definition_has_one_home():
    homes = [
        name
        for path in PATHS
        for cell in tools.code_cells(tools.read(path))
        for name in tools.helper_names(cell)
    ]
    assert len(homes) == len(set(homes))
    assert {"attention.attention", "attention.MultiHeadAttention", "decoder.DecoderLayer"} < set(
        homes
    )


def test_a_definition_with_a_title_keeps_it_and_is_folded():
    cell = nbformat.v4.new_code_cell("# @title Two lines\nold")
    cell.metadata.tags = ["helper:attention.merge_heads"]
    assert tools.update(cell) and not tools.update(cell)
    title, _, rest = cell.source.partition("\n")
    assert title == "# @title Two lines" and rest == tools.definition("attention.merge_heads")
    assert tools.FOLDED.items() <= cell.metadata.items()


def test_a_tag_for_nothing_is_named():
    with pytest.raises(ValueError, match="does not define Nothing"):
        tools.definition("attention.Nothing")
    with pytest.raises(ValueError, match=r"no helpers/nowhere\.py"):
        tools.definition("nowhere.Something")


@pytest.mark.slow
def test_a_notebook_runs_anywhere_and_without_network(tmp_path):
    """All code cells in one fresh process, in an empty folder, with every connection refused."""
    guard = """
import socket
def refuse(*args, **kwargs):
    raise OSError("no network in this test")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
"""
    cells = [cell.source for cell in tools.code_cells(tools.read(PATHS[7]))]
    script = tmp_path / "cells.py"
    script.write_text(guard + "\n\n".join(cells), encoding="utf8")
    environment = {**os.environ, "PYTHONIOENCODING": "utf8"}
    result = subprocess.run(
        [sys.executable, script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        encoding="utf8",
    )
    assert result.returncode == 0, result.stderr[-2000:]


def test_readme_lists_exactly_the_notebooks():
    readme = (ROOT / "README.md").read_text(encoding="utf8")
    linked = re.findall(r"\]\(notebooks/(\d\d_\w+\.ipynb)\)", readme)
    assert sorted(set(linked)) == [path.name for path in PATHS]
    for path in PATHS:
        assert f"blob/{branch()}/notebooks/{path.name}" in readme, f"no Colab link for {path.name}"


def test_notebook_16_stores_what_the_published_model_writes():
    """It runs without the weights, too, but then its outputs mean nothing to a reader."""
    (path,) = tools.paths("16_")
    printed = "".join(output.get("text", "") for output in outputs(tools.read(path)))
    assert "Whisper tiny.en is here." in printed, "make test-real, then make execute NOTEBOOK=16"
    assert "untrained" not in printed


def test_links_between_notebooks_lead_somewhere():
    for path in PATHS:
        for cell in tools.read(path).cells:
            if cell.cell_type == "markdown":
                prose = re.sub(r"```.*?```", "", cell.source, flags=re.DOTALL)
                for target in re.findall(r"\]\(((?!https?:)[^)#]+)\)", prose):
                    assert (path.parent / target).exists(), f"{path.name} links to {target}"


def times(readme: str, openings: dict[str, str]) -> dict[str, tuple]:
    """{number: (README's minutes to read and time to run, the notebook's)} where they differ."""
    rows = re.findall(r"^\| \[(\d\d)\].*\| (\d+) min \| (.*?) \|", readme, re.MULTILINE)
    found = {}
    for number, minutes, run in rows:
        line = re.search(
            rf"{re.escape(wording.TIME)}: (\d+) {wording.TO_READ}.*?, about (.*?) {wording.TO_RUN}",
            openings[number],
        )
        if line is None or (minutes, run) != line.groups():
            found[number] = ((minutes, run), line and line.groups())
    assert len(rows) == len(openings)
    return found


def test_a_number_names_one_notebook():
    assert [p.name for p in tools.paths("01")] == ["01_self_attention.ipynb"]  # not ..._2017
    assert [p.name for p in tools.paths("masks")] == ["03_masks.ipynb"]
    assert tools.paths() == PATHS


def test_readme_and_notebooks_name_the_same_times():
    readme = (ROOT / "README.md").read_text(encoding="utf8")
    openings = {p.name[:2]: tools.read(p).cells[0].source for p in PATHS}
    assert times(readme, openings) == {}
    assert times(readme.replace("| 80 s |", "| 8 s |"), openings).keys() == {"09"}
