"""`python -m tools.variants SEED` writes the problem sets with other versions of some tasks.

They go to build/source-SEED. The same seed always gives the same sets; 0 gives this repository's.
--variants FILE adds versions of your own, which nobody else can read: a file in the form of
course/variants.py. All of them are used, whatever the seed. With --check as well, nothing is
written. Instead, each of them is tried: its solution must pass, and the answer to ours must not.
Releasing and grading call this by themselves, with SEED and VARIANTS: see tools/version.py.
"""

import argparse
import copy
import hashlib
import json
import random
import runpy
from pathlib import Path

from nbformat import NotebookNode

from tools.notebooks import ROOT, code_cells, read, tags, write
from tools.release import COURSE, sources

FILE = COURSE / "variants.py"
MADE_WITH = "made_with.json"  # beside the sets that are written: their seed and your own variants
Changes = dict[str, list[tuple[str, str]]]  # {cell: [(old, new), …]}
Variants = dict[str, dict[str, Changes]]  # {set: {task: its changes}}
FORM = "{set: {task: {cell: [(old, new), …]}}}, as in course/variants.py"


def load(path: Path) -> Variants:
    """The VARIANTS of a file. Raises ValueError if the file doesn't have them in the right form."""
    if not path.is_file():
        raise ValueError(f"{path}: there is no such file")
    try:
        found = runpy.run_path(str(path)).get("VARIANTS")
    except Exception as error:
        raise ValueError(f"{path} cannot be read: {type(error).__name__}: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path} needs a dictionary VARIANTS: {FORM}")
    for name, tasks in found.items():
        if name not in SETS:
            raise ValueError(f"{path}: there is no set {name!r}; there are {', '.join(SETS)}")
        if not isinstance(tasks, dict):
            raise ValueError(f"{path}: {name} must be a dictionary of tasks: {FORM}")
        for task, changes in tasks.items():
            if not isinstance(changes, dict) or not all(map(pairs, changes.values())):
                raise ValueError(f"{path}: {name}, {task} must look like {{cell: [(old, new), …]}}")
    return found


def pairs(changes) -> bool:
    """Whether this is a list of pairs of texts."""
    return isinstance(changes, list) and all(
        isinstance(pair, tuple | list) and [*map(type, pair)] == [str, str] for pair in changes
    )


SETS = [path.stem for path in sources(COURSE / "source")]
VARIANTS = load(FILE)


def chosen(name: str, seed: int, own: Variants | None = None) -> dict[str, Changes]:
    """The tasks of a set that change: all of your own, and of the others at least half."""
    mine, tasks = (own or {}).get(name, {}), list(VARIANTS.get(name, {}))
    picked = []
    if seed and tasks:
        dice = random.Random(f"{seed}/{name}")
        picked = dice.sample(tasks, dice.randint((len(tasks) + 1) // 2, len(tasks)))
    return {task: VARIANTS[name][task] for task in sorted(picked) if task not in mine} | mine


def varied(notebook: NotebookNode, name: str, tasks: dict[str, Changes], seed: int) -> NotebookNode:
    """A copy with these tasks in their other version. Raises ValueError if one does not fit."""
    notebook = copy.deepcopy(notebook)
    for task, changes in tasks.items():
        for place, edits in changes.items():
            cells = [cell for cell in notebook.cells if is_at(cell, place)]
            if len(cells) != 1:
                raise ValueError(f"{name}, {task}: {len(cells)} cells are called {place!r}")
            for old, new in edits:
                if (times := cells[0].source.count(old)) != 1:
                    raise ValueError(
                        f"{name}, {task}: {old!r} is {times} times in {place!r}, not once. If a "
                        f'variant of ours has changed it before, add "TASK": {{}} for that task to '
                        "your file, which leaves it as it is."
                    )
                cells[0].source = cells[0].source.replace(old, new.replace("SEED", str(seed)))
    return notebook


def is_at(cell: NotebookNode, place: str) -> bool:
    """Whether a cell is called so: by its grade_id, its id, or how its heading begins."""
    if place.startswith("#"):
        return cell.cell_type == "markdown" and cell.source.startswith(f"{place} ·")
    return place in (cell.metadata.get("nbgrader", {}).get("grade_id"), cell.get("id"))


# ---- Is a variant right? ------------------------------------------------------------------------


def tests_of(notebook: NotebookNode) -> dict[str, dict[str, NotebookNode]]:
    """{task: {test: its cell}}. A test belongs to the task whose name it begins with."""
    about = [(cell.metadata.get("nbgrader", {}), cell) for cell in code_cells(notebook)]
    found: dict = {a["grade_id"]: {} for a, _ in about if a.get("solution")}
    for one, cell in about:
        if one.get("grade") and not one.get("solution"):
            task = max((t for t in found if one["grade_id"].startswith(t)), key=len)
            found[task][one["grade_id"]] = cell
    return found


def failed(notebook: NotebookNode, answers: dict[str, str], wanted: set[str]) -> dict[str, float]:
    """{test: its points} of the tests of these tasks that fail if these cells are as in answers."""
    names: dict = {"__name__": "__main__"}
    tests = {t: cell for task in wanted for t, cell in tests_of(notebook)[task].items()}
    training = any("reader" in cell.source for cell in tests.values())
    for cell in code_cells(notebook):
        about = cell.metadata.get("nbgrader", {})
        free = about and not (about.get("grade") and not about.get("solution"))
        if free or (training and "slow" in tags(cell) and not about):
            try:
                exec(answers.get(about.get("grade_id"), cell.source), names)
            except Exception:
                if not answers:  # an answer that breaks loses its tests below
                    raise
    lost = {}
    for test, cell in tests.items():
        try:
            exec(cell.source, names)
        except Exception:
            lost[test] = cell.metadata.nbgrader.points
    return lost


def problems(source: NotebookNode, name: str, task: str, changes: Changes) -> list[str]:
    """What is wrong with a variant: its own solution must pass, and the old one lose most points.

    A variant may have the name of something that is no task. It then changes only what is given.
    """
    notebook = varied(source, name, {task: changes}, 7)
    tests = tests_of(notebook)
    touched = {t for t in tests for place in changes if place == t or place in tests[t]}
    found = []
    if lost := failed(notebook, {}, touched):
        found.append(f"its own solution fails {', '.join(lost)}")
    if task in tests:
        (old,) = [cell.source for cell in source.cells if is_at(cell, task)]
        lost = failed(notebook, {task: old}, {task})
        points = sum(cell.metadata.nbgrader.points for cell in tests[task].values())
        if 2 * sum(lost.values()) < points:
            found.append(f"the old solution loses only {sum(lost.values()):g} of {points:g} points")
    return found


def check(own: Variants) -> bool:
    """Try each variant and print what is wrong with it; whether nothing is."""
    right = True
    for name, tasks in own.items():
        source = read(COURSE / "source" / name / f"{name}.ipynb")
        for task, changes in tasks.items():
            try:
                found = problems(source, name, task, changes)
            except Exception as error:
                found = [f"{type(error).__name__}: {error}"]
            right &= not found
            print(f"{name}, {task}: {'; '.join(found) or 'right'}", flush=True)
    return right


def make(seed: int, file: Path | None = None) -> tuple[Path, dict[str, str]]:
    """Write the sets: (their folder, {set: its tasks that changed}).

    Raises ValueError if a variant is wrong.
    """
    own = load(file) if file else {}
    written = {
        path: (tasks := chosen(path.stem, seed, own), varied(read(path), path.stem, tasks, seed))
        for path in sources(COURSE / "source")
    }
    folder = ROOT / "build" / f"source-{seed}"
    for path, (_, notebook) in written.items():
        (folder / path.stem).mkdir(parents=True, exist_ok=True)
        write(notebook, folder / path.stem / path.name)
    digest = hashlib.sha256(file.read_bytes()).hexdigest() if file else ""
    made = {"seed": seed, "variants": digest, "file": str(file.resolve()) if file else ""}
    (folder / MADE_WITH).write_text(json.dumps(made), encoding="utf8")
    return folder, {path.stem: ", ".join(tasks) for path, (tasks, _) in written.items()}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("seed", type=int, nargs="?", help="a number, such as the year")
    parser.add_argument("--variants", type=Path, help="a file with variants of your own")
    parser.add_argument("--check", action="store_true", help="only try those of your own")
    given = parser.parse_args(argv)
    if given.seed is None and given.variants is None:
        parser.error("a seed is needed, such as the year: python -m tools.variants 2027")
    own = given.variants.expanduser() if given.variants else None
    try:
        if given.check:
            raise SystemExit(not check(load(own) if own else VARIANTS))
        folder, changed = make(given.seed or 0, own)
    except ValueError as error:
        raise SystemExit(str(error)) from None
    for name, tasks in changed.items():
        print(f"build/{folder.name}/{name}: {tasks or 'as it is'}")


if __name__ == "__main__":
    main()
