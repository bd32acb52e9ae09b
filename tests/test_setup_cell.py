"""The set-up cell checks before it acts, and says in one sentence what is wrong.

Each case is the cell itself in a process of its own, most of them in a real kernel, with an
environment that lacks what the case is about.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import helpers
from helpers import notebook_setup
from tests.support import served
from tools import colab
from tools.address import NOBODY
from tools.notebooks import ROOT, paths, read, setup_source

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="Windows links files for administrators only"),
]

OFFLINE = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
SERIES = re.search(r'"(https://[^"]*)"', setup_source())[1]
# The packages of the environment that runs the tests, without its own copy of the helpers.
LIBRARIES = Path(nbformat.__file__).parents[1]


@pytest.fixture(scope="module")
def bare(tmp_path_factory) -> Path:
    """A Python with nothing in it: no torch, no numpy, no helpers."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False, symlinks=True)
    return folder / "bin" / "python"


def site_packages(python: Path) -> Path:
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    return Path(subprocess.run([python, "-c", ask], capture_output=True, text=True).stdout.strip())


@pytest.fixture
def able(tmp_path) -> Path:
    """A fresh Python that sees the libraries of this one (torch, numpy, …) but no helpers."""
    folder = tmp_path / "able"
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    link_libraries(site_packages(python))
    return python


def link_libraries(folder: Path, *hidden: str) -> None:
    """The libraries of this Python, one by one: a path file would bring our own helpers along."""
    for entry in LIBRARIES.iterdir():
        if (
            entry.suffix != ".pth"
            and entry.name not in hidden
            and "understanding" not in entry.name
        ):
            (folder / entry.name).symlink_to(entry)


def environment(**extra: str) -> dict[str, str]:
    """This process's variables, without what would let a child find this checkout."""
    hidden = ("PYTHONPATH", "VIRTUAL_ENV")
    return {k: v for k, v in os.environ.items() if k not in hidden} | extra


def in_kernel(
    python: Path, folder: Path, *sources: str, **extra: str
) -> list[nbformat.NotebookNode]:
    """Run cells in a kernel of this Python in this folder; the cells, whatever went wrong."""
    scratch = Path(tempfile.mkdtemp(prefix="set-up-cell-"))
    kernels = scratch / "kernels" / "ours"
    kernels.mkdir(parents=True)
    command = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": command, "display_name": "ours", "language": "python"}
    (kernels / "kernel.json").write_text(json.dumps(spec))
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    notebook = nbformat.v4.new_notebook(cells=cells)
    os.environ["JUPYTER_PATH"] = str(scratch)
    try:
        client = NotebookClient(
            notebook,
            timeout=120,
            kernel_name="ours",
            allow_errors=True,
            resources={"metadata": {"path": str(folder)}},
        )
        client.execute(env=environment(IPYTHONDIR=str(scratch), **extra))
    finally:
        del os.environ["JUPYTER_PATH"]
        shutil.rmtree(scratch, ignore_errors=True)
    return notebook.cells


def sentence(cell) -> str:
    """What a reader sees of a cell that stopped: two sentences, no traceback."""
    (output,) = [o for o in cell.outputs if o.output_type == "error"]
    text = "\n".join(output.traceback)
    assert "\n" not in text and "\x1b" not in text and "Traceback" not in text, text
    assert len(re.findall(r"[.?!](?= [A-Z]|$)", text)) == 2, text  # what is wrong, what to do
    return text


def installed(python: Path) -> list[str]:
    return sorted(entry.name for entry in site_packages(python).iterdir())


@pytest.fixture
def empty(tmp_path) -> Path:
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder


@pytest.fixture
def published(tmp_path):
    """(a folder with what the repository publishes, its address, publish), served on this machine.

    publish(name, version) packs the folder as the archive of a branch or tag, as GitHub does.
    """
    source, site = tmp_path / "published", tmp_path / "site"
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "helpers", source / "helpers", ignore=ignore)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)

    def publish(name: str, version: str) -> None:
        version_in(source, version)
        archives = site / "ada" / "x" / "archive"
        archives.mkdir(parents=True, exist_ok=True)
        shutil.make_archive(str(archives / name), "zip", tmp_path, "published")

    with served(site) as address:
        yield f"{address}/ada/x", publish


def version_in(folder: Path, version: str) -> None:
    path = folder / "helpers" / "__init__.py"
    text = re.sub(r'__version__ = ".*"', f'__version__ = "{version}"', path.read_text("utf8"))
    path.write_text(text, "utf8")


def cell_of(version: str, address: str = "https://github.com/ada/x") -> str:
    """The set-up cell as a notebook of that version and address has it."""
    return (
        setup_source().replace(SERIES, address).replace(f'"{helpers.__version__}"', f'"{version}"')
    )


# ---- Where all is well -------------------------------------------------------------------------


def test_in_a_checkout_it_finds_the_helpers_and_installs_nothing(able):
    before = installed(able)
    ask = "import helpers; print(helpers.__file__)"
    setup, where = in_kernel(able, ROOT / "notebooks", setup_source(), ask, **OFFLINE)
    (output,) = setup.outputs
    assert re.fullmatch(r"Python 3\.\d+\.\d+\S*, torch \S+, numpy \S+\n", output.text)
    assert where.outputs[0].text.strip() == str(ROOT / "helpers" / "__init__.py")
    assert installed(able) == before


def test_it_can_be_run_twice_and_ours_come_before_a_helpers_beside_the_notebook(able, tmp_path):
    folder = tmp_path / "a folder, schön" / "notebooks"
    shutil.copytree(ROOT / "helpers", folder.parent / "helpers")
    folder.mkdir()
    (folder / "helpers.py").write_text("raise SystemExit('their code must not run')")
    for cell in in_kernel(able, folder, setup_source(), setup_source()):
        (output,) = cell.outputs
        assert "torch" in output.text


# ---- The wrong kernel --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def for_a_kernel(tmp_path_factory) -> dict[str, str]:
    """What lets `bare` start a kernel: every library of this environment but torch and numpy."""
    folder = tmp_path_factory.mktemp("libraries")
    link_libraries(folder, "torch", "numpy")
    return {"PYTHONPATH": str(folder)}


@pytest.mark.parametrize("folder", ["a checkout", "an empty folder"])
def test_a_kernel_without_torch_is_named_and_left_alone(bare, for_a_kernel, empty, folder):
    before = installed(bare)
    where = ROOT / "notebooks" if folder == "a checkout" else empty
    (cell,) = in_kernel(bare, where, cell_of("0.2.0"), **for_a_kernel)
    text = sentence(cell)
    assert text.startswith(f"{bare} cannot run this (No module named ")
    assert "menu Kernel" in text and "VS Code" in text and ".venv" in text
    assert installed(bare) == before


def test_a_broken_torch_is_told_with_its_reason(bare, for_a_kernel, empty):
    broken = empty.parent / "broken"
    (broken / "numpy").mkdir(parents=True)
    (broken / "numpy" / "__init__.py").write_text("")
    (broken / "torch.py").write_text("raise OSError('libtorch_cpu.so: cannot open shared object')")
    both = os.pathsep.join([str(broken), for_a_kernel["PYTHONPATH"]])
    (cell,) = in_kernel(bare, empty, setup_source(), PYTHONPATH=both)
    assert "(libtorch_cpu.so: cannot open shared object)" in sentence(cell)


def test_the_edition_that_carries_its_helpers_says_the_same(bare, for_a_kernel, empty):
    notebook = colab.standalone(read(paths("01_")[0]))
    source = next(c.source for c in notebook.cells if c.source.startswith("# @title"))
    (cell,) = in_kernel(bare, empty, source, **for_a_kernel)
    assert sentence(cell).startswith(f"{bare} cannot run this (")


# ---- Somebody else's helpers -------------------------------------------------------------------


def test_another_helpers_is_named_with_its_path_and_does_not_run(able, empty):
    home, body = site_packages(able), "raise SystemExit('their code must not run')"
    theirs = [  # (the file, the path to be named)
        (empty / "helpers.py", empty / "helpers.py"),
        (empty / "helpers" / "__init__.py", empty / "helpers" / "__init__.py"),
        (empty / "helpers" / "mine.py", empty / "helpers"),
        (home / "helpers.py", home / "helpers.py"),
        (home / "helpers" / "__init__.py", home / "helpers" / "__init__.py"),
    ]
    cells = []
    for file, _ in theirs:
        make = f"import pathlib; file = pathlib.Path({str(file)!r})\n"
        make += f"file.parent.mkdir(exist_ok=True); file.write_text({body!r})\n"
        if file.name == "__init__.py":  # as a version of ours from before there were numbers
            make += "file.with_name('attention.py').write_text('')\n"
        make += "import importlib; importlib.invalidate_caches()"
        cells += [make, cell_of("0.2.0"), "file.unlink()"]
    done = in_kernel(able, empty, *cells, **OFFLINE)
    for (_, named), cell in zip(theirs, done[1::3], strict=True):
        assert sentence(cell).startswith(f"{named} hides our helpers. Move or update it")


def test_another_helpers_that_is_already_imported_is_named(able, tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "helpers.py").write_text("")
    before = f"import sys; sys.path.insert(0, {str(tmp_path / 'theirs')!r}); import helpers"
    _, cell = in_kernel(able, ROOT / "notebooks", before, setup_source())
    text = sentence(cell)
    assert str(tmp_path / "theirs" / "helpers.py") in text and "restart the kernel" in text


# ---- Fetching ----------------------------------------------------------------------------------


ASK = "import helpers; print(helpers.__version__, helpers.__file__)"


# pip reads this as "no isolation": nothing else is fetched to build the archive.
TO_FETCH = {**OFFLINE, "no_proxy": "127.0.0.1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_RETRIES": "0"}


def test_a_released_notebook_fetches_the_helpers_of_its_own_version(able, empty, published):
    address, publish = published
    publish("v0.2.0", "0.2.0")
    publish("main", "0.3.0.dev0")
    before = installed(able)
    setup, where = in_kernel(able, empty, cell_of("0.2.0", address), ASK, **TO_FETCH)
    assert [o.output_type for o in setup.outputs] == ["stream"], setup.outputs
    assert re.fullmatch(r"Python \S+, torch \S+, numpy \S+\n", setup.outputs[0].text)
    version, path = where.outputs[0].text.split()
    assert version == "0.2.0" and Path(path).is_relative_to(site_packages(able))
    new = {name for name in installed(able) if name not in before}
    assert new == {"helpers", "understanding_transformers-0.2.0.dist-info"}


def test_a_notebook_of_main_fetches_main_and_says_if_main_has_moved_on(able, empty, published):
    address, publish = published
    publish("main", "0.3.0.dev0")
    setup, where = in_kernel(able, empty, cell_of("0.2.0.dev0", address), ASK, **TO_FETCH)
    said = setup.outputs[0].text.splitlines()
    assert said[0].startswith("This notebook is version 0.2.0.dev0, but the helpers in ")
    assert said[0].endswith(
        "are version 0.3.0.dev0. Use a notebook and helpers from the same download."
    )
    assert where.outputs[0].text.startswith("0.3.0.dev0 ")


def test_what_stands_in_the_way_is_told(able, empty, published):
    """No such version, no network, nothing to write to, no pip, no address: in one kernel."""
    address, publish = published
    publish("main", "0.2.0.dev0")
    (empty.parent / "file").write_text("")
    below_a_file = str(empty.parent / "file" / "below")  # where not even root can write
    nobody = f"https://github.com/{NOBODY}/understanding-transformers"
    cases = [  # (what is done before, the cell, what it says)
        ("", cell_of("9.9.9", address), "HTTP error 404"),
        ("", cell_of("9.9.9", "https://github.com/ada/y"), "(ERROR: Could not install"),
        (
            f"os.environ['PIP_TARGET'] = {below_a_file!r}",
            cell_of("0.2.0.dev0", address),
            "[Errno 20]",
        ),
        (f"os.unlink({str(site_packages(able) / 'pip')!r})", cell_of("1.0"), "No module named pip"),
        ("subprocess.run = None", cell_of("1.0", nobody), "(an address to be filled in)"),
    ]
    cells = [source for before, cell, _ in cases for source in (before or "import os", cell)]
    done = in_kernel(able, empty, *cells, **TO_FETCH)
    for (_, cell, said), answer in zip(cases, done[1::2], strict=True):
        text, address = sentence(answer), re.search(r'"(https?://[^"]*)"', cell)[1]
        assert said in text and text.startswith(f"No helpers here, nor at {address} (")
        assert text.endswith("Is there a network?")


# ---- The second half ---------------------------------------------------------------------------


@pytest.mark.parametrize("seen", [True, False])
def test_only_what_is_missing_is_installed_and_never_torch(seen, monkeypatch, capsys):
    """And where pip installs into a folder that this kernel did not know, that is said."""
    commands = []
    real = notebook_setup.find_spec
    hide = lambda name: None if name == "sacrebleu" and not (commands and seen) else real(name)
    monkeypatch.setattr(notebook_setup, "find_spec", hide)
    done = subprocess.CompletedProcess([], 0, "", "")
    monkeypatch.setattr(subprocess, "run", lambda command, **_: commands.append(command) or done)
    notebook_setup.start(helpers.__version__, 0)
    (command,) = commands
    assert command[-1] == "sacrebleu" and not {"torch", "numpy", "tokenizers"} & set(command)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"Installing sacrebleu into {sys.executable} …"
    assert ["restart the kernel once" in line for line in said[1:-1]] == [True] * (not seen)


def test_what_cannot_be_installed_is_told_and_the_notebook_goes_on(monkeypatch, capsys):
    variables = {**OFFLINE, "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    notebook_setup.start(helpers.__version__, 0, ["no-such-package-here"])
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 3 and "torch" in said[2]
    assert "(ERROR: Could not find a version" in said[1] and said[1].endswith("be written to?")


def test_everything_that_the_helpers_need_is_looked_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]
    names = {re.match(r"[\w-]+", line)[0] for line in project["dependencies"]}
    assert set(notebook_setup.NEEDED) == names - {"torch", "numpy", "ipython"}


def test_the_version_is_written_once():
    assert f'VERSION, ADDRESS = "{helpers.__version__}"' in setup_source()
    released = re.search(r"^## (\d\S*)", (ROOT / "CHANGELOG.md").read_text("utf8"), re.M)[1]
    assert f"\nversion: {released}\n" in (ROOT / "CITATION.cff").read_text("utf8")
    if "dev" in helpers.__version__:  # the number of the next release, never that of the last
        assert helpers.__version__.removesuffix(".dev0") > released
    else:
        assert helpers.__version__ == released
