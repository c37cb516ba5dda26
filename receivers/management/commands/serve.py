"""`manage.py serve`: run the web server and its background threads."""

from __future__ import annotations

import os
import resource
import socket
import sys
import time
from typing import Any, Final, NoReturn

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError, connection
from django.db.migrations.loader import MigrationLoader

from kargoweb import VERSION
from kargoweb.configuration import Configuration
from kargoweb.database import describe_error

DATABASE_TIMEOUT: Final = 60.0  # seconds; a database that starts at the same time takes that long
# Seconds for the worker to exit after SIGTERM, as in Kubernetes. A worker that has just been forked ignores the signal
# for some milliseconds, and granian would wait for it forever.
KILL_TIMEOUT: Final = 30
# Seconds for the headers of a request, or for an idle connection. The longest that granian takes, because a proxy that
# reuses a connection at the moment when it is closed loses a push; ingress-nginx closes idle ones after 60 s.
HEADER_SECONDS: Final = 60
# A silent client holds its connection for `HEADER_SECONDS`. Each takes about 10 KB.
MAX_CONNECTIONS: Final = 4_096
OWN_FILES: Final = 256  # file descriptors for the database, the cluster, the spool and the log
MIGRATION_LOCK: Final = 0x6B617267  # an arbitrary number: two pods that start together must not both migrate


class Command(BaseCommand):
    """Migrate the database, then serve until a signal stops the process."""

    # They check the code, which is the same in every installation, and would load the application a second time.
    requires_system_checks = ()
    help = "Migrate the database, then serve webhooks and pages on KARGOWEB_BIND:PORT."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--no-migrate", action="store_true", help="do not migrate the database")

    def handle(self, *args: Any, **options: Any) -> None:
        configuration = settings.KARGOWEB
        if not options["no_migrate"]:
            migrate()
        check_address(configuration.bind, configuration.port)
        replace_with_server(configuration)


def replace_with_server(configuration: Configuration) -> NoReturn:
    """Become granian's main process, which starts a worker with the application and waits for it.

    A new program takes the place of this one, because a main process that has loaded Django would keep that memory.
    """
    arguments = [
        "kargoweb.serving:application",
        "--interface=rsgi",
        f"--working-dir={settings.BASE_DIR}",  # where the worker imports kargoweb from
        f"--host={configuration.bind}",
        f"--port={configuration.port}",
        # One process: it holds the cluster cache, and SQLite has one writer. For more capacity, run more pods on
        # PostgreSQL.
        "--workers=1",
        "--loop=uvloop",  # asyncio's loop takes three times the CPU time per request
        # Proxies and Docker Hub use HTTP/1. With HTTP/2, a client that is silent from the start is never disconnected.
        "--http=1",
        "--no-ws",
        f"--http1-header-read-timeout={HEADER_SECONDS * 1000}",
        f"--backpressure={connection_limit()}",
        f"--workers-kill-timeout={KILL_TIMEOUT}",
        # Granian warns about many threads on few cores; these threads mostly wait for the database and the cluster.
        "--log-level=error",
    ]
    # glibc gives each thread a heap of its own, which keeps what was once used. Two heaps save a tenth of the memory
    # (171 to 160 MB with 10,200 Warehouses); threads don't wait for each other, as one at a time runs Python.
    os.environ.setdefault("MALLOC_ARENA_MAX", "2")
    os.execv(sys.executable, [sys.executable, "-m", "granian", *arguments])  # noqa: S606 - no shell


def connection_limit() -> int:
    """Return how many connections clients may have. Raises the limit of open files, which is 1024 on many machines."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + OWN_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return (
        MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else max(1, min(MAX_CONNECTIONS, soft - OWN_FILES))
    )


def check_address(host: str, port: int) -> None:
    """Raise `CommandError` if the server cannot listen there. Granian itself would print a traceback."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # A port of which only closed connections are left is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CommandError(
                f"Can't listen on {host} port {port}: {error.strerror}. Set KARGOWEB_BIND or PORT.",
                returncode=3,
            ) from error


def migrate() -> None:
    """Apply the migrations, one process at a time. Wait for a database that is still starting.

    Raises `CommandError` if the database stays unreachable for `DATABASE_TIMEOUT` seconds, or if a newer version of
    kargoweb has migrated it.
    """
    deadline = time.monotonic() + DATABASE_TIMEOUT
    while True:
        try:
            connection.ensure_connection()
            break
        except OperationalError as error:
            if time.monotonic() > deadline:
                raise CommandError(describe_error(error), returncode=3) from error
            time.sleep(1)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [MIGRATION_LOCK])
    try:
        refuse_newer_schema()
        call_command("migrate", verbosity=0, interactive=False)
    finally:
        connection.close()  # releases the lock


def refuse_newer_schema() -> None:
    """Raise `CommandError` if the database has a migration that this version doesn't know.

    Django would start, and fail later, one statement at a time.
    """
    loader = MigrationLoader(connection)
    unknown = sorted(
        name
        for app, name in loader.applied_migrations or ()
        if app == "receivers" and (app, name) not in loader.disk_migrations
    )
    if unknown:
        raise CommandError(
            f"The database was migrated by a newer version of kargoweb than {VERSION} (it has {unknown[-1]}). "
            "Run that version, or restore a backup from before the upgrade.",
            returncode=3,
        )
