"""HTTP/1.1 on sockets: connections, answers and streams.

Written on asyncio's protocols and not on an ASGI server for three reasons: a test must be able to close a connection
without an answer, the whole server must be one process that a SIGKILL ends, and a patch should cost little.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from demo.apiserver.messages import (
    LONGEST_HEAD,
    BadRequestError,
    Request,
    Response,
    body_length,
    parse_chunked,
    parse_head,
    response_head,
)

LONGEST_BACKLOG: Final = 64 * 1024 * 1024  # bytes a stream's reader may be behind before it is cut off


class DropConnectionError(Exception):
    """Raised by a handler to close the connection without an answer."""


@dataclass(slots=True)
class Streaming:
    """An answer of status 200 that `run` writes until it returns; it is cancelled when the client leaves."""

    run: Callable[[Stream], Awaitable[None]]
    content_type: str = "application/json"


Handler = Callable[[Request], Awaitable[Response | Streaming]]


class Stream:
    """The writing side of a chunked answer."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._writable = asyncio.Event()
        self._writable.set()

    def write(self, data: bytes) -> None:
        """Send one chunk (not empty). A reader too far behind loses the connection, as kube-apiserver does it."""
        self._transport.write(b"%x\r\n%b\r\n" % (len(data), data))
        if self._transport.get_write_buffer_size() > LONGEST_BACKLOG:
            self._transport.abort()

    async def drained(self) -> None:
        """Wait until the reader keeps up."""
        await self._writable.wait()

    def pause(self) -> None:
        """Note that the socket takes no more for now."""
        self._writable.clear()

    def resume(self) -> None:
        """Note that the socket takes bytes again."""
        self._writable.set()

    def abort(self) -> None:
        """Cut the connection off in the middle."""
        self._transport.abort()


class Connection(asyncio.Protocol):
    """One client connection: requests one after the other, keep-alive."""

    def __init__(self, handler: Handler, connections: set[Connection]) -> None:
        self._handler = handler
        self._connections = connections
        self._buffer = bytearray()
        self._request: Request | None = None  # head parsed, body still coming
        self._task: asyncio.Task[None] | None = None
        self._stream: Stream | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the transport."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - narrows the type
        self._transport = transport
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop working for a client that left."""
        self._connections.discard(self)
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        """Hand the socket's back-pressure to the stream."""
        if self._stream is not None:
            self._stream.pause()

    def resume_writing(self) -> None:
        """Hand the socket's readiness to the stream."""
        if self._stream is not None:
            self._stream.resume()

    def data_received(self, data: bytes) -> None:
        """Collect bytes; start on a request as soon as it is whole and the one before is answered."""
        self._buffer += data
        if self._task is None:
            self._next()

    def close(self) -> None:
        """End the connection and what it is doing, now."""
        self._transport.abort()

    def _next(self) -> None:
        try:
            request = self._whole_request()
        except BadRequestError as error:
            self._refuse(error)
            return
        if request is not None:
            self._task = asyncio.get_running_loop().create_task(self._answer(request))

    def _whole_request(self) -> Request | None:
        if self._request is None:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(self._buffer) > LONGEST_HEAD:
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

    def _refuse(self, error: BadRequestError) -> None:
        body = str(error).encode() + b"\n"
        framing = b"content-length: %d\r\nconnection: close" % len(body)
        self._transport.write(response_head(error.status, "text/plain", framing, {}) + body)
        self._transport.close()

    async def _answer(self, request: Request) -> None:
        try:
            response = await self._handler(request)
            if isinstance(response, Response):
                self._send(request, response)
            else:
                await self._send_stream(response)
        except DropConnectionError:
            self._transport.abort()
        except BaseException:
            self._transport.abort()  # the client must not wait for an answer that never comes
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

    async def _send_stream(self, streaming: Streaming) -> None:
        self._transport.write(response_head(200, streaming.content_type, b"transfer-encoding: chunked", {}))
        self._stream = Stream(self._transport)
        try:
            await streaming.run(self._stream)
        finally:
            self._stream = None
        self._transport.write(b"0\r\n\r\n")


async def listen(handler: Handler, host: str, port: int) -> tuple[asyncio.Server, set[Connection]]:
    """Start listening; `port` 0 takes a free one. Returns the server and its open connections."""
    connections: set[Connection] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(handler, connections), host, port, backlog=1024, reuse_address=True
    )
    return server, connections
