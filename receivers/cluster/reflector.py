"""Keep the objects of one resource type up to date: list, then watch, and repeat (client-go's Reflector)."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from receivers.cluster.backoff import Backoff
from receivers.cluster.client import KubernetesClient
from receivers.cluster.codecs import CODECS, Codec, Key, WarehouseCodec, key_of, version_of
from receivers.cluster.errors import ClusterError, Forbidden, Gone, TimedOut
from receivers.cluster.snapshot import Change
from receivers.cluster.watch import Watch
from receivers.kargo.quoting import upper_first
from receivers.kargo.resources import Resource

log = logging.getLogger(__name__)

# Seconds between two pages of a list, in which the threads that serve requests can run
PAGE_PAUSE: Final = 0.002


@dataclass(frozen=True, slots=True)
class Freshness:
    """How up to date the objects of one resource type are, in one namespace or, if empty, in all.

    `contact` is the time of the last data from the API server, `failing_since` the time of the first of the current
    failures (both in seconds since 1970, or None). `error` is the current error, or empty. `synced`: a list was
    complete at least once. `objects` is their number, `relists` the number of complete lists.
    """

    resource: Resource
    namespace: str
    synced: bool
    contact: float | None
    failing_since: float | None
    error: str
    objects: int
    relists: int


class Reflector:
    """Keeps the objects of one resource type up to date in its own thread.

    Calls `changed` with changes in order, and `settled` when `is_settled` may have become true, both in that thread.
    `may_be_forbidden`: the cache can do without this type. `codec` replaces that of `CODECS`.
    """

    def __init__(
        self,
        resource: Resource,
        namespace: str,
        *,
        cluster: Callable[[], KubernetesClient],
        changed: Callable[[Resource, list[Change]], None],
        settled: Callable[[], None],
        may_be_forbidden: bool,
        backoff: Backoff,
        clock: Callable[[], float],
        codec: Codec | WarehouseCodec | None = None,
    ) -> None:
        self.resource = resource
        self.namespace = namespace
        self._cluster = cluster
        self._changed = changed
        self._settled = settled
        self._may_be_forbidden = may_be_forbidden
        self._backoff = backoff
        self._clock = clock
        self._codec = codec or CODECS[resource]
        self._decode = self._codec.decode
        self._objects: dict[Key, Any] = {}
        self._version = ""  # where the next watch starts; empty: list first
        self._watch: Watch | None = None
        self._watching_since: float | None = None
        self._open = False
        self._stopping = threading.Event()
        self._retry = threading.Event()
        self._synced = self._forbidden = False
        self._contact: float | None = None
        self._failing_since: float | None = None
        self._error = ""
        self._relists = 0
        self._thread = threading.Thread(target=self._run, name=f"watch-{resource.plural}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Request the thread to stop; it stops immediately unless it is connecting or listing."""
        self._stopping.set()
        self._retry.set()
        watch = self._watch
        if watch is not None:
            watch.close()

    def retry(self) -> None:
        """Try again now instead of at the end of the current delay."""
        self._retry.set()

    def is_alive(self) -> bool:
        """Return whether the thread is running."""
        return self._thread.is_alive()

    def join(self, timeout: float) -> None:
        """Wait at most `timeout` seconds for the thread to stop."""
        if self._thread.ident is not None:
            self._thread.join(timeout)

    @property
    def is_settled(self) -> bool:
        """Return whether the first list is complete, or forbidden for a type that may be forbidden."""
        return self._synced or (self._may_be_forbidden and self._forbidden)

    @property
    def is_failing(self) -> bool:
        """Return whether the last list or watch failed, unless the type may be forbidden and is."""
        return bool(self._error) and not (self._may_be_forbidden and self._forbidden)

    @property
    def is_forbidden(self) -> bool:
        """Return whether the service account may not read the objects, unless they can't be done without."""
        return self._may_be_forbidden and self._forbidden

    @property
    def is_watching(self) -> bool:
        """Return whether a watch is open."""
        return self._open

    def freshness(self) -> Freshness:
        """Return how up to date the objects are."""
        return Freshness(
            resource=self.resource,
            namespace=self.namespace,
            synced=self._synced,
            contact=self._contact,
            failing_since=self._failing_since,
            error=self._error,
            objects=len(self._objects),
            relists=self._relists,
        )

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            self._watching_since = None
            self._retry.clear()
            error = self._list_and_watch()
            self._open = False
            failures = self._failures(failures, error)
            if not self._stopping.is_set():
                self._retry.wait(self._backoff.after(failures, error))

    def _failures(self, before: int, error: ClusterError | None) -> int:
        """Return the number of consecutive failures. A watch that ends early counts as one, to prevent a busy loop."""
        since = self._watching_since
        if since is None or time.monotonic() - since < self._backoff.healthy:
            return before + 1
        return 0 if error is None else 1

    def _list_and_watch(self) -> ClusterError | None:
        """List if necessary, then watch until the watch ends; return the error, if any."""
        try:
            if self._codec.prepare():
                self._version = ""
            if not self._version:
                self._list()
            self._follow()
        except Gone as error:
            self._version = ""
            return error
        except ClusterError as error:
            self._failed(error)
            return error
        except Exception as error:  # if the thread ended, the cache would be stale without anyone noticing
            log.exception("Unexpected error while watching %s; listing again", self.resource.plural)
            self._version = ""
            fault = ClusterError(f"watching {self.resource.plural} failed: {type(error).__name__}")
            self._failed(fault)
            return fault
        return None

    def _list(self) -> None:
        """List all objects, and apply all differences from the cached ones as one change."""
        fresh: dict[Key, Any] = {}
        version = ""
        pages = self._cluster().list_pages(self.resource, self.namespace or None, item=self._keyed)
        for page in pages:
            fresh.update(page.items)
            self._limit(fresh)
            version = page.resource_version
            self._contact = self._clock()
            if self._stopping.wait(PAGE_PAUSE):
                return
        changes = _differences(self._objects, fresh)
        self._objects = fresh
        self._relists += 1
        self._changed(self.resource, changes)
        self._version = version
        self._synced = True
        self._settled()

    def _limit(self, objects: dict[Key, Any]) -> None:
        """Remove the objects that need not be kept, in place, so that a long list takes little memory."""

    def _keyed(self, raw: dict[str, Any]) -> tuple[Key, Any]:
        key = key_of(raw)
        return key, self._decode(raw, self._objects.get(key))

    def _follow(self) -> None:
        """Watch from the current version until the watch ends, times out or fails."""
        if self._stopping.is_set():
            return
        watch = self._cluster().watch(
            self.resource,
            self.namespace or None,
            resource_version=self._version,
            silence=self._backoff.silence,
        )
        with watch, contextlib.suppress(TimedOut):
            self._watch = watch
            self._watching_since = time.monotonic()
            self._open = True
            self._recovered()
            if self._stopping.is_set():
                return
            for kind, raw in watch:
                self._contact = self._clock()
                self._handle(kind, raw)

    def _handle(self, kind: str, raw: dict[str, Any]) -> None:
        if kind == "BOOKMARK":
            self._check_order(version_of(raw))
        elif kind in {"ADDED", "MODIFIED", "DELETED"}:
            self._change(key_of(raw), raw, exists=kind != "DELETED")
        self._version = version_of(raw) or self._version

    def _change(self, key: Key, raw: dict[str, Any], *, exists: bool) -> None:
        old = self._objects.get(key)
        if old is not None and _is_older(version_of(raw), old.resource_version):
            return  # an event that a resumed watch repeats
        new = self._decode(raw, old) if exists else None
        if new is None:
            self._objects.pop(key, None)
        else:
            self._objects[key] = new
        if (old, new) != (None, None):
            self._changed(self.resource, [(old, new)])

    def _check_order(self, version: str) -> None:
        """Raise `Gone` if a bookmark is older than the current version: etcd was restored from a backup."""
        if _is_older(version, self._version):
            raise Gone(f"the resourceVersion of {self.resource.plural} decreased")

    def _failed(self, error: ClusterError) -> None:
        if str(error) != self._error:
            log.warning("%s; retrying", upper_first(str(error)))
        self._error = str(error)
        self._failing_since = self._failing_since or self._clock()
        self._forbidden = isinstance(error, Forbidden)
        if self._forbidden:
            self._settled()

    def _recovered(self) -> None:
        self._contact = self._clock()
        if self._error:
            log.info("Resumed watching %s", self.resource.plural)
        self._failing_since, self._error, self._forbidden = None, "", False


class TailReflector(Reflector):
    """Watches a resource type from now on: it lists one object only, to get the version to start from."""

    def _list(self) -> None:
        page = next(self._cluster().list_pages(self.resource, self.namespace or None, limit=1))
        self._contact = self._clock()
        self._relists += 1
        self._version = page.resource_version
        self._synced = True
        self._settled()


def _is_older(version: str, than: str) -> bool:
    """Compare resourceVersions, which are increasing numbers (guaranteed since Kubernetes 1.35)."""
    return version.isdecimal() and than.isdecimal() and int(version) < int(than)


def _differences(before: dict[Key, Any], after: dict[Key, Any]) -> list[Change]:
    deleted: list[Change] = [(old, None) for key, old in before.items() if key not in after]
    pairs = ((before.get(key), new) for key, new in after.items())
    return deleted + [(old, new) for old, new in pairs if old is not new and old != new]
