"""What happened to a delivery, as the steps of a story with the time each of them took."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from receivers.deliveries.outcomes import Tone, label, tone
from receivers.deliveries.serializers import STEPS
from receivers.kargo.outcomes import RefreshOutcome
from receivers.models import Delivery, Refresh

WORDS: Final = {
    "requested": "refresh requested",
    "not requested": "could not be asked",
    "asked again": "asked again",
    "lost": "in vain",
    "handled": "handled by Kargo",
    "discovered": "discovered",
}
"""How the events of a story read; an outcome reads as it is."""

NOT_GOING_ON: Final = {"lost", "not requested"}


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """Something that happened, or (`at` is None) that is waited for.

    `after` is in seconds: since the step before or, for the first, since the delivery was received; None if unknown.
    `digest` is an artifact's, empty where the step has none.
    """

    at: datetime | None
    word: str
    text: str
    tone: Tone
    after: float | None = None
    digest: str = ""


@dataclass(frozen=True, slots=True)
class RefreshTimeline:
    """The steps of one Warehouse; `refresh` is its row."""

    refresh: Refresh
    steps: tuple[TimelineEntry, ...]
    seconds: float | None
    """From the push to the end, None while there is none."""


def has_ended(delivery: Delivery, refreshes: Iterable[Refresh]) -> bool:
    """Say whether nothing more is to be expected: it has an outcome, and so has every refresh of it."""
    return tone(delivery.outcome) is not Tone.OPEN and all(one.outcome for one in refreshes)


def beginning(delivery: Delivery) -> tuple[TimelineEntry, ...]:
    """Return what comes before any Warehouse: received, stored, answered."""
    came = TimelineEntry(
        delivery.received_at, "received", f"from {delivery.client_address or 'inside'}", Tone.GOOD, None
    )
    stored = TimelineEntry(None, "stored", "before anything else was done", Tone.GOOD, None)
    if delivery.status is None:
        return came, stored
    seconds = (delivery.duration_ms or 0.0) / 1000
    at = delivery.received_at + timedelta(seconds=seconds)
    how = Tone.GOOD if delivery.status < 400 else Tone.BAD
    return came, stored, TimelineEntry(at, f"answered {delivery.status}", "", how, seconds)


def line(refresh: Refresh, received_at: datetime) -> RefreshTimeline:
    """Return what happened to the refresh of one Warehouse and, while it is open, what is waited for."""
    steps: list[TimelineEntry] = []
    before = received_at
    for one in _told(refresh) if refresh.story else _dated(refresh):
        after = max(0.0, (one.at - before).total_seconds()) if one.at else None
        before = one.at or before
        steps.append(TimelineEntry(one.at, one.word, one.text, one.tone, after, one.digest))
    if not refresh.outcome:
        steps.append(_waiting(refresh, steps[-1].text if steps else ""))
    ended = refresh.ended_at
    return RefreshTimeline(refresh, tuple(steps), (ended - received_at).total_seconds() if ended else None)


def _told(refresh: Refresh) -> Iterator[TimelineEntry]:
    told = ""
    for entry in refresh.story:
        event, text = entry["event"], entry["text"]
        at = datetime.fromisoformat(entry["at"])
        digest = text if event == "discovered" else ""
        why = _why(entry, digest, told)
        told = text
        yield TimelineEntry(at, _word(refresh, event), why, _tone(refresh, event), digest=digest)


def _dated(refresh: Refresh) -> Iterator[TimelineEntry]:
    """Yield what the times of a row without a story tell."""
    for name in STEPS:
        at = getattr(refresh, f"{name}_at")
        event = refresh.outcome if name == "ended" else name
        if at is not None:
            text = refresh.reason if name == "ended" else ""
            digest = refresh.digest if name == "discovered" else ""
            yield TimelineEntry(at, _word(refresh, event), text, _tone(refresh, event), digest=digest)


def _waiting(refresh: Refresh, told: str) -> TimelineEntry:
    again = refresh.next_attempt_at
    text = refresh.reason or refresh.error
    text = "" if text == told else text
    word = "to be asked again" if again else "waiting"
    return TimelineEntry(again, word, text, Tone.OPEN)


def _word(refresh: Refresh, event: str) -> str:
    if event == RefreshOutcome.FREIGHT_CREATED:
        return f"Freight {refresh.freight_alias or refresh.freight}".strip()
    return WORDS.get(event, event)


def _why(entry: dict[str, Any], digest: str, told: str) -> str:
    """Return what there is to say of an event, but not again what was said of the one before."""
    cause = label(entry.get("cause", ""))
    text = "" if digest or entry["text"] == told else entry["text"]
    return f"{cause}: {text}" if cause and text else cause or text


def _tone(refresh: Refresh, event: str) -> Tone:
    if event in NOT_GOING_ON:
        return Tone.BAD
    if event == "asked again":
        return Tone.OPEN
    return Tone.GOOD if event in WORDS else tone(event)
