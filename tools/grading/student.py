"""The process in which a submission runs. It is started by sandbox.py, and nobody trusts it.

It runs the notebook's cells and then, when asked, calls what they define. It has no test, no
solution and no gradebook, so whatever a submission changes in here, it changes only for itself.
"""

import ast
import contextlib
import functools
import json
import os
import random
import resource
import signal
import sys
import time
import warnings

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)), sys.argv[1]]  # wire.py; the helpers

import numpy  # noqa: E402
import torch  # noqa: E402
from IPython.core.interactiveshell import InteractiveShell  # noqa: E402
from IPython.utils.capture import capture_output  # noqa: E402
from traitlets.config import Config  # noqa: E402
from wire import Mark, Wire  # noqa: E402

from helpers.attention import MultiHeadAttention  # noqa: E402
from helpers.batching import Batch  # noqa: E402
from helpers.transformer import Transformer, TransformerConfig  # noqa: E402

CHARACTERS, RICH = 20_000, 2_000_000  # of what a cell prints and displays


class CutOff(BaseException):
    """More processor time than a cell or a test may take."""


def cut_off(*_):
    raise CutOff("cut off: too much processor time")


class Missing:
    """What a test wants to use and the submission has not defined."""

    def __init__(self, name):
        self.__dict__["name"] = name

    def __getattr__(self, attribute):
        raise NameError(f"name {self.name!r} is not defined")

    def __call__(self, *arguments, **named):
        self.__getattr__("")


class Model(torch.nn.Module):
    """A model whose methods run in the examiner's process."""

    def __init__(self, methods):
        super().__init__()
        self.number = torch.nn.Parameter(torch.zeros(()))  # so that an optimizer has something
        for name, method in methods.items():
            setattr(self, name, (lambda m: lambda *a, **k: self.own(m(*a, **k)))(method))

    def own(self, value):
        grows = isinstance(value, torch.Tensor) and value.is_floating_point()
        return value + 0 * self.number if grows else value


class LogitsTransformer(Transformer):
    """A model that can be trained in here: `decode` gives logits, as it does in the capstone."""

    def decode(self, target_ids, memory, source_mask):
        return self.output(super().decode(target_ids, memory, source_mask))

    def forward(self, source_ids, target_ids):
        return self.decode(target_ids, *self.encode(source_ids))


def settings() -> list:
    """Calls that put back what holds for the whole process, as it is now.

    In a student's kernel, tests and answers share such settings. Here the tests have a process of
    their own, where float64 in place of float32, for example, is not set.
    """
    filters, folder = [*warnings.filters], os.getcwd()

    def as_before() -> None:
        warnings.resetwarnings()
        warnings.filters.extend(filters)
        os.chdir(folder)

    return [
        as_before,
        functools.partial(torch.set_default_dtype, torch.get_default_dtype()),
        functools.partial(torch.set_default_device, None),
        functools.partial(torch.set_grad_enabled, True),
        functools.partial(torch.set_num_threads, 1),
        functools.partial(torch.use_deterministic_algorithms, False),
        functools.partial(torch.autograd.set_detect_anomaly, False),
        functools.partial(torch.set_printoptions, profile="default"),
        functools.partial(numpy.set_printoptions, **numpy.get_printoptions()),
        functools.partial(numpy.seterr, **numpy.geterr()),
        functools.partial(numpy.random.seed, 0),
        functools.partial(random.seed, 0),
    ]


class Lines:
    """Lines of a cell that begin with ! or %: nothing is installed here, and no command runs.

    Such a line says so and does nothing more, so that the rest of its cell runs. Magics that only
    time or show something work as they do in a notebook.
    """

    def __init__(self, shell: InteractiveShell):
        self.ignored: list[str] = []
        self.magic = shell.run_line_magic
        shell.system = self.command
        shell.getoutput = lambda text, *_, **__: self.command(text) or []
        shell.run_line_magic = self.run_magic

    def command(self, text, *_, **__) -> None:
        self.leave_out(f"!{text}")

    def leave_out(self, line: str) -> None:
        self.ignored.append(line)
        print(f"{line}\nThis line did nothing: no command runs while your work is graded.")

    def run_magic(self, name, line, *arguments, **named):
        if name in ("pip", "conda", "mamba", "uv", "micromamba"):
            return self.leave_out(f"%{name} {line}")
        try:
            return self.magic(name, line, *arguments, **named)
        except Exception:
            if name in ("time", "timeit", "prun"):  # what they run has failed
                raise
            return self.leave_out(f"%{name} {line}".strip())


class Worker:
    def __init__(self, shell: InteractiveShell):
        self.lines = Lines(shell)
        self.shell, self.things, self.leaves = shell, [], {}
        self.run_cell = shell.run_cell
        self.limit, self.before = 30.0, 0.0
        self.settings = settings()

    # ---- What the examiner may ask ----

    def serve(self, name, *arguments):
        if name == "begin":  # a cell or a test: its processor time, and a seed
            self.limit, seed = arguments
            self.before = time.process_time()
            for put_back in [*self.settings, lambda: torch.manual_seed(seed)]:
                with contextlib.suppress(Exception):  # whatever the submission has done to it
                    put_back()
            return None
        signal.setitimer(signal.ITIMER_PROF, max(0.1, self.limit - self.spent()))
        try:
            return getattr(self, f"do_{name}")(*arguments)
        except CutOff as cut:
            raise RuntimeError(str(cut)) from None
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)

    def spent(self) -> float:
        return time.process_time() - self.before

    def do_cell(self, source: str):
        """Run a cell; what it printed and displayed, and the error or None."""
        self.lines.ignored.clear()
        with capture_output() as seen:
            result = self.run_cell(source)
        error = result.error_before_exec or result.error_in_exec
        rich = [o.data for o in seen.outputs if size(o.data) <= RICH]
        return {
            "printed": [seen.stdout[:CHARACTERS], seen.stderr[:CHARACTERS]],
            "displayed": json.dumps(rich, default=str),
            "error": error and f"{type(error).__name__}: {error}"[:2000],
            "ignored": [line[:200] for line in self.lines.ignored[:5]],
        }

    def do_definitions(self, source: str):
        """Run a test cell's functions, classes and imports, which later cells may use."""
        kinds = (ast.FunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
        found = [node for node in ast.parse(source).body if isinstance(node, kinds)]
        exec(compile(ast.Module(found, []), "a test cell", "exec"), self.shell.user_ns)

    def do_get(self, thing, name: str):
        return getattr(thing, name)

    def do_call(self, thing, arguments, named, grows: bool):
        with torch.set_grad_enabled(grows):
            return thing(*arguments, **named)

    def do_list(self, thing):
        return list(thing)

    def do_item(self, thing, index):
        return thing[slice(*index[1:]) if isinstance(index, tuple) else index]

    def do_backward(self, outputs, gradients, inputs):
        tensors = [self.things[i] for i in outputs]
        leaves = [self.leaves[i] for i in inputs]
        for leaf in leaves:
            leaf.grad = None
        pairs = [(t, g) for t, g in zip(tensors, gradients, strict=True) if t.requires_grad]
        torch.autograd.backward([t for t, _ in pairs], [g for _, g in pairs], retain_graph=True)
        return [torch.zeros_like(x) if x.grad is None else x.grad for x in leaves]

    # ---- What is not plain ----

    def keep(self, thing) -> int:
        for index, known in enumerate(self.things):
            if known is thing:
                return index
        self.things.append(thing)
        return len(self.things) - 1

    def mention(self, value):
        if isinstance(value, torch.Tensor):
            if not value.requires_grad:
                return value
            if not value.is_leaf:
                return Mark("grown", [value.detach(), self.keep(value)])
            grown = value.grad is not None
            return Mark("leaf", [value.detach(), value.grad.detach()]) if grown else value.detach()
        if isinstance(value, Batch):
            return Mark("batch", [value.source_ids, value.target_ids])
        return Mark("thing", self.keep(value))

    def meaning(self, kind, content):
        if kind == "thing":
            return self.things[content]
        if kind == "name":
            return self.shell.user_ns.get(content, Missing(content))
        if kind == "leaf":
            tensor, number = content
            self.leaves[number] = tensor.requires_grad_()
            return tensor
        if kind == "batch":
            return Batch(*content)
        if kind == "function":
            return lambda *arguments, **named: wire.ask(
                content, list(arguments), named, torch.is_grad_enabled()
            )
        if kind == "model":
            return Model(content)
        what, numbers, state, methods = content
        if what == "MultiHeadAttention":
            made = MultiHeadAttention(**numbers)
        else:
            kind = LogitsTransformer if what == "LogitsTransformer" else Transformer
            made = kind(TransformerConfig(**numbers))
        made.load_state_dict(state)
        for place, method in methods.items():  # of the model, or of one of its layers
            owner, _, name = place.rpartition(".")
            setattr(made.get_submodule(owner), name, method)
        return made.eval()


def size(data: dict) -> int:
    return sum(len(str(value)) for value in data.values())


def limit_everything(megabytes: int, processes: int) -> None:
    """Limits that this process cannot raise again. Processor time: see sandbox.py."""
    for what, most in (
        (resource.RLIMIT_DATA, megabytes * 1_000_000),
        (resource.RLIMIT_FSIZE, 20_000_000),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 256),
        (resource.RLIMIT_NPROC, processes),
    ):
        hard = resource.getrlimit(what)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))


if __name__ == "__main__":
    reader, writer, megabytes, processes = map(int, sys.argv[2:6])
    limit_everything(megabytes, processes)
    torch.set_num_threads(1)
    signal.signal(signal.SIGPROF, cut_off)
    quiet = Config()
    quiet.HistoryManager.enabled = False
    shell = InteractiveShell.instance(config=quiet)
    shell.displayhook.write_output_prompt = lambda: None
    worker = Worker(shell)
    wire = Wire(reader, writer, worker.serve, worker.mention, worker.meaning)
    wire.send("answer", "ready")
    while True:
        _, request = wire.receive()
        wire.answer(request)
