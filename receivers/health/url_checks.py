"""Checks of a receiver's URL: whether Docker Hub can call it, and whether it stays secret in transit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from receivers.health.checks import Check
from receivers.health.finding import Finding, FindingFactory
from receivers.health.reachability import DOCKER_HUB_URL_LIMIT, is_local, split_url, unreachable_reason
from receivers.kargo.quoting import quoted

_WHERE: Final = "in the values of Kargo's chart, or KARGOWEB_BASE_URL if kargoweb manages receivers."


def url_findings(factory: FindingFactory, url: str, *, served_locally: bool = False) -> Iterator[Finding]:
    """Yield the findings about the full URL of a receiver; none of them contains the URL.

    `served_locally`: kargoweb's own base URL is on this machine. Then `local_installation` reports that once, instead
    of each receiver.
    """
    if len(url) > DOCKER_HUB_URL_LIMIT:
        yield _too_long(factory, len(url))
    parts = split_url(url)
    host = (parts.hostname or "") if parts else ""
    reason = unreachable_reason(host) if host else "is missing"
    if reason and not (served_locally and is_local(url)):
        yield _unreachable(factory, host, reason)
    elif not reason and parts and parts.scheme == "http":
        yield _without_tls(factory, host)


def _too_long(factory: FindingFactory, length: int) -> Finding:
    return factory.urgent(
        Check.URL_TOO_LONG,
        f"The URL has {length} characters. Docker Hub stores at most {DOCKER_HUB_URL_LIMIT}.",
        f"Use a shorter host name or base path: set externalWebhooksServer.host {_WHERE}",
        identity=str(length),
    )


def _unreachable(factory: FindingFactory, host: str, reason: str) -> Finding:
    return factory.urgent(
        Check.URL_UNREACHABLE,
        f"Providers can't reach the URL: the host {quoted(host)} {reason}.",
        f"Use a public host name: set externalWebhooksServer.host (default: localhost) {_WHERE}",
        identity=host,
        common_cause=True,
    )


def _without_tls(factory: FindingFactory, host: str) -> Finding:
    return factory.warning(
        Check.URL_WITHOUT_TLS,
        f"The URL starts with http://, so anyone on the network path to {quoted(host)} can read it. The URL is a "
        "credential.",
        "Serve the URL over TLS, for example with an Ingress, and publish it as https://: set "
        f"externalWebhooksServer.tls {_WHERE}",
        identity=host,
        common_cause=True,
    )
