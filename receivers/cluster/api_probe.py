"""Probe the API server, to notice when it hangs and when it returns.

A watch does not show this: the server may send nothing for a minute, and if it hangs, its connections stay open.
client-go pings its connections for the same reason (`HTTP2_READ_IDLE_TIMEOUT_SECONDS`).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

from receivers.cluster.client import KubernetesClient
from receivers.cluster.errors import ClusterError, KubeconfigError, ServerError, Unreachable
from receivers.kargo.resources import PROJECT_CONFIGS

log = logging.getLogger(__name__)

INTERVAL: Final = 3.0  # seconds between two probes
# Seconds for one probe: with the others, a server that hangs is noticed within 15 seconds.
TIMEOUT: Final = 5.0
FAILURES: Final = 2  # in a row; a server that is slow once keeps its connections
RETRY_SECONDS: Final = 1.0  # after a failed probe


class ApiProbe:
    """Suspends the client while the API server does not respond. It has its own thread.

    Calls `returned` in that thread when the server responds for the first time, and whenever it responds again.
    """

    def __init__(
        self, cluster: Callable[[], KubernetesClient], namespace: str | None, returned: Callable[[], None]
    ) -> None:
        """Create a probe that is not yet running. `namespace` is one that may be read, or None for all."""
        self._cluster = cluster
        self._namespace = namespace
        self._returned = returned
        self._stopping = threading.Event()
        self._responds = False
        self._failures = 0
        self._thread = threading.Thread(target=self._run, name="api-probe", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Start no more probes."""
        self._stopping.set()

    def join(self, timeout: float) -> None:
        """Wait at most `timeout` seconds for the thread to stop."""
        if self._thread.ident is not None:
            self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._probe()
            except Exception:  # without this thread, a suspended client would never be resumed
                log.exception("Unexpected error while probing the Kubernetes API")
            self._stopping.wait(RETRY_SECONDS if self._failures else INTERVAL)

    def _probe(self) -> None:
        error = self._error()
        if error is None:
            self._failures = 0
            if not self._responds:
                self._responds = True
                self._cluster().resume()
                self._returned()
            return
        self._failures += 1
        if self._failures >= FAILURES and not isinstance(error, KubeconfigError):
            self._responds = False
            self._cluster().suspend(str(error))

    def _error(self) -> ClusterError | None:
        """Send a request that the server needs etcd for; return its error, unless that is a response."""
        try:
            self._cluster().probe(PROJECT_CONFIGS, self._namespace, timeout=TIMEOUT)
        except (KubeconfigError, ServerError, Unreachable) as error:
            return error
        except ClusterError:
            return None
        return None
