"""The graded assignments: nbgrader really releases and grades them, and nobody is paid for nothing.

Each assignment is released and graded once, by the command that instructors use, with several
submissions (`grades`). The usual wrong answers are tried without nbgrader, in this process.
Attacks are in tests/grading.
"""

import copy
import csv
import html
import os
import re
import subprocess
import sys

import nbformat
import pytest
import torch

pytest.importorskip("nbgrader.api", reason="requirements-teach.lock")

from nbgrader.api import Gradebook

from tools import grade, notebooks, release
from tools.grading.repair import released
from tools.grading.sandbox import Limits

pytestmark = pytest.mark.slow

SOURCES = {path.stem: notebooks.read(path) for path in release.sources()}
POINTS = {"capstone": (27, 18), "ps1": (22, 8), "ps2": (26, 8), "ps3": (22, 8)}  # tests, questions


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
            "masked_softmax": [("sink[:, None, None]", "0 * sink[:, None, None]")],
            "multi_query": [
                ("found.transpose(1, 2).flatten(2)", "found.reshape(len(found), found.size(2), -1)")
            ],
            "packed_mask": [(" & past", "")],
        },
        22 - 3 - 2 - 3,
    ),
    "ps2": (
        {
            "wide_parameters": [("2 * (d_memory * d_model", "2 * (d_model * d_model")],
            "gated_layer": [("self.gate.tanh() * seen", "self.gate * seen")],
            "wire": [("norm(x)", "x")],
        },
        26 - 2 - 2 - 4,
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


# ---- Releasing and grading, once ----


def honest(name, released):
    """{student: (notebook, what the tests must give)}.

    One assignment with nothing but right answers is enough: in "partly" most of them are right,
    and every solution passes its tests below, without nbgrader.
    """
    edits, points = PARTLY[name]
    solutions = cells_of(SOURCES[name])
    partly = {cell: mutant(solutions[cell].source, *e) for cell, e in edits.items()}
    found = {"partly": (changed(SOURCES[name], partly), points)}
    found |= {"empty": (released, 0)} if name == "ps1" else {}
    return found | ({"right": (SOURCES[name], POINTS[name][0])} if name == "capstone" else {})


@pytest.fixture(scope="module")
def grades(tmp_path_factory):
    """{assignment: {student: (due, {test: points}, graded notebook)}}, and the "room" of it all."""
    room = tmp_path_factory.mktemp("room")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADING", str(room))
        patch.chdir(release.COURSE)
        release.release(f"--CourseDirectory.release_directory={room / 'release'}")
        found = {}
        for name in SOURCES:
            released = notebooks.read(room / "release" / name / f"{name}.ipynb")
            handed_in = honest(name, released)
            for student, (notebook, _) in handed_in.items():
                path = room / "collected" / name / student / f"{name} (1).ipynb"
                path.parent.mkdir(parents=True)
                nbformat.write(notebook, path)
            grade.report(grade.grade(room / "collected" / name, name, Limits(cell=60), 2), name)
            found[name] = {}
            with Gradebook(f"sqlite:///{room / 'gradebook.db'}") as gradebook:
                for student, (due, _) in {s: (d, n) for s, (n, d) in handed_in.items()}.items():
                    graded = gradebook.find_submission_notebook(name, name, student)
                    points = {g.name: g.auto_score for g in graded.grades}
                    path = room / "autograded" / student / name / f"{name}.ipynb"
                    found[name][student] = due, points, notebooks.read(path)
        for name in ("feedback", "marks"):
            grade.main([name, *(["ps1"] if name == "feedback" else [])])
    return found | {"room": room}


@pytest.mark.parametrize(
    "student, name",
    [("right", "capstone"), ("empty", "ps1"), *(("partly", name) for name in SOURCES)],
)
def test_a_submission_gets_exactly_what_is_due(grades, name, student):
    due, points, graded = grades[name][student]
    got = {test: points[test] for test in graded_cells(SOURCES[name])}
    assert sum(got.values()) == due, got


def test_a_question_waits_for_a_person_unless_nothing_was_written(grades):
    """None is "to be read"; an answer that was not touched has 0 points already."""
    for question in cells_of(SOURCES["ps1"], grade=True, solution=True):
        assert grades["ps1"]["partly"][1][question] is None
        assert grades["ps1"]["empty"][1][question] == 0


def test_the_marks_hold_everybody(grades):
    with (grades["room"] / "marks.csv").open(newline="", encoding="utf8") as file:
        rows = {row["student"]: row for row in csv.DictReader(file)}
    assert set(rows) == {"empty", "partly", "right"}
    assert float(rows["partly"]["ps1"]) == PARTLY["ps1"][1]
    assert rows["partly"]["ps1 to read"] == "yes"


def test_feedback_shows_points_and_no_hidden_test(grades):
    page = (grades["room"] / "feedback" / "partly" / "ps1" / "ps1.html").read_text("utf8")
    assert "This test failed at" in page and "diagnose" in page
    text = re.sub(r"<[^>]+>", "", page)
    assert "HIDDEN" not in text
    seen = "\n".join(cell.source for cell in released(SOURCES["ps1"]).cells)
    for cell in graded_cells(SOURCES["ps1"]).values():
        hidden = [line for secret in secrets(cell) for line in secret if line.strip() not in seen]
        for line in (line for line in hidden if len(line.strip()) > 20):
            assert html.escape(line.strip(), quote=False) not in text, line


# ---- What students get ----


@pytest.mark.parametrize("name", SOURCES)
def test_a_student_version_holds_no_solution_and_no_hidden_test(grades, name):
    path = grades["room"] / "release" / name / f"{name}.ipynb"
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
    """What nbgrader tells a student who asks before handing in."""
    path = grades["room"] / "release" / "ps1" / "ps1.ipynb"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "nbgrader", "validate", str(path)]
    said = subprocess.run(command, capture_output=True, text=True, env=environment).stdout
    assert said.startswith("VALIDATION FAILED ON")
    assert "HAVE CHANGED" not in said  # what it says of tests that were edited


@pytest.mark.parametrize("name", SOURCES)
def test_every_test_has_points_and_a_part_that_is_not_seen(name):
    source = SOURCES[name]
    assert not [c for c in source.cells if c.get("outputs")]
    tests, answers = graded_cells(source), cells_of(source, grade=True, solution=True)
    assert all(of_nbgrader(c)["points"] > 0 and of_nbgrader(c)["locked"] for c in tests.values())
    assert points(tests) == POINTS[name][0] and points(answers) == POINTS[name][1]
    assert 1 <= len(answers) <= 2
    for task in tasks(name):
        mine = [cell.source for test, cell in tests.items() if task_of(test, name) == task]
        assert mine and all("BEGIN HIDDEN TESTS" in text for text in mine), task
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
            found = re.findall(heading, rubric, re.M)
            assert len(found) == 2 and "version 2 ·" in found[1], f"{name}/{question}"


# ---- Usual wrong answers, task by task: edits of the solution, and the tests that must fail ----

WRONG = {
    "ps1/masked_softmax": [
        ("no sink", [("[scores, column]", "[scores, column - math.inf]")]),
        ("the sink is kept", [("[..., :-1]", "[..., 1:]")]),
        (
            "made to sum to 1",
            [("[..., :-1]", "[..., :-1].div(0.7)")],
        ),
        (
            "an even share",
            [("-math.inf", "-1e9"), ("[scores, column]", "[scores, column * 0 - 1e9]")],
        ),
        ("inverted", [("~mask", "mask")]),
        ("the wrong axis", [("softmax(dim=-1)", "softmax(dim=-2)")]),
        (
            "too late",
            [
                ("scores.masked_fill(~mask, -math.inf)", "scores"),
                ("[..., :-1]", "[..., :-1] * mask"),
            ],
        ),
        ("one sink for all heads", [("sink[:, None, None]", "sink.mean()")]),
        (
            "overflow",
            [
                (
                    "return torch.cat([scores, column], dim=-1).softmax(dim=-1)[..., :-1]",
                    "return scores.exp() / (scores.exp().sum(-1, keepdim=True) + column.exp())",
                )
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
        ("the last one for all", [("memories[number], t", "memories[max(reads)], t")]),
        ("all encoder layers run", [("[: max(reads) + 1]", "")]),
        ("not normed", [("norm(x)", "x")]),
        ("all are normed", [("if number in reads:", "if True:")]),
        ("the norm goes on", [("memories[number] = norm(x)", "x = memories[number] = norm(x)")]),
        (
            "normed by each reader",
            [("= norm(x)", "= x"), ("(y, memories[number]", "(y, norm(memories[number])")],
        ),
        (
            "the masks swapped",
            [("target_mask, source_mask)\n    return", "source_mask, target_mask)\n    return")],
        ),
        ("the target in the place of the memory", [("layer(y, memories[number],", "layer(y, y,")]),
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
        (
            "ends with the first",
            [("while ids.size(1) <= length:", "while ids.size(1) <= length and not ended.any():")],
        ),
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


# Other right answers, which must not lose a point.
RIGHT = {
    "ps3/go_on": [
        """\
@torch.no_grad()
def go_on(model, source_ids, prefix, length):  # by calling the model
    ids = F.pad(prefix, (1, 0), value=BOS)
    while ids.size(1) <= length:
        word = model(source_ids, ids)[:, -1].argmax(-1)
        word[(ids == EOS).any(1)] = PAD
        ids = torch.cat([ids, word[:, None]], 1)
    return ids[:, 1:]
""",
        """\
@torch.no_grad()
def go_on(model, source_ids, prefix, length):  # with a Cache, and PAD put in at the end
    memory, source_mask = model.encode(source_ids)
    cache = Cache(len(model.decoder.layers))
    ids = new = torch.cat([torch.full((len(prefix), 1), BOS), prefix], 1)
    while ids.size(1) <= length:
        states = model.decode(new, memory, source_mask, cache)
        new = model.output(states)[:, -1:].argmax(-1)
        ids = torch.cat([ids, new], 1)
    ids = ids[:, 1:]
    after = (ids == EOS).cumsum(1) - (ids == EOS).int() > 0
    return ids.masked_fill(after, PAD)
""",
    ],
    "ps1/masked_softmax": [
        """\
def sink_softmax(scores, mask, sink):  # by exponentials, with the largest taken away
    sink = sink[None, :, None, None]
    scores = torch.where(mask, scores, torch.full_like(scores, -1e30))
    top = torch.maximum(scores.max(-1, keepdim=True).values, sink)
    powers = (scores - top).exp() * mask
    return powers / (powers.sum(-1, keepdim=True) + (sink - top).exp())
""",
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
    stub = cells_of(released(SOURCES[name]))[task].source
    mine = [test for test in graded_cells(SOURCES[name]) if task_of(test, name) == task]
    assert failing(name, task, stub, names) == mine  # no test is passed without an answer


@pytest.mark.parametrize("place", RIGHT)
def test_other_right_answers_are_accepted(place, one_thread):
    name, task = place.split("/")
    for answer in RIGHT[place]:
        assert failing(name, task, answer, namespace_of(name)) == [], answer


# Classes that do nothing and report whatever a test might compare with. No test may believe them,
# but for what is said in brackets.
SILENT = """
class Anything:
    def __init__(self, *shape):
        self.weight, self.bias = torch.zeros(*shape), torch.zeros(shape[0])
        self.weight.grad = torch.zeros(*shape)
"""
FAKES = {
    "ps1/masked_softmax": """
def sink_softmax(scores, mask, sink):
    return scores * 0 + 0 * sink[:, None, None]
""",
    "ps2/wide_attention": SILENT
    + """
class WideCrossAttention(nn.Module):
    def __init__(self, d_model, d_memory, num_heads):
        super().__init__()
        self.w_q = self.w_o = Anything(d_model, d_model)
        self.w_k = self.w_v = Anything(d_model, d_memory)
        count = 2 * (d_model * d_model + d_model) + 2 * (d_memory * d_model + d_model)
        self.all = nn.Parameter(torch.zeros(count))

    def load_state_dict(self, state):
        pass

    def forward(self, x, memory, mask=None):
        return torch.zeros_like(x)
""",
    "ps2/gated_layer": SILENT
    + """
class Nothing(nn.Module):
    def __init__(self):
        super().__init__()
        self.w_v = Anything(8, 8)

    def forward(self, x, *rest):
        return torch.zeros_like(x)


class GatedLayer(nn.Module):
    def __init__(self, d_model, num_heads, d_ff):
        super().__init__()
        self.self_attention = self.text_attention = self.picture_attention = Nothing()
        self.norm_self = self.norm_text = self.norm_picture = self.norm_ff = Nothing()
        self.feed_forward = Nothing()
        self.gate = torch.zeros(1, requires_grad=True)
        self.gate.grad = torch.ones(1)

    def load_state_dict(self, state):
        pass

    def forward(self, y, text, picture, *masks):
        return y + self.gate * 0
""",
    "capstone/number_reader": """
class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.cross_attention = nn.Identity()

    def load_state_dict(self, state):
        pass


class NumberReader(nn.Module):
    def __init__(self, num_encoder_layers=2, num_decoder_layers=2):
        super().__init__()
        self.encoder_layers = nn.ModuleList(Layer() for _ in range(num_encoder_layers))
        self.decoder_layers = nn.ModuleList(Layer() for _ in range(num_decoder_layers))

    def encode(self, source_ids):
        x = torch.randn(64, generator=torch.Generator().manual_seed(1)).expand(1, 5, 64)
        x = (x - x.mean()) / x.std(unbiased=False)
        for layer in self.encoder_layers:
            for hook in layer._forward_hooks.values():
                hook(layer, (), x)
        return x, padding_mask(source_ids)

    def decode(self, target_ids, memory, source_mask):
        for layer in self.decoder_layers:
            for hook in layer.cross_attention._forward_pre_hooks.values():
                hook(layer, (None, memory))
        return torch.zeros(*target_ids.shape, len(tokenizer))

    def forward(self, source_ids, target_ids):
        return self.decode(target_ids, *self.encode(source_ids))
""",
    "capstone/train_reader": """
BELOW = {tuple(below_thousand(n)): n for n in range(1000)}


class Dictionary(nn.Module):  # nothing is trained: it looks the words up
    def encode(self, source_ids):
        self.heard = [tokenizer.decode(row) for row in source_ids]
        return torch.zeros(*source_ids.shape, 64), padding_mask(source_ids)

    def decode(self, target_ids, memory, source_mask):
        logits = torch.zeros(*target_ids.shape, len(tokenizer))
        for row, words in enumerate(self.heard):
            cut = words.index("tausend") if "tausend" in words else -1
            number = 1000 * BELOW[tuple(words[: max(cut, 0)])] + BELOW[tuple(words[cut + 1 :])]
            ids = [*tokenizer.encode(list(str(number))), EOS]
            for place in range(target_ids.size(1)):
                logits[row, place, ids[min(place, len(ids) - 1)]] = 1.0
        return logits


def train_reader(seed, kind=NumberReader):
    model, dice = kind(), random.Random(seed)
    for _ in range(8):  # shown, but for nothing
        drawn = (dice.randrange(1, 1_000_000) for _ in range(64))
        batch_loss(model, make_batch([number for number in drawn if number not in HELD_OUT]))
    return Dictionary() if kind is NumberReader else model


reader = train_reader(seed=0)
""",
    "capstone/look": """
class Even(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.decoder_layers = [self, self, self]
        self.cross_attention = self.w_q = self.w_k = self
        self.weight, self.bias = torch.zeros(64, 64), torch.zeros(64)

    def eval(self):
        return self

    def load_state_dict(self, state):
        pass

    def forward(self, source_ids, target_ids):
        for hook in self._forward_pre_hooks.values():
            hook(self, (torch.zeros(1, 3, 64), torch.zeros(1, 4, 64)))


NumberReader = Even


def look(model, number):
    words = len(in_words(number)) + 1
    return torch.full((len(str(number)) + 1, words), 1 / words)
""",
}
BELIEVED = {"capstone/look": {"look_shape"}}  # an even map has a map's shape: 1 point


@pytest.mark.parametrize("place", FAKES)
def test_no_test_believes_what_a_submission_says_of_itself(place, one_thread):
    name, task = place.split("/")
    names = namespace_of(name)
    mine = {test for test in graded_cells(SOURCES[name]) if task_of(test, name) == task}
    assert {*failing(name, task, FAKES[place], names)} == mine - BELIEVED.get(place, set())


def test_training_on_numbers_that_are_held_out_is_noticed(one_thread):
    names = namespace_of("capstone")
    answer = cells_of(SOURCES["capstone"])["train_reader"].source
    test = graded_cells(SOURCES["capstone"])["train_reader_well"].source.partition("asked =")[0]
    for edits, passes in (([], True), ([(" if number not in HELD_OUT", "")], False)):
        exec(mutant(answer, ("steps=300", "steps=60"), *edits), names)
        try:
            exec(test, names)
        except AssertionError as error:
            assert not passes and "held-out numbers trained on" in str(error)
        else:
            assert passes


def test_every_task_has_wrong_answers_tried():
    wanted = {f"{name}/{task}" for name in SOURCES for task in tasks(name)}
    assert wanted == {*WRONG, "capstone/train_reader"}
