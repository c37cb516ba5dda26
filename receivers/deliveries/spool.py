"""The spool: deliveries on local disk while the database is unavailable.

Each delivery has a file, synced before the push is processed and answered. The file is deleted when the delivery is in
the log. The next process stores what a process leaves behind when it ends.
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
STORE_TIMEOUT: Final = 30.0  # seconds; the next call retries
PARTIAL: Final = ".new"
PARTIAL_SECONDS: Final = 60.0  # after which no process can still be writing the file
UNUSABLE: Final = ".unusable"  # kept for inspection, and never retried


class NotKept(Exception):
    """The spool is full or not writable; the text says which."""


class _ExactTimes(DjangoJSONEncoder):
    """Keeps microseconds, which Django's encoder cuts off."""

    def default(self, o: Any) -> Any:
        return o.isoformat() if isinstance(o, datetime) else super().default(o)


class Spool:
    """A directory of deliveries, at most `MOST_DELIVERIES` and `MOST_BYTES`. Thread-safe.

    A delivery is in use by its request from `keep` to `settle`; the `SpoolReader` stores all others in the log.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._sizes: dict[UUID, int] = {}
        self._in_use: set[UUID] = set()
        self.problem = ""
        self._failed = False

    def __len__(self) -> int:
        """Return the number of spooled deliveries."""
        return len(self._sizes)

    @property
    def has_room(self) -> bool:
        """Say whether another delivery is likely to be accepted, without trying."""
        with self._lock:
            return not self.problem and not self._failed and self._fits()

    def open(self) -> None:
        """Create the directory if it is missing, and scan it. Sets `problem` if it is unusable."""
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            files = {path: stat for path in self._directory.iterdir() if (stat := _stat(path))}
            for path, stat in files.items():
                if path.suffix == PARTIAL and time.time() - stat.st_mtime > PARTIAL_SECONDS:
                    path.unlink(missing_ok=True)
        except OSError as error:
            self.problem = f"{self._directory} is unusable: {error}"
            log.warning(
                "the spool is disabled, so pushes are refused while the database is unavailable: %s",
                self.problem,
            )
            return
        self._sizes = {key: stat.st_size for path, stat in files.items() if (key := _key(path))}
        if self._sizes:
            log.warning(
                "storing %d spooled deliveries, received while the database was unavailable", len(self)
            )

    def keep(self, delivery: Delivery) -> None:
        """Write a delivery, in use from now on. Return when it is synced to disk. Raises `NotKept`."""
        data = serializers.serialize("json", [delivery], cls=_ExactTimes).encode()
        with self._lock:
            if self.problem or not self._fits():
                raise NotKept(self.problem or f"the spool is full ({len(self)} deliveries)")
            self._sizes[delivery.pk] = len(data)
            self._in_use.add(delivery.pk)
        try:
            self._write(self._path(delivery.pk), data)
        except OSError as error:
            with self._lock:
                self._failed = True
                self._sizes.pop(delivery.pk)
                self._in_use.discard(delivery.pk)
            raise NotKept(f"{self._directory} is not writable: {error}") from error
        self._failed = False

    def settle(self, delivery: UUID, error: Exception | None) -> None:
        """End the use of a delivery, and delete its file unless `error` says that it isn't in the log. Never raises."""
        if error is None:
            self.forget(delivery)
        with self._lock:
            self._in_use.discard(delivery)

    def unused(self) -> list[UUID]:
        """Return the deliveries that are not in use, oldest first."""
        with self._lock:
            return sorted(self._sizes.keys() - self._in_use)

    def read(self, delivery: UUID) -> Delivery:
        """Return a delivery as it was kept. Raises OSError, or `NotStored` if its file is invalid."""
        data = self._path(delivery).read_bytes()
        try:
            # Another version of kargoweb may have written the file, with fields that no longer exist.
            [item] = serializers.deserialize("json", data, ignorenonexistent=True)
        except (DeserializationError, ValueError) as error:
            raise NotStored(f"its file is invalid: {error}", refused=True) from error
        if not isinstance(item.object, Delivery):
            raise NotStored("its file holds another type of object", refused=True)
        return item.object

    def forget(self, delivery: UUID, suffix: str = "") -> None:
        """Delete a file, or rename it to another suffix. Never raises: the next start finds what is left."""
        path = self._path(delivery)
        try:
            if suffix:
                path.rename(path.with_suffix(suffix))
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("failed to delete %s: %s", path, error)
        with self._lock:
            self._sizes.pop(delivery, None)

    def _fits(self) -> bool:
        return len(self._sizes) < MOST_DELIVERIES and sum(self._sizes.values()) < MOST_BYTES

    def _path(self, delivery: UUID) -> Path:
        return self._directory / f"{delivery}.json"

    def _write(self, path: Path, data: bytes) -> None:
        new = path.with_suffix(PARTIAL)
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
    """Moves deliveries from the spool to the log, where recovery finishes them."""

    def __init__(self, spool: Spool, writer: LogWriter) -> None:
        self._spool = spool
        self._writer = writer

    def work(self) -> bool:
        """Move all deliveries that are not in use. Return False: there is never more to do at once."""
        for key in self._spool.unused():
            if self._writer.stuck:
                break
            self._store(key)
        return False

    def _store(self, key: UUID) -> None:
        try:
            delivery = self._spool.read(key)
            self._writer.submit(Write(perhaps=(delivery,))).wait(STORE_TIMEOUT)
        except FileNotFoundError:
            self._spool.forget(key)  # another process on this directory was faster
        except NotStored as error:
            log.warning("delivery %s stays in the spool: %s", key, error)
            if error.refused:
                self._spool.forget(key, UNUSABLE)
        except OSError as error:
            log.warning("delivery %s can't be read from the spool: %s", key, error)
        else:
            self._spool.forget(key)
            log.info("stored delivery %s from the spool", key)


def _stat(path: Path) -> os.stat_result | None:
    """Return the status of a file; None if another process on the directory has deleted it."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _key(path: Path) -> UUID | None:
    """Return the id of the delivery in a file; None if it isn't a file of the spool."""
    try:
        return UUID(path.stem) if path.suffix == ".json" else None
    except ValueError:
        return None


def _sync_directory(directory: Path) -> None:
    """Make the name of a new file durable, too: syncing the file alone doesn't."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
