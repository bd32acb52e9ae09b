"""Which tests are slow, and what several of them open: a headless Chromium, and pages in it."""

import shutil

import pytest

SLOW_FIXTURES = {"browser", "book", "speakers"}  # a browser, a built book, models that are taught


# These take half a minute to minutes. They begin first, the longest of them at the front, so that
# one process does not wait for the other at the end.
LONGEST = (
    "13_real_language",
    "test_problem_sets",
    "test_command",
    "09_training_a_translator",
    "test_slides",
    "test_faults",
    "11_why_cross_attention",
    "15_cross_attention_everywhere",
    "test_attacks",
    "test_book",
    "test_compile",
    "test_setup_cell",
    "test_engines",
)


def pytest_collection_modifyitems(items):
    """Whatever uses such a fixture is slow, without being marked one by one."""
    for item in items:
        if SLOW_FIXTURES & set(getattr(item, "fixturenames", ())):  # a notebook's cell has none
            item.add_marker("slow")
    order = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


@pytest.fixture(scope="module")
def browser():
    """Chromium, the system's, through Playwright; skips where either is missing."""
    api = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no chromium here")
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with api.sync_playwright() as play:
        running = play.chromium.launch(executable_path=chromium, args=quiet)
        yield running
        running.close()


@pytest.fixture
def alone(browser, tmp_path):
    """alone(html, width, height) -> page; afterwards nothing was fetched, nothing complained."""
    complaints, pages = [], []

    def open_page(html: str, width: int, height: int):
        path = tmp_path / "page.html"
        path.write_text(html, encoding="utf8")
        page = browser.new_page(viewport={"width": width, "height": height})
        page.on("console", lambda m: complaints.append(m.text))
        page.on("pageerror", lambda e: complaints.append(str(e)))
        page.on("dialog", lambda d: (complaints.append("a dialog"), d.dismiss()))
        own = (path.as_uri(), "data:")
        page.on("request", lambda r: None if r.url.startswith(own) else complaints.append(r.url))
        page.goto(path.as_uri())
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert complaints == []
