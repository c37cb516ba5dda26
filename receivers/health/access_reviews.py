"""What the API server says of our permissions and of itself: asked in the background, while somebody looks."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from django.utils import timezone

from receivers.cluster.client import Cluster
from receivers.cluster.errors import ClusterError
from receivers.health.rbac import Need

KEPT_SECONDS: Final = 60.0  # permissions change seldom, and every look is some thirty requests
RETRY_SECONDS: Final = 5.0  # after the API server did not answer
WANTED_SECONDS: Final = 30.0  # for which it goes on after somebody looked; the page asks every few seconds
LONGEST_SECONDS: Final = 30.0  # for one round: a thousand reviews at 30 ms
MOST_ASKED: Final = 1_000  # reviews: those of a hundred namespaces


@dataclass(frozen=True, slots=True)
class Reviews:
    """What is allowed, as far as it was asked; `error` says why not all of it was. `version` is the API server's."""

    at: datetime
    allowed: Mapping[Need, bool] = field(default_factory=dict)
    version: str = ""
    error: str = ""

    @property
    def missing(self) -> tuple[Need, ...]:
        """Return what is not allowed."""
        return tuple(need for need, allowed in self.allowed.items() if not allowed)


class Permissions:
    """Asks for our permissions. `work` is called by one thread, `known` by any, and waits for nothing."""

    def __init__(self, cluster: Callable[[], Cluster], needs: Sequence[Need]) -> None:
        self.needs = tuple(needs)
        self._cluster = cluster
        self._known: Reviews | None = None
        self._due = 0.0
        self._wanted = -WANTED_SECONDS

    def known(self) -> Reviews | None:
        """Return what was last answered, about a minute old at most while somebody keeps asking; None at first."""
        self._wanted = time.monotonic()
        return self._known

    def work(self) -> bool:
        """Ask, if somebody wants to know and it is time."""
        now = time.monotonic()
        if now - self._wanted < WANTED_SECONDS and now >= self._due:
            self._known = self._ask(now + LONGEST_SECONDS)
            self._due = time.monotonic() + (RETRY_SECONDS if self._known.error else KEPT_SECONDS)
        return False

    def _ask(self, deadline: float) -> Reviews:
        """Ask for one after the other; the first that fails is the last, for the next would keep waiting too."""
        allowed: dict[Need, bool] = {}
        version = error = ""
        try:
            cluster = self._cluster()
            version = cluster.version()
            for need in self.needs[:MOST_ASKED]:
                allowed[need] = cluster.can_i(need.verb, need.resource, need.namespace, need.subresource)
                if time.monotonic() > deadline:
                    break
        except ClusterError as problem:
            error = str(problem)
        if not error and len(allowed) < len(self.needs):
            error = f"{len(self.needs) - len(allowed)} permissions were not asked for: there are too many"
        return Reviews(timezone.now(), allowed, version, error)
