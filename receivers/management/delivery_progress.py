"""The story of a delivery, line by line, as it is on record and as it goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from receivers.deliveries.outcomes import Tone, tone
from receivers.deliveries.querysets import delivery_log
from receivers.deliveries.serializers import STEPS
from receivers.deliveries.timeline import has_ended
from receivers.deliveries.visibility import refreshes_of
from receivers.kargo.outcomes import RefreshOutcome
from receivers.management.console import Exit
from receivers.models import Delivery, Outcome, Refresh

LOOK_SECONDS: Final = 0.5  # between two looks at the log; a person does not see the difference


@dataclass(frozen=True, slots=True)
class Line:
    """Something that happened: when, to which Warehouse (`project/name`, empty: to the delivery), what, and why."""

    at: datetime
    warehouse: str
    event: str
    text: str


def story(delivery: Delivery, refreshes: list[Refresh]) -> list[Line]:
    """Return all that is known to have happened, oldest first."""
    lines = [Line(delivery.received_at, "", "received", f"{delivery.repository}:{delivery.tag}".strip(":"))]
    if delivery.status is not None:
        answered_at = delivery.received_at + timedelta(milliseconds=delivery.duration_ms or 0)
        lines.append(Line(answered_at, "", "answered", f"{delivery.status} {delivery.answer}"))
    lines += (line for refresh in refreshes for line in _of_refresh(refresh))
    return sorted(lines, key=lambda line: line.at)


def exit_code(delivery: Delivery) -> Exit:
    """Return what a script is told of a delivery that has ended."""
    return Exit.GOOD if tone(delivery.outcome) is Tone.GOOD else Exit.OTHERWISE


def follow(pk: UUID, seconds: float, tell: Callable[[Line], None]) -> tuple[Delivery, Exit]:
    """Tell what has happened to a delivery and what happens to it, until it has ended or `seconds` have passed."""
    deadline = time.monotonic() + seconds
    told: set[Line] = set()
    while True:
        delivery = delivery_log().narrow().get(pk=pk)
        refreshes = refreshes_of(delivery)
        for line in story(delivery, refreshes):
            if line not in told:
                told.add(line)
                tell(line)
        if has_ended(delivery, refreshes):
            return delivery, exit_code(delivery)
        if time.monotonic() >= deadline:
            return delivery, Exit.TIMED_OUT
        time.sleep(LOOK_SECONDS)


def was_taken_up(delivery: Delivery, seconds: float) -> bool:
    """Wait until a serving process has taken up a redelivery, `seconds` at most; say whether one has."""
    untouched = Delivery.objects.filter(
        pk=delivery.pk, outcome=Outcome.PENDING, claimed_until=delivery.claimed_until
    )
    deadline = time.monotonic() + seconds
    while untouched.exists():
        if time.monotonic() >= deadline:
            return False
        time.sleep(LOOK_SECONDS)
    return True


def _of_refresh(refresh: Refresh) -> Iterator[Line]:
    """Yield what was written down of a refresh; of one that has no story, what its times tell."""
    warehouse = f"{refresh.project}/{refresh.warehouse}"
    for entry in refresh.story:
        yield Line(
            datetime.fromisoformat(entry["at"]), warehouse, _event(refresh, entry["event"]), entry["text"]
        )
    for step in () if refresh.story else STEPS:
        at = getattr(refresh, f"{step}_at")
        if at is not None and step != "ended":
            yield Line(at, warehouse, step, "")
        elif at is not None:
            yield Line(at, warehouse, _event(refresh, refresh.outcome), refresh.reason)


def _event(refresh: Refresh, event: str) -> str:
    """Return what happened, with the name of the Freight that came of it."""
    name = refresh.freight_alias or refresh.freight
    return f"{event} {name}" if event == RefreshOutcome.FREIGHT_CREATED and name else event
