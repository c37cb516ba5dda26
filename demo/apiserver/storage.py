"""Objects, their versions and their recent history.

Everything runs on one asyncio loop, so nothing here takes a lock. Stored objects are never changed: a write
makes a new dict that shares the untouched parts with the old one.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import orjson

# Changes of one resource type that a watch can go back; kube-apiserver keeps 5 minutes.
HISTORY: Final = 10_000

Json = dict[str, Any]


class CompactedError(Exception):
    """The version asked for lies before what the history still holds."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One version of one object. `key` is `namespace/name`, or the name of what has no namespace."""

    key: str
    content: Json
    version: int
    encoded: bytes


@dataclass(frozen=True, slots=True)
class Change:
    """One write. `before` is None for a creation, `after` for a deletion; `last` is the state an event shows."""

    version: int
    key: str
    before: Stored | None
    after: Stored | None
    last: Stored


class Journal(Protocol):
    """Where writes go before they count."""

    def put(self, qualified: str, stored: Stored) -> None:
        """Keep an object. Raises OSError when it cannot."""

    def delete(self, qualified: str, key: str, version: int) -> None:
        """Keep that an object is gone. Raises OSError when it cannot."""


class NoJournal:
    """Keeps nothing: the state ends with the process."""

    def put(self, qualified: str, stored: Stored) -> None:
        """Do nothing."""

    def delete(self, qualified: str, key: str, version: int) -> None:
        """Do nothing."""


def object_key(namespace: str, name: str) -> str:
    """Return the key of an object in its collection; keys sort as etcd's do."""
    return f"{namespace}/{name}" if namespace else name


class Collection:
    """All objects of one resource type, with the history of their changes."""

    def __init__(self, qualified: str, version: int, history: int) -> None:
        self.qualified = qualified
        self.objects: dict[str, Stored] = {}
        self.listeners: dict[object, Callable[[Change], None]] = {}
        self._keys: list[str] = []
        self._changes: deque[Change] = deque()
        self._longest = history
        self._floor = version  # changes up to this version are forgotten

    def load(self, stored: Stored) -> None:
        """Take an object from disk: no change that anybody could watch."""
        if stored.key not in self.objects:
            insort(self._keys, stored.key)
        self.objects[stored.key] = stored

    def apply(self, change: Change) -> None:
        """Make a change visible and tell the listeners."""
        if change.after is None:
            del self.objects[change.key]
            del self._keys[bisect_left(self._keys, change.key)]
        else:
            if change.before is None:
                insort(self._keys, change.key)
            self.objects[change.key] = change.after
        self._changes.append(change)
        if len(self._changes) > self._longest:
            self._floor = self._changes.popleft().version
        for listener in tuple(self.listeners.values()):
            listener(change)

    def keys(self, namespace: str = "", after: str = "") -> list[str]:
        """Return the keys of a namespace (of all if empty) that sort after `after`, in order."""
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
        """Yield the objects as they were at `version`, in key order. Raises `CompactedError` on the first step."""
        overlay: dict[str, Stored | None] = {}
        for change in reversed(self.since(version)):
            overlay[change.key] = change.before
        keys = self.keys(namespace, after)
        revived = [key for key, stored in overlay.items() if stored is not None and key not in self.objects]
        if revived:
            prefix = f"{namespace}/" if namespace else ""
            keys = sorted([*keys, *(key for key in revived if key > after and key.startswith(prefix))])
        for key in keys:
            stored = overlay[key] if key in overlay else self.objects[key]
            if stored is not None:
                yield stored

    def compact(self, version: int) -> None:
        """Forget the history up to `version`, the current one."""
        self._changes.clear()
        self._floor = version


def freeze(key: str, content: Json, version: int) -> Stored:
    """Give a content its version and its encoded form."""
    metadata = {**content["metadata"], "resourceVersion": str(version)}
    content = {**content, "metadata": metadata}
    return Stored(key, content, version, orjson.dumps(content))


class Store:
    """All collections and the one counter of versions."""

    def __init__(self, *, journal: Journal | None = None, history: int = HISTORY) -> None:
        self.version = 1
        self._journal: Journal = journal or NoJournal()
        self._history = history
        self._floor = self.version  # what a collection that is still empty has forgotten
        self._collections: dict[str, Collection] = {}

    def collection(self, qualified: str) -> Collection:
        """Return the collection of a type, made when first asked for."""
        found = self._collections.get(qualified)
        if found is None:
            found = self._collections[qualified] = Collection(qualified, self._floor, self._history)
        return found

    def collections(self) -> Mapping[str, Collection]:
        """Return all collections by the qualified name of their type."""
        return self._collections

    def put(self, qualified: str, key: str, content: Json) -> Stored:
        """Create or replace an object; returns what is stored. Raises OSError if it cannot be kept."""
        collection = self.collection(qualified)
        stored = freeze(key, content, self.version + 1)
        self._journal.put(qualified, stored)
        self.version += 1
        collection.apply(Change(self.version, key, collection.objects.get(key), stored, stored))
        return stored

    def delete(self, qualified: str, key: str) -> Stored:
        """Remove an object that exists; returns its last state, which carries the version of the deletion."""
        collection = self.collection(qualified)
        before = collection.objects[key]
        self._journal.delete(qualified, key, self.version + 1)
        self.version += 1
        last = freeze(key, before.content, self.version)
        collection.apply(Change(self.version, key, before, None, last))
        return last

    def start_at(self, version: int) -> None:
        """Go on after `version`, of whose history nothing is known. Call it before anything else."""
        self.version = self._floor = version

    def compact(self) -> None:
        """Forget all history now: watches and lists from older versions are answered 410."""
        self._floor = self.version
        for collection in self._collections.values():
            collection.compact(self.version)
