"""Simulate Docker Hub: find the webhooks that users would register for a repository, and call them.

These are the Docker Hub receivers of all projects with a Warehouse that subscribes to it, and of the cluster.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Final
from urllib.parse import urlsplit

from receivers.cluster.client import KubernetesClient
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
    """A webhook of a repository. `receiver` is `project/name`, for display. `url` is a credential."""

    receiver: str
    url: str


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


def registered_webhooks(cluster: KubernetesClient, projects: Iterable[str]) -> list[Webhook]:
    """Return one webhook for each Docker Hub receiver with a URL, of these projects and the cluster.

    Raises `ClusterError`.
    """
    scopes = {*projects, ""}
    return [
        webhook
        for resource in (PROJECT_CONFIGS, CLUSTER_CONFIGS)
        for page in cluster.list_pages(resource, item=decode_config)
        for config in page.items
        if config.project in scopes
        for webhook in _webhooks(config)
    ]


def _webhooks(config: ReceiverConfig) -> list[Webhook]:
    kinds = {receiver.name: receiver.kind for receiver in config.receivers}
    return [
        Webhook(f"{scope_name(config.project)}/{published.name}", published.url)
        for published in config.published
        if kinds.get(published.name) == KIND and published.url
    ]


def call_webhook(webhook: Webhook, body: bytes) -> WebhookResponse:
    """Send `body` to the webhook as Docker Hub does. Raises `NoResponse`."""
    parts = urlsplit(webhook.url)
    connect = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = connect(parts.netloc, timeout=TIMEOUT)
    try:
        connection.request("POST", parts.path, body, HEADERS)
        response = connection.getresponse()
        text = response.read().decode(errors="replace").strip()
    except (OSError, HTTPException) as error:
        raise NoResponse(f"{parts.netloc} did not respond: {error or type(error).__name__}") from error
    finally:
        connection.close()
    return WebhookResponse(response.status, text, response.headers.get(DELIVERY_HEADER, ""))
