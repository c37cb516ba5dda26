"""What can go wrong between us and a Kubernetes API server, in our own words.

Messages are for people, and can stand after "error: ". They hold no credentials; Kubernetes' own message is
quoted where it says more than we know. The third-party exception, where there is one, is chained as the cause.
"""

from __future__ import annotations

from typing import ClassVar


class ClusterError(Exception):
    """Something went wrong with the cluster.

    `transient` says whether the same call may succeed later although nobody changed it or our permissions.
    `retry_after` is how many seconds the server asked us to wait, or None.
    """

    transient: ClassVar[bool] = False

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ConfigurationProblem(ClusterError):
    """There is no usable kubeconfig or service account. Somebody may mend it while we keep trying."""

    transient = True


class Unreachable(ClusterError):
    """No answer: the connection was refused, reset or closed, or the name is unknown."""

    transient = True


class TimedOut(Unreachable):
    """No answer in time. The server may or may not have done what was asked."""


class Untrusted(Unreachable):
    """TLS failed: the server's certificate is not accepted, or it does not accept ours."""


class Unauthorized(ClusterError):
    """401: the credentials are missing, wrong or expired."""

    transient = True


class Forbidden(ClusterError):
    """403: the credentials are fine, the permission is missing. Carries Kubernetes' message."""


class NotFound(ClusterError):
    """404: there is no such object."""


class NotInstalled(NotFound):
    """404 for the resource type itself: its CustomResourceDefinition is not installed."""


class Conflict(ClusterError):
    """409: the object has changed since it was read."""

    transient = True


class AlreadyExists(Conflict):
    """409 for a create: an object of that name exists."""

    transient = False


class Gone(ClusterError):
    """410: the resourceVersion or the continue token is too old; list again."""

    transient = True


class Throttled(ClusterError):
    """429: the server asks us to slow down."""

    transient = True


class Rejected(ClusterError):
    """400, 405, 413, 415, 422 or an admission webhook's refusal: the request itself is not acceptable."""


class ServerFault(ClusterError):
    """5xx, or an answer that is not what a Kubernetes API server says."""

    transient = True
