"""`python -m tools.student` builds what students get, as a repository of its own: build/student.

They get notebooks, helpers, and the student versions of the problem sets, once for JupyterLab and
once for Colab, where they run without the rest. Nothing from course/, tests/ or tools/ goes along,
because these hold solutions and hidden tests. --address is where the new repository will live; all
links to Colab, Binder and nbgitpuller then lead there.
"""

import argparse
import re
import shutil
import subprocess
from pathlib import Path

from tools.address import repository, with_address
from tools.colab import standalone
from tools.notebooks import ROOT, read, write
from tools.release import release, sources, sync

FOLDER = ROOT / "build" / "student"
WHOLE = ("helpers", "notebooks")
FILES = ("environment.yml", "requirements.lock", "pyproject.toml", "LICENSE", ".gitignore")
SECRET = re.compile(rb"BEGIN (SOLUTION|HIDDEN TESTS)")
README = """\
# Understanding Transformers: the course

The notebooks are in [notebooks](notebooks), and [00_start_here](notebooks/00_start_here.ipynb) is
the first. The problem sets are in [problem_sets](problem_sets).

**On your machine**, with Python 3.11 to 3.14:

```
python -m venv .venv
.venv/bin/python -m pip install -r requirements.lock
.venv/bin/python -m pip install --no-deps -e .
.venv/bin/jupyter lab
```

On Windows the folder is called `.venv\\Scripts` instead of `.venv/bin`. With conda, use
`conda env create -f environment.yml`.

**On Colab**, open a notebook of [colab](colab). Each of them is complete and needs no other file.

**To hand in** a problem set, restart the kernel, run everything from the top, save, and upload the
notebook under the name that it has, for example `ps1.ipynb`.
"""


def build(address: str, released: Path, folder: Path = FOLDER) -> list[Path]:
    """Write the students' repository; returns its files. Raises ValueError if a solution is in it.

    A .git in the folder stays, so that a second build becomes a second commit.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        if old.name != ".git":
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    ignore = shutil.ignore_patterns(
        "__pycache__", ".ipynb_checkpoints", "*.egg-info", ".mypy_cache"
    )
    for name in WHOLE:
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    for name in FILES:
        shutil.copy(ROOT / name, folder / name)
    (folder / "README.md").write_text(README, encoding="utf8")
    (folder / "colab").mkdir()
    for path in sorted(released.glob("*/*.ipynb")):
        (folder / "problem_sets" / path.stem).mkdir(parents=True)
        notebook = read(path)
        write(notebook, folder / "problem_sets" / path.stem / path.name)
        write(standalone(notebook), folder / "colab" / path.name)
    files = sorted(p for p in folder.rglob("*") if p.is_file() and ".git" not in p.parts)
    for path in files:
        data = path.read_bytes()
        if SECRET.search(data):
            raise ValueError(f"{path} holds a solution or a hidden test")
        if path.suffix in (".ipynb", ".md", ".toml", ".py", ".yml"):
            text = with_address(data.decode("utf8"), address, [repository()])
            path.write_bytes(text.encode("utf8"))
    return files


def commit(folder: Path) -> None:
    """Make the folder a git repository, or add a commit if it already is one."""
    git = ["git", "-C", str(folder)]
    if not (folder / ".git").exists():
        subprocess.run([*git, "init", "--quiet", "--initial-branch=main"], check=True)
    subprocess.run([*git, "add", "--all"], check=True)
    if subprocess.run([*git, "diff", "--cached", "--quiet"]).returncode:
        message = "The course's notebooks and problem sets"
        subprocess.run([*git, "commit", "--quiet", "-m", message], check=True)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--address", default=repository(), help="where it will live on GitHub")
    arguments = parser.parse_args(argv)
    sync()
    released = ROOT / "build" / "release"
    shutil.rmtree(released, ignore_errors=True)
    release()
    if len(list(released.glob("*/*.ipynb"))) != len(sources()):
        raise SystemExit("Not every problem set was released.")
    files = build(arguments.address.rstrip("/"), released)
    if shutil.which("git"):
        commit(FOLDER)
    print(f"{len(files)} files in {FOLDER.relative_to(ROOT)}. Push them to {arguments.address}:")
    print(f"git -C {FOLDER.relative_to(ROOT)} push {arguments.address}.git main")


if __name__ == "__main__":
    main()
