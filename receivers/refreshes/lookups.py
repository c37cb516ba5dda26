"""Looks up in the cluster what the cache does not keep: what was discovered, and Freight of earlier times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from receivers.cluster.client import KubernetesClient
from receivers.cluster.errors import ClusterError, Forbidden, NotFound, NotInstalled
from receivers.cluster.freight_watch import LONG_AGO, FreightWatch
from receivers.cluster.snapshot import WarehouseKey
from receivers.kargo.artifacts import DiscoveryResult, Freight, decode_discovered, decode_freight
from receivers.kargo.progress_states import Lookup, Observation, RefreshRequest
from receivers.kargo.resources import FREIGHTS, WAREHOUSES, Warehouse, decode_warehouse
from receivers.models import Refresh

LOOKS_AT_ONCE: Final = 8  # requests under way: enough for a hundred Warehouses a second when each takes 30 ms


@dataclass(slots=True)
class Look:
    """What was looked up for one Warehouse in one round. `gone`: the Warehouse itself."""

    warehouse: Warehouse | None = None
    discovered: tuple[DiscoveryResult, ...] | None = None
    freight: tuple[Freight, ...] | None = None
    last_freight_gone: bool = False
    gone: bool = False


class LookUp:
    """Looks up what a story needs, for several Warehouses at once."""

    def __init__(self, cluster: Callable[[], KubernetesClient], freight: FreightWatch) -> None:
        self._cluster = cluster
        self._freight = freight
        self._pool = ThreadPoolExecutor(LOOKS_AT_ONCE, thread_name_prefix="look-up")

    def stop(self) -> None:
        """Look nothing up any more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def seen(self, warehouse: Warehouse, look: Look, request: RefreshRequest) -> Observation:
        """Return what is known about a Warehouse by now, as far as it concerns one refresh."""
        return Observation(
            warehouse=warehouse,
            freight=self._freight.of(warehouse.key) if look.freight is None else look.freight,
            discovered=look.discovered,
            all_freight=look.freight is not None
            or self._freight.is_complete_since(warehouse.project, request.since),
            listed=look.freight is not None,
            last_freight_gone=look.last_freight_gone,
        )

    def freight_of(self, refresh: Refresh, look: Look) -> tuple[Freight, ...]:
        """Return the Freight of a refresh's Warehouse that is known by now."""
        return look.freight or self._freight.of((refresh.project, refresh.warehouse))

    def look_up(self, needs: Mapping[WarehouseKey, tuple[Look, Lookup]]) -> set[WarehouseKey]:
        """Look up what is needed, and write it down; return the Warehouses for which the cluster did not answer."""
        work = [(key, look, need) for key, (look, need) in needs.items()]
        done = self._pool.map(lambda one: self._fill(*one), work)
        return {key for (key, _, _), good in zip(work, done, strict=True) if not good}

    def _fill(self, key: WarehouseKey, look: Look, need: Lookup) -> bool:
        try:
            match need:
                case Lookup.ARTIFACTS:
                    self._read_warehouse(key, look)
                case Lookup.LAST_FREIGHT:
                    self._read_last_freight(key, look)
                case Lookup.ALL_FREIGHT:
                    self._read_all_freight(key, look)
        except ClusterError:
            return False
        return True

    def _read_warehouse(self, key: WarehouseKey, look: Look) -> None:
        project, name = key
        try:
            raw = self._cluster().get(WAREHOUSES, name, project)
        except NotInstalled:
            raise
        except NotFound:
            look.warehouse, look.gone = None, True
            return
        look.warehouse, look.discovered = decode_warehouse(raw), decode_discovered(raw)

    def _read_last_freight(self, key: WarehouseKey, look: Look) -> None:
        name = look.warehouse.last_freight_id if look.warehouse else ""
        try:
            freight = decode_freight(self._cluster().get(FREIGHTS, name, key[0]))
        except (NotFound, Forbidden):
            look.last_freight_gone = True
            return
        self._freight.remember(freight)
        if look.freight is not None:
            look.freight = (*look.freight, freight)

    def _read_all_freight(self, key: WarehouseKey, look: Look) -> None:
        project, name = key
        found: list[Freight] = []
        try:
            for page in self._cluster().list_pages(FREIGHTS, project, item=decode_freight):
                found += [one for one in page.items if one.warehouse == name]
        except Forbidden:
            pass  # then nobody can say more than the conditions do
        look.freight = tuple(sorted(found, key=lambda one: one.created_at or LONG_AGO))
