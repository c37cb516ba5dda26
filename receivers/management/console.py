"""What the commands for people and scripts share: their errors, exit codes, tables, and text that harms no terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from receivers.deliveries.querysets import delivery_log
from receivers.kargo.quoting import visible
from receivers.models import Delivery

MOST_NAMED = 5  # deliveries that an ambiguous id may mean; more help nobody


class Exit(IntEnum):
    """What a command's exit code says. A wrong option is 2, too: the parser of options wants it so."""

    GOOD = 0
    OTHERWISE = 1
    """It did what it was asked to do, and what came of it is not what one wishes."""

    TIMED_OUT = 2
    ERROR = 3
    """It could not do what it was asked to do; one line says why."""


class ConsoleCommand(BaseCommand):
    """A command with errors of one line, and output that may hold what strangers wrote."""

    requires_system_checks = ()

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command; tell of a database that fails in one line."""
        try:
            return super().execute(*args, **options)
        except DatabaseError as error:
            fail(f"The delivery log cannot be used: {error}")
        except KeyboardInterrupt:
            self.stderr.write("interrupted")
            sys.exit(130)  # as shells say it

    def print(self, *lines: str) -> None:
        """Print lines; nothing in them can do anything to a terminal."""
        for line in lines:
            self.stdout.write(visible(line))

    def print_json(self, value: Any, *, indent: int | None = 2) -> None:
        """Print a JSON value. Everything that is not ASCII is escaped."""
        self.stdout.write(json.dumps(value, indent=indent))


def fail(problem: str, code: Exit = Exit.ERROR) -> NoReturn:
    """End the command with one line and an exit code."""
    raise CommandError(visible(" ".join(problem.split())), returncode=code)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table, columns aligned; the last one may be as long as it likes."""
    cells = [[visible(cell) for cell in row] for row in (heads, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    widths[-1] = 0
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def clock(at: datetime) -> str:
    """Return a time as people read it, in UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def place(project: str, receiver: str) -> str:
    """Return the name of a receiver; one of the cluster has no project."""
    return f"{project or 'cluster'}/{receiver}"


def find_delivery(prefix: str) -> Delivery:
    """Return the one delivery whose id begins with `prefix`. Fails if there is none, or more than one."""
    found = list(delivery_log().with_id(prefix)[: MOST_NAMED + 1])
    if len(found) == 1:
        return found[0]
    if not found:
        fail(
            f"there is no delivery {prefix}; an id, or the first 8 or more of its hexadecimal digits, is asked for"
        )
    named = ", ".join(str(one.pk) for one in found[:MOST_NAMED])
    more = " and others" if len(found) > MOST_NAMED else ""
    fail(f"several deliveries begin with {prefix}: {named}{more}")
