"""The rows of the lists of pushes and deliveries: what happened, why, and where it got to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Final

from receivers.accounts.access import Access, Action
from receivers.cluster.stage_watch import StageWatch
from receivers.deliveries.outcomes import Tone, headline_of, label, tone
from receivers.deliveries.push_names import request_name, what_was_pushed
from receivers.deliveries.pushes import PushEntry
from receivers.kargo.scopes import scope_name
from receivers.kargo.stage_states import StageJourney
from receivers.models import Delivery, Origin, Outcome, Refresh
from receivers.web import links
from receivers.web.delivery_summary import summarize
from receivers.web.reach import FreightKey, Reach, freight_keys, reach_of

RECEIVERS_NAMED: Final = 1  # of a push; with more of them, the row counts them and names all in its tooltip
FAILING: Final = 400  # response codes from here on are shown
TESTS: Final = frozenset({Outcome.TEST_PASSED, Outcome.DRY_RUN})


@dataclass(frozen=True, slots=True)
class State:
    """An outcome as a row shows it."""

    tone: str
    icon: str
    word: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRow:
    """What rows of both lists show.

    `id` finds it again when the list is replaced. `what` was pushed unless it is an image. `kind` is that of the
    receiver.
    """

    id: str
    url: str
    received_at: datetime
    repository: str
    tag: str
    what: str
    kind: str
    origin: str
    state: State
    code: int | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PushRow(ListRow):
    """A row of the list of pushes. `receivers` is short, `all_receivers` for those who want to know."""

    receivers: str
    all_receivers: str
    reach: Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRow(ListRow):
    """A row of the list of deliveries. `receiver_url` is empty if the user may not open the receiver's page."""

    receiver: str
    receiver_url: str
    warehouses: int
    duration_ms: float | None


def push_rows(entries: Sequence[PushEntry], stages: StageWatch | None, zone: tzinfo) -> list[PushRow]:
    """Return the rows of pushes, with the way of their Freight through the Stages if these are followed."""
    keys = [key for entry in entries for key in freight_keys(entry.refreshes)]
    journeys = stages.outlines(keys) if stages and keys else {}
    return [push_row(entry, journeys, zone) for entry in entries]


def push_row(entry: PushEntry, journeys: Mapping[FreightKey, StageJourney], zone: tzinfo) -> PushRow:
    """Return the row of a push. `journeys` has the way of its Freight through the Stages, as far as it is known."""
    row = entry.decisive
    of_row = [refresh for refresh in entry.refreshes if refresh.delivery_id == row.pk]
    repository, tag = request_name(row)
    names = list(dict.fromkeys(each.receiver_name for each in reversed(entry.deliveries)))
    few = len(names) <= RECEIVERS_NAMED
    return PushRow(
        id=f"push-{entry.push_id}",
        url=links.push_url(entry.push_id),
        received_at=entry.received_at,
        repository=repository,
        tag=tag,
        what=what_was_pushed(row) if row.repository else "",
        kind=row.kind,
        receivers=", ".join(names) if few else f"{_scope(entry.deliveries)}{len(names)} receivers",
        all_receivers="" if few else ", ".join(names),
        origin=_origin(entry.first),
        state=state_of(row),
        code=_failing_code(row),
        reason=reason_of(row, of_row, zone),
        reach=reach_of(row, entry.refreshes, journeys, zone),
    )


def delivery_row(row: Delivery, refreshes: Sequence[Refresh], access: Access, zone: tzinfo) -> DeliveryRow:
    """Return the row of a delivery."""
    may_see = access.may(Action.SEE, row.project)
    repository, tag = request_name(row)
    return DeliveryRow(
        id=f"delivery-{row.pk}",
        url=row.get_absolute_url(),
        received_at=row.received_at,
        repository=repository,
        tag=tag,
        what=what_was_pushed(row) if row.repository else "",
        kind=row.kind,
        receiver=row.receiver_name,
        receiver_url=links.receiver_page_url(row.project, row.receiver) if may_see and row.receiver else "",
        origin=_origin(row),
        state=state_of(row),
        code=_failing_code(row),
        reason=reason_of(row, refreshes, zone),
        warehouses=row.warehouses,
        duration_ms=row.duration_ms,
    )


def state_of(row: Delivery) -> State:
    """Return the outcome of a delivery as a row shows it."""
    if row.origin == Origin.TEST and row.outcome in TESTS:
        return State("test", "flask", label(row.outcome))
    kind = tone(row.outcome)
    if kind is Tone.OPEN:
        return State("run", "run", "In progress" if row.outcome == Outcome.PENDING else label(row.outcome))
    return State(kind.value, kind.value, label(row.outcome))


def reason_of(row: Delivery, refreshes: Sequence[Refresh], zone: tzinfo) -> str:
    """Return why a delivery has its outcome, or what happened, in a sentence or two."""
    summary = summarize(row, refreshes, zone)
    partly = headline_of(row) if 0 < row.with_freight < row.warehouses else ""
    if summary.why and partly:
        return f"{partly}. {summary.why}"
    return summary.why or summary.happened


def _scope(rows: Sequence[Delivery]) -> str:
    """Return the project of the deliveries if all of them have the same."""
    projects = {row.project for row in rows}
    return f"{scope_name(projects.pop())}, " if len(projects) == 1 else ""


def _origin(row: Delivery) -> str:
    return "" if row.origin == Origin.PUSH else str(Origin(row.origin).label)


def _failing_code(row: Delivery) -> int | None:
    return row.status if row.status and row.status >= FAILING else None
