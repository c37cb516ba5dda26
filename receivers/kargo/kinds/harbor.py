"""Reads Harbor's notifications about pushed artifacts, in Harbor's default format.

Source: Kargo's `pkg/webhook/external/harbor.go`.
https://goharbor.io/docs/main/working-with-projects/project-configuration/configure-webhooks describes the payload, and
the "Auth Header" that is sent as `Authorization`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from receivers.kargo import responses
from receivers.kargo.golang.gojson import JsonType, ListOf, Shape, elements
from receivers.kargo.kinds.decoding import decode
from receivers.kargo.kinds.events import Cause, Refused
from receivers.kargo.kinds.signatures import equal, missing, unauthorized
from receivers.kargo.kinds.webhook_request import WebhookRequest
from receivers.kargo.push import Push
from receivers.kargo.repository_names import names_of_push

AUTHORIZATION: Final = "Authorization"
_PUSH: Final = "PUSH_ARTIFACT"
_SHAPE: Final[Shape] = {
    "type": JsonType.TEXT,
    "operator": JsonType.LOOSE,
    "event_data": {"resources": ListOf({"tag": JsonType.TEXT, "resource_url": JsonType.TEXT})},
}


def authenticate(request: WebhookRequest, secret: bytes) -> None:
    """Raise `Refused` unless the header `Authorization` is the Secret."""
    given = request.headers.first(AUTHORIZATION)
    if not given:
        raise missing("authorization", f"the header {AUTHORIZATION} is missing")
    if not equal(given, secret):
        raise unauthorized(f"{AUTHORIZATION} doesn't match the receiver's Secret")


def read(request: WebhookRequest) -> Push:
    """Return the push, to the repository of the first resource. Raise `InvalidBody` or `Refused` as Kargo does."""
    document = decode(request.body, _SHAPE)
    event = document.get("type", "")
    if event != _PUSH:
        raise Refused(
            responses.refused(400, "unsupported event type"),
            Cause.EVENT,
            f"the event {event!r} refreshes nothing; only {_PUSH} in Harbor's default format does",
        )
    resources = elements(document.get("event_data", {}).get("resources"))
    tags = [resource.get("tag", "") for resource in resources]
    operator = document.get("operator", "")
    url = resources[0].get("resource_url", "") if resources else ""
    return Push(
        repository=url.removesuffix(f":{tags[0]}").removesuffix(f"@{tags[0]}") if resources else "",
        tag=next((tag for tag in tags if tag), ""),
        normalized=names_of_push(url, ""),
        pusher=operator if isinstance(operator, str) else "",
        other_tags=tuple(tags),
    )


def compose(push: Push) -> bytes:
    """Return the body of Harbor's notification about a pushed artifact."""
    resources = [{"tag": tag, "resource_url": f"{push.repository}:{tag}"} for tag in push.tags]
    body = {
        "type": _PUSH,
        "occur_at": int(push.pushed_at.timestamp()) if push.pushed_at else 0,
        "operator": push.pusher,
        "event_data": {"resources": resources or [{"resource_url": push.repository}]},
    }
    return json.dumps(body).encode()


def compose_headers(push: Push, body: bytes, secret: bytes) -> Mapping[str, str]:
    """Return the headers that Harbor sends."""
    return {"User-Agent": "Go-http-client/1.1", AUTHORIZATION: secret.decode("latin-1")}
