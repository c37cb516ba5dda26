"""Handle `delete` and `deletecollection`, with finalizers and the deletion of dependent objects.

Semantics: "Kubernetes API Concepts" (finalizers, preconditions), apiserver's `registry/generic/registry/store.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from demo.apiserver import kargo_types, protobuf
from demo.apiserver.admission import is_project_namespace
from demo.apiserver.bodies import body_json, dry_run, media_type
from demo.apiserver.errors import bad_request, conflict, method_not_allowed, not_found
from demo.apiserver.messages import Request, Response
from demo.apiserver.objects import now
from demo.apiserver.queries import Watches
from demo.apiserver.resource_types import DEFINITIONS, NAMESPACES, Catalog, ResourceType, from_definition
from demo.apiserver.routes import Route
from demo.apiserver.selectors import selection
from demo.apiserver.storage import Json, Store, Stored, object_key

PROJECTS: Final = f"projects.{kargo_types.GROUP}"


def existing(store: Store, route: Route) -> Stored:
    """Return the object at the path of a request. Raises `ApiError` 404."""
    stored = store.collection(route.kind.qualified).objects.get(object_key(route.namespace, route.name))
    if stored is None:
        raise not_found(route.kind, route.name)
    return stored


class Deleter:
    """Deletes objects from the store."""

    def __init__(self, store: Store, catalog: Catalog, watches: Watches) -> None:
        self._store = store
        self._catalog = catalog
        self._watches = watches

    def delete(self, route: Route, request: Request) -> Response:
        """Handle a DELETE. Return a Status, or the object if finalizers delay its deletion. Raises `ApiError`."""
        options = _delete_options(request)
        stored = existing(self._store, route)
        _check_delete_preconditions(route.kind, stored, options)
        if dry_run(request) or "All" in (options.get("dryRun") or ()):
            return Response(200, stored.encoded)
        delayed = self.delete_object(route.kind, stored)
        return Response(200, delayed.encoded if delayed is not None else _success(route.kind, stored))

    def delete_collection(self, route: Route, request: Request) -> Response:
        """Handle a DELETE of a collection. Return the list of deleted objects. Raises `ApiError`."""
        kind, query = route.kind, request.query
        if kind == NAMESPACES:
            raise method_not_allowed()
        selects = selection(kind, query.get("labelSelector", ""), query.get("fieldSelector", ""))
        collection = self._store.collection(kind.qualified)
        objects = [collection.objects[key] for key in collection.keys(route.namespace)]
        selected = [stored for stored in objects if selects is None or selects(stored.content)]
        if not dry_run(request):
            for stored in selected:
                self.delete_object(kind, stored)
        head = orjson.dumps(
            {
                "kind": kind.list_kind,
                "apiVersion": kind.api_version,
                "metadata": {"resourceVersion": str(self._store.version)},
            }
        )
        return Response(
            200, b'%b,"items":[%b]}' % (head[:-1], b",".join(stored.encoded for stored in selected))
        )

    def delete_object(self, kind: ResourceType, stored: Stored) -> Stored | None:
        """Delete an object. Return it, marked as being deleted, if finalizers delay its deletion, otherwise None."""
        metadata = stored.content["metadata"]
        if kind == NAMESPACES:
            return self._delete_namespace(stored)
        if not metadata.get("finalizers"):
            self.remove(kind, stored.key)
            return None
        if "deletionTimestamp" in metadata:
            return stored
        return self._store.put(kind.qualified, stored.key, _marked_as_deleted(stored.content))

    def remove(self, kind: ResourceType, key: str) -> None:
        """Remove an object immediately, with all objects that depend on it."""
        removed = self._store.delete(kind.qualified, key)
        if kind == DEFINITIONS:
            self._drop_type(from_definition(removed.content))
        elif kind.qualified == PROJECTS and is_project_namespace(self._store, key):
            self.delete_object(NAMESPACES, self._store.collection(NAMESPACES.qualified).objects[key])
        elif kind.namespaced:
            self.finish_namespace(key.partition("/")[0])

    def _drop_type(self, kind: ResourceType) -> None:
        for key in list(self._store.collection(kind.qualified).objects):
            self._store.delete(kind.qualified, key)
        self._catalog.remove(kind.qualified)
        self._watches.end(kind.qualified)

    def _delete_namespace(self, stored: Stored) -> Stored:
        if "deletionTimestamp" not in stored.content["metadata"]:
            marked = {**_marked_as_deleted(stored.content), "status": {"phase": "Terminating"}}
            stored = self._store.put(NAMESPACES.qualified, stored.key, marked)
        for kind in self._catalog.all():
            if kind.namespaced:
                collection = self._store.collection(kind.qualified)
                for key in collection.keys(stored.key):
                    self.delete_object(kind, collection.objects[key])
        self.finish_namespace(stored.key)
        return stored

    def finish_namespace(self, name: str) -> None:
        """Remove a Namespace that is being deleted, if it is empty and has no finalizers."""
        namespace = self._store.collection(NAMESPACES.qualified).objects.get(name)
        if namespace is None or "deletionTimestamp" not in namespace.content["metadata"]:
            return
        empty = not any(collection.keys(name) for collection in self._store.collections().values())
        if empty and not namespace.content["metadata"].get("finalizers"):
            self._store.delete(NAMESPACES.qualified, name)


def _marked_as_deleted(content: Json) -> Json:
    metadata = {**content["metadata"], "deletionTimestamp": now(), "deletionGracePeriodSeconds": 0}
    if "generation" in metadata:
        metadata["generation"] += 1
    return {**content, "metadata": metadata}


def _delete_options(request: Request) -> dict[str, Any]:
    """Return the options in the body of a DELETE. Protobuf is not decoded: clients send no preconditions in it."""
    if not request.body or media_type(request) == protobuf.MEDIA_TYPE:
        return {}
    options = body_json(request)
    if not isinstance(options, dict):
        raise bad_request("the options must be an object")
    return options


def _check_delete_preconditions(kind: ResourceType, stored: Stored, options: Mapping[str, Any]) -> None:
    preconditions = options.get("preconditions") or {}
    for field, word in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
        expected, current = preconditions.get(field), stored.content["metadata"][field]
        if expected is not None and expected != current:
            problem = (
                f"Precondition failed: {word} in precondition: {expected}, {word} in object meta: {current}"
            )
            raise conflict(kind, stored.content["metadata"]["name"], problem)


def _success(kind: ResourceType, stored: Stored) -> bytes:
    metadata = stored.content["metadata"]
    details = {"name": metadata["name"], "kind": kind.plural, "uid": metadata["uid"]}
    if kind.group:
        details["group"] = kind.group
    return orjson.dumps(
        {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
    )
