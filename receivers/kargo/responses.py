"""The answers to a push, byte for byte as Kargo's external webhooks server gives them.

Source: Kargo's `pkg/webhook/external/{server,router,refresh}.go` and `pkg/http`. Each body is one line of compact JSON
and a newline, of type `application/json`. What is refused with 403, 405 or 503 is ours; Kargo has no such answers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

CONTENT_TYPE: Final = "application/json"

MAX_BODY: Final = 2 << 20
"""Bytes. Kargo reads no more of any receiver's body; Docker Hub's bodies have 1 to 10 KB."""


@dataclass(frozen=True, slots=True)
class WebhookResponse:
    """An HTTP answer: its status code and the bytes of its body, of type `CONTENT_TYPE`."""

    status: int
    body: bytes


def _answer(status: int, **members: str) -> WebhookResponse:
    return WebhookResponse(
        status, json.dumps(members, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
    )


def refreshed(count: int) -> WebhookResponse:
    """Return the answer for a push after which `count` Warehouses (0 or more) were asked to refresh."""
    return _answer(200, msg=f"refreshed {count} warehouse(s)")


def failed(failures: int, total: int) -> WebhookResponse:
    """Return the answer for a push of which `failures` (1 or more) of `total` Warehouses could not be asked."""
    return _answer(500, error=f"failed to refresh {failures} of {total} warehouses")


def refused_test(reason: str) -> WebhookResponse:
    """Return the answer for a test whose ticket is not good for it, with a `reason` that gives nothing away."""
    return _answer(403, error=f"test refused: {reason}")


def unavailable(reason: str) -> WebhookResponse:
    """Return the answer for a push that cannot be worked on now, with a `reason` that gives nothing away."""
    return _answer(503, error=reason)


INVALID_BODY: Final = _answer(400, error="invalid request body")
NOT_FOUND: Final = _answer(404)
METHOD_NOT_ALLOWED: Final = _answer(405, error="only POST is taken here")
TOO_LARGE: Final = _answer(413, error=f"content exceeds limit of {MAX_BODY} bytes")
UNAVAILABLE: Final = unavailable("not ready to take this push; please send it again")
