"""Docker Hub's webhook: from its body to a push, and from a push to the body that Docker Hub would send.

Source: Kargo's `pkg/webhook/external/dockerhub.go`, which reads three fields, and bodies seen in the wild. Who pushed
and when is for people; whatever stands there cannot make a body invalid.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Final

from receivers.kargo.golang import gojson
from receivers.kargo.kinds.errors import InvalidBody
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
    """Read the body of a Docker Hub webhook; raise `InvalidBody` when Kargo would answer 400."""
    try:
        found = gojson.decode(body, _SHAPE)
    except gojson.InvalidJson as error:
        raise InvalidBody(str(error)) from error
    push_data = found.get("push_data", {})
    pusher = push_data.get("pusher", "")
    return Push(
        repository=found.get("repository", {}).get("repo_name", ""),
        tag=push_data.get("tag", ""),
        media_type=push_data.get("media_type", ""),
        pusher=pusher if isinstance(pusher, str) else "",
        pushed_at=_moment(push_data.get("pushed_at")),
    )


def compose(repository: str, tag: str, *, media_type: str, pusher: str, pushed_at: int) -> bytes:
    """Write the body that Docker Hub sends for a push since the end of 2022. `pushed_at` is in Unix seconds."""
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
    """Write the body that Docker Hub sends for `push`, which must say when it was pushed (else ValueError)."""
    if push.pushed_at is None:
        raise ValueError("Docker Hub always says when")
    seconds = int(push.pushed_at.timestamp())
    return compose(
        push.repository, push.tag, media_type=push.media_type, pusher=push.pusher, pushed_at=seconds
    )


def _moment(seconds: object) -> datetime | None:
    """Return Unix seconds as a time; None for what is none, or beyond the years that Python counts."""
    if not isinstance(seconds, float):
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None
