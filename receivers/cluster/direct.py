"""Send requests over a connection pool of kargoweb's own, which takes less CPU than urllib3 with many threads.

Proxies are supported by the official client's pool only; see `proxied.py`.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from kubernetes.client import Configuration
from urllib3.util.wait import wait_for_read

from receivers.cluster.credentials import Credentials
from receivers.cluster.endpoint import Endpoint
from receivers.cluster.errors import TimedOut, Unreachable
from receivers.cluster.http1 import HttpAnswer
from receivers.cluster.transport import USER_AGENT, ApiRequest, ApiResponse, ErrorTranslator, Stream

# Seconds between two looks at a stream: a burst of events costs one look, and is not late.
GATHERING: Final = 0.01
IDLE_CONNECTIONS: Final = 32  # kept open; as many as there are threads that send refreshes


class _Connection:
    """One connection; used by one thread at a time."""

    __slots__ = ("_timeout", "sock")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._timeout = -1.0

    def exchange(self, data: bytes, timeout: float) -> HttpAnswer:
        """Send a request; return the answer with its body still to be read."""
        if timeout != self._timeout:
            self._set_timeout(timeout)
            self._timeout = timeout
        self.sock.sendall(data)
        return HttpAnswer(self.sock)

    def _set_timeout(self, timeout: float) -> None:
        """Have the system keep the time where it can: Python's own way is to ask before each call whether to call.

        Every such question hands the interpreter to another thread, and with 16 of them it takes long to come back.
        """
        if isinstance(self.sock, ssl.SSLSocket):
            self.sock.settimeout(timeout)
            return
        seconds = struct.pack("@ll", int(timeout), int(timeout % 1 * 1_000_000))
        self.sock.settimeout(None)
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            self.sock.setsockopt(socket.SOL_SOCKET, option, seconds)

    def quiet(self) -> bool:
        """Say whether nothing has arrived; on an idle connection anything is the end of it."""
        return not wait_for_read(self.sock, 0)

    def cut(self) -> None:
        """End it from any thread. Not through TLS, which would wait for the thread that reads."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)

    def close(self) -> None:
        self.sock.close()


class DirectTransport:
    """A transport with its own connections; the most recently used one is reused first."""

    def __init__(self, configuration: Configuration) -> None:
        self._endpoint = Endpoint(configuration)
        self._error_translator = ErrorTranslator(configuration.host)
        self._credentials = Credentials(configuration)
        self._idle: deque[_Connection] = deque()
        self._busy: set[_Connection] = set()
        self._retired = False
        self._closed = threading.Event()
        self._fixed = f"Host: {self._endpoint.host_header}\r\nUser-Agent: {USER_AGENT}\r\n"

    def send(self, request: ApiRequest) -> ApiResponse:
        """Send; a repeatable request that fails on a used connection is sent once more on a new one."""
        data = self._bytes(request)
        # What may be sent twice need not look first whether the server has closed the connection.
        connection = self._idle_connection(look=not request.repeatable)
        if connection is not None:
            try:
                return self._exchange(connection, data, request)
            except TimedOut:
                raise
            except Unreachable:
                if not request.repeatable or self._closed.is_set():
                    raise
        return self._exchange(self._new_connection(), data, request)

    def open(self, request: ApiRequest) -> Stream:
        """Send on a new connection."""
        data = self._bytes(request)
        connection = self._new_connection()
        try:
            with self._error_translator:
                response = connection.exchange(data, request.timeout)
        except BaseException:
            self._drop(connection)
            raise
        response.gathering = GATHERING
        return _DirectStream(response, connection, self._error_translator, self._drop)

    def retire(self) -> None:
        """Close what is idle and keep nothing any more; requests under way go on."""
        self._retired = True
        while (connection := self._idle_connection(look=False)) is not None:
            self._drop(connection)

    def close(self) -> None:
        """Close all connections; requests under way fail."""
        self._closed.set()
        self.retire()
        for connection in tuple(self._busy):
            connection.cut()

    def _exchange(self, connection: _Connection, data: bytes, request: ApiRequest) -> ApiResponse:
        try:
            with self._error_translator:
                response = connection.exchange(data, request.timeout)
                answer = ApiResponse(response.status, response.read(), response.headers.get("retry-after"))
        except BaseException:
            self._drop(connection)
            raise
        self._busy.discard(connection)
        if not response.reusable or self._retired or len(self._idle) >= IDLE_CONNECTIONS:
            connection.close()
        else:
            self._idle.append(connection)
        return answer

    def _idle_connection(self, *, look: bool) -> _Connection | None:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            self._busy.add(connection)
            if not look or connection.quiet():
                return connection
            self._drop(connection)

    def _new_connection(self) -> _Connection:
        if self._closed.is_set():
            raise Unreachable("kargoweb has closed its connections to the Kubernetes API")
        with self._error_translator:
            connection = _Connection(self._endpoint.dial())
        self._busy.add(connection)
        if self._closed.is_set():  # by another thread, meanwhile
            connection.cut()
        return connection

    def _drop(self, connection: _Connection) -> None:
        self._busy.discard(connection)
        connection.close()

    def _bytes(self, request: ApiRequest) -> bytes:
        authorization = self._credentials.header()
        head = (
            f"{request.method} {self._endpoint.prefix}{request.target} HTTP/1.1\r\n{self._fixed}"
            f"Accept: {request.accept}\r\n"
        )
        if authorization:
            head += f"Authorization: {authorization}\r\n"
        if request.body:
            head += f"Content-Type: {request.content_type}\r\nContent-Length: {len(request.body)}\r\n"
        return head.encode("latin-1") + b"\r\n" + request.body


class _DirectStream:
    def __init__(
        self,
        response: HttpAnswer,
        connection: _Connection,
        error_translator: ErrorTranslator,
        drop: Callable[[_Connection], None],
    ) -> None:
        self.status = response.status
        self._response = response
        self._connection = connection
        self._error_translator = error_translator
        self._drop = drop

    def read(self) -> bytes:
        with self._error_translator:
            return self._response.read()

    def read_some(self) -> bytes:
        with self._error_translator:
            return self._response.read_some()

    def cut(self) -> None:
        self._connection.cut()

    def close(self) -> None:
        self._drop(self._connection)
