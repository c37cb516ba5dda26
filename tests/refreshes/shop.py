"""A project with a registry, a Warehouse and a receiver, and the results of its deliveries."""

from __future__ import annotations

import time
from typing import Any

from demo.controller.behaviors import BEHAVIOR_ANNOTATION
from demo.registry import IMAGE_INDEX
from receivers.kargo.resources import FREIGHTS, REFRESH_ANNOTATION, WAREHOUSES
from receivers.models import Delivery, Refresh, new_id
from receivers.webhook.signed_test_tokens import TestToken, issue
from tests.clusters import until
from tests.demo.kargo import Kargo
from tests.product import Product
from tests.worlds import World, image, push_body

OPEN = ("pending", "refreshed", "failed")


class Shop:
    """A project with a Warehouse `main` and Freight for the tag 1.0.0, unless the spec prevents Freight."""

    def __init__(
        self,
        product: Product,
        world: World,
        kargo: Kargo,
        *subscriptions: dict[str, Any],
        tags: tuple[str, ...] = ("1.0.0",),
        image_fields: dict[str, Any] | None = None,
        **spec: Any,
    ) -> None:
        self.product, self.world, self.kargo = product, world, kargo
        self.kargo_project = world.bare_project()
        self.project, self.repository = self.kargo_project.name, self.kargo_project.repository
        for tag in tags:
            kargo.registry.put(self.repository, tag)
        subscription = image(self.repository, **(image_fields or {}))
        body = {
            "metadata": {"name": "main", "namespace": self.project},
            "spec": {"subscriptions": [subscription, *subscriptions], **spec},
        }
        world.create(WAREHOUSES, body, self.project)
        self.kargo_project.publish("hook")
        until("the receiver is known", lambda: product.post(self.kargo_project.path(), b"[]").status == 400)
        if not spec.get("shard"):
            until("the controller has discovered artifacts", lambda: self.status.get("conditions"))
            until("the controller is idle", self._is_idle)
        until("the Warehouse is known", self._is_known)

    def second_warehouse(self, name: str, **spec: Any) -> None:
        """Create another Warehouse on the same image; wait until the product and the controller know it."""
        body = {
            "metadata": {"name": name, "namespace": self.project},
            "spec": {"subscriptions": [image(self.repository)], **spec},
        }
        self.world.create(WAREHOUSES, body, self.project)
        until(
            "the controller has discovered artifacts", lambda: self.status_of(name).get("discoveredArtifacts")
        )
        until("the Warehouse is known", lambda: len(self._verdicts()) == 2)

    def _verdicts(self) -> list[Any]:
        response = self.product.post(self.kargo_project.path(), push_body(self.repository, "no-version"))
        verdicts: list[Any] = self.delivery(response).verdicts
        return verdicts

    def _is_known(self) -> bool:
        return bool(self._verdicts())

    def _is_idle(self) -> bool:
        conditions = self.status.get("conditions", [])
        return not any(condition["type"] == "Reconciling" for condition in conditions)

    @property
    def status(self) -> dict[str, Any]:
        """The current status of the Warehouse."""
        return self.status_of("main")

    def status_of(self, warehouse: str) -> dict[str, Any]:
        """The current status of a Warehouse."""
        raw = self.world.cluster.get(WAREHOUSES, warehouse, self.project)
        status: dict[str, Any] = raw.get("status") or {}
        return status

    @property
    def freight(self) -> list[dict[str, Any]]:
        """All Freight of the project."""
        pages = self.world.cluster.list_pages(FREIGHTS, self.project)
        return [freight for page in pages for freight in page.items]

    def behave(self, behavior: str | None) -> None:
        """Make the controller misbehave with this Warehouse; None ends the misbehavior."""
        patch = {"metadata": {"annotations": {BEHAVIOR_ANNOTATION: behavior}}}
        self.world.cluster.patch(WAREHOUSES, "main", self.project, patch)

    @property
    def annotation(self) -> str:
        """The current refresh token of the Warehouse."""
        raw = self.world.cluster.get(WAREHOUSES, "main", self.project)
        return str(raw["metadata"]["annotations"][REFRESH_ANNOTATION])

    def request(self, token: str) -> None:
        """Request a refresh of the Warehouse as someone else does."""
        patch = {"metadata": {"annotations": {REFRESH_ANNOTATION: token}}}
        self.world.cluster.patch(WAREHOUSES, "main", self.project, patch)

    def put(self, tag: str, **options: Any) -> str:
        """Put a tag into the registry; return its digest."""
        return self.kargo.registry.put(self.repository, tag, **options).digest

    def announce(self, tag: str | None, **push_data: Any) -> Delivery:
        """Announce a push as Docker Hub does; return the delivery as it was stored."""
        now = {"pushed_at": int(time.time()), "media_type": IMAGE_INDEX}
        response = self.product.post(
            self.kargo_project.path(), push_body(self.repository, tag, **(now | push_data))
        )
        assert response.status == 200, response.data
        return self.delivery(response)

    def test(self, tag: str) -> Delivery:
        """Send a test push; return the delivery as it was stored."""
        body = push_body(self.repository, tag)
        token = TestToken(new_id(), self.project, "hook", "jane", dry_run=False)
        headers = {"X-Kargoweb-Test": issue(token, body)}
        return self.delivery(self.product.post(self.kargo_project.path(), body, headers))

    def push(self, tag: str, **options: Any) -> Delivery:
        """Put a tag into the registry and announce it."""
        self.put(tag, **options)
        return self.announce(tag)

    def delivery(self, response: Any) -> Delivery:
        """Return the delivery of a response once its outcome is stored."""
        done = Delivery.objects.exclude(outcome="pending")
        return until(
            "the outcome is stored", lambda: done.filter(pk=response.headers["X-Kargoweb-Delivery"]).first()
        )

    def ended_refresh(self, delivery: Delivery) -> Refresh:
        """Wait until a delivery has ended; return its only refresh, which must have the same outcome."""
        ended = Delivery.objects.filter(pk=delivery.pk).exclude(outcome__in=OPEN)

        def refresh_with_the_same_outcome() -> Refresh | None:
            # Late Freight may correct both rows between the two reads; then read them again.
            row = ended.first()
            refresh = row.refreshes.get() if row else None
            same = row and refresh and (row.outcome, row.ended_at) == (refresh.outcome, refresh.ended_at)
            return refresh if same else None

        return until(f"{delivery.tag} has ended, and its refresh with it", refresh_with_the_same_outcome)


def events(refresh: Refresh) -> list[str]:
    """Return the codes of the history, oldest first."""
    return [entry["event"] for entry in refresh.history]
