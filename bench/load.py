"""A load generator: several connections, each of which sends its next request after the last response.

It has a single thread with a selector, so that it takes little CPU time from the server on a machine with two cores.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field


def post(path: str, body: bytes) -> bytes:
    """Return the bytes of a POST request with a JSON body on a persistent connection."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return f"{head}\r\n\r\n".encode() + body


@dataclass(slots=True)
class LoadResult:
    """Response times in seconds, and the number of responses by status."""

    seconds: float
    times: list[float]
    statuses: dict[int, int] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Return the responses per second."""
        return len(self.times) / self.seconds

    def percentile(self, share: float) -> float:
        """Return the response time, in seconds, of a percentile (`share`, 0 to 1)."""
        ordered = sorted(self.times)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    @property
    def longest(self) -> float:
        """Return the longest response time, in seconds."""
        return max(self.times)


@dataclass(slots=True)
class _Connection:
    socket: socket.socket
    sent_at: float = 0.0
    received: bytes = b""


def run(port: int, requests: Iterator[bytes], *, connections: int, seconds: float) -> LoadResult:
    """Send `requests` (endless) to 127.0.0.1 over several connections for `seconds`; measure each response time."""
    selector = selectors.DefaultSelector()
    for _ in range(connections):
        connection = _Connection(socket.create_connection(("127.0.0.1", port)))
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        _send(connection, requests)
    result = LoadResult(seconds, [])
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds:
        for key, _ in selector.select(timeout=1):
            connection = key.data
            connection.received += connection.socket.recv(65536)
            if status := _status(connection.received):
                result.times.append(time.perf_counter() - connection.sent_at)
                result.statuses[status] = result.statuses.get(status, 0) + 1
                _send(connection, requests)
    result.seconds = time.perf_counter() - begin
    for key in list(selector.get_map().values()):
        key.data.socket.close()
    selector.close()
    return result


def _send(connection: _Connection, requests: Iterator[bytes]) -> None:
    connection.received = b""
    connection.sent_at = time.perf_counter()
    connection.socket.sendall(next(requests))


def _status(received: bytes) -> int:
    """Return the status of a complete response, or 0."""
    head, separator, body = received.partition(b"\r\n\r\n")
    if not separator:
        return 0
    length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
    return int(head[9:12]) if len(body) >= length else 0


def cycle(make: Callable[[int], bytes], count: int) -> Iterator[bytes]:
    """Yield the requests `make(0)`, ..., `make(count - 1)` in turn, forever. Each is created once."""
    requests = [make(number) for number in range(count)]
    while True:
        yield from requests
