"""The settings of single sign-on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

from kargoweb.environment import Environment, choice, comma_separated, seconds, text

ROLE: Final = re.compile(r"(viewer|operator|admin)(:[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?)?")
"""A role everywhere, or in a project: the name of the Django group that grants it."""


@dataclass(frozen=True, slots=True)
class OidcConfiguration:
    """How users sign in with an OpenID Connect provider; `issuer` is empty if they don't.

    `roles` has the roles, as names of Django groups, by the provider's group.
    """

    issuer: str = ""
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    scopes: str = ""
    name: str = ""
    groups_claim: str = ""
    username_claim: str = ""
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        """Return scheme, host and port of the issuer."""
        parts = urlsplit(self.issuer)
        return f"{parts.scheme}://{parts.netloc}" if self.issuer else ""


@dataclass(frozen=True, slots=True)
class ProxyConfiguration:
    """Which proxy signs users in by a header; without `addresses`, none does. `roles` are as those of the provider."""

    addresses: tuple[IPv4Network | IPv6Network, ...] = ()
    user_header: str = ""
    groups_header: str = ""
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AccessConfiguration:
    """Who decides what users of the provider or the proxy may do: Kubernetes, or the roles of their groups.

    The prefixes are those that the API server puts before the names of users and groups. Verdicts are valid for
    `seconds`.
    """

    by_kubernetes: bool = False
    seconds: float = 60.0
    username_prefix: str = ""
    groups_prefix: str = ""


def read_access(env: Environment) -> AccessConfiguration:
    """Read who decides about access. Reports invalid settings to `env`."""
    return AccessConfiguration(
        by_kubernetes=env.read("KARGOWEB_ACCESS", "roles", choice("roles", "kubernetes")) == "kubernetes",
        seconds=env.read("KARGOWEB_ACCESS_SECONDS", 60.0, seconds(0.1, 300)),
        username_prefix=env.read("KARGOWEB_ACCESS_USERNAME_PREFIX", "", text),
        groups_prefix=env.read("KARGOWEB_ACCESS_GROUPS_PREFIX", "", text),
    )


def read_proxy(env: Environment) -> ProxyConfiguration:
    """Read the settings of the proxy. Reports invalid ones to `env`."""
    none: tuple[IPv4Network | IPv6Network, ...] = ()
    return ProxyConfiguration(
        addresses=env.read("KARGOWEB_PROXY_ADDRESSES", none, comma_separated(_network)),
        user_header=env.read("KARGOWEB_PROXY_USER_HEADER", "X-Forwarded-User", _header),
        groups_header=env.read("KARGOWEB_PROXY_GROUPS_HEADER", "X-Forwarded-Groups", _header),
        roles=_read_roles(env, "KARGOWEB_PROXY_ROLES"),
    )


def read_oidc(env: Environment) -> OidcConfiguration:
    """Read the settings of the provider. Reports invalid ones to `env`."""
    return OidcConfiguration(
        issuer=env.read("KARGOWEB_OIDC_ISSUER", "", _issuer),
        client_id=env.read("KARGOWEB_OIDC_CLIENT_ID", "", text),
        client_secret=env.read("KARGOWEB_OIDC_CLIENT_SECRET", "", text, secret=True),
        scopes=env.read("KARGOWEB_OIDC_SCOPES", "openid profile email", _scopes),
        name=env.read("KARGOWEB_OIDC_NAME", "single sign-on", text),
        groups_claim=env.read("KARGOWEB_OIDC_GROUPS_CLAIM", "groups", text),
        username_claim=env.read("KARGOWEB_OIDC_USERNAME_CLAIM", "preferred_username", text),
        roles=_read_roles(env, "KARGOWEB_OIDC_ROLES"),
    )


def _read_roles(env: Environment, name: str) -> Mapping[str, tuple[str, ...]]:
    roles: dict[str, tuple[str, ...]] = {}
    none: tuple[tuple[str, str], ...] = ()
    for group, role in env.read(name, none, comma_separated(_role)):
        roles[group] = (*roles.get(group, ()), role)
    return roles


def contradictions(
    oidc: OidcConfiguration, proxy: ProxyConfiguration, access: AccessConfiguration, *, local_accounts: bool
) -> Iterator[str]:
    """Yield a sentence for each pair of settings that don't go together."""
    if oidc.issuer and not oidc.client_id:
        yield "KARGOWEB_OIDC_CLIENT_ID must be set if KARGOWEB_OIDC_ISSUER is: the id of the client at the provider"
    if access.by_kubernetes and not oidc.issuer and not proxy.addresses:
        yield (
            "KARGOWEB_ACCESS is kubernetes, and neither KARGOWEB_OIDC_ISSUER nor KARGOWEB_PROXY_ADDRESSES is set, so "
            "no user has a name that Kubernetes knows"
        )
    if oidc.issuer and not oidc.roles and not access.by_kubernetes:
        yield (
            "KARGOWEB_OIDC_ROLES must be set if KARGOWEB_OIDC_ISSUER is, or nobody who signs in has a role; "
            "for example team-payments=operator:payments,platform=admin"
        )
    if proxy.addresses and not proxy.roles and not access.by_kubernetes:
        yield (
            "KARGOWEB_PROXY_ROLES must be set if KARGOWEB_PROXY_ADDRESSES is, or nobody whom the proxy names has a "
            "role; for example team-payments=operator:payments,platform=admin"
        )
    if not local_accounts and not oidc.issuer and not proxy.addresses:
        yield (
            "KARGOWEB_LOCAL_ACCOUNTS is false, and neither KARGOWEB_OIDC_ISSUER nor KARGOWEB_PROXY_ADDRESSES is set, "
            "so nobody could sign in"
        )


def _issuer(value: str) -> str:
    parts = urlsplit(value)
    is_local = parts.hostname == "localhost" or _is_loopback(parts.hostname or "")
    if not parts.hostname or parts.query or parts.fragment or not (parts.scheme == "https" or is_local):
        raise ValueError("must be the https:// address of the provider, as its discovery document spells it")
    return value


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _network(value: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(value)
    except ValueError:
        raise ValueError(
            "must be IP addresses or networks separated by commas, such as 10.1.2.0/24"
        ) from None


def _header(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9-]+", value):
        raise ValueError("must be the name of a header: letters, digits and hyphens")
    return value


def _scopes(value: str) -> str:
    if "openid" not in value.split():
        raise ValueError("must be scopes separated by spaces, openid among them")
    return value


def _role(value: str) -> tuple[str, str]:
    group, _, role = value.rpartition("=")
    if not group.strip() or not ROLE.fullmatch(role.strip()):
        raise ValueError(
            "must be pairs of a group and a role separated by commas: team-payments=operator:payments,platform=admin"
        )
    return group.strip(), role.strip()
