"""The documentation site: it builds without warnings, its links work, and it loads nothing from other hosts."""

from __future__ import annotations

import html
import http.server
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from receivers.health.checks import Check
from tools import site as builder

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.e2e
PAGES = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it."""
    output = tmp_path_factory.mktemp("documentation") / "site"
    done = subprocess.run(
        [sys.executable, "-m", "tools.site", "--output", output],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return output


def test_links_work_and_nothing_is_loaded_from_another_host(site: Path):
    assert list(builder.problems(site)) == []


def test_every_page_is_in_the_site_and_its_navigation(site: Path):
    navigation = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]["nav"]

    def listed(entry: Any) -> Iterator[str]:
        if isinstance(entry, str):
            yield entry
        else:
            for child in entry.values() if isinstance(entry, dict) else entry:
                yield from listed(child)

    pages = PAGES | set(builder.ROOT_PAGES.values())
    assert sorted(listed(navigation)) == sorted(pages)
    assert [page for page in pages if not (site / page).with_suffix(".html").exists()] == []


def test_settings_have_their_accepted_values(site: Path):
    assert "Accepts an integer from 1 to 65535." in (site / "configuration.html").read_text()


def test_health_checks_have_their_titles(site: Path):
    text = (site / "health-checks.html").read_text()
    assert [title for title in Check.labels if html.escape(title, quote=False) not in text] == []


def test_files_of_the_repository_that_pages_link_to_have_a_page(site: Path):
    text = (site / "source" / "deploy" / "chart" / "values.yaml.html").read_text()
    assert "existingSecret" in text


def test_mistakes_fail_the_build(tmp_path: Path):
    mistakes = {
        "[nothing](nothing.md)": "has a broken link: nothing",
        "[nowhere](configuration.md#nowhere)": "has a broken link: configuration.html#nowhere",
        "![nothing](nothing.png)": "has a broken link: nothing.png",
        '<img src="https://example.com/x.png">': "loads https://example.com/x.png",
    }
    builder.Sources(tmp_path / "docs").write()
    for number, text in enumerate(mistakes):
        (tmp_path / "docs" / f"mistake-{number}.md").write_text(f"# Mistake\n\n{text}\n")
    _site, wrong = builder.generate(tmp_path)
    for number, sentence in enumerate(mistakes.values()):
        assert [line for line in wrong if line.startswith(f"mistake-{number}.html {sentence}")], wrong
