"""A simulated Kargo installation: the demo's API server, its controller in threads, and a registry."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from demo.controller.behaviors import BEHAVIOR_ANNOTATION
from demo.controller.controller import Controller
from demo.registry import Registry
from receivers.cluster.client import connect
from receivers.kargo.resources import FREIGHTS, PROJECTS, REFRESH_ANNOTATION, WAREHOUSES, Resource
from tests.clusters import DemoCluster, until

_numbers = itertools.count(1)


def image(repo_url: str, **fields: Any) -> dict[str, Any]:
    """Return an image subscription."""
    return {"image": {"repoURL": repo_url, **fields}}


class Kargo:
    """A controller, its API server and its registry."""

    def __init__(self, api_server: DemoCluster, registry: Path) -> None:
        self.api_server = api_server
        self.registry = Registry(registry)
        self.cluster = connect(str(api_server.kubeconfig))
        self.start()

    def start(self) -> None:
        """Start a controller."""
        self._controller = Controller(connect(str(self.api_server.kubeconfig)), self.registry)
        self._controller.start()

    def stop(self) -> None:
        """Stop the controller."""
        self._controller.stop()

    def close(self) -> None:
        """Stop the controller and close all connections."""
        self.stop()
        self.cluster.close()

    def create(self, resource: Resource, body: dict[str, Any], namespace: str | None = None) -> None:
        """Create an object. `body` needs no kind and API version."""
        self.cluster.create(
            resource, {"apiVersion": resource.api_version, "kind": resource.kind, **body}, namespace
        )

    def warehouse(self, *subscriptions: dict[str, Any], behavior: str = "", **spec: Any) -> Warehouse:
        """Create a Warehouse in a new project. Without subscriptions, it subscribes to the image `<project>/app`."""
        project = f"demo-{next(_numbers)}"
        self.create(PROJECTS, {"metadata": {"name": project}})
        annotations = {BEHAVIOR_ANNOTATION: behavior} if behavior else {}
        spec["subscriptions"] = list(subscriptions) or [image(f"{project}/app")]
        self.create(
            WAREHOUSES, {"metadata": {"name": "main", "annotations": annotations}, "spec": spec}, project
        )
        return Warehouse(self, project)


class Warehouse:
    """The Warehouse `main` of a project."""

    def __init__(self, kargo: Kargo, project: str) -> None:
        self.kargo = kargo
        self.project = project
        self.repository = f"{project}/app"
        self._tokens = itertools.count(1)

    @property
    def raw(self) -> dict[str, Any]:
        """The current object."""
        return self.kargo.cluster.get(WAREHOUSES, "main", self.project)

    @property
    def status(self) -> dict[str, Any]:
        """The current status."""
        status: dict[str, Any] = self.raw.get("status") or {}
        return status

    @property
    def freight(self) -> list[dict[str, Any]]:
        """All Freight of the project."""
        return [
            freight
            for page in self.kargo.cluster.list_pages(FREIGHTS, self.project)
            for freight in page.items
        ]

    @property
    def handled_token(self) -> str:
        """The last refresh token that was handled, or an empty string."""
        return str(self.status.get("lastHandledRefresh", ""))

    @property
    def tags(self) -> list[str]:
        """The tags that were discovered for the first image."""
        images = (self.status.get("discoveredArtifacts") or {}).get("images") or [{}]
        return [reference["tag"] for reference in images[0].get("references", ())]

    @property
    def conditions(self) -> dict[str, str]:
        """The conditions by type, each as `status/reason`."""
        conditions = self.status.get("conditions", ())
        return {condition["type"]: f"{condition['status']}/{condition['reason']}" for condition in conditions}

    def push(self, tag: str, **options: Any) -> str:
        """Push a tag of the Warehouse's image to the registry. Return its digest."""
        return self.kargo.registry.put(self.repository, tag, **options).digest

    def annotate(self, **annotations: str | None) -> None:
        """Set annotations, or remove those that are None."""
        self.kargo.cluster.patch(WAREHOUSES, "main", self.project, {"metadata": {"annotations": annotations}})

    def behave(self, behavior: str | None) -> None:
        """Set or remove the annotation that injects failures."""
        self.annotate(**{BEHAVIOR_ANNOTATION: behavior})

    def request(self) -> str:
        """Request a refresh. Return its token."""
        token = f"2026-01-01T00:00:00.{next(self._tokens):06}Z"
        self.annotate(**{REFRESH_ANNOTATION: token})
        return token

    def settled(self) -> Warehouse:
        """Wait until the first reconciliation has finished."""
        until(
            "the first reconciliation has finished", lambda: self.conditions.get("Ready") and self._is_idle()
        )
        return self

    def refresh(self) -> Warehouse:
        """Request a refresh, and wait until it is handled and the reconciliation has finished."""
        token = self.request()
        until("the refresh is handled", lambda: self.handled_token == token and self._is_idle())
        return self

    def _is_idle(self) -> bool:
        return "Reconciling" not in self.conditions
