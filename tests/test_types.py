"""The type checker's settings: `make lint` runs it on helpers/; here, what it must not let pass."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

GOOD = "def double(number: float) -> float:\n    return 2 * number\n"
MISTAKES = {
    "no annotations": ("def double(number):\n    return 2 * number\n", "no-untyped-def"),
    "a parameter without one": (
        "def double(number, times: int = 2) -> float:\n    return times * number\n",
        "no-untyped-def",
    ),
    "no return type": ("def double(number: float):\n    return 2 * number\n", "no-untyped-def"),
    "another type than is returned": (
        "def double(number: float) -> str:\n    return 2 * number\n",
        "return-value",
    ),
    "None is not thought of": (
        "def double(number: float | None) -> float:\n    return 2 * number\n",
        "operator",
    ),
}


def mypy(source: str, folder: Path) -> str:
    """What mypy says about a module with this source, under this project's settings."""
    path = folder / "module.py"
    path.write_text(source, encoding="utf8")
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml")]
    command += ["--cache-dir", str(folder / "cache"), str(path)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True).stdout


@pytest.mark.slow
def test_the_type_checker_wants_annotations_and_believes_them(tmp_path):
    assert mypy(GOOD, tmp_path).startswith("Success")
    for name, (source, code) in MISTAKES.items():
        assert f"[{code}]" in mypy(source, tmp_path), name
