"""`manage.py health`: report what is wrong with the receivers and Warehouses of a cluster, and how to fix it."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.core.management.base import CommandParser

from receivers.cluster.heartbeats import Heartbeats
from receivers.health.finding import Finding, Severity, Subject
from receivers.health.monitor import HealthMonitor
from receivers.health.report import NEEDS_ACTION, HealthReport
from receivers.health.secret_checks import SecretChecks
from receivers.kargo.quoting import quoted
from receivers.kargo.scopes import parse_scope, scope_name
from receivers.management.cluster_reader import cluster_contents
from receivers.management.console import ConsoleCommand, ExitCode, base_url, fail
from receivers.webhook.upstream import configured_upstream

CLUSTER_SECONDS: Final = 60.0  # default timeout; 10,000 Warehouses take a few seconds
MAX_SECRETS: Final = 500  # read for one report, one after the other
OF_CLUSTER: Final = frozenset({Subject.CLUSTER, Subject.CONTROLLER})


class Command(ConsoleCommand):
    """Print the findings of all health checks."""

    help = (
        "Report what is wrong with receivers and Warehouses, and how to fix it. Exit codes: 0 if nothing needs action, "
        "1 if there is an urgent finding or a warning that is not muted, 2 if the cluster was not read in time, 3 for "
        "an error."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", help="only this project, or cluster for cluster receivers")
        parser.add_argument("--json", action="store_true", help="print a JSON list")
        parser.add_argument(
            "--timeout",
            type=float,
            default=CLUSTER_SECONDS,
            metavar="SECONDS",
            help=f"to read the cluster (default {CLUSTER_SECONDS:g})",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        project = None if options["project"] is None else parse_scope(options["project"])
        report = check_cluster(project, options["timeout"])
        findings = report.findings if project is None else report.for_project(project)
        if options["json"]:
            self.print_json([finding.as_dict() for finding in findings])
        else:
            self.print(*_as_text(findings))
        unmuted, _ = report.open_and_muted(None if project is None else {project})
        if any(finding.severity in NEEDS_ACTION for finding in unmuted):
            sys.exit(ExitCode.NEGATIVE)


def check_cluster(project: str | None, timeout: float) -> HealthReport:
    """Read the cluster and the delivery log once, and run all checks.

    Exits with an error if the cluster can't be read within `timeout` seconds, or has no project of that name.
    """
    configuration = settings.KARGOWEB
    with cluster_contents(timeout) as cache:
        if project and project not in {existing.name for existing in cache.projects()}:
            fail(f"Project {quoted(project)} doesn't exist in this cluster.")
        heartbeats = Heartbeats(cache.cluster, configuration.kargo_namespace)
        heartbeats.work()
        secrets = SecretChecks(cache, configuration.system_namespace)
        secrets.check(MAX_SECRETS)
        interval = timedelta(seconds=configuration.kargo_min_interval)
        monitor = HealthMonitor(
            cache,
            heartbeats,
            secrets,
            interval,
            base_url(),
            upstream=configured_upstream(configuration.upstream),
        )
        return monitor.report()


def _as_text(findings: tuple[Finding, ...]) -> Iterator[str]:
    """Yield the lines of each finding, and a last line that counts them by severity."""
    for finding in findings:
        prefix = "" if finding.subject in OF_CLUSTER else f"{scope_name(finding.project)}/"
        yield f"{finding.severity.value.upper()}  {finding.subject.label} {prefix}{finding.name}: {finding.reason}"
        if finding.affected:
            yield f"    {finding.affected}"
        yield f"    {finding.remedy}"
        if finding.command:
            yield f"    $ {finding.command}"
    counts = Counter(finding.severity for finding in findings)
    sums = [_counted(counts[severity], severity) for severity in Severity if counts[severity]]
    yield ", ".join(sums) or "No findings."


def _counted(count: int, severity: Severity) -> str:
    is_noun = severity is not Severity.URGENT
    return f"{count} {severity}{'s' if is_noun and count > 1 else ''}"
