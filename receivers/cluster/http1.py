"""Read HTTP/1.1 responses from a socket (RFC 9112), with less CPU than `http.client`."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Final

HEAD_LIMIT: Final = 65_536  # bytes of status line and headers, or of a chunk's; an API server sends about 500
RECEIVE: Final = 65_536  # bytes asked for at a time


class BadAnswer(ConnectionError):
    """What arrived is not HTTP/1.1, or ended too early."""


class HttpAnswer:
    """One answer: `status` and `headers` (names in lower case) at once, then the body.

    `reusable` says whether another request may follow on the connection once the body has been read. `gathering` is
    how many seconds to wait before asking for more, so that what comes in drops is read in gulps; 0 at first.
    Everything here raises `BadAnswer` and what the socket raises.
    """

    __slots__ = ("_body", "_buffer", "_received", "_sock", "gathering", "headers", "reusable", "status")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = b""
        self._received = 0
        self.gathering = 0.0
        self.status, self.headers = self._head()
        while self.status < 200:  # 100 Continue and the like announce the real one
            self.status, self.headers = self._head()
        self.reusable = self.headers.get("connection", "").lower() != "close"
        self._body = self._parts()

    def read_some(self) -> bytes:
        """Return what has arrived of the body, at least one byte; empty at the end."""
        return next(self._body, b"")

    def read(self) -> bytes:
        """Return all the rest of the body."""
        return b"".join(self._body)

    def _head(self) -> tuple[int, dict[str, str]]:
        first, *lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        protocol, _, status = first.partition(" ")
        if not protocol.startswith("HTTP/1.") or not status[:3].isdecimal():
            raise BadAnswer("not an HTTP/1.1 answer")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return int(status[:3]), headers

    def _parts(self) -> Iterator[bytes]:
        if self.status in {204, 304}:
            return
        if "transfer-encoding" in self.headers:
            yield from self._chunks()
        elif "content-length" in self.headers:
            yield from self._exactly(_number(self.headers["content-length"], 10))
        else:
            self.reusable = False
            while part := self._buffer or self._sock.recv(RECEIVE):
                self._buffer = b""
                yield part

    def _chunks(self) -> Iterator[bytes]:
        while size := _number(self._until(b"\r\n").partition(b";")[0].decode("latin-1"), 16):
            yield from self._exactly(size)
            if self._until(b"\r\n"):
                raise BadAnswer("a chunk is longer than announced")
        while self._until(b"\r\n"):  # trailers
            pass

    def _exactly(self, count: int) -> Iterator[bytes]:
        while count:
            part = self._buffer[:count] or self._receive()[:count]
            self._buffer = self._buffer[len(part) :]
            count -= len(part)
            yield part

    def _until(self, mark: bytes) -> bytes:
        while (at := self._buffer.find(mark)) < 0:
            if len(self._buffer) > HEAD_LIMIT:
                raise BadAnswer("the head is too long")
            self._receive()
        found, self._buffer = self._buffer[:at], self._buffer[at + len(mark) :]
        return found

    def _receive(self) -> bytes:
        if self.gathering and self._received < RECEIVE:  # else there is more already
            time.sleep(self.gathering)
        try:
            data = self._sock.recv(RECEIVE)
        except BlockingIOError:  # so the system tells of a timeout of its own, see `_Connection`
            raise TimeoutError from None
        self._received = len(data)
        if not data:
            raise BadAnswer("it closed the connection")
        self._buffer += data
        return self._buffer


def _number(text: str, base: int) -> int:
    try:
        number = int(text, base)
    except ValueError:
        number = -1
    if number < 0:
        raise BadAnswer("a length is not a number")
    return number
