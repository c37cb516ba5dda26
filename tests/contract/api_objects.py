"""Kubernetes objects and assertions for contract tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.api_client import ApiClient, ApiResponse

Json = dict[str, Any]


def warehouse(metadata: Json) -> Json:
    """Return a Warehouse."""
    subscription = {"image": {"repoURL": "example/app", "constraint": "^1.0.0"}}
    spec = {"interval": "5m0s", "subscriptions": [subscription]}
    return {"apiVersion": "kargo.akuity.io/v1alpha1", "kind": "Warehouse", "metadata": metadata, "spec": spec}


def secret(metadata: Json) -> Json:
    """Return a Secret."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"a": "Yg=="}}


def lease(metadata: Json) -> Json:
    """Return a Lease."""
    spec = {"holderIdentity": "controller", "leaseDurationSeconds": 15}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}


@dataclass(frozen=True, slots=True)
class ObjectCollection:
    """A collection of objects of one type."""

    api: ApiClient
    path: str
    make: Callable[[Json], Json]

    def at(self, name: str, subresource: str = "") -> str:
        """Return the path of an object."""
        return f"{self.path}/{name}" + (f"/{subresource}" if subresource else "")

    def create(self, name: str, **metadata: Any) -> Json:
        """Create an object, and return it as stored."""
        return ok(self.api.post(self.path, self.make({"name": name, **metadata})), 201)

    def get(self, name: str) -> Json:
        """Return an object."""
        return ok(self.api.get(self.at(name)))

    def list(self, **query: Any) -> Json:
        """Return a list."""
        return ok(self.api.get(self.path, **query))

    def patch(self, name: str, body: Any, kind: str = "merge", subresource: str = "") -> Json:
        """Patch an object and return the result."""
        return ok(self.api.patch(self.at(name, subresource), body, kind))

    def annotate(self, name: str, value: str) -> Json:
        """Set an annotation and return the result."""
        return self.patch(name, {"metadata": {"annotations": {"note": value}}})


def default_warehouses(api: ApiClient) -> ObjectCollection:
    """Return the Warehouses in the namespace `default`."""
    return ObjectCollection(api, "/apis/kargo.akuity.io/v1alpha1/namespaces/default/warehouses", warehouse)


def ok(response: ApiResponse, status: int = 200) -> Json:
    """Assert the status of a response and return its body."""
    assert response.status == status, response.data
    body: Json = response.body
    return body


def rejected(response: ApiResponse, code: int, reason: str) -> Json:
    """Assert that a request was rejected with this code and reason; return the Status object."""
    status: Json = response.body
    assert (response.status, status["kind"], status["status"]) == (code, "Status", "Failure"), response.data
    assert (status["code"], status["reason"]) == (code, reason), response.data
    return status


def version(item: Json) -> int:
    """Return the resourceVersion of an object, a list or a bookmark."""
    return int(item["metadata"]["resourceVersion"])


def names(listed: Json) -> list[str]:
    """Return the names in a list."""
    return [item["metadata"]["name"] for item in listed["items"]]
