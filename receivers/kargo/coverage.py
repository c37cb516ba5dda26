"""Which receivers can hear of pushes to what a Warehouse subscribes to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from receivers.kargo.repository_names import split_host
from receivers.kargo.resources import ReceiverConfig
from receivers.kargo.subscriptions import Subscription

DOCKER_HUB: Final = "dockerhub"


def is_on_docker_hub(subscription: Subscription) -> bool:
    """Say whether the repository is one of Docker Hub: its normalised name then has no registry host."""
    named = subscription.kind in {"image", "chart"} and subscription.repository
    return bool(named) and not split_host(subscription.repository)[0]


def covering(subscription: Subscription, configs: Iterable[ReceiverConfig]) -> tuple[tuple[str, str], ...]:
    """Return (project, receiver) of the receivers with a URL that Docker Hub can call for a subscription.

    `configs` are the ProjectConfig of the Warehouse's project and the ClusterConfig: a cluster receiver covers all.
    """
    if not is_on_docker_hub(subscription):
        return ()
    return tuple(
        (config.project, receiver.name)
        for config in configs
        for receiver in config.receivers
        if receiver.kind == DOCKER_HUB and any(url.name == receiver.name for url in config.published)
    )
