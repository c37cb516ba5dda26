"""The newest Freight of each Warehouse, created by Kargo or by a user.

New Freight comes from the watch. What existed before is listed for one project at a time, while pages show the project:
a cluster may have hundreds of thousands of Freight objects.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from itertools import islice
from typing import Final

from receivers.cluster.client import KubernetesClient
from receivers.cluster.errors import ClusterError
from receivers.cluster.freight_watch import LONG_AGO
from receivers.kargo.artifacts import Freight, decode_freight
from receivers.kargo.resources import FREIGHTS, WarehouseKey

log = logging.getLogger(__name__)

RELIST_SECONDS: Final = 300.0  # deleted Freight has no event in the watch
RETRY_SECONDS: Final = 10.0  # after an error of the API server
IDLE_SECONDS: Final = 60.0  # listing stops this long after the last request; pages poll every few seconds
MAX_PAGES: Final = (
    50  # of 500 objects; a project with more shows what was listed, and what is created from now on
)


class NewestFreight:
    """The newest Freight by Warehouse, of the projects that are requested. Thread-safe; one thread may call `work`."""

    def __init__(
        self, cluster: Callable[[], KubernetesClient], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._cluster = cluster
        self._clock = clock
        self._lock = threading.Lock()  # of the fields below
        self._newest: dict[WarehouseKey, Freight] = {}
        self._requested_at: dict[str, float] = {}
        self._list_at: dict[str, float] = {}

    def of(self, key: WarehouseKey) -> Freight | None:
        """Return the newest Freight of a Warehouse; None if none is known, perhaps because it isn't listed yet."""
        with self._lock:
            self._requested_at[key[0]] = self._clock()
            return self._newest.get(key)

    def on_freight(self, freight: Freight) -> None:
        """Note new Freight."""
        with self._lock:
            self._add(freight)

    def on_restart(self) -> None:
        """Note that the watch may have missed Freight."""
        with self._lock:
            self._list_at.clear()

    def work(self) -> bool:
        """List the Freight of requested projects that is due. Returns False: there is never more work to do at once."""
        now = self._clock()
        with self._lock:
            idle = [name for name, at in self._requested_at.items() if now - at > IDLE_SECONDS]
            for project in idle:
                del self._requested_at[project]
            due = [name for name in self._requested_at if self._list_at.get(name, now) <= now]
            # Before the list: a restart of the watch meanwhile makes it due again.
            self._list_at.update(dict.fromkeys(due, now + RELIST_SECONDS))
        for project in due:
            try:
                self._list(project)
            except ClusterError as error:
                log.info("Cannot list the Freight of %s: %s", project, error)
                with self._lock:
                    self._list_at[project] = now + RETRY_SECONDS
        return False

    def _list(self, project: str) -> None:
        with self._lock:
            before = {key: freight for key, freight in self._newest.items() if key[0] == project}
        pages = self._cluster().list_pages(FREIGHTS, project, item=decode_freight)
        listed = [freight for page in islice(pages, MAX_PAGES) for freight in page.items]
        with self._lock:
            for key, freight in before.items():
                if self._newest.get(key) is freight:  # not one that was created meanwhile
                    del self._newest[key]
            for freight in listed:
                self._add(freight)

    def _add(self, freight: Freight) -> None:
        key = freight.project, freight.warehouse
        known = self._newest.get(key)
        if known is None or (freight.created_at or LONG_AGO) >= (known.created_at or LONG_AGO):
            self._newest[key] = freight
