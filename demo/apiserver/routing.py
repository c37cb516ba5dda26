"""From method and path to what is meant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from demo.apiserver.messages import Request
from demo.apiserver.resource_types import NAMESPACES, Catalog, ResourceType

_VERBS: Final = {"POST": "create", "PUT": "update", "PATCH": "patch"}
TRUE: Final = frozenset({"true", "1"})


@dataclass(frozen=True, slots=True)
class Route:
    """A request for objects. `name` is empty for a whole collection, `namespace` for all of them or none."""

    verb: str
    kind: ResourceType
    namespace: str
    name: str
    subresource: str

    @property
    def resource(self) -> str:
        """Return resource and subresource as access rules and counters name them."""
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
    if len(parts) >= 3 and parts[0] == "api":
        return "", parts[1], parts[2:]
    if len(parts) >= 4 and parts[0] == "apis":
        return parts[1], parts[2], parts[3:]
    return None


def find_route(catalog: Catalog, request: Request) -> Route | None:
    """Return what a request for objects means, or None if the path is not one of objects served here."""
    found = _group_version(request.path.strip("/").split("/"))
    if found is None:
        return None
    group, version, rest = found
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
