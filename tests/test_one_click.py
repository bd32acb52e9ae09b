"""The files that GitHub, Codespaces, Binder and Kaggle read: nothing here can run them, so their
contents are checked against this repository, and each check against a mistake that it must see."""

import json
import re

import pytest
import yaml

from tools.address import repository
from tools.notebooks import ROOT

FIRST = "notebooks/00_start_here.ipynb"


def check_container(text: str) -> None:
    """The dev container opens notebook 00 with the environment that everybody has."""
    container = json.loads(re.sub(r"^\s*//.*", "", text, flags=re.MULTILINE))
    assert re.fullmatch(r"mcr\.microsoft\.com/devcontainers/python:3\.1[1-4]", container["image"])
    code = container["updateContentCommand"][-1]
    compile(code, "devcontainer.json", "exec")
    assert "tools.environment" in code
    (opened,) = container["customizations"]["codespaces"]["openFiles"]
    assert opened == FIRST and (ROOT / opened).is_file()
    python = container["customizations"]["vscode"]["settings"]["python.defaultInterpreterPath"]
    assert python == "${containerWorkspaceFolder}/.venv/bin/python"
    assert container["remoteEnv"]["PATH"].startswith("${containerWorkspaceFolder}/.venv/bin:")


def check_workflow(text: str) -> None:
    """Read-only unless a job says otherwise, never endless, actions of a named version, pip's
    downloads kept as long as the locks are the same."""
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["group"]
    for name, job in workflow["jobs"].items():
        assert job["timeout-minutes"] <= 90, f"{name} may run too long"
        for step in job["steps"]:
            assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step.get("uses", "a/b@v1")), step["uses"]
            options = step.get("with") or {}
            if "cache" in options:
                assert options["cache"] == "pip"
                found = {path.name for path in ROOT.glob(options["cache-dependency-path"])}
                assert found == {"requirements.lock", "requirements-teach.lock"}


def check_tests(text: str) -> None:
    """Everything on Linux with the first and the last Python, fast tests on the other systems."""
    check_workflow(text)
    jobs = yaml.safe_load(text)["jobs"]
    assert jobs["everything"]["strategy"]["matrix"] == {"python": ["3.11", "3.14"]}
    assert [step.get("run") for step in jobs["everything"]["steps"]][-1] == ".ci/run"
    assert set(jobs["fast"]["strategy"]["matrix"]["system"]) == {"macos-latest", "windows-latest"}
    assert jobs["fast"]["steps"][-1]["run"] == "python -m tools check"


def check_links(text: str) -> None:
    """README's buttons lead to this repository, and to notebooks that are in it."""
    where = repository().removeprefix("https://github.com/")
    links = dict(
        re.findall(r"\]\((https://(codespaces|mybinder|kaggle)\.(?!\S+\.svg)[^)]+)\)", text)
    )
    wanted = {
        f"https://codespaces.new/{where}?quickstart=1": "codespaces",
        f"https://mybinder.org/v2/gh/{where}/main?urlpath=lab/tree/{FIRST}": "mybinder",
        f"https://kaggle.com/kernels/welcome?src={repository()}/blob/main/{FIRST}": "kaggle",
    }
    assert links == wanted


FILES = {
    ".devcontainer/devcontainer.json": check_container,
    ".github/workflows/test.yml": check_tests,
    ".github/workflows/pages.yml": check_workflow,
    ".github/workflows/lock.yml": check_workflow,
    "README.md": check_links,
}


@pytest.mark.parametrize("name", FILES)
def test_file_fits_this_repository(name):
    FILES[name]((ROOT / name).read_text(encoding="utf8"))


@pytest.mark.parametrize(
    "name, old, new",
    [
        (".devcontainer/devcontainer.json", "00_start_here", "00_start"),
        (".devcontainer/devcontainer.json", "python:3.12", "python:latest"),
        (".devcontainer/devcontainer.json", "prepare()", "prepare("),
        (".github/workflows/test.yml", "checkout@v6", "checkout@main"),
        (".github/workflows/test.yml", "requirements*.lock", "requirements*.txt"),
        (".github/workflows/test.yml", "timeout-minutes: 45", "timeout-minutes: 450"),
        (".github/workflows/test.yml", "{contents: read}", "write-all"),
        (".github/workflows/test.yml", ", windows-latest", ""),
        (".github/workflows/test.yml", '"3.14"]}', '"3.13"]}'),
        (".github/workflows/lock.yml", "permissions: {contents: read}\n", ""),
        ("README.md", "lab/tree/notebooks/00", "lab/tree/notebooks/0"),
        ("README.md", "codespaces.new/", "codespaces.new/somebody-"),
        ("README.md", "https://kaggle.com/kernels", "https://example.com/kernels"),
    ],
)
def test_a_mistake_is_noticed(name, old, new):
    text = (ROOT / name).read_text(encoding="utf8")
    assert old in text
    with pytest.raises((AssertionError, SyntaxError, KeyError)):
        FILES[name](text.replace(old, new))


def test_dependabot_looks_after_the_actions():
    settings = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text(encoding="utf8"))
    (update,) = settings["updates"]
    assert settings["version"] == 2 and update["package-ecosystem"] == "github-actions"
