"""A transport over the official client's connection pool, for HTTP and SOCKS proxies."""

from __future__ import annotations

import contextlib
from typing import Any

import urllib3
from kubernetes.client import Configuration
from kubernetes.client.rest import RESTClientObject

from receivers.cluster.credentials import Credentials
from receivers.cluster.direct import DirectTransport
from receivers.cluster.errors import TimedOut, Unreachable, Untrusted
from receivers.cluster.transport import (
    CONNECT_TIMEOUT,
    USER_AGENT,
    ApiRequest,
    ApiResponse,
    ErrorTranslator,
    Stream,
    Transport,
)


def transport_for(configuration: Configuration) -> Transport:
    """Return the transport for `configuration`. Raises `KubeconfigError`."""
    pool_manager = RESTClientObject(configuration).pool_manager
    # The client has evaluated proxy-url, HTTPS_PROXY and NO_PROXY: a plain pool manager means no proxy.
    if type(pool_manager) is urllib3.PoolManager:
        return DirectTransport(configuration)
    return ProxiedTransport(configuration, pool_manager)


class _ErrorTranslator(ErrorTranslator):
    def translate(self, error: BaseException) -> Unreachable | None:
        """Translate urllib3's exceptions, too."""
        if isinstance(error, urllib3.exceptions.TimeoutError):
            return TimedOut(f"{self._where} did not respond in time")
        if isinstance(error, urllib3.exceptions.SSLError):
            return Untrusted(f"TLS with {self._where} failed")
        if isinstance(error, urllib3.exceptions.HTTPError):
            return Unreachable(f"cannot reach {self._where}: {type(error).__name__}")
        return super().translate(error)


class ProxiedTransport:
    """A transport through the proxy of the kubeconfig or the environment."""

    def __init__(self, configuration: Configuration, pool_manager: urllib3.PoolManager) -> None:
        self._url = configuration.host.rstrip("/")
        self._error_translator = _ErrorTranslator(configuration.host)
        self._credentials = Credentials(configuration)
        self._pool_manager = pool_manager

    def send(self, request: ApiRequest) -> ApiResponse:
        """Send a request and read the whole response."""
        with self._error_translator:
            response = self._request(request)
            return ApiResponse(response.status, response.data, response.headers.get("Retry-After"))

    def open(self, request: ApiRequest) -> Stream:
        """Send a request and return the response as a stream."""
        with self._error_translator:
            response = self._request(request, preload_content=False)
        return _ProxiedStream(response, self._error_translator)

    def retire(self) -> None:
        """Close idle connections; requests in progress continue."""
        self._pool_manager.clear()

    def close(self) -> None:
        """Close idle connections; requests in progress end by their timeouts."""
        self._pool_manager.clear()

    def _request(self, request: ApiRequest, **options: Any) -> urllib3.BaseHTTPResponse:
        headers = {"User-Agent": USER_AGENT, "Accept": request.accept}
        if request.body:
            headers["Content-Type"] = request.content_type
        if authorization := self._credentials.header():
            headers["Authorization"] = authorization
        return self._pool_manager.request(
            request.method,
            self._url + request.target,
            body=request.body or None,
            headers=headers,
            timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT, read=request.timeout),
            retries=False,
            redirect=False,
            **options,
        )


class _ProxiedStream:
    def __init__(self, response: urllib3.BaseHTTPResponse, error_translator: ErrorTranslator) -> None:
        self.status = response.status
        self._response: Any = response
        self._error_translator = error_translator

    def read(self) -> bytes:
        with self._error_translator:
            return bytes(self._response.read())

    def read_some(self) -> bytes:
        with self._error_translator:
            return bytes(self._response.read1(65_536))

    def cut(self) -> None:
        with contextlib.suppress(ValueError, RuntimeError, OSError):  # the response has already ended
            self._response.shutdown()

    def close(self) -> None:
        self._response.close()
