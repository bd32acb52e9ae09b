"""Which of the words that a task forbids its answer uses, itself or through what it calls.

Only the task's own cell counts, and whatever in the student's other cells it leads to. So it does
no harm to compare with torch's class in a scratch cell.
"""

import ast
import re
import symtable
from dataclasses import dataclass

from IPython.core.inputtransformer2 import TransformerManager

# Calls that run text as code or look something up by its name, and look-ups in dictionaries such as
# vars(nn).get("Transformer"). Other strings are only text: a label may say "Transformer".
AS_CODE = {"eval", "exec", "run_cell", "run_cell_async", "run_code", "ex", "ev"}
AS_CODE |= {"run_cell_magic", "run_line_magic", "getattr", "attrgetter", "methodcaller"}
AS_CODE |= {"import_module", "__import__", "locate", "resolve_name", "import_item"}
AS_CODE |= {"__getattr__", "__getattribute__"}
AS_KEY = {"get", "pop", "setdefault", "__getitem__", "itemgetter"}


@dataclass
class Statement:
    """A statement at the outermost level of a cell."""

    defines: set[str]
    needs: set[str]  # names of the notebook that it uses
    words: set[str]  # names, attributes and modules in it


def statements(source: str) -> list[Statement]:
    """The statements of a cell, with or without magics; none if it is not Python."""
    lines = source.splitlines(keepends=True)
    if lines and lines[0].startswith("%%"):  # such as %%time
        lines = lines[1:]
    try:
        text = TransformerManager().transform_cell("".join(lines))
        return [statement(node) for node in ast.parse(text).body]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def statement(node: ast.stmt) -> Statement:
    patched, words = set(), set()
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            words.add(part.id)
        elif isinstance(part, ast.Attribute):
            words.add(part.attr)
            patched |= root(part) if isinstance(part.ctx, ast.Store) else set()  # A.forward = …
        elif isinstance(part, ast.alias):
            words |= {*part.name.split(".")}
        elif isinstance(part, ast.ImportFrom):
            words |= {*(part.module or "").split(".")}
        elif isinstance(part, ast.Call):
            called = getattr(part.func, "id", getattr(part.func, "attr", ""))
            patched |= root(part.args[0]) if called == "setattr" and part.args else set()
            arguments = [*part.args, *(keyword.value for keyword in part.keywords)]
            compiled = getattr(part.func, "id", "") == "compile"  # not re.compile
            if called in AS_CODE or compiled:
                words |= {w for argument in arguments for w in written(argument)}
            elif called in AS_KEY:
                words |= {w for argument in arguments[:1] for w in spelt(argument)}
        elif isinstance(part, ast.Subscript):  # vars(nn)["Transformer"]
            words |= spelt(part.slice)
    scope = symtable.symtable(ast.unparse(node), "a cell", "exec")
    needs, defines = names_of(scope)
    return Statement(defines | (patched & needs), needs, words)


def root(node: ast.AST) -> set[str]:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return {node.id} if isinstance(node, ast.Name) else set()


def spelt(node: ast.AST) -> set[str]:
    """The words of a string such as "nn.Transformer"."""
    if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
        return set()
    return {word for word in node.value.replace("(", ".").split(".") if word.isidentifier()}


def written(node: ast.AST) -> set[str]:
    """All words of the strings in an argument, such as "from torch.nn import Transformer as T"."""
    constants = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)]
    return {w for text in constants if isinstance(text, str) for w in re.findall(r"\w+", text)}


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


def used(answer: str, others: list[str]) -> set[str]:
    """The words in a task's cell, and in whatever of the other cells it leads to."""
    reached = statements(answer)
    rest = [one for source in others for one in statements(source)]
    names: set[str] = set()
    for one in reached:  # grows while it is read
        names |= one.needs | one.defines
        found = [other for other in rest if other.defines & names]
        rest = [other for other in rest if other not in found]
        reached += found
    return set().union(*(one.words for one in reached))
