"""What an answer reaches for that no task needs: a reason to look at it, never points.

A submission that looks for the expected value in memory, replaces torch's methods or starts
another program earns nothing by it (sandbox.py, examiner.py). But whoever grades should know that
somebody has tried. So this goes through the syntax tree of every cell that a student wrote, and
names what only somebody who is after the grader has a use for. What honest answers do as well,
such as `gc.collect`, `os.cpu_count` or `inspect.signature`, isn't named.
"""

import ast
from collections.abc import Iterable

from tools.grading.forbidden import Texts, called_by, code_in, folded, parsed, root, texts_in

# {module: the names in it that are named; None is all of them}
MODULES: dict[str, set[str] | None] = {
    "subprocess": None,
    "ctypes": None,
    "signal": None,
    "socket": None,
    "ptrace": None,
    "faulthandler": None,
    "gc": {"get_objects", "get_referrers", "get_referents", "callbacks"},
    "inspect": {
        *("stack", "trace", "currentframe", "getframeinfo", "getouterframes", "getinnerframes"),
        *("getargvalues", "getclosurevars", "getgeneratorlocals"),
    },
    "sys": {
        *("_getframe", "_getframemodulename", "_current_frames", "settrace", "setprofile"),
        *("modules", "meta_path", "path_hooks", "excepthook", "unraisablehook", "addaudithook"),
    },
    "os": {
        *("system", "popen", "fork", "forkpty", "kill", "killpg", "_exit", "abort", "setsid"),
        *("write", "writev", "pwrite", "read", "dup", "dup2", "pipe", "open", "fdopen", "close"),
        *("getppid", "walk", "scandir", "fwalk", "environb", "symlink", "link", "mount", "chroot"),
        *(f"{verb}{end}" for verb in ("exec", "spawn") for end in ("l", "le", "lp", "v", "ve")),
        *("execvp", "execvpe", "execlpe", "posix_spawn", "spawnvp", "register_at_fork"),
    },
    "builtins": None,
    "importlib": {"reload"},
    "atexit": None,
}
# Attributes that lead from any object to what it was not given.
INNER = {
    *("f_back", "f_locals", "f_globals", "f_builtins", "tb_frame", "gi_frame", "cr_frame"),
    *("__globals__", "__builtins__", "__closure__", "__code__", "__subclasses__", "_getframe"),
}
# Methods by which an object can pretend to be something else.
PRETENCE = {"__reduce__", "__reduce_ex__", "__torch_function__", "__torch_dispatch__"}
PRETENCE |= {"__class__", "__instancecheck__", "__subclasscheck__", "__eq__"}
TESTS = {"agree", "differ"}  # what the tests compare with
ERRORS = {"AssertionError", "Exception", "BaseException"}
LIBRARIES = {"torch", "nn", "F", "math", "numpy", "np", "random", "builtins", "sys"}
SETTINGS = {"backends"}  # of torch, which may be set: torch.backends.cudnn.benchmark = True
SHELL = {"run_line_magic", "run_cell_magic", "system", "getoutput"}  # %time, !pip install


def reaches_for(source: str, cells: Iterable[str] = ()) -> list[str]:
    """What is named in a cell, each thing once, in the order in which it comes.

    `cells` are the notebook's other cells, whose imports it may use.
    """
    nodes = parsed(source)
    try:
        texts = texts_in(nodes)
        nodes = [*nodes, *in_texts(nodes, texts)]
        known = imported([*nodes, *(one for cell in cells for one in parsed(cell))])
        return list(dict.fromkeys(name for node in nodes for name in named(node, texts, known)))
    except (RecursionError, MemoryError):
        return ["(nested too deeply to be followed)"]


def in_texts(nodes: list[ast.stmt], texts: Texts, deep: int = 3) -> list[ast.stmt]:
    """The statements in texts that are run as code, such as exec("import gc")."""
    calls = [part for node in nodes for part in ast.walk(node) if isinstance(part, ast.Call)]
    found = [one for call in calls for one in code_in(call, texts)]
    return found + (in_texts(found, texts, deep - 1) if found and deep else [])


def named(node: ast.stmt, texts: Texts, known: dict[str, str]) -> Iterable[str]:
    asked = {part.value for part in ast.walk(node) if isinstance(part, ast.Attribute)}
    for part in ast.walk(node):
        if isinstance(part, ast.Import):
            for alias in part.names:
                module = alias.name.split(".")[0]
                if MODULES.get(module, set()) is None:
                    yield module
        elif isinstance(part, ast.ImportFrom):
            module = (part.module or "").split(".")[0]
            for alias in part.names:
                if module in MODULES and is_in(module, alias.name):
                    yield f"{module}.{alias.name}"
        elif isinstance(part, ast.Attribute):
            yield from attribute(part, known)
        elif isinstance(part, ast.Name):
            if isinstance(part.ctx, ast.Store) and part.id in ERRORS | TESTS:
                yield f"{part.id} = …"
            elif part.id == "__builtins__":
                yield part.id
        elif isinstance(part, ast.FunctionDef) and part.name in TESTS:
            yield f"def {part.name}"
        elif isinstance(part, ast.ClassDef):
            yield from pretence(part)
        elif isinstance(part, ast.Call):
            if called_by(part) == "get_ipython" and part not in asked:
                yield "get_ipython()"
            yield from call(part, texts)


def imported(nodes: list[ast.stmt]) -> dict[str, str]:
    """{name: module} of the modules that these statements import."""
    return {
        alias.asname or alias.name.split(".")[0]: alias.name.split(".")[0]
        for node in nodes
        for part in ast.walk(node)
        if isinstance(part, ast.Import)
        for alias in part.names
    }


def is_in(module: str, name: str) -> bool:
    names = MODULES[module]
    return names is None or name in names


def attribute(part: ast.Attribute, known: dict[str, str]) -> Iterable[str]:
    if part.attr in INNER:
        yield part.attr
    if isinstance(part.value, ast.Name):
        module = known.get(part.value.id, "")
        if module in MODULES and is_in(module, part.attr):
            yield f"{module}.{part.attr}"
    above = part.value
    shell = isinstance(above, ast.Call) and called_by(above) == "get_ipython"
    if shell and part.attr not in SHELL:
        yield f"get_ipython().{part.attr}"
    if isinstance(part.ctx, ast.Store) and is_foreign(part):
        yield f"{ast.unparse(part)} = …"
    elif isinstance(part.ctx, ast.Store) and part.attr in PRETENCE:
        yield f"{part.attr} = …"


def is_foreign(part: ast.Attribute) -> bool:
    """Whether it belongs to a library: torch.equal, but not torch.backends.cudnn.benchmark."""
    first: ast.expr = part
    while isinstance(first, ast.Attribute) and isinstance(first.value, ast.Attribute):
        first = first.value
    setting = isinstance(first, ast.Attribute) and first.attr in SETTINGS
    return bool(root(part) & (LIBRARIES | ERRORS)) and not setting


def pretence(part: ast.ClassDef) -> Iterable[str]:
    for inner in part.body:
        names = [getattr(inner, "name", "")]
        if isinstance(inner, ast.Assign):
            names = [target.id for target in inner.targets if isinstance(target, ast.Name)]
        yield from (f"{part.name}.{name}" for name in names if name in PRETENCE)


def call(part: ast.Call, texts: Texts) -> Iterable[str]:
    called = called_by(part)
    bare = isinstance(part.func, ast.Name)
    arguments = [folded(one, texts) for one in part.args[:2]]
    if called in ("__import__", "import_module") and arguments and arguments[0]:
        module = arguments[0].split(".")[0]
        if module in MODULES:  # nobody who needs one of them imports it like this
            yield module
    elif called in ("getattr", "setattr", "delattr") and bare and len(arguments) == 2:
        name, foreign = arguments[1] or "", root(part.args[0]) & (LIBRARIES | ERRORS)
        if called != "getattr" and foreign:
            yield f"{called}({', '.join(sorted(foreign))}, …)"
        module = next(iter(root(part.args[0])), "")
        if name in INNER or (module in MODULES and name and is_in(module, name)):
            yield f"{module}.{name}" if module in MODULES else name
    elif called in ("system", "getoutput") and is_shell(part.func):
        line = (arguments[0] if arguments else None) or "…"
        if not line.startswith(("pip ", "uv ")):
            yield f"!{line[:30]}"


def is_shell(node: ast.AST) -> bool:
    """Whether it is get_ipython().system, which a line with ! becomes."""
    above = getattr(node, "value", None)
    return isinstance(above, ast.Call) and called_by(above) == "get_ipython"


def files_read(nodes: list[ast.stmt]) -> list[str]:
    """How the code that an answer leads to looks at files, which no task needs."""
    ways = {"open", "read_text", "read_bytes", "rglob", "glob", "iglob", "fromfile", "memmap"}
    calls = [part for node in nodes for part in ast.walk(node) if isinstance(part, ast.Call)]
    return list(dict.fromkeys(called_by(one) for one in calls if called_by(one) in ways))
