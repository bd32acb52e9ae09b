"""`python -m tools.matrix` tests the series on every Python and both ends of the allowed versions.

For each Python of 3.11 to 3.13 on this machine: the lock, the lowest and the newest versions that
pyproject.toml allows. Each combination has a fresh environment in build/matrix, the tests and
the notebooks run in it, and the table goes to docs/versions.md. torch stays at the lock's version
unless --torch names others, because most of its builds bring gigabytes of CUDA along.
"""

import argparse
import os
import platform
import re
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

from tools.lock import ROOT, TORCH, keep

FOLDER = ROOT / "build" / "matrix"
TABLE = ROOT / "docs" / "versions.md"
PYTHONS = ("3.11", "3.12", "3.13")
ENDS = {"lock": None, "lowest": "lowest-direct", "newest": "highest"}
SHOWN = ("torch", "numpy", "matplotlib", "jupyterlab", "transformers")
UV = [sys.executable, "-m", "uv"]

INTRODUCTION = """\
# Versions that were tried

`make matrix` wrote this on {day} ({machine}): for each Python that was there, the lock, the lowest
and the newest versions that `pyproject.toml` allows, each in a fresh environment. "Tests" is
`pytest tests`, "notebooks" compares every cell of the notebooks named below with its stored output
(nbval, strict). A row that a later run did not try stays as it was. A week's change in the world
is tried by `.github/workflows/test.yml`.

"""


def output(command: list, **options) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, **options).stdout


def interpreter(version: str) -> str | None:
    """The path of this Python, or None where it is not installed."""
    find = [*UV, "python", "find", "--no-python-downloads", "--system", version]
    found = subprocess.run(find, capture_output=True, text=True)
    return found.stdout.strip() if found.returncode == 0 else None


def requirements(end: str, python: str, torch: str) -> str:
    """What to install at this end of the allowed versions, as a requirements file."""
    if ENDS[end] is None:
        return (ROOT / "requirements.lock").read_text(encoding="utf8").replace(TORCH, torch)
    command = [*UV, "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--python", python]
    command += ["--resolution", ENDS[end], "--extra", "notebooks", "--extra", "dev"]
    command += ["--no-emit-find-links", "--no-emit-index-url", "pyproject.toml", "-"]
    pins = output(command, cwd=ROOT, input=torch).splitlines()
    return "\n".join([*(p for p in pins if keep(p) and not p.startswith("torch==")), torch])


def tried(command: list, log: Path) -> str:
    """Run in the project's folder; "all 610" or "2 of 610 failed", read from pytest's last line."""
    with log.open("w", encoding="utf8") as file:
        code = subprocess.run(
            command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, env=os.environ | QUIET
        ).returncode
    counts = dict.fromkeys(("passed", "failed", "error"), 0)
    for number, word in re.findall(r"(\d+) (passed|failed|error)", log.read_text("utf8")[-400:]):
        counts[word] = int(number)
    bad = counts["failed"] + counts["error"]
    if code == 0 and counts["passed"] and not bad:
        return f"all {counts['passed']}"
    return f"**{bad} of {sum(counts.values())} failed**" if bad else f"**stopped with {code}**"


QUIET = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def try_one(version: str, end: str, torch: str, notebooks: list[str]) -> list[str]:
    """One row of the table."""
    started = time.monotonic()
    folder = FOLDER / f"{version}-{end}-{torch.partition('==')[2]}"
    python = folder / "bin" / "python"
    subprocess.run([*UV, "venv", "--quiet", "--clear", "--python", version, folder], check=True)
    wanted = folder / "requirements.txt"
    wanted.write_text(requirements(end, str(python), torch), encoding="utf8")
    install = [*UV, "pip", "install", "--quiet", "--python", python]
    subprocess.run([*install, "-r", wanted], check=True)
    subprocess.run([*install, "--no-deps", "-e", ROOT], check=True)
    lines = output([*UV, "pip", "freeze", "--python", python]).splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line)
    warnings = LOOSE if ENDS[end] else []
    tests = tried([python, "-m", "pytest", "-q", *warnings, "tests"], folder / "tests.log")
    nbval = ["--nbval", "--nbval-current-env", "--nbval-cell-timeout=900"]
    books = tried([python, "-m", "pytest", "-q", *nbval, *notebooks], folder / "notebooks.log")
    minutes = f"{(time.monotonic() - started) / 60:.0f}"
    return [version, end, *(pins.get(name, "–") for name in SHOWN), tests, books, minutes]


# In our own code a warning is an error at every end; in others' only with the lock.
LOOSE = ["-W", "default", "-W", "error:::helpers", "-W", "error:::tests"]


def kept(text: str, notebooks: list[str]) -> dict[tuple, list[str]]:
    """{(Python, versions, torch): row} of a table made with the same notebooks; else none."""
    if names_line(notebooks) not in text:
        return {}
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| 3")]
    return {tuple(row[:3]): row for row in lines}


def names_line(notebooks: list[str]) -> str:
    return f"Notebooks: {', '.join(sorted(Path(n).stem[:2] for n in notebooks))}."


def table(rows: list[list[str]], missing: list[str], notebooks: list[str]) -> str:
    header = ["Python", "versions", *SHOWN, "tests", "notebooks", "minutes"]
    lines = [header, ["---"] * len(header), *rows]
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    end = f"\n\n{names_line(notebooks)}"
    if missing:
        end += f" Not on this machine, so not tried: Python {', '.join(missing)}."
    return INTRODUCTION.format(day=date.today(), machine=machine) + text + end + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pythons", nargs="+", default=PYTHONS, help="versions to look for")
    parser.add_argument("--ends", nargs="+", default=list(ENDS), choices=list(ENDS))
    parser.add_argument("--torch", nargs="+", default=[TORCH.partition("==")[2]])
    parser.add_argument("--notebooks", nargs="+", help="numbers, all of them unless named: 00 07")
    arguments = parser.parse_args()
    files = sorted(str(p) for p in (ROOT / "notebooks").glob("*.ipynb"))
    chosen = arguments.notebooks
    files = [f for f in files if chosen is None or Path(f).name[:2] in chosen]
    here = [version for version in arguments.pythons if interpreter(version)]
    missing = [version for version in arguments.pythons if version not in here]
    rows = kept(TABLE.read_text(encoding="utf8") if TABLE.is_file() else "", files)
    for version in here:
        for end in arguments.ends:
            for torch in arguments.torch:
                print(f"Python {version}, {end}, torch {torch}", flush=True)
                row = try_one(version, end, f"torch=={torch}", files)
                rows[version, end, torch] = row
                print("  " + ", ".join(row[-3:]) + " min", flush=True)
                # After each row: what was tried stays, whatever stops the next one.
                TABLE.write_text(table([*rows.values()], missing, files), encoding="utf8")
    print(TABLE.read_text(encoding="utf8"))
    if any("**" in cell for row in rows.values() for cell in row):
        raise SystemExit("some combinations failed; their logs are in build/matrix")


if __name__ == "__main__":
    main()
