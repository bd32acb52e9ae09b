"""What is after the grader is named for a person to look at; what honest answers do is not."""

import copy

import nbformat
import pytest

pytest.importorskip("nbgrader.api", reason="requirements-teach.lock")

from tests.grading.attacks import ATTACKS, ISOLATED
from tools import notebooks, release
from tools.grading.examiner import odd_reaches, of_nbgrader
from tools.grading.reaches import reaches_for

SOURCES = {path.stem: notebooks.read(path) for path in release.sources(release.COURSE / "source")}

NAMED = {
    "import subprocess\nsubprocess.run(['ls'])": "subprocess",
    "import subprocess as s\ns.run(['ls'])": "subprocess",
    "from subprocess import check_output as look": "subprocess.check_output",
    "import gc\nfor o in gc.get_objects():\n    pass": "gc.get_objects",
    "from gc import get_referrers": "gc.get_referrers",
    "import inspect\nframe = inspect.currentframe()": "inspect.currentframe",
    "def f():\n    import inspect as i\n    return i.stack()": "inspect.stack",
    "import sys\nsys._getframe(1).f_locals": "f_locals",
    "try:\n    1 / 0\nexcept Exception as e:\n    e.__traceback__.tb_frame": "tb_frame",
    "import sys\nsys.modules['__main__']": "sys.modules",
    "import ctypes": "ctypes",
    "import os\nos.system('ls')": "os.system",
    "import os\nos.write(3, b'x')": "os.write",
    "from os import walk": "os.walk",
    "import builtins\nbuiltins.abs = lambda x: 0": "builtins.abs",
    "__builtins__": "__builtins__",
    "torch.equal = lambda *a: True": "torch.equal = …",
    "torch.Tensor.tolist = lambda self: []": "torch.Tensor.tolist = …",
    "a = torch.allclose = b": "torch.allclose = …",
    "setattr(torch.Tensor, 'equal', yes)": "setattr(torch, …)",
    "nn.Module.__call__ = yes": "nn.Module.__call__ = …",
    "AssertionError = ValueError": "AssertionError = …",
    "AssertionError.__init__ = yes": "AssertionError.__init__ = …",
    "agree = differ = yes": "agree = …",
    "def agree(*a):\n    pass": "def agree",
    "class Yes:\n    __eq__ = __le__ = lambda *a: True": "Yes.__eq__",
    "class T(torch.Tensor):\n    def __torch_function__(*a):\n        pass": "T.__torch_function__",
    "class Bomb:\n    def __reduce__(self):\n        return exec, ('x',)": "Bomb.__reduce__",
    "diagnose.__globals__['agree']": "__globals__",
    "object.__subclasses__()": "__subclasses__",
    "exec('import gc; gc.get_objects()')": "gc.get_objects",
    "import sys\ngetattr(sys, '_get' + 'frame')()": "sys._getframe",
    "__import__('subprocess').run('ls')": "subprocess",
    "import importlib\nimportlib.import_module('gc')": "gc",
    "get_ipython().run_cell = None": "get_ipython().run_cell",
    "shell = get_ipython()\nshell.run_cell = None": "get_ipython()",
    "!cat /etc/passwd": "!cat /etc/passwd",
    "import atexit": "atexit",
}
HONEST = [
    "import gc\ngc.collect()",
    "import os\ntorch.set_num_threads(os.cpu_count())",
    "import os\nos.environ['OMP_NUM_THREADS'] = '1'\nos.makedirs('maps', exist_ok=True)",
    "import os, sys\nsys.path.append(os.getcwd())\nsys.setrecursionlimit(5000)",
    "import inspect\nprint(inspect.getsource(MultiHeadAttention), inspect.signature(agree))",
    "torch.backends.cuda.matmul.allow_tf32 = True\ntorch.set_default_dtype(torch.float64)",
    "torch.stack([a, b]), list(map(str, stack))",
    "x.data = y\nmodel.gate.data = torch.zeros(1)\nlayer.mask = None\nself.read = self.write = 1",
    "def f(frame, signal, select):\n    return frame.stack() + signal.open(3)",
    "plt.rcParams['font.size'] = 9\nplt.savefig('map.png')",
    "%time train_reader(0)\n!pip install einops\n%matplotlib inline",
    "%%time\nx = 1",
    "%timeit -n 1 x = 1",
    "numbers = [7, 45]\nsum = 0\nmax = 3\nid = 5",
    "model.eval()\neval_loss = 3",
    "class Reader(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    "    def __call__(self, x):\n        return x\n    def __repr__(self):\n        return ''",
    "from dataclasses import dataclass\n@dataclass\nclass A:\n    x: int = 0",
    "try:\n    f()\nexcept AssertionError as error:\n    print(error, error.__traceback__)",
    "assert type(x).__name__ == 'Tensor' and f.__doc__ and x.__class__ is int",
    "import random, time, math, functools, itertools, warnings, copy, json\nimport numpy as np",
    "np.random.seed(0)\nrandom.seed(0)\ntorch.manual_seed(0)",
    "import multiprocessing, threading",
    "import psutil\npsutil.Process().memory_info().rss",
    "def (:",
    "",
]
QUIET = {  # they do nothing but answer wrongly, take too long or too much: other lines say so
    *("answer with too much", "answer with nonsense", "loop for ever", "loop and refuse to stop"),
    *("sleep for ever", "sleep, but not for long at a time", "fill the memory"),
    *("read the solution", "write into the gradebook", "fill the disk"),  # below, by their files
}


@pytest.mark.parametrize("source", NAMED)
def test_what_only_an_attack_needs_is_named(source):
    assert NAMED[source] in reaches_for(source), reaches_for(source)


def test_a_module_may_have_been_imported_in_another_cell():
    assert reaches_for("def f():\n    s.settrace(g)", ["import sys as s"]) == ["sys.settrace"]
    assert reaches_for("def f():\n    s.settrace(g)") == []


@pytest.mark.parametrize("source", HONEST)
def test_what_honest_answers_do_is_not(source):
    assert reaches_for(source) == []


@pytest.mark.parametrize("name", [*ATTACKS, *ISOLATED])
def test_our_attacks_are_named(name):
    found = reaches_for({**ATTACKS, **ISOLATED}[name])
    assert name in QUIET or found, name


@pytest.mark.parametrize("name", SOURCES)
def test_our_solutions_are_not(name):
    assert odd_reaches(SOURCES[name], SOURCES[name]) == {}


def test_other_right_answers_are_not_either():
    from tests.test_problem_sets import RIGHT

    assert [reaches_for(text) for several in RIGHT.values() for text in several if text] == [
        [] for several in RIGHT.values() for _ in several
    ]


def test_the_line_names_the_task_and_what_it_leads_to():
    source = SOURCES["ps1"]
    notebook = copy.deepcopy(source)
    answers = {
        "packed_mask": "def packed_mask(documents):\n    return found(documents)\n",
        "prefix_mask": "import os\n\n\ndef prefix_mask(a, b):\n    os.fork()\n",
    }
    for cell in notebook.cells:
        cell.source = answers.get(of_nbgrader(cell).get("grade_id"), cell.source)
    more = ["def found(documents):\n    return open('/etc/passwd').read()\n", "import ctypes"]
    notebook.cells += [nbformat.v4.new_code_cell(text) for text in more]
    notebook.cells.append(nbformat.v4.new_code_cell("with open('my notes.txt', 'w') as file: pass"))
    assert odd_reaches(source, notebook) == {
        "packed_mask": "open()",
        "prefix_mask": "os.fork",
        "a cell": "ctypes",
    }
