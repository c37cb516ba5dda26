"""`python tools/screenshots.py`: take the pictures in `docs/` anew, from the demo, with Chromium.

Starts a demo of its own, lets some pushes end in different ways, and looks at the main pages. Needs the development
requirements and Debian's `chromium`.
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
PATIENCE: Final = 120.0  # seconds for the demo to be up
FLAGS: Final = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--hide-scrollbars"]
WIDE: Final = {"width": 1280, "height": 800}
PHONE: Final = {"width": 390, "height": 844}
# What is pushed, and with which options of `manage.py push`: an end of every sort.
PUSHES: Final = (
    ("acme/storefront-web:latest",),
    ("acme/storefront-api:2.6.0",),
    ("acme/storefront-chart:0.9.2", "--chart"),
    ("acme/checkout:nightly-20260120",),
    ("acme/storefront-api:sha-9d2e7f1",),
    ("example/repo:1.3.0", "--times", "6"),
    ("example/repo:1.0.5",),
    ("acme/storefront-api:2.6.1",),
    ("example/repo:1.4.0", "--lag", "600"),
)


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture: what it is called, what is looked at, and how."""

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
        """Play Docker Hub; return what was printed."""
        return self._manage("push", *arguments)

    def delivery_of(self, repository: str, tag: str) -> str:
        """Return the id of the newest delivery of a tag to a project's receiver."""
        printed = self._manage("deliveries", "list", "--repository", repository, "--tag", tag, "--json")
        found = re.findall(r'"id": "([0-9a-f-]{36})"', printed)
        if not found:
            raise SystemExit(f"there is no delivery of {repository}:{tag}")
        return str(found[-1])

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
    """Run a demo with a data directory of its own."""
    directory = Path(tempfile.mkdtemp(prefix="kargoweb-pictures-"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {"KARGOWEB_DATA_DIR": str(directory), "PORT": str(port)}
    process = subprocess.Popen(
        [sys.executable, "manage.py", "demo"], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        deadline = time.monotonic() + PATIENCE
        while "Ctrl-C" not in process.stdout.readline():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("the demo does not start")
        yield Demo(f"http://localhost:{port}", directory)
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(directory, ignore_errors=True)


def pictures(demo: Demo) -> tuple[Picture, ...]:
    """Return what is to be taken."""
    story = f"/deliveries/{demo.delivery_of('acme/storefront-api', '2.6.0')}"
    return (
        Picture("deliveries", "/deliveries", WIDE),
        Picture("delivery", story, WIDE),
        Picture("delivery-phone", story, PHONE),
        Picture("deliveries-dark", "/deliveries", WIDE, dark=True),
        Picture("test-fire", "/projects/kargo-demo/receivers/dockerhub-receiver/test", WIDE),
        # What needs attention is looked at anew when somebody has looked at it.
        Picture("attention", "/attention", WIDE),
        Picture("project", "/projects/storefront", WIDE),
    )


def sign_in(page: Page, demo: Demo) -> None:
    """Sign in as the demo's user."""
    page.goto(f"{demo.url}/sign-in")
    page.fill("[name=username]", "admin")
    page.fill("[name=password]", (demo.directory / "demo" / "password").read_text().strip())
    page.press("[name=password]", "Enter")
    page.wait_for_url(f"{demo.url}/")


def take(browser: Browser, demo: Demo, picture: Picture) -> None:
    """Take one picture."""
    options: dict[str, Any] = {
        "viewport": picture.viewport,
        "color_scheme": "dark" if picture.dark else "light",
    }
    with browser.new_context(**options) as context:
        page = context.new_page()
        sign_in(page, demo)
        answer = page.goto(demo.url + picture.path)
        if answer is None or answer.status != 200:
            raise SystemExit(
                f"{picture.path} cannot be looked at: {answer.status if answer else 'no answer'}"
            )
        page.wait_for_timeout(500)  # what updates itself has done so once
        page.screenshot(path=DOCS / f"{picture.name}.png")
        print(f"docs/{picture.name}.png")


def main() -> None:
    """Take all pictures."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise SystemExit("Chromium is needed: apt-get install chromium")
    DOCS.mkdir(exist_ok=True)
    with demo() as running, sync_playwright() as playwright:
        for arguments in PUSHES:
            running.push(*arguments)
            time.sleep(1)
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        for picture in pictures(running):
            take(browser, running, picture)
        browser.close()


if __name__ == "__main__":
    main()
