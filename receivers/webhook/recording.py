"""What goes on record of a call: its row, how it ended, and which refreshes it asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.utils import timezone

from receivers.cluster.snapshot import Collision, Route
from receivers.deliveries.redaction import redact, redact_headers
from receivers.kargo import responses
from receivers.kargo.kinds import KINDS, InvalidBody
from receivers.kargo.matching import Verdict
from receivers.kargo.push import Push
from receivers.kargo.responses import WebhookResponse
from receivers.models import ADDRESS_LENGTH, PATH_LENGTH, Delivery, Outcome, Refresh, storable
from receivers.refreshes.retries import note_attempt
from receivers.refreshes.sender import Asked
from receivers.webhook.url_registry import RetiredReceiver

# Characters of a digest that may be shown: enough to tell two apart, far too few to guess one.
URL_SUFFIX: Final = 6

Target = Route | Collision | RetiredReceiver
"""The receiver that a URL belongs to, or once did; or several, which is a collision."""


class BodyTooLarge(Exception):
    """The body has more than `answers.MAX_BODY` bytes."""


class BodyIncomplete(Exception):
    """The sender hung up in mid-body; the text says after how many bytes."""


@dataclass(frozen=True, slots=True)
class IncomingRequest:
    """One POST to something that looks like a receiver URL.

    `read_body` reads the body, once, and raises `BodyTooLarge` or `BodyIncomplete`; it is only called for known URLs.
    `ticket` is what says that the call is a test (see `tickets`), empty for all others; it is not among the headers.
    """

    kind: str
    digest: str
    path: str
    headers: Sequence[tuple[str, str]]
    client_address: str
    user_agent: str
    read_body: Callable[[], bytes]
    ticket: str = ""


@dataclass(slots=True)
class IntakeResult:
    """How a delivery ended, before it is written down."""

    outcome: Outcome
    answer: WebhookResponse
    reason: str = ""
    push: Push | None = None
    verdicts: Sequence[Verdict] = ()
    asked: Sequence[Asked] = ()

    @property
    def asked_in_vain(self) -> bool:
        """Say whether there are Warehouses to refresh and none of them could be asked."""
        return bool(self.asked) and all(one.requested_at is None for one in self.asked)


def new_delivery(call: IncomingRequest, target: Target) -> Delivery:
    """Return the row that puts the call on record, with nothing in it that is a credential."""
    route = target.routes[0] if isinstance(target, Collision) else target
    return Delivery(
        received_at=timezone.now(),
        project=route.project,
        receiver=route.receiver,
        kind=call.kind,
        url_suffix=call.digest[-URL_SUFFIX:],
        client_address=storable(call.client_address, ADDRESS_LENGTH),
        user_agent=storable(call.user_agent),
        path=storable(redact(call.path), PATH_LENGTH),
        headers=redact_headers(call.headers),
    )


def refusal_of(target: Target) -> IntakeResult | None:
    """Return the end of a call whose URL names no receiver that could take it; None if it does."""
    if isinstance(target, RetiredReceiver):
        return IntakeResult(
            Outcome.RETIRED_URL,
            responses.NOT_FOUND,
            "this URL was the receiver's until its Secret or name changed",
        )
    if isinstance(target, Collision):
        return IntakeResult(Outcome.COLLISION, responses.NOT_FOUND, f"one URL is that of {_named(target)}")
    if target.kind not in KINDS:
        return IntakeResult(Outcome.UNSUPPORTED_KIND, responses.NOT_FOUND, f"kargoweb does not speak {target.kind}")
    return None


def _named(collision: Collision) -> str:
    """Name the receivers of the project that has the delivery; whoever sees it may not know of others."""
    project = collision.routes[0].project
    own = [f"{project or 'cluster'}/{one.receiver}" for one in collision.routes if one.project == project]
    others = len(collision.routes) - len(own)
    return ", ".join([*own, *([f"{others} receiver(s) of other projects"] if others else [])])


def refused_test(reason: str) -> IntakeResult:
    """Return the end of a call whose ticket is not accepted, for this reason."""
    return IntakeResult(Outcome.TEST_REFUSED, responses.refused_test(reason), reason)


def owners(target: Target) -> list[tuple[str, str]]:
    """Return project and name of every receiver that the URL belongs to, or did."""
    owners = target.routes if isinstance(target, Collision) else (target,)
    return [(owner.project, owner.receiver) for owner in owners]


def read_body(call: IncomingRequest, delivery: Delivery) -> IntakeResult | None:
    """Read the body into the delivery; return the end of a call whose body cannot be read whole."""
    try:
        delivery.body = call.read_body()
    except BodyTooLarge:
        return IntakeResult(
            Outcome.TOO_LARGE, responses.TOO_LARGE, f"the body has more than {responses.MAX_BODY} bytes"
        )
    except BodyIncomplete as error:
        return IntakeResult(Outcome.INVALID_BODY, responses.INVALID_BODY, str(error))
    return None


def understood(delivery: Delivery) -> Push | None:
    """Return what was pushed, as far as a call tells that is refused: it shows whose webhook has an old URL."""
    try:
        return KINDS[delivery.kind].parse(bytes(delivery.body)) if delivery.kind in KINDS else None
    except InvalidBody:
        return None


def note_answer(delivery: Delivery, end: IntakeResult, started: float) -> None:
    """Put the answer on a delivery, and the milliseconds since `started` (of `time.monotonic`)."""
    delivery.status, delivery.answer = end.answer.status, end.answer.body.decode().rstrip("\n")
    delivery.duration_ms = (time.monotonic() - started) * 1000


def note_end(delivery: Delivery, end: IntakeResult) -> None:
    """Put an end on a delivery; if it asked no Warehouse, it is over now."""
    delivery.outcome, delivery.reason = end.outcome, storable(end.reason)
    delivery.warehouses = len(end.asked)
    if not end.asked:
        delivery.ended_at = timezone.now()
    delivery.verdicts = [_storable_verdict(verdict) for verdict in end.verdicts]
    if end.push is not None:
        note_push(delivery, end.push)


def note_push(delivery: Delivery, push: Push) -> None:
    """Put on a delivery what was pushed."""
    delivery.repository, delivery.tag = storable(push.repository), storable(push.tag)
    delivery.media_type, delivery.pusher = storable(push.media_type), storable(push.pusher)
    delivery.pushed_at = push.pushed_at


def new_refresh(delivery: Delivery, asked: Asked, now: datetime) -> Refresh:
    """Return the row of a Warehouse that was asked, or could not be, at `now`."""
    project, warehouse = asked.key
    # By its id: a refresh is kept while it is followed, and must not keep the body.
    refresh = Refresh(delivery_id=delivery.pk, project=project, warehouse=warehouse)
    note_attempt(refresh, asked, now)
    return refresh


def _storable_verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        key: storable(value) if isinstance(value, str) else value for key, value in verdict.as_dict().items()
    }
