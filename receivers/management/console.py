"""Shared parts of the management commands: errors, exit codes, tables and terminal-safe output."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any, Final, NoReturn

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, InterfaceError

from kargoweb.database import describe_error
from receivers.deliveries.escaping import escape_invisible
from receivers.deliveries.querysets import delivery_log
from receivers.kargo.scopes import scope_name
from receivers.models import Delivery
from receivers.refreshes.leases import running_base_url

MAX_MATCHES_LISTED: Final = 5  # deliveries listed for an ambiguous id; a longer list doesn't help
SIGNAL_EXIT: Final = 128  # shells add the number of the signal that ended a process


class ExitCode(IntEnum):
    """The exit codes of the commands. The option parser also exits with 2 if an option is invalid."""

    SUCCESS = 0
    NEGATIVE = 1
    """The command ran, but its result is not the desired one."""

    TIMEOUT = 2
    ERROR = 3
    """The command could not run; one line on stderr says why."""


class ConsoleCommand(BaseCommand):
    """A command whose errors take one line and whose output may contain untrusted text."""

    requires_system_checks = ()

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command. Report database errors in one line, and exit quietly if the reader closes the pipe."""
        try:
            try:
                return super().execute(*args, **options)
            finally:
                # Write now what would be written at exit, where Python prints a traceback if the pipe is closed.
                self.stdout.flush()
        except (DatabaseError, InterfaceError) as error:
            fail(describe_error(error))
        except BrokenPipeError:
            _discard_output()
            sys.exit(SIGNAL_EXIT + signal.SIGPIPE)
        except KeyboardInterrupt:
            self.stderr.write("Interrupted")
            sys.exit(SIGNAL_EXIT + signal.SIGINT)

    def print(self, *lines: str) -> None:
        """Print lines, with control characters escaped."""
        for line in lines:
            self.stdout.write(escape_invisible(line))

    def print_json(self, value: Any, *, indent: int | None = 2) -> None:
        """Print a JSON value with all non-ASCII characters escaped."""
        self.stdout.write(json.dumps(value, indent=indent))


def base_url() -> str:
    """Return the base URL of the running installation, which may have other settings than this command.

    `KARGOWEB_BASE_URL` precedes it if it is set. Without both, it is that of the default or of `PORT`. One query.
    """
    configuration = settings.KARGOWEB
    if any(setting.name == "KARGOWEB_BASE_URL" and setting.given for setting in configuration.settings):
        return str(configuration.base_url)
    return running_base_url() or str(configuration.base_url)


def fail(problem: str, code: ExitCode = ExitCode.ERROR) -> NoReturn:
    """Exit with one line on stderr and an exit code, by a `CommandError`."""
    raise CommandError(escape_invisible(" ".join(problem.split())), returncode=code)


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table with aligned columns. The last column has no maximum width."""
    cells = [[escape_invisible(cell) for cell in row] for row in (headers, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    widths[-1] = 0
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def utc_time(at: datetime) -> str:
    """Return a time in UTC, to the second."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def receiver_name(project: str, receiver: str) -> str:
    """Return `project/receiver`, or `cluster/receiver` for a cluster receiver."""
    return f"{scope_name(project)}/{receiver}"


def find_delivery(prefix: str) -> Delivery:
    """Return the delivery whose id begins with `prefix`. Exit with an error if none or several do."""
    matches = list(delivery_log().with_id(prefix)[: MAX_MATCHES_LISTED + 1])
    if len(matches) == 1:
        return matches[0]
    if not matches:
        fail(f"No delivery {prefix}. Give an id, or at least its first 8 hexadecimal digits.")
    ids = ", ".join(str(delivery.pk) for delivery in matches[:MAX_MATCHES_LISTED])
    others = " and others" if len(matches) > MAX_MATCHES_LISTED else ""
    fail(f"Several deliveries begin with {prefix}: {ids}{others}")


def _discard_output() -> None:
    """Send the rest of stdout to the null device, so that flushing it at exit doesn't fail again."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
