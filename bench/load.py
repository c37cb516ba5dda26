"""A load generator: several connections, each of which sends its next request after the last response.

It has a single thread with a selector, so that it takes little CPU time from the server on a machine with two cores.
"""

from __future__ import annotations

import math
import selectors
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from bench.processes import cpu_seconds

SILENCE = 60.0  # seconds without any response after which a load fails
SETTLE = 0.5  # seconds for the work that a server does after its last response


def post(path: str, body: bytes, host: str = "localhost") -> bytes:
    """Return the bytes of a POST request with a JSON body on a persistent connection."""
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return f"{head}\r\n\r\n".encode() + body


@dataclass(slots=True)
class LoadResult:
    """Response times in seconds, the number of responses by status, and the server's CPU time in seconds."""

    seconds: float
    times: list[float]
    statuses: dict[int, int] = field(default_factory=dict)
    cpu: float = 0.0

    @property
    def rate(self) -> float:
        """Return the responses per second."""
        return len(self.times) / self.seconds

    def percentile(self, share: float) -> float:
        """Return the response time, in seconds, of a percentile (`share`, 0 to 1)."""
        ordered = sorted(self.times)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    @property
    def cpu_per_response(self) -> float:
        """Return the server's CPU time per response, in seconds."""
        return self.cpu / len(self.times)

    @property
    def longest(self) -> float:
        """Return the longest response time, in seconds."""
        return max(self.times)


@dataclass(slots=True)
class _Connection:
    socket: socket.socket
    sent_at: float = 0.0
    received: bytes = b""


def run(
    address: tuple[str, int],
    requests: Iterator[bytes],
    *,
    connections: int,
    seconds: float = math.inf,
    pid: int | None = None,
) -> LoadResult:
    """Send `requests` over several connections and measure each response time.

    Ends when all are answered, or after `seconds`. With `pid`, the server's main process, also measures its CPU time.
    Raises OSError if the server closes a connection or stays silent.
    """
    before = cpu_seconds(pid) if pid else 0.0
    result = _run(address, requests, connections, seconds)
    if pid:
        time.sleep(SETTLE)
        result.cpu = cpu_seconds(pid) - before
    return result


def _run(address: tuple[str, int], requests: Iterator[bytes], connections: int, seconds: float) -> LoadResult:
    selector = selectors.DefaultSelector()
    result = LoadResult(0.0, [])
    for _ in range(connections):
        connection = _Connection(socket.create_connection(address, SILENCE))
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection.socket, selectors.EVENT_READ, connection)
    try:
        begin = time.perf_counter()
        for key in list(selector.get_map().values()):
            _send_next(selector, key.data, requests)
        while selector.get_map() and time.perf_counter() - begin < seconds:
            ready = selector.select(SILENCE)
            if not ready:
                raise TimeoutError(f"no response for {SILENCE:.0f} s")
            for key, _ in ready:
                if status := _receive(key.data):
                    result.times.append(time.perf_counter() - key.data.sent_at)
                    result.statuses[status] = result.statuses.get(status, 0) + 1
                    _send_next(selector, key.data, requests)
        result.seconds = time.perf_counter() - begin
    finally:
        for key in list(selector.get_map().values()):
            key.data.socket.close()
        selector.close()
    return result


def _send_next(selector: selectors.BaseSelector, connection: _Connection, requests: Iterator[bytes]) -> None:
    """Send the next request, or close the connection if there is none."""
    request = next(requests, None)
    if request is None:
        selector.unregister(connection.socket)
        connection.socket.close()
        return
    connection.received = b""
    connection.sent_at = time.perf_counter()
    connection.socket.sendall(request)


def _receive(connection: _Connection) -> int:
    """Read what has arrived; return the status of the response if it is complete, else 0."""
    data = connection.socket.recv(65536)
    if not data:
        raise ConnectionError("the server closed a connection")
    connection.received += data
    return _status(connection.received)


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
