"""`manage.py serve`: the web server with everything that runs beside it."""

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

DATABASE_PATIENCE: Final = 60.0  # seconds; a database that starts together with us takes that long
MIGRATION_LOCK: Final = 0x6B617267  # an arbitrary number: two pods that start together must not both migrate


class Command(BaseCommand):
    """Bring the database up to date, then serve until told to stop."""

    help = "Serve webhooks and pages on KARGOWEB_BIND:PORT. Brings the database up to date first."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--no-migrate", action="store_true", help="leave the database as it is")

    def handle(self, *args: Any, **options: Any) -> None:
        configuration = settings.KARGOWEB
        if not options["no_migrate"]:
            migrate()
        Server(
            "kargoweb.serving:application",
            address=configuration.bind,
            port=configuration.port,
            interface=Interfaces.WSGI,
            # One process: the cache is in it, and SQLite has one writer. More capacity is more pods on PostgreSQL.
            workers=1,
            blocking_threads=configuration.threads,
            websockets=False,
            # Its warnings are about many threads on few cores; ours wait for the database and the cluster.
            log_level=LogLevels.error,
        ).serve()


def migrate() -> None:
    """Apply the migrations, one process at a time; wait for a database that is not up yet.

    Raises `CommandError` when it does not come.
    """
    deadline = time.monotonic() + DATABASE_PATIENCE
    while True:
        try:
            connection.ensure_connection()
            break
        except OperationalError as error:
            if time.monotonic() > deadline:
                raise CommandError(f"The database cannot be reached: {error}") from error
            time.sleep(1)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [MIGRATION_LOCK])
    try:
        call_command("migrate", verbosity=0, interactive=False)
    finally:
        connection.close()  # which gives the lock back; and the worker must not inherit the connection
