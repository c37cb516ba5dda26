"""Decode the bodies of write requests, in JSON or protobuf, and their `dryRun` option."""

from __future__ import annotations

from typing import Any

import orjson

from demo.apiserver import protobuf
from demo.apiserver.errors import bad_request, unsupported_media_type
from demo.apiserver.messages import Request


def media_type(request: Request) -> str:
    """Return the content type without parameters, or JSON if the request has none."""
    return request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()


def body_json(request: Request) -> Any:
    """Return the body, decoded from JSON or protobuf. Raises `ApiError` 400 or 415."""
    content_type = media_type(request)
    if content_type not in ("application/json", protobuf.MEDIA_TYPE):
        raise unsupported_media_type("application/json", protobuf.MEDIA_TYPE)
    try:
        return (
            protobuf.decode(request.body)
            if content_type == protobuf.MEDIA_TYPE
            else orjson.loads(request.body)
        )
    except (orjson.JSONDecodeError, protobuf.ProtobufError) as error:
        raise bad_request(f"couldn't decode the body: {error}") from None


def dry_run(request: Request) -> bool:
    """Return whether the request is a dry run."""
    return request.query.get("dryRun") == "All"
