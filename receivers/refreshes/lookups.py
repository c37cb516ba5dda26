"""Reads what the cluster cache does not hold: discovered artifacts, and Freight from before the watch began."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from receivers.cluster.client import KubernetesClient
from receivers.cluster.errors import ClusterError, Forbidden, NotFound, NotInstalled
from receivers.cluster.freight_watch import LONG_AGO, FreightWatch
from receivers.kargo.artifacts import DiscoveryResult, Freight, decode_discovered, decode_freight
from receivers.kargo.kargo_rules import LATEST
from receivers.kargo.progress_states import Lookup, Observation, RefreshRequest
from receivers.kargo.resources import FREIGHTS, WAREHOUSES, Warehouse, WarehouseKey, decode_warehouse
from receivers.models import Refresh

MAX_REQUESTS: Final = 8  # in parallel; enough for a hundred Warehouses a second if each takes 30 ms


@dataclass(slots=True)
class LookupResult:
    """What was read for one Warehouse in one round; None if it was not read. `gone`: the Warehouse does not exist."""

    warehouse: Warehouse | None = None
    discovered: tuple[DiscoveryResult, ...] | None = None
    freight: tuple[Freight, ...] | None = None
    last_freight_gone: bool = False
    gone: bool = False


class ClusterLookups:
    """Reads from the cluster for several Warehouses in parallel."""

    def __init__(self, cluster: Callable[[], KubernetesClient], freight: FreightWatch) -> None:
        self._cluster = cluster
        self._freight = freight
        self._pool = ThreadPoolExecutor(MAX_REQUESTS, thread_name_prefix="lookup")

    def stop(self) -> None:
        """Start no more lookups."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def observe(self, warehouse: Warehouse, result: LookupResult, request: RefreshRequest) -> Observation:
        """Return the current state of a Warehouse as far as it concerns one refresh."""
        return Observation(
            warehouse=warehouse,
            freight=self._freight.of(warehouse.key) if result.freight is None else result.freight,
            discovered=result.discovered,
            all_freight=result.freight is not None
            or self._freight.is_complete_since(warehouse.project, request.since),
            listed=result.freight is not None,
            last_freight_gone=result.last_freight_gone,
        )

    def freight_of(self, refresh: Refresh, result: LookupResult) -> tuple[Freight, ...]:
        """Return the known Freight of a refresh's Warehouse."""
        return result.freight or self._freight.of((refresh.project, refresh.warehouse))

    def look_up(self, needed: Mapping[WarehouseKey, tuple[LookupResult, Lookup]]) -> set[WarehouseKey]:
        """Add to each result what its lookup reads; return the Warehouses whose lookup failed."""
        work = [(key, result, lookup) for key, (result, lookup) in needed.items()]
        done = self._pool.map(lambda arguments: self._read(*arguments), work)
        return {key for (key, _, _), succeeded in zip(work, done, strict=True) if not succeeded}

    def _read(self, key: WarehouseKey, result: LookupResult, lookup: Lookup) -> bool:
        try:
            match lookup:
                case Lookup.ARTIFACTS:
                    self._read_warehouse(key, result)
                case Lookup.LAST_FREIGHT:
                    self._read_last_freight(key, result)
                case Lookup.ALL_FREIGHT:
                    self._read_all_freight(key, result)
        except ClusterError:
            return False
        return True

    def _read_warehouse(self, key: WarehouseKey, result: LookupResult) -> None:
        project, name = key
        try:
            raw = self._cluster().get(WAREHOUSES, name, project)
        except NotInstalled:
            raise  # a missing CRD does not mean that the Warehouse was deleted
        except NotFound:
            result.warehouse, result.gone = None, True
            return
        rules = result.warehouse.rules if result.warehouse else LATEST
        # Both from one object, so that the conditions and the artifacts belong together.
        result.warehouse, result.discovered = decode_warehouse(raw, rules=rules), decode_discovered(raw)

    def _read_last_freight(self, key: WarehouseKey, result: LookupResult) -> None:
        name = result.warehouse.last_freight_id if result.warehouse else ""
        try:
            freight = decode_freight(self._cluster().get(FREIGHTS, name, key[0]))
        except (NotFound, Forbidden):
            result.last_freight_gone = True
            return
        self._freight.remember(freight)
        if result.freight is not None:
            result.freight = (*result.freight, freight)

    def _read_all_freight(self, key: WarehouseKey, result: LookupResult) -> None:
        project, name = key
        found: list[Freight] = []
        try:
            for page in self._cluster().list_pages(FREIGHTS, project, item=decode_freight):
                found += [freight for freight in page.items if freight.warehouse == name]
        except Forbidden:
            pass  # without permission to list, the Warehouse's conditions have to do
        result.freight = tuple(sorted(found, key=lambda freight: freight.created_at or LONG_AGO))
