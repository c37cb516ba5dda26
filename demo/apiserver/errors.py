"""The errors of the API server, as Kubernetes' Status objects.

Codes, reasons and wording: apimachinery's `pkg/api/errors` and the API concepts page of the Kubernetes documentation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from demo.apiserver.messages import Response
from demo.apiserver.resource_types import ResourceType

# Reasons and messages of errors without details, as in `apierrors.NewGenericServerResponse`.
GENERIC: Final = {
    400: ("BadRequest", "the server rejected our request for an unknown reason"),
    401: ("Unauthorized", "Unauthorized"),
    403: ("Forbidden", "forbidden by a fault rule"),
    404: ("NotFound", "the server could not find the requested resource"),
    409: (
        "Conflict",
        "the object has been modified; please apply your changes to the latest version and try again",
    ),
    410: ("Expired", "The resourceVersion for the provided watch is too old."),
    429: ("TooManyRequests", "Too many requests, please try again later."),
    500: ("InternalError", "Internal error occurred: injected by a fault rule"),
    503: ("ServiceUnavailable", "the server is currently unable to handle the request"),
    504: ("Timeout", "the request could not be completed within the allowed time"),
}


class ApiError(Exception):
    """A request failed. `status` is the Status object that the client gets."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.headers = headers or {}
        self.status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": dict(metadata or {}),
            "status": "Failure",
            "message": message,
            "reason": reason,
            **({"details": dict(details)} if details else {}),
            "code": code,
        }

    def response(self) -> Response:
        """Return the HTTP response."""
        return Response(self.code, orjson.dumps(self.status), headers=self.headers)


def _details(kind: ResourceType, name: str) -> dict[str, Any]:
    return {"name": name, **({"group": kind.group} if kind.group else {}), "kind": kind.plural}


def generic(code: int, *, retry_after: int = 0) -> ApiError:
    """Return an error with this code that does not concern an object. `retry_after` is in whole seconds."""
    reason, message = GENERIC.get(code, ("Unknown", "unknown"))
    details = {"retryAfterSeconds": retry_after} if retry_after else None
    headers = {"retry-after": str(retry_after)} if retry_after else None
    return ApiError(code, reason, message, details=details, headers=headers)


def bad_request(message: str) -> ApiError:
    """Return 400: the request is malformed."""
    return ApiError(400, "BadRequest", message)


def unauthorized() -> ApiError:
    """Return 401: the token is missing or unknown."""
    return generic(401)


def forbidden(kind: ResourceType, name: str, problem: str) -> ApiError:
    """Return 403 with the prefix that Kubernetes uses."""
    subject = f'{kind.qualified} "{name}"' if name else kind.qualified
    return ApiError(403, "Forbidden", f"{subject} is forbidden: {problem}", details=_details(kind, name))


def not_found(kind: ResourceType, name: str) -> ApiError:
    """Return 404: the object does not exist."""
    return ApiError(404, "NotFound", f'{kind.qualified} "{name}" not found', details=_details(kind, name))


def already_exists(kind: ResourceType, name: str) -> ApiError:
    """Return 409: an object with this name exists."""
    message = f'{kind.qualified} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, details=_details(kind, name))


def conflict(kind: ResourceType, name: str, problem: str = "") -> ApiError:
    """Return 409: the write is based on a version that is no longer current, or conflicts in another way."""
    problem = problem or GENERIC[409][1]
    message = f'Operation cannot be fulfilled on {kind.qualified} "{name}": {problem}'
    return ApiError(409, "Conflict", message, details=_details(kind, name))


def invalid(
    kind: ResourceType, name: str, field: str, problem: str, cause: str = "FieldValueInvalid"
) -> ApiError:
    """Return 422: the value of a field is invalid."""
    type_name = f"{kind.kind}.{kind.group}" if kind.group else kind.kind
    causes = [{"reason": cause, "message": problem, "field": field}]
    details = {"name": name, "group": kind.group, "kind": kind.kind, "causes": causes}
    return ApiError(422, "Invalid", f'{type_name} "{name}" is invalid: {field}: {problem}', details=details)


def patch_rejected(problem: str) -> ApiError:
    """Return 422: the patch is well-formed but cannot be applied."""
    causes = [{"reason": "UnexpectedServerResponse", "message": problem}]
    message = "the server rejected our request due to an error in our request"
    return ApiError(422, "Invalid", message, details={"causes": causes})


def expired(message: str, *, continue_token: str = "") -> ApiError:
    """Return 410: the requested version is no longer in the history."""
    return ApiError(
        410, "Expired", message, metadata={"continue": continue_token} if continue_token else None
    )


def method_not_allowed() -> ApiError:
    """Return 405: the path does not support this method."""
    return ApiError(
        405, "MethodNotAllowed", "the server does not allow this method on the requested resource"
    )


def unsupported_media_type(*accepted: str) -> ApiError:
    """Return 415 with the accepted media types."""
    message = "the body of the request was in an unknown format - accepted media types include: " + ", ".join(
        accepted
    )
    return ApiError(415, "UnsupportedMediaType", message)


def version_too_large(requested: int, current: int) -> ApiError:
    """Return 504: the requested version does not exist yet."""
    details = {
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
        "retryAfterSeconds": 1,
    }
    message = f"Timeout: Too large resource version: {requested}, current: {current}"
    return ApiError(504, "Timeout", message, details=details)


def internal(message: str) -> ApiError:
    """Return 500: the server failed."""
    return ApiError(500, "InternalError", f"Internal error occurred: {message}")
