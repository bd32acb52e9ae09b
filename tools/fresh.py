"""`make test-fresh`: the README's first command on fresh Debian systems, measured.

Each has Python and make, but no compiler, no git, no pip and no venv module. An ordinary user,
whose home folder is read-only, has the project in a folder with a space and an umlaut. `make lab`
has to name the missing package. Once that is installed, it has to open JupyterLab, a kernel has to
start for notebook 00, and `make run NOTEBOOK=00` has to run it. A table says what that took.
"""

import argparse
import json
import re
import shutil
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

from tools.environment import MEGABYTES, READER, ROOT, TORCH, output
from tools.machines import FOLDER, SUITES, debian, inside, obstacle

PACKAGES = ["ca-certificates", "make", "python3"]
USER = "1000:1000"
HOME = Path("/home/reader")
PROJECT = HOME / "Meine Übungen" / "understanding-transformers"
TOKEN = "fresh"
GOAL = {"MB downloaded": 700, "MB on disk": 2000}  # without CUDA


def copy_project(target: Path) -> None:
    """Copy what a clone would have, plus the changes that are not committed yet."""
    listed = ["git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    for name in (output(listed) or "").split("\0"):
        if name and (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def furnish(suite: str) -> Path:
    """A fresh copy of this Debian with the reader's home and the project in it."""
    system = FOLDER / f"{suite}-fresh"
    shutil.rmtree(system, ignore_errors=True)
    subprocess.run(["cp", "-a", debian(suite, suite, PACKAGES), system], check=True)
    copy_project(system / PROJECT.relative_to("/"))
    with (system / "etc" / "passwd").open("a") as users:
        users.write(f"reader:x:{USER}::{HOME}:/bin/sh\n")
    home = system / HOME.relative_to("/")
    subprocess.run(["chown", "-R", USER, system / PROJECT.parent.relative_to("/")], check=True)
    home.chmod(0o555)  # it belongs to root
    return system


def as_reader(system: Path, *command: str, **variables: str) -> list[str]:
    return inside(system, [*command], PROJECT, USER, HOME=str(HOME), **variables)


def missing_package(system: Path) -> str:
    """The package that `make lab` asks for where Python cannot make environments."""
    done = subprocess.run(as_reader(system, "make", "lab"), capture_output=True, text=True)
    asked = re.search(r"sudo apt install (python3\.\d+-venv)$", done.stderr, re.MULTILINE)
    if done.returncode == 0 or asked is None:
        raise SystemExit(f"`make lab` does not name the missing package:\n{done.stderr}")
    return asked[1]


def free_port() -> int:
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))
        return some.getsockname()[1]


def ask(port: int, path: str, body: dict | None = None) -> dict:
    """What Jupyter's server answers."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/{path}", data, {"Authorization": f"token {TOKEN}"}
    )
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.load(reply)


def time_lab(system: Path, log: Path) -> float:
    """Seconds from `make lab` until JupyterLab answers and has a kernel for notebook 00."""
    port = free_port()
    notes = {"PIP_LOG": f"{PROJECT}/pip.log", "JUPYTER_PORT": str(port), "JUPYTER_TOKEN": TOKEN}
    notebook = {"path": "notebooks/00_start_here.ipynb", "type": "notebook", "name": ""}
    started = time.monotonic()
    with log.open("w", encoding="utf8") as file:
        lab = subprocess.Popen(as_reader(system, "make", "lab", **notes), stdout=file, stderr=file)
    try:
        while True:
            try:
                ask(port, "status")
                break
            except OSError:  # not there yet
                time.sleep(1)
            if lab.poll() is not None:
                raise SystemExit(f"`make lab` ended with {lab.returncode}; see {log}")
        kernel = ask(port, "sessions", notebook | {"kernel": {"name": "python3"}})["kernel"]
        ask(port, f"kernels/{kernel['id']}")
        return time.monotonic() - started
    finally:
        lab.kill()  # and with it all that it started
        lab.wait()


def downloads(log: str) -> dict[str, float]:
    """{name: MB} of what pip's log says it has downloaded, or taken from this machine's disk."""
    units = {"bytes": 1e-6, "kB": 1e-3, "MB": 1, "GB": 1e3}
    found: dict[str, float] = {}
    for name, size, unit in re.findall(r"Downloading (\S+) \(([\d.]+) (\w+)\)", log):
        found[Path(name).name] = float(size) * units[unit]
    for place in re.findall(r"Processing (/\S+\.whl)", log):
        if Path(place).is_file():
            found[Path(place).name] = Path(place).stat().st_size / 1e6
    return found


def torch_and_cuda(sizes: dict[str, float]) -> float:
    """The MB of these that are torch and what its CUDA build brings along."""
    return sum(mb for name, mb in sizes.items() if re.match("torch-|nvidia|cuda|triton", name))


def disk(folder: Path) -> float:
    """The MB that a folder takes up."""
    return int(output(["du", "--summarize", "--block-size=1", folder]).split()[0]) / 1e6


def try_suite(suite: str) -> list[str]:
    """One row of the table."""
    system = furnish(suite)
    package = missing_package(system)
    quiet = dict(stdout=subprocess.DEVNULL, check=True)
    # A mirror that lags behind is good enough for a system that is thrown away.
    apt = ["apt-get", "--quiet", "--option=Acquire::Check-Valid-Until=false"]
    install = [*apt, "install", "--yes", "--no-install-recommends", package]
    subprocess.run(inside(system, [*apt, "update"]), **quiet)
    subprocess.run(inside(system, install, DEBIAN_FRONTEND="noninteractive"), **quiet)
    seconds = time_lab(system, FOLDER / f"{suite}-lab.log")
    started = time.monotonic()
    subprocess.run(as_reader(system, "make", "run", "NOTEBOOK=00"), **quiet)
    run = time.monotonic() - started
    project = system / PROJECT.relative_to("/")
    sizes = downloads((project / "pip.log").read_text(encoding="utf8", errors="replace"))
    venv = project / ".venv"
    cuda = any(name.startswith("nvidia") for name in sizes)
    total, megabytes = sum(sizes.values()), disk(venv)
    python = output(["readlink", system / "usr/bin/python3"])
    check_announcement(total, megabytes, "cuda" if cuda else "cpu")
    shutil.rmtree(system)
    figures = [
        f"{seconds / 60:.1f}",
        f"{run:.0f} s",
        f"{total:.0f}",
        f"{torch_and_cuda(sizes):.0f}",
    ]
    return [suite, python, "CUDA" if cuda else "CPU", *figures, f"{megabytes:.0f}"]


def check_announcement(download: float, on_disk: float, build: str) -> None:
    """Check that what `make lab` announced is right to within a quarter."""
    for kind, measured, parts in zip(
        GOAL, (download, on_disk), zip(MEGABYTES[READER], TORCH[build], strict=True), strict=True
    ):
        announced = sum(parts)
        if not 0.8 < measured / announced < 1.25:
            print(f"  {kind}: {announced} announced, {measured:.0f} measured: see MEGABYTES")
        if build == "cpu" and measured > GOAL[kind]:
            print(f"  {kind}: {measured:.0f}, but the goal is {GOAL[kind]}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("suites", nargs="*", default=[*SUITES], help="bookworm trixie testing")
    arguments = parser.parse_args()
    if reason := obstacle():
        raise SystemExit(f"This needs Linux, root and debootstrap: {reason}.")
    header = ["Debian", "Python", "torch", "minutes to JupyterLab", "notebook 00", "MB downloaded"]
    header += ["of that torch and CUDA", "MB on disk"]
    rows = [header, ["---"] * len(header)]
    for suite in arguments.suites:
        print(f"{suite} …", flush=True)
        try:
            rows.append(try_suite(suite))
        except subprocess.CalledProcessError as error:
            raise SystemExit(f"{' '.join(error.cmd[-4:])} failed; see above") from None
        print("\n".join("| " + " | ".join(row) + " |" for row in rows), flush=True)


if __name__ == "__main__":
    main()
