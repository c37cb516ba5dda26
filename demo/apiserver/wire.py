"""Serve HTTP/1.1 connections: read requests, and write responses and streams.

Uses asyncio's protocols instead of an ASGI server for three reasons: tests must be able to close a connection without a
response, the server must be a single process that a SIGKILL ends, and patches should be fast.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from demo.apiserver.messages import (
    MAX_HEAD_SIZE,
    BadRequestError,
    Request,
    Response,
    body_length,
    parse_chunked,
    parse_head,
    response_head,
)

MAX_BACKLOG: Final = 64 * 1024 * 1024  # unread bytes of a stream, beyond which the connection is closed


class DropConnectionError(Exception):
    """Raised by a handler to close the connection without a response."""


@dataclass(slots=True)
class StreamingResponse:
    """A response with status 200 that `run` writes. It is canceled when the client disconnects."""

    run: Callable[[Stream], Awaitable[None]]
    content_type: str = "application/json"


Handler = Callable[[Request], Awaitable[Response | StreamingResponse]]


class Stream:
    """A chunked response that is being written."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._writable = asyncio.Event()
        self._writable.set()

    def write(self, data: bytes) -> None:
        """Send a chunk (not empty). A reader that is too slow loses the connection, as in kube-apiserver."""
        self._transport.write(b"%x\r\n%b\r\n" % (len(data), data))
        if self._transport.get_write_buffer_size() > MAX_BACKLOG:
            self._transport.abort()

    async def drained(self) -> None:
        """Wait until the socket accepts more data."""
        await self._writable.wait()

    def pause(self) -> None:
        """Make `drained` wait."""
        self._writable.clear()

    def resume(self) -> None:
        """Make `drained` return."""
        self._writable.set()

    def abort(self) -> None:
        """Close the connection without the end of the response."""
        self._transport.abort()


class Connection(asyncio.Protocol):
    """A client connection, on which requests are handled one after the other."""

    def __init__(self, handler: Handler, connections: set[Connection]) -> None:
        self._handler = handler
        self._connections = connections
        self._buffer = bytearray()
        self._request: Request | None = None  # head parsed, body incomplete
        self._task: asyncio.Task[None] | None = None
        self._stream: Stream | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - narrows the type
        self._transport = transport
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the current request."""
        self._connections.discard(self)
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        """Pause the stream: the socket's buffer is full."""
        if self._stream is not None:
            self._stream.pause()

    def resume_writing(self) -> None:
        """Resume the stream."""
        if self._stream is not None:
            self._stream.resume()

    def data_received(self, data: bytes) -> None:
        """Buffer the data, and handle the next request if it is complete and no other is in progress."""
        self._buffer += data
        if self._task is None:
            self._next()

    def close(self) -> None:
        """Abort the connection and its request."""
        self._transport.abort()

    def _next(self) -> None:
        try:
            request = self._read_request()
        except BadRequestError as error:
            self._reject(error)
            return
        if request is not None:
            self._task = asyncio.get_running_loop().create_task(self._respond(request))

    def _read_request(self) -> Request | None:
        """Take a request from the buffer, or return None if it is incomplete. Raises `BadRequestError`."""
        if self._request is None:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(self._buffer) > MAX_HEAD_SIZE:
                    raise BadRequestError(431, "request headers too large")
                return None
            self._request = parse_head(bytes(self._buffer[:end]))
            del self._buffer[: end + 4]
            if self._request.headers.get("expect", "").lower() == "100-continue":
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request = self._request
        if "transfer-encoding" in request.headers:
            chunked = parse_chunked(self._buffer)
            if chunked is None:
                return None
            request.body, used = chunked
        else:
            used = body_length(request.headers)
            if len(self._buffer) < used:
                return None
            request.body = bytes(self._buffer[:used])
        del self._buffer[:used]
        self._request = None
        return request

    def _reject(self, error: BadRequestError) -> None:
        body = str(error).encode() + b"\n"
        framing = b"content-length: %d\r\nconnection: close" % len(body)
        self._transport.write(response_head(error.status, "text/plain", framing, {}) + body)
        self._transport.close()

    async def _respond(self, request: Request) -> None:
        try:
            response = await self._handler(request)
            if isinstance(response, Response):
                self._send(request, response)
            else:
                await self._send_stream(response)
        except DropConnectionError:
            self._transport.abort()
        except BaseException:
            self._transport.abort()  # the client must not wait for a response that never comes
            raise
        if request.headers.get("connection", "").lower() == "close":
            self._transport.close()
        self._task = None
        if self._buffer and not self._transport.is_closing():
            self._next()

    def _send(self, request: Request, response: Response) -> None:
        framing = b"content-length: %d" % len(response.body)
        head = response_head(response.status, response.content_type, framing, response.headers)
        self._transport.write(head if request.method == "HEAD" else head + response.body)

    async def _send_stream(self, streaming: StreamingResponse) -> None:
        self._transport.write(response_head(200, streaming.content_type, b"transfer-encoding: chunked", {}))
        self._stream = Stream(self._transport)
        try:
            await streaming.run(self._stream)
        finally:
            self._stream = None
        self._transport.write(b"0\r\n\r\n")


async def listen(
    handler: Handler, host: str, port: int, tls: ssl.SSLContext | None = None
) -> tuple[asyncio.Server, set[Connection]]:
    """Start to listen. Port 0 chooses a free port. Return the server and its open connections."""
    connections: set[Connection] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(handler, connections), host, port, backlog=1024, reuse_address=True, ssl=tls
    )
    return server, connections
