"""Read the events of a watch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

from receivers.cluster.api_status import decode, error_of_status
from receivers.cluster.errors import Unreachable
from receivers.cluster.transport import Stream


class Watch:
    """An open watch. Iterate over it in one thread; `close` it from any thread.

    Each item is the type of an event (`ADDED`, `MODIFIED`, `DELETED` or `BOOKMARK`) and its raw object. The iteration
    ends when the server ends the watch or `close` is called. It raises `Gone` if the resourceVersion has expired,
    `TimedOut` if the server sends nothing for too long, and other `ClusterError`s. Leaving the `with` block releases
    the connection.
    """

    def __init__(self, stream: Stream, doing: str) -> None:
        self._stream = stream
        self._doing = doing
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def close(self) -> None:
        """End the watch; the thread that iterates over it wakes up at once."""
        self._closed = True
        self._stream.cut()

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for line in self._lines():
            event = decode(line)
            kind, body = event.get("type"), event.get("object")
            body = body if isinstance(body, dict) else {}
            if kind == "ERROR":
                raise error_of_status(body, int(body.get("code") or 500), None, self._doing)
            yield str(kind), body

    def _lines(self) -> Iterator[bytes]:
        rest: list[bytes] = []
        while data := self._read():
            first, *others = data.split(b"\n")
            rest.append(first)
            for other in others:
                line = b"".join(rest)
                rest = [other]
                if line.strip():
                    yield line

    def _read(self) -> bytes:
        try:
            return self._stream.read_some()
        except Unreachable:
            if self._closed:
                return b""
            raise
