"""Authenticate requests by bearer token, authorize them by rules, and review what others may do.

The token file is JSON: `{"tokens": {"<token>": {"user": "viewer", "rules": [{"verbs": ["get"], "resources":
["warehouses"], "namespaces": ["*"], "names": ["*"]}]}}}`. Every list can contain `*`, the default of `namespaces` and
`names`. A rule for named namespaces covers neither requests across all namespaces nor cluster-scoped objects.

The file's `subjects` are people, who send no requests, and groups: `{"users": {"<name>": [<rule>, ...]}, "groups":
{"<name>": [...]}}`. SubjectAccessReviews are about them, and about the users with tokens.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from demo.apiserver.errors import ApiError, bad_request, forbidden, unauthorized
from demo.apiserver.messages import Request, is_loopback
from demo.apiserver.resource_types import REVIEWS, SUBJECT_ACCESS_REVIEWS
from demo.apiserver.routes import Route

ANY: Final = frozenset({"*"})
# A browser sends these from a page of another site only after a CORS preflight, which this server never grants. Old
# versions of kubectl send no content type (""); a browser that sends none sends an Origin header.
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
        """Return whether this rule covers the request."""
        checks = (
            (self.verbs, verb),
            (self.resources, resource),
            (self.namespaces, namespace),
            (self.names, name),
        )
        return all("*" in allowed or value in allowed for allowed, value in checks)


@dataclass(frozen=True, slots=True)
class User:
    """A user with a name and permissions."""

    name: str
    rules: tuple[Rule, ...] = field(default=())

    def is_allowed(self, verb: str, resource: str, namespace: str, name: str) -> bool:
        """Return whether a rule allows the request."""
        return any(rule.allows(verb, resource, namespace, name) for rule in self.rules)


@dataclass(frozen=True, slots=True)
class Subjects:
    """The rules of people and groups by name."""

    users: Mapping[str, tuple[Rule, ...]] = field(default_factory=dict)
    groups: Mapping[str, tuple[Rule, ...]] = field(default_factory=dict)


ANONYMOUS_ADMIN: Final = User("system:anonymous", (Rule(ANY, ANY),))


def _rule(raw: Mapping[str, list[str]]) -> Rule:
    return Rule(
        frozenset(raw["verbs"]),
        frozenset(raw["resources"]),
        frozenset(raw.get("namespaces", ANY)),
        frozenset(raw.get("names", ANY)),
    )


def read_tokens(path: Path) -> tuple[dict[str, User], Subjects]:
    """Read a token file. Raises OSError, ValueError or KeyError if it is unreadable or invalid."""
    content: dict[str, Any] = json.loads(path.read_text())
    users = {
        token: User(entry["user"], tuple(map(_rule, entry["rules"])))
        for token, entry in content["tokens"].items()
    }
    subjects = content.get("subjects", {})
    return users, Subjects(
        _rules_by_name(subjects.get("users", {})), _rules_by_name(subjects.get("groups", {}))
    )


def _rules_by_name(raw: Mapping[str, list[Mapping[str, list[str]]]]) -> dict[str, tuple[Rule, ...]]:
    return {name: tuple(map(_rule, rules)) for name, rules in raw.items()}


class ApiAccess:
    """Authenticates and authorizes requests."""

    def __init__(self, users: Mapping[str, User], *, anonymous_admin: bool) -> None:
        self.users = users  # replaced when the token file is reloaded, as is the next
        self.subjects = Subjects()
        self._anonymous_admin = anonymous_admin

    def authenticate(self, request: Request) -> User:
        """Return the user of a request. Raises `ApiError` 401, or 403 if a web page may have sent it."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme:
            user = self.users.get(token.strip()) if scheme.lower() == "bearer" else None
            if user is None:
                raise unauthorized()
            return user
        if not self._anonymous_admin:
            raise unauthorized()
        _check_local_program(request)
        return ANONYMOUS_ADMIN

    def authorize(self, user: User, route: Route) -> None:
        """Raise `ApiError` 403, with the message of Kubernetes' RBAC, unless a rule of the user allows the request."""
        namespace = route.name if route.kind.plural == "namespaces" else route.namespace
        if user.is_allowed(route.verb, route.resource, namespace, route.name):
            return
        scope = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
        resource = f'resource "{route.resource}" in API group "{route.kind.group}"'
        raise forbidden(route.kind, route.name, f'User "{user.name}" cannot {route.verb} {resource} {scope}')

    def subject(self, name: str, groups: Iterable[str]) -> User:
        """Return a user with the rules of this name and these groups."""
        named = [user.rules for user in self.users.values() if user.name == name]
        named.append(self.subjects.users.get(name, ()))
        named += [self.subjects.groups.get(group, ()) for group in groups]
        return User(name, tuple(rule for rules in named for rule in rules))


def _check_local_program(request: Request) -> None:
    """Reject requests that a web page in a browser on this machine could send without a CORS preflight."""
    if not is_loopback(request.headers.get("host", "")) or "origin" in request.headers:
        raise ApiError(
            403,
            "Forbidden",
            "requests without a token must come from local programs and use a loopback address",
        )
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.method in ("POST", "PUT", "PATCH") and content_type not in SAFE_TYPES:
        raise ApiError(415, "UnsupportedMediaType", "the content type must be JSON or protobuf")


def find_review(request: Request) -> Route | None:
    """Return the route of a request for an access review, or None if it is another request."""
    parts = request.path.strip("/").split("/")
    kinds = [kind for kind in REVIEWS if parts == ["apis", *kind.api_version.split("/"), kind.plural]]
    return Route("create", kinds[0], "", "", "") if kinds and request.method == "POST" else None


def access_review(access: ApiAccess, user: User, route: Route, body: Any) -> dict[str, Any]:
    """Return a review with its result. Raises `ApiError` 400 or, if the user may not review others' access, 403."""
    kind = route.kind
    others = kind is SUBJECT_ACCESS_REVIEWS
    if others:
        access.authorize(user, route)
    spec = body.get("spec") if isinstance(body, dict) else None
    attributes = spec.get("resourceAttributes") if isinstance(spec, dict) else None
    if not isinstance(spec, dict) or not isinstance(attributes, dict):
        raise bad_request("spec.resourceAttributes is required")
    if others:
        if not spec.get("user") and not spec.get("groups"):
            raise ApiError(422, "Invalid", "spec: at least one of user or group must be specified")
        user = access.subject(spec.get("user", ""), spec.get("groups") or ())
    resource = "/".join(filter(None, (attributes.get("resource", ""), attributes.get("subresource", ""))))
    requested = (
        attributes.get("verb", ""),
        resource,
        attributes.get("namespace", ""),
        attributes.get("name", ""),
    )
    return {
        "kind": kind.kind,
        "apiVersion": kind.api_version,
        "metadata": {},
        "spec": spec,
        "status": {"allowed": user.is_allowed(*requested)},
    }
