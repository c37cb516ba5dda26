"""What the release workflow does without a registry: `python -m tools.release check|chart|notes`.

It needs the standard library only, and `helm` for `chart`.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
CHART: Final = ROOT / "deploy" / "chart"
CHANGELOG: Final = ROOT / "CHANGELOG.md"
DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


class ReleaseError(Exception):
    """The repository isn't ready for this release. The message says why."""


def versions(root: Path) -> dict[str, list[str]]:
    """Return the versions in the files that have one."""
    chart = (root / "deploy" / "chart" / "Chart.yaml").read_text()
    return {
        "pyproject.toml": [tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]],
        "deploy/chart/Chart.yaml": re.findall(r"^(?:version|appVersion): (\S+)$", chart, re.M),
    }


def check(tag: str, *, root: Path = ROOT) -> str:
    """Return the version of a tag. Raises `ReleaseError` if the project, the chart or the changelog has another one."""
    version = tag.removeprefix("v")
    for name, places in versions(root).items():
        if set(places) != {version}:
            raise ReleaseError(f"{name} has {', '.join(places)} for the tag {tag}")
    notes(tag, changelog=root / "CHANGELOG.md")
    return version


def notes(tag: str, image: str = "", *, changelog: Path = CHANGELOG) -> str:
    """Return the section of the changelog for a tag, with the image if given. Raises `ReleaseError` if it has none."""
    version = tag.removeprefix("v")
    section = re.search(
        rf"^## {re.escape(version)}(?: [^\n]*)?\n(.*?)(?=^## |\Z)", changelog.read_text(), re.M | re.S
    )
    if not section:
        raise ReleaseError(f"{changelog.name} has no section for {version}")
    parts = [section[1].strip()]
    if image:
        parts.append(f"Image: `{image}`")
    return "\n\n".join(parts) + "\n"


def chart(image: str, digest: str, output: Path) -> Path:
    """Package the chart, with this image as its default; return the file. Raises `ReleaseError` for a wrong digest."""
    if not DIGEST.fullmatch(digest):
        raise ReleaseError(f"{digest!r} isn't the digest of an image")
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / "kargoweb"
        shutil.copytree(CHART, copy)
        values = copy / "values.yaml"
        text = values.read_text()
        for old, new in (
            ('  # Your image, without a tag. Required.\n  repository: ""', f"  repository: {image}"),
            ('  digest: ""', f"  digest: {digest}"),
        ):
            if text.count(old) != 1:
                raise ReleaseError(f"values.yaml must have this once: {old.strip()}")
            text = text.replace(old, new)
        values.write_text(text)
        output.mkdir(parents=True, exist_ok=True)
        subprocess.run(["helm", "package", copy, "--destination", output], check=True, stdout=sys.stderr)
    [package] = output.glob("kargoweb-*.tgz")
    return package


def main() -> int:
    """Run a subcommand; return the exit code."""
    parser = argparse.ArgumentParser(description="Steps of a release that need no registry.")
    commands = parser.add_subparsers(dest="command", required=True)
    check_parser = commands.add_parser("check", help="compare a tag with the versions in the repository")
    notes_parser = commands.add_parser("notes", help="print the notes of a release")
    for subparser in (check_parser, notes_parser):
        subparser.add_argument("tag", help="for example v1.2.3")
    notes_parser.add_argument("--image", default="", help="the published image with its digest")
    chart_parser = commands.add_parser("chart", help="package the chart for an image")
    chart_parser.add_argument("--image", required=True, help="the published image, without a tag")
    chart_parser.add_argument("--digest", required=True, help="its digest")
    chart_parser.add_argument("--output", type=Path, required=True, help="directory of the package")
    arguments = parser.parse_args()
    try:
        if arguments.command == "check":
            print(check(arguments.tag))
        elif arguments.command == "notes":
            print(notes(arguments.tag, arguments.image), end="")
        else:
            print(chart(arguments.image, arguments.digest, arguments.output))
    except ReleaseError as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
