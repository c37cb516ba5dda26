"""Build the documentation site: `python -m tools.site [--output site]`, or `make docs`.

The sources are the pages in `docs/` and the Markdown files in the root of the repository, which GitHub shows as well.
Links between them are relative to the repository. This tool copies them to a temporary directory in the layout of the
site, changes the links accordingly, adds pages for other files that they link to, and runs Zensical. Then it checks
every link of the result, and that no page loads anything from another host.
"""

from __future__ import annotations

import argparse
import posixpath
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urldefrag

from tools import reference

ROOT: Final = Path(__file__).resolve().parent.parent
DOCS: Final = ROOT / "docs"
CONFIGURATION: Final = ROOT / "zensical.toml"
# Pages outside docs/, by their place in the site.
ROOT_PAGES: Final = {
    "README.md": "index.md",
    "SECURITY.md": "project/security.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "CHANGELOG.md": "project/changelog.md",
}
LINK: Final = re.compile(r"(\]\(|(?:src|href|srcset)=\")([^)\s\"#]+)")
CODE_BLOCK: Final = re.compile(r"(^ *```.*?^ *```$)", re.M | re.S)
PICTURE: Final = re.compile(
    r'<picture>\s*<source media="\(prefers-color-scheme: dark\)" srcset="([^"]+)">\s*'
    r'<img alt="([^"]*)" src="([^"]+)">\s*</picture>'
)
LANGUAGES: Final = {".yaml": "yaml", ".yml": "yaml", ".json": "json", ".py": "python", ".toml": "toml"}
# Attributes and links with addresses that a browser fetches by itself.
LOADED: Final = frozenset({"src", "srcset", "poster", "data"})
LOADING_LINKS: Final = frozenset(
    {"stylesheet", "icon", "preload", "preconnect", "dns-prefetch", "modulepreload"}
)
MISSING_PAGE: Final = "404.html"  # its addresses are those of the server's root


class Sources:
    """The sources of the site, in a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def write(self) -> None:
        """Write all pages and images."""
        for path in sorted(DOCS.rglob("*")):
            if path.is_file():
                self._add(path, str(path.relative_to(DOCS)))
        for name, place in ROOT_PAGES.items():
            self._add(ROOT / name, place)
        self._add(ROOT / "static" / "icon.svg", "icon.svg")

    def _add(self, path: Path, place: str) -> None:
        target = self._directory / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".md":
            target.write_text(self._page(path, place))
        else:
            shutil.copyfile(path, target)

    def _page(self, path: Path, place: str) -> str:
        text = path.read_text()
        if path.name == "configuration.md":
            text = reference.with_accepted_values(text)
        if path.name == "health-checks.md":
            text = reference.with_titles(text)
        # The site has a switch between light and dark, which pictures follow.
        text = PICTURE.sub(r"![\2](\3#only-light)![\2](\1#only-dark)", text)
        folder = posixpath.dirname(place) or "."

        def link(match: re.Match[str]) -> str:
            before, target = match.groups()
            if re.match(r"[a-z]+:", target):
                return match[0]
            linked = self._place((path.parent / target).resolve())
            return before + posixpath.relpath(linked, folder)

        return _outside_code(LINK, link, text)

    def _place(self, path: Path) -> str:
        """Return the place of a file in the site. A file that is neither a page nor in docs/ gets a page of its own."""
        if path.is_relative_to(DOCS):
            return str(path.relative_to(DOCS))
        name = str(path.relative_to(ROOT))
        if name in ROOT_PAGES:
            return ROOT_PAGES[name]
        place = f"source/{name}.md"
        if path.is_file() and not (self._directory / place).exists():
            target = self._directory / place
            target.parent.mkdir(parents=True, exist_ok=True)
            language = LANGUAGES.get(path.suffix, "text")
            target.write_text(
                f"---\ntitle: {name}\nsearch:\n  exclude: true\n---\n\n# {name}\n\n"
                f"````{language}\n{path.read_text().rstrip()}\n````\n"
            )
        return place


def _outside_code(pattern: re.Pattern[str], replace: Callable[[re.Match[str]], str], text: str) -> str:
    """Return the text with each match outside of code blocks replaced, as by `re.sub`."""
    parts = CODE_BLOCK.split(text)
    return "".join(part if index % 2 else pattern.sub(replace, part) for index, part in enumerate(parts))


class Page(HTMLParser):
    """The anchors of a page, the addresses that it links to, and those that it loads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = {""}
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect what a tag has."""
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        self.loaded += [values[name] for name in LOADED & values.keys()]
        if tag == "link" and set(values.get("rel", "").split()) & LOADING_LINKS:
            self.loaded.append(values["href"])
        elif "href" in values and values.get("rel") != "canonical":
            self.links.append(values["href"])


def problems(site: Path) -> Iterator[str]:
    """Yield a line for each link of a built site that leads nowhere, and for each address of another host it loads."""
    pages = {path: Page(path) for path in sorted(site.rglob("*.html")) if path.name != MISSING_PAGE}
    for path, page in pages.items():
        name = path.relative_to(site)
        yield from (f"{name} loads {address}" for address in page.loaded if _is_external(address))
        for address in (*page.links, *page.loaded):
            if not _is_external(address) and not _exists(address, path, pages):
                yield f"{name} has a broken link: {address}"
    for sheet in sorted(site.rglob("*.css")):
        loaded = re.findall(r"(?:url\(|@import )[\"']?((?:https?:)?//[^\"')]*)", sheet.read_text())
        yield from (f"{sheet.relative_to(site)} loads {address}" for address in loaded)


def _is_external(address: str) -> bool:
    return address.startswith(("http:", "https:", "mailto:", "//", "data:"))


def _exists(address: str, path: Path, pages: dict[Path, Page]) -> bool:
    name, anchor = urldefrag(address)
    target = (path.parent / unquote(name.partition("?")[0])).resolve() if name else path
    target = target / "index.html" if target.is_dir() else target
    return target.exists() and (target not in pages or unquote(anchor) in pages[target].anchors)


def generate(directory: Path) -> tuple[Path, list[str]]:
    """Build the site from `directory/docs`; return its directory, and what is wrong with it."""
    shutil.copyfile(CONFIGURATION, directory / CONFIGURATION.name)
    done = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict"],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    site = (directory / "site").resolve()
    return site, [*([done.stdout + done.stderr] if done.returncode else []), *problems(site)]


def build(output: Path) -> list[str]:
    """Build the site into a directory, whose former contents are deleted; return what is wrong with it."""
    with tempfile.TemporaryDirectory(prefix="kargoweb-site-") as name:
        Sources(Path(name) / "docs").write()
        site, wrong = generate(Path(name))
        if not wrong:
            shutil.rmtree(output, ignore_errors=True)
            shutil.copytree(site, output)
    return wrong


def main() -> int:
    """Build the site; return the exit code."""
    parser = argparse.ArgumentParser(description="Build the documentation site.")
    parser.add_argument(
        "--output", type=Path, default=ROOT / "site", help="directory of the site (default: site)"
    )
    output: Path = parser.parse_args().output
    reference.prepare()
    if wrong := build(output):
        print("\n".join(wrong), file=sys.stderr)
        return 1
    print(f"The site is in {output}; open {output / 'index.html'}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
