"""The seam between the verbs and the wire: requests, answers, streams, and what goes wrong with them."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException
from typing import Final, Protocol

from receivers.cluster.errors import TimedOut, Unreachable, Untrusted

CONNECT_TIMEOUT: Final = 3.0  # seconds; a connection inside a data centre takes milliseconds
READ_TIMEOUT: Final = 10.0  # seconds without a byte from the server before a request is given up
USER_AGENT: Final = "kargoweb"


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. `target` is path and query, quoted; a `repeatable` one may be sent twice."""

    method: str
    target: str
    body: bytes = b""
    content_type: str = "application/json"
    accept: str = "application/json"
    timeout: float = READ_TIMEOUT
    repeatable: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
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

    def send(self, request: Request) -> Answer:
        """Send and read the whole answer."""
        ...

    def open(self, request: Request) -> Stream:
        """Send and return the answer as a stream, on a connection of its own."""
        ...

    def retire(self) -> None:
        """Close what is idle and keep nothing any more; requests under way go on."""
        ...

    def close(self) -> None:
        """Close all connections; requests under way fail."""
        ...


@contextlib.contextmanager
def own_errors(where: str) -> Iterator[None]:
    """Turn what sockets, TLS and `http.client` raise into our errors."""
    try:
        yield
    except TimeoutError as error:
        raise TimedOut(f"The Kubernetes API at {where} did not answer in time.") from error
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
        raise Unreachable(f"The Kubernetes API at {where} closed the connection.") from error
    except ssl.SSLError as error:
        reason = getattr(error, "verify_message", "") or error.reason or "TLS failed"
        raise Untrusted(f"No trusted connection to the Kubernetes API at {where}: {reason}.") from error
    except (OSError, HTTPException, ValueError) as error:  # ValueError: another thread closed it
        reason = getattr(error, "strerror", None) or "it closed the connection"
        raise Unreachable(f"The Kubernetes API at {where} cannot be reached: {reason}.") from error
