"""The documentation matches the code: it names everything that exists, and nothing else."""

from __future__ import annotations

import ast
import importlib.util
import re
import shlex
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

import pytest
import yaml
from django.core.management import get_commands
from django.urls import URLPattern, URLResolver

from receivers import machine_urls, urls
from receivers.deliveries.outcomes import Tone
from receivers.health.checks import Check
from receivers.models import Outcome
from tools import reference

ROOT = Path(__file__).resolve().parent.parent
README_BYTES = 8_192
DOCS = sorted((ROOT / "docs").rglob("*.md"))
DOCUMENTS = [ROOT / "README.md", ROOT / "SECURITY.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *DOCS]
SETTING = re.compile(r"KARGOWEB_[A-Z_]+|PORT|DATABASE_URL")
TEST_SETTINGS = {
    "KARGOWEB_VECTORS",
    "KARGOWEB_TEST_SEED",
    "KARGOWEB_SCHEMA_EXAMPLES",
    "KARGOWEB_TEST_KUBECONFIG",
    "KARGOWEB_TEST_KUBECTL",
}
WAIT_SETTINGS = {"KARGOWEB_URL", "KARGOWEB_TOKEN"}  # of kargoweb-wait, which runs elsewhere
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"")

each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


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


def shell_commands(document: Path) -> list[list[str]]:
    """Return the words of each command in the shell blocks of a document, without the environment before it."""
    blocks = re.findall(r"^```(?:shell|bash|console)\n(.*?)^```", document.read_text(), re.M | re.S)
    lines = (line for block in blocks for line in block.replace("\\\n", " ").splitlines())
    commands = []
    for line in lines:
        for command in re.split(r" \| | && |; ", line):
            words = shlex.split(command, comments=True)
            while words and re.match(r"[A-Z_]+=", words[0]):
                words.pop(0)
            if words:
                commands.append(words)
    return commands


def anchors(document: Path) -> set[str]:
    """Return the anchors of the headings, as GitHub generates them."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(), re.M)
    links = r"\[([^\]]*)\]\([^)]*\)"
    names = [re.sub(links, r"\1", heading) for heading in headings]
    return {re.sub(r"[^\w\- ]", "", name.lower()).replace(" ", "-") for name in names}


def duplicates(names: Iterable[str]) -> list[str]:
    return sorted(name for name, count in Counter(names).items() if count > 1)


class TestReadme:
    def test_the_readme_is_short(self) -> None:
        assert (ROOT / "README.md").stat().st_size <= README_BYTES

    def test_the_readme_has_one_picture(self) -> None:
        text = (ROOT / "README.md").read_text()
        assert len(re.findall(r"!\[|<img|```mermaid", text)) == 1

    def test_the_readme_links_to_every_page_of_the_docs(self) -> None:
        linked = set(re.findall(r"\(docs/([\w/-]+\.md)", (ROOT / "README.md").read_text()))
        # The pages in folders are listed by the first page of their folder.
        expected = {path for path in DOCS if path.parent.name == "docs" or path.name == "index.md"}
        assert linked == {str(path.relative_to(ROOT / "docs")) for path in expected}

    @pytest.mark.parametrize("folder", ["guides", "runbooks"])
    def test_the_first_page_of_a_folder_links_to_the_others(self, folder: str) -> None:
        index = ROOT / "docs" / folder / "index.md"
        linked = set(re.findall(r"\(([\w-]+\.md)\)", index.read_text()))
        assert linked == {path.name for path in index.parent.glob("*.md")} - {"index.md"}


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
    named = set(re.findall(r"(?:^|`)make ([a-z][a-z0-9-]*)", document.read_text(), re.M))
    assert named <= set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(), re.M))


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
        assert named <= settings_read() | TEST_SETTINGS | WAIT_SETTINGS


class TestCommands:
    @each_document
    def test_documented_commands_exist(self, document: Path) -> None:
        named = set(re.findall(r"manage\.py ([a-z_]+)", document.read_text()))
        assert named <= get_commands().keys()

    def test_every_command_is_documented(self) -> None:
        project_commands = {name for name, app in get_commands().items() if app in {"receivers", "demo"}}
        assert project_commands
        assert project_commands <= set(re.findall(r"manage\.py ([a-z_]+)", docs_text()))


class TestShellCommands:
    @each_document
    def test_make_targets_exist(self, document: Path) -> None:
        targets = set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(), re.M))
        for words in shell_commands(document):
            if words[0] == "make":
                assert {word for word in words[1:] if "=" not in word} <= targets, words

    @each_document
    def test_commands_and_their_options_exist(self, document: Path) -> None:
        """Options before a subcommand belong to its command, later ones to the subcommand or the command."""
        parsers = dict(reference.command_parsers())
        for words in shell_commands(document):
            start = next((place for place, word in enumerate(words) if word.endswith("manage.py")), None)
            if start is None or words[start + 1 :] in ([], ["..."]):
                continue
            name, *arguments = words[start + 1 :]
            if name not in parsers:
                assert name in get_commands(), words
                continue
            positional = [word for word in arguments if not word.startswith("-")]
            subcommand = f"{name} {positional[0]}" if positional else name
            used = [parsers[name], parsers.get(subcommand, parsers[name])]
            known = {option for parser in used for option in parser._option_string_actions}
            assert {word.partition("=")[0] for word in arguments if word.startswith("--")} <= known, words

    @each_document
    def test_python_modules_exist(self, document: Path) -> None:
        for words in shell_commands(document):
            if "-m" in words and "python" in words[words.index("-m") - 1]:
                module = words[words.index("-m") + 1]
                assert importlib.util.find_spec(module), words

    @each_document
    def test_files_exist(self, document: Path) -> None:
        for words in shell_commands(document):
            for word in words:
                if words[0] != "kubectl" and re.match(r"(deploy|tools|docs|tests|bench)/", word):
                    assert (ROOT / word).exists(), words


class Placeholders(dict[str, str]):
    """Writes every parameter of a path as `<>`."""

    def __missing__(self, name: str) -> str:
        return "<>"


class TestAddresses:
    """`<str:name>` of the URLconf is `<name>` in the docs."""

    @staticmethod
    def existing() -> set[str]:
        served = (*machine_urls.urlpatterns, *urls.urlpatterns)
        patterns = [pattern for pattern in served if isinstance(pattern, URLPattern)]
        routes = {pattern.name: str(pattern.pattern) for pattern in patterns}
        assert routes.pop("webhook").startswith("^")
        plain = {"/" + re.sub(r"<\w+:(\w+)>", r"<\1>", route) for route in routes.values()}
        included = {f"/{each.pattern}" for each in urls.urlpatterns if isinstance(each, URLResolver)}
        own = {"/<kind>/<64 hexadecimal characters>", "/dockerhub/", "/api/v1/schema"}
        # The tests of the API hold its schema to the code.
        api = {
            path.format_map(Placeholders()) for path in yaml.safe_load(reference.SCHEMA.read_text())["paths"]
        }
        return plain | included | own | api

    @staticmethod
    def documented() -> set[str]:
        methods = "|".join(method.upper() for method in reference.METHODS)
        spans = re.findall(rf"`(?:(?:{methods}) )?(?:<any prefix>)?(/[^`?]*)(?:\?[^`]*)?`", docs_text())
        return {re.sub(r"[<{]\w+[>}]", "<>", span) if span.startswith("/api/") else span for span in spans}

    def test_documented_addresses_exist(self) -> None:
        assert self.documented() <= self.existing()

    def test_every_address_is_documented(self) -> None:
        assert self.existing() <= self.documented()


def test_the_tables_have_each_outcome_once_with_its_label() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([^|`]+) \|", (ROOT / "docs" / "outcomes.md").read_text(), re.M)
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
            "wait",
            "periodic",
            "log-writer",
            "api-probe",
            "refresh",
            "access-review",
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
