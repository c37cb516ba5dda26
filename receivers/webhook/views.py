"""The HTTP edge of a push: bounded bytes in, the stored answer out."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable
from typing import Any, BinaryIO, Final

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from receivers.accounts.client_address import client_address
from receivers.kargo import responses
from receivers.kargo.responses import WebhookResponse
from receivers.webhook.intake import Reply
from receivers.webhook.recording import BodyIncomplete, BodyTooLarge, IncomingRequest

log = logging.getLogger(__name__)

READ_SIZE: Final = 64 << 10  # bytes asked of the socket at a time
DRAINED: Final = (
    256 << 10
)  # bytes read beyond the limit, as Go does: a sender cut off in mid-body may miss our answer
DELIVERY_HEADER: Final = "X-Kargoweb-Delivery"
MACHINE_PATH: Final = re.compile(r"^/(healthz|readyz|metrics)$|/[a-z0-9]+/[0-9a-f]{64}/?$")
# granian hands the process environment to every request, where HTTP_PROXY looks like a header "Proxy".
# A ticket is a credential for as long as it is good.
TICKET: Final = "HTTP_X_KARGOWEB_TEST"
NOT_HEADERS: Final = frozenset(name for name in os.environ if name.startswith("HTTP_")) | {TICKET}


def is_machine_path(path: str) -> bool:
    """Say whether `path` belongs to machines: a probe or, under any prefix, a receiver URL."""
    return MACHINE_PATH.search(path) is not None


class AnyAccept(BaseContentNegotiation):
    """Takes every Accept header: the answer is JSON, as Kargo's is."""

    def select_parser(self, request: Request, parsers: Any) -> BaseParser | None:
        """Parse nothing: the body is read as bytes."""
        return None

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """Return JSON, whatever was asked for."""
        return JSONRenderer(), responses.CONTENT_TYPE


class Webhook(APIView):
    """`POST <any prefix>/<kind>/<digest>`: the receiver URLs. Who knows the digest may call it."""

    authentication_classes = ()
    permission_classes = ()
    throttle_classes = ()
    parser_classes = ()
    content_negotiation_class = AnyAccept
    http_method_names = ("post",)

    take: Callable[[IncomingRequest], Reply] | None = None
    """What answers a call: the URLconf hands it in, for this room does not know what a process runs."""

    def post(self, request: Request, kind: str, digest: str) -> HttpResponse:
        """Take a push."""
        if self.take is None:
            raise ImproperlyConfigured("the URLconf has to pass `take` to Webhook.as_view()")
        return _respond(self.take(_call(request._request, kind, digest)))

    def http_method_not_allowed(self, request: Any, *args: Any, **kwargs: Any) -> HttpResponse:  # type: ignore[override]
        """Refuse everything but POST: Kargo takes any method, and a browser that opens the URL is no push."""
        return _respond(Reply(responses.METHOD_NOT_ALLOWED))

    def handle_exception(self, exc: Exception) -> HttpResponse:  # type: ignore[override]
        """Answer a fault of ours as Kargo does: 500 and nothing that helps a stranger. It is in the log."""
        log.error("a push could not be taken", exc_info=exc)
        return _respond(Reply(WebhookResponse(500, responses.NOT_FOUND.body)))


def _respond(reply: Reply) -> HttpResponse:
    response = HttpResponse(
        reply.answer.body, status=reply.answer.status, content_type=responses.CONTENT_TYPE
    )
    response["Content-Length"] = str(len(reply.answer.body))
    if reply.delivery is not None:
        response[DELIVERY_HEADER] = str(reply.delivery)
    return response


def _call(request: HttpRequest, kind: str, digest: str) -> IncomingRequest:
    environ = request.META
    return IncomingRequest(
        kind=kind,
        digest=digest,
        path=request.get_full_path(),
        headers=_headers(environ),
        client_address=client_address(environ, settings.KARGOWEB.forwarded_hops),
        user_agent=environ.get("HTTP_USER_AGENT", ""),
        read_body=lambda: read_body(environ["wsgi.input"], environ.get("CONTENT_LENGTH", "")),
        ticket=environ.get(TICKET, ""),
    )


def _headers(environ: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the request's headers with their usual names, as far as WSGI keeps them."""
    found = [
        ("Content-Type", environ.get("CONTENT_TYPE", "")),
        ("Content-Length", environ.get("CONTENT_LENGTH", "")),
    ]
    named = [
        (key[5:].replace("_", "-").title(), value)
        for key, value in environ.items()
        if key.startswith("HTTP_") and key not in NOT_HEADERS
    ]
    return [(name, value) for name, value in found if value] + sorted(named)


def read_body(stream: BinaryIO, content_length: str) -> bytes:
    """Read a body of at most `answers.MAX_BODY` bytes, with or without a length announced.

    Raises `BodyTooLarge` (keeping nothing, and reading little, if the announced length is too large) or
    `BodyIncomplete`.
    """
    announced = int(content_length) if content_length.isdecimal() else None
    if announced is not None and announced > responses.MAX_BODY:
        _drain(stream)
        raise BodyTooLarge
    chunks: list[bytes] = []
    size = 0
    # Not read to its end when the end is known: every read hands the interpreter to another thread.
    while size != announced and (chunk := stream.read(READ_SIZE)):
        size += len(chunk)
        if size > responses.MAX_BODY:
            chunks.clear()  # the exception would hold on to them
            _drain(stream)
            raise BodyTooLarge
        chunks.append(chunk)
    if announced is not None and size < announced:
        raise BodyIncomplete(f"the sender hung up after {size} of {announced} bytes")
    return b"".join(chunks)


def _drain(stream: BinaryIO) -> None:
    for _ in range(DRAINED // READ_SIZE):
        if not stream.read(READ_SIZE):
            return
