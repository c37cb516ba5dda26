"""Suggestions for test pushes: repositories that Warehouses subscribe to, and tags that they select."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import Final

from receivers.cluster.client import KubernetesClient
from receivers.cluster.errors import ClusterError
from receivers.kargo.artifacts import decode_discovered
from receivers.kargo.coverage import DOCKER_HUB, is_on_docker_hub, kinds_of_provider
from receivers.kargo.kinds import GIT_KINDS
from receivers.kargo.repository_names import normalize_chart, normalize_git, normalize_image
from receivers.kargo.resources import WAREHOUSES, Warehouse
from receivers.kargo.selectors import (
    BRANCHES,
    TAGS,
    ChartSelector,
    ExactTagSelector,
    GitBranchSelector,
    GitSelector,
    GitTagSelector,
    Selector,
    SemverSelector,
)
from receivers.kargo.subscriptions import Subscription

MAX_REPOSITORIES: Final = 200  # enough for a list to choose from; any other can be typed
MAX_READ: Final = 2  # Warehouses, each a request to the API server while a person waits
MAX_TAGS: Final = 5  # of each subscription
COMMON_TAGS: Final = ("1.0.0", "v1.0.0", "latest", "main")
_NUMBERS: Final = re.compile(r"\d+(?:\.\d+){0,2}")
_PARTS: Final = 3


def repositories(kind: str, warehouses: Iterable[Warehouse]) -> tuple[str, ...]:
    """Return up to `MAX_REPOSITORIES` repositories that a receiver of a kind may be called for, sorted.

    These Warehouses subscribe to them. Those whose host is known to call receivers of this kind come first.
    """
    elsewhere = {
        subscription.repository: kind not in kinds_of_provider(subscription)
        for subscription in _subscriptions(warehouses)
        if _is_for(kind, subscription)
    }
    return tuple(sorted(islice(elsewhere, MAX_REPOSITORIES), key=lambda name: (elsewhere[name], name)))


def _is_for(kind: str, subscription: Subscription) -> bool:
    """Say whether the provider of a kind may host a subscription's repository."""
    if kind in GIT_KINDS:
        return subscription.kind == "git" and subscription.repository.startswith("http")
    if kind == DOCKER_HUB:
        return is_on_docker_hub(subscription)
    is_artifact = subscription.kind in {"image", "chart"} and not is_on_docker_hub(subscription)
    return bool(subscription.repository) and is_artifact


def tags(repository: str, warehouses: Iterable[Warehouse]) -> tuple[str, ...]:
    """Return tags that subscriptions of a repository select: at most one per subscription, without duplicates."""
    names = {normalize_image(repository), normalize_chart(repository), normalize_git(repository)}
    selected = (
        _tag(subscription) for subscription in _subscriptions(warehouses) if subscription.repository in names
    )
    return tuple(dict.fromkeys(filter(None, selected)))


def discovered_tags(
    cluster: KubernetesClient, repository: str, warehouses: Iterable[Warehouse]
) -> tuple[str, ...]:
    """Return the tags of a repository that Kargo discovered last, the best of each subscription first.

    Reads at most `MAX_READ` Warehouses. What can't be read is left out: these are suggestions.
    """
    names = {normalize_image(repository), normalize_chart(repository), normalize_git(repository)}
    subscribers = (
        warehouse
        for warehouse in warehouses
        if any(each.repository in names for each in warehouse.subscriptions)
    )
    newest: dict[str, None] = {}
    for warehouse in islice(subscribers, MAX_READ):
        project, name = warehouse.key
        with suppress(ClusterError):
            for result in decode_discovered(cluster.get(WAREHOUSES, name, project)):
                newest.update(
                    (artifact.tag, None)
                    for artifact in result.artifacts[:MAX_TAGS]
                    if artifact.repository in names and artifact.kind != "git"
                )
    return tuple(newest)


def _subscriptions(warehouses: Iterable[Warehouse]) -> Iterator[Subscription]:
    return (subscription for warehouse in warehouses for subscription in warehouse.subscriptions)


def _tag(subscription: Subscription) -> str:
    """Return the first candidate that the subscription selects, or "" if it selects none."""
    return next((tag for tag in _candidates(subscription) if subscription.selector.evaluate(tag).matches), "")


def _candidates(subscription: Subscription) -> Iterator[str]:
    """Yield the versions in the constraint, padded with zeros, the version after each, and common tags.

    For a Git subscription, they are full references.
    """
    match subscription.selector:
        case GitSelector(references=GitBranchSelector(branch)):
            yield f"{BRANCHES}{branch or 'main'}"
        case GitSelector(references=GitTagSelector(selector)):
            yield from (f"{TAGS}{tag}" for tag in _tag_candidates(selector))
        case selector:
            yield from _tag_candidates(selector)


def _tag_candidates(selector: Selector) -> Iterator[str]:
    match selector:
        case ExactTagSelector(followed) if followed:
            yield followed
        case SemverSelector(constraint=constraint) | ChartSelector(constraint=constraint) if constraint:
            for number in _NUMBERS.findall(constraint.text):
                parts = number.split(".")
                yield ".".join(parts + ["0"] * (_PARTS - len(parts)))
                yield ".".join([*parts[:-1], str(int(parts[-1][:9]) + 1), *["0"] * (_PARTS - len(parts))])
    yield from COMMON_TAGS
