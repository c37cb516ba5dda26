"""What tests of pages in a real browser share: people who are signed in, and what must hold on every page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

CHROMIUM_FLAGS: Final = [
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]
PASSWORD: Final = "correct horse battery staple"
PHONE: Final = {"width": 390, "height": 844}
DESK: Final = {"width": 1280, "height": 800}
Theme = Literal["light", "dark"]
THEMES: Final[tuple[Theme, ...]] = ("light", "dark")
# What a page that answers with an error says of itself; it is the answer that was wanted.
EXPECTED: Final = "Failed to load resource: the server responded with a status of"

# Set before any script of the page runs; `Watched.finish` reads it.
REPORT_VIOLATIONS: Final = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
"""


class Watched:
    """A page whose console, faults and violations of the policy are kept. `page` is Playwright's."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.url = url
        self.said: list[str] = []
        context.add_init_script(REPORT_VIOLATIONS)
        self.page = context.new_page()
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.said.append(str(error)))

    def open(self, path: str) -> Page:
        """Go to a path of the product and wait until its scripts have run; return the page."""
        self.page.goto(self.url + path, wait_until="load")
        return self.page

    def finish(self) -> None:
        """Fail if the page complained about anything."""
        violations = self.page.evaluate("window.violations ?? []")
        assert [*self.said, *violations] == []

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not message.text.startswith(EXPECTED):
            self.said.append(message.text)


class Visitor:
    """Opens pages as one person, with the cookies of that person."""

    def __init__(self, browser: Browser, url: str, cookies: list[Any]) -> None:
        self._browser = browser
        self._url = url
        self._cookies = cookies

    @contextmanager
    def page(
        self, *, viewport: Any = DESK, theme: Theme = "light", javascript: bool = True
    ) -> Iterator[Watched]:
        """Give a page in a window of its own; when it is left, it must not have complained.

        `theme` is that of the system.
        """
        context = self._browser.new_context(
            viewport=viewport,
            color_scheme=theme,
            java_script_enabled=javascript,
        )
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        try:
            if self._cookies:
                context.add_cookies(self._cookies)
            watched = Watched(context, self._url)
            yield watched
            if javascript:
                watched.finish()
        finally:
            context.close()


def assert_accessible(page: Page) -> None:
    """Fail if axe finds anything at all: no rule is left out, and what it cannot decide alone is not counted."""
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


def assert_fits(page: Page) -> None:
    """Fail if the page can be scrolled sideways."""
    wide, window = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert wide <= window, f"{page.url} is {wide} px wide in a window of {window} px"
