"""Reconcile a Warehouse as Kargo's controller does: from a refresh to discovered artifacts to Freight.

Source: Kargo's `pkg/controller/warehouses/warehouses.go`. Reasons, messages and their order are Kargo's, including
its pitfalls: a failed discovery counts as handled, and the retry skips discovery and sets `Ready` again.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from demo.controller import criteria
from demo.controller.behaviors import BEHAVIOR_ANNOTATION, Behavior, parse_behavior, without_fail_once
from demo.controller.discovery import DiscoveryError, discover, missing_artifact, rfc3339
from demo.controller.freight import BuildError
from demo.controller.freight_creator import FreightCreator
from demo.controller.status import Status
from demo.registry import Registry, Tag
from receivers.cluster.client import KubernetesClient
from receivers.cluster.errors import ClusterError, NotFound
from receivers.kargo.repository_names import normalize_image
from receivers.kargo.resources import WAREHOUSES

SHARD_LABEL: Final = "kargo.akuity.io/shard"
MINIMUM_INTERVAL: Final = 300.0  # seconds; Kargo's chart sets it, and shorter intervals have no effect
OVERDUE_DELAY: Final = 0.1  # seconds until an overdue discovery
RATE_LIMIT: Final = (
    "TOOMANYREQUESTS: You have reached your unauthenticated pull rate limit. "
    "https://www.docker.com/increase-rate-limit"
)

_DURATION_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


class ReconcileError(Exception):
    """The reconciliation failed and is retried. The message is the cause."""


class Reconciler:
    """Reconciles Warehouses. Several threads can reconcile different Warehouses at the same time."""

    def __init__(
        self,
        cluster: KubernetesClient,
        registry: Registry,
        stopping: threading.Event,
        minimum_interval: float,
    ) -> None:
        self._cluster = cluster
        self._registry = registry
        self._stopping = stopping
        self._minimum_interval = minimum_interval
        self.freight = FreightCreator(cluster)

    def reconcile(self, project: str, name: str) -> float | None:
        """Reconcile a Warehouse. Return the seconds until it is due again, or None if this controller skips it.

        Raises `ReconcileError` or `ClusterError` if it must be retried.
        """
        try:
            raw = self._cluster.get(WAREHOUSES, name, project)
        except NotFound:
            return None
        metadata = raw["metadata"]
        behavior = parse_behavior((metadata.get("annotations") or {}).get(BEHAVIOR_ANNOTATION, ""))
        if behavior.dead or (metadata.get("labels") or {}).get(SHARD_LABEL):
            return None
        return _Reconciliation(self, raw, behavior).run()

    def due(self, spec: Mapping[str, Any], status: Status) -> float:
        """Return the seconds until the next discovery."""
        interval = max(seconds_of(spec.get("interval", "")), self._minimum_interval)
        discovered = _discovered_at(status)
        return interval if discovered is None else max(discovered + interval - time.time(), OVERDUE_DELAY)

    def store(self, status: Status, project: str, name: str, *fields: str) -> None:
        """Write these fields of the status, or all of them, if they have changed."""
        if patch := status.patch(*fields):
            stored = self._cluster.patch_status(WAREHOUSES, name, project, patch)
            status.mark_stored(stored.get("status") or {})

    def discover(self, raw: Mapping[str, Any], behavior: Behavior) -> dict[str, Any]:
        """Return `status.discoveredArtifacts`, or fail as `behavior` requires. Raises `DiscoveryError`."""
        self._stopping.wait(behavior.slow)
        fails = behavior.fails or behavior.fails_once
        if behavior.fails_once:
            self._remove_fail_once(raw)

        def list_tags(repository: str) -> Sequence[Tag]:
            tags = self._registry.tags(repository, lag=behavior.lag)
            if fails:
                raise DiscoveryError(_rate_limit_error(repository, tags))
            return tags

        artifacts = discover(raw["spec"].get("subscriptions") or (), list_tags)
        return {"discoveredAt": rfc3339(time.time()), **artifacts}

    def _remove_fail_once(self, raw: Mapping[str, Any]) -> None:
        metadata = raw["metadata"]
        remaining = without_fail_once(metadata["annotations"][BEHAVIOR_ANNOTATION])
        patch = {"metadata": {"annotations": {BEHAVIOR_ANNOTATION: remaining or None}}}
        self._cluster.patch(WAREHOUSES, metadata["name"], metadata["namespace"], patch)


class _Reconciliation:
    """A reconciliation of a Warehouse."""

    def __init__(self, reconciler: Reconciler, raw: Mapping[str, Any], behavior: Behavior) -> None:
        self._reconciler = reconciler
        self._raw = raw
        self._behavior = behavior
        self._spec: Mapping[str, Any] = raw["spec"]
        self._project: str = raw["metadata"]["namespace"]
        self._name: str = raw["metadata"]["name"]
        self._status = Status(raw)
        self._now = rfc3339(time.time())

    def run(self) -> float:
        """Reconcile. Return the seconds until the next reconciliation. Raises `ReconcileError` or `ClusterError`."""
        try:
            self._sync()
        finally:
            self._reconciler.store(self._status, self._project, self._name)
        return self._reconciler.due(self._spec, self._status)

    def _sync(self) -> None:
        refreshed = self._status.acknowledge_refresh()
        if refreshed or self._should_discover():
            self._discover()
        self._status.values["observedGeneration"] = self._status.generation
        if self._is_complete() and self._ensure_freight():
            self._succeed()

    def _should_discover(self) -> bool:
        discovered = _discovered_at(self._status)
        if discovered is None or self._status.generation > self._status.values.get("observedGeneration", 0):
            return True
        return discovered + seconds_of(self._spec.get("interval", "")) < time.time()

    def _discover(self) -> None:
        count = len(self._spec.get("subscriptions") or ())
        self._set(
            "Reconciling", "True", "ScheduledDiscovery", f"Discovering artifacts for {count} subscriptions"
        )
        self._set("Ready", "False", "DiscoveryInProgress", "Waiting for discovery to complete")
        self._pending("artifact discovery")
        self._status.remove("FreightCreationCriteriaSatisfied", "FreightCreated")
        # Store only the conditions: the refresh is not handled before the end of the reconciliation.
        self._reconciler.store(self._status, self._project, self._name, "conditions")
        try:
            self._status.values["discoveredArtifacts"] = self._reconciler.discover(self._raw, self._behavior)
        except DiscoveryError as error:
            self._set("Healthy", "False", "DiscoveryFailed", f"Unable to discover artifacts: {error}")
            self._set("Ready", "False", "DiscoveryFailure", f"Artifact discovery failed: {error}")
            raise ReconcileError(f"error discovering artifacts: {error}") from error

    def _is_complete(self) -> bool:
        """Return whether each subscription has an artifact. If not, the reconciliation ends without an error."""
        problem = missing_artifact(self._status.artifacts or {})
        if problem:
            (healthy, ready), message = problem
            self._set("Healthy", "False", healthy, message)
            self._set("Ready", "False", ready, message)
            self._status.remove("Reconciling")
        return not problem

    def _ensure_freight(self) -> bool:
        """Create Freight if policy and criteria allow it. Return False if the criteria are invalid."""
        if (self._spec.get("freightCreationPolicy") or "Automatic") != "Automatic":
            return True
        expression = (self._spec.get("freightCreationCriteria") or {}).get("expression", "")
        try:
            satisfied = criteria.satisfied(expression, self._status.artifacts or {})
        except criteria.CriteriaError as error:
            self._fail("CriteriaEvaluationFailed", f"Evaluation of Freight creation criteria failed: {error}")
            self._status.remove("Reconciling")
            return False
        if satisfied:
            self._create_freight()
        else:
            self._set(
                "FreightCreationCriteriaSatisfied", "False", "CriteriaNotSatisfied",
                "Freight creation criteria were not satisfied",
            )  # fmt: skip
        return True

    def _create_freight(self) -> None:
        self._set(
            "Reconciling", "True", "FreightCreationInProgress", "Creating Freight from latest artifacts"
        )
        self._set(
            "Ready", "False", "AwaitingFreightCreation",
            "Freight creation from latest artifacts is in progress",
        )  # fmt: skip
        self._pending("Freight creation")
        self._set(
            "FreightCreationCriteriaSatisfied", "True", "CriteriaSatisfied",
            "Freight creation criteria satisfied",
        )  # fmt: skip
        try:
            name, new = self._reconciler.freight.create(
                self._project, self._name, self._status.artifacts or {}
            )
        except BuildError as error:
            raise self._failure(
                "FreightBuildFailure", f"Error building Freight from latest artifacts: {error}"
            ) from error
        except ClusterError as error:
            raise self._failure(
                "FreightCreationFailure", f'Error creating Freight in namespace "{self._project}": {error}'
            ) from error
        if new:
            condition = "True", "NewFreight", "No Freight composed of the newest artifacts already existed"
        else:
            condition = "False", "AlreadyExists", "Freight composed of the newest artifacts already exists"
        self._set("FreightCreated", *condition)
        self._status.values["lastFreightID"] = name

    def _succeed(self) -> None:
        count = len(self._spec.get("subscriptions") or ())
        message = f"Successfully discovered artifacts from {count} subscriptions"
        self._set("Healthy", "True", "ReconciliationSucceeded", "")
        self._set("Ready", "True", "ArtifactsDiscovered", message)
        self._status.remove("Reconciling")

    def _failure(self, ready: str, message: str) -> ReconcileError:
        self._set("Healthy", "False", "FreightBuildFailure", message)
        self._set("Ready", "False", ready, message)
        return ReconcileError(message)

    def _fail(self, reason: str, message: str) -> None:
        self._set("Healthy", "False", reason, message)
        self._set("Ready", "False", reason, message)

    def _pending(self, activity: str) -> None:
        message = f"Health status cannot be determined until {activity} is finished"
        self._set("Healthy", "Unknown", "Pending", message)

    def _set(self, type_: str, status: str, reason: str, message: str) -> None:
        self._status.set(type_, status, reason, message, self._now)


def seconds_of(duration: str) -> float:
    """Return a Go duration such as `5m0s` in seconds; 0 if it is invalid."""
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(duration))


def _discovered_at(status: Status) -> float | None:
    text = (status.artifacts or {}).get("discoveredAt")
    try:
        return datetime.fromisoformat(str(text)).timestamp() if text else None
    except ValueError:
        return None


def _rate_limit_error(repository: str, tags: Sequence[Tag]) -> str:
    """Return the error of a pull that exceeds Docker Hub's rate limit, which does not count listing tags."""
    name = normalize_image(repository)
    newest = tags[-1].name if tags else "latest"
    path = name if "/" in name else f"library/{name}"
    url = f"https://index.docker.io/v2/{path}/manifests/{newest}"
    return (
        f'error getting images by tags: error retrieving image with tag "{newest}": GET {url}: {RATE_LIMIT}'
    )
