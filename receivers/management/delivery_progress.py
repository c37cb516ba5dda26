"""The events of a delivery: those on record, and those that follow while a command waits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from receivers.deliveries.outcomes import Tone, label, tone
from receivers.deliveries.querysets import delivery_log
from receivers.deliveries.serializers import STEPS
from receivers.deliveries.timeline import LABELS, has_ended
from receivers.deliveries.visibility import refreshes_of
from receivers.kargo.refresh_outcomes import RefreshOutcome
from receivers.management.console import ExitCode
from receivers.models import Delivery, Outcome, Refresh

FOLLOW_SECONDS: Final = 900.0  # the default of KARGOWEB_DISCOVERED_WITHIN: even slow discoveries end by then
POLL_SECONDS: Final = 0.5  # between two reads of the log; short enough for a person who watches


@dataclass(frozen=True, slots=True)
class ProgressEvent:
    """Something that happened to a delivery.

    `warehouse` is `project/name`, or empty if the event concerns the delivery itself. `event` is the code of an event
    or an outcome. `text` is the reason or a detail.
    """

    at: datetime
    warehouse: str
    event: str
    text: str


def events(delivery: Delivery, refreshes: list[Refresh]) -> list[ProgressEvent]:
    """Return the events on record, oldest first."""
    push = f"{delivery.repository}:{delivery.tag}".strip(":")
    recorded = [ProgressEvent(delivery.received_at, "", "received", push)]
    if delivery.status is not None:
        answered_at = delivery.received_at + timedelta(milliseconds=delivery.duration_ms or 0)
        recorded.append(ProgressEvent(answered_at, "", "answered", f"{delivery.status} {delivery.answer}"))
    recorded += (event for refresh in refreshes for event in _refresh_events(refresh))
    return sorted(recorded, key=lambda event: event.at)


def exit_code(delivery: Delivery) -> ExitCode:
    """Return the exit code for a delivery that has ended."""
    return ExitCode.SUCCESS if tone(delivery.outcome) is Tone.GOOD else ExitCode.NEGATIVE


def follow(pk: UUID, timeout: float, report: Callable[[ProgressEvent], None]) -> tuple[Delivery, ExitCode]:
    """Report past and new events of a delivery until it has ended or `timeout` seconds have passed."""
    deadline = time.monotonic() + timeout
    reported: set[ProgressEvent] = set()
    while True:
        delivery = delivery_log().narrow().get(pk=pk)
        refreshes = refreshes_of(delivery)
        for event in events(delivery, refreshes):
            if event not in reported:
                reported.add(event)
                report(event)
        if has_ended(delivery, refreshes):
            return delivery, exit_code(delivery)
        if time.monotonic() >= deadline:
            return delivery, ExitCode.TIMEOUT
        time.sleep(POLL_SECONDS)


def wait_until_started(delivery: Delivery, timeout: float) -> bool:
    """Wait until a serving process has started a redelivery; return False after `timeout` seconds without one."""
    unstarted = Delivery.objects.filter(pk=delivery.pk, outcome=Outcome.PENDING, held_by=None)
    deadline = time.monotonic() + timeout
    while unstarted.exists():
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def event_text(refresh: Mapping[str, Any], entry: Mapping[str, Any]) -> str:
    """Return the details of an entry of a history: the cause of a retry, the name of the Freight, and the text."""
    freight = (
        (refresh["freight_alias"] or refresh["freight"])
        if entry["event"] == RefreshOutcome.FREIGHT_CREATED
        else ""
    )
    return ": ".join(filter(None, [freight, label(entry.get("cause", "")), entry["text"]]))


def event_label(event: str) -> str:
    """Return the label of an event or an outcome."""
    return LABELS.get(event) or label(event)


def _refresh_events(refresh: Refresh) -> Iterator[ProgressEvent]:
    """Yield the recorded history of a refresh or, if it has none, one event for each step with a time."""
    warehouse = f"{refresh.project}/{refresh.warehouse}"
    freight = {"freight": refresh.freight, "freight_alias": refresh.freight_alias}
    for entry in refresh.history or _steps(refresh):
        at = datetime.fromisoformat(entry["at"])
        yield ProgressEvent(at, warehouse, entry["event"], event_text(freight, entry))


def _steps(refresh: Refresh) -> Iterator[dict[str, str]]:
    for step in STEPS:
        at = getattr(refresh, f"{step}_at")
        if at is None:
            continue
        ended = step == "ended"
        yield {
            "at": at.isoformat(),
            "event": refresh.outcome if ended else step,
            "text": refresh.reason if ended else "",
        }
