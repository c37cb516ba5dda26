"""Which artifacts of new Freight Docker Hub should have announced to us.

Freight of automatic creation holds, beside what is new, the newest artifact of every other subscription; a push of
these is long past.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from receivers.health.subscription_checks import is_official, on_docker_hub
from receivers.kargo.artifacts import Artifact, Freight
from receivers.kargo.resources import Warehouse
from receivers.kargo.subscriptions import Subscription

# Docker Hub sends `namespace/name`; the others have been seen in the wild or in Kargo's own tests.
SPELLINGS: Final = ("", "library/", "_/", "docker.io/", "docker.io/library/", "index.docker.io/")
"""What may stand before the comparable name of a repository of Docker Hub in what a sender calls it."""


def announced(artifact: Artifact, warehouse: Warehouse) -> Subscription | None:
    """Return the subscription for which Docker Hub announces an artifact; None if there is none."""
    return next(
        (
            one
            for one in warehouse.subscriptions
            if (one.kind, one.repository) == (artifact.kind, artifact.repository)
            and on_docker_hub(one)
            and not is_official(one)
        ),
        None,
    )


def is_new(artifact: Artifact, earlier: Iterable[Freight]) -> bool:
    """Say whether an artifact is new to a Warehouse which had other versions of it in its `earlier` Freight.

    The first artifact of a repository is not: that Freight was made because somebody made the Warehouse.
    """
    known = [one for freight in earlier for one in freight.artifacts if one.repository == artifact.repository]
    return bool(known) and artifact not in known


def moves(subscription: Subscription) -> bool:
    """Say whether a subscription follows one tag that is pushed over and over again."""
    return subscription.strategy == "Digest"


def spellings(artifact: Artifact) -> tuple[Sequence[str], Sequence[str]]:
    """Return what a delivery for an artifact may call its repository, and its tag, which cannot hold a `+`."""
    names = [before + artifact.repository for before in SPELLINGS]
    return names, sorted({artifact.tag, artifact.tag.replace("+", "_")})
