"""The HTTP endpoint for pushes: read the request within bounds, pass it on, write the response."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from io import UnsupportedOperation
from typing import Any, BinaryIO, Final

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from receivers.accounts.client_address import client_address
from receivers.kargo import responses
from receivers.webhook.incoming import (
    DELIVERY_HEADER,
    BodyIncomplete,
    BodyNotRead,
    BodyTooLarge,
    IncomingRequest,
)
from receivers.webhook.intake import Reply

log = logging.getLogger(__name__)

RECEIVER_URL: Final = r"^(?:.*/)?(?!receivers/)(?P<kind>[a-z0-9]+)/(?P<digest>[0-9a-f]{64})/?$"
"""A receiver URL's path without its first slash. With any prefix: an Ingress may or may not strip its base path.

A receiver may be named like a digest, so its page is excepted.
"""

TEST_HEADER: Final = "HTTP_X_KARGOWEB_TEST"
TEST_FIELD: Final = "x-kargoweb-test"
# A test token is a credential while it is valid, so it isn't recorded.
NOT_HEADERS: Final = frozenset({TEST_HEADER})


class AnyAccept(BaseContentNegotiation):
    """Accepts every Accept header: there is one format of responses, as in Kargo."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        """Return None: the body is read as bytes."""
        return None

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """Return the first renderer, whatever the client accepts."""
        renderer = next(iter(renderers))
        return renderer, renderer.media_type


class BytesRenderer(BaseRenderer):
    """Sends the bytes of a response as they are: they are JSON already, byte for byte that of Kargo."""

    media_type = responses.CONTENT_TYPE
    format = "json"
    charset = None
    render_style = "binary"

    def render(
        self,
        data: bytes,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        """Return `data`."""
        return data


class Webhook(APIView):
    """`POST <any prefix>/<kind>/<digest>`: the receiver URLs. The digest is the credential."""

    authentication_classes = ()
    permission_classes = ()
    throttle_classes = ()
    parser_classes = ()
    renderer_classes = (BytesRenderer,)
    content_negotiation_class = AnyAccept
    http_method_names = ("post",)
    schema = None  # no part of the API

    take: Callable[[IncomingRequest], Reply] | None = None
    """Processes a request. The URLconf passes it in, because this room doesn't know what the process runs."""

    def post(self, request: Request, kind: str, digest: str) -> Response:
        """Process a push."""
        if self.take is None:
            raise ImproperlyConfigured("pass `take` to Webhook.as_view() in the URLconf")
        return _respond(self.take(_incoming(request, kind, digest)))

    def get_exception_handler(self) -> Callable[[Exception, Mapping[str, Any]], Response]:
        """Return the handler whose responses look like Kargo's, instead of that of the API."""
        return respond_to_exception


def not_served_here(request: HttpRequest, kind: str, digest: str) -> HttpResponse:
    """Return 404 and log it: a push came to a process that serves no receiver URLs (`KARGOWEB_ROLE=dashboard`)."""
    log.warning(
        "rejected a %s request: KARGOWEB_ROLE=dashboard serves no receiver URLs; route them to a pod that does",
        kind,
    )
    return HttpResponse(
        "This server has no receiver URLs.\n", status=404, content_type="text/plain; charset=utf-8"
    )


def respond_to_exception(exc: Exception, context: Mapping[str, Any]) -> Response:
    """Return 405 for any method but POST. Log any other exception and return 500 without details, as Kargo does.

    Kargo accepts any method, but opening the URL in a browser must not count as a push.
    """
    if isinstance(exc, MethodNotAllowed):
        return _respond(Reply(responses.METHOD_NOT_ALLOWED))
    log.error("failed to process a push", exc_info=exc)
    return _respond(Reply(responses.ERROR))


def _respond(reply: Reply) -> Response:
    headers = dict(reply.answer.headers)
    content_type = next((value for name, value in headers.items() if name.lower() == "content-type"), None)
    headers["Content-Length"] = str(len(reply.answer.body))
    if reply.delivery is not None:
        headers[DELIVERY_HEADER] = str(reply.delivery)
    if reply.retry_after:
        headers["Retry-After"] = str(math.ceil(reply.retry_after))
    return Response(reply.answer.body, reply.answer.status, headers=headers, content_type=content_type)


def _incoming(request: Request, kind: str, digest: str) -> IncomingRequest:
    environ = request.META
    return IncomingRequest(
        kind=kind,
        digest=digest,
        path=request.get_full_path(),
        headers=_headers(environ),
        client_address=client_address(environ, settings.KARGOWEB.forwarded_hops),
        user_agent=environ.get("HTTP_USER_AGENT", ""),
        # The stream of WSGI, because DRF and Django take a chunked body, which has no length, for an empty one.
        read_body=lambda: read_body(environ["wsgi.input"], environ.get("CONTENT_LENGTH", "")),
        test_token=environ.get(TEST_HEADER),
    )


def _headers(environ: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the request's headers in title case; servers don't keep the original spelling.

    Those of one name are separate if the server keeps them so, which WSGI doesn't.
    """
    if (fields := environ.get("kargoweb.headers")) is not None:
        content = [(name, value) for name, value in fields if name in {"content-type", "content-length"}]
        others = sorted(
            (name, value) for name, value in fields if name not in {"content-type", "content-length"}
        )
        return [(name.title(), value) for name, value in (*content, *others) if name != TEST_FIELD]
    content = [
        ("Content-Type", environ.get("CONTENT_TYPE", "")),
        ("Content-Length", environ.get("CONTENT_LENGTH", "")),
    ]
    named = [
        (key[5:].replace("_", "-").title(), value)
        for key, value in environ.items()
        if key.startswith("HTTP_") and key not in NOT_HEADERS
    ]
    return [(name, value) for name, value in content if value] + sorted(named)


def read_body(stream: BinaryIO, content_length: str) -> bytes:
    """Return a body of at most `responses.MAX_BODY` bytes, with or without a Content-Length.

    Raises `BodyTooLarge`, `BodyIncomplete` if the sender closed the connection or was too slow, or `BodyNotRead`.
    """
    expected = int(content_length) if content_length.isdecimal() else None
    if expected is not None and expected > responses.MAX_BODY:
        raise BodyTooLarge
    chunks: list[bytes] = []
    size = 0
    try:
        while size != expected and (chunk := stream.read(responses.MAX_BODY + 1)):
            size += len(chunk)
            chunks.append(chunk)
    except UnsupportedOperation as error:
        raise BodyNotRead from error
    except TimeoutError as error:
        raise BodyIncomplete(f"{error}: {size} of {expected or 'unknown'} bytes") from error
    if size > responses.MAX_BODY:
        raise BodyTooLarge
    if expected is not None and size < expected:
        raise BodyIncomplete(f"the connection was closed after {size} of {expected} bytes")
    return b"".join(chunks)
