"""Reference tables that come from the code: `python -m tools.reference` updates them in `docs/`.

A page marks the place of a table with a line `<!-- generated: NAME -->`, and its end with `<!-- end -->`. Between
them is what `TABLES[NAME]()` returns. `tests/tools/test_reference.py` fails if a page has anything else there.
"""

from __future__ import annotations

import argparse
import atexit
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any, Final

import django
import yaml

from kargoweb.configuration import ConfigurationError, read_configuration

ROOT: Final = Path(__file__).resolve().parent.parent
PAGES: Final = ROOT / "docs"
SCHEMA: Final = PAGES / "openapi.yaml"  # the tests of the API hold it to the code
METHODS: Final = ("get", "post", "put", "patch", "delete")
REGION: Final = re.compile(r"(<!-- generated: ([\w-]+) -->\n)(.*?)(<!-- end -->\n)", re.S)
SETTING_ROW: Final = re.compile(r"^\| `(\w+)` \| ([^|]*) \| (.*) \|$", re.M)
CHECK_ROW: Final = re.compile(r"^\| `(\w+)`(?= \|)", re.M)
APPS: Final = ("receivers", "demo")  # whose commands are ours
# Options that all of Django's commands have.
DJANGO_OPTIONS: Final = {
    "help", "version", "verbosity", "settings", "pythonpath", "traceback", "no_color", "force_color", "skip_checks",
}  # fmt: skip


def prepare() -> None:
    """Set up Django with the default configuration, in a data directory that is removed at the end of the process."""
    for name in [name for name in os.environ if name.startswith(("KARGOWEB_", "DATABASE_URL", "PORT"))]:
        del os.environ[name]
    directory = tempfile.TemporaryDirectory(prefix="kargoweb-reference-")
    atexit.register(directory.cleanup)
    os.environ["KARGOWEB_DATA_DIR"] = directory.name
    os.environ["DJANGO_SETTINGS_MODULE"] = "kargoweb.settings"
    django.setup()


def updated(text: str) -> str:
    """Return a page with its generated tables. Raises KeyError for a table that doesn't exist."""
    return REGION.sub(lambda region: f"{region[1]}\n{TABLES[region[2]]()}\n\n{region[4]}", text)


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table."""
    header = list(header)
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |".replace("|  |", "| |")
        for line in lines
    )


# -- settings ----------------------------------------------------------------------------------------------------------


def setting_defaults() -> Mapping[str, str]:
    """Return the default of each setting as it would be written; empty if it has none or is secret."""
    with tempfile.TemporaryDirectory() as directory:
        settings = read_configuration({"KARGOWEB_DATA_DIR": directory}).settings
    return MappingProxyType({setting.name: setting.value for setting in settings})


def accepted_values() -> Mapping[str, str]:
    """Return what each setting accepts, as the message about an invalid value says; empty for any text."""
    return MappingProxyType({name: _accepted(name) for name in setting_defaults()})


def _accepted(name: str) -> str:
    if name == "KARGOWEB_DATA_DIR":
        return "a directory"
    with tempfile.TemporaryDirectory() as directory:
        try:
            read_configuration({"KARGOWEB_DATA_DIR": directory, name: "?"})
        except ConfigurationError as error:
            message = str(error).splitlines()[0]
            return message.partition("must be ")[2] or message.partition(" must have ")[2]
    return ""


def with_accepted_values(page: str) -> str:
    """Return the page of the settings with what each accepts at the end of its meaning."""
    accepted = accepted_values()

    def row(match: re.Match[str]) -> str:
        name, default, meaning = match.groups()
        values = accepted.get(name, "").partition("; ")[0]
        return f"| `{name}` | {default} | {meaning}{f'<br>*Accepts {values}.*' if values else ''} |"

    return SETTING_ROW.sub(row, page)


# -- health checks -----------------------------------------------------------------------------------------------------


def with_titles(page: str) -> str:
    """Return the page of the health checks with the title of each, which pages of kargoweb show."""
    from receivers.health.checks import Check  # noqa: PLC0415 - needs Django

    titles = {check.value: str(check.label) for check in Check}
    return CHECK_ROW.sub(lambda row: f"{row[0]}<br>{titles[row[1]]}" if row[1] in titles else row[0], page)


# -- metrics, outcomes -------------------------------------------------------------------------------------------------


def metrics() -> str:
    """Return the table of metrics: the name of the samples, type, labels and meaning."""
    from receivers.ops.metrics import Gauges, Metrics  # noqa: PLC0415 - needs Django

    watch: Any = SimpleNamespace(
        resource=SimpleNamespace(kind="Warehouse"), synced=True, contact=1.0, error="", failing_since=None
    )
    watched: Any = SimpleNamespace(ready=True, freshness=lambda: [watch])
    exported = Metrics()
    exported.watch(Gauges(watched, watched, (), (), (), ()))
    exported.count_response(200, 0.1)
    text = exported.text().decode()
    helps = dict(re.findall(r"^# HELP (\w+) (.*)$", text, re.M))
    rows = []
    for name, kind in re.findall(r"^# TYPE (\w+) (\w+)$", text, re.M):
        if not name.endswith("_created"):
            samples = re.findall(rf"^{name}(?:_bucket)?\{{(.*)\}} ", text, re.M)
            labels = sorted({label for sample in samples for label in re.findall(r"(\w+)=", sample)} - {"le"})
            rows.append([f"`{name}`", kind, ", ".join(f"`{label}`" for label in labels), helps[name]])
    return table(["metric", "type", "labels", "meaning"], rows)


def _outcomes(*, of_refreshes: bool) -> str:
    from receivers.deliveries.outcomes import tone  # noqa: PLC0415 - needs Django
    from receivers.deliveries.remedies import REMEDIES  # noqa: PLC0415 - needs Django
    from receivers.kargo.refresh_outcomes import RefreshOutcome  # noqa: PLC0415 - needs Django

    refresh_codes = {outcome.value for outcome in RefreshOutcome}
    rows = [
        [
            f"`{outcome.value}`",
            str(outcome.label),
            f"`{tone(outcome.value).value}`",
            _sentence(remedy.means),
            _sentence(remedy.to_do),
        ]
        for outcome, remedy in REMEDIES.items()
        if (outcome.value in refresh_codes) == of_refreshes
    ]
    return table(["code", "label", "group", "meaning", "what to do"], rows)


def _sentence(text: str) -> str:
    if not text:
        return ""
    return f"{text}." if text.startswith("kargoweb") else f"{text[:1].upper()}{text[1:]}."


# -- API ---------------------------------------------------------------------------------------------------------------


def endpoints() -> str:
    """Return a section for each subject of the API, with its requests, from the schema."""
    schema = yaml.safe_load(SCHEMA.read_text())
    sections = []
    for tag in schema["tags"]:
        rows = [
            [f"`{method.upper()} {path}`", _escaped(_sentence(operation["summary"].rstrip(".")))]
            for path, operations in schema["paths"].items()
            for method, operation in operations.items()
            if method in METHODS and tag["name"] in operation["tags"]
        ]
        sections.append(
            f"## {tag['name']}\n\n{tag['description']}\n\n{table(['request', 'what it does'], rows)}"
        )
    return "\n\n".join(sections)


# -- commands ----------------------------------------------------------------------------------------------------------


def command_parsers() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield the name and the parser of each command of the product and the demo; subcommands follow their command."""
    from django.core.management import get_commands, load_command_class  # noqa: PLC0415 - needs Django

    for name, app in sorted(get_commands().items()):
        if app in APPS:
            parser = load_command_class(str(app), name).create_parser("manage.py", name)
            yield name, parser
            yield from _subcommands(name, parser)


def _subcommands(name: str, parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:  # argparse has no public way to read a parser
        if isinstance(action, argparse._SubParsersAction):
            for subcommand, subparser in action.choices.items():
                yield f"{name} {subcommand}", subparser


def own_arguments(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Return the arguments of a command, without those of all commands."""
    return [
        action
        for action in parser._actions
        if action.dest not in DJANGO_OPTIONS and not isinstance(action, argparse._SubParsersAction)
    ]


def commands() -> str:
    """Return a section for each command: what it does, and its arguments."""
    return "\n\n".join(_command(name, parser) for name, parser in command_parsers())


def _command(name: str, parser: argparse.ArgumentParser) -> str:
    level = "###" if " " in name else "##"
    parts = [f"{level} `manage.py {name}`"]
    if parser.description:
        parts.append(_escaped(" ".join(parser.description.split())))
    if rows := [[_spelled(action), _help(action)] for action in own_arguments(parser)]:
        parts.append(table(["argument", "meaning"], rows))
    return "\n\n".join(parts)


def _spelled(action: argparse.Action) -> str:
    """Return an argument as it is written: `--days DAYS`, or a name in capitals for one without dashes."""
    placeholder = str(action.metavar or action.dest.upper())
    if not action.option_strings:
        return f"`[{placeholder}]`" if action.nargs in {"?", "*"} else f"`{placeholder}`"
    value = "" if action.nargs == 0 else f" {placeholder}"
    return ", ".join(f"`{option}{value}`" for option in action.option_strings)


def _help(action: argparse.Action) -> str:
    words = [_escaped(action.help)] if action.help else []
    if action.choices:
        words.append("one of " + ", ".join(f"`{choice}`" for choice in action.choices))
    return "; ".join(words)


def _escaped(text: str) -> str:
    return text.replace("<", "&lt;")


TABLES: Final[Mapping[str, Callable[[], str]]] = MappingProxyType(
    {
        "metrics": metrics,
        "refresh-outcomes": lambda: _outcomes(of_refreshes=True),
        "delivery-outcomes": lambda: _outcomes(of_refreshes=False),
        "commands": commands,
        "endpoints": endpoints,
    }
)


def main() -> None:
    """Update the tables of all pages."""
    prepare()
    for page in sorted(PAGES.rglob("*.md")):
        text = page.read_text()
        if (new := updated(text)) != text:
            page.write_text(new)
            print(f"{page.relative_to(ROOT)} updated")


if __name__ == "__main__":
    main()
