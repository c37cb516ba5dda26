"""What the log records of a request: the delivery and its result."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from receivers.cluster.snapshot import Collision, Route
from receivers.deliveries.redaction import redact, redact_headers
from receivers.kargo import responses
from receivers.kargo.kinds import KINDS, InvalidBody
from receivers.kargo.matching import Verdict
from receivers.kargo.push import Push
from receivers.kargo.receiver_path import digest_suffix
from receivers.kargo.responses import WebhookResponse
from receivers.kargo.scopes import ReceiverKey, scope_name
from receivers.models import ADDRESS_LENGTH, PATH_LENGTH, Delivery, Outcome, storable
from receivers.refreshes.sender import RequestResult
from receivers.webhook.url_registry import RetiredReceiver

Target = Route | Collision | RetiredReceiver
"""What a URL leads to: a receiver, several receivers that share it, or a receiver that it once belonged to."""


class BodyTooLarge(Exception):
    """The body has more than `responses.MAX_BODY` bytes."""


class BodyIncomplete(Exception):
    """The sender closed the connection before the end of the body; the text says after how many bytes."""


@dataclass(frozen=True, slots=True)
class IncomingRequest:
    """A POST to something that looks like a receiver URL.

    `read_body` reads the body, once, and raises `BodyTooLarge` or `BodyIncomplete`; it is only called for known URLs.
    `test_token` marks a test (see `signed_test_tokens`) and is empty for other requests; it isn't among the headers.
    """

    kind: str
    digest: str
    path: str
    headers: Sequence[tuple[str, str]]
    client_address: str
    user_agent: str
    read_body: Callable[[], bytes]
    test_token: str = ""


@dataclass(slots=True)
class IntakeResult:
    """The result of a delivery, before it is recorded. `requests` has one entry for each matching Warehouse."""

    outcome: Outcome
    response: WebhookResponse
    reason: str = ""
    push: Push | None = None
    verdicts: Sequence[Verdict] = ()
    requests: Sequence[RequestResult] = ()

    @property
    def all_failed(self) -> bool:
        """Say whether Warehouses matched and the request to refresh failed for every one of them."""
        return bool(self.requests) and all(request.attempt is None for request in self.requests)


def new_delivery(request: IncomingRequest, target: Target) -> Delivery:
    """Return the unsaved delivery for a request, without a body and free of credentials."""
    route = routes_of(target)[0]
    return Delivery(
        received_at=timezone.now(),
        project=route.project,
        receiver=route.receiver,
        kind=request.kind,
        url_suffix=digest_suffix(request.digest),
        client_address=storable(request.client_address, ADDRESS_LENGTH),
        user_agent=storable(request.user_agent),
        path=storable(redact(request.path), PATH_LENGTH),
        headers=redact_headers(request.headers),
    )


def routes_of(target: Target) -> tuple[Route, ...]:
    """Return the routes of every receiver that the URL belongs to, or once belonged to."""
    if isinstance(target, Collision):
        return target.routes
    return (target.route if isinstance(target, RetiredReceiver) else target,)


def receivers_of(target: Target) -> list[ReceiverKey]:
    """Return every receiver that the URL belongs to, or once belonged to."""
    return [(route.project, route.receiver) for route in routes_of(target)]


def rejection(target: Target) -> IntakeResult | None:
    """Return the result of a request whose URL leads to no usable receiver; None if it leads to one."""
    if isinstance(target, RetiredReceiver):
        return IntakeResult(
            Outcome.RETIRED_URL,
            responses.NOT_FOUND,
            "this is an old URL of the receiver; its Secret or name has changed",
        )
    if isinstance(target, Collision):
        return IntakeResult(Outcome.COLLISION, responses.NOT_FOUND, f"{_sharers(target)} share one URL")
    if target.kind not in KINDS:
        return IntakeResult(
            Outcome.UNSUPPORTED_KIND,
            responses.NOT_FOUND,
            f"kargoweb does not support {target.kind} receivers",
        )
    return None


def rejected_test(reason: str) -> IntakeResult:
    """Return the result of a request with an invalid test token."""
    return IntakeResult(Outcome.TEST_REFUSED, responses.refused_test(reason), reason)


def _sharers(collision: Collision) -> str:
    """Name the receivers of the delivery's own project, for its readers may not see the others, and count the rest."""
    project = collision.routes[0].project
    own = [
        f"{scope_name(project)}/{route.receiver}" for route in collision.routes if route.project == project
    ]
    others = len(collision.routes) - len(own)
    return ", ".join([*own, *([f"{others} receiver(s) of other projects"] if others else [])])


def read_body(request: IncomingRequest, delivery: Delivery) -> IntakeResult | None:
    """Read the body into the delivery. Return the result of a request whose body can't be read; else None."""
    try:
        delivery.body = request.read_body()
    except BodyTooLarge:
        return IntakeResult(
            Outcome.TOO_LARGE,
            responses.TOO_LARGE,
            f"the body is larger than {responses.MAX_BODY} bytes",
        )
    except BodyIncomplete as error:
        return IntakeResult(Outcome.INVALID_BODY, responses.INVALID_BODY, str(error))
    return None


def parse_push(delivery: Delivery) -> Push | None:
    """Return the push in the body of a rejected request, or None: it shows which webhook has an outdated URL."""
    try:
        return KINDS[delivery.kind].parse(bytes(delivery.body)) if delivery.kind in KINDS else None
    except InvalidBody:
        return None


def record_response(delivery: Delivery, result: IntakeResult, started: float) -> None:
    """Set the response of a delivery and the milliseconds since `started` (in `time.monotonic` seconds)."""
    delivery.status = result.response.status
    delivery.answer = result.response.body.decode().rstrip("\n")
    delivery.duration_ms = (time.monotonic() - started) * 1000


def record_result(delivery: Delivery, result: IntakeResult) -> None:
    """Set the outcome of a delivery, and its end if it requested no refresh."""
    delivery.outcome, delivery.reason = result.outcome, storable(result.reason)
    delivery.warehouses = len(result.requests)
    if not result.requests:
        delivery.ended_at = timezone.now()
    delivery.verdicts = [_storable_verdict(verdict) for verdict in result.verdicts]
    if result.push is not None:
        record_push(delivery, result.push)


def record_push(delivery: Delivery, push: Push) -> None:
    """Set what was pushed."""
    delivery.repository, delivery.tag = storable(push.repository), storable(push.tag)
    delivery.media_type, delivery.pusher = storable(push.media_type), storable(push.pusher)
    delivery.pushed_at = push.pushed_at


def _storable_verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        key: storable(value) if isinstance(value, str) else value for key, value in verdict.as_dict().items()
    }
