"""The entrance of a serving process: reads each request within limits, then runs the WSGI application in a thread.

granian's WSGI interface gives a request its thread before its body has arrived, waits for the body without a time limit
(its maintainers leave that to the application), and has one pool of threads for all requests, so 40 slow clients stop
everything. Its RSGI interface leaves reading and threads to the application, which is this module.

Measured with `python -m bench`, 16 connections: 0.07 ms of CPU time more per request than granian's WSGI interface.
"""

from __future__ import annotations

import asyncio
import io
import os
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from wsgiref.types import WSGIApplication

from granian.rsgi import HTTPProtocol, Scope  # type: ignore[attr-defined]  # is public, but not marked so

BODY_SECONDS: Final = 10.0
"""For the whole body to arrive. Docker Hub sends it together with the headers."""

LARGE_BODY: Final = 64 << 10
"""Bytes above which only `LARGE_BODIES` are read and processed at the same time. Docker Hub's have 1 to 10 KB."""

LARGE_BODIES: Final = 4
"""Each takes up to 60 MB: 2 MiB of JSON can be a million small objects."""

DRAINED: Final = 256 << 10
"""Bytes read beyond the limit, as Go does: a sender that is cut off in the middle may miss the response."""

LARGE_RESPONSE: Final = 1 << 20
"""Bytes above which only `LARGE_RESPONSES` wait at the same time for their clients to read them: exports."""

LARGE_RESPONSES: Final = 4

UNREAD_SECONDS: Final = 30
"""For a client to read some of a response that it has not read."""

RETRY_AFTER: Final = 5  # seconds; there is no way to tell when there will be room

WAIT_HEADER: Final = "X-Kargoweb-Wait"
"""Of a response that is not sent: the request is repeated once what the header names has happened."""

WAITING_SINCE: Final = "kargoweb.waiting"
"""The key of a `RequestWait` in the environment of a request that the application may let wait."""

UNREADABLE: Final = "\N{REPLACEMENT CHARACTER}"

Headers = list[tuple[str, str]]


class UnfinishedBody(io.BytesIO):
    """The part of a body that has arrived in time."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Return bytes; raise TimeoutError at the end of the part."""
        data = super().read(size)
        if not data and size != 0:
            raise TimeoutError(f"the body did not arrive within {BODY_SECONDS:.0f} s")
        return data


class UnreadBody(io.BytesIO):
    """A body that was not read, because the response does not depend on it."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Raise `UnsupportedOperation`: an empty body would look like one that was cut off."""
        raise io.UnsupportedOperation("the body was not read")


@dataclass(slots=True)
class RequestWait:
    """Since when a request waits, in seconds of `time.monotonic`, and whether the application has seen it before."""

    since: float
    repeated: bool = False


class Lane:
    """Threads for one class of requests, which no other class can take. `waiting` more requests may wait for them."""

    def __init__(self, name: str, threads: int, waiting: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._room = threads + waiting

    @property
    def full(self) -> bool:
        """Say whether no more requests may wait."""
        return self._room <= 0

    async def run(self, function: Callable[..., Response | None], *args: Any) -> Response | None:
        """Call a function in a thread of this lane and return its result. For the thread of the event loop only."""
        self._room -= 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)
        finally:
            self._room += 1


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response."""

    status: int
    headers: Headers
    body: bytes

    def header(self, name: str) -> str | None:
        """Return the value of a header, None if it isn't there."""
        return next((value for field, value in self.headers if field == name), None)

    def without(self, name: str) -> Response:
        """Return the response without a header."""
        return Response(self.status, [pair for pair in self.headers if pair[0] != name], self.body)

    def send(self, protocol: HTTPProtocol) -> None:
        """Send it. Thread-safe."""
        protocol.response_bytes(self.status, self.headers, self.body)


class Gateway:
    """An RSGI application that serves a WSGI application.

    `choose` returns for a path the lane, and the number of bytes to read of a body. The application gets one byte more
    of a larger body, or its first part if the rest did not arrive in time (see `UnfinishedBody`). If the number is 0,
    it gets an `UnreadBody`.

    A request whose response has the header `WAIT_HEADER` waits in the event loop, without a thread: `wait` gets the
    value of the header and returns whether the application should see the request again, as soon as it should; if not,
    the response is sent. It raises what `busy` names if too many wait.
    """

    def __init__(
        self,
        application: WSGIApplication,
        choose: Callable[[str], tuple[Lane, int]],
        wait: Callable[[str], Awaitable[bool]] | None = None,
        busy: type[Exception] = TimeoutError,
    ) -> None:
        self._application = application
        self._choose = choose
        self._wait = wait
        self._busy = busy
        self._large_bodies = asyncio.Semaphore(LARGE_BODIES)
        self._large_responses = asyncio.Semaphore(LARGE_RESPONSES)

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Prepare the event loop. It starts when granian has opened its listening socket."""
        if sys.platform == "linux":
            loop.call_soon(_limit_unread_responses)

    async def __rsgi__(self, scope: Scope, protocol: HTTPProtocol) -> None:
        """Serve a request."""
        lane, limit = self._choose(scope.path)
        environ = environ_of(scope)
        async with AsyncExitStack() as held:
            if _has_body(environ):
                length = environ.get("CONTENT_LENGTH", "")
                environ["wsgi.input"] = (
                    await self._read(protocol, length, limit, held) if limit else UnreadBody()
                )
            if lane.full or environ["wsgi.input"] is None:
                _busy().send(protocol)
                return
            if self._wait is not None:
                environ[WAITING_SINCE] = RequestWait(time.monotonic())
            held_back = await lane.run(_respond, self._application, environ, protocol)
        while held_back is not None and (awaited := held_back.header(WAIT_HEADER)) is not None:
            try:
                again = await self._wait_for(awaited, protocol)
            except self._busy:
                _busy().send(protocol)
                return
            if again is None:
                return
            if not again:
                held_back.without(WAIT_HEADER).send(protocol)
                return
            environ["wsgi.input"], environ[WAITING_SINCE].repeated = io.BytesIO(), True
            held_back = await lane.run(_respond, self._application, environ, protocol)
        if held_back is not None:
            await self._send_large(held_back, protocol)

    async def _wait_for(self, awaited: str, protocol: HTTPProtocol) -> bool | None:
        """Wait for what the application named. Return what `wait` returned, None if the client has gone meanwhile."""
        assert self._wait is not None  # noqa: S101 - only requests with a `RequestWait` get such a response
        waiting = asyncio.ensure_future(self._wait(awaited))
        disconnect = asyncio.ensure_future(protocol.client_disconnect())
        try:
            await asyncio.wait([waiting, disconnect], return_when=asyncio.FIRST_COMPLETED)
            return waiting.result() if waiting.done() else None
        finally:
            waiting.cancel()
            disconnect.cancel()

    async def _read(
        self, protocol: HTTPProtocol, content_length: str, limit: int, held: AsyncExitStack
    ) -> io.BytesIO | None:
        """Return the body, or its part; None if too many large ones are processed.

        `held` keeps the place of a large body until it is processed.
        """
        expected = int(content_length) if content_length.isdecimal() else None
        body = io.BytesIO()
        size, large, waiting = 0, False, False
        try:
            async with asyncio.timeout(BODY_SECONDS):
                async for chunk in protocol:
                    size += len(chunk)
                    if size > LARGE_BODY and not large:
                        waiting = True
                        await held.enter_async_context(self._large_bodies)
                        large, waiting = True, False
                    body.write(chunk[: limit + 1 - body.tell()])
                    # A known length saves waiting for the end.
                    if size == expected or size > limit + DRAINED:
                        break
        except TimeoutError:
            return None if waiting else UnfinishedBody(body.getvalue())
        body.seek(0)
        return body

    async def _send_large(self, response: Response, protocol: HTTPProtocol) -> None:
        """Send a large response and wait until the client has read it, because it takes memory until then."""
        if self._large_responses.locked():
            _busy().send(protocol)
            return
        async with self._large_responses:
            response.headers.append(("Connection", "close"))  # its end is when the response is read
            response.send(protocol)
            await protocol.client_disconnect()


def environ_of(scope: Scope) -> dict[str, Any]:
    """Return the WSGI environment of a request, without its body."""
    host, _, port = scope.server.rpartition(":")
    environ: dict[str, Any] = {
        **_CONSTANT,
        "REQUEST_METHOD": scope.method,
        "PATH_INFO": scope.path.encode().decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "SERVER_NAME": host,
        "SERVER_PORT": port,
        "REMOTE_ADDR": scope.client.rpartition(":")[0].strip("[]"),
        "wsgi.url_scheme": scope.scheme,
        "wsgi.input": io.BytesIO(),
    }
    fields = list(_header_fields(scope))
    environ["kargoweb.headers"] = fields  # WSGI joins those of one name
    for name, value in fields:
        key = _CONTENT.get(name) or f"HTTP_{name.replace('-', '_').upper()}"
        environ[key] = (
            f"{environ[key]}{'; ' if name == 'cookie' else ','}{value}" if key in environ else value
        )
    return environ


_CONSTANT: Final = MappingProxyType(
    {
        "SCRIPT_NAME": "",
        "wsgi.version": (1, 0),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
)
_CONTENT: Final = MappingProxyType({"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"})


def _header_fields(scope: Scope) -> Iterator[tuple[str, str]]:
    """Yield the names, in lower case, and values of the headers; `UNREADABLE` stands for a value that is not ASCII.

    Names with an underscore are left out, because WSGI can't tell them from those with a hyphen.
    """
    readable = scope.headers.items()
    for name, value in readable:
        if "_" not in name:
            yield name, value
    for name in set(scope.headers.keys()).difference(name for name, _ in readable):
        if "_" not in name:
            yield name, UNREADABLE


def _has_body(environ: dict[str, Any]) -> bool:
    return "HTTP_TRANSFER_ENCODING" in environ or environ.get("CONTENT_LENGTH", "0") != "0"


def _respond(
    application: WSGIApplication, environ: dict[str, Any], protocol: HTTPProtocol
) -> Response | None:
    """Call the application and send its response, or return it if it is large or must wait. Runs in a thread."""
    status: int = HTTPStatus.INTERNAL_SERVER_ERROR
    headers: Headers = []

    def start_response(line: str, fields: Headers, exc_info: object = None) -> Callable[[bytes], object]:
        nonlocal status, headers
        status, headers = int(line.partition(" ")[0]), fields
        return io.BytesIO().write  # for applications older than WSGI; Django is none

    chunks = application(environ, start_response)
    try:
        body = b"".join(chunks)
    finally:
        if hasattr(chunks, "close"):
            chunks.close()
        # DRF's response and its context refer to each other, and keep the request until the garbage collector runs.
        # With bodies of 2 MiB, that was 300 MB.
        environ["wsgi.input"].close()
    response = Response(status, headers, body)
    if len(body) > LARGE_RESPONSE or response.header(WAIT_HEADER) is not None:
        return response
    response.send(protocol)
    return None


def _limit_unread_responses() -> None:
    """Let the kernel close connections whose clients do not read for `UNREAD_SECONDS`.

    granian has no such limit and no access to its listening socket, from which connections inherit the option.
    """
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # not a TCP socket, or closed in the meantime
            if not entry.is_socket():
                continue
            with socket.socket(fileno=os.dup(int(entry.name))) as candidate:
                if candidate.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    candidate.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_SECONDS * 1000)


def _busy() -> Response:
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Retry-After", str(RETRY_AFTER))]
    return Response(HTTPStatus.SERVICE_UNAVAILABLE, headers, b"busy; try again in a few seconds\n")
