"""The spool: a directory of deliveries that the database could not take, a file for each.

The next process finds what a process leaves behind when it ends. `DeliveryStore` decides what is spooled, and how long.
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

from receivers.models import Delivery

log = logging.getLogger(__name__)

MOST_DELIVERIES: Final = 5_000
MOST_BYTES: Final = 256 * 1024 * 1024
PARTIAL: Final = ".new"
PARTIAL_SECONDS: Final = 60.0  # after which no process can still be writing the file
UNUSABLE: Final = ".unusable"  # kept for inspection, and never retried


class NotKept(Exception):
    """The spool is full or not writable; the text says which."""


class InvalidFile(Exception):
    """A file does not contain a delivery; the text says why."""


class _ExactTimes(DjangoJSONEncoder):
    """Keeps microseconds, which Django's encoder cuts off."""

    def default(self, o: Any) -> Any:
        return o.isoformat() if isinstance(o, datetime) else super().default(o)


class Spool:
    """A directory of deliveries, at most `MOST_DELIVERIES` and `MOST_BYTES`. Thread-safe."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._sizes: dict[UUID, int] = {}
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
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
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
        """Write a delivery, and return when it is synced to disk. Raises `NotKept`."""
        data = serializers.serialize("json", [delivery], cls=_ExactTimes).encode()
        with self._lock:
            if self.problem or not self._fits():
                raise NotKept(self.problem or f"the spool is full ({len(self)} deliveries)")
            self._sizes[delivery.pk] = len(data)
        try:
            self._write(self._path(delivery.pk), data)
        except OSError as error:
            with self._lock:
                self._failed = True
                self._sizes.pop(delivery.pk)
            raise NotKept(f"{self._directory} is not writable: {error}") from error
        self._failed = False

    def ids(self) -> list[UUID]:
        """Return the ids of the spooled deliveries, oldest first."""
        with self._lock:
            return sorted(self._sizes)

    def read(self, delivery: UUID) -> Delivery:
        """Return a delivery as it was kept. Raises OSError, or `InvalidFile`."""
        data = self._path(delivery).read_bytes()
        try:
            # Another version of kargoweb may have written the file, with fields that no longer exist.
            [item] = serializers.deserialize("json", data, ignorenonexistent=True)
        except (DeserializationError, ValueError) as error:
            raise InvalidFile(str(error)) from error
        if not isinstance(item.object, Delivery):
            raise InvalidFile("it contains another type of object")
        return item.object

    def remove(self, delivery: UUID) -> None:
        """Delete the file of a delivery. Never raises: the next start finds what is left."""
        try:
            self._path(delivery).unlink(missing_ok=True)
        except OSError as error:
            log.warning("failed to delete delivery %s from the spool: %s", delivery, error)
        self._forget(delivery)

    def set_aside(self, delivery: UUID) -> None:
        """Rename a file that is of no use, so that it is kept for inspection and not read again. Never raises."""
        path = self._path(delivery)
        try:
            path.rename(path.with_suffix(UNUSABLE))
        except OSError as error:
            log.warning("failed to rename %s: %s", path, error)
        self._forget(delivery)

    def _forget(self, delivery: UUID) -> None:
        with self._lock:
            self._sizes.pop(delivery, None)

    def _fits(self) -> bool:
        return len(self._sizes) < MOST_DELIVERIES and sum(self._sizes.values()) < MOST_BYTES

    def _path(self, delivery: UUID) -> Path:
        return self._directory / f"{delivery}.json"

    def _write(self, path: Path, data: bytes) -> None:
        new = path.with_suffix(PARTIAL)
        try:
            new.touch(mode=0o600)
            with new.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            new.rename(path)
        except OSError:
            new.unlink(missing_ok=True)
            raise
        _sync_directory(self._directory)


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
