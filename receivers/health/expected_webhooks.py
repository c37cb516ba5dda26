"""Which artifacts of new Freight should have caused a webhook from Docker Hub.

Freight that Kargo creates automatically contains the new artifact, and the newest artifact of every other subscription.
The pushes of the latter may be long past.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from receivers.kargo.artifacts import Artifact, Freight
from receivers.kargo.coverage import is_official_image, is_on_docker_hub
from receivers.kargo.resources import Warehouse
from receivers.kargo.subscriptions import Subscription

# Docker Hub sends `namespace/name`; the others occur in practice or in Kargo's own tests.
PREFIXES: Final = ("", "library/", "_/", "docker.io/", "docker.io/library/", "index.docker.io/")
"""What senders may put in front of the normalized name of a repository on Docker Hub."""


def subscription_with_webhook(artifact: Artifact, warehouse: Warehouse) -> Subscription | None:
    """Return the subscription of an artifact if Docker Hub sends webhooks for its repository; None otherwise."""
    return next(
        (
            subscription
            for subscription in warehouse.subscriptions
            if (subscription.kind, subscription.repository) == (artifact.kind, artifact.repository)
            and is_on_docker_hub(subscription)
            and not is_official_image(subscription)
        ),
        None,
    )


def is_new(artifact: Artifact, earlier: Iterable[Freight]) -> bool:
    """Return whether an artifact is new to a Warehouse whose `earlier` Freight contains other versions of it.

    The first artifact of a repository isn't new in this sense: that Freight exists because the Warehouse was created
    or changed, not because of a push.
    """
    versions = [
        version
        for freight in earlier
        for version in freight.artifacts
        if version.repository == artifact.repository
    ]
    return bool(versions) and artifact not in versions


def has_mutable_tag(subscription: Subscription) -> bool:
    """Return whether a subscription tracks one tag that is pushed again and again."""
    return subscription.strategy == "Digest"


def delivered_as(artifact: Artifact) -> tuple[Sequence[str], Sequence[str]]:
    """Return the repository names and the tags that a delivery for an artifact may have; tags can't contain `+`."""
    names = [prefix + artifact.repository for prefix in PREFIXES]
    return names, sorted({artifact.tag, artifact.tag.replace("+", "_")})
