"""The journey of a push as data: stops from the provider through receivers, Warehouses and Freight to the Stages.

The template draws it from left to right where there is room, and as a tree elsewhere. It is a nested list, so a screen
reader reads the same order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from receivers.accounts.roles import Access, Action
from receivers.deliveries.outcomes import NOT_EVALUATED, Tone, label, tone
from receivers.deliveries.push_names import shown_repository, what_was_pushed
from receivers.deliveries.push_record import PushRecord
from receivers.deliveries.timeline import is_planned
from receivers.kargo.kinds import kind_title
from receivers.kargo.refresh_outcomes import RefreshOutcome
from receivers.kargo.scopes import CLUSTER_SCOPE
from receivers.models import Delivery, Origin, Outcome, Refresh
from receivers.web import durations, kargo_links, links
from receivers.web.delivery_summary import sentence
from receivers.web.phrases import Piece, phrase
from receivers.web.push_results import PushResults, WarehouseResult
from receivers.web.stage_stops import is_long, stage_columns
from receivers.web.stops import JourneyLane, Stop

RECEIVERS_SHOWN: Final = 8
BEFORE_STAGES: Final = 2  # columns of a lane: Warehouse and Freight

# Kargo did nothing for them, so there is nothing to say about Freight.
_NOT_REFRESHED: Final = frozenset(
    {RefreshOutcome.NOT_REQUESTED, RefreshOutcome.WAREHOUSE_DELETED, RefreshOutcome.NOT_HANDLED}
)


@dataclass(frozen=True, slots=True)
class Journey:
    """The picture. `columns` is how many columns the lanes have; `downwards` if they don't fit side by side."""

    source: Stop
    receivers: tuple[Stop, ...]
    lanes: tuple[JourneyLane, ...]
    columns: int
    downwards: bool


def journey(access: Access, record: PushRecord, results: PushResults) -> Journey:
    """Return the journey of a push, as far as the user may see it."""
    lanes = tuple(_lane(record, result, several=results.several_projects) for result in results.shown)
    lanes = lanes or tuple(_no_lane(record))
    columns = max((len(lane.columns) for lane in lanes), default=BEFORE_STAGES)
    downwards = any(is_long(result.journey) for result in results.shown)
    return Journey(
        source=_source(record),
        receivers=tuple(_receivers(access, record)),
        lanes=lanes,
        columns=columns,
        downwards=downwards,
    )


def _source(record: PushRecord) -> Stop:
    first = record.first
    if first.origin == Origin.TEST:
        by = phrase(f"by {first.actor}") if first.actor else phrase()
        return Stop("kargoweb", "Test push", "test", "Sent", by, on=True)
    if first.origin == Origin.REDELIVERY:
        return Stop("kargoweb", "Redelivery", "good", "Sent", phrase(f"by {first.actor}"), on=True)
    name = shown_repository(first.repository, first.tag)
    if first.origin == Origin.API:
        return Stop("API", name, "good", "Requested", phrase(f"by {first.actor}"), on=True)
    at = phrase(Piece("", at=first.pushed_at)) if first.pushed_at else phrase()
    is_push = first.origin == Origin.PUSH
    return Stop(
        kind_title(first.kind) if is_push else str(Origin(first.origin).label),
        name,
        "good",
        "Pushed",
        at,
        phrase(what_was_pushed(first)),
        url=kargo_links.repository_url(first.kind, first.repository),
        on=True,
        provider=first.kind if is_push else "",
    )


def _receivers(access: Access, record: PushRecord) -> list[Stop]:
    by_receiver: dict[tuple[str, str], list[Delivery]] = defaultdict(list)
    for row in record.deliveries:
        by_receiver[row.project, row.receiver].append(row)
    stops = [_receiver(access, rows) for rows in list(by_receiver.values())[:RECEIVERS_SHOWN]]
    left_out = len(by_receiver) - RECEIVERS_SHOWN
    if left_out > 0:
        name = f"{left_out} more receiver{'s' if left_out > 1 else ''}"
        stops.append(Stop("Receivers", name, "plain", "Received"))
    return stops


def _receiver(access: Access, rows: Sequence[Delivery]) -> Stop:
    first, last = rows[0], rows[-1]
    is_cluster = first.project == CLUSTER_SCOPE
    may_see = access.may(Action.SEE, first.project)
    answer = ""
    if first.status is not None and first.duration_ms is not None:
        answer = f"{first.status} in {durations.duration(first.duration_ms / 1000)}"
    if len(rows) > 1:
        answer = f"{answer}, {len(rows)} deliveries" if answer else f"{len(rows)} deliveries"
    outcome = tone(last.outcome)
    not_matched = last.passed_on or last.outcome in NOT_EVALUATED
    went_on = any(row.warehouses for row in rows)
    return Stop(
        kind="Cluster receiver" if is_cluster else "Receiver",
        name=first.receiver if is_cluster else f"{first.project}/{first.receiver}",
        tone="run" if last.outcome == Outcome.PENDING else outcome.value if not_matched else "good",
        word=label(last.outcome) if not_matched and outcome is not Tone.OPEN else "Received",
        text=phrase(Piece("", at=first.received_at)),
        detail=phrase(answer),
        url=links.receiver_page_url(first.project, first.receiver) if may_see else "",
        on=went_on,
        last=not_matched and not went_on,
    )


def _no_lane(record: PushRecord) -> Iterator[JourneyLane]:
    """Yield a lane that says why no Warehouse was refreshed, unless the receiver's stop does."""
    row = record.decisive
    if row.passed_on or row.outcome in NOT_EVALUATED:
        return
    if row.outcome == Outcome.PENDING:
        stop = Stop("Warehouses", "", "run", "Matching", last=True)
    else:
        reason = phrase(sentence(row.reason))
        kind = tone(row.outcome).value
        stop = Stop("Warehouses", "", kind, label(row.outcome), detail=reason, last=True, ended=True)
    yield JourneyLane("none", ((stop,),))


def _lane(record: PushRecord, result: WarehouseResult, *, several: bool) -> JourneyLane:
    name = f"{result.project}/{result.warehouse}" if several else result.warehouse
    warehouse = _warehouse(result, name, what_was_pushed(record.decisive))
    if warehouse.last:
        return JourneyLane(name, ((warehouse,),))
    stages = stage_columns(result)
    return JourneyLane(name, ((warehouse,), (_freight(record, result, has_more=bool(stages)),), *stages))


def _warehouse(result: WarehouseResult, name: str, what: str) -> Stop:
    refresh = result.refresh
    url = links.warehouse_url(refresh)
    failed = refresh.outcome in _NOT_REFRESHED
    waiting = refresh.requested_at is None and not refresh.outcome
    if failed or waiting:
        retry = phrase(", next attempt ", refresh.next_attempt_at) if refresh.next_attempt_at else phrase()
        word = label(refresh.outcome) if failed else "Planned" if is_planned(refresh) else "Not refreshed yet"
        kind = tone(refresh.outcome).value if failed else "open" if refresh.failed_requests else "run"
        text = phrase(retry) if not failed else phrase()
        return Stop(
            "Warehouse", name, kind, word, text, phrase(refresh.reason or refresh.error), url, last=True
        )
    detail = phrase()
    if refresh.discovered_at and refresh.requested_at:
        seconds = max(0.0, (refresh.discovered_at - refresh.requested_at).total_seconds())
        detail = phrase(f"discovered after {durations.duration(seconds)}")
    elif refresh.handled_at:
        detail = phrase("handled by Kargo")
    text = phrase(Piece("", at=refresh.requested_at)) if refresh.requested_at else phrase()
    return Stop("Warehouse", name, "good", "Refreshed", text, detail, url, on=bool(refresh.freight))


def _freight(record: PushRecord, result: WarehouseResult, *, has_more: bool) -> Stop:
    refresh = result.refresh
    if refresh.freight:
        return _existing_freight(record, result, has_more=has_more)
    if not refresh.outcome:
        if refresh.next_attempt_at:
            text = phrase("next retry ", refresh.next_attempt_at)
            return Stop(
                "Freight", "", "open", "No Freight yet", text, phrase(sentence(refresh.reason)), last=True
            )
        return Stop("Freight", "", "run", "In progress", detail=phrase(sentence(refresh.reason)), last=True)
    word = "No Freight" if tone(refresh.outcome) is not Tone.GOOD else label(refresh.outcome)
    text = phrase(label(refresh.outcome).lower()) if word == "No Freight" else phrase()
    return Stop("Freight", "", _tone(refresh), word, text, phrase(sentence(refresh.reason)), last=True)


def _existing_freight(record: PushRecord, result: WarehouseResult, *, has_more: bool) -> Stop:
    refresh = result.refresh
    created = refresh.outcome == RefreshOutcome.FREIGHT_CREATED
    detail = phrase()
    if created and refresh.ended_at:
        seconds = max(0.0, (refresh.ended_at - record.first.received_at).total_seconds())
        detail = phrase(f"{durations.duration(seconds)} after the push")
    elif not created:
        detail = phrase(sentence(refresh.reason))
    journey = result.journey
    if result.deleted:
        text = phrase("created ", refresh.ended_at) if created and refresh.ended_at else phrase()
        return Stop("Freight", result.freight, "gone", "Deleted", text, detail, last=True)
    return Stop(
        kind="Freight",
        name=result.freight,
        tone="good" if created else _tone(refresh),
        word="Created" if created else label(refresh.outcome),
        text=phrase(Piece("", at=refresh.ended_at)) if created and refresh.ended_at else phrase(),
        detail=detail,
        url=kargo_links.freight_url(result.project, refresh.freight),
        on=journey is not None and any(node.progress.is_reached for node in journey.nodes),
        last=not has_more,
    )


def _tone(refresh: Refresh) -> str:
    return tone(refresh.outcome).value
