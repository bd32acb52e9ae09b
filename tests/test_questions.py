"""course/questions.toml and tools/questions.py: the keys are right, exports say the same.

What is imported here, the bank's checks may use.
"""
# ruff: noqa: F401

import itertools
import random
import re
import tomllib
import zipfile
from collections import Counter
from html import unescape
from itertools import pairwise
from xml.etree import ElementTree

import pytest
import torch

from helpers.attention import MultiHeadAttention, attention, record_attention, split_heads
from helpers.batching import pad
from helpers.decoder import DecoderLayer
from helpers.decoding import length_divisor, nucleus
from helpers.encoder import Encoder, EncoderLayer
from helpers.layers import FeedForward, sinusoidal_positions
from helpers.lessons.attention_variants import GroupedQueryAttention, rotate
from helpers.lessons.captioning import PatchEmbedding
from helpers.lessons.hearing import best_path, word_error_rate
from helpers.lessons.marian import marian_names
from helpers.lessons.modern import GatedFeedForward
from helpers.lessons.published_weights import Vocabulary
from helpers.masks import causal_mask, padding_mask
from helpers.training import TrainingConfig, learning_rate_at
from helpers.transformer import Transformer, TransformerConfig
from tools import notebooks, questions, talks, wording

BANK = questions.load()
IDS = [question["id"] for question in BANK]


# ---- What the bank's checks may use, beside the helpers ----------------------------------------


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


def moved(function, x, place):
    """Which places of the output change if the vector at `place` does: [0, 1, …]."""
    changed = x.clone()
    changed[:, place] += 1
    with torch.no_grad():
        return (function(x) != function(changed)).any(-1)[0].int().tolist()


def maps_that_move(depth, layer, name):
    """Which layers' cross-attention maps change with this matrix of one layer."""
    stack = torch.nn.ModuleList(DecoderLayer(16, 4, 32, dropout=0.0) for _ in range(depth))
    y, memory, seen = torch.randn(1, 3, 16), torch.randn(1, 5, 16), []
    for factor in (1.0, -2.0):
        with torch.no_grad(), record_attention(stack) as maps:
            getattr(stack[layer].cross_attention, name).weight.mul_(factor)
            x = y
            for part in stack:
                x = part(x, memory, causal_mask(3))
        seen.append([maps[f"{i}.cross_attention"] for i in range(depth)])
    return [not torch.equal(a, b) for a, b in zip(*seen, strict=True)]


def cut_up(word, merges):
    """A word in pieces, by the merges of a byte-pair encoding."""
    pieces = list("▁" + word)
    for first, second in merges:
        i = 0
        while i + 1 < len(pieces):
            if (pieces[i], pieces[i + 1]) == (first, second):
                pieces[i : i + 2] = [first + second]
            i += 1
    return pieces


KNOWN = dict(globals())


def all_values(question):
    names = question.get("vary", {})
    return [dict(zip(names, row, strict=True)) for row in itertools.product(*names.values())]


# ---- The bank ----------------------------------------------------------------------------------


def test_every_notebook_has_its_questions():
    asked = Counter(question["notebook"] for question in BANK)
    for path in notebooks.paths():
        assert asked[path.name[:2]] >= 4, path.name
        kinds = {q["kind"] for q in BANK if q["notebook"] == path.name[:2]}
        levels = {q["level"] for q in BANK if q["notebook"] == path.name[:2]}
        assert len(kinds) >= 3 and len(levels) >= 2, path.name
        assert "explain" in kinds, f"{path.name} has no question to write about"
    assert len(BANK) >= 4 * len(notebooks.paths())


@pytest.mark.parametrize("question", BANK, ids=IDS)
def test_question_belongs_to_a_goal(question):
    assert question["id"].startswith(question["notebook"])
    assert 1 <= question["goal"] <= len(questions.goals(question["notebook"]))


def test_every_goal_is_asked_about_but_the_optional_ones():
    """So nobody is asked about what they did not have to read, and no goal's number is off."""
    asked = {(question["notebook"], question["goal"]) for question in BANK}
    for path in notebooks.paths():
        name = path.name[:2]
        goals = enumerate(questions.goals(name), start=1)
        wanted = {number for number, goal in goals if not goal.endswith(wording.OPTIONAL)}
        assert {goal for notebook, goal in asked if notebook == name} == wanted, path.name


@pytest.mark.parametrize("question", [q for q in BANK if "check" in q],
                         ids=lambda q: q["id"])  # fmt: skip
def test_key_is_what_the_check_computes(question):
    for values in all_values(question):
        torch.manual_seed(0)
        found = questions.value(question["check"], values, KNOWN)
        if question["kind"] == "number":
            answer = questions.value(question["answer"], values)
            assert abs(found - answer) <= max(question["tolerance"], 1e-6), values
        else:
            assert found is True


@pytest.mark.parametrize("question", [q for q in BANK if q["kind"] == "number"],
                         ids=lambda q: q["id"])  # fmt: skip
def test_mistakes_are_told_apart_from_the_answer(question):
    for values in all_values(question):
        kept = questions.settled(question, values)
        answers = [kept["answer"], *(number for number, _ in kept["wrong"])]
        for one, other in itertools.combinations(answers, 2):
            assert abs(one - other) > 2 * question["tolerance"] or one == other, values
        assert len(kept["wrong"]) >= len(question["wrong"]) - 1, values
        texts = [kept["text"], kept["why"], *(why for _, why in kept["wrong"])]
        assert not any("{" + name + "}" in text for name in values for text in texts)


@pytest.mark.parametrize("question", [q for q in BANK if "vary" in q], ids=lambda q: q["id"])
def test_every_text_gets_its_values(question):
    for values in all_values(question):
        settled = questions.settled(question, values)
        kept = {k: v for k, v in settled.items() if k not in ("check", "vary")}
        assert not any("{" + name + "}" in str(kept) for name in values)
        assert all(str(value) in str(kept) for value in values.values())


def test_a_good_part_of_the_bank_varies():
    varied = Counter(question["kind"] for question in BANK if "vary" in question)
    assert (
        varied["number"] >= 40
        and varied["explain"] >= 4
        and sum(varied.values()) >= len(BANK) * 0.3
    )


def test_no_question_is_an_exercise():
    plain = lambda text: re.sub(r"\W+", " ", text).lower()
    series = [plain(cell.source) for path in notebooks.paths()
              for cell in notebooks.read(path).cells if cell.cell_type == "markdown"]  # fmt: skip
    for question in BANK:
        asked = plain(question["text"]).strip()
        assert not any(asked in text for text in series), question["id"]


WRONG_FORMS = [
    ('kind = "single"', 'kind = "guess"', "kind must be one of"),
    ('level = "medium"', 'level = "mean"', "level must be one of"),
    ('right = ["A quarter', 'right = ["Both.", "A quarter', "one right answer"),
    ("goal = 1\n", "goal = 1\nanswer = 3\n", "which a single does not have"),
    ("goal = 1\n", 'goal = 1\nshown = ["Quiz"]\n', "shown must be like"),
    ('why = "', 'because = "', "which a single does not have"),
    ('id = "00-row-below-one"', 'id = "00-read-a-map"', "the same id"),
    ('notebook = "00"', 'notebook = "0"', "two digits"),
]


@pytest.mark.parametrize("old, new, message", WRONG_FORMS)
def test_a_wrong_form_is_named(tmp_path, old, new, message):
    text = questions.BANK.read_text(encoding="utf8")
    path = tmp_path / "bank.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf8")
    with pytest.raises(ValueError, match=f"question 00-.*{message}"):
        questions.load(path)


def test_marks_add_up(tmp_path):
    text = questions.BANK.read_text(encoding="utf8")
    path = tmp_path / "bank.toml"
    path.write_text(text.replace('"2: suspects a leak', '"3: suspects a leak'), encoding="utf8")
    with pytest.raises(ValueError, match="03-too-good: the marks must add up to 6"):
        questions.load(path)


def test_notebooks_are_chosen():
    some = questions.chosen(BANK, "00-02, 07")
    assert {q["notebook"] for q in some} == {"00", "01", "02", "07"}
    for wrong in ("seven", "07-", "98"):
        with pytest.raises(ValueError):
            questions.chosen(BANK, wrong)


# ---- GIFT, read as Moodle reads it -------------------------------------------------------------

BASE = [questions.settled(q, questions.first_values(q)) for q in BANK]
ESCAPED = {"\\\\": "\7", "\\~": "\1", "\\=": "\2", "\\#": "\3", "\\{": "\4", "\\}": "\5"}
ESCAPED |= {"\\:": "\6", "\\n": "\n"}
BACK = {"\7": "\\", "\1": "~", "\2": "=", "\3": "#", "\4": "{", "\5": "}", "\6": ":"}


def unescaped(text):
    for hidden, sign in BACK.items():
        text = text.replace(hidden, sign)
    return text


def read_gift(text):
    """{name: (text, answers, feedback)}, answers as [(mark, answer, feedback)] or a verdict."""
    found = {}
    for paragraph in re.split(r"\n\s*\n", text):
        if not paragraph.strip() or paragraph.startswith(("//", "$CATEGORY: ")):
            continue
        paragraph = paragraph.strip()
        assert "\n" not in paragraph
        for sign, hidden in ESCAPED.items():
            paragraph = paragraph.replace(sign, hidden)
        name, asked, inside = re.fullmatch(r"::(.*?)::\[html\](.*?)\{(.*)\}", paragraph).groups()
        assert not re.search("[{}]", inside)
        inside, _, general = inside.partition("####")
        numeric = inside.startswith("#")
        answers = []
        if inside in ("TRUE", "FALSE"):
            answers = inside == "TRUE"
        else:
            pattern = r"([=~])(?:%(-?[\d.]+)%)?([^=~#]*)(?:#([^=~#]*))?"
            body = inside.removeprefix("#")
            for mark, weight, answer, why in re.findall(pattern, body):
                share = float(weight) if weight else 100.0 * (mark == "=")
                text_of = answer if numeric else unescaped(answer)
                answers.append((share, text_of.strip(), unescaped(why).strip()))
            assert "".join(body.split()) == "" or answers
        found[unescaped(name)] = unescaped(asked), answers, unescaped(general)
    return found


def test_gift_says_what_the_bank_says():
    written = read_gift(questions.gift(BASE))
    assert list(written) == IDS
    for question in BASE:
        asked, answers, general = written[question["id"]]
        assert asked == questions.blocks(question["text"])
        assert general == questions.blocks(question.get("why") or question["model"])
        kind = question["kind"]
        if kind == "true-false":
            assert answers is question["answer"]
        elif kind == "number":
            numbers = [(share, *map(float, text.split(":"))) for share, text, _ in answers]
            wanted = [(100, question["answer"]), *((0, number) for number, _ in question["wrong"])]
            for (share, number, tolerance), (right, value) in zip(numbers, wanted, strict=True):
                assert share == right and tolerance == question["tolerance"]
                assert number == pytest.approx(value, abs=1e-5)
        elif kind in ("single", "several"):
            right = {text for share, text, _ in answers if share > 0}
            assert right == set(map(questions.inline, question["right"]))
            wrong = {(text, why) for share, text, why in answers if share <= 0}
            assert wrong == {tuple(map(questions.inline, pair)) for pair in question["wrong"]}
            shares = [share for share, *_ in answers if share > 0]
            assert sum(shares) == pytest.approx(100, abs=0.01)
            if kind == "several":
                assert sum(s for s, *_ in answers if s < 0) == pytest.approx(-100, abs=0.01)
        else:
            assert [text for _, text, _ in answers] == question.get("accept", [])


EVIL = "a {b} ~c =d #e f:g \\h \\n <i> & “q” -> x"


def evil(kind, **more):
    return {"id": "00-evil", "notebook": "00", "goal": 1, "kind": kind, "level": "easy",
            "text": EVIL, "why": EVIL, **more}  # fmt: skip


def test_gift_survives_its_own_signs():
    choices = evil("single", right=[EVIL], wrong=[[EVIL + "1", EVIL], [EVIL + "2", EVIL]])
    asked, answers, general = read_gift(questions.gift([choices]))["00-evil"]
    assert asked == general == questions.blocks(EVIL)
    assert sorted(text for _, text, _ in answers) == sorted(
        questions.inline(EVIL + end) for end in ("", "1", "2")
    )
    assert [why for share, _, why in answers if not share] == [questions.inline(EVIL)] * 2


# ---- QTI ---------------------------------------------------------------------------------------

NAMES = {"q": questions.QTI, "c": questions.CP}
XHTML = {"p", "pre", "br", "code", "em", "strong"}


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    path = tmp_path_factory.mktemp("qti") / "bank.zip"
    questions.write_qti(BASE, path)
    with zipfile.ZipFile(path) as file:
        assert file.testzip() is None
        return {name: ElementTree.fromstring(file.read(name)) for name in file.namelist()}


def test_manifest_lists_every_file(package):
    resources = package["imsmanifest.xml"].findall(".//c:resource", NAMES)
    assert {r.get("href") for r in resources} == package.keys() - {"imsmanifest.xml"}
    names = [r.get("identifier") for r in resources]
    assert len(set(names)) == len(names)
    needed = package["imsmanifest.xml"].findall(".//c:dependency", NAMES)
    assert {d.get("identifierref") for d in needed} == set(names) - {"r-test"}
    parts = package["test.xml"].findall(".//q:assessmentItemRef", NAMES)
    assert [p.get("href") for p in parts] == [f"items/{name}.xml" for name in IDS]


def text_in(element):
    return "".join(element.itertext())


@pytest.mark.parametrize("question", BASE, ids=IDS)
def test_item_says_what_the_bank_says(package, question):
    item = package[f"items/{question['id']}.xml"]
    declared = item.find("q:responseDeclaration", NAMES)
    right = [value.text for value in declared.findall("q:correctResponse/q:value", NAMES)]
    choices = {
        c.get("identifier"): text_in(c) for c in item.iter(f"{{{questions.QTI}}}simpleChoice")
    }
    outcomes = {f.get("identifier") for f in item.findall("q:modalFeedback", NAMES)}
    plain = lambda text: unescape(re.sub(r"<[^>]*>", "", questions.inline(text)))
    kind = question["kind"]
    if kind in ("single", "several"):
        assert {choices[name] for name in right} == set(map(plain, question["right"]))
        assert len(choices) == len(question["right"]) + len(question["wrong"])
        assert outcomes == choices.keys()
        scores = {m.get("mapKey"): float(m.get("mappedValue"))
                  for m in declared.iter(f"{{{questions.QTI}}}mapEntry")}  # fmt: skip
        assert sum(scores[name] for name in right) == pytest.approx(1, abs=1e-3)
        assert all(scores[name] <= 0 for name in choices.keys() - set(right))
    elif kind == "true-false":
        assert [choices[name] for name in right] == [str(question["answer"])]
    elif kind == "number":
        assert float(right[0]) == pytest.approx(question["answer"], abs=1e-5)
        near = item.find(".//q:responseIf/q:equal", NAMES)
        low, high = map(float, near.get("tolerance").split())
        assert low == high == question["tolerance"] and near.get("toleranceMode") == "absolute"
        assert len(item.findall(".//q:responseElseIf", NAMES)) == len(question["wrong"])
        assert len(outcomes) == 1 + len(question["wrong"])
    elif kind == "short":
        mapped = [m.get("mapKey") for m in declared.iter(f"{{{questions.QTI}}}mapEntry")]
        assert mapped == question["accept"]
    else:
        assert item.find(".//q:extendedTextInteraction", NAMES) is not None and not right
    body = item.find("q:itemBody", NAMES)
    inside = {e.tag.partition("}")[2] for e in body.iter()} - {"itemBody"}
    assert inside - XHTML - {"simpleChoice"} and all(
        name in XHTML or name == "simpleChoice" or name.endswith("Interaction") for name in inside
    )


def test_items_survive_evil_signs():
    item = ElementTree.fromstring(
        questions.qti_item(evil("single", right=[EVIL], wrong=[["&", "<"], [">", '"']])).encode()
    )
    assert EVIL in [text_in(c) for c in item.iter(f"{{{questions.QTI}}}simpleChoice")]
    item = ElementTree.fromstring(questions.qti_item(evil("short", accept=['"<&>'])).encode())
    assert item.find(".//q:mapEntry", NAMES).get("mapKey") == '"<&>'


def test_the_same_bank_gives_the_same_package(tmp_path):
    for name in ("one.zip", "other.zip"):
        questions.write_qti(BASE[:3], tmp_path / name)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "other.zip").read_bytes()


def test_text_becomes_html():
    assert questions.blocks("a *b* **c** `d*e*<`\nf\n\n```\n1 < 2\n*x*\n```\n") == (
        "<p>a <em>b</em> <strong>c</strong> <code>d*e*&lt;</code> f</p><pre>1 &lt; 2<br/>*x*</pre>"
    )
    assert questions.inline("2 * 3 * 4") == "2 * 3 * 4"


# ---- Exams -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_an_exam_has_its_points_and_is_spread(seed):
    picked = questions.select(BANK, 60, 2, random.Random(seed))
    assert sum(map(questions.points, picked)) == 60
    assert len({q["id"] for q in picked}) == len(picked)
    assert [q["kind"] for q in picked[-2:]] == ["explain"] * 2
    kinds = Counter(q["kind"] for q in picked)
    assert kinds["explain"] == 2 and kinds["true-false"] <= len(picked) / 5 + 1
    asked = Counter(q["notebook"] for q in picked[:-2])
    assert max(asked.values()) <= 2 and len(asked) >= min(14, len(notebooks.paths()) - 4)


def test_paper_and_key_belong_together():
    paper, key = questions.exam(questions.chosen(BANK, "01-07"), seed=3)
    assert (paper, key) == questions.exam(questions.chosen(BANK, "01-07"), seed=3)
    assert paper != questions.exam(questions.chosen(BANK, "01-07"), seed=4)[0]
    split = lambda text: re.split(r"^\*\*\d+\*\* \(\d points\)", text, flags=re.MULTILINE)
    asked, answered = split(paper)[1:], split(key)[1:]
    assert len(asked) == len(answered) > 10
    known = {question["id"]: question for question in BANK}
    for ask, answer in zip(asked, answered, strict=True):
        question = known[re.search(r"`([\w-]+)`", answer)[1]]
        assert "{" not in ask or "{" in question["text"]
        if question["kind"] in ("single", "several"):
            letters = re.findall(r"\*\*([a-h])\*\*", answer.split(". ")[0])
            crosses = dict(re.findall(r"- ☐ \*\*([a-h])\*\* · (.*)", ask))
            assert {crosses[letter] for letter in letters} == set(question["right"])
            for text, why in question["wrong"]:
                (letter,) = [c for c, shown in crosses.items() if shown == text]
                assert f"- **{letter}** is wrong: {why}" in answer
            assert all(why not in ask for _, why in question["wrong"])


def test_an_exam_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="to explain are needed"):
        questions.exam(questions.chosen(BANK, "00"), seed=0)
    with pytest.raises(ValueError, match="exactly 400 points .* together have \\d\\d points"):
        questions.exam(questions.chosen(BANK, "07"), seed=0, total=400, explain=0)


def test_marks_fall_from_full_points():
    rows = questions.mark_table(60)[2:]
    least = [float(row.split("|")[1]) for row in rows]
    assert least == sorted(least, reverse=True) and least[0] == 57 and least[-2:] == [30, 0]


def test_the_command_writes_all_three(tmp_path, capsys):
    gift, package, paper = (tmp_path / name for name in ("q.gift", "q.zip", "e.md"))
    questions.main(["gift", "--notebooks", "07", "--out", str(gift)])
    assert set(read_gift(gift.read_text(encoding="utf8"))) == {
        q["id"] for q in BANK if q["notebook"] == "07"
    }
    questions.main(["qti", "--notebooks", "07", "--seed", "1", "--out", str(package)])
    assert (
        f"{sum(q['notebook'] == '07' for q in BANK)} questions" in capsys.readouterr().out
        and zipfile.is_zipfile(package)
    )
    questions.main(["exam", "--points", "30", "--explain", "1", "--out", str(paper)])
    key = tmp_path / "e_key.md"
    again = tmp_path / "f.md"
    questions.main(["exam", "--points", "30", "--explain", "1", "--out", str(again),
                    "--without", str(key)])  # fmt: skip
    ids = [set(re.findall(r"points\) `([\w-]+)`", p.read_text(encoding="utf8")))
           for p in (key, tmp_path / "f_key.md")]  # fmt: skip
    assert ids[0] and ids[1] and not ids[0] & ids[1]
    with pytest.raises(SystemExit):
        questions.main(["gift", "--notebooks", "seven", "--out", str(gift)])


def test_what_shows_a_question_exists():
    titles = set()
    for path in (questions.BANK.parent / "slides").glob("*.md"):
        parts = talks.parts_of(path.read_text(encoding="utf8"))
        titles |= {f"{path.name[:2]}: {talks.title_of(part)}" for part in parts}
    text = "\n".join(c.source for path in notebooks.paths() for c in notebooks.read(path).cells)
    exercises = {f"exercise {n}" for n in re.findall(r"^\*\*(\d+\.\d+) ·", text, re.MULTILINE)}
    for question in BANK:
        missing = set(question.get("shown", [])) - titles - exercises
        assert not missing, f"{question['id']} is shown by {missing}, which isn't there"


def test_the_fourteen_weeks_cover_what_their_exam_asks():
    left_out = {q["id"] for q in BANK if not questions.covered(q)}
    assert {"13-loss-of-the-whole", "15-rotary-across", "16-unheard-words"} <= left_out
    assert all(name >= "13" for name in left_out), "12 and before are read by everybody"
    for number in range(13, 18):  # enough for an exam and its second date
        some = [q for q in BANK if q["notebook"] == str(number) and questions.covered(q)]
        assert 3 <= len(some) <= 7, f"exam.md says otherwise of notebook {number}: {len(some)}"
    shown = {"notebook": "13", "shown": ["13: Pull the plug", "exercise 13.2"]}
    assert questions.covered(shown) and not questions.covered({"notebook": "13"})
    for other in ("13: Ten tokens, two processes", "exercise 13.3"):
        assert not questions.covered({**shown, "shown": [*shown["shown"], other]})


def test_a_shorter_talk_takes_its_questions_with_it(monkeypatch, tmp_path):
    """The table is what decides: with all of deck 13, its left-out slides may be asked about."""
    longer = talks.SYLLABUS.read_text(encoding="utf8").replace("| 13 (40 min)", "| 13 (60 min)")
    (tmp_path / "syllabus.md").write_text(longer, encoding="utf8")
    (tmp_path / "slides").symlink_to(talks.SYLLABUS.parent / "slides")
    monkeypatch.setattr(talks, "SYLLABUS", tmp_path / "syllabus.md")
    (question,) = [q for q in BANK if q["id"] == "13-loss-of-the-whole"]
    monkeypatch.setattr(talks, "met", talks.met.__wrapped__)
    assert questions.covered(question)


def test_the_command_draws_what_the_weeks_cover(tmp_path, capsys):
    paper = tmp_path / "e.md"
    questions.main(["exam", "--weeks", "--seed", "3", "--out", str(paper)])
    said, key = capsys.readouterr().out, (tmp_path / "e_key.md").read_text(encoding="utf8")
    asked = set(re.findall(r"points\) `([\w-]+)`", key))
    assert asked == {q["id"] for q in BANK if q["id"] in asked and questions.covered(q)}
    assert "left out: 13-loss-of-the-whole" in said


def test_the_sample_exam_is_what_its_command_draws():
    course = questions.BANK.parent
    key = (course / "sample_exam_key.md").read_text(encoding="utf8")
    command = re.search(r"`python -m tools\.questions (.*?)`", key)[1]
    seed = int(re.search(r"--seed (\d+)", command)[1])
    assert "--weeks" in command, "the sample is an exam of the fourteen weeks"
    asked = set(re.findall(r"points\) `([\w-]+)`", key))
    if not asked <= set(IDS) or len(notebooks.paths()) < 18:
        pytest.skip("a series without some of its notebooks draws another exam")
    paper, wanted = questions.exam(
        [q for q in BANK if questions.covered(q)],
        seed,
        command=f"python -m tools.questions {command}",
    )
    again = f"python -m tools.questions {command}, draw it again with this"
    # The goals are those of the notebooks today; they may be reworded without a new exam.
    plain = lambda text: re.sub(r"^\*Notebook .*$", "", text, flags=re.MULTILINE)
    assert plain(wanted) == plain(key), again
    assert paper == (course / "sample_exam.md").read_text(encoding="utf8"), again


def test_the_bank_is_one_that_an_instructor_can_read():
    text = questions.BANK.read_text(encoding="utf8")
    assert len(tomllib.loads(text)["question"]) == text.count("\n[[question]]\n")
    prose = [line for line in text.splitlines() if not line.startswith(("model", "check"))]
    assert max(map(len, prose)) < 420
