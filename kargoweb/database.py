"""Convert `DATABASE_URL` to Django's database settings, and describe database errors."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

SQLITE: Final = "django.db.backends.sqlite3"
POSTGRESQL: Final = "django.db.backends.postgresql"
SQLITE_OPTIONS: Final = {
    # A transaction takes the write lock when it begins. Otherwise it could fail at its first write (SQLITE_BUSY).
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    # FULL: a delivery survives a power failure once it is acted on. Commits are batched, so the cost is negligible.
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA journal_size_limit=67108864;",
}
DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
POSTGRESQL_OPTIONS: Final = {
    # Detect a server that is gone within ten seconds instead of TCP's fifteen minutes.
    "connect_timeout": 5,
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}
FORMS: Final = "must be sqlite:///path or postgresql://user:password@host:5432/name"
ESCAPES: Final = "in the user and password, write @ : / % as %40 %3A %2F %25"


def database(url: str) -> dict[str, Any]:
    """Return Django's settings for the database of a URL.

    Raises ValueError with the problem. The message never includes the URL, which may contain a password.
    """
    scheme = url.partition(":")[0].lower()
    if scheme == "sqlite":
        return sqlite(_sqlite_path(url))
    if scheme in {"postgres", "postgresql"}:
        return _postgresql(url)
    raise ValueError(FORMS)


def sqlite(path: Path) -> dict[str, Any]:
    """Return Django's settings for a database file."""
    return {"ENGINE": SQLITE, "NAME": str(path), "OPTIONS": SQLITE_OPTIONS}


def describe_error(error: Exception) -> str:
    """Return a database error as one line, with the remedy if the SQLite file is damaged."""
    line = " ".join(str(error).split())
    # SQLite's extended codes have the primary one in their lowest byte.
    if getattr(error.__cause__, "sqlite_errorcode", 0) & 0xFF in DAMAGED:
        return (
            f"The SQLite file is damaged: {line}. Restore it from a backup, or move it away, together with the files "
            "of the same name that end in -wal and -shm, to start with an empty delivery log."
        )
    return f"Can't use the database: {line}"


def _sqlite_path(url: str) -> Path:
    parts = urlsplit(url)
    path = unquote(parts.path.removeprefix("/"))
    if parts.netloc or parts.query or not path or path == ":memory:":
        raise ValueError(
            "must be sqlite:///relative/path or sqlite:////absolute/path, without options; an in-memory database "
            "would lose its deliveries"
        )
    if not Path(path).absolute().parent.is_dir():
        raise ValueError(f"names a file in {Path(path).absolute().parent}, which is not a directory")
    return Path(path).absolute()


def _postgresql(url: str) -> dict[str, Any]:
    """Parse a URL as `psql` does, with libpq's options (sslmode, host=/run/postgresql, service, ...)."""
    from psycopg import ProgrammingError  # noqa: PLC0415 - takes 0.1 s, which installations on SQLite can save
    from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415 - likewise

    try:
        options: dict[str, Any] = conninfo_to_dict(url)
    except ProgrammingError as error:
        raise ValueError(_without_secrets(str(error))) from None
    host, port = options.pop("host", ""), options.pop("port", "")
    if "@" in host or (port and not port.replace(",", "").isdigit()):
        raise ValueError(f"has no valid host or port; it {FORMS}; {ESCAPES}")
    name = options.pop("dbname", "")
    if not name and "service" not in options:
        raise ValueError(f"names no database; it {FORMS}")
    return {
        "ENGINE": POSTGRESQL,
        "NAME": name,
        "USER": options.pop("user", ""),
        "PASSWORD": options.pop("password", ""),
        "HOST": host,
        "PORT": port,
        "OPTIONS": POSTGRESQL_OPTIONS | options,
        "CONN_MAX_AGE": None,  # keep one connection per thread: connecting costs more than most requests
        "CONN_HEALTH_CHECKS": True,
    }


def _without_secrets(message: str) -> str:
    """Return libpq's message without any part of the URL except the name of an option."""
    if message.startswith("invalid URI query parameter: "):
        return f"has an unknown option: {message.partition(': ')[2].strip()}"
    return f"cannot be parsed; it {FORMS}; {ESCAPES}"
