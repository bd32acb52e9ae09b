"""Renew requirements.lock: exact pins for Python 3.11 to 3.13 from pyproject.toml's bounds.

The packages that torch's CUDA builds bring along are left out: pip adds them where such a build
is installed, and a CPU build does without.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
HEADER = (
    "# Exact pins, Python 3.11 to 3.13. One file for pip, conda and CI; `make lock` renews it.\n"
)


def keep(line: str) -> bool:
    return not re.match(r"(nvidia-|cuda-|triton)", line)


def main() -> None:
    command = [sys.executable, "-m", "uv", "pip", "compile", "--universal", "--quiet"]
    command += ["--python-version", "3.11", "--no-header", "--no-annotate", "--all-extras"]
    command += ["--no-emit-find-links", "--no-emit-index-url", "pyproject.toml", "-"]
    torch = "torch==2.13.0\n"
    result = subprocess.run(
        command, cwd=ROOT, input=torch, capture_output=True, text=True, check=True
    )
    lines = [line for line in result.stdout.splitlines() if keep(line)]
    pins = [line for line in lines if not line.startswith("torch==")] + [torch.strip()]
    (ROOT / "requirements.lock").write_text(HEADER + "\n".join(sorted(pins)) + "\n")


if __name__ == "__main__":
    main()
