"""Parse HTTP/1.1 requests, and encode the heads of responses. `wire` reads and writes the sockets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, unquote

# Bytes of the request line and headers. Go's default is 1 MiB, which no client needs.
MAX_HEAD_SIZE: Final = 64 * 1024
MAX_BODY_SIZE: Final = 3 * 1024 * 1024  # bytes; the limit of kube-apiserver

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


class BadRequestError(Exception):
    """The bytes are not a supported HTTP/1.1 request. `status` is the status code of the response."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(slots=True)
class Request:
    """A request. Header names are in lower case. If a header or query parameter is repeated, the last value counts."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(slots=True)
class Response:
    """A complete response."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def parse_head(head: bytes) -> Request:
    """Parse the request line and headers, without the empty line after them. Raises `BadRequestError`."""
    lines = head.decode("latin-1").split("\r\n")
    try:
        method, target, protocol = lines[0].split(" ")
    except ValueError:
        raise BadRequestError(400, "malformed request line") from None
    if protocol not in ("HTTP/1.1", "HTTP/1.0"):
        raise BadRequestError(400, "only HTTP/1.1 is supported")
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
    """Return the length of a body that is not chunked. Raises `BadRequestError`."""
    text = headers.get("content-length", "0")
    if not (text.isascii() and text.isdigit()):
        raise BadRequestError(400, "malformed content-length")
    length = int(text)
    if length > MAX_BODY_SIZE:
        raise BadRequestError(413, f"Request entity too large: limit is {MAX_BODY_SIZE}")
    return length


def parse_chunked(buffer: bytearray) -> tuple[bytes, int] | None:
    """Return the body and its length in `buffer`, or None if it is incomplete. Raises `BadRequestError`."""
    parts: list[bytes] = []
    position = total = 0
    while (end := buffer.find(b"\r\n", position)) >= 0:
        try:
            size = int(bytes(buffer[position:end]).partition(b";")[0], 16)
        except ValueError:
            raise BadRequestError(400, "malformed chunk") from None
        position, total = end + 2, total + size
        if total > MAX_BODY_SIZE:
            raise BadRequestError(413, f"Request entity too large: limit is {MAX_BODY_SIZE}")
        if len(buffer) < position + size + 2:
            return None
        parts.append(bytes(buffer[position : position + size]))
        position += size + 2  # trailers are not supported: an empty line follows the last chunk
        if size == 0:
            return b"".join(parts), position
    return None


def response_head(status: int, content_type: str, framing: bytes, headers: Mapping[str, str]) -> bytes:
    """Return the status line, headers and empty line. `framing` is the header that delimits the body."""
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


def is_loopback(host_header: str) -> bool:
    """Return whether a Host header names a loopback address. This prevents DNS rebinding by foreign web pages."""
    host = host_header.strip().lower()
    name = host[: host.find("]") + 1] if host.startswith("[") else host.partition(":")[0]
    return name in ("127.0.0.1", "localhost", "[::1]")
