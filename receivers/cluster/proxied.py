"""The same seam through the official client's pool manager: for HTTP and SOCKS proxies."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
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
    Answer,
    Request,
    Stream,
    Transport,
    own_errors,
)


def transport_for(configuration: Configuration) -> Transport:
    """Return the transport that `configuration` needs. Raises `ConfigurationProblem`."""
    pool_manager = RESTClientObject(configuration).pool_manager
    # The client has weighed proxy-url, HTTPS_PROXY and NO_PROXY by now: a plain manager means no proxy.
    if type(pool_manager) is urllib3.PoolManager:
        return DirectTransport(configuration)
    return ProxiedTransport(configuration, pool_manager)


@contextlib.contextmanager
def _own_errors(where: str) -> Iterator[None]:
    with own_errors(where):
        try:
            yield
        except urllib3.exceptions.TimeoutError as error:
            raise TimedOut(f"The Kubernetes API at {where} did not answer in time.") from error
        except urllib3.exceptions.SSLError as error:
            raise Untrusted(f"No trusted connection to the Kubernetes API at {where}.") from error
        except urllib3.exceptions.HTTPError as error:
            kind = type(error).__name__
            raise Unreachable(f"The Kubernetes API at {where} cannot be reached: {kind}.") from error


class ProxiedTransport:
    """Talks to the API server through the proxy that the kubeconfig or the environment names."""

    def __init__(self, configuration: Configuration, pool_manager: urllib3.PoolManager) -> None:
        self._where = configuration.host
        self._credentials = Credentials(configuration)
        self._pool_manager = pool_manager

    def send(self, request: Request) -> Answer:
        """Send and read the whole answer."""
        with _own_errors(self._where):
            response = self._request(request)
            return Answer(response.status, response.data, response.headers.get("Retry-After"))

    def open(self, request: Request) -> Stream:
        """Send and return the answer as a stream."""
        with _own_errors(self._where):
            response = self._request(request, preload_content=False)
        return _ProxiedStream(response, self._where)

    def retire(self) -> None:
        """Close what is idle; requests under way go on."""
        self._pool_manager.clear()

    def close(self) -> None:
        """Close what is idle; requests under way end by their timeouts."""
        self._pool_manager.clear()

    def _request(self, request: Request, **options: Any) -> urllib3.BaseHTTPResponse:
        headers = {"User-Agent": USER_AGENT, "Accept": request.accept}
        if request.body:
            headers["Content-Type"] = request.content_type
        if authorization := self._credentials.header():
            headers["Authorization"] = authorization
        return self._pool_manager.request(
            request.method,
            self._where.rstrip("/") + request.target,
            body=request.body or None,
            headers=headers,
            timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT, read=request.timeout),
            retries=False,
            redirect=False,
            **options,
        )


class _ProxiedStream:
    def __init__(self, response: urllib3.BaseHTTPResponse, where: str) -> None:
        self.status = response.status
        self._response: Any = response
        self._where = where

    def read(self) -> bytes:
        with _own_errors(self._where):
            return bytes(self._response.read())

    def read_some(self) -> bytes:
        with _own_errors(self._where):
            return bytes(self._response.read1(65_536))

    def cut(self) -> None:
        with contextlib.suppress(ValueError, RuntimeError, OSError):  # it has ended by itself
            self._response.shutdown()

    def close(self) -> None:
        self._response.close()
