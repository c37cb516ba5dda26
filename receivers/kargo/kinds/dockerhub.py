"""Parses the body of Docker Hub's webhook to a push, and composes such a body from a push.

Source: Kargo's `pkg/webhook/external/dockerhub.go`, which reads three fields, and recorded bodies. The pusher and the
time of the push are only shown; an unexpected value there does not make a body invalid.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Final

from receivers.kargo.golang import gojson
from receivers.kargo.kinds.invalid_body import InvalidBody
from receivers.kargo.kinds.webhook_request import WebhookRequest
from receivers.kargo.push import Push

_SHAPE: Final[gojson.Shape] = {
    "push_data": {
        "tag": gojson.JsonType.TEXT,
        "media_type": gojson.JsonType.TEXT,
        "pusher": gojson.JsonType.LOOSE,
        "pushed_at": gojson.JsonType.LOOSE,
    },
    "repository": {"repo_name": gojson.JsonType.TEXT},
}

_HOOK_ID: Final = "0" * 32  # Docker Hub's own are 32 hexadecimal characters


def parse(body: bytes) -> Push:
    """Parse the body of a Docker Hub webhook. Raise `InvalidBody` where Kargo responds with 400."""
    try:
        document = gojson.decode(body, _SHAPE)
    except gojson.InvalidJson as error:
        raise InvalidBody(str(error)) from error
    push_data = document.get("push_data", {})
    pusher = push_data.get("pusher", "")
    return Push(
        repository=document.get("repository", {}).get("repo_name", ""),
        tag=push_data.get("tag", ""),
        media_type=push_data.get("media_type", ""),
        pusher=pusher if isinstance(pusher, str) else "",
        pushed_at=_timestamp(push_data.get("pushed_at")),
    )


def read(request: WebhookRequest) -> Push:
    """Return the push in a request: nothing but its body matters. Raise `InvalidBody` as `parse` does."""
    return parse(request.body)


def compose(repository: str, tag: str, *, media_type: str, pusher: str, pushed_at: int) -> bytes:
    """Return the body that Docker Hub has sent for a push since the end of 2022. `pushed_at` is in Unix seconds."""
    namespace, _, name = repository.rpartition("/")
    body = {
        "callback_url": f"https://registry.hub.docker.com/u/{repository}/hook/{_HOOK_ID}/",
        "push_data": {
            "pusher": pusher,
            "pushed_at": pushed_at,
            "tag": tag,
            "images": [],
            "media_type": media_type,
        },
        "repository": {
            "status": "Active",
            "namespace": namespace,
            "name": name,
            "repo_name": repository,
            "repo_url": f"https://hub.docker.com/r/{repository}",
            "description": "",
            "full_description": None,
            "star_count": 0,
            "is_private": False,
            "is_trusted": False,
            "is_official": False,
            "owner": namespace,
            "date_created": pushed_at,
        },
    }
    return json.dumps(body).encode()


def compose_push(push: Push) -> bytes:
    """Return the body that Docker Hub sends for `push`. Raise ValueError if it has no `pushed_at`."""
    if push.pushed_at is None:
        raise ValueError("a Docker Hub push needs pushed_at")
    seconds = int(push.pushed_at.timestamp())
    return compose(
        push.repository, push.tag, media_type=push.media_type, pusher=push.pusher, pushed_at=seconds
    )


def _timestamp(seconds: object) -> datetime | None:
    """Return Unix seconds as a time in UTC; None for anything else, and for years that Python does not support."""
    if not isinstance(seconds, float):
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None
