"""A request as it comes in: what its URL leads to, its body, and the row that records it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.utils import timezone

from kargoweb import tracing
from receivers.cluster.cache import ClusterCache
from receivers.cluster.snapshot import Collision, Route
from receivers.deliveries.redaction import redact, redact_body, redact_headers
from receivers.kargo.kinds import KINDS
from receivers.kargo.receiver_path import digest_suffix
from receivers.kargo.scopes import ReceiverKey
from receivers.models import ADDRESS_LENGTH, PATH_LENGTH, Delivery, Origin, storable
from receivers.webhook import results
from receivers.webhook.results import IntakeResult
from receivers.webhook.signed_test_tokens import InvalidTestToken, TestToken, verify
from receivers.webhook.url_registry import UrlRegistry

DELIVERY_HEADER: Final = "X-Kargoweb-Delivery"
"""The header of a response with the id of the delivery."""


class BodyTooLarge(Exception):
    """The body has more than `responses.MAX_BODY` bytes."""


class BodyIncomplete(Exception):
    """The sender closed the connection before the end of the body; the text says after how many bytes."""


class BodyNotRead(Exception):
    """The body was not read, because the URL was unknown when the request arrived."""


@dataclass(frozen=True, slots=True)
class IncomingRequest:
    """A POST to something that looks like a receiver URL.

    `read_body` reads the body, once, and raises `BodyTooLarge`, `BodyIncomplete` or `BodyNotRead`. It is only called
    for known URLs.
    `test_token` marks a test (see `signed_test_tokens`) and is None for other requests; it isn't among the headers. A
    token that the server or a proxy could not read is empty, and marks a test, too.
    """

    kind: str
    digest: str
    path: str
    headers: Sequence[tuple[str, str]]
    client_address: str
    user_agent: str
    read_body: Callable[[], bytes]
    test_token: str | None = None

    @property
    def query(self) -> str:
        """Return the query string."""
        return self.path.partition("?")[2]


@dataclass(frozen=True, slots=True)
class Target:
    """What a known URL leads to: the receivers that it belongs to, or once belonged to.

    Requests are recorded under the first one. `rejection` is the result of every request if none may be processed.
    """

    routes: tuple[Route, ...]
    rejection: IntakeResult | None = None

    @property
    def receivers(self) -> list[ReceiverKey]:
        """Return the keys of the receivers."""
        return [(route.project, route.receiver) for route in self.routes]


def find_target(cache: ClusterCache, urls: UrlRegistry, kind: str, digest: str) -> Target | None:
    """Return what a receiver URL leads to; None if it never belonged to a receiver of this kind."""
    route = cache.route(digest)
    if isinstance(route, Collision):
        return Target(route.routes, results.collision(route.routes))
    if route is None:
        retired = urls.retired(kind, digest)
        return Target((retired.route,), results.retired_url()) if retired else None
    if route.kind != kind:
        return None
    return Target((route,), None if kind in KINDS else results.unsupported_kind(kind))


def read_body(request: IncomingRequest) -> tuple[bytes, IntakeResult | None]:
    """Return the body. If it can't be read, return an empty one and the result of the request.

    Raises `BodyNotRead`.
    """
    try:
        return request.read_body(), None
    except BodyTooLarge:
        return b"", results.body_too_large()
    except BodyIncomplete as error:
        return b"", results.invalid_body(str(error))


def identify_test(
    request: IncomingRequest, target: Target, body: bytes
) -> tuple[TestToken | None, IntakeResult | None]:
    """Return the token of a test, or the result of a request with an invalid one; neither for other requests.

    A request with an invalid token is not treated as a push: a dry run must not refresh anything because its token has
    expired.
    """
    if request.test_token is None:
        return None, None
    try:
        return verify(request.test_token, target.receivers, body), None
    except InvalidTestToken as error:
        return None, results.refused_test(str(error))


def new_delivery(
    request: IncomingRequest, target: Target, body: bytes, test: TestToken | None = None
) -> Delivery:
    """Return the unsaved delivery of a request, free of credentials. The token of a test determines its id."""
    route = target.routes[0]
    identity: dict[str, Any] = {}
    if test is not None:
        identity = {"id": test.delivery, "origin": Origin.TEST, "actor": storable(test.user)}
    delivery = Delivery(
        **identity,
        traceparent=tracing.traceparent(),
        received_at=timezone.now(),
        project=route.project,
        receiver=route.receiver,
        kind=request.kind,
        url_suffix=digest_suffix(request.digest),
        client_address=storable(redact(request.client_address, request.digest), ADDRESS_LENGTH),
        user_agent=storable(redact(request.user_agent, request.digest)),
        path=storable(redact(request.path, request.digest), PATH_LENGTH),
        headers=redact_headers(request.headers, request.digest),
    )
    delivery.body = redact_body(body, request.digest)
    return delivery
