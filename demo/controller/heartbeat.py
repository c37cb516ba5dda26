"""The controller's heartbeat: renew a Lease while it is running, as Kargo's controllers do (`pkg/heartbeat`)."""

from __future__ import annotations

import logging
import socket
import threading
from datetime import UTC, datetime
from typing import Any, Final

from receivers.cluster.client import KubernetesClient
from receivers.cluster.errors import ClusterError, NotFound
from receivers.kargo.resources import LEASES

log = logging.getLogger("demo.controller")

KARGO_NAMESPACE: Final = "kargo"
CONTROLLER_LABEL: Final = "kargo.akuity.io/controller"
LEASE_NAME: Final = "kargo-controller-unnamed"  # the default controller's, which has no name
LEASE_DURATION: Final = 60  # seconds
RENEW_INTERVAL: Final = LEASE_DURATION / 3  # seconds; the Lease outlasts a failed renewal


class Heartbeat:
    """Renews the Lease of the default controller, and deletes it at the end."""

    def __init__(self, cluster: KubernetesClient) -> None:
        self._cluster = cluster

    def run(self, stopping: threading.Event) -> None:
        """Renew the Lease until `stopping` is set, then delete it."""
        while not stopping.is_set():
            try:
                self._renew()
            except ClusterError as error:
                log.debug("cannot renew the Lease: %s", error)
            stopping.wait(RENEW_INTERVAL)
        try:
            self._cluster.delete(LEASES, LEASE_NAME, KARGO_NAMESPACE)
        except ClusterError as error:
            log.debug("cannot delete the Lease: %s", error)

    def _renew(self) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec: dict[str, Any] = {
            "holderIdentity": socket.gethostname(),
            "leaseDurationSeconds": LEASE_DURATION,
            "renewTime": now,
        }
        try:
            self._cluster.patch(LEASES, LEASE_NAME, KARGO_NAMESPACE, {"spec": spec})
        except NotFound:
            metadata = {"name": LEASE_NAME, "namespace": KARGO_NAMESPACE, "labels": {CONTROLLER_LABEL: ""}}
            lease = {
                "apiVersion": LEASES.api_version,
                "kind": LEASES.kind,
                "metadata": metadata,
                "spec": spec | {"acquireTime": now},
            }
            self._cluster.create(LEASES, lease, KARGO_NAMESPACE)
