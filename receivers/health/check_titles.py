"""What checks are called where several findings of one stand together."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

TITLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "receiver.absent": "Receivers without a URL",
        "receiver.unreachable": "URLs that Docker Hub cannot reach",
        "receiver.URL too long": "URLs that are too long for Docker Hub",
        "receiver.plain HTTP": "URLs without TLS",
        "receiver.shared URL": "URLs that several receivers share",
        "receiver.Secret changed": "Secrets that were changed",
        "receiver.retired URL": "Former URLs that are still called",
        "receiver.error rate": "Deliveries that end badly",
        "receiver.silent": "Receivers that have fallen silent",
        "receiver.no push yet": "Receivers that wait for their first push",
        "receiver.kind not spoken": "Receivers of other kinds",
        "Warehouse.no controller": "Warehouses that no controller looks after",
        "Warehouse.discovery failed": "Discovery fails",
        "Warehouse.broken subscription": "Subscriptions that cannot be evaluated",
        "Warehouse.no receiver": "Warehouses that no receiver covers",
        "Warehouse.not called": "Docker Hub did not call us",
        "Warehouse.official image": "Official images, which nobody announces",
        "Warehouse.short interval": "Intervals that Kargo does not go below",
        "cluster.unreadable": "The cluster cannot be read",
        "cluster.local": "Only this machine can reach kargoweb",
    }
)


def title(check: str) -> str:
    """Return what a check is called for people; its own name if it has no title."""
    return TITLES.get(check, check)
