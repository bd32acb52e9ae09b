"""Grade one submission: its code runs in a process of its own, the tests run in this one.

Where a test calls a function of the submission, this process sends the arguments over the wire
and gets plain values back. So a test never shares memory with what it tests: no patch of torch,
of the notebook's shell or of Python reaches it, and there is no expected value to be found.
"""

import ast
import contextlib
import copy
import io
import itertools
import json
import math
import multiprocessing
import re
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

import nbformat
import psutil
import torch
from nbformat import NotebookNode

from helpers.attention import MultiHeadAttention
from helpers.batching import Batch
from helpers.transformer import Transformer
from tools.grading import sandbox
from tools.grading.forbidden import parsed, reached_by, used
from tools.grading.reaches import files_read, reaches_for
from tools.grading.sandbox import Limits, Sandbox
from tools.grading.tags import lend_tags
from tools.grading.wire import Failed, Gone, Mark, Wire
from tools.notebooks import setup_source

ACTIVE = ("application/javascript", "text/javascript", "image/svg+xml")  # what runs when shown
MISSING = re.compile(r"^ModuleNotFoundError: No module named '([^']+)'")
METHODS = ("forward", "encode", "decode", "output")  # of models that exist only in a test


@dataclass
class Result:
    """The result of a submission: for each test, None if it passed, otherwise why not."""

    tests: dict[str, str | None] = field(default_factory=dict)
    outputs: dict[int, list] = field(default_factory=dict)  # of cells, by their place
    cut: list[str] = field(default_factory=list)  # what was cut off, in words
    notes: list[str] = field(default_factory=list)  # what else a person should know
    seconds: float = 0.0  # of processor time


class Remote:
    """Something in the submission's process, where its attributes, items and calls are found."""

    def __init__(self, talk: "Talk", number: int | None = None, name: str = ""):
        self.__dict__.update(_talk=talk, _number=number, _name=name, _life=talk.life)

    def _ask(self, request, *more):
        return self._talk.ask(request, self, *more)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self._ask("get", name)

    def __call__(self, *arguments, **named):
        return self._ask("call", list(arguments), named, torch.is_grad_enabled())

    def __iter__(self):
        return iter(self._ask("list"))

    def __len__(self):
        return len(self._ask("list"))

    def __getitem__(self, index):
        if isinstance(index, slice):
            index = ("slice", index.start, index.stop, index.step)
        return self._ask("item", index)


class Through(torch.autograd.Function):
    """Tensors that were computed in the other process; a gradient goes back the same way."""

    @staticmethod
    def forward(context, talk, number, leaves, value, *tensors):
        context.talk, context.number, context.leaves = talk, number, leaves
        return value.clone()

    @staticmethod
    def backward(context, gradient):
        found = context.talk.ask("backward", [context.number], [gradient], context.leaves)
        return None, None, None, None, None, *found


class Talk:
    """The conversation with the submission's process, which is started anew if it has ended."""

    def __init__(self, limits: Limits, name: str = ""):
        self.limits, self.name = limits, name
        self.box: Sandbox | None = None
        self.life, self.seconds, self.until = 0, 0.0, math.inf
        self.functions: dict = {}  # {number: what this test has given to the submission}
        self.numbers, self.leaves = itertools.count(), []

    def start(self) -> None:
        self.functions, self.leaves = {}, []
        if self.life == 0:
            self.until = time.monotonic() + self.limits.whole
        self.box = Sandbox(self.limits, self.name, self.until)
        self.life += 1
        self.wire = Wire(self.box.reader, self.box.writer, self.serve, self.mention, self.meaning)
        try:
            self.wire.receive()  # it is ready
            self.box.asked = False
        except Gone:
            self.end()
            words = getattr(self.box, "words", b"").decode(errors="replace")
            raise RuntimeError(f"no process for the submission: {words[-2000:]}") from None

    def end(self) -> str:
        """End it, and return why it was cut off, or ""."""
        box, self.box = self.box, None
        if box is None:
            return ""
        box.close()
        self.seconds += box.total
        for end in (self.wire.reader, self.wire.writer):
            with contextlib.suppress(OSError):
                end.close()
        self.last = box
        return box.why

    def begin(self, seconds: float) -> None:
        """A cell or a test begins. The submission's process stops itself at the limit; if it does
        not, it is killed a little later. What an earlier test has given to it works no longer."""
        self.functions, self.leaves = {}, []
        self.box.expect(1.25 * seconds + 2)
        self.wire.ask("begin", seconds, 0)

    def ask(self, request, *more):
        if self.box is None or any(isinstance(m, Remote) and m._life != self.life
                                   and m._number is not None for m in more):  # fmt: skip
            raise Gone("its process ended in an earlier test")
        with self.turn(True):
            return self.wire.ask(request, *more)

    @contextlib.contextmanager
    def turn(self, asked: bool):
        """While the submission is asked, it may not sleep; while the examiner works, it may."""
        box, before = self.box, self.box.asked
        box.asked = asked
        try:
            yield
        finally:
            box.asked = before

    def over(self) -> str:
        """Why no other process is started for this submission, or ""."""
        limits = self.limits
        reasons = {
            "its process ended too often": self.life > limits.restarts,
            f"it took more than {limits.submission:.0f} s of processor time in all":
                self.seconds > limits.submission,
            f"it took more than {limits.whole:.0f} s on the clock in all":
                time.monotonic() > self.until,
        }  # fmt: skip
        return next((reason for reason, true in reasons.items() if true), "")

    # ---- What the submission may ask: to call a function that a test has given it ----

    def serve(self, number, arguments, named, grows):
        if number not in self.functions:
            raise LookupError("this function belongs to an earlier test")
        with self.turn(False), torch.set_grad_enabled(bool(grows)):
            return detached(self.functions[number](*arguments, **named))

    def mention(self, value):
        if isinstance(value, torch.Tensor):
            if not value.requires_grad:
                return value
            self.leaves.append(value)
            return Mark("leaf", [value.detach(), len(self.leaves) - 1])
        if isinstance(value, Remote):
            return (
                Mark("name", value._name) if value._number is None else Mark("thing", value._number)
            )
        if isinstance(value, Batch):
            return Mark("batch", [value.source_ids, value.target_ids])
        if isinstance(value, Transformer | MultiHeadAttention):
            return Mark("built", self.built(value))
        if isinstance(value, torch.nn.Module):
            methods = {n: getattr(value, n) for n in METHODS if hasattr(value, n)}
            return Mark("model", methods)
        if callable(value):
            number = next(self.numbers)
            self.functions[number] = value
            return Mark("function", number)
        raise TypeError(f"{type(value).__name__} cannot be passed to a submission")

    def built(self, model):
        """How to build the same model there. What a test has changed or listens to stays here."""
        if isinstance(model, Transformer):
            what, plain, numbers = "Transformer", Transformer, asdict(model.config)
            if getattr(model, "decodes_to_logits", False):  # as the capstone's NumberReader does
                what, plain = "LogitsTransformer", type(model)
        else:
            what, plain = "MultiHeadAttention", MultiHeadAttention
            numbers = dict(d_model=model.d_model, num_heads=model.num_heads)
        methods = {}
        if type(model) is not plain:
            methods = {n: getattr(model, n) for n in METHODS[:3]
                       if getattr(type(model), n, None) is not getattr(plain, n, None)}  # fmt: skip
        for place, module in model.named_modules():
            if module._forward_hooks and place:
                methods[f"{place}.forward"] = module.__call__
        state = {name: value.detach() for name, value in model.state_dict().items()}
        return [what, numbers, state, methods]

    def meaning(self, kind, content):
        if kind == "thing":
            return Remote(self, content)
        if kind == "leaf":  # a parameter with its gradient
            value, gradient = content
            value.grad = gradient
            return value
        if kind == "grown":
            value, number = content
            anchor = torch.zeros((), requires_grad=True)
            numbers = list(range(len(self.leaves)))
            return Through.apply(self, number, numbers, value, anchor, *self.leaves)
        if kind == "batch":
            if not all(isinstance(ids, torch.Tensor) for ids in content):
                raise TypeError("a batch needs tensors")
            return Batch(*content)
        raise ValueError(f"{kind!r} is not a kind of mention")


def detached(value):
    if isinstance(value, torch.Tensor):
        return value.detach()
    if isinstance(value, list | tuple):
        return type(value)(detached(v) for v in value)
    return value


# ---- The notebook ----


def of_nbgrader(cell) -> dict:
    return cell.metadata.get("nbgrader", {})


def is_test(cell) -> bool:
    about = of_nbgrader(cell)
    return cell.cell_type == "code" and about.get("grade", False) and not about.get("solution")


def is_locked(cell) -> bool:
    about = of_nbgrader(cell)
    return cell.cell_type == "code" and about.get("locked", False) and not about.get("grade")


def is_free(cell) -> bool:
    """Whether the student writes this cell of code."""
    given = is_test(cell) or is_locked(cell) or "setup" in cell.metadata.get("tags", [])
    return cell.cell_type == "code" and not given


def names_in(source: str) -> list[str]:
    """What a cell defines at its outermost level; nothing if it is not Python, magics apart."""
    found = []
    for node in parsed(source):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.append(node.name)
        targets = node.targets if isinstance(node, ast.Assign) else []
        parts = [part for target in targets for part in ast.walk(target)]  # as in "a, b = …"
        found += [p.id for p in parts if isinstance(p, ast.Name) and isinstance(p.ctx, ast.Store)]
    return found


def without_hidden(source: str) -> str:
    return re.sub(r"(?ms)^ *### BEGIN HIDDEN TESTS\n.*?### END HIDDEN TESTS\n?", "", source)


def known_cells(source: NotebookNode) -> dict[str, NotebookNode]:
    return {of_nbgrader(c)["grade_id"]: c for c in source.cells if of_nbgrader(c)}


def trusted(source: NotebookNode, notebook: NotebookNode) -> list[NotebookNode]:
    """The submission's cells, each with what the instructor's notebook says about it.

    Students can edit metadata. A cell that claims to be locked or a test, but isn't one in the
    instructor's notebook, is theirs, so it must never run in the examiner's own process. Nor does
    a cell get more time because it says that it is slow.
    """
    known, cells = known_cells(source), []
    for cell in notebook.cells:
        cell = copy.deepcopy(cell)
        claim = cell.metadata.pop("nbgrader", None)
        name = str(claim.get("grade_id")) if isinstance(claim, dict) else ""
        if name in known and known[name].cell_type == cell.cell_type:
            cell.metadata["nbgrader"] = copy.deepcopy(of_nbgrader(known[name]))
        cells.append(cell)
    lend_tags(source, cells)
    return cells


def answers_with_limits(source: NotebookNode, notebook: NotebookNode) -> Iterator:
    """(task, what it forbids, the words that its answer uses, the names that it computes)"""
    free = [cell for cell in trusted(source, notebook) if is_free(cell)]
    given = [cell.source for cell in source.cells if is_locked(cell)]
    for cell in source.cells:
        task, words = of_nbgrader(cell).get("grade_id"), cell.metadata.get("forbids", [])
        for answer in [c for c in free if words and of_nbgrader(c).get("grade_id") == task]:
            others = [c.source for c in free if c is not answer]
            yield task, words, *used(answer.source, others, given)


def forbidden_words(source: NotebookNode, notebook: NotebookNode) -> dict[str, str]:
    """{task: what it forbids and the answer uses}; a task's metadata say what it forbids."""
    found = {}
    for task, words, seen, _ in answers_with_limits(source, notebook):
        hits = [word for word in words if word in seen]
        found |= {task: hits[0]} if hits else {}
    return found


def computed_names(source: NotebookNode, notebook: NotebookNode) -> dict[str, str]:
    """{task: how it looks up a name, in a way that may hide something that it forbids}"""
    found = answers_with_limits(source, notebook)
    return {task: computed[0] for task, _, _, computed in found if computed}


def odd_reaches(source: NotebookNode, notebook: NotebookNode) -> dict[str, str]:
    """{task, or "a cell": what it reaches for, which no answer needs} (reaches.py)."""
    free = [cell for cell in trusted(source, notebook) if is_free(cell)]
    imports = [c.source for c in notebook.cells if c.cell_type == "code" and "import" in c.source]
    found: dict[str, list[str]] = {}
    for cell in free:
        about = of_nbgrader(cell)
        names = reaches_for(cell.source, imports)
        if about.get("solution"):
            others = [c.source for c in free if c is not cell and not of_nbgrader(c)]
            names += [f"{way}()" for way in files_read(reached_by(cell.source, others))]
        if names:
            found.setdefault(about.get("grade_id", "a cell"), []).extend(names)
    return {task: ", ".join(dict.fromkeys(names))[:200] for task, names in found.items()}


class Examiner:
    """`source` is the instructor's notebook, `notebook` the submission, repaired (repair.py)."""

    def __init__(self, source: NotebookNode, notebook: NotebookNode, limits: Limits, way=""):
        self.cells, self.known = trusted(source, notebook), known_cells(source)
        self.limits, self.talk = limits, Talk(limits, way)
        free = [cell for cell in source.cells if is_free(cell)]
        remote = {name: Remote(self.talk, name=name) for c in free for name in names_in(c.source)}
        self.names = {"__name__": "__main__", **remote}
        self.forbidden = forbidden_words(source, notebook)
        self.tasks = [i for i, c in self.known.items() if of_nbgrader(c).get("solution")]
        self.result, self.skip = Result(), set()
        for task, word in self.forbidden.items():
            self.result.notes.append(f"{task}: uses {word}, which this task forbids: no points")
        for task, call in computed_names(source, notebook).items():
            self.result.notes.append(f"{task}: look at this by hand, its name is computed: {call}")
        for task, names in odd_reaches(source, notebook).items():
            self.result.notes.append(f"{task}: look at this by hand, it reaches for {names}")

    def run(self) -> Result:
        try:
            for place, cell in enumerate(self.cells):
                if cell.cell_type != "code":
                    continue
                if is_test(cell):
                    self.test(place, of_nbgrader(cell)["grade_id"])
                else:
                    self.cell(place)
        finally:
            self.talk.end()
            self.result.seconds = round(self.talk.seconds, 1)
        return self.result

    def source_of(self, cell) -> str:
        """Locked cells as they were handed out, all others as they were handed in."""
        if "setup" in cell.metadata.get("tags", []):
            return setup_source()
        known = self.known.get(of_nbgrader(cell).get("grade_id"))
        return known.source if known is not None and is_locked(known) else cell.source

    def slow(self, cell) -> bool:
        return "slow" in cell.metadata.get("tags", [])

    def alive(self, upto: int) -> bool:
        """Whether there is a process that has run the cells before this place; if it has ended,
        another one runs them again, except the one in which it ended."""
        if self.talk.box is not None:
            return True
        if self.talk.over():
            return False
        self.talk.start()
        return all(
            self.execute(place) is not None
            for place, cell in enumerate(self.cells[:upto])
            if cell.cell_type == "code" and place not in self.skip
        )

    def cell(self, place: int) -> None:
        cell = self.cells[place]
        if is_locked(cell):
            exec(self.source_of(cell), self.names)
        if not self.alive(place):
            return
        seen = self.execute(place)
        if seen is not None:
            self.result.outputs[place] = seen

    def execute(self, place: int) -> list | None:
        """Run a cell there, and return its outputs, or None if the process ended with it."""
        cell = self.cells[place]
        try:
            self.talk.begin(self.limits.scaled(self.slow(cell)))
            if is_test(cell):
                text = without_hidden(self.known[of_nbgrader(cell)["grade_id"]].source)
                with contextlib.suppress(Failed):
                    self.talk.ask("definitions", text)
                return []
            try:
                seen = self.talk.ask("cell", self.source_of(cell))
                if (name := of_nbgrader(cell).get("grade_id")) in self.tasks:
                    for line in map(str, seen.get("ignored", [])[:5]):
                        self.wonder(f"{name}: the line {line[:80]} did nothing here")
                self.look_at_error(cell, str(seen["error"] or ""))
                if str(seen["error"]).startswith("CutOff"):
                    seconds = self.limits.scaled(self.slow(cell))
                    self.result.cut.append(f"cell {place + 1}: {seconds:.0f} s of processor time")
                    self.skip.add(place)
                return outputs_of(seen)
            except (Failed, ValueError, TypeError, KeyError, AttributeError) as odd:
                return [error_output("Failed", str(odd)[:2000])]
        except Gone as gone:
            self.note(f"cell {place + 1}", gone)
            self.skip.add(place)
            return None

    def look_at_error(self, cell, error: str) -> None:
        """An answer that ends with an error, or a library that is not there, gets a line."""
        name = of_nbgrader(cell).get("grade_id", "a cell")
        if missing := MISSING.search(error):
            self.wonder(f"{name}: imports {missing[1][:60]}, which is not installed here")
        elif name in self.tasks and error and not error.startswith(("NotImplemented", "CutOff")):
            self.wonder(f"{name}: its cell ends with {error[:120]}")

    def wonder(self, text: str) -> None:
        """Something that a person should look at; once, although cells may run again."""
        if text not in self.result.notes:
            self.result.notes.append(text)

    def look_at_test(self, place: int, name: str, error: BaseException, why: str) -> None:
        """A test that the student saw pass, but that fails here in what the student saw of it."""
        lines = [f.lineno or 0 for f in traceback.extract_tb(error.__traceback__)
                 if f.filename == name]  # fmt: skip
        if missing := MISSING.search(why):
            self.wonder(f"{name}: imports {missing[1][:60]}, which is not installed here")
        elif lines and self.cells[place].metadata.get("passed"):
            before = self.known[name].source.splitlines()[: lines[0]]
            begun = sum("### BEGIN HIDDEN" in line for line in before)
            if begun == sum("### END HIDDEN" in line for line in before):
                self.wonder(f"{name}: passed for the student, look at it: {why[:120]}")

    def note(self, where: str, gone: Gone) -> str:
        why = self.talk.end() or str(gone)
        self.result.cut.append(f"{where}: {why}")
        return why

    def test(self, place: int, name: str) -> None:
        task = max((t for t in self.tasks if name.startswith(t)), key=len, default="")
        if task in self.forbidden:
            self.result.tests[name] = f"this task forbids the use of {self.forbidden[task]}"
            return
        why: str | None = None
        try:
            if not self.alive(place):
                raise Gone(self.talk.over() or "its process ended when it was started again")
            self.talk.begin(self.limits.scaled(self.slow(self.cells[place])))
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(self.known[name].source, name, "exec"), self.names)
        except Gone as gone:
            why = self.note(name, gone) if self.talk.box is not None else str(gone)
            self.look_at_test(place, name, gone, why)
        except BaseException as error:
            why = str(error) if isinstance(error, AssertionError | Failed) else describe(error)
            if "cut off: too much processor time" in why:
                self.result.cut.append(f"{name}: {self.limits.cell:.0f} s of processor time")
            self.look_at_test(place, name, error, why)
        self.result.tests[name] = why
        if self.talk.box is not None:
            self.execute(place)  # what it defines, later cells may use


def describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:2000]


def outputs_of(seen) -> list:
    """A cell's outputs as a notebook has them."""
    outputs = []
    for name, text in zip(("stdout", "stderr"), seen["printed"], strict=True):
        if text:
            text = str(text)[:20_000]
            outputs.append(nbformat.v4.new_output("stream", name=name, text=text))
    for data in json.loads(seen["displayed"])[:20]:
        data = {k: v for k, v in data.items() if k not in ACTIVE}
        outputs.append(nbformat.v4.new_output("display_data", data=data))
    if seen["error"]:
        kind, _, text = str(seen["error"]).partition(": ")
        outputs.append(error_output(kind, text))
    return outputs


def error_output(kind: str, text: str):
    return nbformat.v4.new_output("error", ename=kind, evalue=text, traceback=[f"{kind}: {text}"])


# ---- In a process of its own ----


def alone(pipe, arguments) -> None:
    torch.set_num_threads(1)
    sandbox.adopt_orphans()
    source, notebook, limits, way = arguments
    sandbox.limit_memory(limits.megabytes)
    examiner = Examiner(nbformat.from_dict(source), nbformat.from_dict(notebook), limits, way)
    try:
        pipe.send(examiner.run())
    except Exception as error:
        examiner.result.cut.append(describe(error))
        pipe.send(examiner.result)
    finally:
        sandbox.kill_orphans()


def examine(source: NotebookNode, notebook: NotebookNode, limits: Limits | None = None,
            way: str = "") -> Result:  # fmt: skip
    """Grade a repaired submission. Whatever happens in there, this returns."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    limits = limits or Limits()
    process = context.Process(target=alone, args=(there, (source, notebook, limits, way)))
    process.start()
    there.close()
    try:
        if not here.poll(limits.whole + 300):
            raise EOFError("it did not end")
        result = here.recv()  # from our own code, which no submission can reach
        process.join(30)
    except EOFError:
        result = Result(cut=["the examiner itself ended or took too long"])
    for one in sandbox.descendants(process.pid) if process.is_alive() else []:
        with contextlib.suppress(psutil.Error):
            one.kill()
    process.join()
    here.close()
    for cell in source.cells:
        if is_test(cell):
            result.tests.setdefault(of_nbgrader(cell)["grade_id"], "this test was not reached")
    return result
