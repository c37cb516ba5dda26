"""The data directory: created with the files in it, which only their owner can read, so that a fresh checkout runs."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from pathlib import Path

from kargoweb.environment import ConfigurationError
from kargoweb.setting_values import secret_key


def create_files(data_dir: Path, key: str, database_file: Path | None) -> str:
    """Create what is needed and missing, and return the secret key: `key`, or if that is empty the stored one.

    `database_file` is that of SQLite, None on another database. The directory is created if it has one of both. Raises
    `ConfigurationError`.
    """
    try:
        if not key or (database_file is not None and database_file.parent == data_dir):
            data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = key or _stored_secret_key(data_dir)
    except OSError as error:
        problem = (
            f"KARGOWEB_DATA_DIR is {str(data_dir)!r}; it must be a directory writable by user {os.getuid()}"
        )
        raise ConfigurationError(f"{problem} ({error.strerror})") from error
    if database_file is not None:
        _create_database_file(database_file)
    return key


def _create_database_file(path: Path) -> None:
    """Create the SQLite file if it is missing, because SQLite would let everyone read it and its journals."""
    try:
        path.touch(mode=0o600)
    except OSError as error:
        raise ConfigurationError(
            f"DATABASE_URL: {path} must be a file writable by user {os.getuid()} ({error.strerror})"
        ) from error


def _stored_secret_key(data_dir: Path) -> str:
    """Return the key stored in the data directory; generate it on the first start.

    The key is written to a temporary file and linked into place. If two processes start at the same time, the first
    link wins, and no process reads a partial key.
    """
    path = data_dir / "secret-key"
    if not path.exists():
        with tempfile.NamedTemporaryFile("w", dir=data_dir) as new, contextlib.suppress(FileExistsError):
            new.write(secrets.token_urlsafe(50))
            new.flush()
            path.hardlink_to(new.name)
    try:
        return secret_key(path.read_text(encoding="utf-8").strip())
    except ValueError:  # a power failure may have emptied it
        raise ConfigurationError(f"{path} contains no secret key; delete it to generate a new one") from None
