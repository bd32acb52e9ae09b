"""The commands that the package installs: one opens the series, one trains."""

import sys
import tomllib
from importlib import import_module

import pytest

from helpers import __main__ as opening
from tools.environment import ROOT


def test_every_installed_command_leads_somewhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]
    assert {*project["scripts"]} == {"understanding-transformers", "train-translator"}
    for place in project["scripts"].values():
        module, _, name = place.partition(":")
        assert callable(getattr(import_module(module), name))


def test_the_series_opens_at_the_notebook_that_was_asked_for(monkeypatch):
    opened = []
    monkeypatch.setattr("jupyterlab.labapp.main", lambda words: opened.append(words[0]))
    for words in ([], ["07"]):
        with pytest.raises(SystemExit) as stopped:
            opening.main(words)
        assert not stopped.value.code
    assert opened == [str(opening.find("00_start")), str(opening.find("07_cross"))]


def test_what_is_missing_is_said(tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match="no notebook in .* has '99' in its name"):
        opening.main(["99"])
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "jupyterlab.labapp", None)
        with pytest.raises(SystemExit, match="has no JupyterLab"):
            opening.main([])
    monkeypatch.setattr(opening, "NOTEBOOKS", tmp_path / "site-packages" / "notebooks")
    with pytest.raises(SystemExit, match="installed package, which comes without them"):
        opening.main([])
