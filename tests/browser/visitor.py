"""A browser for tests: headless Chromium whose every complaint is kept; screenshots in artefacts/; axe-core."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, WebError, sync_playwright

from tests.browser.hall import ServedHall

ROOT = Path(__file__).resolve().parent.parent.parent
ARTEFACTS = ROOT / "artefacts"
AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PATIENCE_MS = 10_000


def missing(what: str) -> None:
    """Skips; where servers are required, fails."""
    if os.environ.get("JIAOHAO_REQUIRE_SERVERS") == "1":
        pytest.fail(f"{what} is not installed, and JIAOHAO_REQUIRE_SERVERS=1")
    pytest.skip(f"{what} is not installed")


class Visitor:
    """One browser profile: its pages, and what they complained about."""

    def __init__(self, hall: ServedHall, context: BrowserContext) -> None:
        self.hall, self.context = hall, context
        self.complaints: list[str] = []
        self.foreign: list[str] = []
        context.set_default_timeout(PATIENCE_MS)
        context.on("request", self._requested)
        context.on("weberror", self._failed)
        context.on("console", self._said)

    def _requested(self, request: Request) -> None:
        if not request.url.startswith((self.hall.url + "/", "data:", "about:")):
            self.foreign.append(request.url)

    def _failed(self, error: WebError) -> None:
        where = error.page.url if error.page else ""
        self.complaints.append(f"error: {error.error.stack or error.error} ({where})")

    def _said(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text} ({message.location.get('url', '')})")

    def open(self, path: str, role: str = "") -> Page:
        """A page, logged in as `role` first."""
        page = self.context.new_page()
        if role:
            page.goto(f"{self.hall.url}/login#token={self.hall.tokens[role]}")
            page.wait_for_url(lambda url: "/login" not in url)
        page.goto(self.hall.url + path)
        return page


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium, ended by its own handle."""
    if CHROMIUM is None:
        missing("chromium")
    if not AXE.exists():
        missing("axe-core (npm install --no-package-lock --prefix tests/browser)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def visiting(browser: Browser, hall: ServedHall, *, complains: bool = False, **more: Any) -> Iterator[Visitor]:
    """A visitor who, at the end, has had nothing to complain about and asked nothing of anybody else."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **more})
    visitor = Visitor(hall, context)
    try:
        yield visitor
        assert visitor.foreign == [], "nothing from elsewhere"
        if not complains:
            assert visitor.complaints == [], visitor.complaints
    except Exception as error:
        error.add_note(f"The browser complained: {visitor.complaints}")  # a page that never came may say why
        raise
    finally:
        context.close()


def picture(page: Page, name: str, *, whole: bool = False) -> None:
    """A screenshot for people to look at."""
    ARTEFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTEFACTS / f"{name}.png", full_page=whole)


def accessible(page: Page, *, enhanced: bool = False) -> list[str]:
    """Serious and critical findings of axe-core for WCAG 2.2 AA; with `enhanced`, contrast of 7:1."""
    page.evaluate(AXE.read_text("utf-8"))
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    options: dict[str, Any] = {"runOnly": {"type": "tag", "values": tags}}
    if enhanced:
        options["rules"] = {"color-contrast-enhanced": {"enabled": True}}
    found = page.evaluate("(options) => axe.run(document, options)", options)
    return [
        f"{one['id']} ({one['impact']}): {node['html'][:120]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def small_targets(page: Page, least: int) -> list[str]:
    """What can be tapped and is smaller than `least` px in either direction. A labelled box counts with its label."""
    return list(
        page.evaluate(
            """(least) => [...document.querySelectorAll("button, a, select, input")]
            .map((one) => [one, (one.closest("label") || one).getBoundingClientRect()])
            .filter(([one, box]) => box.width && (box.width < least || box.height < least))
            .map(([one, box]) => `${one.outerHTML.slice(0, 80)} ${box.width}x${box.height}`)""",
            least,
        )
    )
