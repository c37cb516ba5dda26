"""HTTP/1.1 on sockets: bytes to `Request`, `Response` or stream to bytes.

Written on asyncio's protocols and not on an ASGI server for three reasons: a test must be able to close a connection
without an answer, the whole server must be one process that a SIGKILL ends, and a patch should cost little.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, unquote

LONGEST_HEAD: Final = (
    64 * 1024
)  # bytes of request line and headers; Go's default is 1 MiB, no client needs it
LONGEST_BODY: Final = 3 * 1024 * 1024  # bytes; the limit of kube-apiserver
LONGEST_BACKLOG: Final = 64 * 1024 * 1024  # bytes a stream's reader may be behind before it is cut off

REASONS: Final = {
    200: b"OK",
    201: b"Created",
    400: b"Bad Request",
    401: b"Unauthorized",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Method Not Allowed",
    406: b"Not Acceptable",
    409: b"Conflict",
    410: b"Gone",
    413: b"Request Entity Too Large",
    415: b"Unsupported Media Type",
    422: b"Unprocessable Entity",
    429: b"Too Many Requests",
    431: b"Request Header Fields Too Large",
    500: b"Internal Server Error",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
}


class DropConnectionError(Exception):
    """Raised by a handler to close the connection without an answer."""


class BadRequestError(Exception):
    """The bytes are not HTTP/1.1 as it is spoken here; `status` says how to refuse them."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(slots=True)
class Request:
    """One request. Header names are lower case; of repeated headers and query parameters the last one counts."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(slots=True)
class Response:
    """One whole answer."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


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


def parse_head(head: bytes) -> Request:
    """Parse request line and headers (without the empty line). Raises `BadRequestError`."""
    lines = head.decode("latin-1").split("\r\n")
    try:
        method, target, protocol = lines[0].split(" ")
    except ValueError:
        raise BadRequestError(400, "malformed request line") from None
    if protocol not in ("HTTP/1.1", "HTTP/1.0"):
        raise BadRequestError(400, "only HTTP/1.1 is spoken here")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon:
            raise BadRequestError(400, "malformed header")
        headers[name.lower()] = value.strip()
    path, _, query = target.partition("?")
    if "%" in path:
        path = unquote(path)
    return Request(method, path, dict(parse_qsl(query, keep_blank_values=True)) if query else {}, headers)


def body_length(headers: Mapping[str, str]) -> int:
    """Return the announced length of a body that is not chunked. Raises `BadRequestError`."""
    text = headers.get("content-length", "0")
    if not (text.isascii() and text.isdigit()):
        raise BadRequestError(400, "malformed content-length")
    length = int(text)
    if length > LONGEST_BODY:
        raise BadRequestError(413, f"Request entity too large: limit is {LONGEST_BODY}")
    return length


def parse_chunked(buffer: bytearray) -> tuple[bytes, int] | None:
    """Return the body and the bytes used, or None while some are missing. Raises `BadRequestError`."""
    parts: list[bytes] = []
    position = total = 0
    while (end := buffer.find(b"\r\n", position)) >= 0:
        try:
            size = int(bytes(buffer[position:end]).partition(b";")[0], 16)
        except ValueError:
            raise BadRequestError(400, "malformed chunk") from None
        position, total = end + 2, total + size
        if total > LONGEST_BODY:
            raise BadRequestError(413, f"Request entity too large: limit is {LONGEST_BODY}")
        if len(buffer) < position + size + 2:
            return None
        parts.append(bytes(buffer[position : position + size]))
        position += size + 2  # trailers are not spoken: the last chunk is followed by an empty line
        if size == 0:
            return b"".join(parts), position
    return None


def response_head(status: int, content_type: str, framing: bytes, headers: Mapping[str, str]) -> bytes:
    """Return status line and headers with the empty line; `framing` says how the body is delimited."""
    extra = (
        "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode("latin-1")
        if headers
        else b""
    )
    return b"HTTP/1.1 %d %b\r\ncontent-type: %b\r\n%b\r\n%b\r\n" % (
        status,
        REASONS.get(status, b"Status"),
        content_type.encode("latin-1"),
        framing,
        extra,
    )


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


def loopback(host_header: str) -> bool:
    """Say whether a Host header names this machine itself, so that no foreign web page's name resolves here."""
    host = host_header.strip().lower()
    name = host[: host.find("]") + 1] if host.startswith("[") else host.partition(":")[0]
    return name in ("127.0.0.1", "localhost", "[::1]")
