"""Lock a table of the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

# Statements that set a short lock timeout, and the default of the product.
LOCK_TIMEOUTS = {
    "sqlite": ("PRAGMA busy_timeout = 100", "PRAGMA busy_timeout = 20000"),
    "postgresql": ("SET lock_timeout = '100ms'", "SET lock_timeout = 0"),
}


@contextmanager
def locked_table(name: str) -> Iterator[None]:
    """Lock a table in another connection, and give our connection a short lock timeout."""
    short_timeout, default_timeout = LOCK_TIMEOUTS[connection.vendor]
    other = connection.copy()
    try:
        with other.cursor() as cursor, connection.cursor() as ours:
            ours.execute(short_timeout)
            cursor.execute("BEGIN IMMEDIATE" if connection.vendor == "sqlite" else "BEGIN")
            if connection.vendor == "postgresql":
                cursor.execute(f"LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE")
            yield
            cursor.execute("ROLLBACK")
            ours.execute(default_timeout)
    finally:
        other.close()
