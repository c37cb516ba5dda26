"""Outages of the database: locks, and broken connections."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sqlite3
import threading
from collections.abc import Iterator
from urllib.parse import urlencode

import psycopg
from django.db import connection
from psycopg.conninfo import conninfo_to_dict


def database_url() -> str:
    """Return the URL of the test's database, for a process with a separate data directory."""
    if connection.vendor == "postgresql":
        return os.environ["DATABASE_URL"]
    return f"sqlite:///{connection.settings_dict['NAME']}"


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Block all other writes to the delivery log. Reads still work."""
    if connection.vendor == "postgresql":
        with psycopg.connect(database_url()) as holder:
            holder.execute("LOCK TABLE receivers_delivery IN EXCLUSIVE MODE")
            yield
            holder.rollback()
        return
    # The product may be writing, and on a busy machine that takes longer than the default timeout of 5 s.
    lock = sqlite3.connect(connection.settings_dict["NAME"], timeout=30.0, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        lock.execute("ROLLBACK")
        lock.close()


class DatabaseProxy:
    """A proxy to a database server that can break all connections and refuse new ones."""

    def __init__(self, url: str) -> None:
        options = conninfo_to_dict(url)
        self._host, self._server_port = str(options["host"]), int(options.get("port") or 5432)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        options |= {"host": "127.0.0.1", "port": self._port}
        self.url = "postgresql://?" + urlencode(options)
        self._accept(self._listener)

    def close(self) -> None:
        """Break all connections and refuse new ones."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for endpoint in self._open:
                with contextlib.suppress(OSError):
                    endpoint.shutdown(socket.SHUT_RDWR)
            self._open.clear()

    def open(self) -> None:
        """Accept connections again."""
        self._listener = socket.create_server(("127.0.0.1", self._port))
        self._accept(self._listener)

    def _accept(self, listener: socket.socket) -> None:
        def run() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    threading.Thread(target=self._serve, args=(client,), daemon=True).start()

        threading.Thread(target=run, daemon=True).start()

    def _connect(self) -> socket.socket:
        if not self._host.startswith("/"):
            return socket.create_connection((self._host, self._server_port))
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{self._host}/.s.PGSQL.{self._server_port}")
        return server

    def _serve(self, client: socket.socket) -> None:
        with client, self._connect() as server:
            with self._lock:
                self._open += [client, server]
            peers = {client: server, server: client}
            with contextlib.suppress(OSError):
                while True:
                    for source in select.select(list(peers), [], [])[0]:
                        if not (data := source.recv(65_536)):
                            return
                        peers[source].sendall(data)
