"""The timeline of a delivery: what happened to it and to each of its refreshes, with the time each step took."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from receivers.deliveries.history_events import HistoryEvent
from receivers.deliveries.outcomes import Tone, lower_label, tone
from receivers.deliveries.serializers import STEPS
from receivers.kargo.refresh_outcomes import RefreshOutcome
from receivers.models import Delivery, Outcome, Refresh

LABELS: Final[dict[str, str]] = {
    HistoryEvent.PLANNED: "planned",
    HistoryEvent.REQUESTED: "refresh requested",
    HistoryEvent.REQUEST_FAILED: "request failed",
    HistoryEvent.ATTEMPT_FAILED: "failed",
    HistoryEvent.RETRIED: "retried",
    HistoryEvent.HANDLED: "handled by Kargo",
    HistoryEvent.DISCOVERED: "discovered",
}
"""The labels of events; an outcome has its own."""

TONES: Final[dict[str, Tone]] = {
    HistoryEvent.REQUEST_FAILED: Tone.BAD,
    HistoryEvent.ATTEMPT_FAILED: Tone.BAD,
    HistoryEvent.RETRIED: Tone.OPEN,
}
"""The tones of events that are not good news."""

_NOT_PASSED_ON: Final = {Outcome.PENDING: "being passed on", Outcome.FORWARD_FAILED: "not passed on"}


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """An event that happened, or one that is still to come (`at` is None, or in the future).

    `after` is in seconds since the previous step, or for the first one since the delivery was received; None if
    unknown. `digest` is that of the discovered artifact, empty for other events.
    """

    at: datetime | None
    label: str
    text: str
    tone: Tone
    after: float | None = None
    digest: str = ""


@dataclass(frozen=True, slots=True)
class RefreshTimeline:
    """The steps of the refresh of one Warehouse."""

    refresh: Refresh
    steps: tuple[TimelineEntry, ...]
    seconds: float | None
    """From the delivery to the end of the refresh; None while it is open."""


def has_ended(delivery: Delivery, refreshes: Iterable[Refresh]) -> bool:
    """Say whether the delivery and all of its refreshes have an outcome, so that nothing more will happen."""
    return tone(delivery.outcome) is not Tone.OPEN and all(refresh.outcome for refresh in refreshes)


def request_timeline(delivery: Delivery) -> tuple[TimelineEntry, ...]:
    """Return the steps before any refresh: received, saved, passed on to Kargo's own server, answered."""
    sender = f"from {delivery.client_address}" if delivery.client_address else "internally"
    received = TimelineEntry(delivery.received_at, "received", sender, Tone.GOOD)
    saved = TimelineEntry(None, "saved", "before processing", Tone.GOOD)
    steps: tuple[TimelineEntry, ...] = (received, saved)
    if delivery.passed_on:
        label = _NOT_PASSED_ON.get(Outcome(delivery.outcome), "passed on")
        steps += (TimelineEntry(None, label, "to Kargo's own server", tone(delivery.outcome)),)
    if delivery.status is None:
        return steps
    seconds = (delivery.duration_ms or 0.0) / 1000
    at = delivery.received_at + timedelta(seconds=seconds)
    success = Tone.GOOD if delivery.status < 400 else Tone.BAD
    return *steps, TimelineEntry(at, f"answered {delivery.status}", "", success, seconds)


def is_planned(refresh: Refresh) -> bool:
    """Say whether a refresh is planned for later and was not requested yet."""
    return bool(refresh.history) and refresh.history[-1]["event"] == HistoryEvent.PLANNED


def refresh_timeline(refresh: Refresh, received_at: datetime) -> RefreshTimeline:
    """Return what happened to the refresh of one Warehouse and, while it is open, what it waits for."""
    steps: list[TimelineEntry] = []
    previous = received_at
    for step in _recorded(refresh) if refresh.history else _dated(refresh):
        # Not negative: the clocks of two processes may differ.
        after = max(0.0, (step.at - previous).total_seconds()) if step.at else None
        previous = step.at or previous
        steps.append(replace(step, after=after))
    if not refresh.outcome:
        steps.append(_waiting(refresh, steps[-1].text if steps else ""))
    ended = refresh.ended_at
    return RefreshTimeline(refresh, tuple(steps), (ended - received_at).total_seconds() if ended else None)


def _recorded(refresh: Refresh) -> Iterator[TimelineEntry]:
    """Yield the recorded history, without repeating a text that the previous event had."""
    previous = ""
    for entry in refresh.history:
        event, text = entry["event"], entry["text"]
        at = datetime.fromisoformat(entry["at"])
        digest = text if event == HistoryEvent.DISCOVERED else ""
        details = _details(entry, digest, previous)
        previous = text
        yield TimelineEntry(at, _label(refresh, event), details, _tone(event), digest=digest)


def _dated(refresh: Refresh) -> Iterator[TimelineEntry]:
    """Yield the steps of a row without a history, from its times."""
    for name in STEPS:
        at = getattr(refresh, f"{name}_at")
        event = refresh.outcome if name == "ended" else name
        if at is not None:
            text = refresh.reason if name == "ended" else ""
            digest = refresh.digest if event == HistoryEvent.DISCOVERED else ""
            yield TimelineEntry(at, _label(refresh, event), text, _tone(event), digest=digest)


def _waiting(refresh: Refresh, previous: str) -> TimelineEntry:
    text = refresh.reason or refresh.error
    text = "" if text == previous else text
    retry_at = refresh.next_attempt_at
    next_step = "refresh" if is_planned(refresh) else "next retry"
    return TimelineEntry(retry_at, next_step if retry_at else "waiting", text, Tone.OPEN)


def _label(refresh: Refresh, event: str) -> str:
    if event == RefreshOutcome.FREIGHT_CREATED:
        return f"Freight {refresh.freight_alias or refresh.freight}".strip()
    return LABELS.get(event) or lower_label(event)


def _details(entry: dict[str, Any], digest: str, previous: str) -> str:
    """Return the cause and the text of an event; the text only if it is not a digest and not the previous one."""
    cause = lower_label(entry.get("cause", ""))
    text = "" if digest or entry["text"] == previous else entry["text"]
    return f"{cause}: {text}" if cause and text else cause or text


def _tone(event: str) -> Tone:
    return TONES.get(event, Tone.GOOD) if event in LABELS else tone(event)
