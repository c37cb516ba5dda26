"""Raw HTTP to a Kubernetes API server."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import urllib3

TIMEOUT = 60.0  # seconds for a connection or a response


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """An HTTP response."""

    status: int
    headers: Mapping[str, str]
    data: bytes

    @property
    def body(self) -> Any:
        """Return the data decoded from JSON."""
        return json.loads(self.data)


class ApiClient:
    """A client for raw HTTP requests to an API server; `certificate` is the client's certificate and key file."""

    def __init__(
        self,
        url: str,
        *,
        token: str = "",
        ca_file: str | None = None,
        certificate: tuple[str, str] | None = None,
    ) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._pool = urllib3.PoolManager(
            ca_certs=ca_file,
            cert_file=certificate[0] if certificate else None,
            key_file=certificate[1] if certificate else None,
            retries=False,
            maxsize=16,
            timeout=urllib3.Timeout(connect=TIMEOUT, read=TIMEOUT),
        )

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
        **query: Any,
    ) -> ApiResponse:
        """Send a request; `body` is JSON unless it is bytes already. Never raises for a status."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        all_headers = {**self._headers, "Accept": "application/json", **(headers or {})}
        if data is not None:
            all_headers["Content-Type"] = content_type
        response = self._pool.request(method, self._url_of(path, query), body=data, headers=all_headers)
        return ApiResponse(response.status, response.headers, response.data)

    def _url_of(self, path: str, query: Mapping[str, Any]) -> str:
        return f"{self._url}{path}" + (f"?{urlencode(query)}" if query else "")

    def get(self, path: str, **query: Any) -> ApiResponse:
        """Get an object or a list."""
        return self.request("GET", path, **query)

    def post(self, path: str, body: Any, **query: Any) -> ApiResponse:
        """Create an object."""
        return self.request("POST", path, body, **query)

    def put(self, path: str, body: Any, **query: Any) -> ApiResponse:
        """Replace an object."""
        return self.request("PUT", path, body, **query)

    def patch(self, path: str, body: Any, kind: str = "merge", **query: Any) -> ApiResponse:
        """Patch an object; `kind` is merge, json or strategic-merge."""
        return self.request("PATCH", path, body, content_type=f"application/{kind}-patch+json", **query)

    def delete(self, path: str, body: Any = None, **query: Any) -> ApiResponse:
        """Delete an object or a collection."""
        return self.request("DELETE", path, body, **query)

    @contextmanager
    def watch(self, path: str, *, seconds: int = 30, **query: Any) -> Iterator[Iterator[dict[str, Any]]]:
        """Open a watch, which the server ends after `seconds`; yield its events."""
        query = {"watch": "true", "timeoutSeconds": seconds, **query}
        response = self._pool.request(
            "GET",
            self._url_of(path, query),
            headers=self._headers,
            preload_content=False,
            timeout=urllib3.Timeout(connect=TIMEOUT, read=seconds + TIMEOUT),
        )
        try:
            yield _events(response)
        finally:
            response.close()

    def close(self) -> None:
        """Close all connections."""
        self._pool.clear()


def _events(response: urllib3.BaseHTTPResponse) -> Iterator[dict[str, Any]]:
    if response.status != 200:
        raise AssertionError(f"the watch failed: {response.status} {response.data!r}")
    buffer = b""
    for chunk in response.stream(None):
        *lines, buffer = (buffer + chunk).split(b"\n")
        yield from map(json.loads, lines)
