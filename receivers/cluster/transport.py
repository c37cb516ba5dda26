"""Send HTTP requests to the API server over the official client's connection pool, and translate its errors."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, cast
from weakref import WeakSet

import urllib3
from kubernetes.client import Configuration
from kubernetes.client.rest import RESTClientObject
from urllib3.connection import HTTPConnection
from urllib3.util import Url, parse_url

from receivers.cluster.credentials import Credentials
from receivers.cluster.errors import KubeconfigError, TimedOut, Unreachable, Untrusted

CONNECT_TIMEOUT: Final = 5.0  # seconds; a connection within a data center takes milliseconds
READ_TIMEOUT: Final = 10.0  # seconds without a byte from the server until a request times out
IDLE_CONNECTIONS: Final = 64  # kept open; more than there are threads that send requests
USER_AGENT: Final = "kargoweb"
READ_SIZE: Final = 65_536  # bytes of a stream that are read at once, at most

# `insecure-skip-tls-verify` is the user's decision, and the warning would be repeated for each connection.
urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """An HTTP request. `target` is the quoted path and query. A `repeatable` request may be sent twice."""

    method: str
    target: str
    body: bytes = b""
    content_type: str = "application/json"
    accept: str = "application/json"
    timeout: float = READ_TIMEOUT
    repeatable: bool = False


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """A complete HTTP response."""

    status: int
    body: bytes
    retry_after: str | None


class Stream:
    """A response that is read while it arrives."""

    def __init__(self, response: urllib3.BaseHTTPResponse, where: str) -> None:
        self.status = response.status
        self._response = response
        self._where = where

    def read(self) -> bytes:
        """Return the rest of the body. Raises `Unreachable`."""
        with _translated_errors(self._where):
            return self._response.read()

    def read_some(self) -> bytes:
        """Wait for data and return it; empty at the end of the body. Raises `Unreachable`."""
        with _translated_errors(self._where):
            return self._response.read1(READ_SIZE)

    def cut(self) -> None:
        """End the stream; wakes the thread that reads. Thread-safe."""
        with contextlib.suppress(ValueError, RuntimeError, OSError):  # the response has already ended
            self._response.shutdown()

    def close(self) -> None:
        """Release the connection. Called by the thread that reads."""
        self._response.close()


class _OpenConnections:
    """The connections of a pool, which urllib3 itself cannot end while they are in use. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connections: WeakSet[HTTPConnection] = WeakSet()
        self._ended = False

    def tracked(self, connection_class: type[HTTPConnection]) -> type[HTTPConnection]:
        """Return a subclass of `connection_class` whose connections are tracked from the time they connect."""
        add = self._add  # not a reference to the pool: without one, urllib3 closes a discarded pool at once

        def connect(connection: HTTPConnection) -> None:
            connection_class.connect(connection)
            add(connection)

        return type("TrackedConnection", (connection_class,), {"connect": connect})

    def end(self) -> None:
        """End all connections, and those that connect later; wakes the threads that wait for a response."""
        with self._lock:
            self._ended = True
            connections = tuple(self._connections)
        for connection in connections:
            _end(connection)

    def _add(self, connection: HTTPConnection) -> None:
        with self._lock:
            self._connections.add(connection)
            ended = self._ended
        if ended:
            _end(connection)


def _end(connection: HTTPConnection) -> None:
    sock = connection.sock
    if sock is not None:
        with contextlib.suppress(OSError):  # it is not connected any more
            sock.shutdown(socket.SHUT_RDWR)


class Transport:
    """Sends requests to one API server, through a proxy if the kubeconfig or the environment names one.

    Thread-safe. Raises `Unreachable` and `KubeconfigError`.
    """

    def __init__(self, configuration: Configuration) -> None:
        url = _checked_url(configuration.host)
        _check_certificates(configuration)
        configuration.connection_pool_maxsize = IDLE_CONNECTIONS
        configuration.keep_alive = True
        manager = RESTClientObject(configuration).pool_manager
        # Requests go to the pool itself: the manager would parse the URL and look for the pool at each request, which
        # takes a fifth of a request's CPU time.
        self._pool = manager.connection_from_url(url.url)
        self._connections = _OpenConnections()
        connection_class = cast("type[HTTPConnection]", self._pool.ConnectionCls)
        self._pool.ConnectionCls = self._connections.tracked(connection_class)
        self._prefix = (url.path or "").rstrip("/")
        if manager.proxy is not None and url.scheme == "http":
            # A proxy forwards plain HTTP by the absolute URL; for HTTPS it opens a tunnel (RFC 9110, 7.1).
            self._prefix = f"{url.scheme}://{url.netloc}{self._prefix}"
        self._where = configuration.host
        self._credentials = Credentials(configuration)

    def send(self, request: ApiRequest) -> ApiResponse:
        """Send a request and read the whole response.

        A repeatable request is sent once more if its connection breaks. The API server closes idle connections, and
        may do so at the moment when one is used again.
        """
        with _translated_errors(self._where):
            try:
                response = self._request(request)
            except urllib3.exceptions.HTTPError as error:
                if not (request.repeatable and _is_disconnection(error)):
                    raise
                response = self._request(request)
        return ApiResponse(response.status, response.data, response.headers.get("Retry-After"))

    def open(self, request: ApiRequest) -> Stream:
        """Send a request and return the response as a stream."""
        with _translated_errors(self._where):
            response = self._request(request, preload_content=False)
        return Stream(response, self._where)

    def close(self) -> None:
        """Close all connections; requests in progress and later ones fail."""
        self._pool.close()
        self._connections.end()

    def _request(self, request: ApiRequest, *, preload_content: bool = True) -> urllib3.BaseHTTPResponse:
        headers = {"User-Agent": USER_AGENT, "Accept": request.accept}
        if request.body:
            headers["Content-Type"] = request.content_type
        if authorization := self._credentials.header():
            headers["Authorization"] = authorization
        return self._pool.urlopen(
            request.method,
            self._prefix + request.target,
            body=request.body or None,
            headers=headers,
            timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT, read=request.timeout),
            retries=False,
            redirect=False,
            assert_same_host=False,  # the pool of a proxy has the proxy's host
            preload_content=preload_content,
        )


def _checked_url(host: str) -> Url:
    try:
        url = parse_url(host)
    except urllib3.exceptions.LocationParseError:
        url = Url()
    if url.scheme not in {"http", "https"} or not url.host:
        raise KubeconfigError(f"{host!r} is not the address of a Kubernetes API server")
    return url


def _check_certificates(configuration: Configuration) -> None:
    """Load the certificates once, because the pool would report unusable ones with the first request only."""
    # Not `create_default_context`, which also reads the authorities of the system: 40 ms of CPU time.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if configuration.ssl_ca_cert:
            context.load_verify_locations(cafile=configuration.ssl_ca_cert)
        if configuration.cert_file:
            context.load_cert_chain(configuration.cert_file, configuration.key_file)
    except (OSError, ValueError) as error:
        raise KubeconfigError(f"cannot use the certificates of the kubeconfig: {error}") from error


@contextlib.contextmanager
def _translated_errors(where: str) -> Iterator[None]:
    """Raise the exceptions of urllib3 as `ClusterError`s."""
    try:
        yield
    # ValueError: another thread has ended the stream
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        raise _translated(error, f"the Kubernetes API at {where}") from error


def _translated(error: Exception, server: str) -> Unreachable:
    """Return the `ClusterError` for an exception of urllib3."""
    if isinstance(error, urllib3.exceptions.ClosedPoolError):
        return Unreachable("kargoweb has closed its connections to the Kubernetes API")
    # A refused connection is a kind of timeout for urllib3.
    refused = isinstance(error, urllib3.exceptions.NewConnectionError)
    if isinstance(error, urllib3.exceptions.TimeoutError) and not refused:
        return TimedOut(f"{server} did not respond in time")
    if _is_disconnection(error):
        return Unreachable(f"{server} closed the connection")
    if isinstance(error, urllib3.exceptions.SSLError):
        cause = error.args[0] if error.args else None
        reason = getattr(cause, "verify_message", "") or getattr(cause, "reason", "") or "TLS error"
        return Untrusted(f"TLS with {server} failed: {reason}")
    reason = getattr(error.__cause__, "strerror", None) or type(error).__name__
    return Unreachable(f"cannot reach {server}: {reason}")


def _is_disconnection(error: Exception) -> bool:
    """Return whether the server has closed the connection. OpenSSL reports that as an error of TLS."""
    if isinstance(error, urllib3.exceptions.SSLError):
        return bool(error.args) and isinstance(error.args[0], ssl.SSLEOFError | ssl.SSLZeroReturnError)
    return isinstance(error, urllib3.exceptions.ProtocolError)
