"""Pins, environment and CI agree; imports keep their direction."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from tools.environment import CPU_INDEX
from tools.notebooks import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]


def pins(text: str) -> dict[str, list[Requirement]]:
    found: dict[str, list[Requirement]] = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            requirement = Requirement(line)
            found.setdefault(requirement.name.lower(), []).append(requirement)
    return found


def check_lock(text: str) -> None:
    locked = pins(text)
    for name, entries in locked.items():
        for entry in entries:
            assert re.fullmatch(r"==[\w.]+", str(entry.specifier)), f"{name} is not pinned exactly"
    assert [str(r) for r in locked["torch"]] == ["torch==2.13.0"]
    # Where torch needs them, it brings them along; with the CPU build they would be a waste.
    assert not [name for name in locked if name.startswith(("nvidia", "cuda", "triton"))]
    wanted = [*PROJECT["dependencies"]]
    for name, extra in PROJECT["optional-dependencies"].items():
        wanted += extra if name not in ("teach", "real") else []
    for requirement in map(Requirement, wanted):
        assert requirement.name in locked, f"{requirement.name} is not in the lock"
        for pin in locked[requirement.name]:
            version = str(pin.specifier).removeprefix("==")
            assert requirement.specifier.contains(version), f"{pin} is below {requirement}"


def check_teaching_lock(text: str) -> None:
    locked, reader = pins(text), pins((ROOT / "requirements.lock").read_text(encoding="utf8"))
    assert not locked.keys() & reader.keys(), "a package stands in both locks"
    for entry in (e for entries in locked.values() for e in entries):
        assert re.fullmatch(r"==[\w.]+", str(entry.specifier)), f"{entry} is not pinned exactly"
    for requirement in map(Requirement, PROJECT["optional-dependencies"]["teach"]):
        for pin in locked[requirement.name]:
            assert requirement.specifier.contains(str(pin.specifier).removeprefix("=="))


def check_environment(text: str) -> None:
    environment = yaml.safe_load(text)
    assert environment["channels"] == ["conda-forge"]
    (pip_part,) = [d["pip"] for d in environment["dependencies"] if isinstance(d, dict)]
    assert pip_part == [f"--extra-index-url {CPU_INDEX}", "-r requirements.lock", "-e ."]
    others = [d for d in environment["dependencies"] if isinstance(d, str)]
    assert [d.split("=")[0] for d in others] == ["python", "pip"]
    python = Version(others[0].split("=")[1])
    assert Version("3.11") <= python <= Version("3.14")


def check_ci(text: str) -> None:
    commands = [
        line for line in text.splitlines() if line and not line.startswith(("#", "set ", "cd "))
    ]
    assert commands == ["make test"]


FILES = {
    "requirements.lock": check_lock,
    "requirements-teach.lock": check_teaching_lock,
    "environment.yml": check_environment,
    ".ci/run": check_ci,
}


@pytest.mark.parametrize("name", FILES)
def test_file_agrees_with_the_others(name):
    FILES[name]((ROOT / name).read_text(encoding="utf8"))


@pytest.mark.parametrize(
    "name, old, new",
    [
        ("requirements.lock", "torch==2.13.0", "torch==2.12.0"),
        ("requirements.lock", "torch==2.13.0", "torch==2.13.0\ntriton==3.7.1"),
        ("requirements.lock", "sacrebleu==", "sacrebleu>="),
        ("requirements.lock", "safetensors==0.8.0\n", ""),
        ("requirements.lock", "safetensors==0.8.0", "safetensors==0.1.0"),
        ("requirements-teach.lock", "nbgrader==", "nbgrader>="),
        ("requirements-teach.lock", "nbgrader==0.9.6", "nbgrader==0.8.0"),
        ("requirements-teach.lock", "nbgrader==0.9.6", "nbgrader==0.9.6\nnumpy==2.0.0"),
        ("environment.yml", "-r requirements.lock", "numpy==2.0"),
        ("environment.yml", "python=3.12", "python=3.9"),
        ("environment.yml", "whl/cpu", "whl/cu130"),
        (".ci/run", "make test", "pip install x\nmake test"),
    ],
)
def test_drift_is_noticed(name, old, new):
    text = (ROOT / name).read_text(encoding="utf8")
    assert old in text
    with pytest.raises(AssertionError):
        FILES[name](text.replace(old, new))


def contracts_broken(folder: Path) -> list[str]:
    """The contracts of pyproject.toml that a copy of helpers/ in this folder breaks."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"]
    result = subprocess.run(
        [*command, "--no-logo", "--no-cache"], cwd=folder, capture_output=True, text=True
    )
    assert "Contracts: " in result.stdout, result.stdout + result.stderr
    return re.findall(r"^(.*) BROKEN$", result.stdout, re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize(
    "file, line, broken",
    [
        (None, "", []),
        ("attention.py", "import helpers.pictures.style", ["The house", "The model"]),
        ("files.py", "import helpers.transformer", ["The house"]),
        ("trainer/data.py", "import helpers.lessons.wirings", ["The house"]),
        ("corpora/toy.py", "import helpers.pictures.maps", ["The house"]),
        ("layers.py", "import numpy", ["The model"]),
    ],
)
def test_who_may_import_whom_is_held(tmp_path, file, line, broken):
    shutil.copytree(
        ROOT / "helpers", tmp_path / "helpers", ignore=shutil.ignore_patterns("data", "__py*")
    )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    if file is not None:
        path = tmp_path / "helpers" / file
        path.write_text(path.read_text(encoding="utf8") + f"\n{line}\n", encoding="utf8")
    found = contracts_broken(tmp_path)
    assert len(found) == len(broken)
    assert all(name.startswith(start) for name, start in zip(found, broken, strict=True))


def test_every_data_file_of_the_helpers_is_packaged():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))
    patterns = project["tool"]["setuptools"]["package-data"]["helpers"]
    packaged = {path for pattern in patterns for path in (ROOT / "helpers").glob(pattern)}
    files = {p for p in (ROOT / "helpers" / "data").rglob("*") if p.is_file()}
    types = ROOT / "helpers" / "py.typed"  # tells type checkers that the annotations count
    assert packaged == {types, *(p for p in files if p.suffix != ".part")}
