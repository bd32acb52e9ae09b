"""What several test files open: a headless Chromium, and pages in it that are watched."""

import shutil

import pytest


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


def serious(page) -> list[str]:
    """What axe-core calls serious or critical. A page's code is looked at for short pages only:
    its thousands of coloured spans take most of axe's time and have one style."""
    sync = pytest.importorskip("axe_playwright_python.sync_playwright")
    context = None if page.locator("pre").count() < 60 else {"exclude": ["pre"]}
    # preload would fetch the style sheets again, some from a wrong place.
    options = {"resultTypes": ["violations"], "preload": False}
    found = sync.Axe().run(page, context, options).response["violations"]
    return [
        f"{v['id']}: {v['nodes'][0]['html'][:120]}"
        for v in found
        if v["impact"] in {"serious", "critical"}
    ]
