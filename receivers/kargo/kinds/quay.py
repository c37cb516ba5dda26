"""Reads the notifications of Quay, whatever their event.

The URL is the only credential. Source: Kargo's `pkg/webhook/external/quay.go`.
https://docs.quay.io/guides/notifications.html describes the notification "Push to Repository".
"""

from __future__ import annotations

import json
from typing import Final

from receivers.kargo.golang.gojson import JsonType, ListOf, Shape, elements
from receivers.kargo.kinds.decoding import decode
from receivers.kargo.kinds.webhook_request import WebhookRequest
from receivers.kargo.push import Push

_SHAPE: Final[Shape] = {"docker_url": JsonType.TEXT, "updated_tags": ListOf(JsonType.TEXT)}


def read(request: WebhookRequest) -> Push:
    """Return the push. Raise `InvalidBody` where Kargo responds with 400.

    A notification without tags, such as that of a build, refreshes every Warehouse of the repository, as in Kargo.
    """
    document = decode(request.body, _SHAPE)
    tags = [tag for tag in elements(document.get("updated_tags")) if tag]
    return Push(document.get("docker_url", ""), tags[0] if tags else "", other_tags=tuple(tags[1:]))


def compose(push: Push) -> bytes:
    """Return the body of the notification "Push to Repository"."""
    host, _, repository = push.repository.partition("/")
    namespace, _, name = repository.rpartition("/")
    body = {
        "name": name,
        "repository": repository,
        "namespace": namespace,
        "docker_url": push.repository,
        "homepage": f"https://{host}/repository/{repository}",
        "updated_tags": list(push.tags),
    }
    return json.dumps(body).encode()
