"""How a delivery is saved: in the database, or on disk while the database can't take it.

A delivery is durable before it is processed and answered. Its result follows later, and nobody waits for that. Whether
a delivery went to the database or to the spool is decided here, and matters nowhere else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final
from uuid import UUID

from django.db import IntegrityError, models
from django.utils import timezone

from receivers.deliveries.log_writer import LogWriter, NotStored, Write
from receivers.deliveries.spool import InvalidFile, NotKept, Spool
from receivers.models import Delivery, Outcome

log = logging.getLogger(__name__)

# How long a new delivery is left to this process, which may have no lease yet, and whose recovery may read the rows
# before it learns what is in progress.
LEFT_ALONE: Final = timedelta(seconds=10)
TRANSFER_TIMEOUT: Final = 30.0  # seconds for one delivery from the spool; the next call retries


class NotSaved(Exception):
    """A delivery is neither in the database nor on disk; the text says why."""


class AlreadySaved(NotSaved):
    """The database has a delivery with the same id."""


class DeliveryStore:
    """Saves deliveries and their results. Thread-safe; only one thread may call `transfer_spooled`.

    `timeout` is how many seconds `save` waits for the database before it uses the spool. `replica` is this process,
    which holds the deliveries that it works on.
    """

    def __init__(self, writer: LogWriter, spool: Spool, timeout: float, replica: UUID) -> None:
        self._writer = writer
        self._spool = spool
        self._timeout = timeout
        self._replica = replica
        self._in_progress: set[UUID] = set()
        # Those in progress that are on disk: their result takes them to the database, too.
        self._spooled: set[UUID] = set()
        self._losses: list[datetime] = []

    def save(self, delivery: Delivery, *, must_be_new: bool = False) -> None:
        """Return once a new delivery is durable: in the database, or synced to disk while that is unavailable.

        If the delivery has no outcome yet, it is in progress until `finish` or `abandon` is called. With `must_be_new`,
        raises `AlreadySaved` if the id was used before; the disk is then no substitute, because only the database can
        tell. Raises `NotSaved` if the delivery is neither in the database nor on disk.
        """
        if delivery.outcome == Outcome.PENDING:
            delivery.held_by, delivery.due_at = self._replica, timezone.now() + LEFT_ALONE
            self._in_progress.add(delivery.pk)
        try:
            self._insert_or_spool(delivery, must_be_new=must_be_new)
        except NotSaved:
            self.abandon(delivery)
            raise

    def resume(self, delivery: Delivery) -> None:
        """Note that a pending delivery in the database is in progress again, until `finish` or `abandon` is called."""
        self._in_progress.add(delivery.pk)

    def in_progress(self) -> frozenset[UUID]:
        """Return the ids of the deliveries that this process works on, or whose result it has yet to store."""
        return frozenset(self._in_progress)

    def is_only_on_disk(self, delivery: Delivery) -> bool:
        """Say whether a delivery in progress is not in the database, as far as is known."""
        return delivery.pk in self._spooled

    def finish(
        self, delivery: Delivery, inserts: Sequence[models.Model], then: Sequence[Callable[[], None]] = ()
    ) -> None:
        """Queue the result of a delivery: its changed fields, and new rows such as its refreshes. Never raises.

        The write is retried until the database takes it. `then` are called in the same transaction afterwards. If the
        write is lost because the queue is full or this process dies, the delivery stays pending, for recovery.
        """
        write = Write(inserts=inserts, updates=(delivery,), then=then, can_wait=True)
        write.when_done = partial(self._finished, delivery.pk)
        if self.is_only_on_disk(delivery):
            write.perhaps = (delivery,)  # it may be in the database after all, if that was only slow
        try:
            self._writer.submit(write)
        except NotStored as error:
            log.warning("the result of delivery %s is not stored yet: %s", delivery.pk, error)
            self.abandon(delivery)

    def abandon(self, delivery: Delivery) -> None:
        """Leave a delivery without a result, so that recovery can process it again."""
        self._spooled.discard(delivery.pk)
        self._in_progress.discard(delivery.pk)

    def take_losses(self) -> list[datetime]:
        """Return the times when deliveries were lost since the last call."""
        losses, self._losses = self._losses, []
        return losses

    def transfer_spooled(self) -> bool:
        """Move to the database what is on disk and no longer in progress. Return False: there is never more at once."""
        for key in self._spool.ids():
            if self._writer.stuck:
                break
            if key not in self._spooled:
                self._transfer(key)
        return False

    def _insert_or_spool(self, delivery: Delivery, *, must_be_new: bool) -> None:
        """Make a delivery durable. Raises `NotSaved`, or `AlreadySaved` if it must be new and is not."""
        try:
            self._insert(delivery)
        except NotStored as error:
            if must_be_new and isinstance(error.__cause__, IntegrityError):
                raise AlreadySaved(str(error)) from error
            if must_be_new or error.refused:
                raise NotSaved(str(error)) from error
            self._keep(delivery, error)

    def _insert(self, delivery: Delivery) -> None:
        if self._writer.stuck:
            raise NotStored("the database is locked or unavailable")
        self._writer.submit(Write(inserts=(delivery,))).wait(self._timeout)

    def _keep(self, delivery: Delivery, database_error: NotStored) -> None:
        """Spool a delivery that the database did not take. Raises `NotSaved`."""
        # First, or `transfer_spooled` could look for the file before it exists.
        self._spooled.add(delivery.pk)
        delivery.held_by = None  # whichever process finds the file
        try:
            self._spool.keep(delivery)
        except NotKept as error:
            self._losses.append(timezone.now())
            receiver = delivery.receiver_name
            log.error("lost a delivery to %s: %s; %s", receiver, database_error, error)  # noqa: TRY400 - both causes
            raise NotSaved(str(error)) from error
        if delivery.outcome != Outcome.PENDING:
            self._spooled.discard(delivery.pk)  # it has its result already
        log.warning("delivery %s is spooled to disk: %s", delivery.pk, database_error)

    def _finished(self, key: UUID, error: Exception | None) -> None:
        """End the work on a delivery. Its file is not needed if its result is in the database."""
        if error is None and key in self._spooled:
            self._spool.remove(key)
        self._spooled.discard(key)
        self._in_progress.discard(key)

    def _transfer(self, key: UUID) -> None:
        try:
            delivery = self._spool.read(key)
            self._writer.submit(Write(perhaps=(delivery,))).wait(TRANSFER_TIMEOUT)
        except FileNotFoundError:
            self._spool.remove(key)  # another process on this directory was faster
        except OSError as error:
            log.warning("delivery %s can't be read from the spool: %s", key, error)
        except InvalidFile as error:
            log.warning("the spooled file of delivery %s is invalid: %s", key, error)
            self._spool.set_aside(key)
        except NotStored as error:
            log.warning("delivery %s stays in the spool: %s", key, error)
            if error.refused:
                self._spool.set_aside(key)
        else:
            self._spool.remove(key)
            log.info("stored delivery %s from the spool", key)
