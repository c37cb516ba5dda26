"""`DATABASE_URL` to Django's settings of a database."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

SQLITE_OPTIONS: Final = {
    # A writer takes its lock at the start instead of failing when it first writes.
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    # FULL: a delivery that we have acted on survives a power cut; with batched commits it costs nothing measurable.
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA journal_size_limit=67108864;",
}
POSTGRESQL_OPTIONS: Final = {
    # A server that has died without a word is noticed after ten seconds, not after a quarter of an hour.
    "connect_timeout": 5,
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}
FORMS: Final = "takes sqlite:///path or postgresql://user:password@host:5432/name"
ESCAPES: Final = "in user and password, @ : / % are written %40 %3A %2F %25"


def database(url: str) -> dict[str, Any]:
    """Return Django's settings of the database that an address names.

    Raises ValueError with a sentence that says what is wrong; the address has a password in it and is not repeated.
    """
    scheme = url.partition(":")[0].lower()
    if scheme == "sqlite":
        return sqlite(_sqlite_path(url))
    if scheme in {"postgres", "postgresql"}:
        return _postgresql(url)
    raise ValueError(FORMS)


def sqlite(path: Path) -> dict[str, Any]:
    """Return Django's settings of a database in a file."""
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path), "OPTIONS": SQLITE_OPTIONS}


def _sqlite_path(url: str) -> Path:
    parts = urlsplit(url)
    path = unquote(parts.path.removeprefix("/"))
    if parts.netloc or parts.query or not path or path == ":memory:":
        raise ValueError(
            "takes sqlite:///relative/path or sqlite:////absolute/path, without options; a database in memory would "
            "forget its deliveries"
        )
    if not Path(path).absolute().parent.is_dir():
        raise ValueError(f"names a file in {Path(path).absolute().parent}, which is not a directory")
    return Path(path).absolute()


def _postgresql(url: str) -> dict[str, Any]:
    """Read an address as `psql` does, with the options that libpq has (sslmode, host=/run/postgresql, service, ...)."""
    # Here, not above: it takes a tenth of a second, which nobody on SQLite should wait for.
    from psycopg import ProgrammingError  # noqa: PLC0415
    from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415

    try:
        options: dict[str, Any] = conninfo_to_dict(url)
    except ProgrammingError as error:
        raise ValueError(_without_secrets(str(error))) from None
    host, port = options.pop("host", ""), options.pop("port", "")
    if "@" in host or (port and not port.replace(",", "").isdigit()):
        raise ValueError(f"has no usable host or port; it {FORMS}; {ESCAPES}")
    name = options.pop("dbname", "")
    if not name and "service" not in options:
        raise ValueError(f"names no database; it {FORMS}")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": options.pop("user", ""),
        "PASSWORD": options.pop("password", ""),
        "HOST": host,
        "PORT": port,
        "OPTIONS": POSTGRESQL_OPTIONS | options,
        "CONN_MAX_AGE": None,  # a connection per thread, kept: making one costs more than what is done with it
        "CONN_HEALTH_CHECKS": True,
    }


def _without_secrets(message: str) -> str:
    """Return what may be told of libpq's message: the name of an option, but no piece of the address."""
    if message.startswith("invalid URI query parameter: "):
        return f"has an option that PostgreSQL does not know: {message.partition(': ')[2].strip()}"
    return f"cannot be read; it {FORMS}; {ESCAPES}"
