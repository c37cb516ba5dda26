"""The verbs of the Kubernetes API that kargoweb uses, one method each.

Objects go in and come out as decoded JSON. All methods may be called from any thread, wait no longer than
their timeouts between two bytes, and raise `ClusterError`s only.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, overload
from urllib.parse import quote, urlencode

import orjson
from kubernetes.client import Configuration

from receivers.cluster.api_status import decode, error_of
from receivers.cluster.errors import ClusterError, ConfigurationProblem, Rejected, Unauthorized, Untrusted
from receivers.cluster.garbage import collector_paused
from receivers.cluster.kubeconfig import load_configuration
from receivers.cluster.proxied import transport_for
from receivers.cluster.transport import READ_TIMEOUT, ApiRequest, ApiResponse, Stream
from receivers.cluster.watch import Watch
from receivers.kargo.resources import Resource

Object = dict[str, Any]
T = TypeVar("T")

PAGE_SIZE: Final = 200  # objects; no other thread runs while a page of Warehouses (1 MB) is parsed, some 3 ms
LIST_TIMEOUT: Final = 30.0  # seconds until the first byte of a page; the server may have to read them all
WATCH_LASTS: Final = 290  # seconds after which the server ends a watch, so that nothing hangs for ever
WATCH_SILENCE: Final = 90.0  # seconds without a byte; bookmarks come every minute
RELOAD_EVERY: Final = 2.0  # seconds between two reads of the kubeconfig because credentials were refused
MERGE_PATCH: Final = "application/merge-patch+json"
# A Warehouse may list hundreds of artifacts in its status; nobody needs them back for an annotation.
METADATA_ONLY: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"


@dataclass(frozen=True, slots=True)
class ListPage(Generic[T]):
    """A part of a list. All pages have the same `resource_version`, from which a watch can start."""

    items: list[T]
    resource_version: str


def connect(kubeconfig: str | None = None, context: str = "") -> KubernetesClient:
    """Return the cluster that the kubeconfig or the pod's service account names; nothing is sent yet.

    See `load_configuration` for what is loaded. Raises `ConfigurationProblem`.
    """
    return KubernetesClient(lambda: load_configuration(kubeconfig, context))


class KubernetesClient:
    """A Kubernetes API server and our credentials for it."""

    def __init__(self, load: Callable[[], Configuration]) -> None:
        self._load = load
        self._transport = transport_for(load())
        self._reloading = threading.Lock()
        self._reloaded = time.monotonic()

    def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        """Return one object. Raises `NotFound`, or `NotInstalled` if the type itself is unknown."""
        request = ApiRequest("GET", _path(resource, namespace, name), repeatable=True)
        return decode(self._send(request, f"get {resource.kind} {name}").body)

    @overload
    def list_pages(
        self, resource: Resource, namespace: str | None = None, *, limit: int = PAGE_SIZE
    ) -> Iterator[ListPage[Object]]: ...

    @overload
    def list_pages(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        limit: int = PAGE_SIZE,
        item: Callable[[Object], T],
    ) -> Iterator[ListPage[T]]: ...

    def list_pages(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        limit: int = PAGE_SIZE,
        item: Callable[[Object], Any] | None = None,
    ) -> Iterator[ListPage[Any]]:
        """Yield all objects of a type, page by page, in one namespace or (None) everywhere.

        `item` decodes one object while the page's JSON is in memory; without it the objects come as they are.
        Raises `Gone` between two pages when the server has forgotten the list: start again.
        """
        query: dict[str, Any] = {"limit": limit}
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
        lasts: int = WATCH_LASTS,
        silence: float = WATCH_SILENCE,
    ) -> Watch:
        """Open a watch that starts after `resource_version`; see `Watch` for how to read and close it.

        The server is asked to end it after `lasts` seconds; after `silence` seconds without a byte it fails.
        """
        query = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": lasts,
        }
        doing = f"watch {resource.plural}"
        request = ApiRequest("GET", f"{_path(resource, namespace)}?{urlencode(query)}", timeout=silence)
        stream = self._open(request)
        if stream.status != 200:
            with Watch(stream, doing):
                raise self._noted(error_of(stream.status, stream.read(), None, doing))
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
        """Apply a merge patch (RFC 7386) and return the new object's metadata, without its spec and status.

        With `metadata.resourceVersion` in the patch, raises `Conflict` if the object has changed since; without,
        the patch is sent once more if a connection breaks, so it must not matter how often it is applied.
        """
        request = _merge_patch(_path(resource, namespace, name), body, accept=METADATA_ONLY, timeout=timeout)
        answer = self._send(request, f"patch {resource.kind} {name}")
        metadata = decode(answer.body).get("metadata")
        return metadata if isinstance(metadata, dict) else {}

    def patch_status(
        self, resource: Resource, name: str, namespace: str | None, body: Mapping[str, Any]
    ) -> Object:
        """Apply a merge patch to the `status` subresource and return the new object.

        Only `status` and `metadata.resourceVersion` of the patch count; the latter as for `patch`.
        """
        request = _merge_patch(f"{_path(resource, namespace, name)}/status", body)
        return decode(self._send(request, f"patch the status of {resource.kind} {name}").body)

    def create(self, resource: Resource, body: Mapping[str, Any], namespace: str | None = None) -> Object:
        """Create an object and return it as stored. Raises `AlreadyExists`."""
        request = ApiRequest("POST", _path(resource, namespace), orjson.dumps(body))
        return decode(self._send(request, f"create a {resource.kind}").body)

    def delete(self, resource: Resource, name: str, namespace: str | None = None) -> None:
        """Delete an object. Raises `NotFound`."""
        request = ApiRequest("DELETE", _path(resource, namespace, name))
        self._send(request, f"delete {resource.kind} {name}")

    def can_i(
        self, verb: str, resource: Resource, namespace: str | None = None, subresource: str = ""
    ) -> bool:
        """Say whether our credentials allow `verb` on the type, in one namespace or (None) in all."""
        attributes = {
            "verb": verb,
            "group": resource.group,
            "resource": resource.plural,
            "subresource": subresource,
            "namespace": namespace or "",
        }
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        target = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        request = ApiRequest("POST", target, orjson.dumps(body), repeatable=True)
        status = decode(self._send(request, "ask for our permissions").body).get("status")
        return isinstance(status, dict) and status.get("allowed") is True

    def version(self) -> str:
        """Return the server's version, for example `v1.35.0`."""
        answer = self._send(ApiRequest("GET", "/version", repeatable=True), "ask for the version")
        return str(decode(answer.body).get("gitVersion") or "")

    def close(self) -> None:
        """Close all connections; calls under way in other threads fail with `Unreachable`."""
        self._transport.close()

    def _send(self, request: ApiRequest, doing: str) -> ApiResponse:
        try:
            answer = self._transport.send(request)
        except Untrusted as error:
            self._noted(error)
            raise
        if 200 <= answer.status < 300:
            return answer
        raise self._noted(error_of(answer.status, answer.body, answer.retry_after, doing))

    def _open(self, request: ApiRequest) -> Stream:
        try:
            return self._transport.open(request)
        except Untrusted as error:
            self._noted(error)
            raise

    def _noted(self, error: ClusterError) -> ClusterError:
        """Return `error`; if it says that credentials are stale, load them anew for the next call.

        The official client reads a kubeconfig's token and all certificates only once.
        """
        if isinstance(error, Unauthorized | Untrusted) and self._reloading.acquire(blocking=False):
            try:
                self._reload()
            finally:
                self._reloading.release()
        return error

    def _reload(self) -> None:
        if time.monotonic() - self._reloaded < RELOAD_EVERY:
            return
        self._reloaded = time.monotonic()
        try:
            fresh = transport_for(self._load())
        except ConfigurationProblem:
            return  # half-written, perhaps; the old one stays
        stale, self._transport = self._transport, fresh
        stale.retire()


def _page(body: bytes, item: Callable[[Object], T] | None) -> tuple[ListPage[Any], str]:
    with collector_paused():
        content = decode(body)
        objects = content.get("items") or []
        items = objects if item is None else [item(each) for each in objects]
        metadata = content.get("metadata") or {}
        del content, objects
    return ListPage(items, str(metadata.get("resourceVersion", ""))), str(metadata.get("continue") or "")


def _merge_patch(
    target: str, body: Mapping[str, Any], accept: str = "application/json", timeout: float = READ_TIMEOUT
) -> ApiRequest:
    # Merging the same values twice does no harm; with a resourceVersion the second time would be a Conflict.
    metadata = body.get("metadata")
    conditional = isinstance(metadata, Mapping) and "resourceVersion" in metadata
    return ApiRequest(
        "PATCH", target, orjson.dumps(body), MERGE_PATCH, accept, timeout, repeatable=not conditional
    )


def _path(resource: Resource, namespace: str | None, name: str | None = None) -> str:
    """Return the path of a type's collection or of one object"""
    root = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
    if resource.namespaced and namespace:
        root += f"/namespaces/{_segment(namespace)}"
    return f"{root}/{resource.plural}" if name is None else f"{root}/{resource.plural}/{_segment(name)}"


def _segment(name: str) -> str:
    if name in {"", ".", ".."}:
        # These would address another object than the one that was meant.
        raise Rejected(f"{name!r} is not a name of a Kubernetes object")
    return quote(name, safe="")
