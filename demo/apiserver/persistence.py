"""Store the objects in a file that survives restarts: a journal of writes, regularly compacted into a snapshot.

Each write is one line of JSON, appended before the write takes effect. A line is appended with one `write` call, so it
survives a SIGKILL at any time. A last line that a power failure has truncated is dropped. When the journal has grown
well beyond the size of its objects, it is replaced atomically by a snapshot.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import Final

import orjson

from demo.apiserver.storage import Store, Stored

# Bytes by which the journal can exceed twice the size of its last snapshot before it is rewritten.
SLACK: Final = 32 * 1024 * 1024


class DataFileBusyError(Exception):
    """Another server uses the data file."""


def _put_line(qualified: str, stored: Stored) -> tuple[bytes, bytes, bytes]:
    """Return the line that stores an object, in parts, because joining them would copy the object."""
    # Types and keys are validated names, so they need no escaping.
    head = f'{{"type":"{qualified}","key":"{stored.key}","version":{stored.version},"object":'
    return head.encode(), stored.encoded, b"}\n"


class FileJournal:
    """A journal in a file, which only one process can use at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise DataFileBusyError(f"{path} is in use by another API server") from None
        self._file = -1
        self._size = self._limit = 0

    def load(self, store: Store) -> int:
        """Load the objects into an empty store and open the file for writing. Return the number of objects."""
        objects: dict[tuple[str, str], Stored] = {}
        version = store.version
        for line in self._path.read_bytes().splitlines() if self._path.exists() else []:
            try:
                record = orjson.loads(line)
            except orjson.JSONDecodeError:
                break  # truncated by a power failure; no later write was confirmed
            version = record["version"]
            if "object" in record:
                key, content = record["key"], record["object"]
                objects[record["type"], key] = Stored(key, content, version, orjson.dumps(content))
            elif "key" in record:
                objects.pop((record["type"], record["key"]), None)
        store.start_at(max(version, store.version))
        for (qualified, _), stored in objects.items():
            store.collection(qualified).load(stored)
        self.rewrite(store)
        return len(objects)

    def rewrite(self, store: Store) -> None:
        """Replace the file atomically by a snapshot of the store."""
        lines = [
            part
            for qualified, collection in store.collections().items()
            for stored in collection.objects.values()
            for part in _put_line(qualified, stored)
        ]
        lines.append(orjson.dumps({"version": store.version}) + b"\n")
        temporary = self._path.with_name(self._path.name + ".new")
        with open(
            os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb"
        ) as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
            self._size = file.tell()
        temporary.replace(self._path)
        if self._file >= 0:
            os.close(self._file)
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._limit = 2 * self._size + SLACK

    def put(self, qualified: str, stored: Stored) -> None:
        """Store an object. Raises OSError."""
        self._append(*_put_line(qualified, stored))

    def delete(self, qualified: str, key: str, version: int) -> None:
        """Store the deletion of an object. Raises OSError."""
        self._append(orjson.dumps({"type": qualified, "key": key, "version": version}) + b"\n")

    def _append(self, *parts: bytes) -> None:
        written = os.writev(self._file, parts)
        if written < sum(map(len, parts)):
            os.ftruncate(self._file, self._size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._size += written

    def needs_rewrite(self) -> bool:
        """Return whether the journal has outgrown its limit."""
        return self._size > self._limit

    def close(self) -> None:
        """Close the file and release its lock."""
        os.close(self._file)
        os.close(self._lock)
