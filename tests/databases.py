"""The databases of a test process.

The shared product serves one of them. A serving process works on every unfinished row of its database, so tests that
store such rows themselves, or serve another cluster, use the other one. A test that needs a database without any rows
gets a temporary one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import psycopg
from django.conf import settings
from django.core.management import call_command
from django.db import OperationalError, connection

from tests.clusters import until
from tests.settings import SERVER_URL


@dataclass(frozen=True, slots=True)
class ProcessDatabase:
    """A database as Django names it, and the environment in which a new process uses it."""

    name: str
    environment: dict[str, str]

    def use(self) -> None:
        """Use this database in this process, and in the processes that it starts from now on."""
        if connection.settings_dict["NAME"] != self.name:
            connection.close()
            # Connections of other threads are opened with these settings, too.
            connection.settings_dict["NAME"] = self.name
        os.environ |= self.environment

    @contextlib.contextmanager
    def migrated(self) -> Iterator[None]:
        """Create and migrate the database; drop it at the end."""
        # Nobody connects to template0; a connection to template1 would make CREATE DATABASE fail.
        with self._created("template0"):
            self.use()
            # While all workers create their databases, a connection may take longer than the product waits for one.
            until("the database answers", _answers)
            call_command("migrate", verbosity=0)
            connection.close()  # PostgreSQL copies only databases without connections
            yield

    @contextlib.contextmanager
    def copied_from(self, original: ProcessDatabase) -> Iterator[None]:
        """Create the database as a copy, which takes less time than the migrations; drop it at the end."""
        with self._created(original.name):
            if connection.vendor == "sqlite":
                shutil.copyfile(original.name, self.name)
            yield

    @contextlib.contextmanager
    def _created(self, template: str) -> Iterator[None]:
        if connection.vendor == "postgresql":
            _administer(f'CREATE DATABASE "{self.name}" TEMPLATE "{template}"')
        yield
        if connection.settings_dict["NAME"] == self.name:
            connection.close()
        if connection.vendor == "postgresql":
            _administer(f'DROP DATABASE "{self.name}" WITH (FORCE)')


def _derived(suffix: str) -> ProcessDatabase:
    """Return another database on the same server, with a data directory of its own."""
    data_dir = Path(SERVED.environment["KARGOWEB_DATA_DIR"]) / suffix
    data_dir.mkdir(exist_ok=True)
    environment = {"KARGOWEB_DATA_DIR": str(data_dir)}
    if not SERVER_URL.startswith("postgres"):
        return ProcessDatabase(str(data_dir / Path(SERVED.name).name), environment)
    name = f"{SERVED.name}_{suffix}"
    environment["DATABASE_URL"] = urlsplit(SERVER_URL)._replace(path=f"/{name}").geturl()
    return ProcessDatabase(name, environment)


def _administer(statement: str) -> None:
    with psycopg.connect(SERVER_URL, autocommit=True) as server:
        server.execute(statement)


def _answers() -> bool:
    """Say whether the database takes a connection."""
    try:
        connection.ensure_connection()
    except OperationalError:
        return False
    return True


SERVED: Final = ProcessDatabase(
    str(settings.DATABASES["default"]["NAME"]),
    {name: os.environ[name] for name in ("KARGOWEB_DATA_DIR", "DATABASE_URL") if name in os.environ},
)
UNSERVED: Final = _derived("unserved")
_EMPTY: Final = _derived("empty")


@contextlib.contextmanager
def created_databases() -> Iterator[None]:
    """Create `SERVED` and `UNSERVED`; drop them at the end."""
    with _EMPTY.migrated(), SERVED.copied_from(_EMPTY), UNSERVED.copied_from(_EMPTY):
        yield


@contextlib.contextmanager
def temporary_database() -> Iterator[None]:
    """Use a database without rows inside the block, then `UNSERVED` again."""
    database = _derived("temporary")
    with database.copied_from(_EMPTY):
        database.use()
        yield
        UNSERVED.use()
    shutil.rmtree(database.environment["KARGOWEB_DATA_DIR"])
