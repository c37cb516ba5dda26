"""Everyone who calls in the access matrix: each role by each source, with sessions and tokens made beforehand."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cache
from ipaddress import ip_network
from json import dumps
from typing import Any, Final, cast
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client, override_settings
from django.test.client import ClientHandler

from kargoweb.sign_on import AccessConfiguration, OidcConfiguration, ProxyConfiguration
from receivers.accounts import tokens
from receivers.accounts.external_users import external_user, set_roles
from receivers.models import TokenScope
from tests.clusters import Rules
from tests.security.access_matrix import (
    ADMIN,
    ANONYMOUS,
    GROUPS,
    OPERATOR,
    RBAC,
    ROLES,
    VIEWER,
    Standing,
)
from tests.users import BACKEND, create_superuser, create_user

ISSUER: Final = "http://127.0.0.1:9"  # nobody listens there
PROXY_ADDRESS: Final = "192.0.2.7"
BY_PROVIDER: Final = "receivers.accounts.oidc.ProviderBackend"
BY_PROXY: Final = "receivers.accounts.proxy_sign_in.ProxyBackend"
SCOPES: Final = {TokenScope.READ: VIEWER, TokenScope.OPERATE: OPERATOR, TokenScope.ADMIN: ADMIN}


@cache
def _handler() -> ClientHandler:
    """Return the one handler of all clients: loading the middleware takes longer than a request."""
    return ClientHandler(enforce_csrf_checks=False)


def new_client() -> Client:
    """Return a client without a session."""
    client = Client(HTTP_HOST="localhost", raise_request_exception=False)
    client.handler = _handler()
    return client


@dataclass(frozen=True)
class Caller:
    """Someone with a role by one source. `by_kubernetes`: Kubernetes decides about the access while they call."""

    source: str
    role: str
    standing: Standing
    user: User | None = None
    backend: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    remote_address: str = "127.0.0.1"
    by_kubernetes: bool = False
    is_token: bool = False
    client: Client = field(default_factory=new_client)

    def __str__(self) -> str:
        return f"{self.role} ({self.source})"

    def send(
        self, method: str, path: str, form: Mapping[str, Any] | None = None, *, json: bool = False
    ) -> HttpResponse:
        """Send a request, with a form or JSON as its body, and return the response."""
        with self._settings():
            response: Any = self.client.generic(
                method,
                path,
                dumps(form or {}) if json else urlencode(form or {}),
                "application/json" if json else "application/x-www-form-urlencoded",
                headers=dict(self.headers),
                REMOTE_ADDR=self.remote_address,
            )
        return cast("HttpResponse", response)

    def with_new_session(self) -> Caller:
        """Return the same caller with another session."""
        caller = replace(self, client=new_client())
        if self.backend and self.user:
            caller.client.force_login(self.user, self.backend)
        return caller

    def _settings(self) -> AbstractContextManager[Any]:
        return override_settings(KARGOWEB=deciding()) if self.by_kubernetes else nullcontext()


def configured(roles: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Return Django's settings of an installation with all sources; `roles` are those of the groups."""
    oidc = OidcConfiguration(
        issuer=ISSUER,
        client_id="kargoweb",
        name="Example Login",
        groups_claim="groups",
        username_claim="preferred_username",
        roles=roles,
    )
    proxy = ProxyConfiguration((ip_network(PROXY_ADDRESS),), "X-Forwarded-User", "X-Forwarded-Groups", roles)
    middleware = list(settings.MIDDLEWARE)
    after = middleware.index("django.contrib.auth.middleware.AuthenticationMiddleware")
    middleware.insert(after + 1, "receivers.accounts.proxy_sign_in.sign_in_by_proxy")
    return {
        "KARGOWEB": replace(settings.KARGOWEB, oidc=oidc, proxy=proxy),
        "MIDDLEWARE": middleware,
        "AUTHENTICATION_BACKENDS": [*settings.AUTHENTICATION_BACKENDS, BY_PROVIDER, BY_PROXY],
    }


def deciding() -> Any:
    """Return the configuration in which Kubernetes decides."""
    return replace(settings.KARGOWEB, access=AccessConfiguration(by_kubernetes=True))


def role_groups(names: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return the roles of the groups of the provider and the proxy: a group for each role of the matrix."""
    return {_group(role): tuple(name.format(**names) for name in groups) for role, groups in GROUPS.items()}


def rules_of_groups(names: Mapping[str, str]) -> Rules:
    """Return what the API server allows the groups of the provider and the proxy."""
    return {
        f"rbac-{_group(role)}": [_rule(item, names) for item in allowed] for role, allowed in RBAC.items()
    }


def _rule(text: str, names: Mapping[str, str]) -> dict[str, list[str]]:
    verb, _, namespace = text.partition(" in ")
    return {"verbs": [verb], "resources": ["warehouses"], "namespaces": [namespace.format(**names)]}


def _group(role: str) -> str:
    return role.replace(" ", "-").replace(",", "")


def callers(names: Mapping[str, str]) -> Iterator[Caller]:
    """Yield everyone. `names` are those of the project of the matrix (`own`) and of `another`."""
    yield Caller("no session", "anonymous", ANONYMOUS)
    yield Caller(
        "wrong token", "anonymous", ANONYMOUS, headers={"Authorization": "Bearer kgw_wrong"}, is_token=True
    )
    yield from _local(names)
    for role, standing in ROLES.items():
        yield _of_provider(role, standing)
        yield _of_proxy(role, standing)
    for role in RBAC:
        # An admin is one by a group that has the role of kargoweb.
        group = _group(role) if role == "admin" else f"rbac-{_group(role)}"
        yield _of_provider(role, ROLES[role], group, by_kubernetes=True)
        yield _of_proxy(role, ROLES[role], group, by_kubernetes=True)


def _local(names: Mapping[str, str]) -> Iterator[Caller]:
    for role, standing in ROLES.items():
        user = create_user(*(name.format(**names) for name in GROUPS[role]))
        yield Caller("local account", role, standing, user, BACKEND).with_new_session()
    administrator = replace(ROLES["admin"], superuser=True)
    yield Caller("local account", "superuser", administrator, create_superuser(), BACKEND).with_new_session()
    user = create_user("operator:{own}".format(**names))
    caller = Caller("local account beside Kubernetes", "operator", ROLES["operator"], user, BACKEND)
    yield replace(caller, by_kubernetes=True).with_new_session()


def _of_provider(role: str, standing: Standing, group: str = "", *, by_kubernetes: bool = False) -> Caller:
    """Return a user who signed in with the provider, as the sign-in leaves them."""
    groups = [group or _group(role)]
    name = f"provider-{secrets.token_hex(5)}"
    user = external_user(ISSUER, name, name, groups)
    set_roles(user, {item for group in groups for item in settings.KARGOWEB.oidc.roles.get(group, ())})
    source = "provider, Kubernetes" if by_kubernetes else "provider"
    return Caller(source, role, standing, user, BY_PROVIDER, by_kubernetes=by_kubernetes).with_new_session()


def _of_proxy(role: str, standing: Standing, group: str = "", *, by_kubernetes: bool = False) -> Caller:
    """Return a user whom the proxy names in each request."""
    name = f"proxy-{secrets.token_hex(5)}"
    headers = {"X-Forwarded-User": name, "X-Forwarded-Groups": group or _group(role)}
    source = "proxy, Kubernetes" if by_kubernetes else "proxy"
    return Caller(
        source,
        role,
        standing,
        headers=headers,
        remote_address=PROXY_ADDRESS,
        by_kubernetes=by_kubernetes,
    )


def with_tokens(owners: Iterable[Caller], names: Mapping[str, str]) -> Iterator[Caller]:
    """Yield callers with API tokens of users: of each scope, for all of the owner's projects and limited to one."""
    for owner in owners:
        # Those of users of the provider with roles of kargoweb are as those of local accounts.
        if owner.user is None or owner.standing.superuser or owner.source == "provider":
            continue
        for scope, highest in SCOPES.items():
            for limit in ("", "own", "another"):
                _, text = tokens.create(owner.user, "matrix", scope, project=names.get(limit, ""))
                yield Caller(
                    f"token of {owner.source}: {scope}{f' in {limit}' if limit else ''}",
                    owner.role,
                    owner.standing.limited(highest, limit),
                    owner.user,
                    headers={"Authorization": f"Bearer {text}"},
                    by_kubernetes=owner.by_kubernetes,
                    is_token=True,
                )
