"""Deliveries that the database could not take, kept on local disk until it can.

One file for each, synced before anybody relies on it, so that a push is worked on and answered while the database is
away. It goes when its delivery is in the log; what a process leaves behind when it ends, the next one puts there.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from django.core import serializers
from django.core.serializers.base import DeserializationError
from django.core.serializers.json import DjangoJSONEncoder

from receivers.deliveries.log_writer import LogWriter, NotStored, Write
from receivers.models import Delivery

log = logging.getLogger(__name__)

MOST_DELIVERIES: Final = 5_000
MOST_BYTES: Final = 256 * 1024 * 1024
STORED_WITHIN: Final = 30.0  # seconds; a database that takes longer is tried again
HALF_WRITTEN: Final = ".new"
HALF_WRITTEN_SECONDS: Final = 60.0  # after which nobody can be writing it any more
UNUSABLE: Final = ".unusable"  # kept for somebody to look at, and never tried again


class NotKept(Exception):
    """The spool is full or cannot be written; the text says which."""


class _Exactly(DjangoJSONEncoder):
    """Keeps the microseconds of a time, which Django cuts off."""

    def default(self, o: Any) -> Any:
        return o.isoformat() if isinstance(o, datetime) else super().default(o)


class Spool:
    """The files of a directory, `MOST_DELIVERIES` and `MOST_BYTES` at most.

    A delivery is in hand from `keep` to `settle`; whatever is there and in nobody's hand is to be put into the log.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._sizes: dict[UUID, int] = {}
        self._in_hand: set[UUID] = set()
        self.problem = ""
        self._failed = False

    def __len__(self) -> int:
        """Return how many deliveries wait for the database."""
        return len(self._sizes)

    @property
    def has_room(self) -> bool:
        """Say whether another delivery can be kept, as far as is known without trying."""
        with self._lock:
            return not self.problem and not self._failed and self._fits()

    def open(self) -> None:
        """Make the directory if need be, and learn what is in it. If it cannot be used, `problem` says why."""
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            found = {path: stat for path in self._directory.iterdir() if (stat := _stat(path))}
            for path, stat in found.items():
                if path.suffix == HALF_WRITTEN and time.time() - stat.st_mtime > HALF_WRITTEN_SECONDS:
                    path.unlink(missing_ok=True)
        except OSError as error:
            self.problem = f"{self._directory} cannot be used: {error}"
            log.warning("no delivery is kept on disk while the database is away: %s", self.problem)
            return
        self._sizes = {key: stat.st_size for path, stat in found.items() if (key := _key(path))}
        if self._sizes:
            log.warning("%d deliveries are on disk, from when the database was away; storing them", len(self))

    def keep(self, delivery: Delivery) -> None:
        """Write a delivery and have it in hand. Returns when it is synced to disk. Raises `NotKept`."""
        data = serializers.serialize("json", [delivery], cls=_Exactly).encode()
        with self._lock:
            if self.problem or not self._fits():
                raise NotKept(self.problem or f"{len(self)} deliveries wait for the database already")
            self._sizes[delivery.pk] = len(data)
            self._in_hand.add(delivery.pk)
        try:
            self._write(self._path(delivery.pk), data)
        except OSError as error:
            with self._lock:
                self._failed = True
                self._sizes.pop(delivery.pk)
                self._in_hand.discard(delivery.pk)
            raise NotKept(f"{self._directory} cannot be written: {error}") from error
        self._failed = False

    def settle(self, delivery: UUID, error: Exception | None) -> None:
        """Take note of whether a delivery in hand is in the log now; if so its file goes. Never raises."""
        if error is None:
            self.forget(delivery)
        with self._lock:
            self._in_hand.discard(delivery)

    def left(self) -> list[UUID]:
        """Return what is in nobody's hand, oldest first."""
        with self._lock:
            return sorted(self._sizes.keys() - self._in_hand)

    def read(self, delivery: UUID) -> Delivery:
        """Return a delivery as it was kept. Raises OSError, and `NotStored` if its file makes no sense."""
        data = self._path(delivery).read_bytes()
        try:
            # A file may be of another version than the one that reads it: of before an update.
            [found] = serializers.deserialize("json", data, ignorenonexistent=True)
        except (DeserializationError, ValueError) as error:
            raise NotStored(f"its file makes no sense: {error}", refused=True) from error
        if not isinstance(found.object, Delivery):
            raise NotStored("its file holds something else", refused=True)
        return found.object

    def forget(self, delivery: UUID, suffix: str = "") -> None:
        """Remove a file, or put it aside under another suffix. Never raises: what stays is found at the next start."""
        path = self._path(delivery)
        try:
            if suffix:
                path.rename(path.with_suffix(suffix))
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("%s stays although it is not needed any more: %s", path, error)
        with self._lock:
            self._sizes.pop(delivery, None)

    def _fits(self) -> bool:
        return len(self._sizes) < MOST_DELIVERIES and sum(self._sizes.values()) < MOST_BYTES

    def _path(self, delivery: UUID) -> Path:
        return self._directory / f"{delivery}.json"

    def _write(self, path: Path, data: bytes) -> None:
        new = path.with_suffix(HALF_WRITTEN)
        try:
            with new.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            new.rename(path)
        except OSError:
            new.unlink(missing_ok=True)
            raise
        _sync_directory(self._directory)


class SpoolReader:
    """Puts what is left in a spool into the log, where it is worked on like whatever else has no end yet."""

    def __init__(self, spool: Spool, writer: LogWriter) -> None:
        self._spool = spool
        self._writer = writer

    def work(self) -> bool:
        """Put all of it there, while the database takes it. Returns False: there is no more at once."""
        for key in self._spool.left():
            if self._writer.stuck:
                break
            self._store(key)
        return False

    def _store(self, key: UUID) -> None:
        try:
            delivery = self._spool.read(key)
            self._writer.submit(Write(perhaps=(delivery,))).wait(STORED_WITHIN)
        except FileNotFoundError:
            self._spool.forget(key)  # another process on this directory was quicker
        except NotStored as error:
            log.warning("delivery %s stays on disk: %s", key, error)
            if error.refused:
                self._spool.forget(key, UNUSABLE)
        except OSError as error:
            log.warning("delivery %s cannot be read from disk: %s", key, error)
        else:
            self._spool.forget(key)
            log.info("delivery %s is stored, which came while the database was away", key)


def _stat(path: Path) -> os.stat_result | None:
    """Return what is known of a file; None if it is gone: another process on the directory was quicker."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _key(path: Path) -> UUID | None:
    """Return the delivery that a file holds; None for what is no delivery's file."""
    try:
        return UUID(path.stem) if path.suffix == ".json" else None
    except ValueError:
        return None


def _sync_directory(directory: Path) -> None:
    """Make sure that the name of a new file survives, too."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
