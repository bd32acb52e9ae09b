"""tools/environment.py: a bad environment is made anew, CUDA stays away where it is of no use."""

import http.server
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tools import environment
from tools.environment import READER, TEACHER, choose_build, fault, index_answers, prepare, usable

HERE = "{}.{}".format(*sys.version_info[:2])
posix = pytest.mark.skipif(os.name == "nt", reason="the stand-in for Python is a shell script")


# ---- Which environments are kept ---------------------------------------------------------------


def stand_in(venv: Path, version: str = "3.12", runs: bool = True, pip: bool = True) -> Path:
    """An environment whose Python is a script that answers as an environment's Python would."""
    (venv / "bin").mkdir(parents=True)
    script = f"""#!/bin/sh
    case "$*" in
        *version_info*) echo {version}; exit {int(not runs)};;
        *"-m pip"*) exit {int(not pip)};;
    esac
    """
    (venv / "bin" / "python").write_text(script)
    (venv / "bin" / "python").chmod(0o755)
    notes = f"home = /usr/bin\nversion = 3.12.4\ncommand = /usr/bin/python3 -m venv {venv}\n"
    (venv / "pyvenv.cfg").write_text(notes, encoding="utf8")
    return venv


@posix
def test_a_whole_environment_is_kept(tmp_path):
    assert fault(stand_in(tmp_path / "Meine Übungen" / ".venv")) is None


def half_made(venv):
    (venv / "pyvenv.cfg").unlink()


def python_removed(venv):
    (venv / "bin" / "python").unlink()
    (venv / "bin" / "python").symlink_to("/nowhere/python3.12")


def moved(venv):
    text = (venv / "pyvenv.cfg").read_text().replace(str(venv), "/home/me/old name/.venv")
    (venv / "pyvenv.cfg").write_text(text)


def copied(venv):
    """The old one is still where it was, so its path alone would look right."""
    other = stand_in(venv.parent / "the old one" / ".venv")
    shutil.copy(other / "pyvenv.cfg", venv / "pyvenv.cfg")


@posix
@pytest.mark.parametrize(
    "options, change, words",
    [
        ({}, half_made, "not complete"),
        ({}, python_removed, "its Python in /usr/bin no longer exists"),
        ({}, moved, "made in /home/me/old name/.venv"),
        ({}, copied, "the old one/.venv"),
        ({"runs": False}, None, "does not run"),
        ({"version": "3.13"}, None, "made with Python 3.12, but that Python is now 3.13"),
        ({"pip": False}, None, "pip does not work"),
    ],
)
def test_what_is_wrong_with_an_environment_is_said(options, change, words, tmp_path):
    venv = stand_in(tmp_path / ".venv", **options)
    if change is not None:
        change(venv)
    assert words in fault(venv)


@pytest.mark.slow
def test_a_half_made_environment_is_made_anew_and_works(tmp_path, capsys):
    """What is left where venv fails on the way to pip, as Ubuntu's does without python3-venv."""
    venv = tmp_path / "Meine Übungen" / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    python = usable(venv)  # the module that was missing then is here now, and adds pip
    subprocess.run([python, "-m", "pip", "--version"], check=True)
    shutil.rmtree(python.parent)
    assert usable(venv) == python and "Rebuilding .venv: its Python" in capsys.readouterr().out
    subprocess.run([python, "-m", "pip", "--version"], check=True)
    assert usable(venv) == python and capsys.readouterr().out == ""
    moved = venv.parent.rename(tmp_path / "moved") / ".venv"
    assert f"it was made in {venv}" in fault(moved)


@posix
def test_an_environment_with_a_prompt_of_its_own_is_kept(tmp_path):
    venv = stand_in(tmp_path / "my .venv")
    notes = (venv / "pyvenv.cfg").read_text()
    options = '-m venv --prompt="my course" --upgrade-deps --prompt=short '
    (venv / "pyvenv.cfg").write_text(notes.replace("-m venv ", options))
    assert fault(venv) is None


def test_an_environment_that_conda_made_is_not_removed(tmp_path):
    kept = tmp_path / ".venv" / "conda-meta"
    kept.mkdir(parents=True)
    with pytest.raises(SystemExit, match="conda made.*Move or rename it"):
        usable(tmp_path / ".venv")
    assert kept.is_dir()


@pytest.mark.parametrize("lacking", ["venv", "ensurepip"])
def test_a_missing_venv_module_names_its_package_and_leaves_nothing(lacking, monkeypatch, tmp_path):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n: None if n == lacking else real(n))
    with pytest.raises(SystemExit, match=rf"sudo apt install python{HERE}-venv$"):
        usable(tmp_path / ".venv")
    assert not (tmp_path / ".venv").exists()


# ---- What is installed when --------------------------------------------------------------------


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project whose environment is whole; `project.calls` collects what pip is told to do."""
    for name in (READER, TEACHER, "pyproject.toml"):
        (tmp_path / name).write_text("torch==2.13.0\n")
    (tmp_path / ".venv").mkdir()
    tmp_path_calls = []
    monkeypatch.setattr(environment, "usable", lambda venv: Path(sys.executable))
    monkeypatch.setattr(environment, "pip", lambda python, *words: tmp_path_calls.append(words))
    monkeypatch.setattr(environment, "install_torch", lambda *_: None)
    monkeypatch.setattr(environment, "other_torch_is_wanted", lambda *_: False)
    monkeypatch.setattr(environment, "output", lambda *_: "")
    return tmp_path, tmp_path_calls


def test_replacing_torch_is_taken_up_again_after_an_interruption(project, monkeypatch):
    root, calls = project
    prepare(READER, root=root)
    monkeypatch.setattr(environment, "other_torch_is_wanted", lambda python, gpu: gpu == "1")

    def no_network(*_):
        raise SystemExit("no network")

    with monkeypatch.context() as broken:
        broken.setattr(environment, "install", no_network)
        with pytest.raises(SystemExit, match="no network"):
            prepare(READER, "1", root)
    assert ("uninstall", "--yes", "--quiet", "torch") in calls
    before = len(calls)
    prepare(READER, root=root)
    assert any("install" in words for words in calls[before:])


def test_settings_that_install_elsewhere_reach_no_command(monkeypatch):
    for name in ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT"):
        monkeypatch.setenv(name, "1")
    code = "import os, sys; sys.exit(any(n.startswith('PIP_') for n in os.environ if n[4:] in "
    code += "('USER', 'TARGET', 'PREFIX', 'ROOT')))"
    environment.call([sys.executable, "-c", code], {})


def test_what_is_installed_is_not_installed_again(project):
    root, calls = project
    prepare(READER, root=root)
    first = len(calls)
    assert first > 0
    prepare(READER, root=root)
    assert len(calls) == first
    prepare(TEACHER, root=root)
    assert len(calls) == first + 1 and str(root / TEACHER) in " ".join(calls[-1])


@pytest.mark.parametrize("name", [READER, "pyproject.toml"])
def test_a_changed_lock_is_installed(name, project):
    root, calls = project
    prepare(READER, root=root)
    (root / name).write_text("torch==2.14.0\n")
    before = len(calls)
    prepare(READER, root=root)
    assert len(calls) > before


def test_an_interrupted_installation_is_taken_up_again(project, monkeypatch):
    root, calls = project

    def interrupted(*_):
        raise SystemExit("no network")

    with monkeypatch.context() as patch:
        patch.setattr(environment, "pip", interrupted)
        with pytest.raises(SystemExit):
            prepare(READER, root=root)
    prepare(READER, root=root)
    assert calls


def test_pip_that_fails_says_what_to_do(monkeypatch):
    failed = subprocess.CompletedProcess([], 1)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(SystemExit, match="run the same command again"):
        environment.pip(Path("python"), "install", "torch")
    monkeypatch.setattr(sys, "version_info", (3, 99, 0))
    with pytest.raises(SystemExit, match=r"Python 3\.11 to 3\.14 were tried"):
        environment.pip(Path("python"), "install", "torch")


@pytest.mark.parametrize("gpu", ["yes", "2", "cpu"])
def test_an_odd_setting_is_refused(gpu, project):
    with pytest.raises(SystemExit, match=f"GPU is '{gpu}'; it must be 1 .* or 0"):
        prepare(READER, gpu, project[0])


# ---- Which torch -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "system, gpu, has_gpu, own, answers, build, words",
    [
        ("linux", "", False, [], True, "cpu", "no NVIDIA GPU was found"),
        ("linux", "", False, [], False, "cuda", "did not answer within 4 seconds"),
        ("linux", "", True, [], True, "cuda", "for your NVIDIA GPU"),
        ("linux", "1", False, [], True, "cuda", "because of GPU=1"),
        ("linux", "0", True, [], True, "cpu", "because of GPU=0"),
        ("linux", "", False, ["find-links"], True, "own", "Your pip configuration (find-links)"),
        ("linux", "1", True, ["index-url"], True, "own", "(index-url)"),
        ("linux", "0", False, ["index-url"], True, "cpu", "because of GPU=0"),
        ("linux", "0", False, ["index-url"], False, "own", "does not answer"),
        ("darwin", "", False, [], True, "usual", "usual build"),
        ("win32", "1", True, [], True, "usual", "pytorch.org"),
    ],
)
def test_the_build_of_torch(system, gpu, has_gpu, own, answers, build, words, monkeypatch):
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(environment, "has_nvidia_gpu", lambda: has_gpu)
    monkeypatch.setattr(environment, "index_answers", lambda *_: answers)
    chosen, why = choose_build(own, gpu)
    assert chosen == build and words in why


@pytest.fixture
def asked(monkeypatch):
    """What install_torch runs, on a machine without a GPU where the CPU index answers."""
    commands = []
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(environment, "has_nvidia_gpu", lambda: False)
    monkeypatch.setattr(environment, "index_answers", lambda *_: True)
    monkeypatch.setattr(environment, "own_sources", lambda _: [])

    def run(command, **_):
        commands.append([str(word) for word in command])
        return subprocess.CompletedProcess(command, asked_code[0])

    asked_code = [0]
    monkeypatch.setattr(subprocess, "run", run)
    return commands, asked_code


@pytest.mark.parametrize("have, expected", [(None, 1), ("2.12.0+cpu", 1), ("2.13.0+rocm6", 0)])
def test_only_torch_comes_from_the_other_index(have, expected, asked, monkeypatch, capsys):
    commands, _ = asked
    monkeypatch.setattr(environment, "installed_torch", lambda _: have)
    environment.install_torch(Path("python"), "torch==2.13.0", "")
    assert len(commands) == expected
    for command in commands:
        assert command[-3:] == ["--index-url", environment.CPU_INDEX, "torch==2.13.0"]
        assert "--no-deps" in command
        assert "about 190 MB to download" in capsys.readouterr().out


def test_an_index_without_this_torch_is_named(asked, monkeypatch, capsys):
    commands, code = asked
    code[0] = 1
    monkeypatch.setattr(environment, "installed_torch", lambda _: None)
    environment.install_torch(Path("python"), "torch==2.13.0", "")
    assert "did not work, so pip takes its usual build" in capsys.readouterr().out


@pytest.mark.parametrize(
    "listed, expected",
    [
        ("", []),
        ("global.cert='/etc/ssl/ca.pem'\n:env:.default-timeout='60'", []),
        ("global.index-url='https://mirror.example.org/simple'", ["index-url"]),
        (":env:.find-links='/opt/wheels'\nglobal.find-links='/x'", ["find-links"]),
        ("install.no-index='true'\n:env:.index-url=''", ["no-index"]),
        ("site.extra-index-url='https://a.example.org'", ["extra-index-url"]),
    ],
)
def test_a_configuration_of_the_readers_own_is_seen(listed, expected, monkeypatch):
    monkeypatch.setattr(environment, "output", lambda *_: listed)
    assert environment.own_sources(Path("python")) == expected


@pytest.mark.parametrize(
    "installed, gpu, own, answers, wanted",
    [
        ("2.13.0+cpu", "", [], True, False),
        ("2.13.0+cpu", "1", [], True, True),
        ("2.13.0+cpu", "1", ["find-links"], True, False),  # it would come back, again and again
        ("2.13.0", "1", [], True, False),
        ("2.13.0", "0", [], True, True),
        ("2.13.0", "0", [], False, False),
        (None, "1", [], True, False),
    ],
)
def test_another_build_is_installed_when_asked_for(
    installed, gpu, own, answers, wanted, monkeypatch, capsys
):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(environment, "installed_torch", lambda _: installed)
    monkeypatch.setattr(environment, "own_sources", lambda _: own)
    monkeypatch.setattr(environment, "index_answers", lambda *_: answers)
    assert environment.other_torch_is_wanted(Path("python"), gpu) == wanted
    cannot = not wanted and installed and gpu and installed.endswith("+cpu") == (gpu == "1")
    assert ("stays as it is" in capsys.readouterr().out) == bool(cannot)


class Index(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path.startswith("/noise/"):
            self.wfile.write(b"no status line\r\n\r\n")
            return
        self.send_response(200 if self.path == "/cpu/torch/" else 404)
        self.end_headers()

    def log_message(self, *_):
        pass


def test_an_index_is_used_only_if_it_has_torch_and_answers_in_time():
    with http.server.HTTPServer(("127.0.0.1", 0), Index) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        assert index_answers(f"{address}/cpu")
        assert not index_answers(f"{address}/rocm")
        assert not index_answers(f"{address}/noise")
        server.shutdown()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        assert not index_answers(f"http://127.0.0.1:{silent.getsockname()[1]}", patience=0.2)
        assert time.monotonic() - started < 2
    assert not index_answers("http://127.0.0.1:1")
    assert not index_answers("not an address")


def test_a_home_that_cannot_be_written_to_is_replaced(tmp_path, monkeypatch):
    assert environment.own_folders(tmp_path, tmp_path / "spare") == {}
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setenv("MPLCONFIGDIR", "mine")
    folders = environment.own_folders(tmp_path, tmp_path / "spare")
    assert "MPLCONFIGDIR" not in folders
    assert Path(folders["JUPYTER_RUNTIME_DIR"]).parent == tmp_path / "spare"
