"""Both Colab editions, executed in a fresh virtual environment with what Colab brings along.

`make test-colab` runs this; it is no part of `make test`, for it installs torch again and runs the
whole series. What is checked: the stand-alone edition runs when it is the only file in an empty
folder; the badge edition runs in an empty folder when the repository's address serves this clone's
last commit; and neither installs a torch or numpy, nor, where the packages are there, anything
else.

`COLAB_NOTEBOOKS="00 07" make test-colab` runs some of them.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from nbclient import NotebookClient

from tests.support import served
from tools import colab, notebooks
from tools.address import repository

PYTHON = Path("Scripts/python.exe" if os.name == "nt" else "bin/python")
SHIPPED = ("torch", "numpy", "matplotlib", "tqdm", "ipykernel", "safetensors", "tokenizers")
SHIPPED += ("transformers", "sentencepiece", "psutil", "setuptools")  # and not sacrebleu
ASKED = os.environ.get("COLAB_NOTEBOOKS", "").split()
PATHS = [p for p in notebooks.paths() if not ASKED or p.name[:2] in ASKED]


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """A fresh environment's Python: Colab's packages at our pins and a stub of google.colab."""
    folder = tmp_path_factory.mktemp("colab") / "venv"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    executable = folder / PYTHON
    lock = ["-c", str(notebooks.ROOT / "requirements.lock")]
    subprocess.run([executable, "-m", "pip", "install", "-q", *lock, *SHIPPED], check=True)
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = subprocess.run([executable, "-c", ask], capture_output=True, text=True, check=True)
    stub = Path(site.stdout.strip()) / "google" / "colab"
    stub.mkdir(parents=True)
    (stub / "__init__.py").write_text("from . import output\n")
    (stub / "output.py").write_text("def enable_custom_widget_manager():\n    pass\n")
    return executable


def installed(python: Path) -> dict[str, str]:
    command = [python, "-m", "pip", "list", "--format=json", "--disable-pip-version-check"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    return {row["name"]: row["version"] for row in json.loads(answer.stdout)}


def execute(notebook, python: Path, folder: Path, extra: dict[str, str]) -> None:
    """Run a notebook with that Python in that folder; its own environment, nothing of ours."""
    kernels = folder.parent / f"{folder.name}-jupyter" / "kernels" / "colab"
    kernels.mkdir(parents=True)
    command = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": command, "display_name": "colab", "language": "python"}
    (kernels / "kernel.json").write_text(json.dumps(spec))
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment |= {"JUPYTER_PATH": str(kernels.parents[1]), "IPYTHONDIR": str(folder.parent)}
    environment |= {"PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}", **extra}
    before = os.environ.get("JUPYTER_PATH")
    os.environ["JUPYTER_PATH"] = environment["JUPYTER_PATH"]
    try:
        resources = {"metadata": {"path": str(folder)}}
        client = NotebookClient(
            notebook, timeout=900, kernel_name="colab", resources=resources, ipython_hist_file=""
        )
        client.execute(env=environment)
    finally:
        if before is None:
            del os.environ["JUPYTER_PATH"]
        else:
            os.environ["JUPYTER_PATH"] = before


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_alone_in_an_empty_folder(path, python, tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    before = installed(python)
    offline = {"PIP_NO_INDEX": "1", "HF_HUB_OFFLINE": "1", "http_proxy": "http://127.0.0.1:9"}
    offline |= {"https_proxy": "http://127.0.0.1:9"}
    execute(colab.standalone(notebooks.read(path)), python, folder, offline)
    assert installed(python) == before


@pytest.mark.parametrize("path", PATHS[:1], ids=lambda path: path.stem)
def test_from_the_badge_with_this_clone_as_the_repository(path, python, tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    archives = tmp_path / "site" / "archive"
    archives.mkdir(parents=True)
    pack = ["git", "archive", "--format=zip", "--prefix=x/", f"--output={archives / 'main.zip'}"]
    subprocess.run([*pack, "HEAD"], cwd=notebooks.ROOT, check=True)
    before = installed(python)
    with served(archives.parent) as address:
        notebook = notebooks.read(path)
        setup = next(c for c in notebook.cells if "setup" in notebooks.tags(c))
        setup.source = setup.source.replace(repository(), address)
        execute(notebook, python, folder, {})
    after = installed(python)
    assert after.pop("understanding-transformers")
    after.pop("sacrebleu", None)  # the one package that Colab lacks, and what it needs
    assert {name: after[name] for name in before} == before
