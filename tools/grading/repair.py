"""Make a submission fit the notebook that was handed out, where it is clear how.

Names, metadata and copies are put right; answers are never changed. Every repair is a line for the
table. What cannot be read at all, or is another notebook, raises Unreadable with the reason.
"""

import ast
import copy
import json
import re
from pathlib import PurePath

import nbformat
from nbformat import NotebookNode

from tools.colab import CELL
from tools.grading.examiner import is_locked, is_test, names_in, of_nbgrader, without_hidden
from tools.grading.forbidden import parsed
from tools.grading.tags import lend_tags, same
from tools.notebooks import setup_source

EDITED = "not as handed out, put back"
MEGABYTES = 200  # larger files are not read
COPY = re.compile(r"^(copy of|kopie von)\s+|(\s*\(\d+\)|[ _-]+(copy|kopie)( ?\d+)?|-\d+)$", re.I)


class Unreadable(Exception):
    """Why a file cannot be graded."""


def plain_name(file: str) -> str:
    """ "ps1" for "Copy of ps1 (1).ipynb" and the other names that browsers and Drive give."""
    stem = PurePath(file.replace("\\", "/")).name
    before = ""
    while stem != before:
        before = stem
        stem = COPY.sub("", stem.strip().removesuffix(".txt").removesuffix(".json"))
        stem = stem.removesuffix(".ipynb").strip()
    return stem.lower()


def read(data: bytes) -> NotebookNode:
    """A notebook without its outputs, in the present format. Cells that ran are marked `passed`."""
    if len(data) > MEGABYTES * 1_000_000:
        raise Unreadable(f"the file has {len(data) / 1e6:.0f} MB")
    if not data.strip():
        raise Unreadable("the file is empty")
    if data[:2] == b"PK":
        raise Unreadable("it is a zip archive and not a notebook")
    try:
        raw = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise Unreadable("it is not text in UTF-8") from None
    except RecursionError:
        raise Unreadable("broken JSON: brackets without end") from None
    except json.JSONDecodeError as error:
        if b"<<<<<<<" in data and b">>>>>>>" in data:
            raise Unreadable("broken JSON: git has left a merge conflict in it") from None
        raise Unreadable(f"broken JSON in line {error.lineno}: {error.msg}") from None
    try:
        for cell in raw.get("cells", []):
            if not isinstance(cell.get("metadata"), dict):
                cell["metadata"] = {}
            outputs = cell.get("outputs", [])
            failed = any(output.get("output_type") == "error" for output in outputs)
            if cell.get("execution_count") and "outputs" in cell:
                cell["metadata"].setdefault("passed", not failed)
            outputs.clear()
        notebook = nbformat.convert(nbformat.from_dict(raw), 4)
        for cell in notebook.cells:
            cell.source = cell.source if isinstance(cell.source, str) else "".join(cell.source)
            if not isinstance(cell.metadata.get("nbgrader", {}), dict):
                del cell.metadata["nbgrader"]
            cell.metadata.tags = [t for t in cell.metadata.get("tags", []) if isinstance(t, str)]
    except Exception as error:
        raise Unreadable(f"it is not a notebook ({type(error).__name__}: {error})") from None
    if not notebook.cells:
        raise Unreadable("the notebook has no cells")
    return notebook


def answered(cell, released) -> bool:
    return cell.source.strip() != released.source.strip()


def released(source: NotebookNode) -> NotebookNode:
    """About what students got: no hidden tests, stubs for solutions."""
    notebook = copy.deepcopy(source)
    for cell in notebook.cells:
        cell.source = without_hidden(cell.source)
        stub = r"\1# Your code here\n\1raise NotImplementedError\n"
        pattern = r"(?ms)^( *)### BEGIN SOLUTION\n.*?### END SOLUTION\n?"
        cell.source = re.sub(pattern, stub, cell.source).rstrip()
        about = of_nbgrader(cell)
        if cell.cell_type == "markdown" and about.get("solution"):
            cell.source = "*Your answer here.*"
    return notebook


def repair(notebook: NotebookNode, source: NotebookNode) -> tuple[NotebookNode, list[str]]:
    """(the notebook with every cell that counts, once and in the source's order; the repairs)."""
    notebook, notes, handed_out = copy.deepcopy(notebook), [], released(source)
    wanted = [c for c in handed_out.cells if of_nbgrader(c)]
    ids = {of_nbgrader(c)["grade_id"]: c for c in wanted}
    found: dict[str, NotebookNode] = {}
    claims: dict[str, list] = {}
    for cell in notebook.cells:
        name = of_nbgrader(cell).get("grade_id")
        if name in ids and cell.cell_type == ids[name].cell_type:
            claims.setdefault(name, []).append(cell)
    for name, cells in claims.items():
        found[name] = choose(name, cells, ids[name], notes)
    taken = {id(cell) for cell in found.values()}
    others = []  # graded cells with ids that are not this assignment's
    for cell in notebook.cells:
        if id(cell) not in taken:
            about = cell.metadata.pop("nbgrader", {})
            others += [cell] if about.get("grade_id") not in ids and is_graded(about) else []
    # What has lost its metadata: first what is alike, then what defines the same names, and last
    # what is where the answer to a question should be.
    for name, model in ids.items():
        cell = None if name in found else by_content(notebook, handed_out, model, found)
        if cell is not None:
            found[name] = cell
            notes.append(f"{name}: recognised without its id")
    check_that_it_is_this_one(found, ids, others)
    for name, model in ids.items():  # code that was written below its cell, which is untouched
        code = of_nbgrader(model).get("solution") and model.cell_type == "code"
        if code and name in found and not answered(found[name], model):
            cell = by_content(notebook, handed_out, model, found)
            if cell is not None and answered(cell, model):
                found[name].metadata.pop("nbgrader")
                found[name] = cell
                notes.append(f"{name}: answered in another cell")
    place(notebook, handed_out, source, found, ids, notes)
    for name, model in ids.items():
        if of_nbgrader(model).get("solution") and model.cell_type == "markdown":
            beside(notebook, handed_out, name, model, found[name], notes)
    return notebook, notes


def is_graded(about: dict) -> bool:
    return bool(about.get("solution") or about.get("grade"))


def check_that_it_is_this_one(found: dict, ids: dict, others: list) -> None:
    """Raise Unreadable for another notebook, even one that shares some cells with this assignment.

    Only tasks and their tests count: all sets have the same helpers, and two a task `diagnose`.
    """
    graded = [name for name, model in ids.items() if is_graded(of_nbgrader(model))]
    mine = [name for name in graded if name in found]
    if len(mine) < min(2, len(graded)):
        raise Unreadable("nothing in it belongs to this assignment")
    taken = {id(cell) for cell in found.values()}
    strange = [cell for cell in others if id(cell) not in taken]
    if len(strange) > len(mine) and 2 * len(mine) < len(graded):
        raise Unreadable(
            f"it looks like another assignment: only {len(mine)} of its graded cells belong to "
            f"this one, and {len(strange)} do not"
        )


def choose(name: str, cells: list, model, notes: list[str]):
    """The cell that counts, of several that have one id."""
    if len(cells) == 1:
        return cells[0]
    if not of_nbgrader(model).get("solution"):
        notes.append(f"{name}: {len(cells)} copies of a test or given cell, the first counts")
        return cells[0]
    mine = [cell for cell in cells if answered(cell, model)] or cells[:1]
    if model.cell_type == "markdown" and len({c.source.strip() for c in mine}) > 1:
        text = "\n\n---\n\n".join(c.source for c in mine)
        for other in mine[1:]:
            other.source = ""
        mine[0].source = text
        notes.append(f"{name}: {len(mine)} answers with one id, put into one cell")
        return mine[0]
    notes.append(f"{name}: {len(cells)} cells with one id, the last that was changed counts")
    return mine[-1]


def by_content(notebook, handed_out, model, found):
    """The one cell without an id that must be this one, or None."""
    taken = {id(cell) for cell in found.values()}
    free = [c for c in notebook.cells if id(c) not in taken and c.cell_type == model.cell_type]
    is_answer = model.cell_type == "markdown" and of_nbgrader(model).get("solution")
    if not is_answer and (alike := [c for c in free if c.source.strip() == model.source.strip()]):
        return alike[0] if len(alike) == 1 or not of_nbgrader(model).get("solution") else None
    names = set(names_in(model.source))
    if model.cell_type == "code" and of_nbgrader(model).get("solution"):
        fits = [c for c in free if names and names <= set(names_in(c.source))]
        return fits[-1] if fits else None
    if model.cell_type == "code":
        fits = [c for c in free if same(c.source, model.source) > 0.8]
        return fits[0] if len(fits) == 1 else None
    # An answer in words: what follows the question, up to the next cell of the assignment.
    texts = [c.source.strip() for c in handed_out.cells]
    question = texts[index_of(handed_out.cells, model) - 1]
    places = [i for i, c in enumerate(notebook.cells) if same(c.source, question) > 0.9]
    if len(places) != 1:
        return None
    for cell in notebook.cells[places[0] + 1 :]:
        if cell.source.strip() in texts or id(cell) in taken:
            return None
        if cell.cell_type == "markdown" and cell.source.strip():
            return cell
    return None


def index_of(cells, wanted) -> int:
    return next(i for i, cell in enumerate(cells) if cell is wanted)


def question_of(handed_out, model) -> str:
    return handed_out.cells[index_of(handed_out.cells, model) - 1].source.strip()


def beside(notebook, handed_out, name: str, model, cell, notes: list[str]) -> None:
    """Put into an answer that was left empty what was written into the question or new cells."""
    if cell.source.strip() and answered(cell, model):
        return
    question = question_of(handed_out, model)
    heading = question.splitlines()[0]
    others = {c.source.strip() for c in handed_out.cells} - {question}
    headings = {text.splitlines()[0] for text in others if text.startswith("#")}
    cells, at = notebook.cells, index_of(notebook.cells, cell)

    def is_free(one) -> bool:
        text = one.source.strip()
        given = text in others or any(line in headings for line in text.splitlines())
        return not of_nbgrader(one) and not given

    start, end = at, at + 1
    while start > 0 and is_free(cells[start - 1]) and heading not in cells[start].source:
        start -= 1
    while end < len(cells) and is_free(cells[end]):
        end += 1
    texts = []
    for one in [*cells[start:at], *cells[at + 1 : end]]:
        if heading in one.source:
            for line in question.splitlines():
                one = {**one, "source": one["source"].replace(line, "", 1)}
            if same(one["source"], question) < 0.9:
                texts.append(one["source"].strip())
        elif one.cell_type != "code" or in_words(one.source):
            texts.append(one.source.strip())
            if one.get("attachments"):  # pictures
                cell.setdefault("attachments", {}).update(one.attachments)
    if text := "\n\n".join(filter(None, texts)):
        cell.source = text
        notes.append(f"{name}: the answer was beside its cell, and was put into it")


def in_words(source: str) -> bool:
    """Whether a cell of code holds text, because its kind was not changed."""
    if re.match(r"\s*[%!]", source):
        return False
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return not parsed(source)  # `!` and `%` in it are code
    plain = [isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant | ast.Name) for n in body]
    return all(plain)


def lines(cell) -> list[str]:
    text = without_hidden(cell.source)  # which you have if you hand in the solution, to try it
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def additions(source: str, given: str) -> tuple[list[str], bool]:
    """(the statements that were added to a given cell, whether anything else in it was changed).

    An import is an addition, and so is whatever gives no new meaning to a name of the cell.
    """
    kept, mine = [], parsed(given)
    before, names = {ast.dump(node) for node in mine}, set(names_in(given))
    changed = not before <= {ast.dump(node) for node in parsed(source)}
    for node in parsed(source):
        text = ast.unparse(node)
        if ast.dump(node) in before or text.startswith("get_ipython()"):  # `!` and `%` lines
            continue
        if isinstance(node, ast.Import | ast.ImportFrom) or not names & set(names_in(text)):
            kept.append(text)
        else:
            changed = True
    return kept, changed


def keep_additions(notebook, cell, model, name: str, notes: list[str]) -> None:
    """Put what was added to a given cell into a free one below it, before it is put back.

    JupyterLab lets nobody write into a locked cell, but Colab and VS Code do.
    """
    kept, changed = additions(cell.source, model.source)
    if kept:
        notes.append(f"{name}: {put_below(notebook, cell, kept)}")
    if changed:
        notes.append(f"{name}: a given cell that was changed, and was put back as handed out")


def keep_imports(notebook, notes: list[str]) -> None:
    """The same for the set-up cell, which is run as the repository has it. It has two editions."""
    editions = setup_source() + "\n" + CELL.read_text("utf8")  # the second one is a template
    ours = {line.strip() for line in editions.splitlines()}
    for cell in [c for c in notebook.cells if "setup" in c.metadata.get("tags", [])]:
        imports = [n for n in parsed(cell.source) if isinstance(n, ast.Import | ast.ImportFrom)]
        if kept := [text for text in map(ast.unparse, imports) if text not in ours]:
            notes.append(f"set-up: {put_below(notebook, cell, kept)}")
            cell.source = setup_source()


def put_below(notebook, cell, kept: list[str]) -> str:
    """Put these statements into a cell of their own; what should be said about it."""
    new = nbformat.v4.new_code_cell("\n".join(kept))
    notebook.cells.insert(index_of(notebook.cells, cell) + 1, new)
    some = "; ".join(" ".join(text.split()) for text in kept)
    some = some if len(some) < 80 else some[:77] + "…"
    return f"what was added to this given cell is kept in a cell below it ({some})"


def place(notebook, handed_out, source, found, ids, notes) -> None:
    """Give every cell its metadata, insert the ones that are missing, and drop ids used twice."""
    originals = {of_nbgrader(c)["grade_id"]: c for c in source.cells if of_nbgrader(c)}
    order, edited = list(ids), []
    for cell in notebook.cells:
        if id(cell) not in {id(one) for one in found.values()}:
            cell.metadata.pop("passed", None)
    for number, name in enumerate(order):
        if name not in found:
            cell = copy.deepcopy(ids[name])
            before = [found[n] for n in order[:number]]
            spot = 1 + max((index_of(notebook.cells, c) for c in before), default=0)
            if cell.cell_type == "markdown":  # the question is not known by an id
                heading = question_of(handed_out, ids[name]).splitlines()[0]
                asked = [i for i, c in enumerate(notebook.cells) if heading in c.source]
                spot = max(spot, asked[-1] + 1) if asked else spot
            notebook.cells.insert(spot, cell)
            found[name] = cell
            kind = "answer" if of_nbgrader(cell).get("solution") else "given cell"
            if is_test(cell):
                kind = "test"
            notes.append(f"{name}: {kind} was missing" + ("" if kind == "answer" else ", put back"))
        cell, original = found[name], originals[name]
        tags, passed = original.metadata.get("tags"), cell.metadata.get("passed")
        cell.metadata = copy.deepcopy(original.metadata)
        if is_test(original) and lines(cell) != lines(ids[name]):
            edited.append(name)
        elif is_test(original) and passed is not None:
            cell.metadata["passed"] = passed  # for the student: see Examiner.look_at_test
        if is_locked(original):
            keep_additions(notebook, cell, ids[name], name, notes)
        if is_test(original) or is_locked(original):
            cell.source = ids[name].source
        if tags is None:
            cell.metadata.pop("tags", None)
    if edited:
        which = edited[0] if len(edited) == 1 else f"{len(edited)} tests"
        notes.append(f"{which}: {EDITED}")
    lend_tags(source, notebook.cells)
    keep_imports(notebook, notes)
    seen = set()
    for cell in notebook.cells:
        if cell.get("id") in seen or not re.fullmatch(r"[\w-]{1,64}", str(cell.get("id", ""))):
            cell["id"] = nbformat.v4.new_code_cell().id
        seen.add(cell["id"])
    # A test may have ended up before what it tests.
    positions = {n: index_of(notebook.cells, c) for n, c in found.items()}
    for test in [n for n in order if is_test(originals[n])]:
        solutions = [
            n for n in order if of_nbgrader(originals[n]).get("solution") and test.startswith(n)
        ]
        task = max(solutions, key=len, default=None)
        if task and positions[task] > positions[test]:
            notebook.cells.remove(found[test])
            notebook.cells.insert(index_of(notebook.cells, found[task]) + 1, found[test])
            notes.append(f"{test}: was placed before its task")
