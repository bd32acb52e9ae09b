"""missing_names.py: which cell makes a name; what a kernel then prints is in test_faults.py."""

from types import SimpleNamespace

from helpers import missing_names
from helpers.missing_names import cell_that_makes, made_by, notebook_path, raised_with


def markdown(text):
    return {"cell_type": "markdown", "source": text}


def code(cell_id, *lines):
    return {"cell_type": "code", "id": cell_id, "source": [line + "\n" for line in lines]}


CELLS = [
    markdown("# Title\n\n## The data\n```\n# no heading\n```"),
    code("one", "import torch", "words = ['der', 'Hund']"),
    markdown("## The model"),
    code("two", "# model, the first", "model = 1"),
    code("three", "print(model, words)"),
    markdown("## Later"),
    code("four", "model = 2", "def helper(): pass"),
]


def test_what_a_cell_makes_is_what_it_assigns_imports_or_defines():
    source = "import a.b as c\nfrom d import e\nf, (g, *h) = 1, (2, 3)\nfor i in []: pass\n"
    source += "def j(k): l = 1\nclass m: n = 1\nwith o as p: pass\nprint(q)\nr.s = 1"
    assert made_by(source) == set("cefghijmp")
    assert made_by("%matplotlib inline\nx = 1") == made_by("x = (") == set()


def test_the_last_cell_above_is_named_with_its_line_and_heading():
    words = "with the line `{}`, under '{}'"
    assert cell_that_makes("words", CELLS, "three", "") == words.format(
        "words = ['der', 'Hund']", "The data"
    )
    assert cell_that_makes("model", CELLS, "three", "") == words.format("model = 1", "The model")
    source = "print(model, words)\n"  # where the front end sends no cell id
    assert cell_that_makes("model", CELLS, None, source) == words.format("model = 1", "The model")


def test_a_cell_further_down_is_named_if_there_is_none_above():
    assert "under 'Later'" in cell_that_makes("helper", CELLS, "three", "")
    assert "under 'The model'" in cell_that_makes("model", CELLS, "one", "")


def test_a_name_that_nobody_makes_has_no_cell():
    assert cell_that_makes("modle", CELLS, "three", "") is None


def test_a_librarys_own_error_is_not_the_readers():
    names = {}
    library = {}
    exec("def f(): return missing", library)
    for code_, expected in (("missing", True), ("f()", False)):
        names = {"f": library["f"]}
        try:
            exec(code_, names)
        except NameError as error:
            assert raised_with(error, names) is expected
        else:
            raise AssertionError("no error")


def test_a_name_error_without_a_name_is_left_as_it_is(monkeypatch, capsys):
    """`raise NameError("…")`, as a reader's own code may do: there is no name to look for."""
    names = {}
    monkeypatch.setattr(missing_names, "get_ipython", lambda: SimpleNamespace(user_ns=names))
    for code_, printed in (("raise NameError('who?')", False), ("missing", True)):
        try:
            exec(code_, names)
        except NameError as error:
            missing_names.say_which_cell(SimpleNamespace(error_in_exec=error, info=None))
        assert bool(capsys.readouterr().out) is printed


def test_the_notebooks_path_is_the_servers_or_none(tmp_path, monkeypatch):
    path = tmp_path / "a.ipynb"
    path.write_text("{}", encoding="utf8")
    monkeypatch.setenv("JPY_SESSION_NAME", str(path))
    assert notebook_path({}) == path
    monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / "gone.ipynb"))
    assert notebook_path({}) is None
    assert notebook_path({"__vsc_ipynb_file__": str(path)}) == path
    monkeypatch.delenv("JPY_SESSION_NAME")
    assert notebook_path({}) is None
