"""Create projects, receivers and Warehouses for tests, and publish receiver URLs as Kargo's controller does."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from pathlib import Path
from typing import Any, Self

from receivers.cluster.client import connect
from receivers.kargo.resources import PROJECT_CONFIGS, PROJECTS, REFRESH_ANNOTATION, WAREHOUSES, Resource

_numbers = itertools.count(1)


def push_body(repository: str, tag: str | None = "1.0.0", **push_data: Any) -> bytes:
    """Return the body of a Docker Hub webhook, with the fields that kargoweb reads."""
    data = {"pushed_at": 1_700_000_000, "pusher": "octocat", **push_data}
    if tag is not None:
        data["tag"] = tag
    namespace, _, name = repository.partition("/")
    return json.dumps(
        {
            "push_data": data,
            "repository": {"repo_name": repository, "namespace": namespace, "name": name, "status": "Active"},
        }
    ).encode()


def image(repo_url: str, **fields: Any) -> dict[str, Any]:
    """Return an image subscription with the defaults of Kargo's admission webhook."""
    defaults = {"imageSelectionStrategy": "SemVer", "strictSemvers": True, "discoveryLimit": 20}
    return {"image": {"repoURL": repo_url, **defaults, **fields}}


class World:
    """Creates objects in a cluster, with unique project names."""

    def __init__(self, kubeconfig: str | Path) -> None:
        self.cluster = connect(str(kubeconfig))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.cluster.close()

    def project(self, *subscriptions: dict[str, Any], warehouses: int = 1) -> KargoProject:
        """Create a project with a Docker Hub receiver and `warehouses` Warehouses with these subscriptions."""
        project = self.bare_project()
        if subscriptions:
            for number in range(warehouses):
                project.warehouse(f"warehouse-{number}", *subscriptions)
        project.publish(project.receiver)
        return project

    def bare_project(self, name: str = "") -> KargoProject:
        """Create an empty project."""
        name = name or f"project-{os.getpid()}-{next(_numbers):04d}"
        self.create(PROJECTS, {"metadata": {"name": name}})
        return KargoProject(self, name)

    def create(
        self, resource: Resource, body: dict[str, Any], namespace: str | None = None
    ) -> dict[str, Any]:
        """Create an object; its kind and version are added."""
        return self.cluster.create(
            resource, {"apiVersion": resource.api_version, "kind": resource.kind, **body}, namespace
        )


class KargoProject:
    """A project that a test has created."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.receiver = "hook"
        self.repository = f"{name}/app"
        self.base = "http://hooks"  # the host of the published URLs, which doesn't exist

    def warehouse(self, name: str, *subscriptions: dict[str, Any], **spec: Any) -> str:
        """Create a Warehouse; return its name."""
        body = {
            "metadata": {"name": name, "namespace": self.name},
            "spec": {"subscriptions": list(subscriptions), **spec},
        }
        self.world.create(WAREHOUSES, body, self.name)
        return name

    def publish(self, *receivers: str, kind: str = "dockerhub", secret: str = "s3cret") -> None:
        """Create or change the ProjectConfig with these receivers, and publish their URLs as Kargo does."""
        self.publish_as(dict.fromkeys(receivers, secret), kind)

    def publish_as(self, secrets: dict[str, str], kind: str = "dockerhub") -> None:
        """Do the same for receivers with different secrets, given by name."""
        spec = {
            "webhookReceivers": [{"name": name, kind: {"secretRef": {"name": "hooks"}}} for name in secrets]
        }
        metadata = {"name": self.name, "namespace": self.name}
        cluster = self.world.cluster
        if self._exists():
            cluster.patch(PROJECT_CONFIGS, self.name, self.name, {"spec": spec})
        else:
            self.world.create(PROJECT_CONFIGS, {"metadata": metadata, "spec": spec}, self.name)
        published = [
            {
                "name": name,
                "path": self.path(name, kind, secret),
                "url": f"{self.base}{self.path(name, kind, secret)}",
            }
            for name, secret in secrets.items()
        ]
        cluster.patch_status(
            PROJECT_CONFIGS, self.name, self.name, {"status": {"webhookReceivers": published}}
        )

    def forget(self, receiver: str) -> None:
        """Remove a receiver from the spec but not from the status, as before the next reconciliation."""
        raw = self.world.cluster.get(PROJECT_CONFIGS, self.name, self.name)
        remaining = [entry for entry in raw["spec"]["webhookReceivers"] if entry["name"] != receiver]
        self.world.cluster.patch(
            PROJECT_CONFIGS, self.name, self.name, {"spec": {"webhookReceivers": remaining}}
        )

    def path(self, receiver: str = "hook", kind: str = "dockerhub", secret: str = "s3cret") -> str:
        """Return the path of a receiver, computed independently of the product."""
        return f"/{kind}/{hashlib.sha256(f'{self.name}{receiver}{secret}'.encode()).hexdigest()}"

    def token(self, warehouse: str = "warehouse-0") -> str:
        """Return the refresh annotation of the Warehouse, or an empty string."""
        raw = self.world.cluster.get(WAREHOUSES, warehouse, self.name)
        return str(raw["metadata"].get("annotations", {}).get(REFRESH_ANNOTATION, ""))

    def _exists(self) -> bool:
        return any(
            item["metadata"]["name"] == self.name
            for page in self.world.cluster.list_pages(PROJECT_CONFIGS, self.name)
            for item in page.items
        )
