"""What several test files open: a headless Chromium."""

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
