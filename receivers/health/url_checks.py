"""The health of a receiver's URL: whether Docker Hub can call it, and whether it stays a secret on the way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from receivers.health.finding import About, Finding
from receivers.health.reachability import DOCKER_HUB_URL_LIMIT, is_local, split_url, why_unreachable
from receivers.kargo.quoting import quoted

_WHERE: Final = "in the values of Kargo's chart, or KARGOWEB_BASE_URL where kargoweb manages receivers."


def url_findings(about: About, url: str, *, at_home: bool = False) -> Iterator[Finding]:
    """Yield what there is to say about the full URL of a receiver, which itself is in none of the findings.

    `at_home`: kargoweb itself is served on this machine only, and says so once, see `local_installation`. Then it is
    no news of a receiver.
    """
    if len(url) > DOCKER_HUB_URL_LIMIT:
        yield _too_long(about, len(url))
    parts = split_url(url)
    host = (parts.hostname or "") if parts else ""
    why = why_unreachable(host) if host else "is missing"
    if why and not (at_home and is_local(url)):
        yield _unreachable(about, host, why)
    elif not why and parts and parts.scheme == "http":
        yield _plain(about, host)


def _too_long(about: About, length: int) -> Finding:
    return about.urgent(
        "URL too long",
        f"Its URL has {length} characters; Docker Hub stores {DOCKER_HUB_URL_LIMIT} at most.",
        f"Take a shorter host name or base path: externalWebhooksServer.host {_WHERE}",
        matter=str(length),
    )


def _unreachable(about: About, host: str, why: str) -> Finding:
    return about.urgent(
        "unreachable",
        f"Docker Hub cannot reach its URL: the host {quoted(host)} {why}.",
        f"Set a host name that the internet knows: externalWebhooksServer.host (by default localhost) {_WHERE}",
        matter=host,
    )


def _plain(about: About, host: str) -> Finding:
    return about.warning(
        "plain HTTP",
        f"Its URL begins with http://: everybody on the way to {quoted(host)} can read it, and it is a credential.",
        f"Serve it with TLS, by the Ingress for example, and publish https://: externalWebhooksServer.tls {_WHERE}",
        matter=host,
    )
