"""Calls a receiver URL like Docker Hub does, and reports the step that fails.

The only setting taken from the environment is the path of the CA certificates (OpenSSL's `SSL_CERT_FILE`). Proxies are
ignored and redirects aren't followed, because Docker Hub does neither, and the certificate must be valid.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from http.client import HTTPConnection, HTTPException, HTTPSConnection, RemoteDisconnected
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from receivers.kargo.quoting import lower_first
from receivers.testfire.forbidden_addresses import is_forbidden
from receivers.webhook.incoming import DELIVERY_HEADER

TIMEOUT: Final = (
    10.0  # seconds for the whole probe, while a person waits; Docker Hub's own timeout is unknown
)
MAX_CONCURRENT: Final = (
    2  # probes; each one blocks a thread that serves requests, of which there may be only four
)
MAX_BODY: Final = 4_096  # bytes of a response that are read; kargoweb's own have about 100
MAX_HEADER: Final = 255  # characters of a header that are kept

_CERTIFICATE_PROBLEMS: Final = {
    9: "the certificate is not valid yet",
    10: "the certificate has expired",
    18: "the certificate is self-signed",
    19: "the certificate is signed by an unknown authority",
    20: "the certificate is signed by an unknown authority",
    21: "the certificate is signed by an unknown authority",
    62: "the certificate is for a different host name",
    64: "the certificate is for a different address",
}
"""By OpenSSL's error number (`X509_V_ERR_...` in its `x509_vfy.h`)."""


class ProbeStep(StrEnum):
    """The steps of a probe, in order."""

    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    HTTP = "http"


@dataclass(frozen=True, slots=True)
class StepTime:
    """A step that was tried, and how long it took. The last one of a failed probe is the one that failed."""

    step: ProbeStep
    seconds: float


class ProbeError(Exception):
    """The probe got no response. `step` is the step that failed; the text says why, without the URL's path.

    `times` has the steps that were tried.
    """

    def __init__(self, step: ProbeStep, reason: str, times: tuple[StepTime, ...] = ()) -> None:
        super().__init__(reason)
        self.step = step
        self.times = times


class TooManyProbes(Exception):
    """`MAX_CONCURRENT` probes are already running."""


@dataclass(frozen=True, slots=True)
class ProbeResponse:
    """A response from any server. `body` is its beginning; missing headers are empty.

    `times` has the steps of the probe; none if the request took no network.
    """

    status: int
    body: str
    delivery: str = ""
    server: str = ""
    location: str = ""
    retry_after: str = ""
    times: tuple[StepTime, ...] = ()


_slots: Final = threading.BoundedSemaphore(MAX_CONCURRENT)


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    timeout: float = TIMEOUT,
    slots: threading.Semaphore = _slots,
) -> ProbeResponse:
    """POST `body` to `url` and return the response. Raises `ProbeError` if there is none within `timeout` seconds.

    `slots` limits how many requests of a sort run at the same time; raises `TooManyProbes` beyond it.
    """
    if not slots.acquire(blocking=False):
        raise TooManyProbes
    return _Probe(url, body, headers, timeout, slots).run()


class _Probe:
    """One probe, in its own thread: name resolution can't be interrupted, only abandoned."""

    def __init__(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        timeout: float,
        slots: threading.Semaphore,
    ) -> None:
        self._slots = slots
        self._url, self._body, self._headers, self._timeout = url, body, headers, timeout
        self._deadline = time.monotonic() + timeout
        self._step = ProbeStep.DNS
        self._step_began = time.monotonic()
        self._times: tuple[StepTime, ...] = ()
        self._socket: socket.socket | None = None
        self._response: ProbeResponse | None = None
        self._error: ProbeError | None = None
        self._thread = threading.Thread(target=self._work, name="test-push-probe", daemon=True)

    def run(self) -> ProbeResponse:
        self._thread.start()
        self._thread.join(self._timeout)
        # The thread may still be running; whatever it does from here on doesn't change the result.
        response, error, step = self._response, self._error, self._step
        if response is not None:
            return replace(response, times=self._times_so_far())
        if error is None and self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)  # unblocks the thread
        raise error or ProbeError(
            step, f"{_TIMED_OUT[step]} within {self._timeout:g} s", self._times_so_far()
        )

    def _begin(self, step: ProbeStep) -> None:
        self._times = self._times_so_far()
        self._step, self._step_began = step, time.monotonic()

    def _times_so_far(self) -> tuple[StepTime, ...]:
        """Return the finished steps and the current one."""
        return *self._times, StepTime(self._step, time.monotonic() - self._step_began)

    def _work(self) -> None:
        try:
            self._response = self._send()
        except Exception as error:  # noqa: BLE001 - a server may send anything; whatever it breaks is the result
            self._error = ProbeError(self._step, self._describe(error), self._times_so_far())
        finally:
            if self._socket is not None:
                self._socket.close()
            self._slots.release()

    def _send(self) -> ProbeResponse:
        parts = urlsplit(self._url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("the published URL is not a valid HTTP URL")
        self._socket = self._connect(parts)
        if parts.scheme == "https":
            self._begin(ProbeStep.TLS)
            context = ssl.create_default_context()
            wrapped = context.wrap_socket(
                self._socket, server_hostname=parts.hostname, do_handshake_on_connect=False
            )
            self._socket = wrapped  # before the handshake, so that `run` can abort it
            wrapped.do_handshake()
        self._begin(ProbeStep.HTTP)
        return self._exchange(parts, self._socket)

    def _connect(self, parts: SplitResult) -> socket.socket:
        """Connect to the first address of the host that accepts; each address gets a share of the remaining time.

        Raises `ConnectionError`, also if all addresses are forbidden.
        """
        port = parts.port or (443 if parts.scheme == "https" else 80)
        addresses = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
        self._begin(ProbeStep.CONNECT)
        problems: list[str] = []
        for left, (family, kind, protocol, _, address) in zip(
            range(len(addresses), 0, -1), addresses, strict=True
        ):
            # Checked here and not before, because the name may resolve to another address each time.
            if is_forbidden(str(address[0])):
                problems.append(f"kargoweb sends nothing to {address[0]}, a link-local or metadata address")
                continue
            connection = socket.socket(family, kind, protocol)
            connection.settimeout(max(0.1, (self._deadline - time.monotonic()) / left))
            try:
                connection.connect(address)
            except OSError as error:
                connection.close()
                problems.append(f"{_connect_problem(error)} at {address[0]}, port {port}")
                continue
            connection.settimeout(max(0.1, self._deadline - time.monotonic()))
            return connection
        raise ConnectionError("; ".join(problems))

    def _exchange(self, parts: SplitResult, connected: socket.socket) -> ProbeResponse:
        connection: HTTPConnection = (HTTPSConnection if parts.scheme == "https" else HTTPConnection)(
            parts.hostname or "", parts.port
        )
        connection.sock = connected
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", target or "/", self._body, dict(self._headers))
        response = connection.getresponse()
        # The status line has arrived, so this is a response even if its body fails.
        with contextlib.suppress(OSError, HTTPException):
            return _probe_response(response, response.read(MAX_BODY))
        return _probe_response(response, b"")

    def _describe(self, error: Exception) -> str:
        """Return what went wrong as part of a sentence, without exception texts that may contain the URL."""
        if isinstance(error, TimeoutError):
            return f"{_TIMED_OUT[self._step]} within {self._timeout:g} s"
        if isinstance(error, ssl.SSLError):
            return _tls_problem(error)
        if self._step is ProbeStep.DNS:
            return str(error) if type(error) is ValueError else _dns_problem(error)
        if self._step is ProbeStep.CONNECT:
            return str(error)
        if isinstance(error, RemoteDisconnected | ConnectionError):
            return "the server closed the connection without a response"
        return f"the server doesn't respond with HTTP ({type(error).__name__})"


_TIMED_OUT: Final = {
    ProbeStep.DNS: "the DNS servers did not respond",
    ProbeStep.CONNECT: "no connection was established",
    ProbeStep.TLS: "the TLS handshake did not finish",
    ProbeStep.HTTP: "the server accepted the connection but did not respond",
}


def _dns_problem(error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else "invalid host name"
    return lower_first(reason)


def _connect_problem(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, TimeoutError):
        return "connection timed out"
    return f"{error.strerror or type(error).__name__}"


def _tls_problem(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        problem = _CERTIFICATE_PROBLEMS.get(error.verify_code)
        return f"{problem} ({error.verify_message})" if problem else error.verify_message
    if error.reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST"}:
        return "the server doesn't respond with TLS"
    return f"the TLS handshake failed: {error.reason or 'the server closed the connection'}"


def _probe_response(response: Any, body: bytes) -> ProbeResponse:
    delivery, server, location, retry_after = (
        (response.headers.get(name) or "")[:MAX_HEADER]
        for name in (DELIVERY_HEADER, "Server", "Location", "Retry-After")
    )
    return ProbeResponse(
        response.status, body.decode(errors="replace"), delivery, server, location, retry_after
    )
