"""Alerts about findings of the health checks, and about kargoweb itself."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

from django.urls import reverse
from django.utils import timezone

from receivers.health.checks import Check
from receivers.health.finding import Finding, Severity
from receivers.health.report import NEEDS_ACTION, HealthReport, group_by_cause
from receivers.kargo.scopes import scope_name
from receivers.models import Alert, AlertEnd, AlertSeverity, Downtime
from receivers.ops.alerts.alert_log import EVERYTHING, Problem, begin, finish, open_alerts

FINDING: Final = "finding"
QUIET: Final = "quiet"
KARGOWEB: Final = "kargoweb"
CLUSTER_KEY: Final = "kargoweb:cluster"
NAMED: Final = 3  # subjects in a title
RECENT_DOWNTIME: Final = timedelta(hours=1)
LONG_DOWNTIME: Final = timedelta(minutes=1)


class SteadyFindings:
    """Turns reports into alerts once findings have lasted, and ends these once they have been gone as long."""

    def __init__(self, seconds: float) -> None:
        self._lasting = timedelta(seconds=seconds)
        self._changed: dict[tuple[str, str], datetime] = {}

    def compare(self, scope: str, report: HealthReport) -> None:
        """Begin and end the alerts of a scope, as a report says that is up to date."""
        projects = None if scope == EVERYTHING else {scope}
        unmuted, muted = report.open_and_muted(projects)
        current = {problem.key: problem for problem in problems_of(unmuted)}
        alerts = {alert.key: alert for alert in open_alerts(scope, {FINDING, QUIET})}
        new = [problem for key, problem in current.items() if key not in alerts]
        gone = [alert for key, alert in alerts.items() if key not in current]
        self._keep(scope, {problem.key for problem in new} | {alert.key for alert in gone})
        begun = [problem for problem in new if self._lasts(scope, problem.key)]
        begin(scope, begun)
        self._end(scope, gone, muted, {problem.subject for problem in current.values()})

    def _end(
        self, scope: str, gone: list[Alert], muted: Iterable[Finding], subjects: Collection[str]
    ) -> None:
        muted_keys = {finding.mute_key for finding in muted}
        ends: Mapping[AlertEnd, list[Alert]] = {end: [] for end in AlertEnd}
        for alert in gone:
            if alert.key in muted_keys:
                ends[AlertEnd.MUTED].append(alert)
            elif self._lasts(scope, alert.key):
                replaced = bool(alert.subject) and alert.subject in subjects
                ends[AlertEnd.REPLACED if replaced else AlertEnd.RESOLVED].append(alert)
        for end, alerts in ends.items():
            finish(alerts, end)

    def _keep(self, scope: str, keys: Collection[str]) -> None:
        """Forget since when the other alerts of the scope differ from the report: they don't any more."""
        for known in [each for each in self._changed if each[0] == scope and each[1] not in keys]:
            del self._changed[known]

    def _lasts(self, scope: str, key: str) -> bool:
        now = timezone.now()
        return now - self._changed.setdefault((scope, key), now) >= self._lasting


def problems_of(findings: Iterable[Finding]) -> Iterator[Problem]:
    """Return a problem for each cause among the urgent findings and the warnings."""
    for group in group_by_cause(finding for finding in findings if finding.severity in NEEDS_ACTION):
        first = group[0]
        kind = QUIET if first.check is Check.NO_RECENT_PUSH else FINDING
        names = [_name(finding) for finding in group[:NAMED]]
        others = f" and {len(group) - NAMED} more" if len(group) > NAMED else ""
        yield Problem(
            key=first.mute_key,
            kind=kind,
            severity=AlertSeverity.URGENT if first.severity is Severity.URGENT else AlertSeverity.WARNING,
            project=first.project,
            title=f"{first.check.label}: {', '.join(names)}{others}",
            text=" ".join(filter(None, [first.reason, first.remedy])),
            path=reverse("finding", args=[first.key]),
            subject=f"{first.check.value} {first.subject.value} {first.project}/{first.name}",
        )


def compare_cluster(since: datetime | None, reason: str) -> None:
    """Begin the alert that the Kubernetes API doesn't respond (since a moment), or with None end it."""
    alerts = [alert for alert in open_alerts(EVERYTHING, {KARGOWEB}) if alert.key == CLUSTER_KEY]
    if since is None:
        finish(alerts, AlertEnd.RESOLVED)
    elif not alerts:
        text = (
            "Pushes are stored, and the Warehouses are refreshed once it responds. "
            f"{reason + '. ' if reason else ''}Check the API server, and kargoweb's network policy."
        )
        title = "kargoweb can't reach the Kubernetes API"
        problem = Problem(
            CLUSTER_KEY, KARGOWEB, AlertSeverity.URGENT, "", title, text, reverse("status"), CLUSTER_KEY
        )
        begin(EVERYTHING, [problem])


def note_downtimes(now: datetime) -> None:
    """Return a problem for each recent time in which no pushes were received. It is over when it can be reported."""
    begin(
        EVERYTHING,
        [
            _downtime(row)
            for row in Downtime.objects.filter(until__gte=now - RECENT_DOWNTIME)
            if row.until - row.since >= LONG_DOWNTIME
        ],
        already_over=True,
    )


def outage_of_database(since: datetime, until: datetime) -> Problem:
    """Return the outage of the database. It can be reported only afterwards, because alerts are stored in it."""
    return Problem(
        key=f"kargoweb:database:{since.isoformat()}",
        kind=KARGOWEB,
        severity=AlertSeverity.URGENT,
        project="",
        title=f"kargoweb's database was unavailable for {_minutes(until - since)}",
        text=f"From {since:%Y-%m-%d %H:%M} to {until:%H:%M} UTC. Pushes were kept on disk, and are stored now.",
        path=reverse("status"),
    )


def _downtime(row: Downtime) -> Problem:
    return Problem(
        key=f"kargoweb:downtime:{row.pk}",
        kind=KARGOWEB,
        severity=AlertSeverity.URGENT,
        project="",
        title=f"kargoweb received no pushes for {_minutes(row.until - row.since)}",
        text=(
            f"From {row.since:%Y-%m-%d %H:%M} to {row.until:%H:%M} UTC. The Warehouses whose pushes may have been lost "
            "are refreshed now."
        ),
        path=reverse("status"),
    )


def _minutes(span: timedelta) -> str:
    minutes = max(1, round(span.total_seconds() / 60))
    return "1 minute" if minutes == 1 else f"{minutes} minutes"


def _name(finding: Finding) -> str:
    return f"{scope_name(finding.project)}/{finding.name}" if finding.project else finding.name or "cluster"
