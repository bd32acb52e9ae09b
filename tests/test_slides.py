"""tools/slides.py: every notebook is a deck, nothing on it is cut, and nothing is fetched.

The second half opens the decks in headless Chromium through Playwright and is skipped where either
is missing.
"""

import re

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tools import notebooks, slides, wording
from tools.address import pages

pytest.importorskip("sphinx_revealjs", reason="requirements-teach.lock brings it")

PATHS = notebooks.paths()


def deck(*cells):
    """A deck of (slide_type, cell) pairs behind a title."""
    title = new_markdown_cell("# 99 · A title\n\nA promise.")
    cells = [("slide", title), *cells]
    for kind, cell in cells:
        cell.metadata["slideshow"] = {"slide_type": kind}
    return new_notebook(cells=[cell for _, cell in cells])


def shown(slide):
    return "\n".join(cell.source for cell, _ in slide.cells)


# ---- The rules -----------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_every_cell_says_whether_it_is_a_slide(path):
    for i, cell in enumerate(notebooks.read(path).cells):
        kind = slides.slide_type(cell)
        assert kind in slides.TYPES, f"cell {i} has no slide_type (JupyterLab: property inspector)"
        assert cell.metadata["slideshow"].get("show", "both") in ("code", "output", "both")


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_deck_is_a_lecture(path):
    notebook = notebooks.read(path)
    all_slides = slides.Deck(notebook).slides
    assert 8 <= len(all_slides) <= 30
    title = notebook.cells[0].source.splitlines()[0]
    assert all_slides[0].title == title and shown(all_slides[0]).startswith(title)
    assert all_slides[-1].title == wording.RECAP
    assert [s.title for s in all_slides].count(f"## {wording.QUIZ}") == (
        0 if "12_" in path.name else 1
    )
    for slide in all_slides:
        content = slide.cells[1:]
        assert content and all(c.source or c.get("outputs") for c, _ in content), slide.title
        assert wording.COLAB not in shown(slide) and "<details>" not in shown(slide)
        assert len(slide.cells[0][0].source) < 90


def test_without_a_tag_nothing_is_shown():
    with pytest.raises(ValueError, match="slide_type is slide"):
        slides.page(new_notebook(cells=[new_markdown_cell("# Title")]))


def test_text_before_a_heading_belongs_to_the_slide_before():
    first, second = new_markdown_cell("## One\n\nWhy?"), new_markdown_cell("So.\n\n## Two\n\nNow.")
    _, one, two = slides.Deck(deck(("slide", first), ("slide", second))).slides
    assert shown(one).endswith("Why?\nSo.") and shown(two) == "## Two\nNow."
    assert one.cells[-1][1] == "fragment"
    first, second = new_markdown_cell("## One\n\nWhy?"), new_markdown_cell("So.\n\n## Two\n\nNow.")
    _, one, so, two = slides.Deck(deck(("slide", first), ("subslide", second))).slides
    assert shown(so) == "### One\nSo." and shown(two) == "## Two\nNow."


def test_a_paragraph_is_shortened_and_stands_in_the_notes():
    text = "One fact. " + "More of it. " * 30 + "Is it so? It has a **name**. The end."
    _, slide = slides.Deck(deck(("slide", new_markdown_cell(f"## One\n\n{text}")))).slides
    words = shown(slide)
    assert words.startswith("## One\nOne fact. More of it.") and len(words) < 330
    assert words.endswith("Is it so? It has a **name**.") and slide.notes == [text]


@pytest.mark.parametrize(
    "text, first",
    [
        ("A model (Xiong et al. 2020. This is small.) Next one.", None),
        ("See `a. B` here. Next one.", "See `a. B` here."),
        ("From **one. Two** on. Next one.", "From **one. Two** on."),
        ("Colons: Stay. Next one.", "Colons: Stay."),
    ],
)
def test_no_sentence_is_cut_inside(text, first):
    found = slides.sentences(text)
    assert found[-1] == "Next one." and found[0] == (first or text.removesuffix(" Next one."))
    assert " ".join(found) == text


def test_lists_tables_boxes_and_formulas_stay():
    parts = ["- one\n- two", "| a |\n|---|\n| b |", "> **A common mistake**: x.", "$$\nx\n$$"]
    _, slide = slides.Deck(
        deck(("slide", new_markdown_cell("## H\n\n" + "\n\n".join(parts))))
    ).slides
    assert shown(slide) == "\n".join(["## H", *parts])


def test_a_slide_may_embed_the_live_page_and_link_to_it():
    address = f"{pages()}/live.html#at=watch"
    frame = f'<iframe class="live" title="The live page" data-src="{address}"></iframe>'
    text = f"## Watch it\n\n[Here]({address}).\n\n{frame}"
    _, slide = slides.Deck(deck(("slide", new_markdown_cell(text)))).slides
    assert "[Here](live.html#at=watch)" in shown(slide)
    assert 'data-src="live.html#at=watch"></iframe>' in shown(slide)


def test_the_quiz_is_a_slide_and_its_answer_a_note():
    quiz_of = "**1.2 · " + wording.QUIZ + ".** Who?\n\n- **a** · I."
    solution = f"<details><summary>{wording.SOLUTION}</summary>" + "\n\n{}\n</details>\n\n"
    quiz = new_markdown_cell(solution.format("not this") + quiz_of)
    answer = new_markdown_cell(
        solution.format("it is a") + f"**1.3 · Open.** Go on.\n\n{wording.RECAP}\n\nSo."
    )
    exercises = new_markdown_cell(f"{wording.EXERCISES}\n\n**1.1 · Predict.** What?")
    cells = [("slide", exercises), ("slide", quiz), ("slide", answer)]
    _, asked, recap = slides.Deck(deck(*cells)).slides
    assert shown(asked) == f"## {wording.QUIZ}\nWho?\n\n- **a** · I."
    assert "it is a" in asked.notes[0]
    assert shown(recap) == f"{wording.RECAP}\nSo."
    assert "not this" not in "".join(asked.notes + recap.notes)


def test_a_translated_frame_is_recognised(monkeypatch):
    notebook = notebooks.read(notebooks.paths("07")[0])
    before = slides.Deck(notebook).slides
    french = {"EXERCISES": "## Exercices", "QUIZ": "Question", "RECAP": "## En bref"}
    french |= {"TIME": "**Durée**", "BEFORE": "**Avant**", "PREVIOUS": "Avant :", "NEXT": "Après :"}
    for name, word in french.items():
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = cell.source.replace(getattr(wording, name), word)
        monkeypatch.setattr(wording, name, word)
    after = slides.Deck(notebook).slides
    assert len(after) == len(before) and after[-1].title == "## En bref"
    assert [s.title for s in after].count("## Question") == 1
    assert "Durée" not in shown(after[0]) and "Après :" not in shown(after[0])


def test_long_code_goes_on_and_docstrings_do_not():
    body = "\n\n".join(f"    x = {i}\n" + "    y = x\n" * 8 for i in range(5))
    cell = new_code_cell(f'def f():\n    """One line.\n\n    And more.\n    """\n{body}')
    cell.outputs = [new_output("stream", text="\n".join(map(str, range(40))))]
    _, *parts = slides.Deck(deck(("subslide", cell))).slides
    code = [c for part in parts for c, _ in part.cells[1:]]
    assert len(parts) == 3 and '"""One line."""' in code[0].source
    assert "And more" not in "".join(c.source for c in code)
    assert all(c.source.count("\n") < slides.CODE for c in code)
    assert "".join(c.source for c in code).count("y = x") == 40
    assert code[-1].outputs[0].text.splitlines()[-4:] == ["9", "…", "38", "39"]


def test_a_page_holds_everything_and_asks_for_nothing():
    html = slides.page(notebooks.read(PATHS[1]))
    assert "Reveal" in html and "MathJax" in html and 'alt="Map of the Transformer' in html
    assert "MathJax =" not in slides.page(notebooks.read(PATHS[0]))  # no formula, no MathJax
    markup = re.sub(r"<script>.*?</script>", "<script>", html, flags=re.DOTALL)
    tags = re.findall(r"<(?:script|link|img|iframe)\b[^>]*>", markup)
    assert tags and not [tag for tag in tags if re.search(r"(src|href)=.(?!data:)", tag)]


# ---- In a browser --------------------------------------------------------------------------

# What is wrong with the slide that is shown: cut, too wide, on top of another, too small to read.
FAULTS = """() => {
  const slide = Reveal.getCurrentSlide(), box = slide.getBoundingClientRect(), faults = [];
  const leaves = [...slide.querySelectorAll(".text, .code, .printed, img")].filter(
    e => !e.closest("aside"));
  for (const e of leaves) {
    const r = e.getBoundingClientRect();
    if (!r.width || !r.height) faults.push("nothing to see: " + e.className);
    if (r.bottom > box.bottom - 24 || r.right > box.right + 1 || r.top < box.top - 1)
      faults.push("beyond the edge: " + e.className);
    for (const pre of [e, ...e.querySelectorAll("pre, table, mjx-container")])
      if (pre.scrollWidth > pre.clientWidth + 1 && pre.clientWidth) faults.push("too wide");
    if (e.naturalWidth && Math.min(r.width / e.naturalWidth, r.height / e.naturalHeight) < 0.45)
      faults.push("a picture too small");
    for (const other of leaves) {
      const o = other.getBoundingClientRect();
      if (other !== e && r.left < o.right - 2 && o.left < r.right - 2 &&
          r.top < o.bottom - 2 && o.top < r.bottom - 2) faults.push("one on another");
    }
  }
  if (leaves.length < 2) faults.push("empty");
  if (parseFloat(getComputedStyle(slide).fontSize) < 20) faults.push("type too small");
  return [...new Set(faults)].map(f => leaves[0].textContent.trim() + ": " + f);
}"""


@pytest.fixture
def opened(alone):
    """opened(notebook) -> its deck, ready."""

    def open_deck(notebook):
        page = alone(slides.page(notebook), slides.WIDTH, slides.HEIGHT)
        page.wait_for_selector("body[data-ready]", state="attached")
        page.add_style_tag(content=".fragment { transition: none !important; }")
        return page

    return open_deck


def faults(page):
    """The faults of all slides of a deck, with all their fragments visible."""
    found = []
    for number in range(page.evaluate("Reveal.getTotalSlides()")):
        page.evaluate(
            "n => { const { h, v } = Reveal.getIndices(Reveal.getSlides()[n]);"
            "Reveal.slide(h, v, 99); }",
            number,
        )
        found += page.evaluate(FAULTS)
    return found


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_nothing_is_cut(opened, path):
    page = opened(notebooks.read(path))
    assert faults(page) == []


LONG = "\n\n".join(
    ["A sentence that fills a line of the slide from its left to its right end."] * 16
)


@pytest.mark.parametrize(
    "cell, fault",
    [
        (new_markdown_cell(f"## Much\n\n{LONG}"), "beyond the edge"),
        (new_markdown_cell("## Wide\n\n```\n" + "x" * 200 + "\n```"), "too wide"),
        (new_code_cell("x = 1\n" * 60), "beyond the edge"),
    ],
)
def test_what_does_not_fit_is_noticed(opened, cell, fault):
    page = opened(deck(("slide", cell)))
    assert any(fault in found for found in faults(page))


def test_formulas_are_typeset(opened):
    page = opened(notebooks.read(PATHS[1]))
    assert page.locator("mjx-container svg").count() >= 1
    assert "$$" not in page.locator(".slides").text_content()
    assert page.locator("mjx-merror, [data-mjx-error]").count() == 0


def test_keys_go_through_all_slides_and_fragments(opened):
    page = opened(deck(("slide", new_markdown_cell("## One\n\nWhy?")),
                       ("fragment", new_markdown_cell("So.")),
                       ("subslide", new_markdown_cell("More."))))  # fmt: skip
    seen = []
    for _ in range(4):
        page.keyboard.press("ArrowRight")
        seen.append(page.evaluate("Reveal.getCurrentSlide().innerText.split('\\n').pop()"))
    assert seen[-1] == "More." and "So." in seen
