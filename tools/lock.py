"""Renew the two locks: exact pins for Python 3.11 to 3.14 from pyproject.toml's bounds.

requirements.lock is what a reader installs. requirements-teach.lock holds what the web book, the
slides and the graded problem sets need on top of it, and nothing that is in the first.

The packages that torch's CUDA builds bring along are left out: pip adds them where such a build
is installed, and a CPU build does without.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
HEADER = "# Exact pins, Python 3.11 to 3.14, for {}; `make lock` renews it.\n"
TORCH = "torch==2.13.0"


def compiled(extras: list[str], constraints: list[str]) -> list[str]:
    """The pins of the project with these extras."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "--universal", "--quiet"]
    command += ["--python-version", "3.11", "--no-header", "--no-annotate"]
    command += [f"--extra={extra}" for extra in extras]
    command += ["--no-emit-find-links", "--no-emit-index-url", "pyproject.toml", "-"]
    asked = "\n".join([TORCH, *constraints])
    result = subprocess.run(command, cwd=ROOT, input=asked, stdout=subprocess.PIPE, text=True)
    if result.returncode:
        raise SystemExit("uv found no versions that fit together; its message is above")
    lines = [line for line in result.stdout.splitlines() if keep(line)]
    return sorted([line for line in lines if not line.startswith("torch==")] + [TORCH])


def main() -> None:
    reader = compiled(["notebooks", "dev"], [])
    teacher = compiled(["notebooks", "dev", "teach"], reader)
    for name, whom, pins in (
        ("requirements.lock", "pip, conda and CI", reader),
        ("requirements-teach.lock", "book, slides and problem sets", teacher),
    ):
        new = pins if pins is reader else [pin for pin in pins if pin not in reader]
        (ROOT / name).write_text(HEADER.format(whom) + "\n".join(new) + "\n")


def keep(line: str) -> bool:
    return not re.match(r"(nvidia-|cuda-|triton)", line)


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()  # no options but --help
    main()
