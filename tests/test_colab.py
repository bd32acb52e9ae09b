"""tools/colab.py: a notebook that is the only file there still runs, from its own helpers."""

import math
import sys

import nbformat
import pytest
from nbclient import NotebookClient

from helpers.evaluation import bleu
from tools import colab, notebooks


@pytest.mark.parametrize("path", notebooks.paths(), ids=lambda path: path.stem)
def test_every_notebook_carries_what_it_imports(path):
    files = colab.needed(notebooks.read(path))
    for name in files:
        assert colab.imported((notebooks.ROOT / name).read_text(encoding="utf8")) <= set(files)


@pytest.mark.slow
def test_a_notebook_alone_runs_from_its_own_helpers(tmp_path):
    (path,) = notebooks.paths("00_")  # with the checkpoint and the explorer
    alone = colab.standalone(notebooks.read(path))
    source = "import helpers\nprint(helpers.__file__)"
    alone.cells.append(nbformat.v4.new_code_cell(source, id="where"))
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(alone, timeout=120, kernel_name="python3", resources=resources).execute()
    assert "understanding-transformers-" in alone.cells[-1].outputs[0].text
    setup = next(c for c in alone.cells if "setup" in notebooks.tags(c)).source
    assert "github.com" not in setup and "git+" not in setup


def test_without_sacrebleu_a_score_is_nan_and_says_why(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    score, signature = bleu(["a"], ["a"])
    assert math.isnan(score) and "pip install sacrebleu" in signature
