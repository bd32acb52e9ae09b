"""Which of the words that a task forbids its answer uses, itself or through what it calls.

Only the task's own cell counts, and whatever in the student's other cells it leads to. So it does
no harm to compare with torch's class in a scratch cell. A class of the student's own may have the
same name: `nn.MultiheadAttention` is still torch's then, but `MultiheadAttention` isn't.

A name may be put together from constants, as in `getattr(nn, "Multihead" + "Attention")`, also by
way of variables that are assigned once. What is put together in any other way is not guessed. It is
only reported, so that a person looks at it.
"""

import ast
import re
import symtable
from collections.abc import Iterable
from dataclasses import dataclass

from IPython.core.inputtransformer2 import TransformerManager

# Calls that run text as code or look something up by its name, and look-ups in dictionaries such as
# vars(nn).get("Transformer"). Other strings are only text: a label may say "Transformer".
AS_CODE = {"eval", "exec", "run_cell", "run_cell_async", "run_code", "ex", "ev"}
AS_CODE |= {"run_cell_magic", "run_line_magic", "getattr", "attrgetter", "methodcaller"}
AS_CODE |= {"import_module", "__import__", "locate", "resolve_name", "import_item"}
AS_CODE |= {"__getattr__", "__getattribute__"}
CODE = {"eval", "exec", "run_cell", "run_cell_async", "run_code", "ex", "ev", "compile"}
NAMED = {"getattr": 1, "__getattr__": -1, "__getattribute__": -1}  # which argument is the name
# Where all names of a module can be had, to choose one by any rule.
NAMESPACES = {"vars", "globals", "locals", "dir", "__dir__", "getmembers", "__subclasses__"}
AS_KEY = {"get", "pop", "setdefault", "__getitem__", "itemgetter"}


Texts = dict[str, str]  # {variable: the text that it has, as far as it is known}


@dataclass
class Statement:
    """A statement at the outermost level of a cell."""

    node: ast.stmt
    defines: set[str]
    needs: set[str]  # names of the notebook that it uses
    words: set[str]  # attributes, modules and other words in it
    bare: set[str]  # names, which may be those of the student's own classes
    computed: list[str]  # calls that look up a name that cannot be known without running them


def parsed(source: str) -> list[ast.stmt]:
    """The statements of a cell, with or without magics; none if it is not Python."""
    lines = source.splitlines(keepends=True)
    if lines and lines[0].startswith("%%"):  # such as %%time
        lines = lines[1:]
    try:
        return ast.parse(TransformerManager().transform_cell("".join(lines))).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def statement(node: ast.stmt, texts: Texts) -> Statement:
    patched: set[str] = set()
    words: set[str] = set()
    bare: set[str] = set()
    computed = []
    above = {child: part for part in ast.walk(node) for child in ast.iter_child_nodes(part)}
    inner = []  # statements in texts that are run as code
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            bare.add(part.id)
        elif isinstance(part, ast.Attribute):
            (bare if is_self(part.value) else words).add(part.attr)
            patched |= root(part) if isinstance(part.ctx, ast.Store) else set()  # A.forward = …
        elif isinstance(part, ast.alias):
            words |= {*part.name.split(".")}
        elif isinstance(part, ast.ImportFrom):
            words |= {*(part.module or "").split(".")}
        elif isinstance(part, ast.Call):
            called = called_by(part)
            patched |= root(part.args[0]) if called == "setattr" and part.args else set()
            arguments = [*part.args, *(keyword.value for keyword in part.keywords)]
            if called in AS_CODE or is_code(part):
                words |= {w for argument in arguments for w in written(argument, texts)}
                if any(unknown(one, texts) for one in naming(called, arguments)):
                    computed.append(ast.unparse(part)[:60])
            elif called in AS_KEY:
                words |= {w for argument in arguments[:1] for w in spelt(argument, texts)}
            inner += code_in(part, texts)
        elif isinstance(part, ast.Subscript):  # vars(nn)["Transformer"]
            words |= spelt(part.slice, texts)
            if is_namespace(part.value) and unknown(part.slice, texts):
                computed.append(ast.unparse(part)[:60])
        if is_namespace(part) and not is_looked_up(part, above, texts):
            computed.append(ast.unparse(part)[:60])
    scope = symtable.symtable(ast.unparse(node), "a cell", "exec")
    needs, defines = names_of(scope)
    found = Statement(node, defines | (patched & needs), needs, words, bare, computed)
    for one in (statement(child, texts) for child in inner):
        found.defines |= one.defines
        found.needs |= one.needs
        found.words |= one.words
        found.bare |= one.bare
        found.computed += one.computed
    return found


def looked_at(node: ast.stmt, texts: Texts) -> Statement:
    """The same, also for code that is nested too deeply to be followed."""
    try:
        return statement(node, texts)
    except (RecursionError, MemoryError, ValueError, SyntaxError):
        parts = [*ast.walk(node)]
        names = {part.id for part in parts if isinstance(part, ast.Name)}
        words = names | {part.attr for part in parts if isinstance(part, ast.Attribute)}
        return Statement(node, names, names, words, set(), ["(nested too deeply to be followed)"])


def called_by(call: ast.Call) -> str:
    return getattr(call.func, "id", getattr(call.func, "attr", ""))


def is_code(call: ast.Call) -> bool:
    """Whether it runs text as code: exec, but not re.compile."""
    called = called_by(call)
    return called in CODE and (called != "compile" or isinstance(call.func, ast.Name))


def naming(called: str, arguments: list[ast.expr]) -> list[ast.expr]:
    """The arguments that say what is looked up or run."""
    if called in NAMED:
        return arguments[NAMED[called] :][:1]
    return arguments if called in ("attrgetter",) else arguments[:1]


def is_namespace(node: ast.AST) -> bool:
    """vars(nn), globals(), nn.__dict__, but not vars(self)"""
    if isinstance(node, ast.Call) and called_by(node) in NAMESPACES:
        return not (node.args and is_self(node.args[0]))
    return isinstance(node, ast.Attribute) and node.attr == "__dict__" and not is_self(node.value)


def is_self(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def is_looked_up(node: ast.AST, above: dict[ast.AST, ast.AST], texts: Texts) -> bool:
    """Whether one name is looked up in a namespace, as in vars(nn)["Linear"], and we know which.

    For a subscript that we don't know, there is a line already.
    """
    parent = above.get(node)
    if isinstance(parent, ast.Subscript):
        return parent.value is node
    if isinstance(parent, ast.Compare):  # "x" in globals()
        return True
    call = above.get(parent) if parent is not None else None
    asked = isinstance(parent, ast.Attribute) and parent.attr in AS_KEY
    if not asked or not isinstance(call, ast.Call) or not call.args:
        return False
    return not unknown(call.args[0], texts)


def code_in(call: ast.Call, texts: Texts) -> list[ast.stmt]:
    """What a call such as exec("x = 1") runs, if that can be known."""
    if not is_code(call):
        return []
    arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
    known = [text for one in arguments[:1] if (text := folded(one, texts)) is not None]
    return [node for text in known for node in parsed(text)]


# ---- Texts that are put together ----


def folded(node: ast.AST, texts: Texts) -> str | None:
    """The text that an expression has if it is made of constants; None if it is not."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.Name):
        return texts.get(node.id)
    if isinstance(node, ast.NamedExpr):
        return folded(node.value, texts)
    parts: list = []
    between: str | None = ""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        parts = [node.left, node.right]
    elif isinstance(node, ast.JoinedStr):
        parts = [p.value if isinstance(p, ast.FormattedValue) else p for p in node.values]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
        between = folded(node.func.value, texts) if node.func.attr == "join" else None
        parts = getattr(node.args[0], "elts", [])
    found = [folded(part, texts) for part in parts]
    if not parts or between is None or any(text is None for text in found):
        return None
    return between.join(text for text in found if text is not None)


def unknown(node: ast.AST, texts: Texts) -> bool:
    """Whether a name that is looked up can only be known by running the code."""
    inside = node
    if isinstance(node, ast.Call) and is_code(node) and node.args:  # exec(compile(…))
        inside = node.args[0]
    if isinstance(inside, ast.NamedExpr):
        return unknown(inside.value, texts)
    return folded(inside, texts) is None


def texts_in(trees: list[ast.stmt]) -> Texts:
    """The variables that are given a value once, in all of this code, and that is a known text."""
    trees, texts = [*trees], {}
    for _ in range(5):  # one may be made of another, and be in a text that is run
        given: dict[str, list] = {}
        more = []
        for part in (part for tree in trees for part in ast.walk(tree)):
            if isinstance(part, ast.Assign):
                for target in part.targets:
                    if isinstance(target, ast.Name):
                        given.setdefault(target.id, []).append(part.value)
            elif isinstance(part, ast.AnnAssign | ast.NamedExpr):
                if isinstance(part.target, ast.Name) and part.value is not None:
                    given.setdefault(part.target.id, []).append(part.value)
            elif isinstance(part, ast.arg):
                given.setdefault(part.arg, []).extend([None, None])  # any value
            elif isinstance(part, ast.Call):
                more += code_in(part, texts)
        known = {ast.dump(tree) for tree in trees}
        new = [tree for tree in more if ast.dump(tree) not in known]
        stored = [
            part.id
            for tree in [*trees, *new]
            for part in ast.walk(tree)
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
        ]
        before = dict(texts)
        for name, values in given.items():
            if len(values) == 1 == stored.count(name):
                text = folded(values[0], texts)
                texts |= {} if text is None else {name: text}
        trees += new
        if texts == before and not new:
            break
    return texts


def root(node: ast.AST) -> set[str]:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return {node.id} if isinstance(node, ast.Name) else set()


def spelt(node: ast.AST, texts: Texts) -> set[str]:
    """The words of a string such as "nn.Transformer"."""
    text = folded(node, texts) or ""
    return {word for word in text.replace("(", ".").split(".") if word.isidentifier()}


def written(node: ast.AST, texts: Texts) -> set[str]:
    """All words of the strings in an argument, such as "from torch.nn import Transformer as T"."""
    found = [folded(part, texts) for part in ast.walk(node) if isinstance(part, ast.expr)]
    return {word for text in found if text for word in re.findall(r"\w+", text)}


def names_of(scope: symtable.SymbolTable) -> tuple[set[str], set[str]]:
    """The names of the notebook that are looked up, and those that are given a value."""
    needs, defines = set(), set()
    for symbol in scope.get_symbols():
        if scope.get_type() == "module" or symbol.is_global():
            needs |= {symbol.get_name()} if symbol.is_referenced() else set()
            given = symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()
            defines |= {symbol.get_name()} if given else set()
    for child in scope.get_children():
        more_needs, more_defines = names_of(child)
        needs, defines = needs | more_needs, defines | more_defines
    return needs, defines


def reached(answer: str, others: list[str]) -> list[Statement]:
    """The statements of a task's cell, and those of the other cells that it leads to."""
    own, scratch = parsed(answer), [node for source in others for node in parsed(source)]
    try:
        texts = texts_in(own + scratch)
    except (RecursionError, MemoryError):
        texts = {}
    found = [looked_at(node, texts) for node in own]
    rest = [looked_at(node, texts) for node in scratch]
    names: set[str] = set()
    for one in found:  # grows while it is read
        names |= one.needs | one.defines
        more = [other for other in rest if other.defines & names]
        rest = [other for other in rest if other not in more]
        found += more
    return found


def used(answer: str, others: list[str], given: Iterable[str] = ()) -> tuple[set[str], list[str]]:
    """The words in a task's cell and in whatever else it leads to, and the names it computes.

    `given` are the notebook's cells that the student didn't write.
    """
    found = reached(answer, others)
    kinds = ast.ClassDef | ast.FunctionDef
    mine = {one.node.name for one in found if isinstance(one.node, kinds)}
    mine -= {name for source in given for one in parsed(source) for name in bound(one)}
    if any("*" in bound(one) for source in [answer, *others] for one in parsed(source)):
        mine = set()  # from torch.nn import *
    words = set().union(*(one.words | (one.bare - mine) for one in found))
    return words, [call for one in found for call in one.computed]


def bound(node: ast.stmt) -> set[str]:
    """The names that a statement imports, and those that it defines at the outermost level."""
    names = {a.asname or a.name for a in ast.walk(node) if isinstance(a, ast.alias)}
    return names | {*filter(None, [getattr(node, "name", "")])}


def reached_by(answer: str, others: list[str]) -> list[ast.stmt]:
    """The same statements as trees."""
    return [one.node for one in reached(answer, others)]
