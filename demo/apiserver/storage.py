"""Store objects with their versions and the recent history of changes.

Everything runs in one asyncio loop, so there are no locks. Stored objects are immutable: a write creates a new dict
that shares unchanged parts with the old one.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import orjson

# Changes of a resource type that watches can resume from. kube-apiserver keeps 5 minutes.
HISTORY: Final = 10_000

Json = dict[str, Any]


class CompactedError(Exception):
    """The requested version is older than the history."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A version of an object. `key` is `namespace/name`, or the name if the object has no namespace."""

    key: str
    content: Json
    version: int
    encoded: bytes


@dataclass(frozen=True, slots=True)
class Change:
    """A write. `before` is None for a creation, `after` for a deletion. `last` is the object in watch events."""

    version: int
    key: str
    before: Stored | None
    after: Stored | None
    last: Stored


class Journal(Protocol):
    """Stores writes before they take effect."""

    def put(self, qualified: str, stored: Stored) -> None:
        """Store an object. Raises OSError."""

    def delete(self, qualified: str, key: str, version: int) -> None:
        """Store the deletion of an object. Raises OSError."""


class NoJournal:
    """Stores nothing, so that objects are lost when the process ends."""

    def put(self, qualified: str, stored: Stored) -> None:
        """Do nothing."""

    def delete(self, qualified: str, key: str, version: int) -> None:
        """Do nothing."""


def object_key(namespace: str, name: str) -> str:
    """Return the key of an object in its collection. Keys sort as in etcd."""
    return f"{namespace}/{name}" if namespace else name


class Collection:
    """All objects of one resource type, with the history of their changes."""

    def __init__(self, qualified: str, version: int, history: int) -> None:
        self.qualified = qualified
        self.objects: dict[str, Stored] = {}
        self.listeners: dict[object, Callable[[Change], None]] = {}
        self._keys: list[str] = []
        self._changes: deque[Change] = deque()
        self._history = history
        self._floor = version  # the history starts after this version

    def load(self, stored: Stored) -> None:
        """Add an object without a change in the history."""
        if stored.key not in self.objects:
            insort(self._keys, stored.key)
        self.objects[stored.key] = stored

    def apply(self, change: Change) -> None:
        """Apply a change and notify the listeners."""
        if change.after is None:
            del self.objects[change.key]
            del self._keys[bisect_left(self._keys, change.key)]
        else:
            if change.before is None:
                insort(self._keys, change.key)
            self.objects[change.key] = change.after
        self._changes.append(change)
        if len(self._changes) > self._history:
            self._floor = self._changes.popleft().version
        for listener in tuple(self.listeners.values()):
            listener(change)

    def keys(self, namespace: str = "", after: str = "") -> list[str]:
        """Return the sorted keys of a namespace (or all) that are greater than `after`."""
        start, end = 0, len(self._keys)
        if namespace:
            start = bisect_left(self._keys, f"{namespace}/")
            end = bisect_left(self._keys, f"{namespace}0")  # "0" is the character after "/"
        if after:
            start = max(start, bisect_left(self._keys, after + "\0"))
        return self._keys[start:end]

    def since(self, version: int) -> list[Change]:
        """Return the changes after `version`, oldest first. Raises `CompactedError`."""
        if version < self._floor:
            raise CompactedError
        newer: list[Change] = []
        for change in reversed(self._changes):
            if change.version <= version:
                break
            newer.append(change)
        newer.reverse()
        return newer

    def at(self, version: int, namespace: str = "", after: str = "") -> Iterator[Stored]:
        """Yield the objects as of `version`, sorted by key. Raises `CompactedError` on the first iteration."""
        overlay: dict[str, Stored | None] = {}
        for change in reversed(self.since(version)):
            overlay[change.key] = change.before
        keys = self.keys(namespace, after)
        deleted_since = [
            key for key, stored in overlay.items() if stored is not None and key not in self.objects
        ]
        if deleted_since:
            prefix = f"{namespace}/" if namespace else ""
            keys = sorted([*keys, *(key for key in deleted_since if key > after and key.startswith(prefix))])
        for key in keys:
            stored = overlay[key] if key in overlay else self.objects[key]
            if stored is not None:
                yield stored

    def compact(self, version: int) -> None:
        """Drop the history up to `version`, the current version."""
        self._changes.clear()
        self._floor = version


def freeze(key: str, content: Json, version: int) -> Stored:
    """Return an object with its version and its JSON encoding."""
    metadata = {**content["metadata"], "resourceVersion": str(version)}
    content = {**content, "metadata": metadata}
    return Stored(key, content, version, orjson.dumps(content))


class Store:
    """All collections, and the version that they share."""

    def __init__(self, *, journal: Journal | None = None, history: int = HISTORY) -> None:
        self.version = 1
        self._journal: Journal = journal or NoJournal()
        self._history = history
        self._floor = self.version  # of new collections
        self._collections: dict[str, Collection] = {}

    def collection(self, qualified: str) -> Collection:
        """Return the collection of a type. Create it on first use."""
        collection = self._collections.get(qualified)
        if collection is None:
            collection = self._collections[qualified] = Collection(qualified, self._floor, self._history)
        return collection

    def collections(self) -> Mapping[str, Collection]:
        """Return all collections by the qualified name of their type."""
        return self._collections

    def put(self, qualified: str, key: str, content: Json) -> Stored:
        """Create or replace an object, and return it. Raises OSError if the journal cannot store it."""
        collection = self.collection(qualified)
        stored = freeze(key, content, self.version + 1)
        self._journal.put(qualified, stored)
        self.version += 1
        collection.apply(Change(self.version, key, collection.objects.get(key), stored, stored))
        return stored

    def delete(self, qualified: str, key: str) -> Stored:
        """Delete an existing object. Return its last state with the version of the deletion. Raises OSError."""
        collection = self.collection(qualified)
        before = collection.objects[key]
        self._journal.delete(qualified, key, self.version + 1)
        self.version += 1
        last = freeze(key, before.content, self.version)
        collection.apply(Change(self.version, key, before, None, last))
        return last

    def start_at(self, version: int) -> None:
        """Continue after `version`, without its history. Must be called before all other methods."""
        self.version = self._floor = version

    def compact(self) -> None:
        """Drop the history, so that watches and lists from older versions get 410."""
        self._floor = self.version
        for collection in self._collections.values():
            collection.compact(self.version)
