"""Map the method and path of a request to a verb, a resource type and an object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from demo.apiserver.messages import Request
from demo.apiserver.resource_types import NAMESPACES, Catalog, ResourceType

_VERBS: Final = {"POST": "create", "PUT": "update", "PATCH": "patch"}
TRUE: Final = frozenset({"true", "1"})


@dataclass(frozen=True, slots=True)
class Route:
    """The target of a request. `name` is empty for a collection, `namespace` for all namespaces or the cluster."""

    verb: str
    kind: ResourceType
    namespace: str
    name: str
    subresource: str

    @property
    def resource(self) -> str:
        """Return the resource with its subresource, as in the rules for access and faults."""
        return f"{self.kind.plural}/{self.subresource}" if self.subresource else self.kind.plural


def _verb(request: Request, name: str) -> str:
    match request.method:
        case "GET" | "HEAD":
            if request.query.get("watch") in TRUE:
                return "watch"
            return "get" if name else "list"
        case "DELETE":
            return "delete" if name else "deletecollection"
    return _VERBS.get(request.method, "")


def _group_version(parts: list[str]) -> tuple[str, str, list[str]] | None:
    """Split a path into group, version and the rest."""
    if len(parts) >= 3 and parts[0] == "api":
        return "", parts[1], parts[2:]
    if len(parts) >= 4 and parts[0] == "apis":
        return parts[1], parts[2], parts[3:]
    return None


def find_route(catalog: Catalog, request: Request) -> Route | None:
    """Return the route of a request, or None if the path does not belong to a served type."""
    parts = _group_version(request.path.strip("/").split("/"))
    if parts is None:
        return None
    group, version, rest = parts
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and (len(rest) > 3 or rest[2] not in ("status", "finalize")):
        namespace, rest = rest[1], rest[2:]
    elif group and rest[0] == "namespaces":
        return None
    kind = catalog.get(group, version, rest[0])
    if kind is None or len(rest) > 3 or "" in rest or (namespace and not kind.namespaced):
        return None
    name, subresource = (*rest[1:], "", "")[:2]
    if kind.namespaced and not namespace and (name or request.method not in ("GET", "HEAD")):
        return None
    if subresource not in _subresources(kind):
        return None
    return Route(_verb(request, name), kind, namespace, name, subresource)


def _subresources(kind: ResourceType) -> tuple[str, ...]:
    if kind == NAMESPACES:
        return ("", "status", "finalize")
    return ("", "status") if kind.status_subresource else ("",)
