"""State that survives the process: a journal of writes, compacted into a snapshot.

One line of JSON per write, written before the write counts. A line reaches the kernel in one `write`, so it survives
a SIGKILL at any point; after a power cut a torn last line is dropped. The file is rewritten, through a
temporary file and a rename, when it has grown well beyond what it describes.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import Final

import orjson

from demo.apiserver.storage import Store, Stored

SLACK: Final = (
    32 * 1024 * 1024
)  # bytes the journal may grow beyond twice its last snapshot before it is rewritten


class DataFileBusyError(Exception):
    """Another server uses the data file."""


def _put_line(qualified: str, stored: Stored) -> tuple[bytes, bytes, bytes]:
    """Return the line that keeps an object, in parts: joining them would copy the object once more."""
    # Types and keys are checked names: there is nothing to escape.
    head = f'{{"type":"{qualified}","key":"{stored.key}","version":{stored.version},"object":'
    return head.encode(), stored.encoded, b"}\n"


class FileJournal:
    """Writes go to a file. Only one process may use it at a time."""

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
        """Fill an empty store from the file and start writing to it; returns the number of objects."""
        objects: dict[tuple[str, str], Stored] = {}
        version = store.version
        for line in self._path.read_bytes().splitlines() if self._path.exists() else []:
            try:
                record = orjson.loads(line)
            except orjson.JSONDecodeError:
                break  # torn by a power cut; nothing after it was ever confirmed
            version = record["version"]
            if "object" in record:
                where = (record["type"], record["key"])
                content = record["object"]
                objects[where] = Stored(where[1], content, version, orjson.dumps(content))
            elif "key" in record:
                objects.pop((record["type"], record["key"]), None)
        store.start_at(max(version, store.version))
        for (qualified, _), stored in objects.items():
            store.collection(qualified).load(stored)
        self.rewrite(store)
        return len(objects)

    def rewrite(self, store: Store) -> None:
        """Replace the file by a snapshot of the store. The data file is whole at every moment."""
        lines = [
            part
            for qualified, collection in store.collections().items()
            for stored in collection.objects.values()
            for part in _put_line(qualified, stored)
        ]
        lines.append(orjson.dumps({"version": store.version}) + b"\n")
        draft = self._path.with_name(self._path.name + ".new")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
            self._size = file.tell()
        draft.replace(self._path)
        if self._file >= 0:
            os.close(self._file)
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._limit = 2 * self._size + SLACK

    def put(self, qualified: str, stored: Stored) -> None:
        """Keep an object. Raises OSError."""
        self._append(*_put_line(qualified, stored))

    def delete(self, qualified: str, key: str, version: int) -> None:
        """Keep that an object is gone. Raises OSError."""
        self._append(orjson.dumps({"type": qualified, "key": key, "version": version}) + b"\n")

    def _append(self, *parts: bytes) -> None:
        written = os.writev(self._file, parts)
        if written < sum(map(len, parts)):
            os.ftruncate(self._file, self._size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._size += written

    def overgrown(self) -> bool:
        """Say whether it is time to rewrite the file."""
        return self._size > self._limit

    def close(self) -> None:
        """Close the file and let others use it."""
        os.close(self._file)
        os.close(self._lock)
