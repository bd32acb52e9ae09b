"""`python -m tools.matrix` tests the series on every Python and both ends of the allowed versions.

It tries the lock on each Python from 3.11 to 3.14, the lowest versions that pyproject.toml allows
on the first of them, and the newest on the last. A Python that is not installed is borrowed from a
Debian system (tools/machines.py), if debootstrap and root are available. Each combination has a
fresh environment in build/matrix, which is removed afterwards. Its row goes to docs/versions.md.
"""

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from tools.environment import CPU_INDEX, ROOT, TRIED, has_nvidia_gpu, index_answers, output
from tools.machines import SUITES, debian, inside, obstacle, pip_settings

FOLDER = ROOT / "build" / "matrix"
TABLE = ROOT / "docs" / "versions.md"
PYTHONS = [f"3.{minor}" for minor in range(TRIED[0][1], TRIED[1][1] + 1)]
ENDS = {"lock": None, "lowest": "lowest-direct", "newest": "highest"}
SHOWN = ("torch", "numpy", "matplotlib", "jupyterlab", "transformers")
# What a developer's machine has: torch.compile needs a compiler, and some tests need git or make.
PACKAGES = ["ca-certificates", "g++", "git", "make", "python3-dev", "python3-venv"]

INTRODUCTION = """\
---
orphan: true
---

# Versions that were tried

`make matrix` wrote this on {day} ({machine}). Each row is a fresh environment with the pins of
`requirements.lock`, or with the lowest or the newest versions that `pyproject.toml` allows.
"Tests" counts {tests}. "Notebooks" counts the cells of the notebooks named below whose outputs are
the same as the stored ones (nbval, strict). A row that a later run did not try again stays as it
was. GitHub tries both ends once a week (`.github/workflows/test.yml`).

"""
FAST, ALL = '`pytest -m "not slow"`', "`pytest`, all of it"


@dataclass
class Python:
    """An interpreter: on this machine, or in a Debian system that has to be entered for it."""

    version: str
    path: str
    system: Path | None = None

    def command(self, command: list) -> list[str]:
        """The command that runs `command`, which may name the project's files, where it is."""
        if self.system is None:
            return [str(part) for part in command]
        lent = [ROOT, Path(UV[0]).parent]
        return inside(self.system, command, ROOT, lent=lent, **VARIABLES)


def uv() -> list[str]:
    """uv as a command that runs in every system: the program itself, which needs no Python."""
    code = "import uv; print(uv.find_uv_bin())"
    return [output([sys.executable, "-c", code]) or "uv"]


UV = uv()
VARIABLES = {
    "OMP_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    # Here a Debian system sees it too, and files can be linked instead of copied.
    "UV_CACHE_DIR": str(FOLDER / "cache"),
}


def interpreter(version: str) -> Python | None:
    """This Python, from this machine or else from Debian; None if neither has it."""
    runs = "import sys; print('%d.%d' % sys.version_info[:2])"
    find = [*UV, "python", "find", "--no-python-downloads", "--system", version]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for path in (output(find), *sorted(pyenv.glob(f"{version}.*/bin/python"), reverse=True)):
        if path and output([path, "-c", runs]) == version:
            return Python(version, str(path))
    suite = next((suite for suite, has in SUITES.items() if has == version), None)
    if suite is None or obstacle():
        return None
    system = debian(suite, f"{suite}-matrix", PACKAGES)
    path = f"/usr/bin/python{version}"
    return Python(version, path, system) if (system / path[1:]).exists() else None


def sources() -> list[str]:
    """Where uv looks for packages: where pip looks on this machine, and for torch without CUDA."""
    places = pip_settings().get("PIP_FIND_LINKS", "").split()
    options = [f"--find-links={place}" for place in places]
    if not has_nvidia_gpu() and index_answers(CPU_INDEX):
        options.append("--torch-backend=cpu")
    return options


def requirements(end: str, python: Python) -> str:
    """What to install at this end of the allowed versions, as a requirements file."""
    if ENDS[end] is None:
        return (ROOT / "requirements.lock").read_text(encoding="utf8")
    command = [*UV, "pip", "compile", "--quiet", "--no-header", "--no-annotate"]
    command += ["--python", python.path, "--resolution", ENDS[end], "--only-binary=:all:"]
    command += ["--extra", "notebooks", "--extra", "dev", *sources(), "--no-emit-find-links"]
    command += ["--no-emit-index-url", "pyproject.toml"]
    done = subprocess.run(
        python.command(command),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | VARIABLES,
    )
    if done.returncode:
        raise SystemExit("uv found no versions that fit together; its message is above")
    return done.stdout


def tried(command: list, log: Path) -> str:
    """Run in the project's folder; "all 610" or "2 of 610 failed", read from pytest's last line."""
    with log.open("w", encoding="utf8") as file:
        code = subprocess.run(
            command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, env=os.environ | VARIABLES
        ).returncode
    counts = dict.fromkeys(("passed", "failed", "error"), 0)
    for number, word in re.findall(r"(\d+) (passed|failed|error)", log.read_text("utf8")[-400:]):
        counts[word] = int(number)
    bad = counts["failed"] + counts["error"]
    if code == 0 and counts["passed"] and not bad:
        return f"all {counts['passed']}"
    return f"**{bad} of {sum(counts.values())} failed**" if bad else f"**stopped with {code}**"


def try_one(python: Python, end: str, notebooks: list[str], all_tests: bool) -> list[str]:
    """One row of the table. The logs stay in build/matrix, the environment does not."""
    started = time.monotonic()
    folder = FOLDER / f"{python.version}-{end}"
    own = folder / "bin" / "python"

    def run(*command) -> None:
        everything = os.environ | VARIABLES
        subprocess.run(python.command([*UV, *command]), cwd=ROOT, check=True, env=everything)

    run("venv", "--quiet", "--clear", "--python", python.path, folder)
    (folder / "requirements.txt").write_text(requirements(end, python), encoding="utf8")
    install = ["pip", "install", "--quiet", "--python", own]
    run(*install, *sources(), "-r", folder / "requirements.txt")
    run(*install, "--no-deps", "-e", ROOT)
    freeze = python.command([*UV, "pip", "freeze", "--python", own])
    pins = dict(line.split("==") for line in output(freeze).splitlines() if "==" in line)

    def counted(name: str, *arguments: str) -> str:
        command = [own, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
        return tried(python.command(command), FOLDER / f"{folder.name}-{name}.log")

    chosen = [] if all_tests else ["-m", "not slow"]
    tests = counted("tests", *chosen, *(LOOSE if ENDS[end] else []), "tests")
    nbval = ["--nbval", "--nbval-current-env", "--nbval-cell-timeout=900"]
    books = counted("notebooks", *nbval, *notebooks)
    shutil.rmtree(folder)
    minutes = f"{(time.monotonic() - started) / 60:.0f}"
    return [python.version, end, *(pins.get(name, "–") for name in SHOWN), tests, books, minutes]


# In our own code a warning is an error at every end; in others' only with the lock.
LOOSE = ["-W", "default", "-W", "error:::helpers", "-W", "error:::tests"]


def kept(text: str, notebooks: list[str], tests: str) -> dict[tuple, list[str]]:
    """{(Python, versions): row} of a table made with the same tests and notebooks; else none."""
    if names_line(notebooks) not in text or tests not in text:
        return {}
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| 3")]
    return {tuple(row[:2]): row for row in lines}


def names_line(notebooks: list[str]) -> str:
    return f"Notebooks: {', '.join(sorted(Path(n).stem[:2] for n in notebooks))}."


def table(rows: list[list[str]], missing: list[str], notebooks: list[str], tests: str) -> str:
    header = ["Python", "versions", *SHOWN, "tests", "notebooks", "minutes"]
    lines = [header, ["---"] * len(header), *rows]
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    end = f"\n\n{names_line(notebooks)}"
    if missing:
        end += f" Not on this machine, so not tried: Python {', '.join(missing)}."
    introduction = INTRODUCTION.format(day=date.today(), machine=machine, tests=tests)
    return introduction + text + end + "\n"


def combinations(pythons: list[str], ends: list[str] | None) -> list[tuple[str, str]]:
    """What is tried: the named ends on each Python, or by default each end where it tells most.

    The lowest versions belong to the first Python and the newest to the last: on a newer Python
    there are no builds of many old versions.
    """
    every = [(version, end) for version in pythons for end in (ends or ENDS)]
    fitting = {"lock": PYTHONS, "lowest": PYTHONS[:1], "newest": PYTHONS[-1:]}
    return [pair for pair in every if ends or pair[0] in fitting[pair[1]]]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pythons", nargs="+", default=PYTHONS, help="versions to look for")
    parser.add_argument("--ends", nargs="+", choices=list(ENDS), help="on each of these Pythons")
    parser.add_argument("--notebooks", nargs="+", help="numbers, such as 00 07; by default all")
    parser.add_argument("--fast", action="store_true", help="leave out the slow tests")
    arguments = parser.parse_args()
    files = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "notebooks").glob("*.ipynb"))
    chosen = arguments.notebooks
    files = [f for f in files if chosen is None or Path(f).name[:2] in chosen]
    tests = FAST if arguments.fast else ALL
    FOLDER.mkdir(parents=True, exist_ok=True)
    found = {version: interpreter(version) for version in arguments.pythons}
    missing = [version for version, python in found.items() if python is None]
    now: list[list[str]] = []
    for version, end in combinations(arguments.pythons, arguments.ends):
        if version in missing:
            continue
        print(f"Python {version}, {end}", flush=True)
        row = try_one(found[version], end, files, not arguments.fast)
        now.append(row)
        print("  " + ", ".join(row[-3:]) + " min", flush=True)
        # After each row: what was tried stays, whatever stops the next one. And read anew, because
        # another run beside this one may have added its own.
        rows = kept(TABLE.read_text(encoding="utf8") if TABLE.is_file() else "", files, tests)
        rows[version, end] = row
        in_order = [rows[key] for key in sorted(rows, key=order)]
        TABLE.write_text(table(in_order, missing, files, tests), encoding="utf8")
    print(TABLE.read_text(encoding="utf8"))
    if missing:
        print(f"Python {', '.join(missing)}: {obstacle() or 'Debian has none'}, so not tried")
    if any("**" in cell for row in now for cell in row):
        raise SystemExit("some combinations failed; their logs are in build/matrix")


def order(key: tuple[str, str]) -> tuple[int, int]:
    return int(key[0].partition(".")[2]), list(ENDS).index(key[1])


if __name__ == "__main__":
    main()
