"""The answer to the question that a delivery is opened for: did it arrive, what came of it, and if nothing, why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from receivers.deliveries.remedies import remedy
from receivers.kargo.outcomes import RefreshOutcome
from receivers.models import Delivery, Outcome, Refresh
from receivers.web import durations


@dataclass(frozen=True, slots=True)
class Answered:
    """Sentences for people. `why` and `to_do` are empty where there is nothing to say."""

    happened: str
    why: str
    to_do: str


def answered(delivery: Delivery, refreshes: Sequence[Refresh]) -> Answered:
    """Return what to tell first about a delivery."""
    known = remedy(delivery.outcome)
    freight = [one for one in refreshes if one.outcome == RefreshOutcome.FREIGHT_CREATED]
    if delivery.outcome == Outcome.FREIGHT_CREATED and freight:
        return Answered(_freight(delivery, freight), "", "")
    worst = next((one for one in refreshes if one.outcome == delivery.outcome), None)
    why = worst.reason if worst and worst.reason else delivery.reason
    if not why and delivery.outcome == Outcome.REFRESHED:
        why = next((one.reason for one in refreshes if one.reason and not one.outcome), "")
    happened, to_do = sentence(known.means), sentence(known.to_do)
    planned = [one.next_attempt_at for one in refreshes if one.next_attempt_at and not one.outcome]
    if planned and delivery.outcome == Outcome.REFRESHED:
        happened = f"Kargo was asked in vain so far, and is asked again at {min(planned):%H:%M:%S} UTC."
    return Answered(happened, "" if sentence(why) == happened else sentence(why), to_do)


def sentence(text: str) -> str:
    """Return text with a capital at its beginning and an end at its end; the README's marks for code are left out."""
    text = text.replace("`", "").strip()
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?…" else ".")


def _freight(delivery: Delivery, freight: Sequence[Refresh]) -> str:
    one = freight[0]
    name = one.freight_alias or one.freight
    ends = [each.ended_at for each in freight if each.ended_at]
    took = (
        f", {durations.duration(max(0.0, (max(ends) - delivery.received_at).total_seconds()))} after it came"
        if ends
        else ""
    )
    if len(freight) > 1:
        return f"It became Freight of {len(freight)} Warehouses{took}."
    return f"It became Freight {name} of Warehouse {one.warehouse}{took}."
