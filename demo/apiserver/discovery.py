"""API discovery: serve the documents that describe the API.

Clients such as kubectl read them first: the version of the server, the API groups and resources, and OpenAPI.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from demo.apiserver.errors import method_not_allowed
from demo.apiserver.messages import Request, Response
from demo.apiserver.resource_types import NAMESPACES, REVIEWS, Catalog, ResourceType
from demo.apiserver.storage import Json

_VERBS: Final = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
_REVIEW_GROUP: Final = REVIEWS[0].group
_PROTOBUF: Final = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"

VERSION: Final = {
    "major": "1",
    "minor": "35",
    "gitVersion": "v1.35.0+kargoweb-demo",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "",
}


def _groups(catalog: Catalog) -> dict[str, str]:
    """Return the version of each group except the core group."""
    return {kind.group: kind.version for kind in catalog.all() if kind.group} | {_REVIEW_GROUP: "v1"}


def _group(name: str, version: str) -> Json:
    entry = {"groupVersion": f"{name}/{version}", "version": version}
    return {"name": name, "versions": [entry], "preferredVersion": entry}


def _resources(kinds: list[ResourceType], group_version: str) -> Json:
    entries: list[Json] = []
    for kind in kinds:
        verbs = [verb for verb in _VERBS if verb != "deletecollection" or kind != NAMESPACES]
        entry: Json = {
            "name": kind.plural,
            "singularName": kind.singular,
            "namespaced": kind.namespaced,
            "kind": kind.kind,
            "verbs": verbs,
        }
        if kind.short_names:
            entry["shortNames"] = list(kind.short_names)
        if kind.categories:
            entry["categories"] = list(kind.categories)
        entries.append(entry)
        if kind.status_subresource:
            status = {
                "name": f"{kind.plural}/status",
                "singularName": "",
                "verbs": ["get", "patch", "update"],
            }
            entries.append({**status, "namespaced": kind.namespaced, "kind": kind.kind})
    return _resource_list(group_version, entries)


def _resource_list(group_version: str, entries: list[Json]) -> Json:
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": entries,
    }


def _reviews() -> Json:
    entries: list[Json] = [
        {
            "name": kind.plural,
            "singularName": kind.singular,
            "namespaced": kind.namespaced,
            "kind": kind.kind,
            "verbs": ["create"],
        }
        for kind in REVIEWS
    ]
    return _resource_list(f"{_REVIEW_GROUP}/v1", entries)


def _api_versions(_catalog: Catalog) -> Json:
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [],
    }


def _api_groups(catalog: Catalog) -> Json:
    groups = [_group(name, version) for name, version in _groups(catalog).items()]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def _openapi_v2(_catalog: Catalog) -> Json:
    """Return an empty document, so that clients leave validation to the server."""
    return {
        "swagger": "2.0",
        "info": {"title": "kargoweb demo", "version": VERSION["gitVersion"]},
        "paths": {},
    }


def _openapi_v3(catalog: Catalog) -> Json:
    versions = ["api/v1", *(f"apis/{name}/{version}" for name, version in _groups(catalog).items())]
    return {"paths": {version: {"serverRelativeURL": f"/openapi/v3/{version}"} for version in versions}}


_DOCUMENTS: Final[Mapping[str, Callable[[Catalog], Json]]] = {
    "/version": lambda _: dict(VERSION),
    "/api": _api_versions,
    "/apis": _api_groups,
    "/openapi/v2": _openapi_v2,
    "/openapi/v3": _openapi_v3,
}


def _openapi_v3_of(kinds: list[ResourceType], prefix: str) -> Json:
    """Return the parameter `fieldValidation` of the PATCH of each kind, which kubectl reads, and the schemas."""
    paths: Json = {}
    for kind in kinds:
        scope = "namespaces/{namespace}/" if kind.namespaced else ""
        patch = {
            "parameters": [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}],
            "x-kubernetes-group-version-kind": {
                "group": kind.group,
                "version": kind.version,
                "kind": kind.kind,
            },
            "responses": {"200": {"description": "OK"}},
        }
        paths[f"/{prefix}/{scope}{kind.plural}/{{name}}"] = {"patch": patch}
    return {
        "openapi": "3.0.0",
        "info": {"title": "kargoweb demo", "version": VERSION["gitVersion"]},
        "paths": paths,
        "components": {"schemas": {_schema_name(kind): kind.schema for kind in kinds if kind.schema}},
    }


def _schema_name(kind: ResourceType) -> str:
    return ".".join((*reversed(kind.group.split(".")), kind.version, kind.kind))


def _group_document(catalog: Catalog, path: str) -> Any:
    """Return the document of one group or group version, or None."""
    openapi = path.startswith("/openapi/v3/")
    parts = path.removeprefix("/openapi/v3").strip("/").split("/")
    kinds = [
        kind
        for kind in catalog.all()
        if (parts == ["api", kind.version] and not kind.group) or parts == ["apis", kind.group, kind.version]
    ]
    if openapi and (kinds or parts == ["apis", _REVIEW_GROUP, "v1"]):
        return _openapi_v3_of(kinds, "/".join(parts))
    if kinds:
        return _resources(kinds, kinds[0].api_version)
    if parts == ["apis", _REVIEW_GROUP, "v1"]:
        return _reviews()
    groups = _groups(catalog)
    if len(parts) == 2 and parts[0] == "apis" and parts[1] in groups:
        return {"kind": "APIGroup", "apiVersion": "v1", **_group(parts[1], groups[parts[1]])}
    return None


def document(catalog: Catalog, request: Request) -> Response:
    """Respond to a request that is not for objects. Raises `ApiError` 405."""
    path = request.path.rstrip("/")
    if path in ("/healthz", "/livez", "/readyz"):
        return Response(200, b"ok", "text/plain; charset=utf-8")
    make = _DOCUMENTS.get(path)
    content = make(catalog) if make is not None else _group_document(catalog, path)
    if content is None:
        return Response(404, b"404 page not found\n", "text/plain; charset=utf-8")
    if request.method not in ("GET", "HEAD"):
        raise method_not_allowed()
    if path == "/openapi/v2" and "protobuf" in request.headers.get("accept", ""):
        return Response(200, b"", _PROTOBUF)  # the empty message is a valid document
    return Response(200, orjson.dumps(content))
