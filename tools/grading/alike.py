"""Which submissions are alike, task by task: a hint to read them side by side, and no verdict.

Of code, what is easily changed does not count: comments, spaces, docstrings, annotations, the names
that a student has chosen, and the order of the lines. What is left of each line is cut into runs of
a few signs, and two answers are as alike as the share of runs that they have in common. An answer
consists of its own cell and whatever of the student's other cells it leads to. Answers in words are
compared by runs of words.

Nearly everybody writes a short task alike. So each task comes with what is usual in it, and the
pairs that are furthest above that come first.

Answers are also compared with what is public: the solution of the task that was asked for, and
those of its other versions (course/source, course/variants.py). Whoever answers a version that
nobody was asked for has hardly read the task. So is whatever is in folders of earlier years.
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
from pathlib import Path

from nbformat import NotebookNode

from tools.grading.examiner import is_free, is_test, names_in, of_nbgrader, trusted
from tools.grading.forbidden import parsed, reached_by
from tools.grading.repair import Unreadable, read, released, repair
from tools.notebooks import read as read_file
from tools.release import COURSE, sources
from tools.variants import VARIANTS, each, varied

RUN = 4  # signs of code, or words, that are compared at a time
PUBLISHED = "published solution"
OTHER = "published solution of another version"  # of a task; this release did not ask for it
EARLIER = "answers of earlier years"
ENOUGH = 30  # runs: shorter answers are alike by chance
COPIED = {"code": 0.9, "markdown": 0.4}  # so much of a public text is hardly ever found by oneself
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
    kind: str = ""  # PUBLISHED, OTHER or EARLIER; empty for two of this class
    copied: bool = False  # whether it is so alike that hardly anybody has written it by themselves

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


def closest(signs: Counter, others: dict[str, Counter]) -> tuple[float, str]:
    """(how alike it is, the name) of what is most like an answer."""
    return max(((likeness(signs, one), name) for name, one in others.items()), default=(0.0, ""))


def pairs(
    source: NotebookNode,
    notebooks: dict[str, NotebookNode],
    versions: dict[str, dict[str, Counter]] | None = None,
    earlier: dict[str, NotebookNode] | None = None,
) -> list[Pair]:
    """Every pair of submissions; for each of them the published solution, and what is closest to
    it among the solutions of other versions and the notebooks of earlier years. The oddest first.

    Another version is left out if the answer is as close to the one that was asked for.
    """
    kept = known_names(source)
    everybody = {name: answers(source, notebook, kept) for name, notebook in notebooks.items()}
    before = {name: answers(source, notebook, kept) for name, notebook in (earlier or {}).items()}
    ours = answers(source, source, kept)
    kinds = kinds_of(source)
    found = []
    for task in ours:
        written = {name: mine[task] for name, mine in everybody.items() if task in mine}
        old = {name: mine[task] for name, mine in before.items() if task in mine}
        others = (versions or {}).get(task, {})
        groups: dict[str, dict] = {
            "": {
                (one, other): (likeness(written[one], written[other]), written[other])
                for one, other in combinations(sorted(written), 2)
            },
            PUBLISHED: {
                (name, PUBLISHED): (likeness(signs, ours[task]), ours[task])
                for name, signs in written.items()
            },
        }
        for kind, texts in ((OTHER, others), (EARLIER, old)):
            groups[kind] = {}
            for name, signs in written.items() if texts else ():
                alike, other = closest(signs, texts)
                groups[kind][name, other if kind == EARLIER else OTHER] = alike, texts[other]
        for kind, group in groups.items():
            usual = statistics.median(alike for alike, _ in group.values()) if group else 0.0
            for (one, other), (alike, signs) in group.items():
                if kind == OTHER and alike <= groups[PUBLISHED][one, PUBLISHED][0]:
                    continue
                size = min(written[one].total(), signs.total())
                copied = alike >= COPIED[kinds[task]]
                found.append(Pair(task, one, other, alike, usual, size, kind, copied))
    order = list(ours)
    return sorted(found, key=lambda p: (order.index(p.task), -p.surprise, p.one, p.other))


# ---- What is public, and what was handed in before ----


def other_versions(name: str, source: NotebookNode) -> dict[str, dict[str, Counter]]:
    """{task: {which: the runs of a published answer to a version that `source` does not have}}."""
    asked = {of_nbgrader(c)["grade_id"]: c.source for c in source.cells if of_nbgrader(c)}
    (path,) = [p for p in sources(COURSE / "source") if p.stem == name] or [None]
    found: dict[str, dict[str, Counter]] = {}
    if path is None:
        return found
    ours = read_file(path)
    public = {"as published": ours} | {
        f"{task}, version {number + 1}": varied(ours, name, {task: changes}, 0)
        for task, number, changes in each(VARIANTS.get(name, {}))
    }
    for which, notebook in public.items():
        mine = answers(notebook, notebook, known_names(notebook))
        for cell in notebook.cells:
            task = of_nbgrader(cell).get("grade_id")
            if task in mine and cell.source != asked.get(task, cell.source):
                found.setdefault(task, {})[which] = mine[task]
    return found


def of_earlier_years(folders: list[Path], source: NotebookNode) -> dict[str, NotebookNode]:
    """{where it is: notebook} of this set in folders, whatever they are called; no text twice.

    Raises SystemExit if a folder isn't there or has none.
    """
    found: dict[str, NotebookNode] = {}
    texts: set[str] = set()
    for folder in folders:
        before = len(found)
        for path in sorted(folder.rglob("*.ipynb")):
            try:
                notebook, _ = repair(read(path.read_bytes()), source)
            except (Unreadable, OSError):
                continue  # of another set, or broken
            text = "\n".join(cell.source for cell in notebook.cells)
            if text not in texts:
                texts.add(text)
                found[str(path.relative_to(folder.parent))] = notebook
        if len(found) == before:
            there = "no notebook of this set in it" if folder.is_dir() else "no such folder"
            raise SystemExit(f"{folder}: there is {there}")
    return found


def public_answers(
    source: NotebookNode, notebook: NotebookNode, versions: dict[str, dict[str, Counter]]
) -> list[str]:
    """What a person should know after grading: answers that are nearly the text of public ones."""
    kept = known_names(source)
    ours, mine = answers(source, source, kept), answers(source, notebook, kept)
    kinds = kinds_of(source)
    lines, same, strange = [], [], []
    for task, signs in mine.items():
        most = COPIED[kinds[task]]
        asked = likeness(signs, ours[task])
        other, _ = closest(signs, versions.get(task, {}))
        if other > asked and other >= most:
            short = ", but short" if signs.total() < ENOUGH else ""
            strange.append(f"{task} ({other:.0%}{short})")
        elif asked >= most and kinds[task] == "markdown":
            lines.append(f"{task}: {asked:.0%} like the published sample answer")
        elif asked >= most and signs.total() >= ENOUGH:
            same.append(task)
    if strange:
        lines.append(
            "answers a version that was not asked for, in nearly the published words: "
            f"{', '.join(strange)}"
        )
    if len(same) > 2:
        lines.append(f"nearly the published solutions ({COPIED['code']:.0%}): {', '.join(same)}")
    return lines


def kinds_of(source: NotebookNode) -> dict[str, str]:
    """{task: code or markdown}"""
    return {of_nbgrader(c).get("grade_id"): c.cell_type for c in source.cells}


def known_names(source: NotebookNode) -> set[str]:
    """The names that everybody has: built in, imported, or defined in a cell that is given."""
    known = set(dir(builtins)) | {"self"}
    for cell in source.cells:
        if cell.cell_type != "code" or is_test(cell):
            continue
        if "setup" not in cell.metadata.get("tags", []):  # nobody uses its `found` and `why`
            known |= set(names_in(cell.source))
        for node in parsed(cell.source):
            if isinstance(node, ast.Import | ast.ImportFrom):
                known |= {(a.asname or a.name).split(".")[0] for a in node.names}
    return known


def table(found: list[Pair], names: dict[str, str], most: int = 3) -> str:
    """For each task, the pairs that are oddest, and what is usual."""
    lines = []
    titles = {"": "one another", PUBLISHED: f"the {PUBLISHED}", EARLIER: EARLIER}
    titles[OTHER] = f"the {OTHER}, which was not asked for"
    for task in dict.fromkeys(pair.task for pair in found):
        for kind, title in titles.items():
            group = [pair for pair in found if (pair.task, pair.kind) == (task, kind)]
            if group:
                lines.append(f"{task}: like {title} (usual: {group[0].usual:.0%})")
            for pair in group[:most]:
                both = (pair.one,) if kind in (PUBLISHED, OTHER) else (pair.one, pair.other)
                who = [names.get(one, one) for one in both]
                lines.append(f"    {pair.alike:4.0%}  {' and '.join(who)}")
    return "\n".join(lines)


def answers_to_other_versions(found: list[Pair], names: dict[str, str]) -> str:
    """Who has answered versions of tasks that were not asked for; most of them first."""
    mine: dict[str, list[Pair]] = {}
    for pair in found:
        if pair.kind == OTHER and pair.copied:
            mine.setdefault(pair.one, []).append(pair)
    lines = [
        f"    {names.get(who, who)}: {', '.join(f'{p.task} ({p.alike:.0%})' for p in several)}"
        for who, several in sorted(mine.items(), key=lambda item: (-len(item[1]), item[0]))
    ]
    head = "Near-proof of a copy, above all if it is more than one task. Versions that were not"
    return "\n".join([f"{head} asked for, in nearly the published words:", *lines]) if lines else ""
