"""`python -m tools.mutants [file …]` breaks one line at a time and sees whether a test notices.

A *mutant* is a function of the core with one small change: a sum becomes a difference, an argument
is left out, a call is skipped, a statement is gone. If none of the tests that belong to the file
fails, the mutant has survived, which means that the tests promise less than the code does.

Survivors that do no harm are listed with the reason in tests/surviving_mutants.toml. This command
fails if a mutant survives that is not in the list, or if one in the list no longer does.

The changes are mutmut's, plus a few of our own (`OURS`) that look like the mistakes people make.
The rest is ours for two reasons. mutmut leaves decorated functions alone, which here means
`record_attention` and every property, and it starts pytest anew for each mutant. Here the tests of
a file are collected once. Each mutant is a fork of that process in which one function gets other
code, and only the tests that read the changed line run, the fastest first.
"""

import argparse
import gc
import importlib
import os
import pickle
import signal
import sys
import tempfile
import time
import tomllib
import types
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

try:
    import resource
except ImportError:
    raise SystemExit(
        "make mutants starts a copy of itself for each change (os.fork), and Windows has no such "
        "call. Run it on Linux or macOS; the Windows Subsystem for Linux will do."
    ) from None

import coverage
import libcst as cst
import pytest
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation import mutators

ROOT = Path(__file__).parents[1]
HARMLESS = ROOT / "tests" / "surviving_mutants.toml"
WANTED = 0.95  # the share of mutants that the tests must notice
ALSO = {  # the files that are mutated, the most important first, and whose tests help their own
    "training": "distributed float16",
    "attention": "cache transformer",
    "layers": "dropout transformer",
    "masks": "transformer who_sees_what cache",
    "decoding": "cache",
    "dropout": "",
    "cache": "decoding",
    "encoder": "transformer",
    "decoder": "transformer cache who_sees_what",
    "transformer": "cache who_sees_what",
    "batching": "",
    "checkpoints": "",
    "lessons/published_weights": "lessons/marian lessons/t5",
    "lessons/marian": "lessons/published_weights",
    "lessons/t5": "lessons/published_weights",
    "lessons/torch_nn": "transformer",
    "distributed": "float16",
    "evaluation": "training",
}
UNTRIED = 3  # the exit status of a process whose mutant could not be made
SLOW_ONES_TOO = "distributed"  # two processes are slow to start, but nothing else tests them


# ---- What is changed ---------------------------------------------------------------------------


def skip_call(node: cst.Call) -> Iterator[cst.BaseExpression]:
    """f(x, …) -> x, and x.f(…) -> x: `self.dropout(found)`, `scores.masked_fill(mask, 0)`."""
    first = node.args[0] if node.args else None
    # `sum(x for …)` and `x.size(1).f()` would become `x for …` and `1.f()`, which is not Python.
    no_operand = cst.GeneratorExp | cst.Integer
    if first and not (first.star or first.keyword or isinstance(first.value, no_operand)):
        # Nor are -1.long(), and a text on two lines without brackets, Python.
        lonely = isinstance(first.value, cst.UnaryOperation | cst.ConcatenatedString)
        brackets = {"lpar": [cst.LeftParen()], "rpar": [cst.RightParen()]} if lonely else {}
        yield first.value.with_changes(**brackets)
    owner = getattr(node.func, "value", None) if isinstance(node.func, cst.Attribute) else None
    if owner is not None and getattr(owner, "value", None) not in NO_TENSORS:
        yield owner


NO_TENSORS = {"self", "torch", "F", "nn", "dist", "math", "json", "copy", "os", "time", "random"}


def leave_out_argument(node: cst.Call) -> Iterator[cst.Call]:
    """f(a, b) -> f(a) and f(b). (None in its place, as in mutmut, crashes nearly always.)"""
    for new in mutators.operator_arg_removal(node):
        if len(new.args) < len(node.args) and guards(new) == guards(node):
            yield new


def guards(node: cst.Call) -> int:
    """zip(…, strict=True) is an assertion: in correct code it never fires."""
    return sum(arg.keyword is not None and arg.keyword.value == "strict" for arg in node.args)


def drop_term(node: cst.BinaryOperation) -> Iterator[cst.BaseExpression]:
    """a + b -> a."""
    yield node.left


def force(node: cst.If | cst.While) -> Iterator[cst.BaseExpression]:
    """An `if` that always holds, or never; a `while` that ends at once."""
    for name in ("True", "False") if isinstance(node, cst.If) else ("False",):
        yield cst.Name(name)


def delete(node: cst.SimpleStatementLine) -> Iterator[cst.SimpleStatementLine]:
    """A call or a `raise` that is gone."""
    (statement, *more) = node.body
    called = isinstance(statement, cst.Expr) and isinstance(statement.value, cst.Call)
    if not more and (called or isinstance(statement, cst.Raise)):
        yield node.with_changes(body=[cst.Pass()])


def other_string(node: cst.SimpleString) -> Iterator[cst.SimpleString]:
    """mutmut writes each text in three other ways; one is enough."""
    yield from list(mutators.operator_string(node))[:1]


OURS = [
    (cst.Call, skip_call),
    (cst.Call, leave_out_argument),
    (cst.BinaryOperation, drop_term),
    (cst.If | cst.While, force),
    (cst.SimpleStatementLine, delete),
    (cst.SimpleString, other_string),
]
# `a = None` is left out because it crashes, and a crash says nothing about the tests.
LEFT_OUT = {
    mutators.operator_string,
    mutators.operator_arg_removal,
    mutators.operator_assignment,
}
OPERATORS = [*OURS, *(pair for pair in mutators.mutation_operators if pair[1] not in LEFT_OUT)]


@dataclass(frozen=True)
class Mutant:
    function: str  # the outermost function around the change, for example "Embedding.forward"
    before: str  # the statement, on one line
    after: str
    lines: range  # of the statement
    old: cst.CSTNode
    new: cst.CSTNode

    def __str__(self) -> str:
        return f"{self.function}: {self.before}  ->  {self.after}"


class Finder(cst.CSTVisitor):
    """All mutants of a module. Messages of errors, annotations and decorators stay as they are."""

    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self, module: cst.Module):
        self.module, self.found = module, {}
        self.names: list[str] = []
        self.function: cst.FunctionDef | None = None
        self.context: cst.CSTNode | None = None  # the statement, or the head of one

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.Annotation | cst.Decorator | cst.ImportFrom | cst.Import):
            return False
        if isinstance(node, cst.Expr) and isinstance(node.value, cst.SimpleString):
            return False  # a docstring
        if isinstance(node, cst.ClassDef | cst.FunctionDef) and self.function is None:
            self.names.append(node.name.value)
        if isinstance(node, cst.FunctionDef) and self.function is None:
            self.function = node
        if self.function is None:
            return True
        if isinstance(node, cst.Call) and getattr(node.func, "value", "") in UNTOUCHED:
            return False
        if isinstance(node, cst.Arg) and node.keyword and node.keyword.value == "strict":
            return False
        heads = cst.SimpleStatementLine | cst.BaseExpression | cst.Param | cst.WithItem
        if self.context is None and isinstance(node, heads):
            self.context = node
        for kind, operator in OPERATORS:
            if isinstance(node, kind):
                for new in operator(node):
                    self.note(node.test if operator is force else node, new)
        return not isinstance(node, cst.Raise)

    def on_leave(self, node: cst.CSTNode) -> None:
        if node is self.context:
            self.context = None
        if node is self.function:
            self.function = None
        if isinstance(node, cst.ClassDef | cst.FunctionDef) and self.function is None:
            self.names.pop()

    def note(self, old: cst.CSTNode, new: cst.CSTNode) -> None:
        head = self.context or old
        before = self.text(head)
        after = self.text(new if head is old else head.deep_replace(old, new))
        if after == before or ("super()" in before and "super()" not in after):
            return  # without super() a function has another closure, and it never survives
        position = self.get_metadata(PositionProvider, head)
        lines = range(position.start.line, position.end.line + 1)
        mutant = Mutant(".".join(self.names), before, after, lines, old, new)
        self.found.setdefault(str(mutant), mutant)

    def text(self, node: cst.CSTNode) -> str:
        lines = self.module.code_for_node(node).splitlines()
        code = (line.partition("  #")[0] for line in lines if not line.strip().startswith("#"))
        return " ".join(" ".join(code).split())


UNTOUCHED = {"len", "isinstance", "super"}


def mutants_of(file: Path) -> tuple[cst.Module, list[Mutant]]:
    wrapper = MetadataWrapper(cst.parse_module(file.read_text(encoding="utf8")))
    finder = Finder(wrapper.module)
    wrapper.visit(finder)
    return wrapper.module, list(finder.found.values())


# ---- Whether a test notices --------------------------------------------------------------------


def function_of(module: types.ModuleType, name: str) -> types.FunctionType:
    """The plain function behind a name, whatever decorates it."""
    first, *rest = name.split(".")
    found = vars(module)[first]
    for part in rest:
        found = vars(found)[part]
    if isinstance(found, property):
        found = found.fget
    return getattr(found, "__wrapped__", found)


def put_into(live: types.ModuleType, tree: cst.Module, mutant: Mutant) -> None:
    """Give one function of a module, which others have imported already, the mutant's code.

    Raises whatever compiling it raises: such a mutant is a mistake of this tool, because no test
    has had anything to notice.
    """
    broken = types.ModuleType(live.__name__)
    code = tree.deep_replace(mutant.old, mutant.new).code
    with warnings.catch_warnings():  # Python's, of code such as (-1)[0]: a test is to notice it
        warnings.simplefilter("ignore")
        exec(compile(code, live.__file__, "exec"), vars(broken))
    old, new = (function_of(module, mutant.function) for module in (live, broken))
    old.__code__ = new.__code__
    old.__defaults__, old.__kwdefaults__ = new.__defaults__, new.__kwdefaults__


def in_fork(work: Callable):
    """What work() returns, computed in a copy of this process, which it cannot change."""
    with tempfile.NamedTemporaryFile() as file:
        child = os.fork()
        if not child:
            try:
                pickle.dump(work(), open(file.name, "wb"))  # noqa: SIM115
            except BaseException as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr)
                os._exit(1)
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            sys.exit("the process that should measure this file has ended with an error")
        return pickle.load(file)


class Session:
    """The plugin with which pytest, having collected the tests of a file, runs its mutants."""

    def __init__(self, name: str, processes: int):
        self.file = ROOT / "helpers" / f"{name}.py"
        self.slow_too, self.processes = name in SLOW_ONES_TOO, processes
        self.is_mutant, self.failed = False, []
        # Of each test, without a mutant: of the processor, and on the clock.
        self.seconds: dict[str, tuple[float, float]] = {}
        self.readers: dict[int, list[str]] = {}  # which tests read a line
        self.count, self.survived, self.untried = 0, [], []

    def pytest_collection_modifyitems(self, items: list) -> None:
        if not self.slow_too:
            items[:] = [item for item in items if not item.get_closest_marker("slow")]

    def pytest_runtest_makereport(self, call) -> None:
        if call.excinfo and not call.excinfo.errisinstance(pytest.skip.Exception):
            if self.is_mutant:
                os._exit(1)  # before pytest works out how to show what failed
            self.failed.append(str(call.excinfo.getrepr(style="short")))

    def pytest_runtestloop(self, session) -> bool:
        if session.testsfailed:
            return False  # a file of tests that cannot be imported; pytest says which
        import hypothesis  # not earlier, or pytest complains that it cannot rewrite it

        hypothesis.settings.register_profile("mutants", database=None, derandomize=True)
        hypothesis.settings.load_profile("mutants")
        items = {item.nodeid: item for item in session.items}
        self.failed, self.seconds, self.readers = in_fork(lambda: self.measure(items))
        if self.failed:
            print("\n".join(["a test fails without any mutant:", *self.failed]))
            os._exit(1)
        module = ".".join(self.file.relative_to(ROOT).with_suffix("").parts)
        live, (tree, mutants) = importlib.import_module(module), mutants_of(self.file)
        gc.freeze()  # a fork that collects garbage would copy every page that it looks at
        running: dict[int, Mutant] = {}

        def wait() -> None:
            child, status = os.wait()
            mutant = running.pop(child)
            if status == 0:
                self.survived.append(str(mutant))
            elif os.waitstatus_to_exitcode(status) == UNTRIED:
                self.untried.append(str(mutant))

        for mutant in mutants:
            if len(running) >= self.processes:
                wait()
            child = os.fork()
            if not child:
                self.try_out(live, tree, mutant, items)
            running[child] = mutant
        while running:
            wait()
        self.count = len(mutants)
        return True

    def measure(self, items: dict) -> tuple[list[str], dict, dict]:
        """Run every test once: what failed, the seconds of each, and which lines it reads."""
        watch = coverage.Coverage(include=[str(self.file)], data_file=None, config_file=False)
        watch.start()
        for item, following in in_turn(items.values()):
            watch.switch_context(item.nodeid)
            began = time.process_time(), time.perf_counter()
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            ended = time.process_time(), time.perf_counter()
            self.seconds[item.nodeid] = (ended[0] - began[0], ended[1] - began[1])
        watch.stop()
        readers = watch.get_data().contexts_by_lineno(str(self.file))
        return self.failed, self.seconds, readers

    def try_out(self, live, tree, mutant: Mutant, items: dict) -> None:
        """Ends this process: with 0 if the mutant survives, 1 if a test fails or takes too long.

        With UNTRIED if the mutant cannot even be compiled, so that no test could see it.
        """
        self.is_mutant = True
        in_silence()
        try:
            put_into(live, tree, mutant)
        except BaseException:
            os._exit(UNTRIED)
        try:
            readers = {name for line in mutant.lines for name in self.readers.get(line, ())} - {""}
            elsewhere = {name for name in items if items[name].get_closest_marker("slow")}
            names = (
                readers | elsewhere if readers else items.keys()
            )  # all for an argument's default
            tests = [
                items[name] for name in sorted(names, key=lambda name: max(self.seconds[name]))
            ]
            for test, following in in_turn(tests):
                computing, waiting = self.seconds[test.nodeid]
                signal.setitimer(signal.ITIMER_PROF, 5 + 10 * computing)
                signal.setitimer(signal.ITIMER_REAL, 60 + 20 * waiting)  # it waits for ever
                test.config.hook.pytest_runtest_protocol(item=test, nextitem=following)
            os._exit(0)
        finally:
            os._exit(1)


def in_turn(tests) -> Iterator[tuple]:
    """Each test, and the one after it, with which it may share fixtures."""
    tests = list(tests)
    return zip(tests, [*tests[1:], None], strict=True)


def in_silence() -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nothing, stream)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run(name: str, processes: int) -> tuple[int, list[str], list[str]]:
    """How many mutants a file has, which survive, and which could not be tried."""
    session = Session(name, processes)
    places = [Path(place) for place in (name, *ALSO[name].split())]
    tests = [str(ROOT / "tests" / place.with_name(f"test_{place.name}.py")) for place in places]
    quiet = ["-p", "no:terminal", "-p", "no:cacheprovider", "-s", "--assert=plain"]
    if pytest.main([*tests, *quiet], plugins=[session]) or not session.count:
        sys.exit(f"pytest could not collect the tests of {name}: {', '.join(tests)}")
    return session.count, session.survived, session.untried


# ---- The report --------------------------------------------------------------------------------


def read_harmless() -> dict[str, set[str]]:
    """What is expected to survive: {file: {mutant}}."""
    listed = defaultdict(set)
    if HARMLESS.is_file():
        for entry in tomllib.loads(HARMLESS.read_text(encoding="utf8"))["harmless"]:
            listed[entry["file"]].update(entry["mutants"])
    return listed


def line(name: str, counts: Counter) -> str:
    killed = counts["mutants"] - counts["survived"]
    share = killed / max(1, counts["mutants"])
    numbers = f"{counts['mutants']:9d}{killed:9d}{counts['survived']:10d}{share:9.1%}"
    return f"{name:36s}{numbers}{counts['seconds']:8d} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("files", nargs="*", help="such as training or lessons/t5; default: all")
    parser.add_argument("--processes", type=int, default=1, help="how many mutants at a time")
    arguments = parser.parse_args()
    for name in arguments.files:
        if name not in ALSO:
            parser.error(f"files must be among {', '.join(ALSO)}, got {name}")
    os.chdir(ROOT)
    importlib.import_module("torch._dynamo")  # once, before the forks: an optimizer wants it
    harmless, problems, total, untried = read_harmless(), [], Counter(), 0
    print(f"{'file':36s}{'mutants':>9s}{'killed':>9s}{'survived':>10s}{'share':>9s}{'time':>10s}")
    for name in arguments.files or ALSO:
        began = time.perf_counter()
        count, survived, broken = in_fork(lambda name=name: run(name, arguments.processes))
        seconds = round(time.perf_counter() - began)
        counts = Counter(mutants=count, survived=len(survived), seconds=seconds)
        total += counts
        print(line(f"helpers/{name}.py", counts), flush=True)
        new = [mutant for mutant in survived if mutant not in harmless[name]]
        gone = sorted(harmless[name].difference(survived))
        untried += len(broken)
        for mutant in broken:
            print(f"    could not be compiled, a mistake of this tool: {mutant}", flush=True)
        for title, mutants in (("not in the list", new), ("in the list, but noticed", gone)):
            for mutant in mutants:
                print(f"    {title}: {mutant}", flush=True)
                problems.append(mutant)
    print(line("all", total))
    if untried:
        sys.exit(f"{untried} mutants could not be compiled: correct the operators in this file")
    if problems or total["survived"] > (1 - WANTED) * total["mutants"]:
        sys.exit(
            f"{len(problems)} mutants differ from what {HARMLESS.name} says, and "
            f"{total['survived']} of {total['mutants']} survived; at most {1 - WANTED:.0%} may"
        )


if __name__ == "__main__":
    main()
