"""The alerts in the database: begin and end them, and plan the notices about it in the same transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.utils import timezone

from receivers.models import (
    NAME_LENGTH,
    PATH_LENGTH,
    REASON_LENGTH,
    TEXT_LENGTH,
    Alert,
    AlertChannel,
    AlertEnd,
    AlertMessage,
    AlertNotice,
    AlertSeverity,
    storable,
)

EVERYTHING: Final = ""
"""The scope of the channels for all projects, the cluster receivers and kargoweb itself."""

RETENTION: Final = timedelta(days=30)  # alerts after their end, and messages
BATCH: Final = 500  # rows in one statement


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that needs action, as the readers of a scope see it; the fields are those of `Alert`."""

    key: str
    kind: str
    severity: AlertSeverity
    project: str
    title: str
    text: str
    path: str
    subject: str = ""


def scopes() -> set[str]:
    """Return the scopes that have an enabled channel. One query."""
    return set(AlertChannel.objects.filter(enabled=True).values_list("project", flat=True))


def begin(scope: str, problems: Iterable[Problem], *, already_over: bool = False) -> list[Alert]:
    """Begin an alert for each problem that has no open one, with a notice for each channel that wants it.

    With `already_over`, the alerts are about something that has ended, and are sent once, as resolved. Return the new
    alerts.
    """
    wanted = {problem.key: problem for problem in problems}
    now = timezone.now()
    with transaction.atomic():
        known = Alert.objects.filter(scope=scope, key__in=list(wanted))
        if not already_over:
            known = known.filter(ended_at=None)
        for key in known.values_list("key", flat=True):
            wanted.pop(key, None)
        alerts = [_alert(scope, problem, now, already_over=already_over) for problem in wanted.values()]
        Alert.objects.bulk_create(alerts, batch_size=BATCH)
        channels = list(AlertChannel.objects.filter(project=scope, enabled=True))
        notices = [
            AlertNotice(alert=alert, channel=channel, resolved=already_over)
            for alert in alerts
            for channel in channels
            if wants(channel, alert.severity)
        ]
        AlertNotice.objects.bulk_create(notices, batch_size=BATCH)
    return alerts


def finish(alerts: Sequence[Alert], end: AlertEnd) -> None:
    """End these alerts. If they are resolved, the channels that reported the beginning report the end.

    A notice that was not sent yet is dropped instead: neither needs to be reported then.
    """
    now = timezone.now()
    for start in range(0, len(alerts), BATCH):
        ids = [alert.pk for alert in alerts[start : start + BATCH]]
        with transaction.atomic():
            Alert.objects.filter(pk__in=ids, ended_at=None).update(ended_at=now, end=end)
            AlertNotice.objects.filter(alert__in=ids, message=None).delete()
            if end is not AlertEnd.RESOLVED:
                continue
            notices = AlertNotice.objects.filter(alert__in=ids, resolved=False, channel__enabled=True)
            AlertNotice.objects.bulk_create(
                [
                    AlertNotice(alert_id=alert, channel_id=channel, resolved=True)
                    for alert, channel in notices.values_list("alert", "channel")
                ],
                ignore_conflicts=True,
            )


def open_alerts(scope: str, kinds: Collection[str]) -> list[Alert]:
    """Return the open alerts of a scope and of these kinds. One query."""
    return list(Alert.objects.filter(ended_at=None, scope=scope, kind__in=kinds))


def close_without_channel(with_channel: Collection[str]) -> None:
    """End the alerts of scopes that have no channel any more."""
    unheard = list(Alert.objects.filter(ended_at=None).exclude(scope__in=list(with_channel))[:BATCH])
    if unheard:
        finish(unheard, AlertEnd.EXPIRED)


def forget(now: datetime) -> None:
    """Delete what is older than `RETENTION`."""
    Alert.objects.filter(ended_at__lt=now - RETENTION).delete()
    AlertMessage.objects.filter(created_at__lt=now - RETENTION, due_at=None).delete()


def wants(channel: AlertChannel, severity: str) -> bool:
    """Say whether a channel sends alerts of a severity."""
    return channel.severity == AlertSeverity.WARNING or severity == AlertSeverity.URGENT


def _alert(scope: str, problem: Problem, now: datetime, *, already_over: bool) -> Alert:
    return Alert(
        scope=scope,
        key=problem.key,
        subject=storable(problem.subject),
        kind=problem.kind,
        severity=problem.severity,
        project=storable(problem.project, NAME_LENGTH),
        title=storable(problem.title, TEXT_LENGTH),
        text=storable(problem.text, REASON_LENGTH),
        path=problem.path[:PATH_LENGTH],
        opened_at=now,
        ended_at=now if already_over else None,
        end=AlertEnd.RESOLVED if already_over else AlertEnd.OPEN,
    )
