"""The same seam through the official client's pool manager: for HTTP and SOCKS proxies."""

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
    OwnErrors,
    Stream,
    Transport,
)


def transport_for(configuration: Configuration) -> Transport:
    """Return the transport that `configuration` needs. Raises `ConfigurationProblem`."""
    pool_manager = RESTClientObject(configuration).pool_manager
    # The client has weighed proxy-url, HTTPS_PROXY and NO_PROXY by now: a plain manager means no proxy.
    if type(pool_manager) is urllib3.PoolManager:
        return DirectTransport(configuration)
    return ProxiedTransport(configuration, pool_manager)


class _OwnErrors(OwnErrors):
    def translate(self, error: BaseException) -> Unreachable | None:
        """Know what urllib3 raises too."""
        if isinstance(error, urllib3.exceptions.TimeoutError):
            return TimedOut(f"{self._where} did not answer in time")
        if isinstance(error, urllib3.exceptions.SSLError):
            return Untrusted(f"no trusted connection to {self._where}")
        if isinstance(error, urllib3.exceptions.HTTPError):
            return Unreachable(f"{self._where} cannot be reached: {type(error).__name__}")
        return super().translate(error)


class ProxiedTransport:
    """Talks to the API server through the proxy that the kubeconfig or the environment names."""

    def __init__(self, configuration: Configuration, pool_manager: urllib3.PoolManager) -> None:
        self._url = configuration.host.rstrip("/")
        self._own_errors = _OwnErrors(configuration.host)
        self._credentials = Credentials(configuration)
        self._pool_manager = pool_manager

    def send(self, request: ApiRequest) -> ApiResponse:
        """Send and read the whole answer."""
        with self._own_errors:
            response = self._request(request)
            return ApiResponse(response.status, response.data, response.headers.get("Retry-After"))

    def open(self, request: ApiRequest) -> Stream:
        """Send and return the answer as a stream."""
        with self._own_errors:
            response = self._request(request, preload_content=False)
        return _ProxiedStream(response, self._own_errors)

    def retire(self) -> None:
        """Close what is idle; requests under way go on."""
        self._pool_manager.clear()

    def close(self) -> None:
        """Close what is idle; requests under way end by their timeouts."""
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
    def __init__(self, response: urllib3.BaseHTTPResponse, own_errors: OwnErrors) -> None:
        self.status = response.status
        self._response: Any = response
        self._own_errors = own_errors

    def read(self) -> bytes:
        with self._own_errors:
            return bytes(self._response.read())

    def read_some(self) -> bytes:
        with self._own_errors:
            return bytes(self._response.read1(65_536))

    def cut(self) -> None:
        with contextlib.suppress(ValueError, RuntimeError, OSError):  # it has ended by itself
            self._response.shutdown()

    def close(self) -> None:
        self._response.close()
