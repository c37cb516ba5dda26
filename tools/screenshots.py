"""`python tools/screenshots.py`: update the screenshots in `docs/`.

Starts a demo, sends pushes with different outcomes and takes screenshots of the main pages with Chromium. Needs the
development requirements and Debian's `chromium`.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, Page, sync_playwright

ROOT: Final = Path(__file__).resolve().parent.parent
DOCS: Final = ROOT / "docs"
START_TIMEOUT: Final = 120.0  # seconds until the demo is ready
FLAGS: Final = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--hide-scrollbars"]
STAGES_TIME: Final = 20.0  # seconds until Freight is in the automatic Stages, and figures are rolled up
WIDE: Final = {"width": 1280, "height": 800}
PHONE: Final = {"width": 390, "height": 844}
# The arguments of each `manage.py push`, which together produce every kind of outcome.
PUSHES: Final = (
    ("acme/storefront-web:latest",),
    ("acme/storefront-api:2.6.0",),
    ("acme/storefront-chart:0.9.2", "--chart"),
    ("acme/checkout:nightly-20260120",),
    ("acme/storefront-api:sha-9d2e7f1",),
    ("example/repo:1.3.0", "--times", "6"),
    ("example/repo:1.0.5",),
    ("quay.io/acme/agent:1.2.0",),
    ("https://gitlab.com/acme/modules", "--ref", "refs/tags/v1.4.0"),
    ("https://github.com/acme/platform-config", "--file", "README.md"),
    ("https://github.com/acme/platform-config", "--file", "clusters/eu/values.yaml"),
    ("acme/storefront-api:2.6.1",),
    ("example/repo:1.4.0", "--lag", "600"),
)


@dataclass(frozen=True, slots=True)
class Screenshot:
    """A screenshot: file name, path of the page, viewport and color scheme."""

    name: str
    path: str
    viewport: dict[str, int]
    dark: bool = False


@dataclass(frozen=True, slots=True)
class Demo:
    """A running demo."""

    url: str
    directory: Path

    def push(self, *arguments: str) -> str:
        """Run `manage.py push`; return its output."""
        return self._manage("push", *arguments)

    def delivery_of(self, repository: str, tag: str) -> str:
        """Return the id of the newest delivery of a tag to a project's receiver."""
        output = self._manage("deliveries", "list", "--repository", repository, "--tag", tag, "--json")
        ids = re.findall(r'"id": "([0-9a-f-]{36})"', output)
        if not ids:
            raise SystemExit(f"found no delivery of {repository}:{tag}")
        return str(ids[-1])

    def _manage(self, *arguments: str) -> str:
        environment = os.environ | {
            "KARGOWEB_DATA_DIR": str(self.directory),
            "PORT": self.url.rpartition(":")[2],
        }
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True
        ).stdout


@contextmanager
def demo() -> Iterator[Demo]:
    """Run a demo with a temporary data directory."""
    directory = Path(tempfile.mkdtemp(prefix="kargoweb-screenshots-"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {"KARGOWEB_DATA_DIR": str(directory), "PORT": str(port)}
    process = subprocess.Popen(
        [sys.executable, "manage.py", "demo"], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        deadline = time.monotonic() + START_TIMEOUT
        while "Ctrl-C" not in process.stdout.readline():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("the demo did not start")
        yield Demo(f"http://localhost:{port}", directory)
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(directory, ignore_errors=True)


def screenshots(demo: Demo) -> tuple[Screenshot, ...]:
    """Return the screenshots to take."""
    delivery = f"/deliveries/{demo.delivery_of('acme/storefront-api', '2.6.0')}"
    return (
        Screenshot("push", "/r/example/repo/1.3.0", WIDE),
        Screenshot("push-phone", "/r/example/repo/1.3.0", PHONE),
        Screenshot("pushes", "/pushes", WIDE),
        Screenshot("delivery", delivery, WIDE),
        Screenshot("overview-dark", "/", WIDE, dark=True),
        Screenshot("new-receiver", "/receivers/new?project=storefront", WIDE),
        Screenshot("test-fire", "/projects/kargo-demo/receivers/dockerhub-receiver/test", WIDE),
        # Not the first page: opening any page starts the health checks, whose results this one shows.
        Screenshot("attention", "/attention", WIDE),
        Screenshot("project", "/projects/storefront", WIDE),
    )


def sign_in(page: Page, demo: Demo) -> None:
    """Sign in as the demo's user."""
    page.goto(f"{demo.url}/sign-in")
    page.fill("[name=username]", "admin")
    page.fill("[name=password]", (demo.directory / "demo" / "password").read_text().strip())
    page.press("[name=password]", "Enter")
    page.wait_for_url(f"{demo.url}/")


def take(browser: Browser, demo: Demo, screenshot: Screenshot) -> None:
    """Take one screenshot."""
    options: dict[str, Any] = {
        "viewport": screenshot.viewport,
        "color_scheme": "dark" if screenshot.dark else "light",
    }
    with browser.new_context(**options) as context:
        page = context.new_page()
        sign_in(page, demo)
        response = page.goto(demo.url + screenshot.path)
        if response is None or response.status != 200:
            raise SystemExit(f"{screenshot.path} failed: {response.status if response else 'no response'}")
        page.wait_for_timeout(500)  # until live fragments have updated once
        page.screenshot(path=DOCS / f"{screenshot.name}.png")
        print(f"docs/{screenshot.name}.png")


def main() -> None:
    """Take all screenshots."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise SystemExit("Chromium is not installed: run apt-get install chromium")
    DOCS.mkdir(exist_ok=True)
    with demo() as running, sync_playwright() as playwright:
        for arguments in PUSHES:
            running.push(*arguments)
            time.sleep(1)
        time.sleep(STAGES_TIME)
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        for screenshot in screenshots(running):
            take(browser, running, screenshot)
        browser.close()


if __name__ == "__main__":
    main()
