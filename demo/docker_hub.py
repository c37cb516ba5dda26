"""Plays Docker Hub: finds the webhooks that somebody would have registered for a repository, and calls them."""

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


class NoAnswer(Exception):
    """A webhook's server did not answer; the text says why, without the address."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook in the settings of a repository. `receiver` is for people: project and name. `url` is a credential."""

    receiver: str
    url: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a webhook's server said."""

    status: int
    body: str
    delivery: str


def subscribers(cluster: KubernetesClient, push: Push) -> frozenset[str]:
    """Return the projects that have a Warehouse with a subscription of the pushed repository. Raises `ClusterError`."""
    names = set(push.names)
    return frozenset(
        warehouse.project
        for page in cluster.list_pages(WAREHOUSES, item=decode_warehouse)
        for warehouse in page.items
        if any(subscription.repository in names for subscription in warehouse.subscriptions)
    )


def registered(cluster: KubernetesClient, projects: Iterable[str]) -> list[Webhook]:
    """Return the webhooks that these projects' teams, and the cluster's, have registered. Raises `ClusterError`.

    There is one for every Docker Hub receiver that has a URL.
    """
    wanted = {*projects, ""}
    return [
        webhook
        for resource in (PROJECT_CONFIGS, CLUSTER_CONFIGS)
        for page in cluster.list_pages(resource, item=decode_config)
        for config in page.items
        if config.project in wanted
        for webhook in _of(config)
    ]


def _of(config: ReceiverConfig) -> list[Webhook]:
    kinds = {receiver.name: receiver.kind for receiver in config.receivers}
    return [
        Webhook(f"{scope_name(config.project)}/{one.name}", one.url)
        for one in config.published
        if kinds.get(one.name) == KIND and one.url
    ]


def call(webhook: Webhook, body: bytes) -> Answer:
    """Post `body` to the webhook as Docker Hub does. Raises `NoAnswer`."""
    parts = urlsplit(webhook.url)
    connect = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = connect(parts.netloc, timeout=TIMEOUT)
    try:
        connection.request("POST", parts.path, body, HEADERS)
        response = connection.getresponse()
        text = response.read().decode(errors="replace").strip()
    except (OSError, HTTPException) as error:
        raise NoAnswer(f"{parts.netloc} does not answer: {error or type(error).__name__}") from error
    finally:
        connection.close()
    return Answer(response.status, text, response.headers.get(DELIVERY_HEADER, ""))
