"""`python -m tools.variants SEED` writes the problem sets with other versions of some tasks.

They go to build/source-SEED. The same seed always gives the same sets; 0 gives this repository's.
For release and grading, name the folder: COURSE_SOURCE=build/source-SEED make release.
"""

import copy
import random
import runpy
import sys

from nbformat import NotebookNode

from tools.notebooks import ROOT, read, write
from tools.release import COURSE, sources

VARIANTS = runpy.run_path(str(COURSE / "variants.py"))["VARIANTS"]


def chosen(name: str, seed: int) -> list[str]:
    """The tasks of a set that this seed replaces: about half of them, and at least one."""
    tasks = list(VARIANTS.get(name, {}))
    if seed == 0 or not tasks:
        return []
    dice = random.Random(f"{seed}/{name}")
    return sorted(dice.sample(tasks, dice.randint((len(tasks) + 1) // 2, len(tasks))))


def varied(notebook: NotebookNode, name: str, tasks: list[str], seed: int) -> NotebookNode:
    """A copy with these tasks in their other version. Raises ValueError if one does not fit."""
    notebook = copy.deepcopy(notebook)
    for task in tasks:
        for place, changes in VARIANTS[name][task].items():
            cells = [
                c
                for c in notebook.cells
                if c.metadata.get("nbgrader", {}).get("grade_id") == place
                or (place.startswith("## ") and c.source.startswith(f"{place} ·"))
            ]
            for old, new in changes:
                if len(cells) != 1 or cells[0].source.count(old) != 1:
                    raise ValueError(f"{name}, {task}: {old!r} is not once in {place!r}")
                cells[0].source = cells[0].source.replace(old, new.replace("SEED", str(seed)))
    return notebook


def main() -> None:
    try:
        seed = int(sys.argv[1])
    except (IndexError, ValueError):
        raise SystemExit(
            "A seed is needed, such as the year: python -m tools.variants 2027"
        ) from None
    folder = ROOT / "build" / f"source-{seed}"
    for path in sources(COURSE / "source"):
        name, tasks = path.stem, chosen(path.stem, seed)
        (folder / name).mkdir(parents=True, exist_ok=True)
        write(varied(read(path), name, tasks, seed), folder / name / path.name)
        print(f"{folder.relative_to(ROOT)}/{name}: {', '.join(tasks) or 'as it is'}")


if __name__ == "__main__":
    main()
