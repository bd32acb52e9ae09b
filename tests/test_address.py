"""Whatever the remote looks like, every link leads to it; or nothing is written, with a reason.

Each case is a real git repository with the project's own texts in it.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import helpers
from tools import address
from tools.notebooks import ROOT

GITHUB = "https://github.com/"
SERIES = f"{GITHUB}OWNER/understanding-transformers"


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", folder, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def clone(tmp_path):
    """clone(remote, address) -> a repository with our texts, as they are at that address."""

    def make(remote: str | None, known: str = SERIES) -> Path:
        folder = tmp_path / "a clone"
        for path in address.address_files():
            copy = folder / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            text = path.read_text(encoding="utf8")
            copy.write_text(address.with_address(text, known, [address.repository()]), "utf8")
        readme = folder / "README.md"
        readme.write_text(with_note(readme.read_text("utf8")) if "OWNER" in known else "x", "utf8")
        git(tmp_path, "init", "-q", folder)
        if remote is not None:
            git(folder, "remote", "add", "origin", remote)
        return folder

    return make


def with_note(text: str) -> str:
    """A README as it is while there is no address, also where ours has one by now."""
    note = "<!-- no address yet -->\nClone it.\n<!-- /no address yet -->\n\n"
    return text if "<!-- no address yet -->" in text else note + text


def texts(folder: Path) -> dict[str, bytes]:
    files = address.address_files(folder)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize(
    ("remote", "wanted"),
    [
        ("https://github.com/ada/understanding-transformers", "ada/understanding-transformers"),
        ("https://github.com/ada/understanding-transformers.git", "ada/understanding-transformers"),
        ("https://github.com/ada/understanding-transformers/", "ada/understanding-transformers"),
        ("https://ada:token@github.com/ada/x.git", "ada/x"),
        ("http://www.github.com:80/ada/x", "ada/x"),
        ("https://GitHub.com:443/Ada-L/NLP.course_2.git", "Ada-L/NLP.course_2"),
        ("git@github.com:ada/understanding-transformers.git", "ada/understanding-transformers"),
        ("git@github.com:/ada/x", "ada/x"),
        ("github.com:ada/x.y.git", "ada/x.y"),
        ("ssh://git@github.com/ada/x.git", "ada/x"),
        ("ssh://git@github.com:22/ada/x.git", "ada/x"),
        ("ssh://git@ssh.github.com:443/ada/x.git", "ada/x"),
        ("git://github.com/ada/x.git", "ada/x"),
        ("git+ssh://git@github.com/ada/x", "ada/x"),
    ],
)
def test_a_remote_is_understood_however_git_writes_it(tmp_path, remote, wanted):
    git(tmp_path, "init", "-q")
    git(tmp_path, "remote", "add", "origin", remote)
    assert address.address_of(address.origin(tmp_path)) == GITHUB + wanted


@pytest.mark.parametrize(
    ("remote", "said"),
    [
        ("https://github.example.edu/ada/x.git", "on github.example.edu"),
        ("git@gitlab.com:ada/x.git", "on gitlab.com"),
        ("git@work:ada/x.git", "on work"),
        ("https://github.com.evil.org/ada/x", "on github.com.evil.org"),
        ("/srv/git/x.git", "a folder of this machine"),
        ("../x", "a folder of this machine"),
        ("C:\\git\\x", "a folder of this machine"),
        ("file:///srv/github.com/ada/x", "a folder of this machine"),
        ("https://github.com/ada", "should end in owner/name, got 'ada'"),
        ("https://github.com/ada/x/tree/main", "should end in owner/name"),
        ("https://github.com/a b/x", "should end in owner/name"),
    ],
)
def test_a_remote_elsewhere_is_named(remote, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        address.address_of(remote)


@pytest.mark.parametrize(
    ("remote", "slug"),
    [
        ("https://github.com/ada/understanding-transformers.git", "ada/understanding-transformers"),
        ("git@github.com:Ada-L/nlp.course.git", "Ada-L/nlp.course"),
        ("ssh://git@github.com:22/ada/ada.github.io", "ada/ada.github.io"),
    ],
)
def test_a_new_repository_gets_its_address_everywhere(clone, remote, slug):
    folder = clone(remote)
    before = texts(folder)
    address.write_address(folder)
    owner, name = slug.split("/")
    site = f"https://{owner}.github.io" + ("" if name == "ada.github.io" else f"/{name}")
    for file, text in texts(folder).items():
        text = text.decode("utf8")
        assert "OWNER/understanding" not in text and "OWNER%2F" not in text, file
        assert "OWNER.github.io" not in text, file
        assert slug in text or SERIES.encode() not in before[file], file
    readme = (folder / "README.md").read_text("utf8")
    assert f"]({site}/live.html)" in readme and "no address yet" not in readme
    assert f"git clone {GITHUB}{slug}\ncd {name}\n" in readme
    assert f"colab.research.google.com/github/{slug}/blob/{address.branch()}/notebooks/00" in readme
    hub = (folder / "course" / "jupyterhub.md").read_text("utf8")
    assert f"mybinder.org/v2/gh/{slug}/{address.branch()}?" in hub
    assert f"repo=https%3A%2F%2Fgithub.com%2F{owner}%2F{name}&" in hub
    assert f"lab%2Ftree%2F{name}%2Fnotebooks" in hub
    cell = (folder / "tools" / "setup_cell.py").read_text("utf8")
    assert f'"{GITHUB}{slug}"' in cell and '"/OWNER/" not in ADDRESS' in cell
    for path in folder.glob("notebooks/*.ipynb"):
        json.loads(path.read_text("utf8"))
    after = texts(folder)
    address.write_address(folder)
    assert texts(folder) == after  # a second time there is nothing to do


def test_a_fork_of_a_fork_moves_on_and_takes_merged_lines_along(clone):
    folder = clone("git@github.com:eve/nlp-2027.git", f"{GITHUB}bob/nlp.course")
    merged = folder / "docs" / "index.md"  # lines that came from upstream since
    merged.write_text(
        f"{SERIES} {GITHUB}bob/nlp.course/blob/main/x https://bob.github.io/nlp.course/"
    )
    address.write_address(folder)
    eve = f"{GITHUB}eve/nlp-2027"
    assert merged.read_text() == (
        f"{eve} {eve}/blob/{address.branch()}/x https://eve.github.io/nlp-2027/"
    )
    assert address.repository(folder) == eve
    assert not [file for file, text in texts(folder).items() if b"bob/" in text]


def test_other_addresses_stay_as_they_are():
    text = (
        "https://github.com/multi30k/dataset/main https://github.com/ada/x-y https://ada.github.io "
    )
    text += (
        "https://github.com/ada/x.css understanding-transformers /srv/understanding-transformers "
    )
    text += "https://github.com/ada/my-understanding-transformers a/understanding-transformers"
    assert address.with_address(text, f"{GITHUB}ada/x", [f"{GITHUB}ada/x"]) == text


def test_links_of_every_service_are_written():
    before = """
    git+https://github.com/OWNER/understanding-transformers@main
    git@github.com:o/understanding-transformers.git
    https://codespaces.new/OWNER/understanding-transformers?quickstart=1
    https://github.com/codespaces/new/OWNER/understanding-transformers
    https://kaggle.com/kernels/welcome?src=https://github.com/OWNER/understanding-transformers/blob/main/notebooks/00.ipynb
    https://mybinder.org/v2/gh/OWNER/understanding-transformers/v0.1.0?urlpath=lab
    """
    after = address.with_address(before, f"{GITHUB}ada/x")
    assert after.count("ada/x") == 6 and "understanding" not in after
    assert f"blob/{address.branch()}/notebooks" in after and f"ada/x/{address.branch()}?" in after


def test_releases_lead_to_their_tag_and_everything_else_to_main(monkeypatch):
    link = f"{SERIES}/blob/main/notebooks/x"
    monkeypatch.setattr(helpers, "__version__", "0.3.0")
    released = address.with_address(link, SERIES)
    assert released == f"{SERIES}/blob/v0.3.0/notebooks/x"
    monkeypatch.setattr(helpers, "__version__", "0.4.0.dev0")
    assert address.with_address(released, SERIES) == link


@pytest.mark.parametrize("remote", [None, "https://gitlab.com/ada/x.git", "/srv/git/x"])
def test_without_an_address_nothing_is_written_and_one_is_told(clone, remote):
    folder = clone(remote)
    before = texts(folder)
    with pytest.raises(SystemExit, match=r"^The address is not known: .*pyproject\.toml"):
        address.write_address(folder)
    assert texts(folder) == before


@pytest.mark.parametrize("known", ["https://gitlab.com/ada/x", "https://example.org"])
def test_an_address_that_is_not_on_github_is_named(clone, known):
    folder = clone(None, f"{GITHUB}ada/x")
    project = folder / "pyproject.toml"
    project.write_text(project.read_text("utf8").replace(f"{GITHUB}ada/x", known), "utf8")
    before = texts(folder)
    with pytest.raises(SystemExit, match="is not one on github.com"):
        address.write_address(folder)
    assert texts(folder) == before


@pytest.mark.parametrize("remote", [None, "https://gitlab.com/ada/x.git"])
def test_a_known_address_is_kept_where_the_remote_says_nothing(clone, remote, capsys):
    folder = clone(remote, f"{GITHUB}ada/x")
    cell = folder / "tools" / "setup_cell.py"
    cell.write_text(cell.read_text("utf8").replace(f"{GITHUB}ada/x", SERIES), "utf8")
    address.write_address(folder)
    assert f'"{GITHUB}ada/x"' in cell.read_text("utf8")
    assert "keeping the address in pyproject.toml" in capsys.readouterr().out


def test_a_copy_inside_another_repository_does_not_take_its_address(clone):
    folder = clone(None)
    shutil.rmtree(folder / ".git")
    git(folder.parent, "init", "-q")
    git(folder.parent, "remote", "add", "origin", f"{GITHUB}ada/dotfiles")
    assert address.origin(folder) is None


def test_a_failure_half_way_is_made_good_by_the_next_run(clone, monkeypatch):
    folder = clone(f"{GITHUB}ada/x")
    write, left = address.write_text, [3]

    def full_disk(path, text):
        left[0] -= 1
        if left[0] < 0:
            raise OSError("No space left on device")
        write(path, text)

    monkeypatch.setattr(address, "write_text", full_disk)
    with pytest.raises(SystemExit, match="No space left"):
        address.write_address(folder)
    assert address.repository(folder) == SERIES  # so the next run knows what to look for
    monkeypatch.setattr(address, "write_text", write)
    address.write_address(folder)
    assert not [file for file, text in texts(folder).items() if b"OWNER/understanding" in text]


def test_our_own_texts_agree():
    for path in address.address_files():
        text = path.read_text(encoding="utf8")
        assert text == address.with_address(text, address.repository()), (
            f"{path.name}: make address"
        )


def test_no_file_names_the_address_behind_our_back():
    """Outside the files that are kept in step, only tests and this tool may name the repository."""
    listed = set(address.address_files())
    slug = address.repository().removeprefix(GITHUB)
    for name in git(ROOT, "ls-files").splitlines():
        path = ROOT / name
        if path.is_file() and path not in listed and not name.startswith("tests/"):
            assert slug.encode() not in path.read_bytes(), name


# ---- The workflow ------------------------------------------------------------------------------


def workflow() -> dict:
    path = ROOT / ".github" / "workflows" / "address.yml"
    return yaml.load(path.read_text(encoding="utf8"), yaml.BaseLoader)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="the workflow runs in bash, on Linux")
def test_the_workflow_commits_once_and_then_has_nothing_to_do(tmp_path):
    """Its own commands in a clone of this repository whose remote is a teacher's fork."""
    git(tmp_path, "clone", "-q", ROOT, "work")
    work, hub = tmp_path / "work", tmp_path / "hub.git"
    for path in [
        *address.address_files(),
        ROOT / "tools" / "address.py",
        ROOT / "helpers/__init__.py",
    ]:
        shutil.copy(path, work / path.relative_to(ROOT))  # as they are here, committed or not
    git(work, "add", "--all")
    git(work, "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qam", "x", "--allow-empty")
    git(tmp_path, "clone", "-q", "--bare", work, hub)
    git(work, "remote", "set-url", "origin", f"{GITHUB}teacher/nlp.course")
    git(work, "config", f"url.{hub}.insteadOf", "nowhere")
    git(work, "remote", "set-url", "--push", "origin", str(hub))
    (job,) = workflow()["jobs"].values()
    commands = [step["run"] for step in job["steps"] if "run" in step]
    script = (
        "\n".join(commands)
        .replace("gh workflow run", "echo dispatched")
        .replace("python -m", f"{sys.executable} -m")
    )
    said = []
    for _ in range(2):
        run = subprocess.run(["bash", "-e", "-c", script], cwd=work, capture_output=True, text=True)
        assert run.returncode == 0, run.stdout + run.stderr
        said.append(run.stdout)
    branch = git(work, "branch", "--show-current")
    assert git(hub, "rev-parse", branch) == git(work, "rev-parse", "HEAD")
    assert git(work, "rev-list", "--count", "HEAD") == str(
        int(git(work, "rev-list", "--count", "HEAD~1")) + 1
    )
    assert address.repository(work) == f"{GITHUB}teacher/nlp.course"
    assert git(work, "status", "--short") == ""
    assert "dispatched" in said[0] and "dispatched" not in said[1]


def test_the_workflow_may_write_and_cannot_call_itself():
    described = workflow()
    assert described["permissions"]["contents"] == "write"
    assert described["on"] == {"push": {"branches": ["main"]}}
    text = (ROOT / ".github" / "workflows" / "address.yml").read_text(encoding="utf8")
    assert "secrets." not in text  # a push with the job's own token starts no workflow
