"""Checks of Kargo's controllers: whether one is running for every Warehouse."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Final

from receivers.cluster.heartbeats import Heartbeat
from receivers.health.checks import Check
from receivers.health.finding import Finding, FindingFactory, Severity, Subject
from receivers.kargo.quoting import quoted
from receivers.kargo.resources import Warehouse, WarehouseKey

DEFAULT_CONTROLLER: Final = "default"
_LIST_LEASES: Final = "kubectl get leases -A -l kargo.akuity.io/controller"


def controller_findings(
    warehouses: Iterable[Warehouse], heartbeats: Mapping[str, Heartbeat] | None, now: datetime
) -> Iterator[Finding]:
    """Yield a finding for each shard that has Warehouses but no running controller.

    `heartbeats` are those of Kargo's controllers by shard, including controllers that have stopped; None if unknown.
    `now` is in UTC. Source: `GetAll` in Kargo's `pkg/heartbeat`.
    """
    if not heartbeats:
        return  # unknown, or a version of Kargo that writes no heartbeats
    running = sorted(heartbeat.shard for heartbeat in heartbeats.values() if heartbeat.until > now)
    shards: dict[str, list[WarehouseKey]] = defaultdict(list)
    for warehouse in warehouses:
        shards[warehouse.shard].append(warehouse.key)
    for shard, keys in sorted(shards.items()):
        # A controller with a name may be the default one; its Lease doesn't say so.
        if shard not in running and (shard or not running):
            yield _no_controller(shard, heartbeats.get(shard), running, tuple(keys))


def _no_controller(
    shard: str, last: Heartbeat | None, running: list[str], warehouses: tuple[WarehouseKey, ...]
) -> Finding:
    responsible = (
        f"The controller of shard {quoted(shard)}"
        if shard
        else "The controller of Warehouses without a shard"
    )
    state = f"has been down since {last.until:%Y-%m-%d %H:%M} UTC" if last else "does not exist"
    names = ", ".join(quoted(name) if name else DEFAULT_CONTROLLER for name in running) or "none"
    return FindingFactory(Subject.CONTROLLER, "", shard or DEFAULT_CONTROLLER).create(
        Severity.URGENT,
        Check.NO_CONTROLLER,
        f"{responsible} {state}, so refreshes are not handled. Running controllers: {names}.",
        "Start Kargo's controller for that shard, or correct spec.shard.",
        command=_LIST_LEASES,
        identity=shard,
        warehouses=warehouses,
    )
