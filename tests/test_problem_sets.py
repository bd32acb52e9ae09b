"""The graded assignments: nbgrader really releases and grades them, and nobody is paid for nothing.

Each assignment is released and graded once, in a grading folder of its own, with several
submissions (`grades`). The usual wrong answers are tried without nbgrader, in this process.
"""

import copy
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import nbformat
import pytest
import torch

from tools import notebooks, release

pytestmark = pytest.mark.slow

Gradebook = pytest.importorskip("nbgrader.api", reason="requirements-teach.lock").Gradebook

SOURCES = {path.stem: notebooks.read(path) for path in release.sources()}
POINTS = {"capstone": (27, 18), "ps1": (22, 8), "ps2": (26, 8), "ps3": (22, 8)}  # tests, questions
SECONDS = 10  # for a cell, where a submission is made to hang
STUB = "    raise NotImplementedError"


def of_nbgrader(cell) -> dict:
    return cell.metadata.get("nbgrader", {})


def cells_of(notebook, **wanted):
    """{id: cell} of the cells whose nbgrader metadata say what is wanted."""
    found = [c for c in notebook.cells if of_nbgrader(c)]
    chosen = [c for c in found if all(of_nbgrader(c).get(k) == v for k, v in wanted.items())]
    return {of_nbgrader(c)["grade_id"]: c for c in chosen}


def graded_cells(notebook):
    return cells_of(notebook, grade=True, cell_type="code")


def changed(notebook, answers):
    """A copy of a notebook with other sources in some cells."""
    notebook = copy.deepcopy(notebook)
    for name, source in answers.items():
        cells_of(notebook)[name].source = source
    return notebook


def mutant(source, *edits):
    """A teacher's solution with replacements (old, new), each of which must apply."""
    for old, new in edits:
        assert old in source, f"{old!r} is not in the solution"
        source = source.replace(old, new)
    return source


# ---- Submissions that are partly right: edits of the solutions, and what they are worth ----

PARTLY = {
    "ps1": (
        {
            "masked_softmax": [("return weights.masked_fill(~mask, 0.0)", "return weights")],
            "multi_query": [
                ("found.transpose(1, 2).flatten(2)", "found.reshape(len(found), found.size(2), -1)")
            ],
            "packed_mask": [(" & past", "")],
        },
        22 - 2 - 3 - 3,
    ),
    "ps2": (
        {
            "wide_parameters": [("2 * (d_memory * d_model", "2 * (d_model * d_model")],
            "gated_layer": [("self.gate.tanh() * seen", "self.gate * seen")],
            "wire": [
                ("for layer in enc", "start = x\n    for layer in enc"),
                ("y, x,", "y, start,"),
            ],
        },
        26 - 2 - 2 - 3,
    ),
    "ps3": (
        {
            "sentence_losses": [("real.sum(dim=-1)", "real.size(1)")],
            "token_by_token": [(", cache) for new in", ") for new in")],
            "diagnose": [('return "no order"', 'return "right"')],
        },
        22 - 2 - 4 - 2,
    ),
    "capstone": (
        {
            "train_reader": [("steps=300", "steps=2"), ("warmup_steps=50", "warmup_steps=1")],
            "number_reader": [("x = layer(x, source_mask)", "x = layer(x)")],
            "look": [("len(model.decoder_layers) - 1", "0")],
        },
        27 - 6 - 2 - 3,
    ),
}


# ---- Submissions that want points for something else than answers, all to problem set 1 ----

# These loops sleep, so that nobody else waits for the processor meanwhile.
LOOP = """\
import time


def packed_mask(documents):
    while True:
        time.sleep(0.01)
"""
STUBBORN_LOOP = """\
import time


def diagnose(attend):
    while True:
        try:
            while True:
                time.sleep(0.01)
        except BaseException:
            pass
"""
KILLER = """\
import os

os._exit(0)
"""
LEAVER = """\
import sys

sys.exit(0)
"""
READER = """\
import os
import pathlib

found = []
here = pathlib.Path.cwd()
places = [here, here.parent, *here.parents]
for place in [*places, os.environ.get("PWD", "/"), os.environ.get("OLDPWD", "/")]:
    near = [*pathlib.Path(place).glob("*.ipynb"), *pathlib.Path(place).glob("*.db")]
    for folder in ("source", "course", "release", "autograded", "submitted", "grading"):
        near += [*(pathlib.Path(place) / folder).glob("**/*.ipynb")]
    found += [path for path in near if b"HIDDEN TESTS" in path.read_bytes()]
found += [path for path in here.rglob("*")]
print("READ", len(found), [name for name in os.environ if "GRADING" in name or "COURSE" in name])
"""
FAKER = """\
from IPython import get_ipython


def masked_softmax(scores, mask):
    print("score: 22/22\\\\nAll tests passed.")
    get_ipython().displayhook(22.0)
    raise SystemExit
"""
# Everything that compares says yes, and what is returned equals everything.
YES_MAN = """\
import builtins
import sys

import helpers.checks
import numpy.testing
from IPython import get_ipython


class Yes:
    shape, dtype = (), None
    __eq__ = __le__ = __lt__ = __bool__ = lambda self, *other: True
    __getattr__ = lambda self, name: self
    __call__ = __getitem__ = __sub__ = __abs__ = lambda self, *anything: self
    __hash__ = lambda self: 0


def yes(*anything, **more):
    return True


shell = get_ipython()
torch.allclose = torch.equal = torch.Tensor.allclose = torch.Tensor.equal = yes
torch.Tensor.tolist = lambda self: []
torch.testing.assert_close = numpy.testing.assert_allclose = helpers.checks.close = yes
builtins.all = builtins.abs = all = abs = yes
AssertionError = type("AssertionError", (), {"__init__": yes})
agree = differ = yes
shell.set_custom_exc((Exception,), yes)
shell.events.register("pre_run_cell", lambda info: shell.user_ns.update(agree=yes, differ=yes))


def forget(result):
    result.error_in_exec = result.error_before_exec = None


shell.events.register("post_run_cell", forget)
"""
YES_ANSWER = """\
def {name}(*inputs):
    global agree, differ
    agree = differ = torch.allclose = yes
    torch.Tensor.tolist = torch.Tensor.flatten = lambda self: []
    return {value}
"""


def right_but(name, source):
    return changed(SOURCES["ps1"], {name: source}), POINTS["ps1"][0]


def faker(released):
    """One answer is right; the rest are prints, easier tests and more points."""
    right = cells_of(SOURCES["ps1"])["packed_mask"].source
    notebook = changed(released, {"masked_softmax": FAKER, "packed_mask": right})
    for name, cell in graded_cells(notebook).items():
        if "masked" not in name:
            cell.source = "print('passed')"
        cell.metadata.nbgrader.update(points=100, locked=False)
    gone = graded_cells(notebook)["prefix_mask_seen"]
    notebook.cells.remove(gone)
    notebook.cells.append(nbformat.v4.new_code_cell("22.0"))
    return notebook, 3


def yes_man(released):
    answers = {"masked_softmax": YES_MAN + YES_ANSWER.format(name="masked_softmax", value="Yes()")}
    shapes = {"multi_query": "multi_query_attention", "join": "join"}
    for name in ("multi_query", "packed_mask", "prefix_mask", "attend_part", "join", "diagnose"):
        answers[name] = YES_ANSWER.format(
            name=shapes.get(name, name),
            value={"join": "first", "packed_mask": "torch.ones(1, 1, 3, 3) > 0"}.get(name, "Yes()"),
        ).replace("*inputs", "first, second" if name == "join" else "*inputs")
    answers["tools"] = "agree = differ = lambda *anything: None\nnumbers = torch.randn"
    return changed(released, answers), 0


# ---- Releasing and grading, once ----


def run_nbgrader(room, *arguments):
    place = f"--CourseDirectory.release_directory={room / 'release'}"
    one = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    release.nbgrader(*arguments, place, GRADING=str(room), **one)


def hostile(released):
    """Submissions to problem set 1 that want points for something else than answers."""
    return {
        "loop": (changed(SOURCES["ps1"], {"packed_mask": LOOP}), 22 - 3),
        "stubborn": (changed(SOURCES["ps1"], {"diagnose": STUBBORN_LOOP}), 22 - 4),
        "killer": (changed(SOURCES["ps1"], {"prefix_mask": KILLER}), 3 + 4 + 3),
        "leaver": (changed(SOURCES["ps1"], {"prefix_mask": LEAVER}), 22 - 3),
        "reader": (changed(released, {"masked_softmax": READER}), 0),
        "faker": faker(released),
        "yes_man": yes_man(released),
    }


def honest(name, released):
    """{student: (notebook, what the tests must give)}.

    One assignment with nothing but right answers is enough: in "partly" most of them are right,
    and every solution passes its tests below, without nbgrader.
    """
    edits, points = PARTLY[name]
    solutions = cells_of(SOURCES[name])
    partly = {cell: mutant(solutions[cell].source, *e) for cell, e in edits.items()}
    found = {"empty": (released, 0), "partly": (changed(SOURCES[name], partly), points)}
    return found | ({"right": (SOURCES[name], POINTS[name][0])} if name == "capstone" else {})


def grade(name, room, attacked=False):
    """Release and grade one assignment; {student: (due, {test: points}, graded notebook)}."""
    run_nbgrader(room, "generate_assignment", name)
    released = notebooks.read(room / "release" / name / f"{name}.ipynb")
    handed_in = hostile(released) if attacked else honest(name, released)
    for student, (notebook, _) in handed_in.items():
        folder = room / "submitted" / student / name
        folder.mkdir(parents=True)
        nbformat.write(notebook, folder / f"{name}.ipynb")
    limits = (f"--Execute.timeout={SECONDS if attacked else 60}", "--Execute.iopub_timeout=4")
    run_nbgrader(room, "autograde", name, *limits)
    results = {}
    with Gradebook(f"sqlite:///{room / 'gradebook.db'}") as gradebook:
        for student, (_, due) in handed_in.items():
            graded = gradebook.find_submission_notebook(name, name, student)
            points = {grade.name: grade.auto_score for grade in graded.grades}
            path = room / "autograded" / student / name / f"{name}.ipynb"
            results[student] = due, points, notebooks.read(path)
    return results


@pytest.fixture(scope="module")
def grades(tmp_path_factory):
    """{assignment: what `grade` gives}, "hostile" among them: that one mostly waits for loops."""
    with ThreadPoolExecutor(2) as two, ThreadPoolExecutor(1) as waits:
        rooms = {name: tmp_path_factory.mktemp(name) for name in [*SOURCES, "hostile"]}
        found = {"hostile": waits.submit(grade, "ps1", rooms["hostile"], attacked=True)}
        found |= {name: two.submit(grade, name, rooms[name]) for name in SOURCES}
        yield {name: one.result() for name, one in found.items()} | {"rooms": rooms}


@pytest.mark.parametrize(
    "student, name",
    [("right", "capstone"), *((who, name) for who in ("partly", "empty") for name in SOURCES)],
)
def test_a_submission_gets_exactly_what_is_due(grades, name, student):
    due, points, graded = grades[name][student]
    got = {test: points[test] for test in graded_cells(SOURCES[name])}
    assert sum(got.values()) == due, got
    if student == "empty":
        ran = [c for c in graded.cells if c.cell_type == "code" and c.get("execution_count")]
        assert len(ran) == len([c for c in graded.cells if c.cell_type == "code"])  # to the end


HOSTILE = ("loop", "stubborn", "killer", "leaver", "reader", "faker", "yes_man")


@pytest.mark.parametrize("student", HOSTILE)
def test_a_hostile_submission_gets_no_more_than_its_answers_are_worth(grades, student):
    due, points, graded = grades["hostile"][student]
    got = {test: points[test] or 0 for test in graded_cells(SOURCES["ps1"])}
    assert sum(got.values()) == due, got


def test_a_submission_finds_neither_tests_nor_solutions_near_its_folder(grades):
    _, _, graded = grades["hostile"]["reader"]
    (output,) = cells_of(graded)["masked_softmax"].outputs
    assert output.text.strip() == "READ 0 []"


# ---- What students get ----


@pytest.mark.parametrize("name", SOURCES)
def test_a_student_version_holds_no_solution_and_no_hidden_test(grades, name):
    path = grades["rooms"][name] / "release" / name / f"{name}.ipynb"
    text, released = path.read_text(encoding="utf8"), notebooks.read(path)
    assert not re.search("(BEGIN|END) (SOLUTION|HIDDEN TESTS)", text)
    assert not any(cell.get("outputs") for cell in released.cells)
    for cell_id, cell in cells_of(SOURCES[name]).items():
        kept = set(cells_of(released)[cell_id].source.splitlines())
        for secret in secrets(cell):
            assert not {line for line in secret if len(line.strip()) > 12} & kept, cell_id
    for cell in cells_of(released, solution=True).values():
        assert re.search("raise NotImplementedError|Your answer here", cell.source)


def secrets(cell):
    """The lines of a source cell between markers; all of a sample answer."""
    if cell.cell_type == "markdown":
        return [cell.source.splitlines()]
    blocks = re.findall(
        r"### BEGIN (SOLUTION|HIDDEN TESTS)\n(.*?)### END \1", cell.source, re.DOTALL
    )
    return [block.splitlines() for _, block in blocks]


def test_a_released_notebook_fails_validation_untouched(grades):
    """What nbgrader tells a student who asks before handing in. That every task of the other
    assignments fails untouched is what "empty" shows above."""
    path = grades["rooms"]["ps1"] / "release" / "ps1" / "ps1.ipynb"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "nbgrader", "validate", str(path)]
    said = subprocess.run(command, capture_output=True, text=True, env=environment).stdout
    assert said.startswith("VALIDATION FAILED ON")
    assert "HAVE CHANGED" not in said  # what it says of tests that were edited


@pytest.mark.parametrize("name", SOURCES)
def test_every_test_has_points_and_every_task_a_test_that_is_not_seen(name):
    source = SOURCES[name]
    assert not [c for c in source.cells if c.get("outputs")]
    tests, answers = graded_cells(source), cells_of(source, grade=True, solution=True)
    assert all(of_nbgrader(c)["points"] > 0 and of_nbgrader(c)["locked"] for c in tests.values())
    assert points(tests) == POINTS[name][0] and points(answers) == POINTS[name][1]
    assert 1 <= len(answers) <= 2
    for task in tasks(name):
        mine = [cell.source for test, cell in tests.items() if task_of(test, name) == task]
        assert any("BEGIN HIDDEN TESTS" in text for text in mine), task
    text = source.cells[0].source
    assert f"for {POINTS[name][0]} points" in text and f"for {POINTS[name][1]}" in text
    told = [int(n) for c in source.cells for n in re.findall(r"^## .*\((\d+) points", c.source)]
    assert sum(told) == sum(POINTS[name])


def points(cells) -> int:
    return sum(of_nbgrader(cell)["points"] for cell in cells.values())


def tasks(name):
    """The cells for code that are tested (an ablation of one's own choice is not)."""
    return [t for t in cells_of(SOURCES[name], solution=True, grade=False) if t != "ablation"]


def task_of(test, name):
    """The task that a test belongs to: the longest that its name begins with."""
    return max((t for t in tasks(name) if test.startswith(t)), key=len)


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_opens_with_the_set_up_cell_of_the_series(name):
    (setup,) = [c for c in SOURCES[name].cells if "setup" in notebooks.tags(c)]
    assert setup.source == notebooks.setup_source()
    assert SOURCES[name].cells.index(setup) == 1


def test_open_questions_are_in_the_rubric_with_their_points():
    rubric = (release.COURSE / "rubric.md").read_text(encoding="utf8")
    for name, source in SOURCES.items():
        for question, cell in cells_of(source, grade=True, solution=True).items():
            heading = rf"^### .*`{name}/{question}` · {of_nbgrader(cell)['points']} points$"
            assert re.search(heading, rubric, re.M), f"{name}/{question}"


# ---- Usual wrong answers, task by task: edits of the solution, and the tests that must fail ----

WRONG = {
    "ps1/masked_softmax": [
        ("a row of nothing is NaN", [("return weights.masked_fill(~mask, 0.0)", "return weights")]),
        ("an even share", [("-math.inf", "-1e9"), (".masked_fill(~mask, 0.0)", "")]),
        ("inverted", [("~mask", "mask")]),
        ("the wrong axis", [("dim=-1", "dim=-2")]),
        ("too late", [("scores.masked_fill(~mask, -math.inf)", "scores")]),
        (
            "overflow",
            [
                (".softmax(dim=-1)", ".exp()"),
                (
                    "return w",
                    "w = weights.sum(-1)\n    w = w + (w == 0)\n    return w[..., None] ** -1 * w",
                ),
            ],
        ),
    ],
    "ps1/multi_query": [
        ("no root", [("math.sqrt(key.size(-1))", "key.size(-1)")]),
        ("not divided", [(" / math.sqrt(key.size(-1))", "")]),
        ("√d_model", [("math.sqrt(key.size(-1))", "math.sqrt(num_heads * key.size(-1))")]),
        ("the wrong axis", [("dim=-1", "dim=-2")]),
        (
            "merged without transpose",
            [("found.transpose(1, 2).flatten(2)", "found.reshape(len(found), found.size(2), -1)")],
        ),
        (
            "heads interleaved",
            [("(num_heads, -1)).transpose(1, 2)", "(-1, num_heads)).permute(0, 3, 1, 2)")],
        ),
    ],
    "ps1/packed_mask": [
        ("padding looks at padding", [(" & real", "")]),
        ("the future", [(" & past", "")]),
        ("one document", [("same & ", "")]),
        ("inverted", [("return (", "return ~(")]),
        ("upper triangle", [("tril", "triu")]),
        ("no dimension for heads", [("[:, None]\n", "\n")]),
    ],
    "ps1/prefix_mask": [
        ("prefix only", [("in_prefix | past", "in_prefix.expand(-1, length, -1)")]),
        ("causal only", [("in_prefix | past", "in_prefix & False | past")]),
        ("and for or", [("in_prefix | past", "in_prefix & past")]),
        ("one too many", [("place < prefix", "place <= prefix")]),
        (
            "rows for columns",
            [
                (
                    "place < prefix_lengths[:, None, None]",
                    "place[:, None] < prefix_lengths[:, None, None]",
                )
            ],
        ),
    ],
    "ps1/attend_part": [
        ("no root", [("math.sqrt(query.size(-1))", "query.size(-1)")]),
        ("the sum, not its logarithm", [("logsumexp(dim=-1)", "exp().sum(dim=-1)")]),
        ("the wrong axis", [("softmax(dim=-1)", "softmax(dim=-2)")]),
        ("the other sum", [("logsumexp(dim=-1)", "logsumexp(dim=-2)")]),
    ],
    "ps1/join": [
        (
            "a plain mean",
            [("share * output_1 + (1 - share) * output_2", "(output_1 + output_2) / 2")],
        ),
        (
            "the shares swapped",
            [
                (
                    "share * output_1 + (1 - share) * output_2",
                    "(1 - share) * output_1 + share * output_2",
                )
            ],
        ),
        ("logarithms added", [("torch.logaddexp(log_sum_1, log_sum_2)", "log_sum_1 + log_sum_2")]),
        (
            "overflow",
            [
                (
                    "torch.logaddexp(log_sum_1, log_sum_2)",
                    "(log_sum_1.exp() + log_sum_2.exp()).log()",
                )
            ],
        ),
    ],
    "ps1/diagnose": [
        ("trusting", [('return "mask"', 'return "right"')]),
        ("no d_k", [('"d_k" if', '"right" if')]),
        ("no axis", [('return "axis"', 'return "right"')]),
    ],
    "ps2/wide_parameters": [
        ("one width", [("d_memory * d_model", "d_model * d_model")]),
        ("no biases", [("d_memory * d_model + d_model", "d_memory * d_model")]),
        (
            "biases of the memory",
            [("d_memory * d_model + d_model", "d_memory * d_model + d_memory")],
        ),
    ],
    "ps2/wide_attention": [
        ("the mask is dropped", [("value, mask)", "value)")]),
        ("inverted", [("value, mask)", "value, mask if mask is None else ~mask)")]),
        ("heads not merged back", [("merge_heads(found)", "found.reshape(x.shape)")]),
        ("one head", [("self.num_heads = num_heads", "self.num_heads = 1")]),
        ("keys are values", [("self.w_v(memory))", "self.w_k(memory))")]),
        ("no W_O", [("self.w_o(merge_heads(found))", "merge_heads(found)")]),
    ],
    "ps2/look_at_both": [
        (
            "two softmaxes",
            [
                (
                    "layer(y, torch.cat(memories, dim=1), torch.cat(masks, dim=-1))",
                    "(layer(y, memories[0], masks[0]) + layer(y, memories[1], masks[1])) / 2",
                )
            ],
        ),
        ("the masks swapped", [("torch.cat(masks,", "torch.cat(masks[::-1],")]),
        ("no masks", [(", torch.cat(masks, dim=-1)", "")]),
        (
            "the second memory only",
            [("torch.cat(memories, dim=1), torch.cat(masks, dim=-1)", "memories[1], masks[1]")],
        ),
    ],
    "ps2/gated_layer": [
        ("no tanh", [("self.gate.tanh()", "self.gate")]),
        ("open from the start", [("torch.zeros(1)", "torch.ones(1)")]),
        ("no gate", [("self.gate.tanh() * seen", "seen")]),
        (
            "nothing learned",
            [
                (
                    "self.gate = nn.Parameter(torch.zeros(1))",
                    'self.register_buffer("gate", torch.zeros(1))',
                )
            ],
        ),
        ("the masks swapped", [("(y), text, text_mask)", "(y), text, None)")]),
        ("the future", [("h, h, target_mask", "h, h")]),
        ("queries not normed", [("self.norm_text(y), text", "y, text")]),
        ("no residual", [("y = y + self.gate", "y = self.gate")]),
    ],
    "ps2/where_from": [
        ("always right", [('"y" if torch', '"memory" if torch'), ('else "y"', 'else "memory"')]),
        ("keys for values", [('"memory" if same_for_all else "y"', "keys")]),
        (
            "swapped",
            [
                (
                    'return keys, "memory" if same_for_all else "y"',
                    'return "memory" if same_for_all else "y", keys',
                )
            ],
        ),
    ],
    "ps2/shared_cross": [
        ("each its own", [("layer.attend(y, key, value, mask)", "layer(y, memory, mask)")]),
        (
            "computed again and again",
            [
                (
                    "    for layer in layers:",
                    "    for layer in layers:\n        key, value = layers[0].keys_values(memory)",
                )
            ],
        ),
        ("no mask", [("value, mask)", "value)")]),
        ("no residual", [("y = y + layer", "y = layer")]),
        ("the last layer's", [("layers[0]", "layers[-1]")]),
    ],
    "ps2/wire": [
        (
            "the source itself",
            [("for layer in enc", "start = x\n    for layer in enc"), ("y, x,", "y, start,")],
        ),
        (
            "layer by layer",
            [
                (
                    "x = layer(x, source_mask)\n    for layer in decoder_layers:",
                    "pass\n    for encoder, layer in zip(encoder_layers, decoder_layers):\n        "
                    "x = encoder(x, source_mask)",
                )
            ],
        ),
        ("the masks swapped", [("target_mask, source_mask)", "source_mask, target_mask)")]),
        ("the target in the place of the memory", [("layer(y, x,", "layer(y, y,")]),
    ],
    "ps3/sentence_losses": [
        ("padding below the line", [("real.sum(dim=-1)", "real.size(1)")]),
        ("padding above the line", [("(chosen * real)", "chosen")]),
        ("a sum", [(" / real.sum(dim=-1)", "")]),
        ("the sign", [("return -(", "return (")]),
        ("bits", [("return -(chosen", "return -1.4427 * (chosen")]),
    ],
    "ps3/go_on": [
        ("goes on after the end", [(".masked_fill(ended, PAD)", "")]),
        ("with BOS", [("ids[:, 1:]", "ids[:, :-1]")]),
        ("no BOS", [("F.pad(prefix, (1, 0), value=BOS)", "F.pad(prefix, (1, 0), value=PAD)")]),
        ("the first position", [("states[:, -1]", "states[:, 0]")]),
        ("no source mask", [("memory, source_mask)\n", "memory, None)\n")]),
    ],
    "ps3/token_by_token": [
        ("no cache", [(", cache) for", ") for")]),
        ("a new cache each step", [("source_mask, cache)", "source_mask, Cache(2))")]),
        ("all at once", [("target_ids.split(1, dim=1)", "[target_ids]")]),
        (
            "again from the start",
            [("torch.cat(steps, dim=1)", "model.decode(target_ids, memory, source_mask)")],
        ),
    ],
    "ps3/needed": [
        ("the least needed", [("min(left", "max(left")]),
        ("the next label", [("[0, t + 1]]", "[0, t]]")]),
        (
            "what is left alone",
            [("mask[..., s] = False", "mask[...] = False\n        mask[..., s] = True")],
        ),
        ("logits", [("logits.log_softmax(dim=-1)", "logits")]),
        ("nothing hidden", [("mask[..., s] = False", "pass")]),
    ],
    "ps3/hearing": [
        ("turned", [("return heard", "return heard.T")]),
        (
            "padding too",
            [("(source_ids[0] != PAD).nonzero().flatten().tolist()", "range(source_ids.size(1))")],
        ),
        ("the last word only", [(".any(dim=-1)", ".any(dim=-1).any()")]),
        ("everything", [("return heard", "return heard | True")]),
        ("replaced by itself", [("20 if source_ids[0, s] != 20 else 21", "20")]),
    ],
    "ps3/diagnose": [
        ("no order unseen", [('return "no order"', 'return "right"')]),
        ("early memory unseen", [('return "early memory" if', 'return "right" if')]),
        ("one word unseen", [('return "one word"', 'return "right"')]),
        ("always suspicious", [('else "right"', 'else "early memory"')]),
    ],
    "capstone/make_batch": [
        (
            "swapped",
            [
                (
                    "tokenizer.encode(in_words(n)), tokenizer.encode(list(str(n)))",
                    "tokenizer.encode(list(str(n))), tokenizer.encode(in_words(n))",
                )
            ],
        ),
        ("backwards", [("list(str(n))", "list(str(n))[::-1]")]),
        ("padded digits", [("str(n)", 'f"{n:06d}"')]),
    ],
    "capstone/number_reader": [
        ("the future", [(" & causal_mask(target_ids.size(1))", "")]),
        ("no padding mask in the encoder", [("layer(x, source_mask)", "layer(x)")]),
        ("no padding mask in the decoder", [("target_mask, source_mask)", "target_mask)")]),
        ("the words themselves", [("y = layer(y, memory,", "y = layer(y, memory * 0,")]),
        ("not normed", [("self.encoder_norm(x)", "x")]),
        (
            "the first layer only",
            [("for layer in self.encoder_layers:", "for layer in self.encoder_layers[:1]:")],
        ),
        (
            "no order",
            [
                (
                    "y = self.target_embedding(target_ids)",
                    "y = self.target_embedding.token(target_ids)",
                )
            ],
        ),
    ],
    "capstone/batch_loss": [
        (
            "padding counted",
            [
                (
                    "logits[real], batch.target_labels[real]",
                    "logits.flatten(0, 1), batch.target_labels.flatten()",
                )
            ],
        ),
        ("not shifted", [("batch.target_labels[real]", "batch.target_input[real]")]),
        ("a sum", [("batch.target_labels[real])", 'batch.target_labels[real], reduction="sum")')]),
    ],
    "capstone/hear": [
        (
            "goes on after the end",
            [
                (" and ids[-1] != EOS", ""),
                ("tokenizer.decode(ids)", "[tokenizer.words[i] for i in ids]"),
            ],
        ),
        ("no EOS", [("*tokenizer.encode(words), EOS", "*tokenizer.encode(words)")]),
        ("text", [("int(", "(")]),
        ("too short", [("<= 8", "<= 6")]),
        ("zero for nothing", [("else -1", "else 0")]),
    ],
    "capstone/look": [
        ("the first layer", [("len(model.decoder_layers) - 1", "0")]),
        ("one head", [(".mean(dim=0)", "[0]")]),
        ("self-attention", [("cross_attention", "self_attention")]),
        ("turned", [(".mean(dim=0)", ".mean(dim=0).T")]),
    ],
}


def namespace_of(name):
    """What a learner has after the locked cells, and all solutions but training."""
    names: dict = {"__name__": "__main__"}
    for cell in cells_of(SOURCES[name], cell_type="code", grade=False).values():
        exec(cell.source, names)
    return names


def failing(name, task, source, names) -> list[str]:
    """The tests of a task that a solution fails."""
    names, failed = dict(names), []
    exec(source, names)
    for test, cell in graded_cells(SOURCES[name]).items():
        if task_of(test, name) == task:
            try:
                exec(cell.source, names)
            except Exception:
                failed.append(test)
    return failed


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("place", WRONG)
def test_usual_wrong_answers_are_refused(place, one_thread):
    name, task = place.split("/")
    names, right = namespace_of(name), cells_of(SOURCES[name])[task].source
    assert failing(name, task, right, names) == []
    for what, edits in WRONG[place]:
        assert failing(name, task, mutant(right, *edits), names), f"{what} passes every test"


def test_every_task_has_wrong_answers_tried():
    wanted = {f"{name}/{task}" for name in SOURCES for task in tasks(name)}
    assert wanted == {*WRONG, "capstone/train_reader"}
