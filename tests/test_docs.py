"""The documentation matches the code: it names everything that exists, and nothing else."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from django.core.management import get_commands
from django.urls import URLPattern, URLResolver

from receivers import machine_urls, urls
from receivers.deliveries.outcomes import Tone
from receivers.health.checks import Check
from receivers.models import Outcome
from receivers.ops.metrics import Gauges, Metrics

ROOT = Path(__file__).resolve().parent.parent
README_BYTES = 8_192
DOCS = sorted((ROOT / "docs").glob("*.md"))
DOCUMENTS = [ROOT / "README.md", ROOT / "SECURITY.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *DOCS]
SETTING = re.compile(r"KARGOWEB_[A-Z_]+|PORT|DATABASE_URL")
TEST_SETTINGS = {
    "KARGOWEB_VECTORS",
    "KARGOWEB_TEST_SEED",
    "KARGOWEB_TEST_KUBECONFIG",
    "KARGOWEB_TEST_KUBECTL",
}
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"")

each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


def settings_read() -> set[str]:
    """Return the names of the environment variables that the configuration reads."""
    trees = (ast.parse(path.read_text()) for path in (ROOT / "kargoweb").glob("*.py"))
    constants = (node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return {value for value in constants if isinstance(value, str) and SETTING.fullmatch(value)}


def docs_text() -> str:
    return "\n".join(path.read_text() for path in DOCS)


def first_column(document: str) -> list[str]:
    """Return the code spans in the first column of the tables of a page in docs/."""
    rows = re.findall(r"^\| *([^|]*)\|", (ROOT / "docs" / document).read_text(), re.M)
    return [span for row in rows for span in re.findall(r"`([^`]+)`", row)]


def anchors(document: Path) -> set[str]:
    """Return the anchors of the headings, as GitHub generates them."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def duplicates(names: Iterable[str]) -> list[str]:
    return sorted(name for name, count in Counter(names).items() if count > 1)


class TestReadme:
    def test_the_readme_is_short(self) -> None:
        assert (ROOT / "README.md").stat().st_size <= README_BYTES

    def test_the_readme_has_one_picture(self) -> None:
        text = (ROOT / "README.md").read_text()
        assert len(re.findall(r"!\[|<img|```mermaid", text)) == 1

    def test_the_readme_links_to_every_page_of_the_docs(self) -> None:
        linked = set(re.findall(r"\(docs/([\w-]+\.md)", (ROOT / "README.md").read_text()))
        assert linked == {path.name for path in DOCS}


@each_document
def test_links_resolve(document: Path) -> None:
    broken = []
    for target in (markdown or html for markdown, html in LINK.findall(document.read_text())):
        if re.match(r"https?://", target):
            continue
        name, _, anchor = target.partition("#")
        path = (document.parent / name).resolve() if name else document
        if not path.exists() or (anchor and anchor not in anchors(path)):
            broken.append(target)
    assert not broken


@each_document
def test_documented_make_targets_exist(document: Path) -> None:
    named = set(re.findall(r"(?:^|`)make ([a-z][a-z-]*)", document.read_text(), re.M))
    assert named <= set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.M))


@each_document
def test_documented_files_and_folders_exist(document: Path) -> None:
    paths = re.findall(
        r"`((?:receivers|kargoweb|demo|deploy|templates|static|tests|docs|bench)/[\w./-]*)`",
        document.read_text(),
    )
    assert not [path for path in paths if not (ROOT / path).exists()]


class TestSettings:
    def test_the_table_has_each_setting_once(self) -> None:
        documented = [name for name in first_column("configuration.md") if SETTING.fullmatch(name)]
        assert not duplicates(documented)
        assert set(documented) == settings_read()

    @each_document
    def test_documented_settings_exist(self, document: Path) -> None:
        named = set(re.findall(r"\bKARGOWEB_[A-Z_]+\b", document.read_text()))
        assert named <= settings_read() | TEST_SETTINGS


class TestCommands:
    @each_document
    def test_documented_commands_exist(self, document: Path) -> None:
        named = set(re.findall(r"manage\.py ([a-z_]+)", document.read_text()))
        assert named <= get_commands().keys()

    def test_every_command_is_documented(self) -> None:
        project_commands = {name for name, app in get_commands().items() if app in {"receivers", "demo"}}
        assert project_commands
        assert project_commands <= set(re.findall(r"manage\.py ([a-z_]+)", docs_text()))


class TestAddresses:
    """`<str:name>` of the URLconf is `<name>` in the docs."""

    @staticmethod
    def existing() -> set[str]:
        served = (*machine_urls.urlpatterns, *urls.urlpatterns)
        patterns = [pattern for pattern in served if isinstance(pattern, URLPattern)]
        routes = {pattern.name: str(pattern.pattern) for pattern in patterns}
        assert routes.pop("webhook").startswith("^")
        assert routes.pop("api-nothing") == "^api/"
        plain = {"/" + re.sub(r"<\w+:(\w+)>", r"<\1>", route) for route in routes.values()}
        included = {f"/{each.pattern}" for each in urls.urlpatterns if isinstance(each, URLResolver)}
        return plain | included | {"/<kind>/<64 hexadecimal characters>", "/api/"}

    @staticmethod
    def documented() -> set[str]:
        spans = re.findall(r"`(?:GET |POST )?(?:<any prefix>)?(/[^`?]*)(?:\?[^`]*)?`", docs_text())
        return set(spans)

    def test_documented_addresses_exist(self) -> None:
        assert self.documented() <= self.existing()

    def test_every_address_is_documented(self) -> None:
        assert self.existing() <= self.documented()


def test_the_table_has_each_metric_once() -> None:
    watched: Any = SimpleNamespace(ready=True, freshness=tuple)
    metrics = Metrics()
    metrics.watch(Gauges(watched, watched, (), (), ()))
    existing = set(re.findall(r"^# TYPE (\w+) ", metrics.text().decode(), re.M))
    documented = [name for name in first_column("installation.md") if name.startswith("kargoweb_")]
    assert not duplicates(documented)
    assert set(documented) == {name for name in existing if not name.endswith("_created")}


def test_the_tables_have_each_outcome_once_with_its_label() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", (ROOT / "docs" / "outcomes.md").read_text(), re.M)
    assert sorted(rows) == sorted((outcome.value, str(outcome.label)) for outcome in Outcome)


def test_every_group_of_outcomes_is_documented() -> None:
    text = (ROOT / "docs" / "outcomes.md").read_text()
    assert [tone.value for tone in Tone if f"`{tone.value}` (" not in text] == []


def test_the_tables_have_each_health_check_once() -> None:
    codes = [code for code in first_column("health-checks.md") if not code.startswith("manage.py")]
    assert not duplicates(codes)
    assert set(codes) == set(Check.values)


def test_the_architecture_names_every_package_and_thread() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    packages = {path.parent.name for path in (ROOT / "receivers").glob("*/__init__.py")} - {"migrations"}
    assert {package for package in packages if f"`{package}`" not in text} == set()
    tasks = re.findall(
        r'PeriodicTask\(\s*"([\w-]+)"', (ROOT / "receivers" / "ops" / "runtime.py").read_text()
    )
    table = re.findall(r"^\| ([^|]*) \|", text.partition("## Threads")[2], re.M)
    threads = {span for cell in table for span in re.findall(r"`([a-z-]+)`", cell)}
    assert threads == {
        *tasks,
        *(
            "push",
            "page",
            "probe",
            "periodic",
            "log-writer",
            "api-probe",
            "refresh",
            "lookup",
            "list-promotions",
            "parent-watch",
        ),
    }


def test_the_map_of_contributing_is_short() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text().partition("## Map")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (?!---|place )", text, re.M)
    assert 0 < len(rows) <= 15


class TestThreatModel:
    CLAIMS: ClassVar = re.findall(r"`(tests/[\w/]+\.py)::([\w:]+)`", (ROOT / "SECURITY.md").read_text())

    def test_every_threat_has_a_test(self) -> None:
        rows = [line for line in (ROOT / "SECURITY.md").read_text().splitlines() if line.startswith("| ")]
        threats = [row for row in rows if not row.startswith(("| threat", "| ---"))]
        assert len(threats) > 10
        assert not [row for row in threats if "`tests/" not in row]

    @pytest.mark.parametrize(("path", "name"), CLAIMS)
    def test_the_tests_exist(self, path: str, name: str) -> None:
        function = name.rpartition("::")[2]
        assert re.search(rf"^ *def {function}\(", (ROOT / path).read_text(), re.M)
