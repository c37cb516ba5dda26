"""create, update, patch, delete and deletecollection.

Semantics: "Kubernetes API Concepts", the API conventions, and apiserver's `registry/generic/registry/store.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from demo.apiserver import kargo_types, patches, protobuf
from demo.apiserver.admission import admit, check_namespace, is_project_namespace
from demo.apiserver.errors import (
    ApiError,
    already_exists,
    bad_request,
    conflict,
    forbidden,
    invalid,
    not_found,
    patch_rejected,
    unsupported_media_type,
)
from demo.apiserver.objects import changed_object, check_shape, new_object, now
from demo.apiserver.reading import Watches, renderer
from demo.apiserver.resource_types import DEFINITIONS, NAMESPACES, Catalog, ResourceType, from_definition
from demo.apiserver.routing import Route
from demo.apiserver.selectors import selection
from demo.apiserver.storage import Json, Store, Stored, freeze, object_key
from demo.apiserver.wire import Request, Response

APPLY: Final = "application/apply-patch+yaml"
_PROJECTS: Final = f"projects.{kargo_types.GROUP}"


def media_type(request: Request) -> str:
    """Return the content type without its parameters; absent means JSON."""
    return request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()


def body_json(request: Request) -> Any:
    """Return the decoded body, JSON or protobuf. Raises `ApiError` 400 or 415."""
    given = media_type(request)
    if given not in ("application/json", protobuf.MEDIA_TYPE):
        raise unsupported_media_type("application/json", protobuf.MEDIA_TYPE)
    try:
        return protobuf.decode(request.body) if given == protobuf.MEDIA_TYPE else orjson.loads(request.body)
    except (orjson.JSONDecodeError, protobuf.ProtobufError) as error:
        raise bad_request(f"couldn't decode the body: {error}") from None


class Writer:
    """Changes the store on behalf of requests."""

    def __init__(self, store: Store, catalog: Catalog, watches: Watches) -> None:
        self._store = store
        self._catalog = catalog
        self._watches = watches

    # create

    def create(self, route: Route, request: Request) -> Response:
        """Answer a POST with the new object. Raises `ApiError`."""
        stored = self.create_object(route.kind, body_json(request), route.namespace, dry=_dry_run(request))
        return Response(201, renderer(route.kind, request)(stored))

    def create_object(
        self, kind: ResourceType, body: Any, namespace: str = "", *, dry: bool = False
    ) -> Stored:
        """Create an object, with what follows from it. Raises `ApiError`."""
        content = check_shape(kind, body, "", namespace)
        if namespace:
            self._check_namespace_open(kind, content, namespace)
        objects = self._store.collection(kind.qualified).objects
        content = new_object(kind, content, lambda name: object_key(namespace, name) in objects)
        content = admit(kind, content, None)
        name = content["metadata"]["name"]
        key = object_key(namespace, name)
        if key in objects:
            raise already_exists(kind, name)
        check_namespace(self._store, kind, content)
        if dry:
            return freeze(key, content, self._store.version)
        if kind.qualified == _PROJECTS:
            self._ensure_project_namespace(name)
        stored = self._store.put(kind.qualified, key, content)
        if kind == DEFINITIONS:
            self._catalog.add(from_definition(stored.content))
        return stored

    def _check_namespace_open(self, kind: ResourceType, content: Json, namespace: str) -> None:
        found = self._store.collection(NAMESPACES.qualified).objects.get(namespace)
        if found is None:
            raise not_found(NAMESPACES, namespace)
        if "deletionTimestamp" in found.content["metadata"]:
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            raise forbidden(kind, content["metadata"].get("name") or "", why)

    def _ensure_project_namespace(self, name: str) -> None:
        if not is_project_namespace(self._store, name):
            labels = {kargo_types.PROJECT_LABEL: "true"}
            self.create_object(NAMESPACES, {"metadata": {"name": name, "labels": labels}})

    # update and patch

    def update(self, route: Route, request: Request) -> Response:
        """Answer a PUT with the changed object. Raises `ApiError`."""
        kind, body = route.kind, body_json(request)
        if route.subresource == "finalize":
            return self._finalize(route, body)
        old = self._existing(route)
        new = check_shape(kind, body, route.name, route.namespace)
        if kind.conditional_put and not new["metadata"].get("resourceVersion"):
            why = "Invalid value: 0x0: must be specified for an update"
            raise invalid(kind, route.name, "metadata.resourceVersion", why)
        return self._change(route, request, old, new)

    def patch(self, route: Route, request: Request) -> Response:
        """Answer a PATCH with the changed object. Raises `ApiError`."""
        kind, old = route.kind, self._existing(route)
        patched = _apply(kind, request, old.content)
        return self._change(route, request, old, check_shape(kind, patched, route.name, route.namespace))

    def _existing(self, route: Route) -> Stored:
        key = object_key(route.namespace, route.name)
        stored = self._store.collection(route.kind.qualified).objects.get(key)
        if stored is None:
            raise not_found(route.kind, route.name)
        return stored

    def _change(self, route: Route, request: Request, old: Stored, new: Json) -> Response:
        kind = route.kind
        if route.subresource != "status":
            new = admit(kind, new, old.content)
        changed = changed_object(kind, old.content, new, route.subresource)
        if changed is old.content:
            stored = old
        elif _dry_run(request):
            stored = freeze(old.key, changed, old.version)
        elif "deletionTimestamp" in changed["metadata"] and not changed["metadata"].get("finalizers"):
            stored = self._put_or_finish(kind, old.key, changed)
        else:
            stored = self._store.put(kind.qualified, old.key, changed)
        return Response(200, renderer(kind, request)(stored))

    def _put_or_finish(self, kind: ResourceType, key: str, changed: Json) -> Stored:
        if kind == NAMESPACES:
            stored = self._store.put(kind.qualified, key, changed)
            self._finish_namespace(key)
            return stored
        self._remove(kind, key)
        return freeze(key, changed, self._store.version)

    def _finalize(self, route: Route, body: Any) -> Response:
        """Take over `spec.finalizers` of a Namespace, which ends it when it is being deleted and they are empty."""
        old = self._existing(route)
        content = check_shape(route.kind, body, route.name, "")
        stored = self._store.put(
            route.kind.qualified, old.key, {**old.content, "spec": content.get("spec") or {}}
        )
        self._finish_namespace(route.name)
        return Response(200, stored.encoded)

    # delete

    def delete(self, route: Route, request: Request) -> Response:
        """Answer a DELETE: a Status when the object is gone, the object while finalizers hold it. Raises `ApiError`."""
        options = _delete_options(request)
        stored = self._existing(route)
        _check_delete_preconditions(route.kind, stored, options)
        if _dry_run(request) or "All" in (options.get("dryRun") or ()):
            return Response(200, stored.encoded)
        held = self.delete_object(route.kind, stored)
        return Response(200, held.encoded if held is not None else _deleted(route.kind, stored))

    def delete_collection(self, route: Route, request: Request) -> Response:
        """Answer a DELETE of a whole collection with the list of what it held. Raises `ApiError`."""
        kind, query = route.kind, request.query
        if kind == NAMESPACES:
            raise ApiError(
                405, "MethodNotAllowed", "the server does not allow this method on the requested resource"
            )
        selects = selection(kind, query.get("labelSelector", ""), query.get("fieldSelector", ""))
        collection = self._store.collection(kind.qualified)
        objects = [collection.objects[key] for key in collection.keys(route.namespace)]
        doomed = [stored for stored in objects if selects is None or selects(stored.content)]
        if not _dry_run(request):
            for stored in doomed:
                self.delete_object(kind, stored)
        head = orjson.dumps(
            {
                "kind": kind.list_kind,
                "apiVersion": kind.api_version,
                "metadata": {"resourceVersion": str(self._store.version)},
            }
        )
        return Response(
            200, b'%b,"items":[%b]}' % (head[:-1], b",".join(stored.encoded for stored in doomed))
        )

    def delete_object(self, kind: ResourceType, stored: Stored) -> Stored | None:
        """Delete an object. Returns its state if it only is marked, because finalizers hold it; else None."""
        metadata = stored.content["metadata"]
        if kind == NAMESPACES:
            return self._delete_namespace(stored)
        if not metadata.get("finalizers"):
            self._remove(kind, stored.key)
            return None
        if "deletionTimestamp" in metadata:
            return stored
        return self._store.put(kind.qualified, stored.key, _marked(stored.content))

    def _remove(self, kind: ResourceType, key: str) -> None:
        gone = self._store.delete(kind.qualified, key)
        if kind == DEFINITIONS:
            self._drop_type(from_definition(gone.content))
        elif kind.qualified == _PROJECTS and is_project_namespace(self._store, key):
            self.delete_object(NAMESPACES, self._store.collection(NAMESPACES.qualified).objects[key])
        elif kind.namespaced:
            self._finish_namespace(key.partition("/")[0])

    def _drop_type(self, kind: ResourceType) -> None:
        for key in list(self._store.collection(kind.qualified).objects):
            self._store.delete(kind.qualified, key)
        self._catalog.remove(kind.qualified)
        self._watches.end(kind.qualified)

    def _delete_namespace(self, stored: Stored) -> Stored:
        if "deletionTimestamp" not in stored.content["metadata"]:
            marked = {**_marked(stored.content), "status": {"phase": "Terminating"}}
            stored = self._store.put(NAMESPACES.qualified, stored.key, marked)
        for kind in self._catalog.all():
            if kind.namespaced:
                collection = self._store.collection(kind.qualified)
                for key in collection.keys(stored.key):
                    self.delete_object(kind, collection.objects[key])
        self._finish_namespace(stored.key)
        return stored

    def _finish_namespace(self, name: str) -> None:
        """Remove a Namespace that is being deleted once nothing is left in it and no finalizer holds it."""
        found = self._store.collection(NAMESPACES.qualified).objects.get(name)
        if found is None or "deletionTimestamp" not in found.content["metadata"]:
            return
        empty = not any(collection.keys(name) for collection in self._store.collections().values())
        if empty and not found.content["metadata"].get("finalizers"):
            self._store.delete(NAMESPACES.qualified, name)


def _apply(kind: ResourceType, request: Request, content: Json) -> Any:
    """Apply the patch in the request to an object. Raises `ApiError` 400, 415 or 422."""
    accepted = [patches.JSON_PATCH, patches.MERGE] + ([] if kind.custom else [patches.STRATEGIC])
    given = media_type(request)
    if given not in accepted:
        raise unsupported_media_type(*accepted)
    try:
        patch = orjson.loads(request.body)
    except orjson.JSONDecodeError as error:
        raise bad_request(f"error decoding patch: {error}") from None
    try:
        if isinstance(patch, list) and given == patches.JSON_PATCH:
            return patches.json_patch(content, patch)
        if isinstance(patch, dict) and given == patches.STRATEGIC:
            return patches.strategic_merge_patch(content, patch)
    except patches.PatchError as error:
        raise patch_rejected(str(error)) from None
    if isinstance(patch, dict) and given == patches.MERGE:
        return patches.merge_patch(content, patch)
    raise bad_request("error decoding patch: it is not of the form its content type says")


def _dry_run(request: Request) -> bool:
    return request.query.get("dryRun") == "All"


def _marked(content: Json) -> Json:
    metadata = {**content["metadata"], "deletionTimestamp": now(), "deletionGracePeriodSeconds": 0}
    if "generation" in metadata:
        metadata["generation"] += 1
    return {**content, "metadata": metadata}


def _delete_options(request: Request) -> dict[str, Any]:
    """Return the options in the body of a DELETE; of a protobuf one, which nobody sends with conditions, none."""
    if not request.body or media_type(request) == protobuf.MEDIA_TYPE:
        return {}
    options = body_json(request)
    if not isinstance(options, dict):
        raise bad_request("the options must be an object")
    return options


def _check_delete_preconditions(kind: ResourceType, stored: Stored, options: Mapping[str, Any]) -> None:
    preconditions = options.get("preconditions") or {}
    for field, word in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
        wanted, current = preconditions.get(field), stored.content["metadata"][field]
        if wanted is not None and wanted != current:
            why = f"Precondition failed: {word} in precondition: {wanted}, {word} in object meta: {current}"
            raise conflict(kind, stored.content["metadata"]["name"], why)


def _deleted(kind: ResourceType, stored: Stored) -> bytes:
    metadata = stored.content["metadata"]
    details = {"name": metadata["name"], "kind": kind.plural, "uid": metadata["uid"]}
    if kind.group:
        details["group"] = kind.group
    return orjson.dumps(
        {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
    )
