"""The summary of a delivery: what happened, why, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Final

from receivers.deliveries.outcomes import named_results
from receivers.deliveries.remedies import remedy
from receivers.deliveries.timeline import is_planned
from receivers.kargo.refresh_outcomes import RefreshOutcome
from receivers.models import Delivery, Outcome, Refresh
from receivers.web import durations, local_times

MOST_NAMED: Final = 20
"""Warehouses with Freight, and others, that the summary names; the timeline has all of them."""


@dataclass(frozen=True, slots=True)
class DeliverySummary:
    """Sentences for people. `why` and `to_do` may be empty."""

    happened: str
    why: str
    to_do: str


def summarize(delivery: Delivery, refreshes: Sequence[Refresh], zone: tzinfo = UTC) -> DeliverySummary:
    """Return the summary of a delivery, with times in the reader's zone."""
    outcome_remedy = remedy(delivery.outcome)
    if delivery.outcome == Outcome.TEST_PASSED:
        count = delivery.warehouses
        return DeliverySummary(f"Test passed: reached {count} Warehouse{'' if count == 1 else 's'}.", "", "")
    if delivery.outcome == Outcome.PENDING and delivery.reason and delivery.due_at:
        happened = (
            f"The Promotions have not been refreshed yet. Next retry at {_clock(delivery.due_at, zone)}."
        )
        return DeliverySummary(happened, sentence(delivery.reason), "")
    if delivery.with_freight and delivery.warehouses > 1 and delivery.outcome != Outcome.ACTION_FAILED:
        return _of_several(delivery, refreshes, sentence(outcome_remedy.to_do))
    freight = [refresh for refresh in refreshes if refresh.outcome == RefreshOutcome.FREIGHT_CREATED]
    if delivery.outcome == Outcome.FREIGHT_CREATED and freight:
        return DeliverySummary(_freight(delivery, freight), "", "")
    decisive = next((refresh for refresh in refreshes if refresh.outcome == delivery.outcome), None)
    why = decisive.reason if decisive and decisive.reason else delivery.reason
    if not why and delivery.outcome == Outcome.REFRESHED:
        why = next((refresh.reason for refresh in refreshes if refresh.reason and not refresh.outcome), "")
    happened, to_do = sentence(outcome_remedy.means), sentence(outcome_remedy.to_do)
    retries = [
        refresh.next_attempt_at for refresh in refreshes if refresh.next_attempt_at and not refresh.outcome
    ]
    if retries and all(map(is_planned, refreshes)):
        happened = f"The refresh is planned for {_clock(min(retries), zone)}."
    elif retries and delivery.outcome == Outcome.REFRESHED:
        happened = f"Kargo hasn't succeeded yet. Next retry at {_clock(min(retries), zone)}."
    return DeliverySummary(happened, "" if sentence(why) == happened else sentence(why), to_do)


def _clock(at: datetime, zone: tzinfo) -> str:
    return f"{local_times.text(at, zone, 'seconds')} {local_times.offset(at.astimezone(zone))}"


def sentence(text: str) -> str:
    """Return text with a capital letter and a full stop, without Markdown's backquotes."""
    text = text.replace("`", "").strip()
    if not text:
        return ""
    # A name at the start, as in `api: Freight brave-bear`, is spelled as it is.
    start = text[0] if text.split(maxsplit=1)[0].endswith(":") else text[0].upper()
    return start + text[1:] + ("" if text[-1] in ".!?…" else ".")


def _of_several(delivery: Delivery, refreshes: Sequence[Refresh], to_do: str) -> DeliverySummary:
    """Return the summary of a delivery that led to Freight in some or all of its Warehouses."""
    when = _seconds_after(delivery, refreshes) if delivery.ended_at else " so far"
    happened = f"Freight in {delivery.with_freight} of {delivery.warehouses} Warehouses{when}."
    return DeliverySummary(happened, named_results(refreshes, MOST_NAMED), to_do)


def _freight(delivery: Delivery, refreshes: Sequence[Refresh]) -> str:
    first = refreshes[0]
    took = _seconds_after(delivery, refreshes)
    return f"Freight {first.freight_alias or first.freight} of Warehouse {first.warehouse} was created{took}."


def _seconds_after(delivery: Delivery, refreshes: Sequence[Refresh]) -> str:
    """Return how long after the push the last of its refreshes ended; empty if none did."""
    ended_at = [refresh.ended_at for refresh in refreshes if refresh.ended_at]
    if not ended_at:
        return ""
    seconds = max(0.0, (max(ended_at) - delivery.received_at).total_seconds())
    return f" {durations.duration(seconds)} after the push"
