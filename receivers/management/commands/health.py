"""`manage.py health`: what is wrong with the receivers and Warehouses of a cluster, and how to fix it."""

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
from receivers.cluster.cache import ClusterCache
from receivers.cluster.client import connect
from receivers.cluster.heartbeats import Heartbeats
from receivers.health.finding import Finding, Severity
from receivers.health.monitor import HealthMonitor
from receivers.health.secret_checks import SecretChecks
from receivers.kargo.quoting import quoted

TIMEOUT: Final = 60.0  # seconds to list the cluster; 10,000 Warehouses take a few
MAX_SECRETS: Final = 500  # read for one run, one after the other
FAILED: Final = 2  # exit code; 1 means that there is an urgent finding


class Command(BaseCommand):
    """Print the findings. Exits with 1 if one of them is urgent, and with 2 if the checks can't run."""

    help = (
        "Show what is wrong with receivers and Warehouses, and how to fix it. "
        "Exits with 1 if a finding is urgent, and with 2 if the checks can't run."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", help="show only findings of this project")
        parser.add_argument("--json", action="store_true", help="print a JSON list")
        parser.add_argument(
            "--timeout",
            type=float,
            default=TIMEOUT,
            metavar="SECONDS",
            help="how long to wait for the cluster (default: %(default)g)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            findings = run_checks(settings.KARGOWEB, options["project"], options["timeout"])
        except (DatabaseError, InterfaceError) as error:
            line = str(error).strip().splitlines()[0]
            raise CommandError(f"Failed to read the delivery log: {line}", returncode=FAILED) from error
        if options["json"]:
            self.stdout.write(json.dumps([finding.as_dict() for finding in findings], indent=2))
        else:
            self.stdout.write("\n".join(lines(findings)))
        if any(finding.severity is Severity.URGENT for finding in findings):
            raise SystemExit(1)


def run_checks(configuration: Configuration, project: str | None, timeout: float) -> tuple[Finding, ...]:
    """Read the cluster and the delivery log once; return the findings of one project, or (None) all.

    Raises CommandError if the cluster can't be read within `timeout` seconds, or has no such project.
    """
    with _cluster_cache(configuration, timeout) as cache:
        if project is not None and project not in {existing.name for existing in cache.projects()}:
            raise CommandError(f"Project {quoted(project)} doesn't exist in this cluster.", returncode=FAILED)
        heartbeats = Heartbeats(cache.cluster, configuration.kargo_namespace)
        heartbeats.work()
        secrets = SecretChecks(cache, configuration.system_namespace)
        secrets.check(MAX_SECRETS)
        min_interval = timedelta(seconds=configuration.kargo_min_interval)
        monitor = HealthMonitor(cache, heartbeats, secrets, min_interval, configuration.base_url)
        return monitor.findings(project)


@contextmanager
def _cluster_cache(configuration: Configuration, timeout: float) -> Iterator[ClusterCache]:
    # The reflectors log every failed attempt; here one error at the end is enough.
    logging.getLogger("receivers").setLevel(logging.ERROR)
    cache = ClusterCache(lambda: connect(context=configuration.kube_context), configuration.namespaces)
    cache.start()
    try:
        if not cache.wait_ready(timeout):
            error = next((watch.error for watch in cache.freshness() if watch.error), "timed out")
            raise CommandError(f"Failed to read the cluster: {error}", returncode=FAILED)
        yield cache
    finally:
        cache.stop()


def lines(findings: tuple[Finding, ...]) -> Iterator[str]:
    """Yield the findings as lines of text, and a summary with the number of findings of each severity."""
    for finding in findings:
        name = f"{finding.project}/{finding.name}" if finding.project else finding.name
        yield f"{finding.severity.value.upper()}  {finding.subject.label} {name}: {finding.reason}"
        yield f"    {finding.remedy}"
        if finding.command:
            yield f"    $ {finding.command}"
    counts = Counter(finding.severity for finding in findings)
    summary = [f"{counts[severity]} {severity}" for severity in Severity if counts[severity]]
    yield ", ".join(summary) or "No findings."
