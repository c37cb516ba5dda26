"""The seam between the verbs and the wire: requests, answers, streams, and what goes wrong with them."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Final, Protocol

from receivers.cluster.errors import TimedOut, Unreachable, Untrusted

CONNECT_TIMEOUT: Final = 5.0  # seconds; a connection inside a data centre takes milliseconds
READ_TIMEOUT: Final = 10.0  # seconds without a byte from the server before a request is given up
USER_AGENT: Final = "kargoweb"


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One HTTP request. `target` is path and query, quoted; a `repeatable` one may be sent twice."""

    method: str
    target: str
    body: bytes = b""
    content_type: str = "application/json"
    accept: str = "application/json"
    timeout: float = READ_TIMEOUT
    repeatable: bool = False


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """A complete HTTP answer."""

    status: int
    body: bytes
    retry_after: str | None


class Stream(Protocol):
    """An answer that is read while it arrives."""

    status: int

    def read(self) -> bytes:
        """Return all the rest. Raises `Unreachable`."""
        ...

    def read_some(self) -> bytes:
        """Return what has arrived, at least one byte; empty at the end. Raises `Unreachable`."""
        ...

    def cut(self) -> None:
        """End it from any thread; the one that reads wakes up."""
        ...

    def close(self) -> None:
        """Free it; called by the thread that reads."""
        ...


class Transport(Protocol):
    """Sends requests, from any thread. Raises `Unreachable` and `ConfigurationProblem`."""

    def send(self, request: ApiRequest) -> ApiResponse:
        """Send and read the whole answer."""
        ...

    def open(self, request: ApiRequest) -> Stream:
        """Send and return the answer as a stream, on a connection of its own."""
        ...

    def retire(self) -> None:
        """Close what is idle and keep nothing any more; requests under way go on."""
        ...

    def close(self) -> None:
        """Close all connections; requests under way fail."""
        ...


class OwnErrors:
    """A context that turns what sockets and TLS raise into our errors. Holds no state, so it may be shared."""

    def __init__(self, where: str) -> None:
        self._where = f"the Kubernetes API at {where}"

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is not None and (own := self.translate(error)) is not None:
            raise own from error

    def translate(self, error: BaseException) -> Unreachable | None:
        """Return our error for `error`, or None if that is no failure of the connection."""
        if isinstance(error, TimeoutError):
            return TimedOut(f"{self._where} did not answer in time")
        if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return Unreachable(f"{self._where} closed the connection")
        if isinstance(error, ssl.SSLError):
            reason = getattr(error, "verify_message", "") or error.reason or "TLS failed"
            return Untrusted(f"no trusted connection to {self._where}: {reason}")
        if isinstance(error, OSError | ValueError):  # ValueError: another thread closed it
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            return Unreachable(f"{self._where} cannot be reached: {reason}")
        return None
