"""Reads what the cluster cache does not hold: discovered artifacts, older Freight, and which pushes led to Freight."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from django.db import DatabaseError, InterfaceError
from django.utils import timezone

from receivers.cluster.client import KubernetesClient
from receivers.cluster.errors import ClusterError, Forbidden, NotFound, NotInstalled
from receivers.cluster.freight_watch import LONG_AGO, FreightWatch
from receivers.kargo.artifacts import DiscoveryResult, Freight, decode_discovered, decode_freight
from receivers.kargo.freight_outcome import UNCERTAIN
from receivers.kargo.kargo_rules import LATEST
from receivers.kargo.progress_states import (
    AttributedPush,
    Attributions,
    Lookup,
    Observation,
)
from receivers.kargo.refresh_outcomes import RefreshOutcome
from receivers.kargo.resources import FREIGHTS, WAREHOUSES, Warehouse, WarehouseKey, decode_warehouse
from receivers.models import Refresh, first_id

log = logging.getLogger(__name__)

MAX_ATTRIBUTIONS: Final = 5_000  # refreshes read for one round, the newest ones; some 50 ms
MAX_REQUESTS: Final = 8  # in parallel; enough for a hundred Warehouses a second if each takes 30 ms


@dataclass(slots=True)
class LookupResult:
    """What was read for one Warehouse in one round; None if it was not read. `gone`: the Warehouse does not exist."""

    warehouse: Warehouse | None = None
    discovered: tuple[DiscoveryResult, ...] | None = None
    freight: tuple[Freight, ...] | None = None
    last_freight_gone: bool = False
    gone: bool = False
    attributions: Attributions | None = None


class ClusterLookups:
    """Reads from the cluster for several Warehouses in parallel, and from the log in the caller's thread."""

    def __init__(self, cluster: Callable[[], KubernetesClient], freight: FreightWatch) -> None:
        self._cluster = cluster
        self._freight = freight
        self._pool = ThreadPoolExecutor(MAX_REQUESTS, thread_name_prefix="lookup")

    def stop(self) -> None:
        """Start no more lookups."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def observe(self, warehouse: Warehouse, result: LookupResult) -> Observation:
        """Return the current state of a Warehouse as far as it is known."""
        return Observation(
            warehouse=warehouse,
            freight=self._freight.of(warehouse.key) if result.freight is None else result.freight,
            discovered=result.discovered,
            listed=result.freight is not None,
            last_freight_gone=result.last_freight_gone,
            attributions=result.attributions,
        )

    def freight_of(self, refresh: Refresh, result: LookupResult) -> tuple[Freight, ...]:
        """Return the known Freight of a refresh's Warehouse."""
        return result.freight or self._freight.of((refresh.project, refresh.warehouse))

    def look_up(self, needed: Mapping[WarehouseKey, tuple[LookupResult, Lookup]]) -> set[WarehouseKey]:
        """Add to each result what its lookup reads; return the Warehouses whose lookup failed."""
        logged = {key: result for key, (result, lookup) in needed.items() if lookup is Lookup.ATTRIBUTIONS}
        work = [(key, result, lookup) for key, (result, lookup) in needed.items() if key not in logged]
        done = self._pool.map(lambda arguments: self._read(*arguments), work)
        failed = set() if _read_attributions(logged) else set(logged)
        return failed | {key for (key, _, _), succeeded in zip(work, done, strict=True) if not succeeded}

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
        freight_of_warehouse: list[Freight] = []
        try:
            for page in self._cluster().list_pages(FREIGHTS, project, item=decode_freight):
                freight_of_warehouse += [freight for freight in page.items if freight.warehouse == name]
        except Forbidden:
            pass  # without permission to list, the Warehouse's conditions have to do
        result.freight = tuple(
            sorted(freight_of_warehouse, key=lambda freight: freight.created_at or LONG_AGO)
        )


def _read_attributions(results: Mapping[WarehouseKey, LookupResult]) -> bool:
    """Read which pushes recently led to Freight of these Warehouses; return False if the database is unavailable."""
    if not results:
        return True
    try:
        attributions = _attributions(results)
    except (DatabaseError, InterfaceError) as error:
        log.warning("failed to read which pushes led to Freight: %s", error)
        return False
    for key, result in results.items():
        result.attributions = attributions.get(key, {})
    return True


def _attributions(keys: Collection[WarehouseKey]) -> Mapping[WarehouseKey, Attributions]:
    projects, warehouses = ({key[position] for key in keys} for position in (0, 1))
    rows = (
        Refresh.objects.filter(project__in=projects, warehouse__in=warehouses)
        .filter(outcome=RefreshOutcome.FREIGHT_CREATED, pk__gte=first_id(timezone.now() - UNCERTAIN))
        .order_by("-pk")
        .values_list(
            "project", "warehouse", "freight",
            "delivery__repository", "delivery__tag", "delivery__pushed_at", "delivery__received_at",
        )[:MAX_ATTRIBUTIONS]
    )  # fmt: skip
    attributions: dict[WarehouseKey, dict[str, list[AttributedPush]]] = defaultdict(lambda: defaultdict(list))
    for project, warehouse, freight, repository, tag, pushed_at, received_at in rows:
        push = AttributedPush(repository, tag, pushed_at, received_at)
        attributions[project, warehouse][freight].append(push)
    return attributions
