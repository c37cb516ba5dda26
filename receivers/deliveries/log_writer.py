"""The log's one writer.

Request threads hand rows over and a single thread commits them, as many at a time as have come together while the
last commit was under way. SQLite has one writer anyway, and threads that wait for its lock by polling starve each
other (a p99 of half a second); PostgreSQL doubles its rate. A row that somebody waits for is committed at once.
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

log = logging.getLogger(__name__)

# Rows' owners waiting: more than every serving thread can have under way, so that full means stuck.
CAPACITY: Final = 2_000
BATCH: Final = 200  # writes in one commit: enough for the log to keep up, few enough to stay under a frame
RETRY_SECONDS: Final = 1.0  # after which what could not be stored, and nobody waits for, is tried again
# Seconds that what nobody waits for may wait for company: a commit costs as much as its rows.
MOMENT: Final = 0.05
STUCK_SECONDS: Final = 1.0  # a commit that takes longer is not waited for: the database is locked or away
KEPT: Final = 10_000  # ends of deliveries kept while the database is away; the oldest are finished later


class NotStored(Exception):
    """The database did not take a row, or not in time. `refused`: it never will, for the row is to blame."""

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


def is_away(error: Exception) -> bool:
    """Say whether the database is what is wrong: locked, gone, read-only, not migrated; and not the rows."""
    return isinstance(error, (DatabaseError, InterfaceError)) and not isinstance(
        error, (DataError, IntegrityError)
    )


def _taken_lock() -> threading.Lock:
    """Return a lock that is held: an event that happens once, at a tenth of the price of `threading.Event`."""
    lock = threading.Lock()
    lock.acquire()
    return lock


@dataclass(slots=True, eq=False)
class Write:
    """Rows to insert and rows to update, in one transaction with whatever else is in the batch.

    `perhaps` are inserted first, unless they are there already. `then` are called afterwards in the same transaction,
    for what follows from the rows; they must not mind being called again. `can_wait`: nobody waits for it. It is
    committed after a moment, with others, and kept while the database is away. `when_done` is called, with what went
    wrong or None, when it is committed or given up; it must not raise.
    """

    perhaps: Sequence[models.Model] = ()
    inserts: Sequence[models.Model] = ()
    updates: Sequence[models.Model] = ()
    then: Sequence[Callable[[], None]] = ()
    can_wait: bool = False
    when_done: Callable[[Exception | None], None] | None = None
    _done: threading.Lock = field(default_factory=_taken_lock)
    _error: Exception | None = None
    withdrawn: bool = False
    """Nobody waits for it any more who should have: it is not to be tried again, for its rows may change."""

    def finish(self, error: Exception | None) -> None:
        """Wake whoever waits, and tell whoever wants to know."""
        self._error = error
        if self.when_done is not None:
            self.when_done(error)
        self._done.release()

    def wait(self, seconds: float) -> None:
        """Wait until the rows are committed; once. Raises `NotStored` if they were refused or `seconds` have passed."""
        if not self._done.acquire(timeout=seconds):
            self.withdrawn = not self.can_wait
            raise NotStored(f"the database did not answer within {seconds:g} s")
        if self._error is not None:
            refused = not is_away(self._error)
            raise NotStored(f"the database refused the row: {self._error}", refused=refused) from self._error


class LogWriter:
    """A thread that commits writes in batches, and its bounded queue."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Write | None] = SimpleQueue()
        self._waiting: list[Write] = []
        self._due = 0.0
        self._since: float | None = None  # when the attempt under way began
        self._away_until = 0.0
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)

    def start(self) -> None:
        """Start the thread. Call once."""
        self._thread.start()

    def stop(self, seconds: float = 5.0) -> None:
        """Commit what is queued and end the thread; wait for it `seconds` at most."""
        self._queue.put(None)
        self._thread.join(seconds)

    def __len__(self) -> int:
        """Return about how many writes wait to be committed."""
        return self._queue.qsize() + len(self._waiting)

    @property
    def stuck(self) -> bool:
        """Say whether the database is locked or away, so that it is no use to wait for a row."""
        now, since = time.monotonic(), self._since
        return now < self._away_until or (since is not None and now - since > STUCK_SECONDS)

    def submit(self, write: Write) -> Write:
        """Queue `write` and return it, to wait on. Raises `NotStored` at once if the queue is full."""
        if self._queue.qsize() >= CAPACITY:
            raise NotStored("the database does not keep up: too many deliveries wait to be stored")
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
        """Collect writes until there are some that somebody waits for, or others are due; return False at the end."""
        for _ in range(BATCH):
            try:
                write = self._queue.get(timeout=self._patience(urgent))
            except Empty:
                return True
            if write is None:
                return False
            if not write.can_wait:
                urgent.append(write)
                continue
            if not self._waiting:
                self._due = time.monotonic() + MOMENT
            self._waiting.append(write)
        return True

    def _patience(self, urgent: list[Write]) -> float | None:
        """Return how many seconds to wait for another write; None means for ever."""
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
            # One bad row must not fail the others, so they go one by one; a database that is away fails all alike.
            self._settle(write, error if is_away(error) else self._try([write]))

    def _try(self, batch: Sequence[Write]) -> Exception | None:
        """Attempt it, and know meanwhile and afterwards whether the database is there."""
        self._since = time.monotonic()
        error = _attempt(batch)
        self._since = None
        # Whatever waits is tried again at that time, and whoever comes then tries for himself.
        away = error is not None and is_away(error)
        self._away_until = time.monotonic() + RETRY_SECONDS if away else 0.0
        return error

    def _settle(self, write: Write, error: Exception | None) -> None:
        """Wake the waiter; keep for later what nobody waits for and the database may take when it is back."""
        if error is not None and write.can_wait and is_away(error):
            self._waiting.append(write)
            if len(self._waiting) > KEPT:
                self._waiting.pop(0).finish(error)
            return
        if error is not None:
            log.error("a write to the delivery log failed: %s", error)
        write.finish(error)


def _finish_all(batch: Iterable[Write]) -> None:
    for write in batch:
        write.finish(None)


def _attempt(batch: Sequence[Write]) -> Exception | None:
    """Commit the whole batch or nothing of it; return what went wrong."""
    batch = [write for write in batch if not write.withdrawn]
    perhaps = [row for write in batch for row in write.perhaps]
    inserts = [row for write in batch for row in write.inserts]
    updates = [row for write in batch for row in write.updates]
    then = [call for write in batch for call in write.then]
    try:
        if perhaps or updates or then or len({type(row) for row in inserts}) > 1:
            with transaction.atomic():
                insert(perhaps, unless_there=True)
                insert(inserts)
                update(updates)
                for call in then:
                    call()
        else:
            insert(inserts)  # one statement, which is a transaction of its own
    except Exception as error:  # noqa: BLE001 - whatever it is, the waiters must hear of it and the thread go on
        if is_away(error):
            connection.close()  # a server that has turned read-only would look usable
        return error
    return None
