"""Simulate Docker Hub and the other providers: find the webhooks that users would register, and call them.

These are the receivers of the provider's kind in all projects with a Warehouse that subscribes to the repository, and
of the cluster.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from receivers.cluster.client import KubernetesClient
from receivers.cluster.receiver_secrets import read_secret
from receivers.kargo.kinds import KINDS
from receivers.kargo.push import Push
from receivers.kargo.resources import (
    CLUSTER_CONFIGS,
    PROJECT_CONFIGS,
    WAREHOUSES,
    ReceiverConfig,
    decode_config,
    decode_warehouse,
)
from receivers.kargo.scopes import scope_name

KIND: Final = "dockerhub"
DELIVERY_HEADER: Final = "X-Kargoweb-Delivery"
TIMEOUT: Final = 30.0  # seconds; Docker Hub's own is not documented
HEADERS: Final = {
    "Content-Type": "application/json",
    "User-Agent": "Go-http-client/1.1",
    "Accept-Encoding": "gzip",
}


class NoResponse(Exception):
    """A webhook request failed. The message has the cause but not the URL, which is a credential."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook of a repository. `receiver` is `project/name`, for display. `url` and `secret` are credentials."""

    receiver: str
    url: str
    secret: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class WebhookResponse:
    """The response to a webhook request."""

    status: int
    body: str
    delivery: str


def subscribed_projects(cluster: KubernetesClient, push: Push) -> frozenset[str]:
    """Return the projects that have a Warehouse with a subscription of the pushed repository. Raises `ClusterError`."""
    names = set(push.names)
    return frozenset(
        warehouse.project
        for page in cluster.list_pages(WAREHOUSES, item=decode_warehouse)
        for warehouse in page.items
        if any(subscription.repository in names for subscription in warehouse.subscriptions)
    )


def registered_webhooks(
    cluster: KubernetesClient, projects: Iterable[str], kind: str = KIND, system_namespace: str = ""
) -> list[Webhook]:
    """Return one webhook for each receiver of a kind with a URL, of these projects and the cluster.

    `system_namespace` has the Secrets of cluster receivers; it is needed for kinds that sign. Raises `ClusterError`,
    and `ReceiverError` if a Secret is missing.
    """
    scopes = {*projects, ""}
    return [
        webhook
        for resource in (PROJECT_CONFIGS, CLUSTER_CONFIGS)
        for page in cluster.list_pages(resource, item=decode_config)
        for config in page.items
        if config.project in scopes
        for webhook in _webhooks(cluster, config, kind, system_namespace)
    ]


def _webhooks(
    cluster: KubernetesClient, config: ReceiverConfig, kind: str, system_namespace: str
) -> list[Webhook]:
    receivers = {receiver.name: receiver for receiver in config.receivers if receiver.kind == kind}
    return [
        Webhook(
            f"{scope_name(config.project)}/{published.name}",
            published.url,
            read_secret(cluster, config.project, receivers[published.name], system_namespace)
            if KINDS[kind].signs
            else b"",
        )
        for published in config.published
        if published.name in receivers and published.url
    ]


def call_webhook(
    webhook: Webhook, body: bytes, headers: Mapping[str, str] = MappingProxyType({})
) -> WebhookResponse:
    """Send `body` to the webhook as Docker Hub does, or with the headers of another provider. Raises `NoResponse`."""
    parts = urlsplit(webhook.url)
    connect = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = connect(parts.netloc, timeout=TIMEOUT)
    try:
        connection.request("POST", parts.path, body, HEADERS | dict(headers))
        response = connection.getresponse()
        text = response.read().decode(errors="replace").strip()
    except (OSError, HTTPException) as error:
        raise NoResponse(f"{parts.netloc} did not respond: {error or type(error).__name__}") from error
    finally:
        connection.close()
    return WebhookResponse(response.status, text, response.headers.get(DELIVERY_HEADER, ""))
