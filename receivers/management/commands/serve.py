"""`manage.py serve`: run the web server and its background threads."""

from __future__ import annotations

import time
from typing import Any, Final

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError, connection
from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server import Server

DATABASE_TIMEOUT: Final = 60.0  # seconds; a database that starts at the same time takes that long
MIGRATION_LOCK: Final = 0x6B617267  # an arbitrary number: two pods that start together must not both migrate


class Command(BaseCommand):
    """Migrate the database, then serve until a signal stops the process."""

    help = "Migrate the database, then serve webhooks and pages on KARGOWEB_BIND:PORT."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--no-migrate", action="store_true", help="do not migrate the database")

    def handle(self, *args: Any, **options: Any) -> None:
        configuration = settings.KARGOWEB
        if not options["no_migrate"]:
            migrate()
        Server(
            "kargoweb.serving:application",
            address=configuration.bind,
            port=configuration.port,
            interface=Interfaces.WSGI,
            # One process: it holds the cluster cache, and SQLite has one writer. For more capacity, run more pods on
            # PostgreSQL.
            workers=1,
            blocking_threads=configuration.threads,
            websockets=False,
            # Granian warns about many threads on few cores; these threads mostly wait for the database and the cluster.
            log_level=LogLevels.error,
        ).serve()


def migrate() -> None:
    """Apply the migrations, one process at a time. Wait for a database that is still starting.

    Raises `CommandError` if the database stays unreachable for `DATABASE_TIMEOUT` seconds.
    """
    deadline = time.monotonic() + DATABASE_TIMEOUT
    while True:
        try:
            connection.ensure_connection()
            break
        except OperationalError as error:
            if time.monotonic() > deadline:
                raise CommandError(f"Can't reach the database: {error}") from error
            time.sleep(1)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [MIGRATION_LOCK])
    try:
        call_command("migrate", verbosity=0, interactive=False)
    finally:
        connection.close()  # releases the lock; the worker process must not inherit the connection
