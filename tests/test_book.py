"""The web book: nothing lost on the way from the notebooks, nothing fetched, readable by all.

The book is built once, into a temporary folder. The second half opens it in headless Chromium
through Playwright, over a local server, and is skipped where either is missing. Every check is
also shown a page that it must refuse.
"""

import functools
import re
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest

from tests.support import serious, served
from tools import book as tool
from tools.address import repository
from tools.book import alternative_texts, complaints, for_the_book, page_text
from tools.glossary import LINK, anchor, glossary_entries
from tools.notebooks import ROOT, code_cells, fold_title, paths, read, tags

PAGES = [f"notebooks/{path.stem}.html" for path in paths()]


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    for package in ("sphinx", "myst_nb", "sphinx_book_theme"):
        pytest.importorskip(package)
    folder = tmp_path_factory.mktemp("book")
    tool.build(folder / "source", folder / "book")
    return folder / "book"


class Text(HTMLParser):
    """A page's text, and where its links to the glossary stand."""

    def __init__(self, html: str):
        super().__init__()
        self.text, self.open, self.terms, self.alts = "", [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        has = dict(attributes)
        if tag == "img":
            self.alts.append(has.get("alt"))
        if tag == "a" and "glossary.html#term" in (has.get("href") or ""):
            self.terms.append((has["href"].partition("#")[2], tuple(self.open)))
        if tag not in {"img", "br", "meta", "link", "input", "hr", "col"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        self.text += data


@functools.cache
def page_of(book: Path, name: str) -> Text:
    return Text((book / name).read_text(encoding="utf8"))


# ---- From notebook to page -----------------------------------------------------------------


def test_a_copy_changes_links_and_folds_and_nothing_else():
    for path in paths():
        before, after = read(path), for_the_book(read(path))
        for old, new in zip(code_cells(before), code_cells(after), strict=True):
            assert (old.source, old.outputs) == (new.source, new.outputs)
        assert "colab-badge" not in "".join(cell.source for cell in after.cells)
        for cell in code_cells(after):
            if title := fold_title(cell):
                assert {"hide-input", "hide-cell"} & set(tags(cell))
                assert cell.metadata.mystnb.code_prompt_show in (
                    title,
                    "The set-up cell",
                    "The imports",
                )


def test_the_set_up_and_imports_cells_are_folded(book):
    for name in PAGES:
        html = (book / name).read_text(encoding="utf8")
        for title, code in (("The set-up cell", "VERSION"), ("The imports", "helpers.pictures")):
            (fold,) = re.findall(
                rf"<details[^>]*>\s*<summary[^>]*>.*?{title}.*?</details>", html, re.S
            )
            assert f">{code}<" in fold and not fold.startswith("<details open"), (name, title)


def test_links_lead_to_pages_or_to_the_repository():
    badge = "[![Open in Colab](https://x.y/badge.svg)](https://colab.z/a.ipynb)"
    assert page_text(badge) == "[Open in Colab](https://colab.z/a.ipynb)"
    download = "[Download](https://github.com/A/b/raw/main/notebooks/07_x.ipynb)"
    assert page_text(download) == '<a href="../_sources/notebooks/07_x.ipynb" download>Download</a>'
    assert (
        page_text("[h](../helpers/masks.py)") == f"[h]({repository()}/blob/main/helpers/masks.py)"
    )
    assert page_text("see [the leak](#leak).") == 'see <a href="#leak">the leak</a>.'
    assert page_text("[01](01_self_attention.ipynb)") == "[01](01_self_attention.ipynb)"


def test_every_stored_output_is_on_its_page(book):
    for path, name in zip(paths(), PAGES, strict=True):
        page = page_of(book, name)
        for cell in code_cells(read(path)):
            for output in cell.outputs:
                if output.output_type == "stream":
                    assert output.text.strip() in page.text, f"{name}: {output.text[:60]}"


def test_every_figure_says_what_it_shows(book):
    for path, name in zip(paths(), PAGES, strict=True):
        wanted = [" ".join(text.split()) for text in alternative_texts(read(path))]
        shown = [" ".join(alt.split()) for alt in page_of(book, name).alts if alt]
        assert wanted == [alt for alt in shown if alt in wanted] and all(wanted)


def test_download_gives_the_notebook_itself(book):
    for path in paths():
        assert (book / "_sources" / "notebooks" / path.name).read_bytes() == path.read_bytes()


def test_the_live_page_is_in_the_book_and_notebooks_lead_to_its_views(book):
    live = (book / "live.html").read_text(encoding="utf8")
    assert "LiveModel" in live and '"book":""' in live  # its parts link to the pages beside it
    for name in ("index", "live_page"):
        assert 'src="live.html"' in (book / f"{name}.html").read_text(encoding="utf8")
    for number, state in {
        "00": "",
        "07": "#at=open",
        "08": "#rewire",
        "10": "#at",
        "11": "#cut",
    }.items():
        (page,) = (book / "notebooks").glob(f"{number}_*.html")
        assert f'href="../live.html{state}' in page.read_text(encoding="utf8"), number


def test_solutions_are_folded_and_their_code_is_code(book):
    html = (book / PAGES[7]).read_text(encoding="utf8")
    folded = re.findall(r"<details><summary>Solution</summary>(.*?)</details>", html, re.S)
    assert len(folded) == read(paths()[7]).cells.__repr__().count("<summary>Solution")
    assert all('class="highlight"' in solution for solution in folded)


def test_pages_lead_to_colab_to_binder_and_to_each_other(book):
    html = (book / PAGES[7]).read_text(encoding="utf8")
    where = repository().removeprefix("https://github.com/")
    file = "notebooks/07_cross_attention.ipynb"
    assert f"https://colab.research.google.com/github/{where}/blob/main/{file}" in html
    assert f"https://mybinder.org/v2/gh/{where}/main?urlpath=lab/tree/{file}" in html
    assert 'class="left-prev"' in html and 'class="right-next"' in html


# ---- Glossary and reference ----------------------------------------------------------------


def test_each_term_is_linked_once_a_page_and_only_from_prose(book):
    found = set()
    for name in PAGES:
        terms = page_of(book, name).terms
        anchors = [place for place, _ in terms]
        assert len(anchors) == len(set(anchors)) >= 5, name
        for place, around in terms:
            assert not {"h1", "h2", "h3", "code", "pre", "a"} & set(around), (name, place)
        found |= set(anchors)
    entries = glossary_entries((ROOT / "docs" / "glossary.md").read_text(encoding="utf8"))
    unused = {anchor(entry[0]) for entry in entries} - found
    assert not unused, f"in the glossary, and in no notebook: {unused}"


def test_a_bold_term_of_a_notebook_leads_to_its_place_in_the_glossary(book):
    html = (book / "glossary.html").read_text(encoding="utf8")
    for path in paths():
        texts = [cell.source for cell in read(path).cells if cell.cell_type == "markdown"]
        links = LINK.findall("\n".join(texts))
        assert len(links) == len({place for _, place in links}), f"{path.name}: once a notebook"
        for bold, place in links:
            assert f'id="term-{place}"' in html, f"{path.name}: {bold} leads to no term"


def test_what_only_looks_like_a_term_is_not_linked(book):
    html = (book / PAGES[0]).read_text(encoding="utf8")
    assert "use the arrow keys)" in html
    assert 'href="../glossary.html#term-key"' not in html  # the notebook has no other key


def test_the_glossary_is_in_order_and_names_where_each_term_comes_from():
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf8")
    first = [entry[0].lower() for entry in glossary_entries(text)]
    assert first == sorted(set(first)) and len(first) > 60
    explained = re.findall(r"^  \S.*$", text, re.M)
    assert len(explained) == len(first)
    # The second form is what tools/chapters.py leaves where a chapter was dropped.
    home = r"\((\[\d\d\]\(notebooks/\S+\.ipynb\)|in no notebook here)\)$"
    assert all(re.search(home, line) for line in explained)


def test_the_reference_has_every_helper_with_its_words(book):
    page = page_of(book, "api/attention.html").text
    assert "query (…, target, d_k), key (…, source, d_k), value (…, source, d_v)" in page
    assert "Raises ValueError where shapes do not fit" in " ".join(page.split())
    for name in tool.helper_modules():
        path = ROOT / "helpers" / name.replace(".", "/")
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        public = re.findall(r"^(?:def|class) ([A-Za-z]\w*)", path.read_text(encoding="utf8"), re.M)
        html = (book / "api" / f"{name}.html").read_text(encoding="utf8")
        for thing in public:
            assert f'id="helpers.{name}.{thing}"' in html, f"{name}.{thing}"


# ---- What the finished pages are checked for -----------------------------------------------


def test_nothing_is_wrong_with_the_pages(book):
    assert complaints(book) == []


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        ('<a href="nowhere.html">x</a>', "broken link to nowhere.html"),
        ('<a href="#nowhere">x</a>', "no such place: #nowhere"),
        ('<a href="good.html#nowhere">x</a>', "no such place: good.html#nowhere"),
        ('<img src="good.png">', "a picture without alternative text: good.png"),
        ('<img src="gone.png" alt="x">', "there is no gone.png"),
        ('<img src="https://a.b/c.png" alt="x">', "fetched from elsewhere: https://a.b/c.png"),
        ('<script src="//a.b/c.js"></script>', "fetched from elsewhere: //a.b/c.js"),
        ('<link rel="stylesheet" href="https://a.b/c">', "fetched from elsewhere: https://a.b/c"),
        ("x" * 3_000_000, "3.0 MB, but at most 3 MB are allowed"),
        ('<script src="large.js"></script>', "3.1 MB, but at most 3 MB are allowed"),
    ],
)
def test_a_bad_page_is_refused(tmp_path, bad, complaint):
    good = '<h1 id="here">x</h1><a href="#here">y</a><a href="https://a.b">z</a>'
    good += '<img src="good.png" alt="a picture">'
    (tmp_path / "good.png").write_bytes(b"")
    (tmp_path / "large.js").write_bytes(b" " * 3_100_000)
    (tmp_path / "good.html").write_text(good, encoding="utf8")
    assert complaints(tmp_path) == []
    (tmp_path / "bad.html").write_text(good + bad, encoding="utf8")
    assert complaints(tmp_path) == [f"bad.html: {complaint}"]


def test_a_picture_that_says_nothing_is_seen():
    output = nbformat.v4.new_output("display_data", {"image/png": ""})
    cell = nbformat.v4.new_code_cell(outputs=[output])
    assert alternative_texts(nbformat.v4.new_notebook(cells=[cell])) == [""]


# ---- In a browser --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def address(book):
    with served(book) as where:
        yield where


def watched(browser, where: str, width: int, mode: str):
    """(page, complaints): every request but those to `where` is stopped and complained about."""
    found = []
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=mode)

    def decide(route):
        if route.request.url.startswith((where, "data:", "blob:")):
            route.continue_()
        else:
            found.append(f"asked for {route.request.url}")
            route.abort()

    page.route("**/*", decide)
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("response", lambda r: found.append(f"{r.status}: {r.url}") if not r.ok else None)
    page.on("console", lambda m: found.append(m.text) if m.type == "error" else None)
    return page, found


@pytest.fixture
def opened(browser, address):
    """open(name, width, mode) -> page; afterwards nothing was asked of the world."""
    pages, everything = [], []

    def open_page(name, width=1280, mode="light"):
        page, found = watched(browser, address, width, mode)
        page.goto(f"{address}/{name}")
        pages.append(page)
        everything.append(found)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert [found for found in everything if found] == []


def fits(page, width: int) -> bool:
    return page.evaluate("document.documentElement.scrollWidth") <= width


def test_every_page_fits_a_phone(opened):
    page = opened("index.html", 390)
    names = ["glossary.html", "api.html", "api/attention.html", "api/pictures.maps.html", *PAGES]
    here = page.url.rpartition("/")[0]
    for name in names:
        page.goto(f"{here}/{name}", wait_until="domcontentloaded")
        assert fits(page, 390), name


@pytest.mark.parametrize(
    ("name", "width", "mode"),
    [
        (PAGES[0], 1280, "light"),
        (PAGES[0], 390, "dark"),
        ("index.html", 390, "dark"),
        ("glossary.html", 1280, "dark"),
        ("api/attention.html", 1280, "light"),
    ],
)
def test_pages_have_no_serious_findings(opened, name, width, mode):
    page = opened(name, width, mode)
    if name == PAGES[0]:
        page.wait_for_selector(".said:not(:empty)")
    assert page.locator(f"html[data-theme={mode}]").count() == 1
    assert serious(page) == []


# The classes of the icons in sight that have no letter, or whose font did not arrive.
NOT_DRAWN = """async () => {
  await document.fonts.ready;
  const plain = family => family.replaceAll('"', "");
  const loaded = [...document.fonts].filter(f => f.status == "loaded").map(f => plain(f.family));
  const drawn = icon => {
    const { content, fontFamily } = getComputedStyle(icon, "::before");
    return !["none", "normal"].includes(content) && loaded.includes(plain(fontFamily));
  };
  const icons = [...document.querySelectorAll("[class*='fa-']")].filter(e => e.checkVisibility());
  return icons.filter(e => !drawn(e)).map(e => e.className);
}"""


@pytest.mark.parametrize(("width", "mode"), [(1280, "light"), (390, "dark")])
def test_every_icon_is_drawn(opened, width, mode):
    page = opened(PAGES[7], width, mode)
    for name in ("rocket", "github", "download", "circle-half-stroke", "angle-left", "angle-right"):
        assert page.locator(f".fa-{name}:visible").count(), name
    assert page.evaluate(NOT_DRAWN) == []
    page.locator("article").evaluate("e => e.innerHTML += '<i class=\"fa-solid fa-no-such\">'")
    assert page.evaluate(NOT_DRAWN) == ["fa-solid fa-no-such"]


def test_a_bad_page_is_refused_in_the_browser(browser, tmp_path):
    (tmp_path / "bad.html").write_text(
        "<!doctype html><html><title>x</title><body><p style='color:#aaa;background:#fff'>pale</p>"
        "<img src='https://example.org/x.png'><div style='width:600px'>wide</div>"
        "<script>throw Error('broken')</script>",
        encoding="utf8",
    )
    with served(tmp_path) as where:
        page, found = watched(browser, where, 390, "light")
        page.goto(f"{where}/bad.html")
        assert any("asked for https://example.org/x.png" in f for f in found)
        assert any("broken" in f for f in found)
        assert not fits(page, 390)
        names = {f.partition(":")[0] for f in serious(page)}
        assert names >= {"color-contrast", "image-alt", "html-has-lang"}
        page.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_formulas_are_set_without_a_network(opened, width):
    page = opened(PAGES[1], width)
    formula = page.locator("div.math mjx-container")
    formula.wait_for()
    box = formula.bounding_box()
    assert box["height"] > 25 and page.locator("mjx-merror").count() == 0
    assert page.evaluate("document.fonts.check('16px MJXTEX')")


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_the_explorer_is_alive_in_the_page(opened, mode):
    page = opened(PAGES[0], 1280, mode)
    page.locator(".said:not(:empty)").wait_for()
    page.locator(".attention-explorer [role=option]", has_text="apple").hover()
    assert "Apfel" in page.locator(".said").text_content()
    page.locator(".queries").focus()
    page.keyboard.press("Home")
    assert "mein" in page.locator(".said").text_content()
    card = page.locator(".text_html:has(.attention-explorer)")
    background = card.evaluate("e => getComputedStyle(e).backgroundColor")
    assert background == "rgba(0, 0, 0, 0)"  # the page's own, light or dark


def test_the_search_finds_a_word(opened):
    page = opened("search.html?q=teacher+forcing")
    page.locator("#search-results li").first.wait_for()
    links = page.locator("#search-results a").evaluate_all("all => all.map(a => a.href)")
    assert any("06_decoder" in link for link in links) and any("glossary" in x for x in links)


def test_a_phone_has_its_menus(opened):
    page = opened(PAGES[7], 390)
    page.locator(".primary-toggle:visible").click()
    page.get_by_role("link", name="08 · Wire the Transformer").first.wait_for()
    assert page.locator("#pst-primary-sidebar-modal[open]").count() == 1
    page.keyboard.press("Escape")
    page.locator(".secondary-toggle:visible").click()
    page.locator("#pst-secondary-sidebar-modal[open]").wait_for()


def test_a_reader_can_switch_to_dark_and_unfold_a_solution(opened):
    page = opened(PAGES[0])
    page.get_by_role("button", name="Color mode").first.click()
    page.get_by_role("button", name="Dark", exact=True).first.click()
    assert page.locator("html[data-theme=dark]").count() == 1
    folded = page.locator("details", has=page.locator("summary", has_text="Solution")).first
    inside = folded.locator("p:visible")
    assert inside.count() == 0
    folded.locator("summary").focus()
    page.keyboard.press("Enter")
    assert inside.count() > 0
