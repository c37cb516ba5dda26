"""Translate an HTTP status and a Kubernetes `Status` object to a `ClusterError`.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/ and `apimachinery/pkg/api/errors` (Go).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from receivers.cluster.errors import (
    AlreadyExists,
    ClusterError,
    Conflict,
    Forbidden,
    Gone,
    NotFound,
    NotInstalled,
    Rejected,
    ServerError,
    Throttled,
    Unauthorized,
)

# Characters of Kubernetes' message; admission webhooks may return very long ones
MESSAGE_LIMIT: Final = 1_000
_ERROR_BY_CODE: Final[dict[int, type[ClusterError]]] = {
    401: Unauthorized,
    403: Forbidden,
    410: Gone,
    429: Throttled,
}


def decode(body: bytes) -> dict[str, Any]:
    """Return the JSON object in `body`. Raises `ServerError` if it is anything else."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ServerError("the Kubernetes API returned something that is not JSON") from error
    if not isinstance(value, dict):
        raise ServerError("the Kubernetes API returned JSON that is not an object")
    return value


def error_of(code: int, body: bytes, retry_after: str | None, doing: str) -> ClusterError:
    """Return the error for a response with the HTTP status `code` (not 2xx).

    `retry_after` is the `Retry-After` header; `doing` is the attempted operation, for example `list warehouses`.
    """
    try:
        status = decode(body)
    except ServerError:
        status = {}
    return error_of_status(status, code, retry_after, doing)


def error_of_status(
    status: Mapping[str, Any], code: int, retry_after: str | None, doing: str
) -> ClusterError:
    """Return the error for a decoded `Status` object, which is empty if the response had none."""
    message = str(status.get("message") or "")[:MESSAGE_LIMIT].rstrip(".")
    details = status.get("details")
    details = details if isinstance(details, dict) else {}
    seconds = _seconds(retry_after) or _seconds(details.get("retryAfterSeconds"))
    kind = _kind(code, str(status.get("reason") or ""), message, details)
    if kind is NotInstalled:
        message = "the cluster has no such resource type; its CustomResourceDefinition is not installed"
    sentence = f"could not {doing}: {message or f'the Kubernetes API returned {code}'}"
    return kind(sentence, retry_after=seconds)


def _kind(code: int, reason: str, message: str, details: Mapping[str, Any]) -> type[ClusterError]:
    if code == 404:
        # A 404 that names no object is about the resource type (a plain `404 page not found`).
        return NotFound if details.get("name") else NotInstalled
    if code == 409:
        return AlreadyExists if reason == "AlreadyExists" else Conflict
    if code == 403 and message.startswith("admission webhook"):
        return Rejected
    if code == 403 and '"system:anonymous"' in message:
        # Anonymous means that no credentials were sent, perhaps because an exec plugin failed.
        return Unauthorized
    return _ERROR_BY_CODE.get(code) or (Rejected if 400 <= code < 500 else ServerError)


def _seconds(value: Any) -> float | None:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return None
    return seconds if 0 < seconds < float("inf") else None
