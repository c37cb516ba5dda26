"""Visitors with a real browser, and assertions that hold on every page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal

from axe_playwright_python.base import AXE_SCRIPT
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, ViewportSize, expect

from tests.clusters import PATIENCE

expect.set_options(timeout=PATIENCE * 1000)

CHROMIUM_FLAGS: Final = [
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]
PHONE: Final[ViewportSize] = {"width": 390, "height": 844}
DESKTOP: Final[ViewportSize] = {"width": 1280, "height": 800}
# Loads axe once for each page.
AXE: Final = Axe(f"if (!window.axe) {{ {AXE_SCRIPT} }}")
Theme = Literal["light", "dark"]
THEMES: Final[tuple[Theme, ...]] = ("light", "dark")
# Chromium reports each response with an error status; tests that open error pages expect it.
EXPECTED_ERROR: Final = "Failed to load resource: the server responded with a status of"

# Runs before the scripts of the page; `MonitoredPage.assert_no_errors` reads the list.
REPORT_VIOLATIONS: Final = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
"""


class MonitoredPage:
    """A page that records console errors, exceptions and policy violations. `page` is Playwright's."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.url = url
        self.errors: list[str] = []
        context.add_init_script(REPORT_VIOLATIONS)
        self.page = context.new_page()
        self.page.set_default_timeout(PATIENCE * 1000)
        self.page.on("console", self._record)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def open(self, path: str) -> Page:
        """Open a path of the product and wait for the load event; return the page."""
        self.page.goto(self.url + path, wait_until="load")
        return self.page

    def assert_no_errors(self) -> None:
        """Fail if the page recorded an error."""
        violations = self.page.evaluate("window.violations ?? []")
        problems = [*self.errors, *violations]
        assert problems == [], problems

    def _record(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not message.text.startswith(EXPECTED_ERROR):
            self.errors.append(message.text)


class Visitor:
    """Opens pages with the cookies of a user."""

    def __init__(self, browser: Browser, url: str, cookies: list[Any]) -> None:
        self._browser = browser
        self._url = url
        self._cookies = cookies

    @contextmanager
    def context(
        self, *, viewport: Any = DESKTOP, theme: Theme = "light", javascript: bool = True
    ) -> Iterator[BrowserContext]:
        """Yield a new browser context, signed in. `theme` is the preference of the operating system."""
        context = self._browser.new_context(
            viewport=viewport,
            color_scheme=theme,
            java_script_enabled=javascript,
        )
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        try:
            if self._cookies:
                context.add_cookies(self._cookies)
            yield context
        finally:
            context.close()

    @contextmanager
    def page(
        self, *, viewport: Any = DESKTOP, theme: Theme = "light", javascript: bool = True
    ) -> Iterator[MonitoredPage]:
        """Yield a page in a new browser context; fail afterwards if it recorded an error."""
        with self.context(viewport=viewport, theme=theme, javascript=javascript) as context:
            monitored = MonitoredPage(context, self._url)
            yield monitored
            if javascript:
                monitored.assert_no_errors()


def assert_accessible(page: Page) -> None:
    """Fail if axe finds a violation of any rule of WCAG 2.2 AA or best practice; it can't decide all of them."""
    # `target-size` is of WCAG 2.2, and off by default.
    _assert_no_violations(page, {"rules": {"target-size": {"enabled": True}}})


def assert_contrast(page: Page) -> None:
    """Fail if axe finds colors with too little contrast: what depends on the theme."""
    _assert_no_violations(page, {"runOnly": ["color-contrast", "link-in-text-block"]})


def _assert_no_violations(page: Page, options: dict[str, Any]) -> None:
    # It needs less time without what it can't decide.
    results = AXE.run(page, options={"resultTypes": ["violations"], **options})
    assert results.violations_count == 0, results.generate_report()


def assert_fits(page: Page) -> None:
    """Fail if the page can be scrolled horizontally."""
    width, window = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert width <= window, f"{page.url} is {width} px wide in a window of {window} px"
