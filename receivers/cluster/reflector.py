"""Follows one type of object: list, then watch, for ever."""

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
from receivers.cluster.codecs import CODECS, Key, key_of, version_of
from receivers.cluster.errors import ClusterError, Forbidden, Gone, TimedOut
from receivers.cluster.snapshot import Change
from receivers.cluster.watch import Watch
from receivers.kargo.resources import Resource

log = logging.getLogger(__name__)

PAGE_REST: Final = 0.002  # seconds between two pages of a list, for the threads that answer requests


@dataclass(frozen=True, slots=True)
class Freshness:
    """How well we know one type of object, in one namespace or (empty) everywhere.

    `contact` is when the API server last told us anything, `failing_since` when what fails now began to fail
    (both in seconds since 1970, or None); `error` says what fails, in a sentence, or is empty. `synced` says
    that the list was complete once. `objects` is how many there are, `relists` how often they were listed.
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
    """Keeps one type of object up to date in a thread of its own.

    `changed` gets the changes in order, in that thread; `settled` is called when `is_settled` may have become
    true. `may_be_forbidden`: the cache is of use without this type.
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
    ) -> None:
        self.resource = resource
        self.namespace = namespace
        self._cluster = cluster
        self._changed = changed
        self._settled = settled
        self._may_be_forbidden = may_be_forbidden
        self._backoff = backoff
        self._clock = clock
        self._decode = CODECS[resource].decode
        self._objects: dict[Key, Any] = {}
        self._version = ""  # where the watch goes on; empty: list first
        self._watch: Watch | None = None
        self._watching_since: float | None = None
        self._open = False
        self._stopping = threading.Event()
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
        """Ask the thread to end; it does at once unless it waits for a connection or a list."""
        self._stopping.set()
        watch = self._watch
        if watch is not None:
            watch.close()

    def is_alive(self) -> bool:
        """Say whether the thread is running."""
        return self._thread.is_alive()

    def join(self, timeout: float) -> None:
        """Wait for the thread to end, `timeout` seconds at most."""
        if self._thread.ident is not None:
            self._thread.join(timeout)

    @property
    def is_settled(self) -> bool:
        """Say whether there is nothing to wait for: listed once, or forbidden where that may be."""
        return self._synced or (self._may_be_forbidden and self._forbidden)

    @property
    def is_failing(self) -> bool:
        """Say whether the objects could not be listed or watched when that was last tried."""
        return bool(self._error) and not (self._may_be_forbidden and self._forbidden)

    @property
    def is_watching(self) -> bool:
        """Say whether a watch is open."""
        return self._open

    def freshness(self) -> Freshness:
        """Return how well the objects are known."""
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
            error = self._once()
            self._open = False
            failures = self._failures(failures, error)
            self._stopping.wait(self._backoff.after(failures, error))

    def _failures(self, before: int, error: ClusterError | None) -> int:
        """Count failures in a row; a watch that ended too early is one, so that nothing loops hot."""
        since = self._watching_since
        if since is None or time.monotonic() - since < self._backoff.healthy:
            return before + 1
        return 0 if error is None else 1

    def _once(self) -> ClusterError | None:
        """List if need be, then watch until that ends; return what went wrong."""
        try:
            if not self._version:
                self._list()
            self._follow()
        except Gone as error:
            self._version = ""
            return error
        except ClusterError as error:
            self._failed(error)
            return error
        except Exception as error:  # a thread that dies would leave the cache silently stale
            log.exception("watching %s failed unexpectedly; listing again", self.resource.plural)
            self._version = ""
            fault = ClusterError(f"watching {self.resource.plural} failed: {type(error).__name__}")
            self._failed(fault)
            return fault
        return None

    def _list(self) -> None:
        """List everything, and apply the differences to what we had all at once."""
        fresh: dict[Key, Any] = {}
        version = ""
        pages = self._cluster().list_pages(self.resource, self.namespace or None, item=self._keyed)
        for page in pages:
            fresh.update(page.items)
            version = page.resource_version
            self._contact = self._clock()
            if self._stopping.wait(PAGE_REST):
                return
        changes = _differences(self._objects, fresh)
        self._objects = fresh
        self._relists += 1
        self._changed(self.resource, changes)
        self._version = version
        self._synced = True
        self._settled()

    def _keyed(self, raw: dict[str, Any]) -> tuple[Key, Any]:
        key = key_of(raw)
        return key, self._decode(raw, self._objects.get(key))

    def _follow(self) -> None:
        """Watch from where we are until the watch ends, is silent for too long, or fails."""
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
                self._take(kind, raw)

    def _take(self, kind: str, raw: dict[str, Any]) -> None:
        if kind == "BOOKMARK":
            self._check_order(version_of(raw))
        elif kind in {"ADDED", "MODIFIED", "DELETED"}:
            self._change(key_of(raw), raw, exists=kind != "DELETED")
        self._version = version_of(raw) or self._version

    def _change(self, key: Key, raw: dict[str, Any], *, exists: bool) -> None:
        old = self._objects.get(key)
        if old is not None and _is_older(version_of(raw), old.resource_version):
            return  # seen before: a watch that goes on may repeat what came out of order
        new = self._decode(raw, old) if exists else None
        if new is None:
            self._objects.pop(key, None)
        else:
            self._objects[key] = new
        if (old, new) != (None, None):
            self._changed(self.resource, [(old, new)])

    def _check_order(self, version: str) -> None:
        """Raise `Gone` when a bookmark is older than what we have: the server was restored from a backup."""
        if _is_older(version, self._version):
            raise Gone(f"the history of {self.resource.plural} went back")

    def _failed(self, error: ClusterError) -> None:
        if str(error) != self._error:
            log.warning("%s; trying again", error)
        self._error = str(error)
        self._failing_since = self._failing_since or self._clock()
        self._forbidden = isinstance(error, Forbidden)
        if self._forbidden:
            self._settled()

    def _recovered(self) -> None:
        self._contact = self._clock()
        if self._error:
            log.info("watching %s again", self.resource.plural)
        self._failing_since, self._error, self._forbidden = None, "", False


def _is_older(version: str, than: str) -> bool:
    """Compare resourceVersions, which are numbers that grow (Kubernetes promises that since 1.35)."""
    return version.isdecimal() and than.isdecimal() and int(version) < int(than)


def _differences(before: dict[Key, Any], after: dict[Key, Any]) -> list[Change]:
    gone: list[Change] = [(old, None) for key, old in before.items() if key not in after]
    pairs = ((before.get(key), new) for key, new in after.items())
    return gone + [(old, new) for old, new in pairs if old is not new and old != new]
