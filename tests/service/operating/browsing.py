"""The live page as a person uses it."""

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest

PATIENCE_MILLISECONDS = 60_000
SAID_BY_THE_BROWSER = ("Failed to load resource", "[DOM]")
"""Of an answer that is no 2xx, and of forms; the page says itself what they mean."""


@contextmanager
def chromium() -> Generator[Any]:
    """A real Chromium without a window; the test is skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("no Chromium is installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@contextmanager
def page_of(browser: Any, address: str, token: str | None, width: int = 1280, dark: bool = False) -> Generator[Any]:
    """The page in a tab of its own, signed in where a token is given; at its end nothing has failed in it."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light")
    page, mistakes = context.new_page(), list[str]()
    page.set_default_timeout(PATIENCE_MILLISECONDS)
    page.on("pageerror", lambda error: mistakes.append(str(error)))
    page.on("console", lambda said: mistakes.append(said.text) if said.type in ("error", "warning") else None)
    page.goto(address)
    if token is not None:
        sign_in(page, token)
    yield page
    context.close()
    assert [said for said in mistakes if not said.startswith(SAID_BY_THE_BROWSER)] == []


def sign_in(page: Any, token: str) -> None:
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()


def violations(page: Any) -> list[str]:
    """What axe says against the page as it stands."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [f"{v['id']}: {v['nodes'][0]['html'][:200]} {v['nodes'][0].get('failureSummary', '')[:300]}" for v in found]
