"""Decodes bodies for the receiver kinds."""

from __future__ import annotations

from typing import Any

from receivers.kargo.golang import gojson
from receivers.kargo.kinds.invalid_body import InvalidBody


def decode(body: bytes, shape: gojson.Shape) -> dict[str, Any]:
    """Return the known fields of a body. Raise `InvalidBody` where Kargo responds with 400."""
    try:
        return gojson.decode(body, shape)
    except gojson.InvalidJson as error:
        raise InvalidBody(str(error)) from error


def is_null(body: bytes) -> bool:
    """Say whether the body is the JSON value null."""
    return body.strip(b" \t\r\n") == b"null"


def changed_files(commits: list[dict[str, Any]]) -> tuple[str, ...]:
    """Return the files that commits of a push have added, modified or removed, each once."""
    return tuple(
        dict.fromkeys(
            name
            for commit in commits
            for key in ("added", "modified", "removed")
            for name in gojson.elements(commit.get(key))
        )
    )
