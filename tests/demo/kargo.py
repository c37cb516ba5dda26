"""A Kargo installation for tests: the demo's API server, its controller in threads, a registry."""

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
    """One controller on one API server."""

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
        """Create an object; its kind and version are filled in."""
        self.cluster.create(
            resource, {"apiVersion": resource.api_version, "kind": resource.kind, **body}, namespace
        )

    def warehouse(self, *subscriptions: dict[str, Any], behavior: str = "", **spec: Any) -> Warehouse:
        """Create a Warehouse in a project of its own, on an image `<project>/app` if nothing else is asked for."""
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
        """The object as it is now."""
        return self.kargo.cluster.get(WAREHOUSES, "main", self.project)

    @property
    def status(self) -> dict[str, Any]:
        """Its status as it is now."""
        found: dict[str, Any] = self.raw.get("status") or {}
        return found

    @property
    def freight(self) -> list[dict[str, Any]]:
        """All Freight of the project."""
        return [one for page in self.kargo.cluster.list_pages(FREIGHTS, self.project) for one in page.items]

    @property
    def handled(self) -> str:
        """The refresh token that was handled last, or an empty text."""
        return str(self.status.get("lastHandledRefresh", ""))

    @property
    def tags(self) -> list[str]:
        """The tags that were discovered for the first image."""
        images = (self.status.get("discoveredArtifacts") or {}).get("images") or [{}]
        return [reference["tag"] for reference in images[0].get("references", ())]

    @property
    def conditions(self) -> dict[str, str]:
        """Its conditions, each as `status/reason`."""
        return {one["type"]: f"{one['status']}/{one['reason']}" for one in self.status.get("conditions", ())}

    def push(self, tag: str, **options: Any) -> str:
        """Put a tag of the Warehouse's image into the registry; return its digest."""
        return self.kargo.registry.put(self.repository, tag, **options).digest

    def annotate(self, **annotations: str | None) -> None:
        """Set the behavior, or any annotation."""
        self.kargo.cluster.patch(WAREHOUSES, "main", self.project, {"metadata": {"annotations": annotations}})

    def behave(self, behavior: str | None) -> None:
        """Set or remove the annotation that tells the controller how to misbehave."""
        self.annotate(**{BEHAVIOR_ANNOTATION: behavior})

    def request(self) -> str:
        """Ask for a refresh; return the token."""
        token = f"2026-01-01T00:00:00.{next(self._tokens):06}Z"
        self.annotate(**{REFRESH_ANNOTATION: token})
        return token

    def settled(self) -> Warehouse:
        """Wait until the controller has had its first look and rests."""
        until("the first look has ended", lambda: self.conditions.get("Ready") and self._rests())
        return self

    def refresh(self) -> Warehouse:
        """Ask for a refresh and wait until it is handled and the controller rests."""
        token = self.request()
        until("the refresh is handled", lambda: self.handled == token and self._rests())
        return self

    def _rests(self) -> bool:
        return "Reconciling" not in self.conditions
