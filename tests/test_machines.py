"""tools/machines.py and tools/fresh.py: what a fresh system is lent, and what is read off it."""

import subprocess
from pathlib import Path

import pytest

from tools import fresh, machines
from tools.fresh import check_announcement, downloads, torch_and_cuda
from tools.machines import inside, named_paths, obstacle

LOG = """\
2026-11-26T11:20:01   Downloading torch-2.13.0-cp313-cp313-manylinux_2_28_x86_64.whl (554.6 MB)
2026-11-26T11:20:01   Downloading numpy-2.5.5-cp313-cp313-manylinux_2_28_x86_64.whl.metadata (62 kB)
2026-11-26T11:20:01   Downloading nvidia_cublas-13.1-py3-none-manylinux_2_27_x86_64.whl (1.5 GB)
2026-11-26T11:20:01   Downloading six-1.17.0-py2.py3-none-any.whl (950 bytes)
2026-11-26T11:20:01   Using cached triton-3.7.1-cp313-cp313-manylinux_2_28_x86_64.whl (200 MB)
2026-11-26T11:20:01   Downloading six-1.17.0-py2.py3-none-any.whl (950 bytes)
"""


def test_what_pip_downloaded_is_added_up_once(tmp_path):
    wheel = tmp_path / "cuda_pathfinder-1.0-py3-none-any.whl"
    wheel.write_bytes(bytes(3_000_000))
    sizes = downloads(f"{LOG}2026-11-26T11:20:02 Processing {wheel}\n")
    assert sum(sizes.values()) == pytest.approx(554.6 + 0.062 + 1500 + 0.00095 + 3)
    assert torch_and_cuda(sizes) == pytest.approx(554.6 + 1500 + 3)


@pytest.mark.parametrize(
    "factors, words",
    [
        ((1, 1), []),
        ((1.2, 0.85), []),
        ((1.5, 1), ["MB downloaded"]),
        ((1, 0.5), ["MB on disk"]),
        ((9, 9), ["MB downloaded", "the goal is 700", "the goal is 2000"]),
    ],
)
def test_an_announcement_that_is_far_off_is_named(factors, words, capsys):
    packages, torch = fresh.MEGABYTES[fresh.READER], fresh.TORCH["cpu"]
    check_announcement(*(f * (packages[i] + torch[i]) for i, f in enumerate(factors)), "cpu")
    said = capsys.readouterr().out
    assert all(word in said for word in words) and bool(said) == bool(words)


def test_a_system_is_lent_what_pip_is_configured_with_and_no_more(tmp_path, monkeypatch):
    for name in ("wheels", "index/simple"):
        (tmp_path / name).mkdir(parents=True)
    settings = {
        "PIP_FIND_LINKS": f"{tmp_path}/wheels https://example.org/wheels",
        "PIP_EXTRA_INDEX_URL": f"file://{tmp_path}/index/simple file://{tmp_path}/gone/simple",
        "PIP_CERT": "/etc/ssl/certs/ca.pem",
    }
    assert named_paths(settings) == [tmp_path / "index", tmp_path / "wheels"]
    monkeypatch.setattr(machines, "pip_settings", lambda: settings)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.org")
    monkeypatch.setenv("MY_SECRET", "hidden")
    command = inside(tmp_path, ["make", "lab"], "/home/a b", "1000:1000", HOME="/home")
    assert command[-2:] == ["make", "lab"] and str(tmp_path / "wheels") in command
    assert {"HTTPS_PROXY=http://proxy.example.org", "HOME=/home"} <= {*command}
    assert not any("hidden" in word for word in command)


def test_a_machine_that_cannot_make_systems_says_why(monkeypatch):
    monkeypatch.setattr(machines.shutil, "which", lambda _: None)
    assert obstacle() == "debootstrap is not installed"
    monkeypatch.setattr(machines.shutil, "which", lambda _: "/usr/sbin/debootstrap")
    monkeypatch.setattr(machines.os, "geteuid", lambda: 1000)
    assert obstacle() == "debootstrap needs root"
    monkeypatch.setattr("sys.argv", ["fresh"])
    with pytest.raises(SystemExit, match="needs root"):
        fresh.main()


@pytest.mark.parametrize(
    "code, said, package",
    [
        (1, "On Debian and Ubuntu: sudo apt install python3.13-venv\n", "python3.13-venv"),
        (1, "No module named pip\n", None),
        (0, "On Debian and Ubuntu: sudo apt install python3.13-venv\n", None),
    ],
)
def test_a_first_call_that_names_no_package_is_a_failure(code, said, package, monkeypatch):
    done = subprocess.CompletedProcess([], code, "", said)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    monkeypatch.setattr(fresh, "as_reader", lambda *_: [])
    if package:
        assert fresh.missing_package(Path("system")) == package
    else:
        with pytest.raises(SystemExit, match="does not name the missing package"):
            fresh.missing_package(Path("system"))
