"""The second half of every notebook's set-up cell, for when the helpers have been found.

The first half is in tools/setup_cell.py. Nothing here installs torch or numpy.
"""

import subprocess
import sys
from collections.abc import Sequence
from importlib import invalidate_caches
from importlib.util import find_spec
from pathlib import Path

import numpy
import torch

import helpers
from helpers.missing_names import explain_missing_names

# What the helpers import besides torch and numpy. Colab lacks some of it.
NEEDED = (
    "filelock",
    "matplotlib",
    "platformdirs",
    "pooch",
    "sacrebleu",
    "safetensors",
    "tokenizers",
    "tqdm",
)


def start(version: str, seed: int, needed: Sequence[str] = NEEDED) -> None:
    """Compare versions, install what is missing, let a NameError explain itself, seed torch.

    version is the notebook's; needed are packages to install if they are missing. If something is
    wrong, a sentence says so and the notebook goes on, because most of it may work anyway.
    """
    torch.manual_seed(seed)
    if helpers.__version__ != version:
        print(
            f"This notebook is version {version}, but the helpers in "
            f"{Path(helpers.__file__).parent} are version {helpers.__version__}. Use a "
            "notebook and helpers from the same download."
        )
    install_missing(*needed)
    explain_missing_names()  # a NameError then says which cell to run first
    print(f"Python {sys.version.split()[0]}, torch {torch.__version__}, numpy {numpy.__version__}")


def install_missing(*packages: str) -> None:
    """Install what this kernel's Python lacks. If that fails, print one sentence about it."""
    missing = [package for package in packages if find_spec(package) is None]
    if not missing:
        return
    print(f"Installing {', '.join(missing)} into {sys.executable} …")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-color", "--retries=1", *missing]
    done = subprocess.run(pip, capture_output=True, text=True)
    invalidate_caches()
    if done.returncode == 0 and any(find_spec(package) is None for package in packages):
        print("They are installed where this kernel does not look yet: restart the kernel once.")
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "ERROR:" in line]
        reason = (errors or done.stderr.splitlines() or ["pip gave no reason"])[0].strip()
        print(
            f"That failed ({reason}), so cells that need {', '.join(missing)} will stop: is there "
            "a network, and can this Python's folder be written to?"
        )
