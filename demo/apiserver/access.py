"""Who asks, and what they may do: bearer tokens with simple rules.

The token file is JSON: `{"tokens": {"<token>": {"user": "viewer", "rules": [{"verbs": ["get"], "resources":
["warehouses"], "namespaces": ["*"], "names": ["*"]}]}}}`. Every list may hold `*`; `namespaces` and `names`
default to it. A rule for named namespaces does not cover requests across all namespaces or for cluster-scoped objects.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from demo.apiserver.errors import ApiError, bad_request, forbidden, unauthorized
from demo.apiserver.messages import Request, loopback
from demo.apiserver.routing import Route

ANY: Final = frozenset({"*"})
# No page of a foreign site can send these without asking first, which is never granted here. "" is old kubectl's;
# a browser that leaves the type out sends an Origin.
SAFE_TYPES: Final = (
    "",
    "application/json",
    "application/vnd.kubernetes.protobuf",
    "application/merge-patch+json",
    "application/json-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)


@dataclass(frozen=True, slots=True)
class Rule:
    """Allows `verbs` on `resources` (with subresource: `warehouses/status`) in `namespaces`, by `names`."""

    verbs: frozenset[str]
    resources: frozenset[str]
    namespaces: frozenset[str] = ANY
    names: frozenset[str] = ANY

    def allows(self, verb: str, resource: str, namespace: str, name: str) -> bool:
        """Say whether this rule covers the request."""
        asked = (
            (self.verbs, verb),
            (self.resources, resource),
            (self.namespaces, namespace),
            (self.names, name),
        )
        return all("*" in allowed or value in allowed for allowed, value in asked)


@dataclass(frozen=True, slots=True)
class User:
    """A user with a name and permissions."""

    name: str
    rules: tuple[Rule, ...] = field(default=())

    def may(self, verb: str, resource: str, namespace: str, name: str) -> bool:
        """Say whether any rule allows it."""
        return any(rule.allows(verb, resource, namespace, name) for rule in self.rules)


ANONYMOUS_ADMIN: Final = User("system:anonymous", (Rule(ANY, ANY),))


def _rule(raw: Mapping[str, list[str]]) -> Rule:
    return Rule(
        frozenset(raw["verbs"]),
        frozenset(raw["resources"]),
        frozenset(raw.get("namespaces", ANY)),
        frozenset(raw.get("names", ANY)),
    )


def read_tokens(path: Path) -> dict[str, User]:
    """Read a token file. Raises OSError, ValueError or KeyError when it cannot be understood."""
    tokens: dict[str, Any] = json.loads(path.read_text())["tokens"]
    return {token: User(entry["user"], tuple(map(_rule, entry["rules"]))) for token, entry in tokens.items()}


class Access:
    """Decides on requests."""

    def __init__(self, users: Mapping[str, User], *, anonymous_admin: bool) -> None:
        self.users = users  # replaced as a whole when the token file is read again
        self._anonymous_admin = anonymous_admin

    def user(self, request: Request) -> User:
        """Return who asks. Raises `ApiError` 401, or 403 when a web page may be behind an anonymous request."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme:
            user = self.users.get(token.strip()) if scheme.lower() == "bearer" else None
            if user is None:
                raise unauthorized()
            return user
        if not self._anonymous_admin:
            raise unauthorized()
        _check_no_web_page(request)
        return ANONYMOUS_ADMIN

    def check(self, user: User, route: Route) -> None:
        """Raise `ApiError` 403, in RBAC's words, unless the user may do what the route says."""
        namespace = route.name if route.kind.plural == "namespaces" else route.namespace
        if user.may(route.verb, route.resource, namespace, route.name):
            return
        where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
        what = f'resource "{route.resource}" in API group "{route.kind.group}"'
        raise forbidden(route.kind, route.name, f'User "{user.name}" cannot {route.verb} {what} {where}')


def _check_no_web_page(request: Request) -> None:
    """Refuse what a web page in a browser on this machine could send without asking first."""
    if not loopback(request.headers.get("host", "")) or "origin" in request.headers:
        raise ApiError(
            403, "Forbidden", "without a token only local programs are served, at a loopback address"
        )
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.method in ("POST", "PUT", "PATCH") and content_type not in SAFE_TYPES:
        raise ApiError(415, "UnsupportedMediaType", "the content type must be JSON or protobuf")


def access_review(user: User, body: Any) -> dict[str, Any]:
    """Answer a SelfSubjectAccessReview. Raises `ApiError` 400."""
    spec = body.get("spec") if isinstance(body, dict) else None
    attributes = spec.get("resourceAttributes") if isinstance(spec, dict) else None
    if not isinstance(attributes, dict):
        raise bad_request("spec.resourceAttributes is required")
    resource = "/".join(filter(None, (attributes.get("resource", ""), attributes.get("subresource", ""))))
    asked = (
        attributes.get("verb", ""),
        resource,
        attributes.get("namespace", ""),
        attributes.get("name", ""),
    )
    return {
        "kind": "SelfSubjectAccessReview",
        "apiVersion": "authorization.k8s.io/v1",
        "metadata": {},
        "spec": spec,
        "status": {"allowed": user.may(*asked)},
    }
