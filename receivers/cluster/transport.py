"""The interface between the client and HTTP: requests, responses, streams, and the translation of errors."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Final, Protocol

from receivers.cluster.errors import TimedOut, Unreachable, Untrusted

CONNECT_TIMEOUT: Final = 5.0  # seconds; a connection within a data center takes milliseconds
READ_TIMEOUT: Final = 10.0  # seconds without a byte from the server until a request times out
USER_AGENT: Final = "kargoweb"


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """An HTTP request. `target` is the quoted path and query. A `repeatable` request may be sent twice."""

    method: str
    target: str
    body: bytes = b""
    content_type: str = "application/json"
    accept: str = "application/json"
    timeout: float = READ_TIMEOUT
    repeatable: bool = False


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """A complete HTTP response."""

    status: int
    body: bytes
    retry_after: str | None


class Stream(Protocol):
    """A response that is read while it arrives."""

    status: int

    def read(self) -> bytes:
        """Return the rest of the body. Raises `Unreachable`."""
        ...

    def read_some(self) -> bytes:
        """Wait for data and return it; empty at the end of the body. Raises `Unreachable`."""
        ...

    def cut(self) -> None:
        """End the stream; wakes the thread that reads. Thread-safe."""
        ...

    def close(self) -> None:
        """Release the connection. Called by the thread that reads."""
        ...


class Transport(Protocol):
    """Sends requests. Thread-safe. Raises `Unreachable` and `KubeconfigError`."""

    def send(self, request: ApiRequest) -> ApiResponse:
        """Send a request and read the whole response."""
        ...

    def open(self, request: ApiRequest) -> Stream:
        """Send a request on a new connection and return the response as a stream."""
        ...

    def retire(self) -> None:
        """Close idle connections and keep no more of them; requests in progress continue."""
        ...

    def close(self) -> None:
        """Close all connections; requests in progress fail."""
        ...


class ErrorTranslator:
    """A context manager that turns the exceptions of sockets and TLS into `ClusterError`s.

    It has no state, so threads can share it.
    """

    def __init__(self, where: str) -> None:
        self._where = f"the Kubernetes API at {where}"

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is not None and (translated := self.translate(error)) is not None:
            raise translated from error

    def translate(self, error: BaseException) -> Unreachable | None:
        """Return the `ClusterError` for an exception, or None if it is not a failure of the connection."""
        if isinstance(error, TimeoutError):
            return TimedOut(f"{self._where} did not respond in time")
        if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return Unreachable(f"{self._where} closed the connection")
        if isinstance(error, ssl.SSLError):
            reason = getattr(error, "verify_message", "") or error.reason or "TLS failed"
            return Untrusted(f"TLS with {self._where} failed: {reason}")
        if isinstance(error, OSError | ValueError):  # ValueError: another thread closed the socket
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            return Unreachable(f"cannot reach {self._where}: {reason}")
        return None
