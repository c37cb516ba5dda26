"""A watch: filter the changes of a collection, and write them to a stream as events, in order.

`queries.Watches` starts watches, keeps them open, and sends bookmarks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import orjson

from demo.apiserver.errors import ApiError
from demo.apiserver.selectors import Predicate
from demo.apiserver.storage import Change, Collection, Stored, freeze
from demo.apiserver.wire import Stream

INITIAL_BATCH: Final = 200  # objects written at once at the start of a watch, before waiting for the reader
SWAP_DELAY: Final = 0.05  # seconds that an event waits for another one to be swapped with

Renderer = Callable[[Stored], bytes]


def encoded(stored: Stored) -> bytes:
    """Render an object as JSON."""
    return stored.encoded


def event_line(event: str, body: bytes) -> bytes:
    """Return the line of an event."""
    return b'{"type":"%b","object":%b}\n' % (event.encode(), body)


def error_line(error: ApiError) -> bytes:
    """Return the line of the ERROR event that ends a watch."""
    return event_line("ERROR", orjson.dumps(error.status))


@dataclass(frozen=True, slots=True)
class Scope:
    """The objects of a watch or list: a namespace (empty: all) and a predicate (None: all)."""

    namespace: str = ""
    selects: Predicate | None = None

    def contains(self, stored: Stored | None) -> bool:
        """Return whether an object is in scope."""
        if stored is None:
            return False
        if self.namespace and not stored.key.startswith(f"{self.namespace}/"):
            return False
        return self.selects is None or self.selects(stored.content)

    def event(self, change: Change) -> tuple[str, Stored] | None:
        """Return the event type and object of a change, or None if it does not affect objects in scope.

        An object that leaves the selection appears as deleted, in its old state with the version of the change.
        """
        if self.namespace and not change.key.startswith(f"{self.namespace}/"):
            return None
        if self.selects is None:
            if change.after is None:
                return "DELETED", change.last
            return ("ADDED" if change.before is None else "MODIFIED"), change.last
        before, after = self.contains(change.before), self.contains(change.after)
        if after:
            return ("MODIFIED" if before else "ADDED"), change.last
        if before and change.before is not None:
            deleted = (
                change.last
                if change.after is None
                else freeze(change.key, change.before.content, change.version)
            )
            return "DELETED", deleted
        return None


class Watch:
    """A watch. It queues changes from its creation, and writes them after `open`."""

    def __init__(
        self, collection: Collection, scope: Scope, render: Renderer, stream: Stream, *, swapped: bool = False
    ) -> None:
        self.ended = asyncio.Event()
        self._collection = collection
        self._scope = scope
        self._render = render
        self._stream = stream
        self._lines: list[bytes] = []
        self._keys: list[str] = []
        self._opened = self._scheduled = False
        self._swapped = swapped
        self.qualified = collection.qualified
        collection.listeners[self] = self.enqueue

    def enqueue(self, change: Change) -> None:
        """Queue the event of a change. All events of one iteration of the loop are written at once."""
        event = self._scope.event(change)
        if event is None:
            return
        self._lines.append(event_line(event[0], self._render(event[1])))
        self._keys.append(change.key)
        if self._opened and not self._scheduled:
            self._scheduled = True
            loop = asyncio.get_running_loop()
            if self._swapped:
                loop.call_later(SWAP_DELAY, self._flush)
            else:
                loop.call_soon(self._flush)

    async def send_initial(self, objects: Iterable[Stored]) -> None:
        """Write objects as ADDED events, with backpressure."""
        batch: list[bytes] = []
        for stored in objects:
            batch.append(event_line("ADDED", self._render(stored)))
            if len(batch) == INITIAL_BATCH:
                self._stream.write(b"".join(batch))
                batch.clear()
                await self._stream.drained()
        if batch:
            self._stream.write(b"".join(batch))

    def write(self, line: bytes) -> None:
        """Write a line: after the queued events, or before them if the watch is not open yet."""
        if self._opened:
            self._flush()
        self._stream.write(line)

    def open(self) -> None:
        """Start to write the queued events."""
        self._opened = True
        self._flush()

    def close(self) -> None:
        """Stop queueing changes."""
        self._collection.listeners.pop(self, None)

    def abort(self) -> None:
        """Abort the connection."""
        self._stream.abort()

    def _flush(self) -> None:
        self._scheduled = False
        if not self._lines or self not in self._collection.listeners:
            return
        lines = swap(self._keys, self._lines) if self._swapped else self._lines
        self._stream.write(b"".join(lines))
        self._lines, self._keys = [], []


def swap(keys: list[str], lines: list[Any]) -> list[Any]:
    """Return `lines` with adjacent events of different objects swapped. Events of one object keep their order."""
    result = list(lines)
    at = 0
    while at + 1 < len(result):
        if keys[at] != keys[at + 1]:
            result[at], result[at + 1] = result[at + 1], result[at]
            at += 1
        at += 1
    return result
