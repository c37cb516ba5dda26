"""Handle `get`, `list` and `watch`, with pages, resource versions, selectors and bookmarks.

Semantics: "Kubernetes API Concepts" (resource versions, retrieving large results in chunks, watch bookmarks,
streaming lists).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson

from demo.apiserver.errors import ApiError, bad_request, expired, not_found, version_too_large
from demo.apiserver.messages import Request, Response
from demo.apiserver.resource_types import ResourceType
from demo.apiserver.routes import TRUE, Route
from demo.apiserver.selectors import selection
from demo.apiserver.storage import Collection, CompactedError, Json, Store, Stored, object_key
from demo.apiserver.tables import table, wants_table
from demo.apiserver.watch import Renderer, Scope, Watch, encoded, error_line, event_line
from demo.apiserver.wire import Stream, StreamingResponse

BOOKMARK_INTERVAL: Final = 60.0  # seconds between bookmarks, as kube-apiserver sends them
# Seconds after which a watch without `timeoutSeconds` ends, as in kube-apiserver.
WATCH_TIMEOUT: Final = (1800, 3600)
LATEST: Final = -1  # the version of a continue token that continues with the current state

_CONTINUE_TOO_OLD: Final = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list "
    "without the continue parameter, or use the continue token in this response to retrieve the remainder of "
    "the results."
)


def parse_number(text: str, parameter: str) -> int:
    """Return the value of a query parameter that is a whole number, or 0 if empty. Raises `ApiError` 400."""
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()):
        raise bad_request(f"{parameter}: Invalid value: {text!r}: must be a whole number")
    return int(text)


def renderer(kind: ResourceType, request: Request) -> Renderer:
    """Return the function that encodes single objects for this client: as JSON, or as a table with one row."""
    if not wants_table(request.headers.get("accept", "")):
        return encoded
    include = request.query.get("includeObject", "Metadata")

    def as_table(stored: Stored) -> bytes:
        metadata = {"resourceVersion": str(stored.version)}
        return orjson.dumps(table(kind, [stored], metadata, include=include))

    return as_table


def get(store: Store, route: Route, request: Request) -> Response:
    """Respond with an object. Raises `ApiError` 404."""
    key = object_key(route.namespace, route.name)
    stored = store.collection(route.kind.qualified).objects.get(key)
    if stored is None:
        raise not_found(route.kind, route.name)
    return Response(200, renderer(route.kind, request)(stored))


@dataclass(frozen=True, slots=True)
class _Page:
    """The start of a page: the version of the list, and the key before its first object."""

    version: int
    after: str = ""


def _encode_continue(version: int, after: str) -> str:
    return base64.urlsafe_b64encode(
        orjson.dumps({"v": "meta.k8s.io/v1", "rv": version, "start": after})
    ).decode()


def _decode_continue(token: str) -> _Page:
    try:
        decoded = orjson.loads(base64.urlsafe_b64decode(token))
        return _Page(int(decoded["rv"]), str(decoded["start"]))
    except (binascii.Error, ValueError, KeyError, TypeError):
        raise bad_request(f"continue: Invalid value: {token!r}: continue key is not valid") from None


def _first_page(store: Store, request: Request) -> _Page:
    requested = parse_number(request.query.get("resourceVersion", ""), "resourceVersion")
    if requested > store.version:
        raise version_too_large(requested, store.version)
    exact = request.query.get("resourceVersionMatch") == "Exact"
    return _Page(requested if exact and requested else store.version)


def _page(store: Store, request: Request) -> _Page:
    if token := request.query.get("continue", ""):
        page = _decode_continue(token)
        return _Page(store.version, page.after) if page.version == LATEST else page
    return _first_page(store, request)


def _selected(objects: Iterator[Stored], scope: Scope, limit: int) -> tuple[list[Stored], bool]:
    """Return up to `limit` (0: all) objects in scope, and whether others remain."""
    if not limit and scope.selects is None:
        return list(objects), False
    selected: list[Stored] = []
    for stored in objects:
        if scope.selects is not None and not scope.selects(stored.content):
            continue
        if limit and len(selected) == limit:
            return selected, True
        selected.append(stored)
    return selected, False


def list_objects(store: Store, route: Route, request: Request) -> Response:
    """Respond with a page of objects. Raises `ApiError` 400, 410 or 504."""
    kind, query = route.kind, request.query
    collection = store.collection(kind.qualified)
    scope = Scope(
        route.namespace, selection(kind, query.get("labelSelector", ""), query.get("fieldSelector", ""))
    )
    page = _page(store, request)
    try:
        objects = collection.at(page.version, route.namespace, page.after)
        selected, has_next = _selected(objects, scope, parse_number(query.get("limit", ""), "limit"))
    except CompactedError:
        if not query.get("continue"):
            raise expired(f"The resourceVersion for the provided list is too old: {page.version}") from None
        raise expired(_CONTINUE_TOO_OLD, continue_token=_encode_continue(LATEST, page.after)) from None
    metadata: Json = {"resourceVersion": str(page.version)}
    if has_next:
        metadata["continue"] = _encode_continue(page.version, selected[-1].key)
        if scope.selects is None:
            metadata["remainingItemCount"] = len(collection.keys(route.namespace, selected[-1].key))
    return Response(200, _render_list(kind, selected, metadata, request))


def _render_list(kind: ResourceType, objects: list[Stored], metadata: Json, request: Request) -> bytes:
    if wants_table(request.headers.get("accept", "")):
        include = request.query.get("includeObject", "Metadata")
        return orjson.dumps(table(kind, objects, metadata, include=include))
    head = {"kind": kind.list_kind, "apiVersion": kind.api_version, "metadata": metadata}
    return b'%b,"items":[%b]}' % (orjson.dumps(head)[:-1], b",".join([stored.encoded for stored in objects]))


@dataclass(slots=True)
class WatchRequest:
    """The parameters of a watch. `seconds` is its timeout."""

    kind: ResourceType
    scope: Scope
    render: Renderer
    start: str
    initial_events: bool
    bookmarks: bool
    seconds: float
    bookmark_interval: float


def parse_watch(route: Route, request: Request, bookmark_interval: float) -> WatchRequest:
    """Parse the parameters of a watch. Raises `ApiError` 400."""
    query = request.query
    parse_number(query.get("resourceVersion", ""), "resourceVersion")  # raises if invalid
    fields = query.get("fieldSelector", "")
    if route.name:
        fields = ",".join(filter(None, (fields, f"metadata.name={route.name}")))
    seconds = parse_number(query.get("timeoutSeconds", ""), "timeoutSeconds")
    return WatchRequest(
        kind=route.kind,
        scope=Scope(route.namespace, selection(route.kind, query.get("labelSelector", ""), fields)),
        render=renderer(route.kind, request),
        start=query.get("resourceVersion", ""),
        initial_events=query.get("sendInitialEvents") in TRUE,
        bookmarks=query.get("allowWatchBookmarks") in TRUE,
        seconds=seconds or random.uniform(*WATCH_TIMEOUT),  # noqa: S311 - spreads out reconnections
        bookmark_interval=bookmark_interval,
    )


class Watches:
    """The open watches."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.open: set[Watch] = set()
        self.swapped = False  # deliver events of different objects in swapped order

    def response(self, request: WatchRequest) -> StreamingResponse:
        """Return the streaming response to a watch."""

        async def run(stream: Stream) -> None:
            collection = self._store.collection(request.kind.qualified)
            watch = Watch(collection, request.scope, request.render, stream, swapped=self.swapped)
            self.open.add(watch)
            try:
                await self._start(watch, collection, request)
                await self._wait(watch, request)
            except ApiError as error:
                watch.write(error_line(error))
            finally:
                watch.close()
                self.open.discard(watch)

        return StreamingResponse(run)

    async def _start(self, watch: Watch, collection: Collection, request: WatchRequest) -> None:
        version = self._store.version
        if request.start in ("", "0") or request.initial_events:
            objects = [stored for stored in collection.objects.values() if request.scope.contains(stored)]
            await watch.send_initial(sorted(objects, key=lambda stored: stored.key))
            if request.initial_events and request.bookmarks:
                watch.write(_bookmark(request, version, initial_end=True))
        else:
            try:
                missed = collection.since(int(request.start))
            except CompactedError:
                raise expired(f"too old resource version: {request.start} ({version})") from None
            for change in missed:
                watch.enqueue(change)
        watch.open()

    async def _wait(self, watch: Watch, request: WatchRequest) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + request.seconds
        while (remaining := deadline - loop.time()) > 0:
            try:
                async with asyncio.timeout(min(remaining, request.bookmark_interval)):
                    await watch.ended.wait()
            except TimeoutError:
                if request.bookmarks:
                    watch.write(_bookmark(request, self._store.version))
            else:
                return

    def expire(self) -> None:
        """End all watches with a 410 event, as after a compaction of the history that they need."""
        for watch in tuple(self.open):
            watch.write(error_line(expired("The resourceVersion for the provided watch is too old.")))
            watch.ended.set()

    def end(self, qualified: str = "") -> None:
        """End the watches of a type, or all if empty, without an error, as kube-apiserver does when it shuts down."""
        for watch in tuple(self.open):
            if qualified in ("", watch.qualified):
                watch.ended.set()

    def abort(self) -> None:
        """Abort the connections of all watches."""
        for watch in tuple(self.open):
            watch.abort()


def _bookmark(request: WatchRequest, version: int, *, initial_end: bool = False) -> bytes:
    metadata: dict[str, Any] = {"resourceVersion": str(version), "creationTimestamp": None}
    if initial_end:
        metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
    body = {"kind": request.kind.kind, "apiVersion": request.kind.api_version, "metadata": metadata}
    return event_line("BOOKMARK", orjson.dumps(body))
