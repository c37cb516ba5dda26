"""The single writer of the delivery log.

Request threads queue rows, and one thread commits them in batches: all that were queued during the last commit. SQLite
allows one writer anyway, and threads that poll for its lock starve each other (a p99 of half a second). PostgreSQL
commits twice as many rows. A row that a thread waits for is committed at once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Final

from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    connection,
    models,
    transaction,
)

from receivers.deliveries.bulk_sql import insert, update
from receivers.deliveries.push_failures import push_failures

log = logging.getLogger(__name__)

# Queued writes: more than all serving threads can have in progress, so that a full queue means a stuck database.
CAPACITY: Final = 2_000
BATCH: Final = 200  # writes of one commit: enough to keep up, and few enough to take milliseconds
RETRY_SECONDS: Final = 1.0  # until writes that no thread waits for are retried
# How long a write that no thread waits for is held back to share a commit, which costs as much as its rows.
DELAY_SECONDS: Final = 0.05
STUCK_SECONDS: Final = 1.0  # a commit that takes longer means that the database is locked or unavailable
# Results kept while the database is unavailable; recovery redoes the oldest beyond that.
MAX_WAITING: Final = 10_000


class NotStored(Exception):
    """The database did not store a row, or not in time. `refused` means that the row is invalid and never will be."""

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


def is_unavailable(error: Exception) -> bool:
    """Say whether the database is to blame for an error (locked, down, read-only, not migrated), not the rows."""
    return isinstance(error, (DatabaseError, InterfaceError)) and not isinstance(
        error, (DataError, IntegrityError)
    )


def _held_lock() -> threading.Lock:
    """Return a held lock: a one-time event at a tenth of the cost of `threading.Event`."""
    lock = threading.Lock()
    lock.acquire()
    return lock


@dataclass(slots=True, eq=False)
class Write:
    """Rows to insert and rows to update, in one transaction with the rest of the batch.

    `perhaps` are inserted first, unless they exist. `then` are called afterwards in the same transaction, to update
    what depends on the rows; they must be idempotent. With `can_wait` no thread waits for the write: it is committed
    with others after `DELAY_SECONDS`, and retried while the database is unavailable. `when_done` is called with the
    error, or None, when the write is committed or dropped; it must not raise.
    """

    perhaps: Sequence[models.Model] = ()
    inserts: Sequence[models.Model] = ()
    updates: Sequence[models.Model] = ()
    then: Sequence[Callable[[], None]] = ()
    can_wait: bool = False
    when_done: Callable[[Exception | None], None] | None = None
    _done: threading.Lock = field(default_factory=_held_lock)
    _error: Exception | None = None
    withdrawn: bool = False
    """The waiting thread gave up. The write is not retried, because its rows may have changed."""

    def finish(self, error: Exception | None) -> None:
        """Wake the waiting thread and call `when_done`."""
        self._error = error
        if self.when_done is not None:
            self.when_done(error)
        self._done.release()

    def wait(self, seconds: float) -> None:
        """Wait for the commit; call once. Raises `NotStored` if the rows were refused, or after `seconds`."""
        if not self._done.acquire(timeout=seconds):
            self.withdrawn = not self.can_wait
            raise NotStored(f"the database did not respond within {seconds:g} s")
        if self._error is not None:
            refused = not is_unavailable(self._error)
            raise NotStored(f"the database refused the row: {self._error}", refused=refused) from self._error


class LogWriter:
    """A thread that commits writes in batches, and its bounded queue."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Write | None] = SimpleQueue()
        self._waiting: list[Write] = []
        self._due = 0.0
        self._started: float | None = None  # when the current commit started
        self._unavailable_until = 0.0
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)

    def start(self) -> None:
        """Start the thread. Call once."""
        self._thread.start()

    def stop(self, seconds: float = 5.0) -> None:
        """Commit what is queued and end the thread; wait for it `seconds` at most."""
        self._queue.put(None)
        self._thread.join(seconds)

    def __len__(self) -> int:
        """Return the approximate number of uncommitted writes."""
        return self._queue.qsize() + len(self._waiting)

    @property
    def stuck(self) -> bool:
        """Say whether the database is locked or unavailable, so that waiting for a row is useless."""
        now, started = time.monotonic(), self._started
        return now < self._unavailable_until or (started is not None and now - started > STUCK_SECONDS)

    def submit(self, write: Write) -> Write:
        """Queue `write` and return it, to wait on. Raises `NotStored` at once if the queue is full."""
        if self._queue.qsize() >= CAPACITY:
            raise NotStored("the database can't keep up: too many writes are queued")
        self._queue.put(write)
        return write

    def _run(self) -> None:
        running = True
        while running:
            urgent: list[Write] = []
            running = self._collect(urgent)
            self._commit(urgent)
            if self._waiting and (time.monotonic() >= self._due or not running):
                waiting, self._waiting = self._waiting, []
                self._commit(waiting)
        connection.close()

    def _collect(self, urgent: list[Write]) -> bool:
        """Collect writes until one is urgent or the delayed ones are due. Return False if the writer is to stop."""
        for _ in range(BATCH):
            try:
                write = self._queue.get(timeout=self._timeout(urgent))
            except Empty:
                return True
            if write is None:
                return False
            if not write.can_wait:
                urgent.append(write)
                continue
            if not self._waiting:
                self._due = time.monotonic() + DELAY_SECONDS
            self._waiting.append(write)
        return True

    def _timeout(self, urgent: list[Write]) -> float | None:
        """Return how many seconds to wait for another write; None means forever."""
        if urgent:
            return 0.0
        return max(0.0, self._due - time.monotonic()) if self._waiting else None

    def _commit(self, batch: list[Write]) -> None:
        if not batch:
            return
        error = self._try(batch)
        if error is None:
            _finish_all(batch)
            return
        self._due = time.monotonic() + RETRY_SECONDS
        for write in batch:
            # One by one, so that an invalid row fails alone; an unavailable database would fail them all.
            self._settle(write, error if is_unavailable(error) else self._try([write]))

    def _try(self, batch: Sequence[Write]) -> Exception | None:
        """Commit a batch, and keep track of whether the database is available. Return the error, if any."""
        self._started = time.monotonic()
        error = _attempt(batch)
        self._started = None
        # Requests don't wait for the database until the next retry has shown whether it is back.
        unavailable = error is not None and is_unavailable(error)
        self._unavailable_until = time.monotonic() + RETRY_SECONDS if unavailable else 0.0
        return error

    def _settle(self, write: Write, error: Exception | None) -> None:
        """Finish a write; keep it for a retry if it can wait and the database is unavailable."""
        if error is not None and write.can_wait and is_unavailable(error):
            self._waiting.append(write)
            if len(self._waiting) > MAX_WAITING:
                self._waiting.pop(0).finish(error)
            return
        if error is not None:
            log.error("a write to the delivery log failed: %s", error)
        write.finish(error)


def _finish_all(batch: Iterable[Write]) -> None:
    for write in batch:
        write.finish(None)


def _attempt(batch: Sequence[Write]) -> Exception | None:
    """Commit the whole batch or nothing; return the error, if any."""
    batch = [write for write in batch if not write.withdrawn]
    perhaps = [row for write in batch for row in write.perhaps]
    inserts = [row for write in batch for row in write.inserts]
    updates = [row for write in batch for row in write.updates]
    then = [call for write in batch for call in write.then]
    inserts += push_failures([*perhaps, *inserts, *updates])
    try:
        if perhaps or updates or then or len({type(row) for row in inserts}) > 1:
            with transaction.atomic():
                insert(perhaps, unless_there=True)
                insert(inserts)
                update(updates)
                for call in then:
                    call()
        else:
            insert(inserts)  # one statement is a transaction of its own
    except Exception as error:  # noqa: BLE001 - the waiting threads get any error, and this thread must not end
        if is_unavailable(error):
            connection.close()  # after a failover, the old server may be read-only and look usable
        return error
    return None
