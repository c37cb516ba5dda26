"""The cluster, decoded: an in-memory mirror of Kargo's objects with indexes by digest and by repository."""

from receivers.kargo.freight import FreightWatch
from receivers.kargo.heartbeats import Heartbeats
from receivers.kargo.mirror import Mirror
from receivers.kargo.pauses import Pauses
from receivers.kargo.snapshot import Collision, Route, WarehouseKey
from receivers.kargo.watcher import Freshness

__all__ = [
    "Collision",
    "FreightWatch",
    "Freshness",
    "Heartbeats",
    "Mirror",
    "Pauses",
    "Route",
    "WarehouseKey",
]
