"""`python -m tools.student` builds what students get, as a repository of its own: build/student.

They get notebooks, helpers, and the student versions of the problem sets, once for JupyterLab and
once for Colab, where they run without the rest; also the two pages that notebooks link to (the
glossary and the live page), the rules of policies.md, the dates of policy.toml, and whatever is in
course/students. Nothing else from course/, tests/ or tools/ goes along, because these hold
solutions and hidden tests. --address is where the new repository will live; all links to Colab,
Binder and nbgitpuller then lead there.
"""

import argparse
import re
import shutil
import subprocess
import tomllib
from html import escape
from pathlib import Path

from markdown_it import MarkdownIt

from tools import live
from tools.address import pages, repository, with_address
from tools.colab import standalone
from tools.glossary import GLOSSARY, anchor
from tools.notebooks import ROOT, read, write
from tools.release import COURSE, release, sources, sync
from tools.version import settle

FOLDER = ROOT / "build" / "student"
WHOLE = ("helpers", "notebooks")
FILES = ("environment.yml", "requirements.lock", "pyproject.toml", "LICENSE", ".gitignore")
PAGES = ("glossary.html", "live.html", ".nojekyll")
OWN = COURSE / "students"  # what an instructor adds, such as a timetable
SECRET = re.compile(rb"BEGIN (SOLUTION|HIDDEN TESTS)")
README = """\
# Understanding Transformers: the course

The notebooks are in [notebooks](notebooks), and [00_start_here](notebooks/00_start_here.ipynb) is
the first. The problem sets are in [problem_sets](problem_sets).

**On your machine**, with Python 3.11 to 3.14:

```
python -m venv .venv
.venv/bin/pip install -r requirements.lock --extra-index-url https://download.pytorch.org/whl/cpu
.venv/bin/pip install --no-deps -e .
.venv/bin/jupyter lab
```

On Windows the folder is called `.venv\\Scripts` instead of `.venv/bin`. The extra index has torch
without CUDA, which saves Linux users several gigabytes; leave it out if you have an NVIDIA GPU.
With conda, use `conda env create -f environment.yml`.

**On Colab**, open a notebook of [colab](colab). Each of them is complete and needs no other file.

**To hand in** a problem set, restart the kernel, run everything from the top, save, and upload the
notebook under the name that it has, for example `ps1.ipynb`.

How the mark is made, and what is allowed, is in [policies.md](policies.md).
"""
PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Glossary</title>
<style>
body { max-width: 42rem; margin: 2rem auto; padding: 0 1rem; font: 1.05rem/1.6 sans-serif }
:root { color-scheme: light dark }
dt { font-weight: bold } dd { margin: 0 0 1rem 1rem } :target { background: #fd6; color: #000 }
</style></head>
<body>
<h1>Glossary</h1>
<dl>
%s
</dl>
</body></html>
"""


def glossary(address: str) -> str:
    """The glossary as one page; its terms have the anchors that links from notebooks name."""
    block = re.search(r"^`{3}\{glossary\}\n(.*?)^`{3}$", GLOSSARY.read_text("utf8"), re.S | re.M)
    entries = re.findall(r"((?:^\S.*\n)+)((?:^[ \t]+\S.*\n)+)", block[1], re.M)
    lines = []
    for names, text in entries:
        lines += [f'<dt id="{anchor(name)}">{escape(name)}</dt>' for name in names.splitlines()]
        text = text.strip().replace("](notebooks/", f"]({address}/blob/main/notebooks/")
        lines.append(f"<dd>{MarkdownIt().renderInline(text)}</dd>")
    return PAGE % "\n".join(lines)


def rules(text: str) -> str:
    """The parts of policies.md that are for students: what is quoted in each section."""
    parts = ["# How this course works"]
    for section in re.split(r"^(?=## )", text, flags=re.M)[1:]:
        quoted = [line[1:].removeprefix(" ") for line in section.splitlines() if line[:1] == ">"]
        if quoted:
            parts += [section.splitlines()[0], "\n".join(quoted)]
    return "\n\n".join(parts) + "\n"


def dates(policy: Path) -> str:
    """When the sets are due, as a section of the README; "" while policy.toml has no date."""
    due = tomllib.loads(policy.read_text(encoding="utf8")).get("due", {})
    due.pop("timezone", None)  # that of the platform's archives: see tools/grading/collect.py
    if not due:
        return ""
    lines = [
        f"| {name} | {time:%A, %d %B %Y, %H:%M} (UTC{time:%z}) |" for name, time in due.items()
    ]
    return "\n## Dates\n\n| set | due |\n|---|---|\n" + "\n".join(lines) + "\n"


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
    readme = README + dates(COURSE / "policy.toml")
    (folder / "README.md").write_text(readme, encoding="utf8")
    policies = rules((COURSE / "policies.md").read_text(encoding="utf8"))
    (folder / "policies.md").write_text(policies, encoding="utf8")
    (folder / "glossary.html").write_text(glossary(address), encoding="utf8")
    live.write(folder / "live.html", None)
    (folder / ".nojekyll").touch()  # GitHub Pages then takes the files as they are
    if OWN.is_dir():
        shutil.copytree(OWN, folder, ignore=ignore, dirs_exist_ok=True)
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
    settle(decides=True)
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
    print(
        f"The notebooks link to a glossary and a live page at {pages(arguments.address)}. To "
        "publish them, open Settings, Pages in the repository and choose the branch main, folder /."
    )
    if not dates(COURSE / "policy.toml"):
        print("course/policy.toml has no dates yet, so the README has none either.")
    if brackets := re.findall(r"\[[^\]]+\](?!\()", (FOLDER / "policies.md").read_text("utf8")):
        print(f"policies.md still has {len(brackets)} square brackets for you to decide about.")


if __name__ == "__main__":
    main()
