"""A Kubernetes client with one method for each verb that kargoweb uses.

Objects are passed and returned as decoded JSON. All methods are thread-safe and raise only `ClusterError`. Timeouts are
the longest time without a byte from the server.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, overload
from urllib.parse import quote, urlencode

import orjson
from kubernetes.client import Configuration

from receivers.cluster.api_status import decode, error_of
from receivers.cluster.errors import (
    ClusterError,
    KubeconfigError,
    Rejected,
    Unauthorized,
    Unreachable,
    Untrusted,
)
from receivers.cluster.garbage import collector_paused
from receivers.cluster.kubeconfig import load_configuration
from receivers.cluster.transport import READ_TIMEOUT, ApiRequest, ApiResponse, Stream, Transport
from receivers.cluster.watch import Watch
from receivers.kargo.resources import SUBJECT_ACCESS_REVIEWS, Resource

log = logging.getLogger(__name__)

Object = dict[str, Any]
T = TypeVar("T")

PAGE_SIZE: Final = 200  # objects; parsing a page of Warehouses (1 MB) blocks all other threads for about 3 ms
LIST_TIMEOUT: Final = 30.0  # seconds; the server may have to read all objects before it sends the first byte
WATCH_DURATION: Final = 290  # seconds after which the server ends a watch, so that none hangs forever
WATCH_SILENCE: Final = 90.0  # seconds without a byte; the server sends a bookmark every minute
# Seconds; shortest time between two reloads of a kubeconfig with rejected credentials
RELOAD_INTERVAL: Final = 2.0
MERGE_PATCH: Final = "application/merge-patch+json"
# The status of a Warehouse may list hundreds of artifacts, which are of no use in the response to a patch.
METADATA_ONLY: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"


@dataclass(frozen=True, slots=True)
class ListPage(Generic[T]):
    """A page of a list. All pages have the same `resource_version`, from which a watch can start."""

    items: list[T]
    resource_version: str


def connect(kubeconfig: str | None = None, context: str = "") -> KubernetesClient:
    """Return a client for the cluster of the kubeconfig or the pod's service account. Sends no request.

    See `load_configuration` for the order of precedence. Raises `KubeconfigError`.
    """
    return KubernetesClient(lambda: load_configuration(kubeconfig, context))


class KubernetesClient:
    """A client for one Kubernetes API server, with its own credentials."""

    def __init__(self, load: Callable[[], Configuration]) -> None:
        self._load = load
        self._configuration = load()
        self._transport = Transport(self._configuration)
        self._reloading = threading.Lock()
        self._reloaded = time.monotonic()
        self._suspended = ""
        self._resumed_at: float | None = None

    def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        """Return an object. Raises `NotFound`, or `NotInstalled` if the cluster has no such resource type."""
        request = ApiRequest("GET", _path(resource, namespace, name), repeatable=True)
        return decode(self._send(request, f"get {resource.kind} {name}").body)

    @overload
    def list_pages(
        self, resource: Resource, namespace: str | None = None, *, limit: int = PAGE_SIZE, labels: str = ""
    ) -> Iterator[ListPage[Object]]: ...

    @overload
    def list_pages(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        limit: int = PAGE_SIZE,
        labels: str = "",
        item: Callable[[Object], T],
    ) -> Iterator[ListPage[T]]: ...

    def list_pages(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        limit: int = PAGE_SIZE,
        labels: str = "",
        item: Callable[[Object], Any] | None = None,
    ) -> Iterator[ListPage[Any]]:
        """Yield all objects of a type page by page, in one namespace or, with None, in all namespaces.

        `labels` is a label selector. `item` decodes an object; without it, items are the decoded JSON. Raises `Gone` if
        the continue token expires between two pages; the list must then be restarted.
        """
        query: dict[str, Any] = {"limit": limit} | ({"labelSelector": labels} if labels else {})
        while True:
            target = f"{_path(resource, namespace)}?{urlencode(query)}"
            request = ApiRequest("GET", target, timeout=LIST_TIMEOUT, repeatable=True)
            page, query["continue"] = _page(self._send(request, f"list {resource.plural}").body, item)
            yield page
            if not query["continue"]:
                return

    def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        resource_version: str,
        duration: int = WATCH_DURATION,
        silence: float = WATCH_SILENCE,
    ) -> Watch:
        """Open a watch that starts after `resource_version`; see `Watch` for how to read and close it.

        The server ends it after `duration` seconds. It times out after `silence` seconds without a byte.
        """
        query = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": duration,
        }
        doing = f"watch {resource.plural}"
        request = ApiRequest("GET", f"{_path(resource, namespace)}?{urlencode(query)}", timeout=silence)
        stream = self._open(request)
        if stream.status != 200:
            with Watch(stream, doing):
                raise self._reload_if_stale(error_of(stream.status, stream.read(), None, doing))
        return Watch(stream, doing)

    def patch(
        self,
        resource: Resource,
        name: str,
        namespace: str | None,
        body: Mapping[str, Any],
        *,
        timeout: float = READ_TIMEOUT,
    ) -> Object:
        """Apply a merge patch (RFC 7386) and return the new object's metadata.

        If the patch has a `metadata.resourceVersion`, raises `Conflict` if the object has changed since. Otherwise the
        patch must be idempotent, because it is sent again if the connection breaks.
        """
        request = _merge_patch(_path(resource, namespace, name), body, accept=METADATA_ONLY, timeout=timeout)
        response = self._send(request, f"patch {resource.kind} {name}")
        metadata = decode(response.body).get("metadata")
        return metadata if isinstance(metadata, dict) else {}

    def patch_status(
        self, resource: Resource, name: str, namespace: str | None, body: Mapping[str, Any]
    ) -> Object:
        """Apply a merge patch to the `status` subresource and return the new object.

        The server ignores everything but `status` and `metadata.resourceVersion`; see `patch` for the latter.
        """
        request = _merge_patch(f"{_path(resource, namespace, name)}/status", body)
        return decode(self._send(request, f"patch the status of {resource.kind} {name}").body)

    def create(self, resource: Resource, body: Mapping[str, Any], namespace: str | None = None) -> Object:
        """Create an object and return it as stored. Raises `AlreadyExists` if there is one with that name."""
        request = ApiRequest("POST", _path(resource, namespace), orjson.dumps(body))
        return decode(self._send(request, f"create a {resource.kind}").body)

    def delete(self, resource: Resource, name: str, namespace: str | None = None) -> None:
        """Delete an object. Raises `NotFound` if there is none."""
        request = ApiRequest("DELETE", _path(resource, namespace, name))
        self._send(request, f"delete {resource.kind} {name}")

    def can_i(
        self, verb: str, resource: Resource, namespace: str | None = None, subresource: str = ""
    ) -> bool:
        """Return whether the credentials permit `verb` on a type, in one namespace or, with None, in all namespaces."""
        attributes = _attributes(verb, resource, namespace, subresource)
        return self._review("SelfSubjectAccessReview", {"resourceAttributes": attributes}, READ_TIMEOUT)

    def may(
        self,
        user: str,
        groups: Iterable[str],
        verb: str,
        resource: Resource,
        namespace: str | None = None,
        *,
        timeout: float = READ_TIMEOUT,
    ) -> bool:
        """Return whether a user with these groups may do `verb` on a type, in one namespace or, with None, in all.

        The credentials must permit to create SubjectAccessReviews.
        """
        attributes = _attributes(verb, resource, namespace)
        spec = {"user": user, "groups": list(groups), "resourceAttributes": attributes}
        return self._review("SubjectAccessReview", spec, timeout)

    def _review(self, kind: str, spec: Mapping[str, Any], timeout: float) -> bool:
        """Return whether the API server allows what a review asks. Anything but a clear yes is a no."""
        body = {"apiVersion": SUBJECT_ACCESS_REVIEWS.api_version, "kind": kind, "spec": spec}
        target = f"/apis/{SUBJECT_ACCESS_REVIEWS.api_version}/{kind.lower()}s"
        request = ApiRequest("POST", target, orjson.dumps(body), timeout=timeout, repeatable=True)
        status = decode(self._send(request, "review permissions").body).get("status")
        return isinstance(status, dict) and status.get("allowed") is True

    def version(self) -> str:
        """Return the version of the API server, for example `v1.35.0`."""
        response = self._send(ApiRequest("GET", "/version", repeatable=True), "get the server version")
        return str(decode(response.body).get("gitVersion") or "")

    def probe(self, resource: Resource, namespace: str | None = None, *, timeout: float) -> None:
        """List at most one object of a type, even while the client is suspended. Raises what `list_pages` does."""
        target = f"{_path(resource, namespace)}?limit=1"
        request = ApiRequest("GET", target, timeout=timeout, repeatable=True)
        self._checked(self._transport.send(request), f"list {resource.plural}")

    @property
    def is_suspended(self) -> bool:
        """Return whether requests fail without being sent."""
        return bool(self._suspended)

    @property
    def resumed_at(self) -> float | None:
        """Return when the last suspension ended, in `time.monotonic` seconds; None if there was none."""
        return self._resumed_at

    def suspend(self, reason: str) -> None:
        """Let all requests, those in progress included, fail at once with `Unreachable(reason)`, until `resume`.

        Their connections are closed, because they may lead nowhere even when the server responds again.
        """
        if self._suspended:
            return
        log.warning("%s; requests to it are suspended until it responds", reason)
        self._suspended = reason
        with self._reloading:
            hanging, self._transport = self._transport, Transport(self._configuration)
        hanging.close()

    def resume(self) -> None:
        """Send requests again after `suspend`."""
        if not self._suspended:
            return
        log.info("The Kubernetes API responds again")
        self._suspended, self._resumed_at = "", time.monotonic()

    def openapi(self, resource: Resource) -> Object:
        """Return the OpenAPI 3 document of the group version of a type, which every account may read.

        Raises `NotFound` if there is none: before Kubernetes 1.24, or if the type is not installed.
        """
        target = f"/openapi/v3/apis/{resource.group}/{resource.version}"
        request = ApiRequest("GET", target, repeatable=True)
        return decode(self._send(request, f"get the schemas of {resource.group}").body)

    def close(self) -> None:
        """Close all connections. Requests in progress in other threads fail with `Unreachable`."""
        self._transport.close()

    def _send(self, request: ApiRequest, doing: str) -> ApiResponse:
        with self._suspendable() as transport:
            response = transport.send(request)
        return self._checked(response, doing)

    def _open(self, request: ApiRequest) -> Stream:
        with self._suspendable() as transport:
            return transport.open(request)

    def _checked(self, response: ApiResponse, doing: str) -> ApiResponse:
        if 200 <= response.status < 300:
            return response
        raise self._reload_if_stale(error_of(response.status, response.body, response.retry_after, doing))

    @contextlib.contextmanager
    def _suspendable(self) -> Iterator[Transport]:
        """Yield the transport for a request that `suspend` ends."""
        transport = (
            self._transport
        )  # before the check: `suspend` ends only requests of the previous transport
        if reason := self._suspended:
            raise Unreachable(reason)
        try:
            yield transport
        except Untrusted as error:
            self._reload_if_stale(error)
            raise
        except Unreachable as error:
            if not (reason := self._suspended):
                raise
            raise Unreachable(reason) from error

    def _reload_if_stale(self, error: ClusterError) -> ClusterError:
        """Return `error`, after reloading the credentials for the next request if the server rejected them.

        The official client reads the token of a kubeconfig and all certificates only once.
        """
        if isinstance(error, Unauthorized | Untrusted) and self._reloading.acquire(blocking=False):
            try:
                self._reload()
            finally:
                self._reloading.release()
        return error

    def _reload(self) -> None:
        if time.monotonic() - self._reloaded < RELOAD_INTERVAL:
            return
        self._reloaded = time.monotonic()
        try:
            configuration = self._load()
            fresh = Transport(configuration)
        except KubeconfigError:
            return  # perhaps the file is being written; keep the current transport
        # Requests in progress continue with the previous one, and its idle connections are closed with it.
        self._configuration, self._transport = configuration, fresh


def _page(body: bytes, item: Callable[[Object], T] | None) -> tuple[ListPage[Any], str]:
    with collector_paused():
        content = decode(body)
        objects = content.get("items") or []
        items = objects if item is None else [item(raw) for raw in objects]
        metadata = content.get("metadata") or {}
        del content, objects
    return ListPage(items, str(metadata.get("resourceVersion", ""))), str(metadata.get("continue") or "")


def _merge_patch(
    target: str, body: Mapping[str, Any], accept: str = "application/json", timeout: float = READ_TIMEOUT
) -> ApiRequest:
    # Applying the same values twice is harmless; with a resourceVersion the second request would be a Conflict.
    metadata = body.get("metadata")
    conditional = isinstance(metadata, Mapping) and "resourceVersion" in metadata
    return ApiRequest(
        "PATCH", target, orjson.dumps(body), MERGE_PATCH, accept, timeout, repeatable=not conditional
    )


def _path(resource: Resource, namespace: str | None, name: str | None = None) -> str:
    """Return the path of a type's collection, or of one object if `name` is given."""
    root = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
    if resource.namespaced and namespace:
        root += f"/namespaces/{_segment(namespace)}"
    return f"{root}/{resource.plural}" if name is None else f"{root}/{resource.plural}/{_segment(name)}"


def _attributes(
    verb: str, resource: Resource, namespace: str | None, subresource: str = ""
) -> dict[str, str]:
    """Return the `resourceAttributes` of an access review."""
    return {
        "verb": verb,
        "group": resource.group,
        "resource": resource.plural,
        "subresource": subresource,
        "namespace": namespace or "",
    }


def _segment(name: str) -> str:
    if name in {"", ".", ".."}:
        # In a path, these would address a different object.
        raise Rejected(f"{name!r} is not a valid name of a Kubernetes object")
    return quote(name, safe="")
