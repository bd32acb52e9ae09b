"""The Makefile and `python -m tools` do the same, with the standard library alone, anywhere."""

import ast
import inspect
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tools import environment, targets
from tools.__main__ import SETTINGS, main
from tools.environment import ROOT, Environment
from tools.notebooks import paths

NAMES = [
    name.replace("_", "-")
    for name, function in vars(targets).items()
    if inspect.isfunction(function) and function.__module__ == targets.__name__
]
RUN = [p for p in (ROOT / "tools").glob("*.py") if "__main__" in p.read_text(encoding="utf8")]


@pytest.mark.parametrize("path", RUN, ids=lambda path: path.stem)
def test_every_command_can_be_asked_for_help(path):
    """Whoever asks what a command does has not asked it to do it."""
    text = path.read_text(encoding="utf8")
    asks = "parse_args(" in text or "sys.exit(__doc__)" in text
    assert asks or path.name == "__main__.py"  # which has a test of its own


def test_help_releases_nothing():
    done = subprocess.run(
        [sys.executable, "-m", "tools.release", "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert not done.returncode and done.stdout.startswith("usage:"), done.stderr
    assert "Write the student versions" in done.stdout and "build/release/ps1" not in done.stdout


needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="no make here")


@pytest.mark.parametrize(
    "settings, asked",
    [
        ({}, None),
        ({"SEED": "7"}, ["7"]),
        ({"SEED": "7", "ALL": "1"}, ["7", "--all"]),
        ({"VARIANTS": "mine.py"}, ["0", "--variants", str(Path("mine.py").resolve())]),
        ({"SEED": "7", "VARIANTS": "~/m.py"}, ["7", "--variants", str(Path.home() / "m.py")]),
    ],
)
def test_a_seed_and_variants_of_ones_own_make_the_sets(settings, asked, monkeypatch):
    calls = []
    monkeypatch.setattr(Environment, "teach", lambda self, *words: calls.append([*words]))
    found = Environment(settings).sets()
    assert calls == ([["tools.variants", *asked]] if asked else [])
    assert found == ({"COURSE_SOURCE": str(ROOT / "build" / f"source-{asked[0]}")} if asked else {})


def test_grade_hands_the_number_of_jobs_on(monkeypatch):
    calls = []
    monkeypatch.setattr(Environment, "teach", lambda self, *words, **more: calls.append([*words]))
    for more in ({}, {"JOBS": "2"}):
        targets.grade(Environment({"SET": "ps1", "FROM": "in.zip", **more}))
    assert calls == [
        ["tools.grade", "ps1", "in.zip"],
        ["tools.grade", "ps1", "in.zip", "--jobs", "2"],
    ]


def test_help_lists_every_target_and_setting(capsys):
    main([])
    said = capsys.readouterr().out
    assert re.findall(r"^  ([a-zA-Z0-9-]+) +\S", said, re.MULTILINE) == [*NAMES, *SETTINGS]
    assert len(NAMES) > 20 and {"lab", "test", "test-fresh", "run"} <= {*NAMES}


@pytest.mark.parametrize(
    "word, answer", [("tset", "Did you mean test?"), ("xyz", "no target"), ("A=1", "no target")]
)
def test_an_unknown_target_is_named(word, answer):
    with pytest.raises(SystemExit) as stopped:
        main([word])
    assert repr(word) in str(stopped.value) and answer in str(stopped.value)


def test_several_targets_run_in_their_order_with_the_settings(monkeypatch):
    done = []

    def note(name):
        def target(here):
            done.append((name, here.notebook, here.gpu))

        target.__module__ = targets.__name__
        return target

    for name in ("sync", "execute"):
        monkeypatch.setattr(targets, name, note(name))
    monkeypatch.setenv("GPU", "1")
    main(["execute", "sync", "NOTEBOOK=07"])
    assert done == [("execute", "07", "1"), ("sync", "07", "1")]


@pytest.mark.parametrize("notebook, count", [("", len(paths())), ("07", 1), ("masks", 1)])
def test_make_test_takes_every_test_and_the_notebooks_asked_for(notebook, count, monkeypatch):
    ran = []
    monkeypatch.setattr(Environment, "teach", lambda self, *words, **_: ran.extend(words))
    targets.test(Environment({"NOTEBOOK": notebook}))
    taken = [word for word in ran if word.endswith(".ipynb")]
    assert "tests" in ran and len(taken) == count and all((ROOT / path).is_file() for path in taken)


def test_a_notebook_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(Environment, "teach", lambda self, *words, **_: pytest.fail("ran"))
    with pytest.raises(SystemExit, match="No notebook in notebooks/ has '99' in its name"):
        targets.test(Environment({"NOTEBOOK": "99"}))


def test_clean_keeps_the_results_of_hours(tmp_path, monkeypatch):
    monkeypatch.setattr(targets, "ROOT", tmp_path)
    for name in (".venv/bin", "build/book", "build/experiment", "build/multi30k"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "build" / "live.html").write_text("")
    targets.clean(Environment({}))
    left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*"))
    assert left == ["build", "build/experiment", "build/multi30k"]


def test_ctrl_c_ends_in_a_sentence(monkeypatch):
    def interrupted(here):
        raise KeyboardInterrupt

    interrupted.__module__ = targets.__name__
    monkeypatch.setattr(targets, "lab", interrupted)
    with pytest.raises(SystemExit, match="Stopped"):
        main(["lab"])


@pytest.mark.slow
def test_the_entry_needs_the_standard_library_alone():
    command = [sys.executable, "-S", "-W", "error", "-m", "tools"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "make NAME" in done.stdout, done.stderr


def test_an_old_python_can_read_the_entry_and_is_told(monkeypatch):
    text = (ROOT / "tools" / "__main__.py").read_text(encoding="utf8")
    ast.parse(text, feature_version=(3, 6))
    monkeypatch.setattr(sys, "version_info", (3, 9, 6))
    with pytest.raises(SystemExit, match=r"3\.11 or later is needed, and .* is 3\.9"):
        exec(compile(text, "__main__", "exec"), {"__name__": "__main__"})


@needs_make
@pytest.mark.slow
def test_make_hands_every_target_and_setting_on(tmp_path):
    """A stand-in for Python writes down what it is called with, in a folder with odd letters."""
    folder = tmp_path / "Meine Übungen"
    folder.mkdir()
    shutil.copy(ROOT / "Makefile", folder)
    for name in ("lab", "test", "docs"):  # a file or folder of a target's name is in nobody's way
        (folder / name).mkdir()
    stand_in = folder / "python"
    stand_in.write_text('#!/bin/sh\necho "$@ NOTEBOOK=$NOTEBOOK GPU=$GPU"\n')
    stand_in.chmod(0o755)
    command = ["make", "--no-print-directory", "PYTHON=./python", *NAMES, "NOTEBOOK=07", "GPU=0"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"-m tools {name} NOTEBOOK=07 GPU=0" for name in NAMES]


def test_what_runs_in_the_environment_finds_its_commands(tmp_path, monkeypatch):
    """As if it were active; and a command that fails ends the target with its exit code."""
    monkeypatch.setattr(environment, "prepare", lambda *_: Path(sys.executable))
    (tmp_path / "probe.py").write_text(
        "import os, shutil, sys\n"
        "assert os.environ['OMP_NUM_THREADS'] == '1'\n"
        "assert os.environ['PATH'].startswith(os.path.dirname(sys.executable))\n"
        "raise SystemExit(7)"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(SystemExit) as stopped:
        Environment({}).run("probe", OMP_NUM_THREADS="1")
    assert stopped.value.code == 7


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a shell script")
def test_git_shows_notebooks_as_text_without_an_identity_and_with_odd_paths(tmp_path, monkeypatch):
    clone, odd = tmp_path / "clone", tmp_path / "Anna's $Übungen" / "bin"
    odd.mkdir(parents=True)
    (odd / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (odd / "python").chmod(0o755)
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("EMAIL", "")

    def git(*words):
        command = ["git", "-c", "user.useConfigOnly=true", *words]
        return subprocess.run(command, cwd=clone, capture_output=True, text=True, check=True).stdout

    clone.mkdir()
    git("init", "--quiet")
    shutil.copy(ROOT / ".gitattributes", clone)
    notebook = clone / "a notebook.ipynb"
    shutil.copy(ROOT / "notebooks" / "00_start_here.ipynb", notebook)
    git("add", ".")
    notebook.write_text(notebook.read_text("utf8").replace("translate", "TRANSLATE", 1), "utf8")
    git("config", "diff.notebook.cachetextconv", "true")  # as an older version left it
    monkeypatch.setattr(targets, "ROOT", clone)
    monkeypatch.setattr(Environment, "python", lambda *_: odd / "python")
    targets.diffs(Environment({}))
    changed = [line for line in git("diff").splitlines() if re.match(r"[+-](?![+-]{2})", line)]
    assert changed and all(line[1:].startswith("# ") for line in changed), changed


def test_diffs_without_a_clone_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(targets, "ROOT", tmp_path)
    with pytest.raises(SystemExit, match="git is not installed, or this is not a clone"):
        targets.diffs(Environment({}))


def test_the_hooks_of_pre_commit_run_targets_on_any_system():
    text = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf8")
    (own,) = [repo for repo in yaml.safe_load(text)["repos"] if repo["repo"] == "local"]
    for hook in own["hooks"]:
        assert hook["language"] == "python"  # else "python" may not be the name of any command
        assert re.fullmatch(rf"python -m tools ({'|'.join(NAMES)})", hook["entry"])
