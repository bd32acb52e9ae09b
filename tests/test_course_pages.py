"""Reading list, projects, policies and exam: complete, and their numbers add up."""

import re

import pytest

from tools import notebooks, questions, targets
from tools.__main__ import SETTINGS

COURSE = notebooks.ROOT / "course"


def text_of(name):
    return (COURSE / name).read_text(encoding="utf8")


def sections(text, level="## "):
    """{heading: body}."""
    parts = re.split(rf"^{level}", text, flags=re.MULTILINE)[1:]
    return dict(part.split("\n", 1) for part in parts)


# ---- The reading list --------------------------------------------------------------------------


def test_every_notebook_has_a_first_reading():
    by_number = {title[:2]: body for title, body in sections(text_of("reading_list.md")).items()}
    for path in notebooks.paths():
        entries = re.findall(r"^- (.*)$", by_number[path.name[:2]], re.MULTILINE)
        assert [e.startswith("**First:**") for e in entries].count(True) == 1, path.name
        first = next(entry for entry in entries if entry.startswith("**First:**"))
        assert "*Read:*" in first or "section" in first, path.name
        assert "*Why:*" in first, path.name


def test_references_are_whole():
    text = text_of("reading_list.md")
    titles = re.findall(
        r"\. \*\*[A-Z][^*]+[.?]\*\* .*?\b(?:19|20)\d\d\b.*?\]\((https?://\S+)\)", text
    )
    assert len(titles) >= 55
    links = re.findall(r"\]\((https?://[^)]+)\)", text)
    assert len(set(links)) == len(links), [link for link in links if links.count(link) > 1]
    for link in links:
        if "arxiv" in link:
            assert re.fullmatch(r"https://arxiv\.org/abs/\d{4}\.\d{4,5}", link)
    for shown, link in re.findall(r"\[arXiv:([\d.]+)\]\((\S+?)\)", text):
        assert link.endswith(f"/{shown}")


def cited():
    """("Vaswani", "2017") of everything that a notebook's text cites."""
    pattern = (
        r"([A-Z][\w'’-]+)(?:,? et al\.|(?:, [A-Z][\w-]+)*,? and [A-Z][\w-]+)?,? \(?(20[0-2]\d)\)?"
    )
    for path in notebooks.paths():
        for cell in notebooks.read(path).cells:
            if cell.cell_type == "markdown":
                yield from ((path.name, *found) for found in re.findall(pattern, cell.source))


def test_what_a_notebook_cites_is_on_the_list():
    text = text_of("reading_list.md")
    not_papers = {"November", "March", "April", "May", "Since", "In", "Of", "By", "WMT22"}
    for name, author, year in sorted(set(cited())):
        if author in not_papers:
            continue
        lines = [line for line in text.splitlines() if author in line]
        assert any(year in line for line in lines), f"{name} cites {author} {year}"


# ---- Projects ----------------------------------------------------------------------------------

PARTS = ("Starts from", "Takes", "Goal.", "Data.", "First step.", "A good result.",
         "What makes it fail.")  # fmt: skip


def test_a_dozen_projects_each_with_all_parts():
    found = sections(text_of("projects.md"))
    assert len(found) == 12
    numbers = {path.name[:2] for path in notebooks.paths()}
    for title, body in found.items():
        for part in PARTS:
            assert body.count(f"**{part}**") == 1, f"{title}: {part}"
        start = re.search(r"\*\*Starts from\*\* (.*?)\.", body)[1]
        if len(numbers) == 18:
            assert set(re.findall(r"\b\d\d\b", start)) <= numbers, title
        assert re.search(r"\*\*Takes\*\* \d+ hours", body), title


# ---- The rubric --------------------------------------------------------------------------------

VERDICT = re.compile(r"^\*\*([\d½]+) of (\d+)\.?\*\*(?: \((.*?)\))?", re.MULTILINE)


def number(text):
    """½ and 2½ as people write them."""
    return float(text.removesuffix("½") or "0") + 0.5 * text.endswith("½")


def test_every_question_has_answers_with_few_points_and_their_sums():
    asked = sections(text_of("rubric.md"), "### ")
    assert len(asked) == 16  # eight questions in two versions each
    for title, body in asked.items():
        most = int(re.search(r"(\d+) points", title)[1])
        found = VERDICT.findall(body)
        assert len(found) == 3 == len(re.findall(r"^> \*\*[ABC]\.\*\* \"", body, re.MULTILINE)), (
            title
        )
        for points, of, parts in found:
            assert int(of) == most, title
            assert parts or points == "0", title
            assert not parts or sum(map(number, parts.split(" + "))) == number(points), title
        reached = [number(points) / most for points, *_ in found]
        assert min(reached) < 0.2 and any(0.2 < share < 0.8 for share in reached), title


# ---- Policies and exam -------------------------------------------------------------------------


def test_the_worked_example_adds_up():
    text = text_of("policies.md")
    table = text.split("<!-- worked example -->")[1].split("\n\n")[0]
    rows = [[c.strip() for c in line.strip("|").split("|")] for line in table.splitlines()[3:]]
    *parts, total = rows
    exact = []
    for name, reached, share, printed in parts:
        exact.append(int(share) * int(reached.removesuffix(" %")) / 100)
        assert f"{exact[-1]:.2f}" == printed, name
    assert sum(int(share) for _, _, share, _ in parts) == int(total[2]) == 100
    assert f"{sum(exact):.2f}" == total[3] and f"which is {sum(exact):.0f} %" in text


def test_the_table_of_marks_is_the_tools():
    assert "\n".join(questions.mark_table(60)) in text_of("exam.md")
    assert "\n".join(questions.mark_table(60)) in text_of("sample_exam_key.md")


@pytest.mark.parametrize("name", ["exam.md", "changing.md"])
def test_commands_that_a_page_names_exist(name):
    commands = re.findall(r"python -m (tools\.\w+)", text_of(name))
    assert commands
    for command in commands:
        module = notebooks.ROOT / (command.replace(".", "/") + ".py")
        assert module.is_file() and "__main__" in module.read_text(encoding="utf8"), command
    options = set(re.findall(r"^\| `(--[\w-]+)", text_of(name), re.MULTILINE))
    known = (notebooks.ROOT / "tools" / "questions.py").read_text(encoding="utf8")
    assert all(f'"{option}"' in known for option in options)


def test_a_term_has_twelve_commands_that_exist():
    rows = re.findall(r"^\| (\d+) \|.*?\| `(.*?)` \|", text_of("term.md"), re.MULTILINE)
    assert [int(number) for number, _ in rows] == [*range(1, 13)]
    grade = (notebooks.ROOT / "tools" / "grade.py").read_text(encoding="utf8")
    for _, command in rows:
        if made := re.match(r"make ([a-z]+)((?: [A-Z]+=\S+)*)$", command):
            assert hasattr(targets, made[1]), command
            assert {word.split("=")[0] for word in made[2].split()} <= {*SETTINGS}, command
        elif run := re.match(r"python -m tools\.grade ([a-z]+)", command):
            assert f'"{run[1]}"' in grade, command
            assert all(f'"{option}"' in grade for option in re.findall(r"--\w+", command)), command
        else:
            assert command in text_of("exam.md"), command


def test_the_files_that_a_term_needs_are_described():
    for file in re.findall(r"`grading/(\w+\.\w+)`", text_of("term.md")):
        assert file in text_of("grading.md"), file
