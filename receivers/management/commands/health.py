"""`manage.py health`: what is wrong with the receivers and Warehouses of a cluster, and what to do about it."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, InterfaceError

from kargoweb.configuration import Configuration
from receivers.cluster.cache import Mirror
from receivers.cluster.client import connect
from receivers.cluster.heartbeats import Heartbeats
from receivers.health.finding import Finding, Severity
from receivers.health.monitor import Health
from receivers.health.secret_checks import SecretChecks
from receivers.kargo.quoting import quoted

PATIENCE: Final = 60.0  # seconds for the cluster to be listed; 10,000 Warehouses take a few
MOST_SECRETS: Final = 500  # that are read for one look, one after the other
FAILED: Final = 2  # exit code; 1 says that there is something urgent


class Command(BaseCommand):
    """Print the findings. Ends with 1 if any of them is urgent, with 2 if they cannot be known."""

    help = "Print what is wrong with receivers and Warehouses. Ends with 1 if anything of it is urgent."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", help="only of this project")
        parser.add_argument("--json", action="store_true", help="print a JSON list")
        parser.add_argument(
            "--timeout", type=float, default=PATIENCE, metavar="SECONDS", help="to wait for the cluster"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            found = look(settings.KARGOWEB, options["project"], options["timeout"])
        except (DatabaseError, InterfaceError) as error:
            line = str(error).strip().splitlines()[0]
            raise CommandError(f"The delivery log cannot be read: {line}", returncode=FAILED) from error
        if options["json"]:
            self.stdout.write(json.dumps([one.as_dict() for one in found], indent=2))
        else:
            self.stdout.write("\n".join(told(found)))
        if any(one.severity is Severity.URGENT for one in found):
            raise SystemExit(1)


def look(configuration: Configuration, project: str | None, patience: float) -> tuple[Finding, ...]:
    """Read the cluster and the delivery log once; return the findings of one project, or (None) all.

    Raises CommandError if the cluster cannot be read within `patience` seconds, or does not have the project.
    """
    with _mirrored(configuration, patience) as mirror:
        if project is not None and project not in {one.name for one in mirror.projects()}:
            raise CommandError(f"There is no project {quoted(project)} in this cluster.", returncode=FAILED)
        heartbeats = Heartbeats(mirror.cluster, configuration.kargo_namespace)
        heartbeats.work()
        secrets = SecretChecks(mirror, configuration.system_namespace)
        secrets.check(MOST_SECRETS)
        interval = timedelta(seconds=configuration.kargo_min_interval)
        return Health(mirror, heartbeats, secrets, interval, configuration.base_url).findings(project)


@contextmanager
def _mirrored(configuration: Configuration, patience: float) -> Iterator[Mirror]:
    logging.getLogger("receivers").setLevel(
        logging.ERROR
    )  # a fault is told once, at the end, and not at every try
    mirror = Mirror(lambda: connect(context=configuration.kube_context), configuration.namespaces)
    mirror.start()
    try:
        if not mirror.wait_ready(patience):
            why = next((one.error for one in mirror.freshness() if one.error), "it takes too long")
            raise CommandError(f"The cluster could not be read: {why}", returncode=FAILED)
        yield mirror
    finally:
        mirror.stop()


def told(found: tuple[Finding, ...]) -> Iterator[str]:
    """Yield the lines in which the findings are told, and a last one with how many there are."""
    for one in found:
        name = f"{one.project}/{one.name}" if one.project else one.name
        yield f"{one.severity.value.upper()}  {one.subject} {name}: {one.reason}"
        yield f"    {one.remedy}"
        if one.command:
            yield f"    $ {one.command}"
    counts = Counter(one.severity for one in found)
    sums = [f"{counts[severity]} {severity}" for severity in Severity if counts[severity]]
    yield ", ".join(sums) or "There is nothing to see to."
