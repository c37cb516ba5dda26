"""Calls a receiver URL from outside, as Docker Hub does, and says at which step that fails.

Nothing is taken from the environment but where the certificates are (OpenSSL's `SSL_CERT_FILE`): Docker Hub uses no
proxy of ours. Redirects are not followed, and the certificate has to be good, as it has to be for Docker Hub.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from http.client import HTTPConnection, HTTPException, HTTPSConnection, RemoteDisconnected
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

DEADLINE: Final = 10.0  # seconds for all of it; Docker Hub is not known to wait longer, and a person waits
AT_ONCE: Final = 2  # calls under way: each holds a thread that serves requests, of which there are 4 or more
LONGEST_ANSWER: Final = 4_096  # bytes that are read; ours have 100
LONGEST_HEADER: Final = 255  # characters of a header that are kept

_CERTIFICATE_PROBLEMS: Final = {
    9: "the certificate is not valid yet",
    10: "the certificate has expired",
    18: "the certificate is self-signed",
    19: "the certificate's authority is not a known one",
    20: "the certificate's authority is not a known one",
    21: "the certificate's authority is not a known one",
    62: "the certificate is for another name",
    64: "the certificate is for another address",
}
"""By the number that OpenSSL gives them (`X509_V_ERR_...` in its `x509_vfy.h`)."""


class Step(StrEnum):
    """The steps of a call, in their order."""

    NAME = "name"
    CONNECT = "connect"
    TLS = "TLS"
    HTTP = "HTTP"


class NotReached(Exception):
    """There is no answer. `step` is the one that failed; the text says how, without the path of the URL."""

    def __init__(self, step: Step, reason: str) -> None:
        super().__init__(reason)
        self.step = step


class TooManyCalls(Exception):
    """`AT_ONCE` calls are under way."""


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer from whoever it may be: `body` is its beginning, headers that are not there are empty."""

    status: int
    body: str
    delivery: str = ""
    server: str = ""
    location: str = ""


_slots: Final = threading.BoundedSemaphore(AT_ONCE)


def post(url: str, body: bytes, headers: Mapping[str, str], seconds: float = DEADLINE) -> Heard:
    """POST `body` to `url` and return what is answered within so many seconds. Raises `NotReached`, `TooManyCalls`."""
    if not _slots.acquire(blocking=False):
        raise TooManyCalls
    return _Call(url, body, headers, seconds).wait()


class _Call:
    """One call, in a thread of its own: a name server that does not answer cannot be interrupted, only left behind."""

    def __init__(self, url: str, body: bytes, headers: Mapping[str, str], seconds: float) -> None:
        self._url, self._body, self._headers, self._seconds = url, body, headers, seconds
        self._deadline = time.monotonic() + seconds
        self._step = Step.NAME
        self._socket: socket.socket | None = None
        self._heard: Heard | None = None
        self._error: NotReached | None = None
        self._thread = threading.Thread(target=self._run, name="call-of-a-test", daemon=True)

    def wait(self) -> Heard:
        self._thread.start()
        self._thread.join(self._seconds)
        # What the thread does from now on changes nothing of what is told.
        heard, error, step = self._heard, self._error, self._step
        if heard is not None:
            return heard
        if error is None and self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread up
        raise error or NotReached(step, f"{_NO_ANSWER[step]} within {self._seconds:g} s")

    def _run(self) -> None:
        try:
            self._heard = self._answer()
        except Exception as error:  # noqa: BLE001 - whoever answers may send anything; it is told, and nothing else fails
            self._error = NotReached(self._step, self._told(error))
        finally:
            if self._socket is not None:
                self._socket.close()
            _slots.release()

    def _answer(self) -> Heard:
        parts = urlsplit(self._url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("the published URL is no address that could be called")
        self._socket = self._connected(parts)
        if parts.scheme == "https":
            self._step = Step.TLS
            context = ssl.create_default_context()
            wrapped = context.wrap_socket(
                self._socket, server_hostname=parts.hostname, do_handshake_on_connect=False
            )
            self._socket = wrapped  # by now, so that the handshake can be cut off
            wrapped.do_handshake()
        self._step = Step.HTTP
        return self._exchange(parts, self._socket)

    def _connected(self, parts: SplitResult) -> socket.socket:
        """Connect to one of the addresses that the name has, of which each gets its share of the time."""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        addresses = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
        self._step = Step.CONNECT
        problems: list[str] = []
        for left, (family, kind, protocol, _, address) in zip(
            range(len(addresses), 0, -1), addresses, strict=True
        ):
            one = socket.socket(family, kind, protocol)
            one.settimeout(max(0.1, (self._deadline - time.monotonic()) / left))
            try:
                one.connect(address)
            except OSError as error:
                one.close()
                problems.append(f"{_connect_problem(error)} at {address[0]}, port {port}")
                continue
            one.settimeout(max(0.1, self._deadline - time.monotonic()))
            return one
        raise ConnectionError("; ".join(problems))

    def _exchange(self, parts: SplitResult, connected: socket.socket) -> Heard:
        connection: HTTPConnection = (HTTPSConnection if parts.scheme == "https" else HTTPConnection)(
            parts.hostname or "", parts.port
        )
        connection.sock = connected
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", target or "/", self._body, dict(self._headers))
        response = connection.getresponse()
        with contextlib.suppress(OSError, HTTPException):  # the answer has begun, and so it is one
            return _heard(response, response.read(LONGEST_ANSWER))
        return _heard(response, b"")

    def _told(self, error: Exception) -> str:
        """Return what went wrong as part of a sentence. No text of an exception that could hold the URL."""
        if isinstance(error, TimeoutError):
            return f"{_NO_ANSWER[self._step]} within {self._seconds:g} s"
        if isinstance(error, ssl.SSLError):
            return _tls_problem(error)
        if self._step is Step.NAME:
            return str(error) if type(error) is ValueError else _name_problem(error)
        if self._step is Step.CONNECT:
            return str(error)
        if isinstance(error, RemoteDisconnected | ConnectionError):
            return "the connection was closed without an answer"
        return f"what answers there does not speak HTTP ({type(error).__name__})"


_NO_ANSWER: Final = {
    Step.NAME: "the name servers did not answer",
    Step.CONNECT: "nobody answered",
    Step.TLS: "TLS was not agreed upon",
    Step.HTTP: "the connection was made, and no answer came",
}


def _name_problem(error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is no valid name"
    return f"the host name has no address: {reason}"


def _connect_problem(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "the connection was refused: nothing listens"
    if isinstance(error, TimeoutError):
        return "nobody answered in time"
    return f"{error.strerror or type(error).__name__}"


def _tls_problem(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        known = _CERTIFICATE_PROBLEMS.get(error.verify_code)
        return f"{known} ({error.verify_message})" if known else error.verify_message
    if error.reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST"}:
        return "what answers there does not speak TLS"
    return f"TLS failed: {error.reason or 'the connection was closed'}"


def _heard(response: Any, body: bytes) -> Heard:
    headers = {
        name: (response.headers.get(name) or "")[:LONGEST_HEADER]
        for name in ("X-Kargoweb-Delivery", "Server", "Location")
    }
    return Heard(response.status, body.decode(errors="replace"), *headers.values())
