"""Which receivers Docker Hub and other providers can call for which subscriptions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from receivers.kargo.repository_names import is_docker_hub, normalize_image, split_host
from receivers.kargo.resources import ReceiverConfig
from receivers.kargo.subscriptions import Subscription

DOCKER_HUB: Final = "dockerhub"
_REGISTRY_KINDS: Final = frozenset({"image", "chart"})


def is_on_docker_hub(subscription: Subscription) -> bool:
    """Say whether the repository is on Docker Hub: its normalized name then has no registry host."""
    repository = subscription.repository
    return subscription.kind in _REGISTRY_KINDS and bool(repository) and not split_host(repository)[0]


def is_never_matched(subscription: Subscription) -> bool:
    """Say whether the repository is on Docker Hub, but written in a way that the names in its pushes never match."""
    host, _ = split_host(subscription.repo_url.strip().lower().rpartition("://")[2])
    return (
        subscription.kind in _REGISTRY_KINDS
        and bool(subscription.near_key)
        and (not host or is_docker_hub(host))
        and subscription.repository != normalize_image(subscription.near_key)
    )


def is_official_image(subscription: Subscription) -> bool:
    """Say whether a subscription on Docker Hub is to an official image, `library/...`.

    Webhooks belong to the administrators of a repository. For official images that is Docker, so nobody else can
    receive them.
    """
    return subscription.kind == "image" and "/" not in subscription.repository


def covering_receivers(
    subscription: Subscription, configs: Iterable[ReceiverConfig]
) -> tuple[tuple[str, str], ...]:
    """Return (project, receiver) of the receivers with a URL that Docker Hub can call for a subscription.

    `configs` are the ProjectConfig of the Warehouse's project and the ClusterConfig: a cluster receiver covers every
    project.
    """
    if not is_on_docker_hub(subscription):
        return ()
    return tuple((config.project, name) for config in configs for name in _published_names(config))


# The kinds of receivers that a provider's host calls; the first that fits wins.
_HOSTS: Final = (
    ("github.com", ("github",)), ("ghcr.io", ("github",)), ("gitlab.com", ("gitlab",)),
    ("bitbucket.org", ("bitbucket",)), ("quay.io", ("quay",)), ("azurecr.io", ("azure",)),
    ("dev.azure.com", ("azure",)), ("visualstudio.com", ("azure",)), ("jfrog.io", ("artifactory",)),
)  # fmt: skip
_OWN_GIT: Final = ("azure", "bitbucket", "gitea", "github", "gitlab")
_OWN_REGISTRY: Final = ("artifactory", "harbor", "quay")


def kinds_of_provider(subscription: Subscription) -> tuple[str, ...]:
    """Return the kinds of receivers that the provider of a subscription's repository may call.

    That is a guess by the host name: `harbor.example.com` is Harbor, and `git.example.com` anything that serves Git.
    """
    if is_on_docker_hub(subscription):
        return (DOCKER_HUB,)
    if not subscription.repository:
        return ()
    host = subscription.repository.rpartition("://")[2].partition("/")[0].rpartition("@")[2].partition(":")[0]
    if own := next((kind for kind in (*_OWN_GIT, *_OWN_REGISTRY) if kind in host.split(".")), None):
        return (own,)
    known = next((kinds for name, kinds in _HOSTS if host == name or host.endswith(f".{name}")), None)
    return known or (_OWN_GIT if subscription.kind == "git" else _OWN_REGISTRY)


def possible_receivers(
    subscription: Subscription, configs: Iterable[ReceiverConfig]
) -> tuple[tuple[str, str], ...]:
    """Return (project, receiver) of the receivers with a URL that the provider of a subscription may call."""
    kinds = kinds_of_provider(subscription)
    return tuple((config.project, name) for config in configs for name in _published_names(config, kinds))


def covered_projects(configs: Iterable[ReceiverConfig]) -> frozenset[str]:
    """Return the projects with a Docker Hub receiver that has a URL; "" stands for the cluster, so for all of them."""
    return frozenset(config.project for config in configs if any(_published_names(config)))


def projects_with_receiver(configs: Iterable[ReceiverConfig]) -> frozenset[str]:
    """Return the projects with a Docker Hub receiver, with or without a URL; "" stands for the cluster."""
    return frozenset(
        config.project for config in configs if any(each.kind == DOCKER_HUB for each in config.receivers)
    )


def _published_names(config: ReceiverConfig, kinds: Iterable[str] = (DOCKER_HUB,)) -> Iterator[str]:
    """Yield the names of the receivers of some kinds in a configuration that have a URL."""
    published = {url.name for url in config.published}
    return (each.name for each in config.receivers if each.kind in kinds and each.name in published)
