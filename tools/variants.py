"""`python -m tools.variants SEED` writes the problem sets with other versions of some tasks.

They go to build/source-SEED. The same seed always gives the same sets; 0 gives this repository's.
From one seed to the next, every task changes. A task with two or more other versions is never as it
is published; one with a single other version is, every second time, unless there is --all.
--variants FILE adds versions of your own, which nobody else can read: a file in the form of
course/variants.py. They are used for their tasks, whatever the seed. With --check as well, nothing
is written. Instead, each of them is tried: its solution must pass, and the answer to ours must not.
Releasing and grading call this by themselves, with SEED and VARIANTS: see tools/version.py.
"""

import argparse
import copy
import hashlib
import json
import runpy
from pathlib import Path

from nbformat import NotebookNode

from tools.notebooks import ROOT, code_cells, read, tags, write
from tools.release import COURSE, sources

FILE = COURSE / "variants.py"
MADE_WITH = "made_with.json"  # beside the sets that are written: their seed and your own variants
Changes = dict[str, list[tuple[str, str]] | str]  # {cell: [(old, new), …] or all of its text}
Variants = dict[str, dict[str, list[Changes]]]  # {set: {task: its other versions}}
FORM = "{set: {task: {cell: [(old, new), …]}}}, as in course/variants.py"


def load(path: Path) -> Variants:
    """The VARIANTS of a file, each task with a list of its versions.

    Raises ValueError if the file doesn't have them in the right form.
    """
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
        for task, versions in tasks.items():
            several = versions if isinstance(versions, list) and versions else [versions]
            for changes in several:
                if not isinstance(changes, dict) or not all(map(is_edit, changes.values())):
                    raise ValueError(
                        f"{path}: {name}, {task} must look like {{cell: [(old, new), …]}}, "
                        "or be a list of several such versions"
                    )
    return {
        name: {task: v if isinstance(v, list) else [v] for task, v in tasks.items()}
        for name, tasks in found.items()
    }


def is_edit(changes) -> bool:
    """Whether this is a list of pairs of texts, or one text for the whole cell."""
    return (
        isinstance(changes, str)
        or isinstance(changes, list)
        and all(
            isinstance(pair, tuple | list) and [*map(type, pair)] == [str, str] for pair in changes
        )
    )


SETS = [path.stem for path in sources(COURSE / "source")]
VARIANTS = load(FILE)


def chosen(
    name: str, seed: int, own: Variants | None = None, everything: bool = False
) -> dict[str, Changes]:
    """The tasks of a set that are not as published, each with the changes of its version."""
    numbers = versions(name, seed, own, everything)
    mine = (own or {}).get(name, {})
    several = {task: mine.get(task) or VARIANTS[name][task] for task in numbers}
    return {task: several[task][number - 1] for task, number in numbers.items() if number}


def versions(
    name: str, seed: int, own: Variants | None = None, everything: bool = False
) -> dict[str, int]:
    """{task: which of its versions a seed uses}; 0 is the published one, 1 the first of the others.

    With the next seed, each has another number. `everything` says that none may be 0.
    """
    mine, ours = (own or {}).get(name, {}), VARIANTS.get(name, {})
    found = {}
    for place, task in enumerate({**ours, **mine}):
        others = mine.get(task) or ours[task]
        if task in mine:
            found[task] = 1 + seed % len(others)
        elif not seed:
            found[task] = 0
        elif len(others) > 1 or everything or "SEED" in str(others):  # SEED: another one each time
            found[task] = 1 + (seed + place) % len(others)
        else:
            found[task] = (seed + place) % 2
    return found


def varied(notebook: NotebookNode, name: str, tasks: dict[str, Changes], seed: int) -> NotebookNode:
    """A copy with these tasks in their other version. Raises ValueError if one does not fit."""
    notebook = copy.deepcopy(notebook)
    every = [(task, *change) for task, changes in tasks.items() for change in changes.items()]
    every.sort(key=lambda one: not isinstance(one[2], str))  # whole cells first
    for task, place, edits in every:
        cells = [cell for cell in notebook.cells if is_at(cell, place)]
        if len(cells) != 1:
            raise ValueError(f"{name}, {task}: {len(cells)} cells are called {place!r}")
        if isinstance(edits, str):
            cells[0].source, edits = edits, []
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
        for task, number, changes in each(tasks):
            try:
                found = problems(source, name, task, changes)
            except Exception as error:
                found = [f"{type(error).__name__}: {error}"]
            right &= not found
            which = f" ({number})" if len(tasks[task]) > 1 else ""
            print(f"{name}, {task}{which}: {'; '.join(found) or 'right'}", flush=True)
    return right


def each(tasks: dict[str, list[Changes]]) -> list[tuple[str, int, Changes]]:
    """(task, number, changes) of all versions but the published ones."""
    return [
        (task, number, changes)
        for task, several in tasks.items()
        for number, changes in enumerate(several, 1)
    ]


def make(
    seed: int, file: Path | None = None, everything: bool = False
) -> tuple[Path, dict[str, str]]:
    """Write the sets: (their folder, {set: its tasks that changed}).

    Raises ValueError if a variant is wrong.
    """
    own = load(file) if file else {}
    written = {
        path: varied(read(path), path.stem, chosen(path.stem, seed, own, everything), seed)
        for path in sources(COURSE / "source")
    }
    numbers = {path.stem: versions(path.stem, seed, own, everything) for path in written}
    folder = ROOT / "build" / f"source-{seed}"
    for path, notebook in written.items():
        (folder / path.stem).mkdir(parents=True, exist_ok=True)
        write(notebook, folder / path.stem / path.name)
    digest = hashlib.sha256(file.read_bytes()).hexdigest() if file else ""
    made = {"seed": seed, "variants": digest, "file": str(file.resolve()) if file else ""}
    made |= {"all": everything, "versions": numbers}
    (folder / MADE_WITH).write_text(json.dumps(made), encoding="utf8")
    return folder, {
        name: ", ".join(f"{task} {number}" for task, number in found.items() if number)
        for name, found in numbers.items()
    }


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("seed", type=int, nargs="?", help="a number, such as the year")
    parser.add_argument("--variants", type=Path, help="a file with variants of your own")
    parser.add_argument("--all", action="store_true", help="leave no task as it is published")
    parser.add_argument(
        "--check", action="store_true", help="only try the versions, yours or else ours"
    )
    given = parser.parse_args(argv)
    if given.seed is None and given.variants is None and not given.check:
        parser.error("a seed is needed, such as the year: python -m tools.variants 2027")
    own = given.variants.expanduser() if given.variants else None
    try:
        if given.check:
            raise SystemExit(not check(load(own) if own else VARIANTS))
        folder, changed = make(given.seed or 0, own, given.all)
    except ValueError as error:
        raise SystemExit(str(error)) from None
    for name, tasks in changed.items():
        print(f"build/{folder.name}/{name}: {tasks or 'as it is'}")


if __name__ == "__main__":
    main()
