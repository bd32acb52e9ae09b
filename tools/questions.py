"""The question bank, course/questions.toml, for a learning platform or as an exam on paper.

python -m tools.questions gift     build/questions.gift, for Moodle
python -m tools.questions qti      build/questions_qti.zip, QTI 2.1, for Canvas and others
python -m tools.questions exam --notebooks 01-07 --seed 3
                                   build/exam.md, and its key in build/exam_key.md

The top of the bank explains what a question consists of. All three take --notebooks, such as 07 or
00-03,07, and --weeks, which leaves out what the fourteen weeks of course/syllabus.md neither show
nor give to read. With --seed, questions that have a `vary` get other values; without it, their
first ones. An exam is drawn by its seed: the same seed draws the same exam. --without
build/exam_key.md leaves out the questions of an earlier exam.

The expressions of a bank are Python and are computed here, so use only a bank that you trust.
"""

import argparse
import functools
import math
import random
import re
import sys
import tomllib
import zipfile
from html import escape
from pathlib import Path
from typing import Any

from tools import talks
from tools.notebooks import ROOT, paths, read

BANK = ROOT / "course" / "questions.toml"
POINTS = {"easy": 2, "medium": 3, "hard": 4}
EXPLAIN_POINTS = 6
MINUTES = 1.5  # for each point
TITLE = "Understanding Transformers"

EVERY = {"id", "notebook", "goal", "kind", "level", "text", "check", "vary", "shown"}
CHOICES = {"right", "wrong", "why"}
FIELDS = {
    "single": CHOICES,
    "several": CHOICES,
    "number": {"answer", "tolerance", "wrong", "why"},
    "true-false": {"answer", "why"},
    "short": {"accept", "why"},
    "explain": {"model", "marks"},
}
OPTIONAL = {"check", "vary", "shown"}
SHOWN = re.compile(r"\d\d: .+|exercise \d+\.\d+")

Question = dict[str, Any]


# ---- Reading the bank ------------------------------------------------------------------------


def load(path: Path = BANK) -> list[Question]:
    """Every question of a bank, checked, except those about notebooks that are not there.

    Raises ValueError that names the question and what is wrong with it.
    """
    questions = tomllib.loads(path.read_text(encoding="utf8")).get("question", [])
    there = {notebook.name[:2] for notebook in paths()}
    names: set[str] = set()
    for number, question in enumerate(questions, start=1):
        name = question.get("id", f"number {number}")
        if trouble := problem(question):
            raise ValueError(f"question {name}: {trouble}")
        if name in names:
            raise ValueError(f"question {name}: another one has the same id")
        names.add(name)
    return [question for question in questions if question["notebook"] in there]


def problem(question: Question) -> str:
    """What is wrong with the form of a question, or "" if nothing is."""
    kind = question.get("kind")
    if kind not in FIELDS:
        return f"kind must be one of {', '.join(FIELDS)}, got {kind!r}"
    allowed = EVERY | FIELDS[kind]
    if unknown := sorted(question.keys() - allowed):
        return f"it has {unknown}, which a {kind} does not have"
    if missing := sorted(allowed - OPTIONAL - question.keys()):
        return f"{missing} missing"
    if question["level"] not in POINTS:
        return f"level must be one of {', '.join(POINTS)}, got {question['level']!r}"
    if not re.fullmatch(r"\d\d", question["notebook"]):
        return f"notebook must be a number of two digits, got {question['notebook']!r}"
    if not re.fullmatch(r"[\w-]+", question["id"]):
        return "an id consists of letters, digits and hyphens"
    if wrong := [s for s in question.get("shown", []) if not SHOWN.fullmatch(s)]:
        return f'shown must be like "13: a slide" or "exercise 13.2", got {wrong[0]!r}'
    if any(len(pair) != 2 or not all(pair) for pair in question.get("wrong", [])):
        return "each wrong answer needs two texts: the answer, and why it is wrong"
    if kind == "single" and (len(question["right"]), len(question["wrong"]) > 1) != (1, True):
        return "a single choice has one right answer and two or more wrong ones"
    if kind == "several" and (len(question["right"]) < 2 or not question["wrong"]):
        return "a multiple choice has two or more right answers, and at least one wrong one"
    if kind == "explain" and sum(map(marks_of, question["marks"])) != EXPLAIN_POINTS:
        return f"the marks must add up to {EXPLAIN_POINTS}"
    return ""


def marks_of(line: str) -> int:
    """The points at the beginning of "2: names the mask"."""
    found = re.match(r"(\d+): .", line)
    return int(found[1]) if found else 0


def points(question: Question) -> int:
    return EXPLAIN_POINTS if question["kind"] == "explain" else POINTS[question["level"]]


def value(expression: Any, values: dict[str, Any], more: dict[str, Any] | None = None) -> Any:
    """An expression of the bank, computed with these values; a number stays what it is."""
    if not isinstance(expression, str):
        return expression
    return eval(expression, {"math": math, **(more or {}), **values})


def first_values(question: Question) -> dict[str, Any]:
    return {name: choices[0] for name, choices in question.get("vary", {}).items()}


def drawn_values(question: Question, draw: random.Random) -> dict[str, Any]:
    return {name: draw.choice(choices) for name, choices in question.get("vary", {}).items()}


def settled(question: Question, values: dict[str, Any]) -> Question:
    """The question with these values in its texts, and with numbers for answers."""

    def fill(text: Any) -> Any:
        if isinstance(text, list):
            return [fill(part) for part in text]
        if not isinstance(text, str):
            return text
        for name, found in values.items():
            text = text.replace("{" + name + "}", str(found))
        return text.strip()

    new = {k: v if k in ("check", "vary") else fill(v) for k, v in question.items()}
    if question["kind"] == "number":
        new["answer"] = value(question["answer"], values)
        pairs = [(value(wrong, values), fill(why)) for wrong, why in question["wrong"]]
        # With some values a mistake happens to give the right answer: then it is no mistake.
        far = 2 * question["tolerance"]
        new["wrong"] = [p for p in pairs if abs(p[0] - new["answer"]) > far]
    return new


def shuffled(question: Question, draw: random.Random) -> list[tuple[str, bool, str]]:
    """(choice, whether it is right, why it is wrong) in a drawn order."""
    choices = [(text, True, "") for text in question["right"]]
    choices += [(text, False, why) for text, why in question["wrong"]]
    draw.shuffle(choices)
    return choices


def shown(number: float) -> str:
    """A number as a person writes it: 4224, 0.804."""
    return str(round(number)) if number == round(number) else f"{number:.4g}"


@functools.cache
def goals(notebook: str) -> list[str]:
    """The goals of a notebook, its list under "You will"."""
    text = read(paths(f"{notebook}_")[0]).cells[0].source
    return re.findall(r"^- (.*?)[;.]$", text, re.MULTILINE)


def chosen(questions: list[Question], notebooks: str = "") -> list[Question]:
    """The questions about notebooks "00-03,07"; all for "". Raises ValueError for other texts."""
    if not notebooks:
        return questions
    wanted: set[int] = set()
    for part in notebooks.split(","):
        found = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip())
        if not found:
            raise ValueError(f"notebooks must look like 07 or 00-03,07, got {notebooks!r}")
        wanted |= set(range(int(found[1]), int(found[2] or found[1]) + 1))
    fits = [q for q in questions if int(q["notebook"]) in wanted]
    if not fits:
        raise ValueError(f"the bank has no question about the notebooks {notebooks}")
    return fits


def covered(question: Question) -> bool:
    """Whether everybody has met it in the fourteen weeks: read its notebook, or all of `shown`."""
    shown = set(question.get("shown", []))
    return question["notebook"] in talks.met() or bool(shown) and shown <= talks.met()


# ---- Text ------------------------------------------------------------------------------------


def inline(text: str) -> str:
    """A line of the bank's Markdown as XHTML."""
    parts = re.split(r"(`[^`]+`)", text)
    for i, part in enumerate(parts):
        if part.startswith("`"):
            parts[i] = f"<code>{escape(part[1:-1], quote=False)}</code>"
        else:
            marked = re.sub(r"\*\*(\S.*?)\*\*", r"<strong>\1</strong>", escape(part, quote=False))
            parts[i] = re.sub(r"\*(\S(?:.*?\S)?)\*", r"<em>\1</em>", marked)
    return "".join(parts)


def blocks(text: str) -> str:
    """The bank's Markdown as XHTML on one line: paragraphs, and code between lines of ```."""
    found = []
    for i, part in enumerate(text.strip().split("```")):
        if i % 2:
            lines = part.strip("\n").split("\n")
            found.append(f"<pre>{'<br/>'.join(escape(line, quote=False) for line in lines)}</pre>")
        else:
            found += [
                f"<p>{inline(' '.join(p.split()))}</p>" for p in part.split("\n\n") if p.strip()
            ]
    return "".join(found)


# ---- GIFT ------------------------------------------------------------------------------------


def gift_text(text: str) -> str:
    """The text with everything escaped that has a meaning in GIFT."""
    return re.sub(r"([\\~=#{}:])", r"\\\1", text).replace("\n", "\\n")


def gift_answers(question: Question) -> str:
    """What goes between the braces, without the feedback for everybody."""
    kind = question["kind"]
    because = lambda why: "#" + gift_text(inline(why)) if why else ""
    if kind in ("single", "several"):
        right, wrong = len(question["right"]), len(question["wrong"])
        found = []
        for text, is_right, why in shuffled(question, random.Random(question["id"])):
            if kind == "single":
                mark = "=" if is_right else "~"
            else:
                mark = f"~%{100 / right if is_right else -100 / wrong:.5g}%"
            found.append(mark + gift_text(inline(text)) + because(why))
        return " ".join(found)
    if kind == "number":
        tolerance = question["tolerance"]
        found = [f"={question['answer']:.7g}:{tolerance}"]
        found += [
            f"=%0%{number:.7g}:{tolerance}{because(why)}" for number, why in question["wrong"]
        ]
        return "#" + " ".join(found)
    if kind == "true-false":
        return "TRUE" if question["answer"] else "FALSE"
    return " ".join("=" + gift_text(text) for text in question.get("accept", []))


def gift(questions: list[Question]) -> str:
    """The questions in Moodle's GIFT format, in a category for each notebook."""
    lines, category = [f"// The question bank of {TITLE}", ""], ""
    for question in questions:
        if question["notebook"] != category:
            category = question["notebook"]
            lines += [f"$CATEGORY: {TITLE}/{category}", ""]
        after = blocks(question.get("why") or question["model"])
        lines.append(
            f"::{gift_text(question['id'])}::[html]{gift_text(blocks(question['text']))}"
            f"{{{gift_answers(question)}####{gift_text(after)}}}"
        )
        lines.append("")
    return "\n".join(lines)


# ---- QTI 2.1 ---------------------------------------------------------------------------------

QTI = "http://www.imsglobal.org/xsd/imsqti_v2p1"
CP = "http://www.imsglobal.org/xsd/imscp_v1p1"
OUTCOMES = (
    '<outcomeDeclaration identifier="SCORE" cardinality="single" baseType="float">'
    "<defaultValue><value>0</value></defaultValue></outcomeDeclaration>"
    '<outcomeDeclaration identifier="FEEDBACK" cardinality="{}" baseType="identifier"/>'
)


def declaration(base: str, right: list[str], mapping: str = "", cardinality: str = "single") -> str:
    values = "".join(f"<value>{text}</value>" for text in right)
    correct = f"<correctResponse>{values}</correctResponse>" if right else ""
    return (
        f'<responseDeclaration identifier="RESPONSE" cardinality="{cardinality}" '
        f'baseType="{base}">{correct}{mapping}</responseDeclaration>'
    )


def rule(test: str, score: float, feedback: str) -> str:
    return (
        f'{test}<setOutcomeValue identifier="SCORE"><baseValue baseType="float">{score}</baseValue>'
        '</setOutcomeValue><setOutcomeValue identifier="FEEDBACK"><baseValue baseType="identifier">'
        f"{feedback}</baseValue></setOutcomeValue>"
    )


def qti_choice(question: Question) -> tuple[str, str, str, dict[str, str]]:
    """(declaration, interaction, processing, feedback by identifier) of one with choices."""
    if question["kind"] == "true-false":
        wrong = [(str(not question["answer"]), question["why"])]
        question = {**question, "right": [str(question["answer"])], "wrong": wrong}
    several = question["kind"] == "several"
    choices = shuffled(question, random.Random(question["id"]))
    names = {f"choice_{i}": choice for i, choice in enumerate(choices)}
    right = [name for name, (_, is_right, _) in names.items() if is_right]
    share = {True: 1 / len(right), False: -1 / len(question["wrong"])}
    share = share if several else {True: 1, False: 0}
    entries = "".join(
        f'<mapEntry mapKey="{name}" mappedValue="{share[is_right]:.5g}"/>'
        for name, (_, is_right, _) in names.items()
    )
    mapping = f'<mapping lowerBound="0" upperBound="1" defaultValue="0">{entries}</mapping>'
    listed = "".join(
        f'<simpleChoice identifier="{name}">{inline(text)}</simpleChoice>'
        for name, (text, _, _) in names.items()
    )
    most = 0 if several else 1
    interaction = (
        f'<choiceInteraction responseIdentifier="RESPONSE" shuffle="true" maxChoices="{most}">'
        f"{listed}</choiceInteraction>"
    )
    processing = (
        '<setOutcomeValue identifier="SCORE"><mapResponse identifier="RESPONSE"/></setOutcomeValue>'
        '<setOutcomeValue identifier="FEEDBACK"><variable identifier="RESPONSE"/></setOutcomeValue>'
    )
    feedback = {name: why or question["why"] for name, (_, _, why) in names.items()}
    cardinality = "multiple" if several else "single"
    return declaration("identifier", right, mapping, cardinality), interaction, processing, feedback


def qti_number(question: Question) -> tuple[str, str, str, dict[str, str]]:
    both = f"{question['tolerance']} {question['tolerance']}"  # below and above
    near = lambda number: (
        f'<equal toleranceMode="absolute" tolerance="{both}"><variable identifier="RESPONSE"/>'
        f'<baseValue baseType="float">{number:.7g}</baseValue></equal>'
    )
    conditions = f"<responseIf>{rule(near(question['answer']), 1, 'right')}</responseIf>"
    feedback = {"right": question["why"]}
    for i, (number, why) in enumerate(question["wrong"]):
        conditions += f"<responseElseIf>{rule(near(number), 0, f'wrong_{i}')}</responseElseIf>"
        feedback[f"wrong_{i}"] = why
    interaction = '<p><textEntryInteraction responseIdentifier="RESPONSE" expectedLength="12"/></p>'
    processing = f"<responseCondition>{conditions}</responseCondition>"
    return declaration("float", [f"{question['answer']:.7g}"]), interaction, processing, feedback


def qti_short(question: Question) -> tuple[str, str, str, dict[str, str]]:
    entries = "".join(
        f'<mapEntry mapKey="{escape(text)}" mappedValue="1" caseSensitive="false"/>'
        for text in question["accept"]
    )
    mapping = f'<mapping lowerBound="0" upperBound="1" defaultValue="0">{entries}</mapping>'
    interaction = '<p><textEntryInteraction responseIdentifier="RESPONSE" expectedLength="30"/></p>'
    processing = (
        '<setOutcomeValue identifier="SCORE"><mapResponse identifier="RESPONSE"/></setOutcomeValue>'
        '<setOutcomeValue identifier="FEEDBACK"><baseValue baseType="identifier">right</baseValue>'
        "</setOutcomeValue>"
    )
    made = declaration("string", [escape(question["accept"][0], quote=False)], mapping)
    return made, interaction, processing, {"right": question["why"]}


def qti_explain(question: Question) -> tuple[str, str, str, dict[str, str]]:
    interaction = '<extendedTextInteraction responseIdentifier="RESPONSE" expectedLines="10"/>'
    return declaration("string", []), interaction, "", {}


def qti_item(question: Question) -> str:
    """One question as the text of an assessmentItem."""
    make = {"number": qti_number, "short": qti_short, "explain": qti_explain}
    declared, interaction, processing, feedback = make.get(question["kind"], qti_choice)(question)
    shown_after = "".join(
        f'<modalFeedback outcomeIdentifier="FEEDBACK" identifier="{name}" showHide="show">'
        f"{blocks(text)}</modalFeedback>"
        for name, text in feedback.items()
    )
    outcomes = OUTCOMES.format("multiple" if question["kind"] == "several" else "single")
    if processing:
        processing = f"<responseProcessing>{processing}</responseProcessing>"
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<assessmentItem xmlns="{QTI}" '
        f'identifier="q-{question["id"]}" title="{question["id"]}" adaptive="false" '
        f'timeDependent="false">{declared}{outcomes}<itemBody>{blocks(question["text"])}'
        f"{interaction}</itemBody>{processing}{shown_after}</assessmentItem>\n"
    )


def qti_test(questions: list[Question]) -> str:
    """The text of an assessmentTest with a section for each notebook."""
    sections: dict[str, str] = {}
    for question in questions:
        name = question["id"]
        sections[question["notebook"]] = sections.get(question["notebook"], "") + (
            f'<assessmentItemRef identifier="ref-{name}" href="items/{name}.xml"><weight '
            f'identifier="POINTS" value="{points(question)}"/></assessmentItemRef>'
        )
    listed = "".join(
        f'<assessmentSection identifier="notebook-{n}" title="Notebook {n}" visible="true">{items}'
        "</assessmentSection>"
        for n, items in sections.items()
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<assessmentTest xmlns="{QTI}" identifier="bank" '
        f'title="{TITLE}"><testPart identifier="all" navigationMode="nonlinear" '
        f'submissionMode="simultaneous">{listed}</testPart></assessmentTest>\n'
    )


def manifest(questions: list[Question]) -> str:
    resource = (
        '<resource identifier="{0}" type="imsqti_{1}_xmlv2p1" href="{2}"><file href="{2}"/>{3}'
    )
    items = [f"items/{question['id']}.xml" for question in questions]
    names = [f"r-{question['id']}" for question in questions]
    needs = "".join(f'<dependency identifierref="{name}"/>' for name in names)
    found = resource.format("r-test", "test", "test.xml", needs) + "</resource>"
    for name, item in zip(names, items, strict=True):
        found += resource.format(name, "item", item, "") + "</resource>"
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<manifest xmlns="{CP}" identifier="package">'
        "<metadata><schema>QTIv2.1 Package</schema><schemaversion>1.0.0</schemaversion></metadata>"
        f"<organizations/><resources>{found}</resources></manifest>\n"
    )


def write_qti(questions: list[Question], path: Path) -> None:
    """A package as learning platforms import it: manifest, test and one file for each question."""
    files = {"imsmanifest.xml": manifest(questions), "test.xml": qti_test(questions)}
    files |= {f"items/{question['id']}.xml": qti_item(question) for question in questions}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        for name, text in files.items():  # a fixed date: the same bank gives the same bytes
            package.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), text)


# ---- An exam on paper ------------------------------------------------------------------------

# (share of the points, letter, German mark)
MARKS = [
    (95, "A", "1.0"),
    (90, "A", "1.3"),
    (85, "B", "1.7"),
    (80, "B", "2.0"),
    (75, "C", "2.3"),
    (70, "C", "2.7"),
    (65, "D", "3.0"),
    (60, "D", "3.3"),
    (55, "E", "3.7"),
    (50, "E", "4.0"),
    (0, "F", "5.0"),
]


def select(
    questions: list[Question], total: int, explain: int, draw: random.Random
) -> list[Question]:
    """Questions worth exactly `total` points, spread over the notebooks; `explain` to write about.

    At most a fifth are true or false. Raises ValueError if the bank has not enough of them.
    """
    written = [q for q in questions if q["kind"] == "explain"]
    others = [q for q in questions if q["kind"] != "explain"]
    if len(written) < explain:
        raise ValueError(f"{explain} questions to explain are needed, but there are {len(written)}")
    for _ in range(200):
        picked = draw.sample(written, explain)
        left: dict[str, list[Question]] = {}
        for question in draw.sample(others, len(others)):
            left.setdefault(question["notebook"], []).append(question)
        while any(left.values()):
            for group in draw.sample(sorted(left), len(left)):
                missing = total - sum(map(points, picked))
                guesses = sum(q["kind"] == "true-false" for q in picked)
                for i, question in enumerate(left[group]):
                    rest = missing - points(question)
                    guess = question["kind"] == "true-false" and 5 * guesses >= len(picked)
                    if (rest == 0 or rest > 1) and not guess:
                        picked.append(left[group].pop(i))
                        break
                else:
                    left[group] = []
        if sum(map(points, picked)) == total:
            order = {question["id"]: i for i, question in enumerate(questions)}
            return sorted(picked, key=lambda q: (q["kind"] == "explain", order[q["id"]]))
    together = sum(map(points, questions))
    raise ValueError(
        f"no choice of these {len(questions)} questions has exactly {total} points and at most a "
        f"fifth of true or false; all of them together have {together} points"
    )


def asked_and_answered(question: Question, draw: random.Random) -> tuple[list[str], list[str]]:
    """(the lines of the paper below the question, those of the key)."""
    kind = question["kind"]
    if kind in ("single", "several"):
        choices = list(zip("abcdefgh", shuffled(question, draw), strict=False))
        ask = [f"- ☐ **{letter}** · {text}" for letter, (text, _, _) in choices]
        if kind == "several":
            ask = ["*More than one answer may be right.*", "", *ask]
        right = ", ".join(f"**{letter}**" for letter, (_, is_right, _) in choices if is_right)
        key = [f"{right}. {question['why']}", ""]
        return ask, key + [f"- **{c}** is wrong: {why}" for c, (_, ok, why) in choices if not ok]
    if kind == "number":
        within = f" (± {question['tolerance']})" if question["tolerance"] else ""
        key = [f"**{shown(question['answer'])}**{within}. {question['why']}", ""]
        mistakes = [f"- {shown(number)}: {why}" for number, why in question["wrong"]]
        return ["Answer: ____________"], key + mistakes
    if kind == "true-false":
        ask = ["☐ true ☐ false, because ________________________________________"]
        return ask, [f"**{str(question['answer']).lower()}**, because: {question['why']}"]
    if kind == "short":
        return ["Answer: ____________"], [f"**{question['accept'][0]}**. {question['why']}"]
    lines = [line for _ in range(7) for line in ("_" * 70, "")]
    marks = [f"- {line.replace(': ', ' · ', 1)}" for line in question["marks"]]
    return lines, [question["model"], "", *marks]


def mark_table(total: int) -> list[str]:
    """The lowest points for each mark, as a table in Markdown."""
    lines = ["| from | share | letter | Germany |", "|---:|---:|---|---|"]
    for share, letter, german in MARKS:
        lines.append(
            f"| {math.ceil(2 * total * share / 100) / 2:g} | {share} % | {letter} | {german} |"
        )
    return lines


def exam(
    questions: list[Question], seed: int, total: int = 60, explain: int = 2, command: str = ""
) -> tuple[str, str]:
    """(paper, key) of an exam in Markdown, drawn by `seed`. Raises ValueError as select does."""
    draw = random.Random(seed)
    picked = [settled(q, drawn_values(q, draw)) for q in select(questions, total, explain, draw)]
    numbers = sorted({question["notebook"] for question in picked})
    about = f"notebooks {numbers[0]} to {numbers[-1]}" if numbers[1:] else f"notebook {numbers[0]}"
    title = f"{TITLE}: exam, {about}"
    minutes = round(total * MINUTES)
    paper = [
        f"# {title}",
        "",
        "Name: ______________________________",
        "",
        f"{minutes} minutes, {total} points: about a minute and a half for each point. You may "
        "use a pocket calculator and one sheet of paper that you have written on yourself.",
        "",
        "*True or false* earns its points only with a reason. Where more than one answer may be "
        "right, every wrong cross and every missing one costs a point, down to 0.",
        "",
    ]
    key = (
        [f"# {title}: key", "", f"Drawn by `{command}`.", ""]
        if command
        else [f"# {title}: key", ""]
    )
    for number, question in enumerate(picked, start=1):
        worth = f"{points(question)} points"
        ask, answer = asked_and_answered(question, draw)
        paper += [f"**{number}** ({worth})", "", question["text"], "", *ask, ""]
        goal = goals(question["notebook"])[question["goal"] - 1]
        key += [f"**{number}** ({worth}) `{question['id']}`", "", *answer, ""]
        key += [f"*Notebook {question['notebook']}: {goal}*", ""]
    key += ["## From points to a mark", "", *mark_table(total)]
    tidy = lambda lines: re.sub(r"\n{3,}", "\n\n", "\n".join(lines).strip()) + "\n"
    return tidy(paper), tidy(key)


# ---- The command -----------------------------------------------------------------------------


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("gift", "qti", "exam"))
    parser.add_argument("--notebooks", default="", help="such as 07 or 00-03,07; all by default")
    parser.add_argument(
        "--weeks", action="store_true", help="only what the fourteen weeks show or give to read"
    )
    parser.add_argument(
        "--seed", type=int, help="draws an exam, and the values of varied questions"
    )
    parser.add_argument("--points", type=int, default=60, help="of an exam (default: 60)")
    parser.add_argument("--explain", type=int, default=2, help="questions to write about (2)")
    parser.add_argument("--without", type=Path, help="the key of an exam, not to be asked again")
    parser.add_argument("--out", type=Path, help="the file to write; by default in build/")
    parser.add_argument("--bank", type=Path, default=BANK)
    given = parser.parse_args(argv)
    names = {"gift": "questions.gift", "qti": "questions_qti.zip", "exam": "exam.md"}
    out = given.out or ROOT / "build" / names[given.what]
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        questions = chosen(load(given.bank), given.notebooks)
        if given.weeks:
            out_of = [question["id"] for question in questions if not covered(question)]
            questions = [question for question in questions if covered(question)]
            print(f"not covered by the fourteen weeks, left out: {', '.join(out_of) or 'none'}")
        if given.what == "exam":
            if given.without:
                asked = set(
                    re.findall(r"points\) `([\w-]+)`", given.without.read_text(encoding="utf8"))
                )
                questions = [q for q in questions if q["id"] not in asked]
            said = " ".join(sys.argv[1:] if argv is None else argv)
            command = f"python -m tools.questions {said}"
            paper, key = exam(questions, given.seed or 0, given.points, given.explain, command)
            out.write_text(paper, encoding="utf8")
            beside = out.with_name(f"{out.stem}_key{out.suffix}")
            beside.write_text(key, encoding="utf8")
            print(out, beside, sep="\n")
            return
    except (OSError, ValueError) as error:
        parser.error(str(error))
    draw = None if given.seed is None else random.Random(given.seed)
    questions = [settled(q, drawn_values(q, draw) if draw else first_values(q)) for q in questions]
    if given.what == "gift":
        out.write_text(gift(questions), encoding="utf8")
    else:
        write_qti(questions, out)
    print(f"{len(questions)} questions in {out}")


if __name__ == "__main__":
    main()
