"""tools/slides.py: every notebook has a deck that quotes it, nothing is cut, nothing is fetched.

The second half opens the decks in headless Chromium through Playwright and is skipped where either
is missing.
"""

import functools
import re

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from helpers.pictures import style
from tools import notebooks, sharp, slides, talks
from tools.address import pages
from tools.figures import FIGURES
from tools.notebooks import ROOT

pytest.importorskip("sphinx_revealjs", reason="requirements-teach.lock brings it")

PATHS = notebooks.paths()
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)
LINES = 10  # of code, or printed, on one slide
WIDE = 90  # characters of such a line
NUMBER = re.compile(r"\d+(?:[,.]\d+)+|\d{3,}")
# Words that make sense in a notebook only.
OF_A_NOTEBOOK = re.compile(r"\b(?:next|this|following) cell\b|\bbelow\b|\babove\b|<details")


def text_of(path):
    return slides.deck_of(path).read_text(encoding="utf8")


def deck(path):
    return slides.slides(text_of(path))


def words(slide):
    """All that is written on a slide."""
    texts = [b.text for b in slide.blocks if b.kind == "prose"]
    return "\n".join([slide.title, *texts])


# ---- Every deck ------------------------------------------------------------------------------


def test_every_notebook_has_its_deck_and_no_other_is_there():
    assert sorted(slides.DECKS.iterdir()) == sorted(map(slides.deck_of, PATHS))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_deck_is_a_talk(path):
    notebook, found = notebooks.read(path), deck(path)
    assert 12 <= len(found) <= 20
    assert found[0].title == notebook.cells[0].source.splitlines()[0]
    assert [slide.title[:2] for slide in found] == ["# "] + ["##"] * (len(found) - 1)
    titles = [slide.title for slide in found]
    assert len(set(titles)) == len(titles) and max(map(len, titles[1:])) < 60
    for slide in found:
        assert slide.blocks and all(slide.steps), f"{slide.title}: empty, or a pause before nothing"
        assert len(slide.notes.split()) >= 15, f"{slide.title}: what does the speaker say?"
        assert not OF_A_NOTEBOOK.search(words(slide)), slide.title
        assert len(words(slide).split()) <= 90, f"{slide.title}: too much to read"


CUE = re.compile(r"- \*\*(Say|Ask|Press|Draw|Live)\*\* .{3,80}")


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_notes_begin_with_what_can_be_read_at_a_glance(path):
    """One to three short lines; what the keys bring, on each slide that waits for a key."""
    for slide in deck(path):
        glance = slides.GLANCE.match(slide.notes)
        lines = glance[0].splitlines() if glance else []
        assert 1 <= len(lines) <= 3 and all(map(CUE.fullmatch, lines)), slide.title
        waits = len(slide.steps) > 1 or "next slide" in glance[0]
        assert ("**Press**" in glance[0]) == waits, slide.title
        assert len(slide.notes.split()) - len(glance[0].split()) >= 15, slide.title


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_what_a_deck_quotes_is_there(path):
    slides.page(text_of(path), notebooks.read(path))
    for slide in deck(path):
        for block in slide.blocks:
            if block.kind not in ("prose", "pictures"):
                lines = block.text.splitlines()
                assert block.of, f"{slide.title}: a fence must say from where it is"
                assert len(lines) <= LINES and max(map(len, lines)) <= WIDE, slide.title
                assert all(1 <= number <= len(lines) for number in block.marked), slide.title


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_no_number_of_a_deck_is_its_own(path):
    """Each stands in the notebook, in its outputs, its pictures' texts, or in the guide."""
    notebook, guide = notebooks.read(path), (ROOT / "course" / "guide.md").read_text("utf8")
    known = [guide, *(cell.source for cell in notebook.cells)]
    for cell in notebooks.code_cells(notebook):
        known.append(slides.printed(cell))
        known += [str(o.get("metadata", {})) + str(o.get("data", {}).get("text/html", ""))
                  for o in cell.outputs]  # fmt: skip
    there = {n.replace(",", "") for n in NUMBER.findall("\n".join(known))}
    for slide in deck(path):
        for number in NUMBER.findall(words(slide) + slide.notes):
            assert number.replace(",", "") in there, f"{slide.title}: where is {number} from?"


def unanswered(slide):
    """The questions behind which something else than their choices comes without a key."""
    found = []
    for step in slide.steps:
        for before, after in zip(step, step[1:], strict=False):
            asks = before.kind == "prose" and before.text.rstrip("*_ ").endswith("?")
            if asks and not after.text.startswith(("- ", "|")):
                found.append(before.text)
    return found


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_an_answer_waits_for_a_key(path):
    found = deck(path)
    assert [q for slide in found for q in unanswered(slide)] == []
    asking = [slide for slide in found if "?" in words(slide) and len(slide.steps) > 1]
    assert len(asking) >= 3, "a talk asks its audience"


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_what_answers_a_question_is_not_a_picture_alone(path):
    """On paper and from the last row, the sentence below it says what it shows."""
    for slide in deck(path):
        if "?" in words(slide):
            assert {b.kind for b in slide.steps[-1]} != {"pictures"}, slide.title


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_picture_stands_with_its_sentence(path):
    with_pictures = [s for s in deck(path) if any(b.kind == "pictures" for b in s.blocks)]
    assert len(with_pictures) >= 3
    for slide in with_pictures:
        assert sum(b.kind == "pictures" for b in slide.blocks) == 1, slide.title
        assert any(b.kind == "prose" for b in slide.blocks), f"{slide.title}: what does it show?"


@pytest.fixture(scope="module")
def drawings():
    """What each drawing of tools/figures.py shows, and its name."""
    return {draw().alt: name for name, draw in FIGURES.items()}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_what_can_be_drawn_is_sharp(path, drawings):
    """A deck takes from the notebook no picture that tools/figures.py draws."""
    quoted = slides.Quoted(notebooks.read(path))
    for slide in deck(path):
        for block in slide.blocks:
            for name, number in slides.PICTURE.findall(block.text):
                if block.kind == "pictures" and not name.startswith("figure:"):
                    alt, _ = quoted.picture(name, int(number or 1))
                    assert alt not in drawings, f"{slide.title}: use figure:{drawings[alt]}"


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_deck_says_how_long_the_talk_takes_and_what_to_drop(path):
    found = deck(path)
    said = talks.TIME.search(found[0].notes)
    assert said, "the notes of the first slide must say it, as in the other decks"
    long, short = int(said[1]), int(said[2])
    guide = (ROOT / "course" / "guide.md").read_text("utf8").split(f"## {path.stem[:2]} ")[1]
    timing = guide.partition("\n## ")[0].partition("**Timing.**")[2].splitlines()[0]
    if planned := re.search(r"Plan (\d+) minutes to read.* and (\d+) to discuss", timing):
        assert long == int(planned[1]) + int(planned[2]), "the guide says another time"
    dropped, shown = talks.NAMED.findall(said[3]), talks.NAMED.findall(said[5] or "")
    titles = [slide.title.removeprefix("## ") for slide in found[1:-1]]
    for some in (dropped, shown):
        assert len(set(some)) == len(some) and set(some) <= set(titles)
    assert shown == [title for title in titles if title in shown], "in the deck's order"
    assert len(dropped) / len(found) == pytest.approx(1 - short / long, abs=0.12)
    if shown:
        assert len(shown) * long / len(found) == pytest.approx(int(said[4]), abs=2.5)


@functools.cache
def variants(path):
    """{(part, minutes): the slides} of all talks that a deck can be made for."""
    text = text_of(path)
    return {key: slides.slides(talks.talk(text, key[1], key[0])) for key in talks.choices(text)}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_each_shorter_talk_is_a_deck(path):
    text = text_of(path)
    whole = [slide.title for slide in deck(path)]
    said = talks.TIME.search(text)
    assert talks.talk(text, int(said[1])) == text
    less = [slide.title for slide in variants(path)["", int(said[2])]]
    left_out = {f"## {name}" for name in talks.NAMED.findall(said[3])}
    assert less == [title for title in whole if title not in left_out]
    assert "## Quiz" not in left_out, "the guide's first choice for a vote"
    if said[4]:
        least = variants(path)["", int(said[4])]
        assert [s.title for s in least[1:]] == [f"## {n}" for n in talks.NAMED.findall(said[5])]
        assert least[0].title == whole[0]


def test_a_talk_that_is_not_there_names_those_that_are():
    (path,) = notebooks.paths("11_")
    text = slides.deck_of(path).read_text("utf8")
    with pytest.raises(ValueError, match="no talk of 30 minutes, only of 80 or 45"):
        talks.talk(text, 30)
    with pytest.raises(ValueError, match="no first part of 30 minutes, only of 80 or 45"):
        talks.talk(text, 30, "first")
    with pytest.raises(ValueError, match="name no shorter talk"):
        talks.talk("# A deck\n\nNote:\nNothing about its length.", 45)


def test_a_talk_for_two_lectures_is_cut_where_all_pages_say():
    (path,) = notebooks.paths("03_")
    found, course = deck(path), ROOT / "course"
    end, first, shorter, without, again, start, second = talks.TWO.search(found[0].notes).groups()
    titles = [slide.title.removeprefix("## ") for slide in found]
    cut = titles.index(start)
    assert titles[cut - 1] == end and without in titles[:cut] and again in titles[:cut]
    one = int(talks.TIME.search(found[0].notes)[1]) / len(found)  # minutes for a slide
    assert int(first) == pytest.approx(cut * one, abs=3)
    assert int(shorter) == pytest.approx((cut - 1) * one, abs=3)
    assert int(first) + int(second) == pytest.approx(len(found) * one, abs=3)
    assert "two lectures" in found[cut].notes
    for name in ("guide.md", "syllabus.md"):
        assert f'"{end}"' in (course / name).read_text(encoding="utf8"), name
    second = [slide.title for slide in variants(path)["second", int(second)]]
    assert second[0] == f"{found[0].title} (second part)"
    assert second[1:] == [f"## {title}" for title in (again, *titles[cut:])]


def test_a_plan_is_made_for_each_length():
    titles = [f"S{n}" for n in range(12)]
    said = (
        'has 12 slides for about 45 minutes. After 15 minutes you should be at "S4", and after 30'
    )
    assert said in talks.plan(titles, 45) and talks.plan(titles, 45).endswith('at "S8".')
    for path in PATHS:
        for (part, minutes), found in variants(path).items():
            whole = not part and minutes == max(m for _, m in variants(path))
            plans = re.findall(r"^\*\*(?:Time|Two lectures)\.\*\*.*$", found[0].notes, re.MULTILINE)
            assert whole or len(plans) == 1, path.stem
            assert whole or f"{len(found)} slides for about {minutes} minutes" in plans[0], (
                path.stem
            )


def seen(slide, quoted):
    """All that an audience sees on a slide: its words, its lines, and what its pictures show."""
    texts = [words(slide)]
    for block in slide.blocks:
        texts.append(block.text)
        if block.kind == "pictures":
            texts += [quoted.picture(name, int(n or 1))[0] for name, n in
                      slides.PICTURE.findall(block.text)]  # fmt: skip
    return "\n".join(texts)


def forms(titles):
    """Titles, and their first sentences or clauses, by which a note may name them."""
    return {t[: cut.start()] for t in titles for cut in re.finditer(r"(?<=[?.])(?= )|[:,]|$", t)}


@functools.cache
def homes():
    """{a term of the glossary: the number of the notebook that introduces it}."""
    text, found = (ROOT / "docs" / "glossary.md").read_text("utf8"), {}
    for entry in text.partition("```{glossary}")[2].split("\n\n"):
        *terms, about = [line for line in entry.strip().splitlines() if line != "```"] or [""]
        if number := re.search(r"\(\[(\d\d)\]", about):
            found |= dict.fromkeys(terms, number[1])
    assert len(found) > 100
    return found


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_shorter_talk_does_not_speak_of_what_it_leaves_out(path):
    """Neither a number or a new word from a slide that was dropped, nor that slide's title."""
    quoted, whole = slides.Quoted(notebooks.read(path)), deck(path)
    home = homes()
    names = {slide.title.lstrip("# ") for slide in whole}
    faults = []
    for (part, minutes), kept in variants(path).items():
        titles = {slide.title.lstrip("# ") for slide in kept}
        dropped = [s for s in whole[1:] if s.title.lstrip("# ") not in titles]
        shown = "\n".join(seen(slide, quoted) for slide in kept)
        explained = shown + "\n".join(slide.notes for slide in kept)
        bold = lambda text: set(re.findall(r"\*\*([a-zA-Z][\w -]+)\*\*", text))
        numbers = {n for s in dropped for n in NUMBER.findall(seen(s, quoted))}
        numbers -= set(NUMBER.findall(shown))
        terms = {w for s in dropped for w in bold("\n".join(b.text for b in s.blocks))}
        terms = {w for w in terms if w in home and home[w] == path.stem[:2]} - bold(explained)
        for slide in kept:
            said = words(slide) + "\n" + slide.notes
            where = f"{part} {minutes} min, {slide.title}:".strip()
            faults += [f"{where} {n}" for n in numbers & set(NUMBER.findall(said))]
            faults += [f"{where} {w}" for w in terms if re.search(rf"\b{w}", said)]
            others = forms(names - titles) - forms(titles)
            faults += [f'{where} "{t}"' for t in others if f'"{t}' in said]
    assert faults == []


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_question_is_answered_on_its_slide_or_on_the_next(path):
    """A slide that ends with a question says so at a glance, and no talk drops the next one."""
    whole = [slide.title for slide in deck(path)]
    for kept in variants(path).values():
        for slide, after in zip(kept[1:], [*kept[2:], None], strict=True):
            last = [block.text for block in slide.steps[-1] if block.kind == "prose"]
            lines = [line for text in last for line in text.splitlines()]
            if any(re.search(r"\?\W*$", line) for line in lines if not line.startswith("- ")):
                follows = whole[whole.index(slide.title) + 1]
                assert after and after.title == follows, f"{slide.title}: where is the answer?"
                assert "next slide" in slide.notes, f"{slide.title}: say where the answer is"


@pytest.mark.parametrize("week", talks.lectures())
def test_a_lecture_is_one_file_with_the_slides_of_its_talks(week):
    planned, file = talks.lectures()[week], slides.lecture(week)
    assert file.name == f"week{week:02}" and len(file.talks) == len(planned.talks)
    first = 1
    begin = slides.slides(file.talks[0][0])[0].notes
    for one, (text, path) in zip(planned.talks, file.talks, strict=True):
        assert path.name.startswith(one.deck)
        titles = [slide.title for slide in slides.slides(text)]
        assert titles == [slide.title for slide in variants(path)[one.part, one.minutes]]
        assert f"{one}: slides {first} to {first + len(titles) - 1}" in begin
        first += len(titles)
    assert f"{planned.votes} votes" in begin


def test_a_lecture_becomes_one_page():
    file = slides.lecture(2)
    html = slides.joined([(text, notebooks.read(path)) for text, path in file.talks], file.title)
    assert "<title>Week 2</title>" in html
    assert html.count("\n<section>") == sum(len(talks.parts_of(text)) for text, _ in file.talks)


def test_a_week_or_a_length_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="the weeks 1 to 14, got 15"):
        slides.files("", None, "15")
    with pytest.raises(
        ValueError, match="11_why_cross_attention.md, there is no talk of 7 minutes"
    ):
        slides.files("11_", 7, "")
    assert [file.name for file in slides.files("", None, "all")][-1] == "week14"


def test_one_word_for_one_way_of_asking_a_class():
    """The guide explains what a vote is; nothing asks for raised hands."""
    for path in [*slides.DECKS.glob("*.md"), *(ROOT / "course").glob("*.md")]:
        found = re.findall(r"(?i)show of hands|hands up|(?:by|with) hands", path.read_text("utf8"))
        assert found == [], path.name


# ---- The rules -------------------------------------------------------------------------------


def one_cell(source="x = 1\ny = 2\nz = 3", text="one\ntwo\nthree\n"):
    cell = new_code_cell(source, id="c1")
    picture = new_output("display_data", {"image/png": PIXEL}, metadata={"image/png": {"alt": "A"}})
    cell.outputs = [new_output("stream", text=text), picture]
    return new_notebook(cells=[new_markdown_cell("# 99 · A title", id="c0"), cell])


def test_a_slide_has_a_title_steps_and_notes():
    text = "# One\n\nWhy?\n\n. . .\n\nSo.\nAnd so.\n\n- a\n- b\n\nNote:\nSay it.\n\n---\n\n"
    one, two = slides.slides(text + "## Two\n\n| a |\n|---|\n")
    assert one.title == "# One" and one.notes == "Say it."
    assert [[b.text for b in step] for step in one.steps] == [
        ["Why?"],
        ["So.\nAnd so.", "- a\n- b"],
    ]
    assert two.title == "## Two" and two.notes == "" and two.blocks[0].text == "| a |\n|---|"


def test_pictures_for_a_hall_have_more_pixels_and_larger_labels():
    def drawn():
        figure, (axes,) = style.new_figure(3.0)
        axes.plot([1, 2, 3])
        axes.set_xlabel("step", fontsize=10)
        return figure

    def width(data):
        return int.from_bytes(data[16:20], "big")

    figure, plain = drawn(), style.png(drawn())
    first = sharp.png(figure)
    assert width(first) == sharp.TIMES * width(plain)
    assert figure.axes[0].xaxis.label.get_fontsize() / figure.for_a_hall > 1.2 * 10
    assert sharp.png(figure) == first, "what is shown twice is enlarged once"


def test_labels_do_not_grow_at_the_cost_of_what_is_shown():
    figure, all_axes = style.new_figure(2.0, columns=16)
    for axes in all_axes:
        axes.set_xlabel("12", fontsize=10)
        axes.set_xticks([]), axes.set_yticks([])
    before = sharp.share_of_axes(figure)
    sharp.png(figure)
    assert sharp.share_of_axes(figure) > 0.7 * before


@pytest.mark.slow
def test_a_notebook_is_redrawn_and_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(sharp, "FOLDER", tmp_path / "sharp")
    show = "from helpers.pictures import bars, show\n\nshow(bars({'a': 1.0}, 'b'))"
    path = tmp_path / "99_small.ipynb"
    notebooks.write(new_notebook(cells=[new_code_cell(show, id="c1")]), path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    found = sharp.redrawn(path)
    assert [cell.id for cell in found.cells] == ["c1"]
    alt, uri = slides.Quoted(found).picture("c1")
    assert alt and uri.startswith("data:image/svg+xml,")
    monkeypatch.setattr(sharp, "run_notebook", None)  # not again
    assert sharp.redrawn(path).cells[0].outputs


def test_a_notebook_with_other_results_keeps_its_pictures(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sharp, "FOLDER", tmp_path / "sharp")
    path = tmp_path / "99_small.ipynb"
    notebooks.write(one_cell(), path)
    other = one_cell(text="four\n")
    monkeypatch.setattr(sharp, "run_notebook", lambda path, before: (other, 1.0))
    assert sharp.redrawn(path).cells[1].outputs[0].text == "one\ntwo\nthree\n"
    assert "in cell 'c1'" in capsys.readouterr().out and not sharp.FOLDER.exists()


def test_a_line_may_need_a_slide_or_its_absence():
    text = '# One\n\n- {with "Two"} a\n- {without "Two"} b\n\nNote:\n{without "Two"} Say it.\n'
    (alone,) = slides.slides(text)
    assert alone.blocks[0].text == "- b" and alone.notes == "Say it."
    first, _ = slides.slides(text + "\n---\n\n## Two\n\nMore.")
    assert first.blocks[0].text == "- a" and first.notes == ""


def test_what_the_speaker_reads_at_a_glance_is_large():
    html = slides.as_notes("- **Say** this.\n- **Press** once.\n\nAnd the rest.")
    glance, rest = html.split("<hr>")
    assert "font-size" in glance and glance.count("<li>") == 2 and "rest" in rest
    assert "<hr>" not in slides.as_notes("Only text.")


def test_a_picture_with_more_pixels_is_as_large_as_before():
    notebook = one_cell()
    alt, plain = slides.Quoted(notebook).picture("c1")
    notebook.metadata["sharp"] = {"of": "", "times": 0.5}  # the picture has one pixel
    alt, uri = slides.Quoted(notebook).picture("c1")
    assert alt == "A" and plain in uri and "width%3D%222%22" in uri.replace("=", "%3D")


def test_a_fence_keeps_blank_lines_and_says_where_it_is_from():
    text = "# One\n\n```python {from=c1 mark=1,3}\nx = 1\n\n---x\n. . .\n```\n\nSo."
    (slide,) = slides.slides(text)
    block, after = slide.blocks
    assert (block.kind, block.of, block.marked) == ("python", "c1", [1, 3])
    assert block.text == "x = 1\n\n---x\n. . ." and after.text == "So."


@pytest.mark.parametrize(
    "text, complaint",
    [
        ("No title", "must begin with its title"),
        ("# One\n\n---\n\nNo title", "must begin with its title"),
        ("# One\n\n```python\nx = 1", "must be closed"),
        ("# One\n\n![](c2)", "slide 1, '# One': c2 must be the id"),
        ("# One\n\n![](c1/2)", r"must show 2 picture\(s\), but it shows 1"),
        ("# One\n\n![](figure:no)", "figure:no must be one of map"),
        ("# One\n\n```python {from=c1}\nx = 2\n```", "c1 must have the line 'x = 2'"),
        ("# One\n\n```python {from=c1}\ny = 2\nx = 1\n```", "c1 must have the line 'x = 1'"),
        ("# One\n\n```python {from=c1}\nx = 1\nx = 1\n```", "c1 must have the line 'x = 1'"),
        ("# One\n\n```printed {from=c1}\nfour\n```", "c1 must have the line 'four'"),
        ("# One\n\n```python {from=helpers/masks.py}\nx\n```", "masks.py must have the line 'x'"),
        ("# One\n\n. . .\n\n---\n\n## Two\n\n![](c0)", r"slide 2, '## Two': c0 must show 1"),
    ],
)
def test_what_is_not_there_is_named(text, complaint):
    with pytest.raises(ValueError, match=complaint):
        slides.page(text, one_cell())


def test_lines_may_be_left_out_but_not_changed():
    code = "```python {from=c1}\nx = 1\n# …\n    z = 3\n```"
    lines = "```printed {from=c1}\none\n…\nthree\n```"
    html = slides.page(f"# One\n\n{code}\n\n{lines}", one_cell())
    assert "…" in html and 'class="printed"' in html


def test_a_page_holds_everything_and_asks_for_nothing():
    html = slides.page(text_of(PATHS[1]), notebooks.read(PATHS[1]))
    assert "Reveal" in html and "MathJax" in html and 'alt="Map of the Transformer' in html
    assert "MathJax =" not in slides.page("# One\n\nTwo", one_cell())  # no formula, no MathJax
    markup = re.sub(r"<script>.*?</script>", "<script>", html, flags=re.DOTALL)
    tags = re.findall(r"<(?:script|link|img|iframe)\b[^>]*>", markup)
    assert tags and not [tag for tag in tags if re.search(r"(src|href)=.(?!data:)", tag)]


def test_links_to_the_live_page_lead_to_the_copy_beside_the_deck():
    address = f"{pages()}/live.html#at=watch"
    html = slides.page(f"# One\n\n[Watch it]({address})", one_cell())
    assert 'href="live.html#at=watch"' in html


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
  const size = e => parseFloat(getComputedStyle(e).fontSize);
  const code = [...slide.querySelectorAll(".code pre, .printed")];
  if (size(slide) < 24 || code.some(e => size(e) < 20)) faults.push("type too small");
  return [...new Set(faults)].map(f => leaves[0].textContent.trim() + ": " + f);
}"""


@pytest.fixture
def opened(alone):
    """opened(text, notebook) -> the deck, ready."""

    def open_deck(text, notebook):
        page = alone(slides.page(text, notebook), slides.WIDTH, slides.HEIGHT)
        page.wait_for_selector("body[data-ready]", state="attached")
        page.add_style_tag(content=".fragment { transition: none !important; }")
        return page

    return open_deck


def differs(path):
    """The shorter talks of a deck in which a slide has another face than in the whole deck."""
    whole = {slide.title: words(slide) for slide in deck(path)}
    changed = lambda s: s.title in whole and words(s) != whole[s.title]
    return [key for key, kept in variants(path).items() if any(map(changed, kept))]


@pytest.mark.parametrize(
    "path, key", [(path, key) for path in PATHS for key in differs(path)], ids=str
)
def test_nothing_is_cut_in_a_shorter_talk(opened, path, key):
    text = talks.talk(text_of(path), key[1], key[0])
    assert faults(opened(text, notebooks.read(path))) == []


def faults(page):
    """The faults of all slides of a deck, with all their fragments visible."""
    found = []
    for number in range(page.evaluate("Reveal.getTotalSlides()")):
        page.evaluate("n => Reveal.slide(n, 0, 99)", number)
        found += page.evaluate(FAULTS)
    return found


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_nothing_is_cut_and_all_of_it_can_be_read(opened, path):
    page = opened(text_of(path), notebooks.read(path))
    assert faults(page) == []


LONG = "\n\n".join(
    ["A sentence that fills a line of the slide from its left to its right end."] * 16
)


@pytest.mark.parametrize(
    "text, fault",
    [
        (LONG, "beyond the edge"),
        ("```text\n" + "x" * 200 + "\n```", "too wide"),
        ("```text\n" + "x = 1\n" * 60 + "```", "beyond the edge"),
    ],
)
def test_what_does_not_fit_is_noticed(opened, text, fault):
    page = opened(f"# Much\n\n{text}", one_cell())
    assert any(fault in found for found in faults(page))


def test_formulas_are_typeset(opened):
    page = opened("# One\n\nIt is $x^2$, or\n\n$$\n\\sqrt{d_k}\n$$", one_cell())
    assert page.locator("mjx-container svg").count() >= 2
    assert "$" not in page.locator(".slides").text_content()
    assert page.locator("mjx-merror, [data-mjx-error]").count() == 0


def test_keys_go_through_all_slides_and_fragments(opened):
    text = "# One\n\nWhy?\n\n. . .\n\nSo.\n\n. . .\n\nAnd so.\n\n---\n\n## Two\n\nMore."
    page, seen = opened(text, one_cell()), []
    for _ in range(4):
        visible = page.locator("section.present .text:visible:not(.title)")
        seen.append([t.strip() for t in visible.all_inner_texts()])
        page.keyboard.press("ArrowRight")
    hidden = page.locator(".fragment:not(.visible)").count()
    assert hidden == 0 and seen[-1] == ["More."]


def test_a_marked_line_stands_out(opened):
    page = opened("# One\n\n```python {from=c1 mark=2}\nx = 1\ny = 2\n```", one_cell())
    assert page.locator(".code .hll").all_inner_texts() == ["y = 2\n"]


def test_type_gets_smaller_only_where_it_must(opened):
    """A drawing in the notes, or a line that stands out, is no reason."""
    code = "```python {from=c1 mark=2}\nx = 1\ny = 2\n```"
    lines = "\n\n".join(["So."] * 5)
    page = opened(f"# One\n\n{code}\n\n{lines}\n\nNote:\n\n    {'x' * 200}", one_cell())
    size = "e => getComputedStyle(document.querySelector(e)).fontSize"
    assert page.evaluate(size, "section") == "38px"
    assert page.evaluate(size, ".code pre") == "34px"
    page = opened("# One\n\n```printed {from=c1}\none\n```", one_cell(text=" " * 75 + "one"))
    assert page.evaluate(size, ".printed") == "34px"


def test_a_sparse_slide_has_large_type(opened):
    page = opened("# One\n\nWhy?\n\nSo.\n\n---\n\n## Two\n\n" + "So.\n\n" * 7, one_cell())
    size = "e => parseFloat(getComputedStyle(document.querySelectorAll('section')[e]).fontSize)"
    assert page.evaluate(size, 0) == 44 and page.evaluate(size, 1) == 38


def test_a_drawing_is_a_vector_graphic_as_large_as_in_a_notebook(opened):
    page = opened("# One\n\n![](figure:map)\n\nSo.", one_cell())
    assert page.get_attribute("img", "src").startswith("data:image/svg+xml;base64,")
    assert page.evaluate("document.querySelector('img').naturalWidth") == 924


def test_a_picture_gets_the_room_and_the_text_beside_it_is_small(opened):
    text = "A sentence that fills about a line, or one and a half. How many are there?"
    picture = "![](figure:cross_attention)"
    page = opened(f"# One\n\n{text}\n\n. . .\n\n{picture}", one_cell())
    size = "parseFloat(getComputedStyle(document.querySelector('section')).fontSize)"
    assert 26 <= page.evaluate(size) <= 30
    page.keyboard.press("ArrowRight")
    assert page.evaluate("scale(document.querySelector('section'))") > 0.9
    page = opened(f"# One\n\nA line.\n\n![](figure:map)\n\n{text}", one_cell())
    assert page.evaluate("document.querySelector('img').offsetWidth") >= 1200


def test_the_pdf_has_a_page_for_each_slide_and_the_handout_no_answers(browser, tmp_path):
    text = "# One\n\nWhy?\n\n. . .\n\nSo.\n\n---\n\n## Two\n\nWhat?\n\n. . .\n\n![](c1)\n\n"
    text += "---\n\n## Three\n\nEnd."
    (tmp_path / "deck.html").write_text(slides.page(text, one_cell()), encoding="utf8")
    pdfs = slides.print_pdfs(browser, tmp_path / "deck.html")
    assert [pdf.name for pdf in pdfs] == ["deck.pdf", "deck-handout.pdf"]
    for pdf, pictures in zip(pdfs, (1, 0), strict=True):
        data = pdf.read_bytes()
        assert len(re.findall(rb"/Type\s*/Page\b", data)) == 3
        assert len(re.findall(rb"/Subtype\s*/Image", data)) == pictures
        box = re.search(rb"/MediaBox\s*\[([\d. ]+)\]", data)[1].split()
        assert float(box[2]) / float(box[3]) == pytest.approx(16 / 9, rel=0.01)


def test_a_handout_has_the_layout_of_the_pdf(browser, tmp_path):
    """Only what waits for a key cannot be seen on it."""
    text = (
        "# One\n\nWhy?\n\n. . .\n\nSo it is.\n\n```printed {from=c1}\none\n```\n\n. . .\n\nAnd $x$."
    )
    (tmp_path / "deck.html").write_text(slides.page(text, one_cell()), encoding="utf8")
    seen = {}
    for how in ("print-pdf", "print-pdf&handout"):
        page = browser.new_page(viewport={"width": slides.WIDTH, "height": slides.HEIGHT})
        page.goto(f"{(tmp_path / 'deck.html').as_uri()}?{how}")
        page.wait_for_selector("body[data-ready]", state="attached")
        leaves = page.locator(".text, .printed, mjx-container").all()
        seen[how] = [(e.bounding_box(), e.is_visible()) for e in leaves]
        page.close()
    full, handout = seen.values()
    assert [box for box, _ in full] == [box for box, _ in handout] and len(full) == 6
    assert all(visible for _, visible in full)
    assert [visible for _, visible in handout] == [True, True, False, False, False, False]
