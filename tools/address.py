"""`python -m tools.address` writes the repository's public address wherever a text needs it.

The address is that of the git remote `origin`, so a new repository or a fork needs nothing but
this command; without a remote it is the one in pyproject.toml. The workflow
.github/workflows/address.yml runs it after a push. Plain Python: no package is needed.
"""

import argparse
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import helpers
from helpers.files import write_text

ROOT = Path(__file__).parents[1]
NOBODY = "OWNER"  # who owns the repository while its address is unknown
NAME = "understanding-transformers"  # the series' own name; a fork may have another
# Texts keep this block only while the repository has no address.
ONLY_WITHOUT = re.compile(r"<!-- no address yet -->\n.*?<!-- /no address yet -->\n\n?", re.DOTALL)


def repository(root: Path = ROOT) -> str:
    """The repository's address as pyproject.toml has it."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf8"))
    return project["project"]["urls"]["Repository"]


def pages(address: str | None = None) -> str:
    """Where GitHub Pages publishes the web book of the repository (by default, this one)."""
    address = address or repository()
    owner, name = address.removeprefix("https://github.com/").split("/")
    site = f"https://{owner}.github.io"
    return site if name.lower() == f"{owner}.github.io".lower() else f"{site}/{name}"


def origin(root: Path = ROOT) -> str | None:
    """What git calls the remote `origin`, or None if this folder is not a repository with one."""
    git = lambda *words: subprocess.run(
        ["git", "-C", str(root), *words], capture_output=True, text=True
    )
    try:
        top = git("rev-parse", "--show-cdup")  # empty unless this folder is inside a larger one
        remote = git("remote", "get-url", "origin")
    except OSError:  # no git here
        return None
    return None if top.returncode or top.stdout.strip() else remote.stdout.strip() or None


def address_of(remote: str) -> str:
    """The web address of a GitHub remote, however git writes it. Raises ValueError for others.

    https://github.com/A/b, ssh://git@github.com:22/A/b.git and git@github.com:A/b.git are the same.
    """
    if "://" not in remote:  # as scp writes it: host:path, or a folder of this machine
        host, colon, path = remote.partition(":")
        there = colon and "/" not in host and len(host) > 1  # and C:\\x is a folder too
        remote = f"ssh://{host}/{path}" if there else "file:///"
    parts = urlsplit(remote)
    host = (parts.hostname or "").removeprefix("www.")
    if host not in ("github.com", "ssh.github.com"):
        where = f"on {host}" if host else "a folder of this machine"
        raise ValueError(
            f"the remote origin is {where}, and the links to Colab, Binder and the web book need a "
            "repository on github.com"
        )
    path = parts.path.strip("/").removesuffix(".git")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*/[\w.-]+", path, re.ASCII):
        raise ValueError(f"the remote origin should end in owner/name, got {path!r}")
    return f"https://github.com/{path}"


def wanted_address(root: Path = ROOT) -> tuple[str, str]:
    """(the address to write, a remark or ""). Raises ValueError if it cannot be found out."""
    known, remote = repository(root), origin(root)
    try:
        if remote is not None:
            return address_of(remote), ""
        reason = "this folder is not a git repository with a remote called origin"
    except ValueError as error:
        reason = str(error)
    if f"/{NOBODY}/" not in known:
        try:
            return address_of(known), f"{reason}; keeping the address in pyproject.toml, {known}"
        except ValueError:
            reason += f", and the address in pyproject.toml, {known}, is not one on github.com"
    raise ValueError(
        f"{reason}. Push the repository to GitHub and run this again, or write its address into "
        "pyproject.toml, under [project.urls]."
    )


def branch() -> str:
    """Where links to files of the repository lead: to the tag of a release, else to main."""
    return "main" if "dev" in helpers.__version__ else f"v{helpers.__version__}"


def with_address(text: str, address: str, before: Iterable[str] = ()) -> str:
    """The text with every address of this repository made current, whatever service it names.

    An address of ours has the series' name under any owner, or is one of `before`. Links that name
    a branch or a release get the present one.
    """
    owner, name = address.removeprefix("https://github.com/").split("/")
    ours = [rf"[A-Za-z0-9][\w-]*(?:/|%2F){NAME}"]
    for old in before:
        old_owner, old_name = map(re.escape, old.removeprefix("https://github.com/").split("/"))
        ours.append(f"{old_owner}(?:/|%2F){old_name}")
    slug = f"(?:{'|'.join(ours)})"
    end = r"(?![\w-]|\.(?!git\b)\w)"  # neither a longer name nor one with a dot

    def current(found: re.Match) -> str:
        slash = "%2F" if "%2F" in found["slug"] else "/"
        version = f"{found['folder']}{branch()}" if found["branch"] else ""
        return f"{found['host']}{owner}{slash}{name}{found['git']}{version}"

    text = re.sub(
        r"(?P<host>github\.com(?:/|%2F|:)|/github/|/gh/|codespaces(?:\.new|/new)/)"
        rf"(?P<slug>{slug})(?P<git>(?:\.git)?){end}"
        r"(?:(?P<folder>/(?:blob/|raw/|tree/)?)(?P<branch>main|v\d[\w.]*)(?![\w.-]))?",
        current,
        text,
    )
    sites = [rf"https://[\w-]+\.github\.io/{NAME}", *(re.escape(pages(old)) for old in before)]
    text = re.sub(f"(?:{'|'.join(sites)}){end}", pages(address), text)
    # The folder that git or a hub makes of the repository has its name.
    text = re.sub(r"(git clone https://github\.com/\S+\ncd )[\w.-]+", rf"\g<1>{name}", text)
    text = re.sub(r"(lab%2Ftree%2F)[\w.-]+(?=%2Fnotebooks%2F)", rf"\g<1>{name}", text)
    return text if owner == NOBODY else ONLY_WITHOUT.sub("", text)


def address_files(root: Path = ROOT) -> list[Path]:
    """Every file that names the address; pyproject.toml comes last, because it has the old one."""
    patterns = ("README.md", "CITATION.cff", "tools/setup_cell.py", "docs/*.md", "course/*.md")
    patterns += (
        "course/slides/*.md",
        "notebooks/*.ipynb",
        "course/source/*/*.ipynb",
        "pyproject.toml",
    )
    return [path for pattern in patterns for path in sorted(root.glob(pattern))]


def write_address(root: Path = ROOT) -> None:
    """Make every address current, in all files or in none; print which files changed."""
    try:
        address, remark = wanted_address(root)
    except ValueError as error:
        sys.exit(f"The address is not known: {error}")
    if remark:
        print(remark)
    changed, before = {}, []
    with suppress(ValueError):  # one that is not on GitHub is in no link
        before.append(address_of(repository(root)))
    for path in address_files(root):
        text = path.read_bytes().decode("utf8")
        if text != (new := with_address(text, address, before)):
            changed[path] = new
    for path, text in changed.items():
        try:
            write_text(path, text)
        except OSError as error:
            sys.exit(f"{error}. Run this again when that is fixed; it goes on where it stopped.")
        print(f"{path.relative_to(root).as_posix()}: {address}")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()  # no options but --help
    write_address()
