"""Debian systems in folders, made by debootstrap and entered by chroot.

`make matrix` borrows their Pythons, and `make test-fresh` tries the first five minutes in them. A
command in such a system sees its own files and the folders that it is lent; the lending ends with
the command, so that deleting a system never touches what is outside.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tools.environment import ROOT, output

FOLDER = ROOT / "build" / "machines"
SUITES = {"bookworm": "3.11", "trixie": "3.13", "testing": "3.14"}  # Debian 12, 13, the next one
CERTIFICATES = Path("/etc/ssl/certs")
TAKEN = re.compile("PIP_.*|.*_PROXY|.*_proxy|SSL_CERT_(FILE|DIR)")  # how the network is reached

# Lends the folders named first, then runs the rest of the command inside.
ENTER = """
system=$1; user=$2; folder=$3; shift 3
while [ "$1" != -- ]; do
    if [ -d "$1" ]; then mkdir -p "$system$1"; else mkdir -p "$system${1%/*}"; : >"$system$1"; fi
    mount --bind "$1" "$system$1"; shift
done
shift
mount -t proc proc "$system/proc"
mount --rbind /dev "$system/dev"
cp /etc/resolv.conf /etc/hosts "$system/etc/"
chroot --userspec="$user" "$system" /usr/bin/env -i --chdir="$folder" "$@" || exit $?
exit 0  # not `exec` above: this shell ends with unshare, and all that runs inside ends with it
"""


def obstacle() -> str | None:
    """Why no such system can be made here, or None."""
    if shutil.which("debootstrap") is None:
        return "debootstrap is not installed"
    return None if os.geteuid() == 0 else "debootstrap needs root"


def debian(suite: str, name: str, packages: list[str]) -> Path:
    """The folder `name` with a Debian system and these packages. It is made once and then kept."""
    system = FOLDER / name
    done = system / "packages.txt"
    if done.is_file() and done.read_text("utf8").split() == packages:
        return system
    print(f"Making a Debian system ({suite}) in {system.relative_to(ROOT)}", flush=True)
    shutil.rmtree(system, ignore_errors=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    # Its own mounts end with it as well.
    command = ["unshare", "--mount", "debootstrap", "--variant=minbase"]
    command += [f"--include={','.join(packages)}", suite]
    with (FOLDER / f"{name}.log").open("w") as log:
        if subprocess.run([*command, system], stdout=log, stderr=log).returncode:
            raise SystemExit(f"debootstrap failed; see {log.name}")
    done.write_text("\n".join(packages), encoding="utf8")
    return system


def inside(
    system: Path,
    command: list,
    folder: str | Path = "/",
    user: str = "root",
    lent: list[Path] | tuple[Path, ...] = (),
    **variables: str,
) -> list[str]:
    """The command that runs `command` in this system, as this user, in this folder.

    lent: files and folders outside that are visible inside under the same path. Of the environment,
    only the settings of the network and of pip are passed on, and `variables`.
    """
    network = {name: value for name, value in os.environ.items() if TAKEN.fullmatch(name)}
    settings = pip_settings()
    values = network | settings | {"PATH": os.defpath + ":/usr/sbin:/sbin", "HOME": "/root"}
    places = [*lent, *named_paths(settings), *filter(Path.exists, [CERTIFICATES])]
    start = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", ENTER, "sh"]
    pairs = [f"{name}={value}" for name, value in (values | variables).items()]
    return list(map(str, [*start, system, user, folder, *places, "--", *pairs, *command]))


def pip_settings() -> dict[str, str]:
    """pip's configuration on this machine, from all of its files, as environment variables."""
    lines = (output([sys.executable, "-m", "pip", "config", "list"]) or "").splitlines()
    found = (re.fullmatch(r"(?:global|install|:env:)\.([\w-]+)='(.*)'", line) for line in lines)
    return {f"PIP_{m[1].upper().replace('-', '_')}": m[2] for m in found if m}


def named_paths(settings: dict[str, str]) -> list[Path]:
    """The files and folders of this machine that pip's settings name."""
    words = " ".join(settings.values()).replace("\\n", " ").split()
    # An index in a folder names files beside itself.
    paths = {Path(word.removeprefix("file://")).parent for word in words if "file:///" in word}
    paths |= {Path(word) for word in words if word.startswith("/")}
    return sorted(path for path in paths if path.exists() and CERTIFICATES not in path.parents)
