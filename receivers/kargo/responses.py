"""The HTTP responses to a push, byte for byte those of Kargo's external webhooks server.

Source: Kargo's `pkg/webhook/external/{server,router,refresh}.go` and `pkg/http`. Each body is one line of compact JSON
and a newline, of type `application/json`. The 403, 405, 429 and 503 responses are ours; Kargo has none of them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

CONTENT_TYPE: Final = "application/json"

MAX_BODY: Final = 2 << 20
"""Bytes; Kargo's limit for every kind of receiver. Docker Hub's bodies have 1 to 10 KB."""


@dataclass(frozen=True, slots=True)
class WebhookResponse:
    """An HTTP response: its status code and its body, of type `CONTENT_TYPE`.

    `headers` are those of a response that Kargo's own server made, with the type of its body.
    """

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


def _response(status: int, **members: str) -> WebhookResponse:
    return WebhookResponse(
        status, json.dumps(members, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
    )


def refreshed(count: int) -> WebhookResponse:
    """Return the response to a push that refreshed `count` (0 or more) Warehouses."""
    return _response(200, msg=f"refreshed {count} warehouse(s)")


def failed(failures: int, total: int) -> WebhookResponse:
    """Return the response to a push for which `failures` (1 or more) of `total` Warehouses could not be refreshed."""
    return _response(500, error=f"failed to refresh {failures} of {total} warehouses")


def message(text: str) -> WebhookResponse:
    """Return the response to an event that refreshes nothing, such as a ping."""
    return _response(200, msg=text)


def refused(status: int, text: str) -> WebhookResponse:
    """Return the response to a request that is not processed, with the text that Kargo sends."""
    return _response(status, error=text)


def refreshed_promotions(count: int) -> WebhookResponse:
    """Return the response to a closed pull request for which `count` (0 or more) Promotions were refreshed."""
    return _response(200, msg=f"refreshed {count} promotion(s)")


def failed_promotions(failures: int, total: int) -> WebhookResponse:
    """Return the response if `failures` (1 or more) of `total` Promotions could not be refreshed."""
    return _response(500, error=f"failed to refresh {failures} of {total} promotion(s)")


def refused_test(reason: str) -> WebhookResponse:
    """Return the response to a test push with an invalid token; `reason` must not disclose anything."""
    return _response(403, error=f"test refused: {reason}")


def unavailable(reason: str) -> WebhookResponse:
    """Return the response to a push that cannot be processed now; `reason` must not disclose anything."""
    return _response(503, error=reason)


INVALID_BODY: Final = _response(400, error="invalid request body")
NOTHING: Final = _response(200)
"""The response to an event that is known, and refreshes nothing."""

EMPTY: Final = WebhookResponse(200, b"")
UNAUTHORIZED: Final = _response(401)
NOT_FOUND: Final = _response(404)
ERROR: Final = _response(500)
"""The response if the API server is unreachable, or to anything unexpected: Kargo hides what went wrong."""

METHOD_NOT_ALLOWED: Final = _response(405, error="only POST is taken here")
TOO_LARGE: Final = _response(413, error=f"content exceeds limit of {MAX_BODY} bytes")
TOO_MANY: Final = _response(429, error="too many requests to this receiver; please send it again later")
UNAVAILABLE: Final = unavailable("not ready to take this push; please send it again")
