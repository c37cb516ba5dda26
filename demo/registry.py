"""A simulated registry: it stores pushes, and lists the tags of repositories, optionally with a delay.

It is an SQLite file, shared by several processes: `manage.py push` writes, the controller reads. Repository names are
normalized, so `docker.io/library/nginx` and `nginx` are the same repository.
"""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from receivers.kargo.repository_names import normalize_image

IMAGE_INDEX: Final = "application/vnd.oci.image.index.v1+json"
LOCK_TIMEOUT: Final = 10.0  # seconds to wait for another process's write, which takes milliseconds

_TABLE: Final = """
    CREATE TABLE IF NOT EXISTS pushes (
        id INTEGER PRIMARY KEY,
        repository TEXT NOT NULL,
        tag TEXT NOT NULL,
        digest TEXT NOT NULL,
        media_type TEXT NOT NULL,
        created_at REAL NOT NULL,
        visible_at REAL NOT NULL
    );
    CREATE INDEX IF NOT EXISTS pushes_of ON pushes (repository, tag);
"""
# The last visible push of each tag. The previous `latest` is listed until the new one is visible.
_VISIBLE: Final = """
    SELECT tag, digest, media_type, created_at FROM pushes WHERE id IN (
        SELECT max(id) FROM pushes WHERE repository = ? AND visible_at <= ? GROUP BY tag
    ) ORDER BY id
"""


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag in the registry. `created_at` is a Unix timestamp."""

    name: str
    digest: str
    media_type: str
    created_at: float


class Registry:
    """Repositories and their tags in the SQLite file `path`, which is created if it does not exist."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._open() as connection:
            connection.executescript(f"PRAGMA journal_mode=WAL; {_TABLE}")

    def put(
        self,
        repository: str,
        tag: str,
        *,
        media_type: str = IMAGE_INDEX,
        lag: float = 0.0,
        created_at: float | None = None,
        same_content: bool = False,
    ) -> Tag:
        """Push a tag, which the registry lists after `lag` seconds.

        The tag gets a new digest, or keeps its current one with `same_content`.
        """
        name, now = normalize_image(repository), time.time()
        pushed = Tag(tag, _new_digest(), media_type, now if created_at is None else created_at)
        with self._open() as connection:
            if same_content:
                pushed = _latest_push(connection, name, tag) or pushed
            connection.execute(
                "INSERT INTO pushes (repository, tag, digest, media_type, created_at, visible_at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (name, tag, pushed.digest, pushed.media_type, pushed.created_at, now + lag),
            )
        return pushed

    def tags(self, repository: str, *, lag: float = 0.0) -> tuple[Tag, ...]:
        """Return the tags of a repository as the registry listed them `lag` seconds ago, in push order."""
        with self._open() as connection:
            rows = connection.execute(_VISIBLE, (normalize_image(repository), time.time() - lag))
            return tuple(Tag(*row) for row in rows)

    def repositories(self) -> frozenset[str]:
        """Return the normalized names of all repositories with a tag."""
        with self._open() as connection:
            return frozenset(name for (name,) in connection.execute("SELECT DISTINCT repository FROM pushes"))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self._path, timeout=LOCK_TIMEOUT)
        try:
            with connection:
                yield connection
        finally:
            connection.close()


def _latest_push(connection: sqlite3.Connection, repository: str, tag: str) -> Tag | None:
    query = (
        "SELECT tag, digest, media_type, created_at FROM pushes"
        " WHERE repository = ? AND tag = ? ORDER BY id DESC LIMIT 1"
    )
    row = connection.execute(query, (repository, tag)).fetchone()
    return Tag(*row) if row else None


def _new_digest() -> str:
    return f"sha256:{hashlib.sha256(secrets.token_bytes(32)).hexdigest()}"
