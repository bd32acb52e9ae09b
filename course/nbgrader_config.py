"""How nbgrader makes and grades the problem sets. Run `nbgrader` in this folder.

Student versions come from `make release`. Submissions, grades and the gradebook live in a folder
of their own, `grading/` beside this one or whatever GRADING names; it is nobody's but the
instructor's. What is and is not isolated while a submission runs: see `Careful`.
"""

import os
import tempfile
from pathlib import Path
from unittest import mock

import nbformat
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbgrader.api import Gradebook
from nbgrader.preprocessors import Execute
from nbgrader.utils import is_grade

# The configuration is a module's text, run by nbgrader: get_config comes with it.
c = get_config()  # noqa: F821

ROOT = Path(os.environ.get("COURSE_ROOT", Path.cwd().parent)).resolve()
GRADING = Path(os.environ.get("GRADING", ROOT / "grading")).resolve()
GRADING.mkdir(parents=True, exist_ok=True)

# Run in the kernel before the submission: remember what the tests lean on, to put it back later.
REMEMBER = """\
def _remember():
    import builtins, importlib, math, torch
    model = "attention masks layers cache encoder decoder transformer tokenizer batching".split()
    modules = [importlib.import_module(f"helpers.{name}") for name in model]
    things = [builtins, math, torch, torch.nn.functional, torch.Tensor, torch.nn.Module, *modules]
    operators = "eq ne lt le gt ge add sub mul truediv matmul init call".split()
    operators = {f"__{name}__" for name in operators}
    things += [x for m in modules for x in vars(m).values() if isinstance(x, type)]
    kept = [
        (x, n, v)
        for x in dict.fromkeys(things)
        for n, v in vars(x).items()
        if not n.startswith("_") or (isinstance(x, type) and n in operators)
        if x is not builtins or isinstance(v, (type, type(len)))  # not what IPython puts there
    ]

    def restore(shell, vars=vars, setattr=setattr, object=object(), kept=kept):
        changed = [(x, n, v) for x, n, v in kept if vars(x).get(n, object) is not v]
        for thing, name, value in changed:
            setattr(thing, name, value)
        shell.ast_transformers.clear()
        shell.input_transformers_post.clear()
        shell.set_custom_exc((), None)
        for event in ("pre_execute", "pre_run_cell", "post_run_cell"):
            shell.events.callbacks[event].clear()
        return changed

    return restore


get_ipython().restore_for_tests = _remember()
del _remember
"""
BEFORE_A_TEST = """\
from IPython import get_ipython
get_ipython().restore_for_tests(get_ipython())
{locked_cells}
get_ipython().tools_for_tests = (agree, differ)
"""
AFTER_A_TEST = """\
assert not get_ipython().restore_for_tests(get_ipython()), "what the tests lean on was replaced"
assert get_ipython().tools_for_tests == (agree, differ), "what compares was replaced"
"""


class Careful(Execute):
    """Execute a submission; in a test cell an exception takes the points, and nothing else counts.

    - The kernel starts in an empty folder, away from tests, solutions and other submissions.
    - Before every test the definitions of torch, of the helpers and of Python itself are put back
      as they were, and the locked cells run again as they stand in the gradebook. So a submission
      cannot put functions of its own in the place of those that compare; one that does so while
      it is being tested fails that test.
    - What a test cell prints or displays is no grade: nbgrader would take a displayed number for
      partial credit, and a warning for a failure.
    - If the kernel is killed or hangs for good, the tests that are left fail; those before count.
    - A cell tagged "slow" gets eight times as long.

    The kernel is still a process of the same user: it can read whatever that user can read, if it
    knows where. Against that, grade in a container.
    """

    def preprocess(self, nb, resources, **kwargs):
        of = resources["nbgrader"]
        with Gradebook(of["db_url"]) as gradebook:
            notebook = gradebook.find_notebook(of["notebook"], of["assignment"])
            tests = {cell.name for cell in notebook.grade_cells}
            locked = [c for c in notebook.source_cells if c.locked and c.name not in tests]
            place = {
                c.metadata.get("nbgrader", {}).get("grade_id"): i for i, c in enumerate(nb.cells)
            }
            locked.sort(key=lambda cell: place.get(cell.name, -1))
            locked_cells = "\n".join(cell.source for cell in locked)
            self.before_a_test = BEFORE_A_TEST.format(locked_cells=locked_cells)
        self.remembered = False
        self.seconds, path = self.timeout, resources["metadata"]["path"]
        with tempfile.TemporaryDirectory(prefix="submission-") as empty:
            resources["metadata"]["path"] = empty
            try:
                with mock.patch.dict(os.environ, PWD=empty):
                    for name in ("OLDPWD", "GRADING", "COURSE_ROOT"):
                        os.environ.pop(name, None)
                    return super().preprocess(nb, resources, **kwargs)
            except (DeadKernelError, CellTimeoutError) as error:
                self.log.error("the kernel is gone: %s", error)
                for cell in filter(is_test, nb.cells):
                    if not cell.get("verdict"):
                        cell.outputs = [nbformat.v4.new_output("error", ename="KernelGone")]
                return nb, resources
            finally:
                resources["metadata"]["path"] = path
                for cell in nb.cells:
                    cell.pop("verdict", None)

    def preprocess_cell(self, cell, resources, index):
        if cell.cell_type == "code" and not self.remembered:
            self.timeout, self.remembered = 300, True  # torch is imported here
            self.unseen(REMEMBER, index)
        slow = "slow" in cell.metadata.get("tags", [])
        self.timeout = self.seconds * (8 if slow else 1)
        if not is_test(cell):
            return super().preprocess_cell(cell, resources, index)
        before = self.unseen(self.before_a_test, index)
        cell, resources = super().preprocess_cell(cell, resources, index)
        outputs = [*before, *cell.outputs, *self.unseen(AFTER_A_TEST, index)]
        cell.outputs = [output for output in outputs if output.output_type == "error"]
        cell["verdict"] = True
        return cell, resources

    def unseen(self, source, index):
        """Run `source` in the kernel, not in the notebook; returns its outputs."""
        cell = nbformat.v4.new_code_cell(source)
        seen = self.nb.cells[index]
        self.execute_cell(cell, index, store_history=False)
        self.nb.cells[index] = seen  # where nbclient has put the cell that it executed
        return cell.outputs


def is_test(cell) -> bool:
    return cell.cell_type == "code" and is_grade(cell)


c.CourseDirectory.course_id = "understanding-transformers"
c.CourseDirectory.root = str(GRADING)
c.CourseDirectory.source_directory = str(ROOT / "course" / "source")
c.CourseDirectory.release_directory = str(ROOT / "build" / "release")

c.ClearSolutions.code_stub = {"python": "# Your code here\nraise NotImplementedError"}
c.ClearSolutions.text_stub = "*Your answer here.*"

c.Autograde.autograde_preprocessors = [
    Careful,
    "nbgrader.preprocessors.LimitOutput",
    "nbgrader.preprocessors.SaveAutoGrades",
    "nbgrader.preprocessors.AssignLatePenalties",
    "nbgrader.preprocessors.CheckCellMetadata",
]
c.Execute.timeout = 30  # seconds for each cell
c.Execute.interrupt_on_timeout = True
c.Execute.iopub_timeout = 10
c.LimitOutput.max_lines = 200
c.LimitOutput.max_traceback = 40
