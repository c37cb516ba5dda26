"""The errors that requests to a Kubernetes API server raise.

Messages are written for users, start in lower case and contain no credentials. They quote Kubernetes' own message where
there is one. The third-party exception, if any, is chained as the cause.
"""

from __future__ import annotations

from typing import ClassVar


class ClusterError(Exception):
    """Base class of the errors of this room.

    `transient` says whether the same request may succeed later without changes to it or to the permissions.
    `retry_after` is the number of seconds that the server asks to wait, or None.
    """

    transient: ClassVar[bool] = False

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class KubeconfigError(ClusterError):
    """There is no usable kubeconfig or service account. It is read again at each retry."""

    transient = True


class Unreachable(ClusterError):
    """No response: the connection was refused, reset or closed, or the host name does not resolve."""

    transient = True


class TimedOut(Unreachable):
    """No response in time. The server may or may not have processed the request."""


class Untrusted(Unreachable):
    """TLS failed: the server's certificate is not trusted, or the server rejected the client certificate."""


class Unauthorized(ClusterError):
    """401: the credentials are missing, invalid or expired."""

    transient = True


class Forbidden(ClusterError):
    """403: the credentials are valid, but the permission is missing."""


class NotFound(ClusterError):
    """404: the object does not exist."""


class NotInstalled(NotFound):
    """404 for the resource type: its CustomResourceDefinition is not installed."""


class Conflict(ClusterError):
    """409: the object has changed since it was read."""

    transient = True


class AlreadyExists(Conflict):
    """409 on create: an object with that name exists."""

    transient = False


class Gone(ClusterError):
    """410: the resourceVersion or the continue token has expired; the list must be restarted."""

    transient = True


class Throttled(ClusterError):
    """429: the server limits the rate of requests."""

    transient = True


class Rejected(ClusterError):
    """The request is invalid (400, 405, 413, 415, 422), or an admission webhook denied it."""


class ServerError(ClusterError):
    """5xx, or a response that no Kubernetes API server sends."""

    transient = True
