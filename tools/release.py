"""`python -m tools.release` writes the student versions of the problem sets into build/release.

nbgrader takes out the solutions and the hidden tests, and remembers them in the gradebook, from
which it restores every test when it grades. Before that, each source gets the set-up cell that
all notebooks have.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from tools.notebooks import ROOT, code_cells, read, tags, update, write

COURSE = ROOT / "course"


def sources(folder: Path | None = None) -> list[Path]:
    """The instructor's notebooks, course/source/<name>/<name>.ipynb.

    COURSE_SOURCE names another folder, with a variant of them (tools/version.py).
    """
    folder = folder or Path(os.environ.get("COURSE_SOURCE", COURSE / "source")).resolve()
    return sorted(folder.glob("*/*.ipynb"))


def sync() -> None:
    """Give each source the current set-up cell."""
    for path in sources():
        notebook = read(path)
        (setup,) = [cell for cell in code_cells(notebook) if "setup" in tags(cell)]
        if update(setup):
            write(notebook, path)
            print(f"{path.name}: set-up cell updated")


def environment() -> dict[str, str]:
    """The variables with which nbgrader finds the course, whatever folder it runs in."""
    here = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    found = {"COURSE_ROOT": str(ROOT), "PATH": here}  # nbgrader calls alembic
    found["GRADING"] = str(Path(os.environ.get("GRADING", ROOT / "grading")).resolve())
    if "COURSE_SOURCE" in os.environ:
        found["COURSE_SOURCE"] = str(Path(os.environ["COURSE_SOURCE"]).resolve())
    return found


def nbgrader(*arguments: str, **variables: str) -> None:
    """Run nbgrader with the course's configuration and these environment variables.

    If it fails, this exits with its message.
    """
    command = [sys.executable, "-m", "nbgrader", *arguments]
    variables = {**os.environ, **environment(), **variables}
    done = subprocess.run(command, cwd=COURSE, env=variables, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"nbgrader {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")


def release(*options: str) -> None:
    """Generate every student version; `options` go to nbgrader as they are."""
    for path in sources():
        nbgrader("generate_assignment", path.parent.name, "--force", *options)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description="Write the student versions of all problem sets into build/release. SEED and "
        "VARIANTS, in the environment, choose the version; make release SEED=2027 sets them."
    )
    parser.parse_args(argv)
    from tools.version import settle  # which imports this file

    settle(decides=True)
    sync()
    release()
    for path in sources():
        print(f"build/release/{path.parent.name}/{path.name}")


if __name__ == "__main__":
    main()
