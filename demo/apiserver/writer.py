"""Handle `create`, `update` and `patch`: validate, apply defaults, store, and respond with the object.

Semantics: "Kubernetes API Concepts", the API conventions, and apiserver's `registry/generic/registry/store.go`.
"""

from __future__ import annotations

from typing import Any

import orjson

from demo.apiserver import kargo_types, patches
from demo.apiserver.admission import admit, check_namespace, is_project_namespace
from demo.apiserver.bodies import body_json, dry_run, media_type
from demo.apiserver.deleter import PROJECTS, Deleter, existing
from demo.apiserver.errors import (
    already_exists,
    bad_request,
    forbidden,
    invalid,
    not_found,
    patch_rejected,
    unsupported_media_type,
)
from demo.apiserver.messages import Request, Response
from demo.apiserver.objects import changed_object, check_shape, new_object
from demo.apiserver.promotions import PROMOTIONS, admit_promotion, check_unchanged
from demo.apiserver.queries import renderer
from demo.apiserver.resource_types import DEFINITIONS, NAMESPACES, Catalog, ResourceType, from_definition
from demo.apiserver.routes import Route
from demo.apiserver.storage import Json, Store, Stored, freeze, object_key


class Writer:
    """Writes objects to the store."""

    def __init__(self, store: Store, catalog: Catalog, deleter: Deleter) -> None:
        self._store = store
        self._catalog = catalog
        self._deleter = deleter

    # create

    def create(self, route: Route, request: Request) -> Response:
        """Handle a POST. Respond with the new object. Raises `ApiError`."""
        stored = self.create_object(route.kind, body_json(request), route.namespace, dry=dry_run(request))
        return Response(201, renderer(route.kind, request)(stored))

    def create_object(
        self, kind: ResourceType, body: Any, namespace: str = "", *, dry: bool = False
    ) -> Stored:
        """Create an object, with the namespace of a Project or the type of a definition. Raises `ApiError`."""
        content = check_shape(kind, body, "", namespace)
        if namespace:
            self._check_namespace_is_active(kind, content, namespace)
        objects = self._store.collection(kind.qualified).objects
        content = new_object(kind, content, lambda name: object_key(namespace, name) in objects)
        content = admit(kind, content, None)
        if kind.qualified == PROMOTIONS:
            content = admit_promotion(self._store, kind, content)
        name = content["metadata"]["name"]
        key = object_key(namespace, name)
        if key in objects:
            raise already_exists(kind, name)
        check_namespace(self._store, kind, content)
        if dry:
            return freeze(key, content, self._store.version)
        if kind.qualified == PROJECTS:
            self._ensure_project_namespace(name)
        stored = self._store.put(kind.qualified, key, content)
        if kind == DEFINITIONS:
            self._catalog.add(from_definition(stored.content))
        return stored

    def _check_namespace_is_active(self, kind: ResourceType, content: Json, namespace: str) -> None:
        stored = self._store.collection(NAMESPACES.qualified).objects.get(namespace)
        if stored is None:
            raise not_found(NAMESPACES, namespace)
        if "deletionTimestamp" in stored.content["metadata"]:
            problem = f"unable to create new content in namespace {namespace} because it is being terminated"
            raise forbidden(kind, content["metadata"].get("name") or "", problem)

    def _ensure_project_namespace(self, name: str) -> None:
        if not is_project_namespace(self._store, name):
            labels = {kargo_types.PROJECT_LABEL: "true"}
            self.create_object(NAMESPACES, {"metadata": {"name": name, "labels": labels}})

    # update and patch

    def update(self, route: Route, request: Request) -> Response:
        """Handle a PUT. Respond with the changed object. Raises `ApiError`."""
        kind, body = route.kind, body_json(request)
        if route.subresource == "finalize":
            return self._finalize(route, body)
        old = existing(self._store, route)
        new = check_shape(kind, body, route.name, route.namespace)
        if kind.conditional_put and not new["metadata"].get("resourceVersion"):
            problem = "Invalid value: 0x0: must be specified for an update"
            raise invalid(kind, route.name, "metadata.resourceVersion", problem)
        return self._change(route, request, old, new)

    def patch(self, route: Route, request: Request) -> Response:
        """Handle a PATCH. Respond with the changed object. Raises `ApiError`."""
        kind, old = route.kind, existing(self._store, route)
        patched = _apply(kind, request, old.content)
        return self._change(route, request, old, check_shape(kind, patched, route.name, route.namespace))

    def _change(self, route: Route, request: Request, old: Stored, new: Json) -> Response:
        kind = route.kind
        if route.subresource != "status":
            new = admit(kind, new, old.content)
            if kind.qualified == PROMOTIONS:
                check_unchanged(kind, new, old.content)
        changed = changed_object(kind, old.content, new, route.subresource)
        if changed is old.content:
            stored = old
        elif dry_run(request):
            stored = freeze(old.key, changed, old.version)
        elif "deletionTimestamp" in changed["metadata"] and not changed["metadata"].get("finalizers"):
            stored = self._put_or_finish(kind, old.key, changed)
        else:
            stored = self._store.put(kind.qualified, old.key, changed)
            if kind == DEFINITIONS:
                self._catalog.add(from_definition(stored.content))
        return Response(200, renderer(kind, request)(stored))

    def _put_or_finish(self, kind: ResourceType, key: str, changed: Json) -> Stored:
        if kind == NAMESPACES:
            stored = self._store.put(kind.qualified, key, changed)
            self._deleter.finish_namespace(key)
            return stored
        self._deleter.remove(kind, key)
        return freeze(key, changed, self._store.version)

    def _finalize(self, route: Route, body: Any) -> Response:
        """Set the `spec.finalizers` of a Namespace, and remove it if it is being deleted and empty."""
        old = existing(self._store, route)
        content = check_shape(route.kind, body, route.name, "")
        stored = self._store.put(
            route.kind.qualified, old.key, {**old.content, "spec": content.get("spec") or {}}
        )
        self._deleter.finish_namespace(route.name)
        return Response(200, stored.encoded)


def _apply(kind: ResourceType, request: Request, content: Json) -> Any:
    """Apply the patch in the request to an object. Raises `ApiError` 400, 415 or 422."""
    accepted = [patches.JSON_PATCH, patches.MERGE] + ([] if kind.custom else [patches.STRATEGIC])
    content_type = media_type(request)
    if content_type not in accepted:
        raise unsupported_media_type(*accepted)
    try:
        patch = orjson.loads(request.body)
    except orjson.JSONDecodeError as error:
        raise bad_request(f"error decoding patch: {error}") from None
    try:
        if isinstance(patch, list) and content_type == patches.JSON_PATCH:
            return patches.json_patch(content, patch)
        if isinstance(patch, dict) and content_type == patches.STRATEGIC:
            return patches.strategic_merge_patch(content, patch)
    except patches.PatchError as error:
        raise patch_rejected(str(error)) from None
    if isinstance(patch, dict) and content_type == patches.MERGE:
        return patches.merge_patch(content, patch)
    raise bad_request("error decoding patch: it does not have the structure of its content type")
