"""Which submissions are alike, task by task: a hint to read them side by side, and no verdict.

Of code, what is easily changed does not count: comments, spaces, docstrings, annotations, the names
that a student has chosen, and the order of the lines. What is left of each line is cut into runs of
a few signs, and two answers are as alike as the share of runs that they have in common. An answer
consists of its own cell and whatever of the student's other cells it leads to. Answers in words are
compared by runs of words.

Nearly everybody writes a short task alike. So each task comes with what is usual in it, and the
pairs that are furthest above that come first.
"""

import ast
import builtins
import io
import re
import statistics
import tokenize
from collections import Counter
from dataclasses import dataclass
from itertools import combinations

from nbformat import NotebookNode

from tools.grading.examiner import is_free, is_test, names_in, of_nbgrader, trusted
from tools.grading.forbidden import parsed, reached_by
from tools.grading.repair import released

RUN = 4  # signs of code, or words, that are compared at a time
PUBLISHED = "published solution"
HINT = (
    "This is a hint about what to read side by side, and no verdict: two people who were taught "
    "the same write alike, above all where a task is short."
)


@dataclass
class Pair:
    """Two answers to a task, and how alike they are."""

    task: str
    one: str
    other: str
    alike: float  # the share that they have in common, from 0 to 1
    usual: float  # the median of this task
    size: int  # runs of signs in the shorter one; with few, the share says little

    @property
    def surprise(self) -> float:
        """What is more than usual, less where there is little to compare."""
        return (self.alike - self.usual) * min(1.0, self.size / 30)


class Plain(ast.NodeTransformer):
    """Takes away what a student can change without changing what the code does."""

    def __init__(self, kept: set[str]):
        self.kept = kept  # names that were handed out, imported or built in

    def visit_Name(self, node):
        return node if node.id in self.kept else ast.Name("v", node.ctx)

    def visit_arg(self, node):
        return ast.arg("v")

    def visit_keyword(self, node):
        self.generic_visit(node)
        return node

    def visit_AnnAssign(self, node):
        self.generic_visit(node)
        return ast.Assign([node.target], node.value) if node.value else ast.Pass()

    def visit_Expr(self, node):
        self.generic_visit(node)
        return None if isinstance(node.value, ast.Constant) else node  # such as a docstring

    def visit_FunctionDef(self, node):
        self.generic_visit(node)
        node.returns, node.name = None, "v" if node.name not in self.kept else node.name
        node.body = node.body or [ast.Pass()]
        return node

    def visit_ClassDef(self, node):
        self.generic_visit(node)
        node.name = "v" if node.name not in self.kept else node.name
        node.body = node.body or [ast.Pass()]
        return node


def runs(items: list[str]) -> Counter:
    """All runs of RUN neighbours; a shorter list is one run."""
    places = range(max(1, len(items) - RUN + 1))
    return Counter(tuple(items[i : i + RUN]) for i in places) if items else Counter()


def runs_of_code(nodes: list[ast.stmt], kept: set[str]) -> Counter:
    """The runs of each line, in any order."""
    found: Counter = Counter()
    for node in nodes:
        try:
            plain = Plain(kept).visit(ast.parse(ast.unparse(node)))
            text = ast.unparse(ast.fix_missing_locations(plain))
            signs: list[str] = []
            for token in tokenize.generate_tokens(io.StringIO(text).readline):
                if token.type in (tokenize.NEWLINE, tokenize.ENDMARKER):
                    found += runs(signs)
                    signs = []
                elif token.string.strip():
                    signs.append(token.string)
        except (tokenize.TokenError, SyntaxError, ValueError, AttributeError, RecursionError):
            continue  # an oddity of one student's
    return found


def answers(source: NotebookNode, notebook: NotebookNode, kept: set[str]) -> dict[str, Counter]:
    """{task: the runs of what a student has written}; nothing where the cell was left as it was."""
    handed_out = {of_nbgrader(c).get("grade_id"): c for c in released(source).cells}
    cells = trusted(source, notebook)
    free = [cell for cell in cells if is_free(cell)]
    found = {}
    for cell in cells:
        about = of_nbgrader(cell)
        task = about.get("grade_id")
        if not about.get("solution") or cell.source.strip() == handed_out[task].source.strip():
            continue
        if cell.cell_type == "code":
            others = [c.source for c in free if c is not cell and not of_nbgrader(c)]
            found[task] = runs_of_code(reached_by(cell.source, others), kept)
            for run in runs_of_code(parsed(handed_out[task].source), kept):
                del found[task][run]
        else:
            found[task] = runs(re.findall(r"\w+", cell.source.lower()))
    return {task: signs for task, signs in found.items() if signs}


def likeness(one: Counter, other: Counter) -> float:
    """The share of runs that two answers have in common (Dice), from 0 to 1."""
    return 2 * (one & other).total() / (one.total() + other.total())


def pairs(source: NotebookNode, notebooks: dict[str, NotebookNode]) -> list[Pair]:
    """Every pair of submissions and, for each, the published solution; the oddest first."""
    kept = known_names(source)
    everybody = {name: answers(source, notebook, kept) for name, notebook in notebooks.items()}
    ours = answers(source, source, kept)
    found = []
    for task in ours:
        written = {name: mine[task] for name, mine in everybody.items() if task in mine}
        shares = {
            (one, other): likeness(written[one], written[other])
            for one, other in combinations(sorted(written), 2)
        }
        published = {(name, PUBLISHED): likeness(signs, ours[task])
                     for name, signs in written.items()}  # fmt: skip
        for group in (shares, published):
            usual = statistics.median(group.values()) if group else 0.0
            for (one, other), alike in group.items():
                signs = ours[task] if other == PUBLISHED else written[other]
                size = min(written[one].total(), signs.total())
                found.append(Pair(task, one, other, alike, usual, size))
    order = list(ours)
    return sorted(found, key=lambda p: (order.index(p.task), -p.surprise, p.one, p.other))


def known_names(source: NotebookNode) -> set[str]:
    """The names that everybody has: built in, imported, or defined in a cell that is given."""
    known = set(dir(builtins)) | {"self"}
    for cell in source.cells:
        if cell.cell_type != "code" or is_test(cell):
            continue
        known |= set(names_in(cell.source))
        for node in parsed(cell.source):
            if isinstance(node, ast.Import | ast.ImportFrom):
                known |= {(a.asname or a.name).split(".")[0] for a in node.names}
    return known


def table(found: list[Pair], names: dict[str, str], most: int = 3) -> str:
    """For each task, the pairs that are oddest, and what is usual."""
    lines = []
    for task in dict.fromkeys(pair.task for pair in found):
        mine = [pair for pair in found if pair.task == task]
        for title, group in (
            ("one another", [p for p in mine if p.other != PUBLISHED]),
            (f"the {PUBLISHED}", [p for p in mine if p.other == PUBLISHED]),
        ):
            if group:
                lines.append(f"{task}: like {title} (usual: {group[0].usual:.0%})")
            for pair in group[:most]:
                who = [names.get(one, one) for one in (pair.one, pair.other) if one != PUBLISHED]
                lines.append(f"    {pair.alike:4.0%}  {' and '.join(who)}")
    return "\n".join(lines)
