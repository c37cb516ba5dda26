"""The repositories that a receiver's Warehouses subscribe to, and whether Docker Hub has called for them yet.

Docker Hub has one webhook per repository, so a receiver has to be registered in each of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from receivers.deliveries import statistics
from receivers.deliveries.statistics import PushTimes
from receivers.kargo.coverage import is_official_image, is_on_docker_hub
from receivers.kargo.resources import Warehouse
from receivers.kargo.scopes import CLUSTER_SCOPE

MOST: Final = 100  # repositories of one page
WEBHOOKS_PAGE: Final = "https://hub.docker.com/repository/docker/{}/webhooks"


@dataclass(frozen=True, slots=True)
class Registration:
    """A repository on Docker Hub. `times` are those of its pushes to the receiver, None if there was none.

    `elsewhere` is the cluster receiver that gets its pushes instead, or empty. `webhooks_url` is the page to register
    at; it is empty for official images, whose webhooks nobody but Docker can register. `warehouses` subscribe to it.
    """

    repository: str
    times: PushTimes | None
    elsewhere: str
    webhooks_url: str
    warehouses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Checklist:
    """The repositories of one receiver, those without a push first; `left_out` more are not shown."""

    registrations: tuple[Registration, ...]
    left_out: int

    @property
    def registered(self) -> int:
        """Return how many repositories have sent a push to the receiver."""
        return sum(each.times is not None for each in self.registrations)

    @property
    def possible(self) -> int:
        """Return how many repositories can be registered: official images can't, unless a push proves otherwise."""
        return sum(bool(each.webhooks_url or each.times) for each in self.registrations)


def checklists(
    project: str, receivers: Sequence[str], warehouses: Iterable[Warehouse]
) -> Mapping[str, Checklist]:
    """Return the checklist of each receiver of a project, or of the cluster receivers if `project` is empty.

    `warehouses` are those that the receivers serve. Two queries, none if nothing is on Docker Hub.
    """
    subscribers: dict[str, list[str]] = {}
    official: set[str] = set()
    for warehouse in warehouses:
        for subscription in warehouse.subscriptions:
            if is_on_docker_hub(subscription):
                names = subscribers.setdefault(subscription.repository, [])
                name = warehouse.name if project else f"{warehouse.project}/{warehouse.name}"
                if name not in names:
                    names.append(name)
                if is_official_image(subscription):
                    official.add(subscription.repository)
    shown = sorted(subscribers)[:MOST]
    times = statistics.push_times(shown)
    return {
        receiver: Checklist(
            tuple(
                sorted(
                    (
                        Registration(
                            repository,
                            times.get((repository, project, receiver)),
                            _elsewhere(repository, project, times),
                            "" if repository in official else WEBHOOKS_PAGE.format(quote(repository)),
                            tuple(subscribers[repository]),
                        )
                        for repository in shown
                    ),
                    key=lambda each: (each.times is not None, each.repository),
                )
            ),
            len(subscribers) - len(shown),
        )
        for receiver in receivers
    }


def _elsewhere(repository: str, project: str, times: Mapping[tuple[str, str, str], PushTimes]) -> str:
    """Return the name of a cluster receiver that gets the pushes of a repository; empty for cluster receivers."""
    if project == CLUSTER_SCOPE:
        return ""
    keys = (key for key in times if key[:2] == (repository, CLUSTER_SCOPE))
    return next((receiver for _, _, receiver in keys), "")
