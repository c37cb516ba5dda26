"""The log's one writer.

Request threads hand rows over and a single thread commits them, as many at a time as have come together while the
last commit was under way. SQLite has one writer anyway, and threads that wait for its lock by polling starve each
other (a p99 of half a second); PostgreSQL doubles its rate. Nothing lingers: one lonely row is committed at once.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from django.db import InterfaceError, OperationalError, connection, models, transaction

log = logging.getLogger(__name__)

CAPACITY: Final = (
    2_000  # rows' owners waiting; more than every serving thread can have under way, so full = stuck
)
BATCH: Final = 200  # writes in one commit: enough for the log to keep up, few enough to stay under a frame
RETRY_SECONDS: Final = 1.0  # between attempts to store what nobody waits for
KEPT_FOR_RETRY: Final = (
    10_000  # ends of deliveries kept while the database is away; the oldest are finished later
)
AWAY: Final = (
    OperationalError,
    InterfaceError,
)  # the database is locked or gone: no row of the batch is to blame


class NotStored(Exception):
    """The database did not take a row, or not in time."""


@dataclass(slots=True, eq=False)
class Write:
    """Rows to insert and rows to replace, in one transaction with whatever else is in the batch."""

    inserts: Sequence[models.Model] = ()
    replaces: Sequence[models.Model] = ()
    keep_trying: bool = False
    _done: threading.Event = field(default_factory=threading.Event)
    _error: Exception | None = None

    def finish(self, error: Exception | None) -> None:
        """Wake whoever waits."""
        self._error = error
        self._done.set()

    def wait(self, seconds: float) -> None:
        """Wait until the rows are committed. Raises `NotStored` if they were refused or `seconds` have passed."""
        if not self._done.wait(seconds):
            raise NotStored(f"the database did not answer within {seconds:g} s")
        if self._error is not None:
            raise NotStored(f"the database refused the row: {self._error}") from self._error


class LogWriter:
    """A thread that commits writes in batches, and its bounded queue."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Write | None] = queue.Queue(CAPACITY)
        self._kept: list[Write] = []
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)

    def start(self) -> None:
        """Start the thread. Call once."""
        self._thread.start()

    def stop(self, seconds: float = 5.0) -> None:
        """Commit what is queued and end the thread; wait for it `seconds` at most."""
        self._queue.put(None)
        self._thread.join(seconds)

    def submit(self, write: Write) -> Write:
        """Queue `write` and return it, to wait on. Raises `NotStored` at once if the queue is full."""
        try:
            self._queue.put_nowait(write)
        except queue.Full:
            raise NotStored("the database does not keep up: too many deliveries wait to be stored") from None
        return write

    def _run(self) -> None:
        running = True
        while running:
            batch = self._next_batch()
            if None in batch:
                running = False
            self._commit([*self._take_kept(), *(write for write in batch if write is not None)])
        connection.close()

    def _next_batch(self) -> list[Write | None]:
        """Wait for a write and take what else is there; with something to retry, wait no longer than a moment."""
        try:
            batch = [self._queue.get(timeout=RETRY_SECONDS if self._kept else None)]
        except queue.Empty:
            return []
        while len(batch) < BATCH:
            try:
                batch.append(self._queue.get_nowait())
            except queue.Empty:
                break
        return batch

    def _take_kept(self) -> list[Write]:
        kept, self._kept = self._kept, []
        return kept

    def _commit(self, batch: list[Write]) -> None:
        if not batch:
            return
        error = _attempt(batch)
        if error is None:
            _finish_all(batch)
            return
        for write in batch:
            # One bad row must not fail the others, so they go one by one; a database that is away fails all alike.
            self._settle(write, error if isinstance(error, AWAY) else _attempt([write]))

    def _settle(self, write: Write, error: Exception | None) -> None:
        """Wake the waiter; keep for later what nobody waits for and the database may take when it is back."""
        if error is not None and write.keep_trying and isinstance(error, AWAY):
            self._kept.append(write)
            del self._kept[:-KEPT_FOR_RETRY]
            return
        if error is not None:
            log.error("a write to the delivery log failed: %s", error)
        write.finish(error)


def _finish_all(batch: Iterable[Write]) -> None:
    for write in batch:
        write.finish(None)


def _attempt(batch: Sequence[Write]) -> Exception | None:
    """Commit the whole batch or nothing of it; return what went wrong."""
    try:
        with transaction.atomic():
            _by_model([row for write in batch for row in write.inserts], _insert)
            _by_model([row for write in batch for row in write.replaces], _replace)
    except Exception as error:  # noqa: BLE001 - whatever it is, the waiters must hear of it and the thread go on
        if isinstance(error, AWAY):
            connection.close_if_unusable_or_obsolete()
        return error
    return None


def _by_model(
    rows: Sequence[models.Model], store: Callable[[type[models.Model], list[models.Model]], None]
) -> None:
    """Store rows of one model together, models in the order of their first row (parents come before children)."""
    groups: dict[type[models.Model], list[models.Model]] = {}
    for row in rows:
        groups.setdefault(type(row), []).append(row)
    for model, group in groups.items():
        store(model, group)


def _insert(model: type[models.Model], rows: list[models.Model]) -> None:
    model._default_manager.bulk_create(rows)


def _replace(model: type[models.Model], rows: list[models.Model]) -> None:
    """Replace rows by primary key: an insert that updates is the one bulk update that every database does at once."""
    fields = [column.name for column in model._meta.concrete_fields if not column.primary_key]
    model._default_manager.bulk_create(
        rows, update_conflicts=True, unique_fields=["pk"], update_fields=fields
    )
