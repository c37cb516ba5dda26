"""Deliveries for tests of pages and of the API: sent to the product, or stored without it."""

from __future__ import annotations

from typing import Any

from receivers.models import Delivery, Outcome
from tests.deliveries.rows import delivery
from tests.delivery_rows import wait_for_result
from tests.product import Product
from tests.worlds import KargoProject


def send_push(product: Product, project: KargoProject, body: bytes, **headers: str) -> Delivery:
    """Send a push to the project's receiver; return its delivery once the result is stored."""
    return wait_for_result(product.post(project.path(), body, headers).headers["X-Kargoweb-Delivery"])


def failed_delivery(project_name: str, seconds: float = 0, **fields: Any) -> Delivery:
    """Return an unsaved delivery that failed and can be redelivered."""
    return delivery(project_name, seconds, **({"outcome": Outcome.FAILED, "body": b"{}"} | fields))


def successful_delivery(project_name: str, seconds: float = 0, **fields: Any) -> Delivery:
    """Return an unsaved delivery that resulted in Freight."""
    return delivery(project_name, seconds, **({"outcome": Outcome.FREIGHT_CREATED, "status": 200} | fields))
