"""The health of subscriptions, and which of them are about Docker Hub."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from receivers.health.finding import About, Finding
from receivers.health.shell_commands import edit_config, edit_warehouse
from receivers.kargo.kinds import KINDS
from receivers.kargo.quoting import listed, quoted
from receivers.kargo.repository_names import split_host
from receivers.kargo.resources import ReceiverConfig, Warehouse
from receivers.kargo.selectors import Broken
from receivers.kargo.subscriptions import Subscription

_KINDS: Final = frozenset({"image", "chart"})


def on_docker_hub(subscription: Subscription) -> bool:
    """Say whether a subscription names a repository of Docker Hub: its comparable name has no registry host."""
    name = subscription.repository
    return subscription.kind in _KINDS and bool(name) and not split_host(name)[0]


def is_official(subscription: Subscription) -> bool:
    """Say whether a subscription of Docker Hub is that of an official image, `library/...`.

    Webhooks belong to a repository's administrators, who for these are Docker: nobody else is called.
    """
    return subscription.kind == "image" and "/" not in subscription.repository


def covered_projects(configs: Iterable[ReceiverConfig]) -> frozenset[str]:
    """Return the projects with a receiver that has a URL and is of a kind that is spoken; "" stands for all of them."""
    found = set()
    for config in configs:
        published = {url.name for url in config.published}
        if any(one.kind in KINDS and one.name in published for one in config.receivers):
            found.add(config.project)
    return frozenset(found)


def subscription_findings(about: About, warehouse: Warehouse, *, covered: bool) -> Iterator[Finding]:
    """Yield what there is to say about a Warehouse's subscriptions.

    `covered`: its project or the cluster has a Docker Hub receiver with a URL.
    """
    for position, one in enumerate(warehouse.subscriptions):
        if isinstance(one.selector, Broken):
            yield _broken(about, position, one.repo_url, one.selector)
    on_hub = [one for one in warehouse.subscriptions if on_docker_hub(one)]
    announced = sorted({one.repository for one in on_hub if not is_official(one)})
    if announced and not covered:
        yield _uncovered(about, announced)
    if official := sorted({one.repository for one in on_hub if is_official(one)}):
        yield _official(about, official, warehouse.interval)


def _broken(about: About, position: int, repo_url: str, selector: Broken) -> Finding:
    of = f" ({quoted(repo_url)})" if repo_url else ""
    return about.urgent(
        "broken subscription",
        f"Subscription {position + 1}{of} cannot be evaluated, so Kargo discovers nothing for the whole Warehouse: "
        f"{selector.reason}.",
        f"Mend spec.subscriptions[{position}].",
        command=edit_warehouse(about.project, about.name),
        matter=f"{position} {selector.rule} {selector.reason}",
    )


def _uncovered(about: About, repositories: Sequence[str]) -> Finding:
    return about.warning(
        "no receiver",
        f"It subscribes to {listed(repositories)} on Docker Hub, and neither project {about.project} nor the cluster "
        "has a Docker Hub receiver with a URL: pushes are found only when Kargo polls.",
        "Add an entry with dockerhub: {secretRef: {name: …}} to spec.webhookReceivers, and register its URL in Docker "
        "Hub.",
        command=edit_config(about.project),
        matter=" ".join(repositories),
    )


def _official(about: About, repositories: Sequence[str], interval: str) -> Finding:
    return about.note(
        "official image",
        f"Docker Hub calls nobody but Docker for official images: a new tag of {listed(repositories)} is found only "
        f"when Kargo polls, every {interval or '5m0s'}.",
        "If that is too slow, mirror the image into a repository of your own, which can have a webhook, and subscribe "
        "to that.",
        matter=" ".join(repositories),
    )
