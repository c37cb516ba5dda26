"""The configuration of the upstream: Kargo's own external webhooks server, for some kinds or receivers."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from kargoweb.environment import Environment, comma_separated, text

KINDS: Final = frozenset(
    (
        "all", "artifactory", "azure", "bitbucket", "dockerhub", "generic",
        "gitea", "github", "gitlab", "harbor", "quay",
    )
)  # fmt: skip
"""The kinds in Kargo, and a word for all of them."""

_ENTRY: Final = re.compile(r"[a-z]+|[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?/[^\s,/]+")
_HOST_NAME: Final = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*")


@dataclass(frozen=True, slots=True)
class UpstreamConfiguration:
    """Where requests are passed on to, and which. `url` is empty without an upstream.

    `entries` are kinds, receivers as `project/receiver` or `cluster/receiver`, or `all`.
    """

    url: str = ""
    entries: tuple[str, ...] = ()
    ca_file: str = ""
    server_name: str = ""


def read_upstream(env: Environment, url: Callable[[str], str]) -> UpstreamConfiguration:
    """Read the variables; `url` parses an address."""
    return UpstreamConfiguration(
        url=env.read("KARGOWEB_UPSTREAM", "", url),
        entries=env.read("KARGOWEB_UPSTREAM_FOR", (), comma_separated(_entry)),
        ca_file=env.read("KARGOWEB_UPSTREAM_CA_FILE", "", _certificates),
        server_name=env.read("KARGOWEB_UPSTREAM_SERVER_NAME", "", _server_name),
    )


def upstream_contradictions(upstream: UpstreamConfiguration, base_url: str) -> Iterator[str]:
    """Yield a sentence for each combination that makes no sense."""
    if upstream.url and not upstream.entries:
        yield "KARGOWEB_UPSTREAM is set; KARGOWEB_UPSTREAM_FOR must say which kinds or receivers are passed on"
    if upstream.entries and not upstream.url:
        yield "KARGOWEB_UPSTREAM_FOR is set; KARGOWEB_UPSTREAM must be the address of Kargo's server"
    tls = {
        "KARGOWEB_UPSTREAM_CA_FILE": upstream.ca_file,
        "KARGOWEB_UPSTREAM_SERVER_NAME": upstream.server_name,
    }
    for name, value in tls.items():
        if value and not upstream.url.startswith("https://"):
            yield f"{name} is set, but KARGOWEB_UPSTREAM isn't an https:// URL"
    if upstream.url and _server(upstream.url) == _server(base_url):
        yield "KARGOWEB_UPSTREAM is the host of KARGOWEB_BASE_URL, so kargoweb would send requests to itself"


def _server(url: str) -> tuple[str | None, int]:
    parts = urlsplit(url)
    return parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def _entry(value: str) -> str:
    if not _ENTRY.fullmatch(value):
        raise ValueError(
            "must be kinds (github), receivers (project/receiver, or cluster/receiver), separated by commas, or all"
        )
    if "/" not in value and value not in KINDS:
        raise ValueError(f"has an unknown kind, {value}; the kinds are {', '.join(sorted(KINDS - {'all'}))}")
    return value


def _certificates(value: str) -> str:
    try:
        ssl.create_default_context(cafile=value)
    except (OSError, ValueError):
        raise ValueError("must be a readable file of certificates in PEM format") from None
    return text(value)


def _server_name(value: str) -> str:
    if not _HOST_NAME.fullmatch(value):
        raise ValueError("must be the host name in the certificate of Kargo's server")
    return value
