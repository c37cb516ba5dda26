"""`python -m demo.apiserver`: run the API server until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import signal
import ssl
import sys
from pathlib import Path
from typing import Final

from demo.apiserver.access import ApiAccess, read_tokens
from demo.apiserver.api import Api
from demo.apiserver.deleter import Deleter
from demo.apiserver.faults import Faults
from demo.apiserver.kargo_types import kargo_definitions
from demo.apiserver.persistence import DataFileBusyError, FileJournal
from demo.apiserver.queries import BOOKMARK_INTERVAL, Watches
from demo.apiserver.resource_types import DEFINITIONS, NAMESPACES, Catalog, from_definition
from demo.apiserver.storage import HISTORY, Store
from demo.apiserver.wire import listen
from demo.apiserver.writer import Writer

DEFAULT_NAMESPACES: Final = ("default", "kube-system")
# The namespace of Kargo's chart, and that of the ClusterConfig's Secrets.
KARGO_NAMESPACES: Final = ("kargo", "kargo-system-resources")
MAINTENANCE_INTERVAL: Final = 5.0  # seconds


def arguments() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m demo.apiserver", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8001, help="port to listen on; 0 chooses a free port")
    parser.add_argument(
        "--certificate",
        type=Path,
        help="serve TLS: PEM file with the certificate and its key (default: HTTP)",
    )
    parser.add_argument(
        "--data", type=Path, help="file that stores the objects (default: keep them in memory)"
    )
    parser.add_argument("--token-file", type=Path, help="bearer tokens and their permissions (JSON)")
    parser.add_argument("--anonymous-admin", action="store_true", help="serve local programs without a token")
    parser.add_argument("--no-kargo", action="store_true", help="start without Kargo's resource types")
    parser.add_argument(
        "--faults", action="store_true", help="let every client inject faults through /faults"
    )
    parser.add_argument(
        "--history", type=int, default=HISTORY, help="changes of each type that watches can resume from"
    )
    parser.add_argument(
        "--bookmark-interval", type=float, default=BOOKMARK_INTERVAL, help="seconds between bookmarks"
    )
    return parser


def build(options: argparse.Namespace) -> tuple[Api, FileJournal | None]:
    """Return the server and its journal, if it has one. Raises `DataFileBusyError`, OSError, ValueError or KeyError."""
    journal = FileJournal(options.data) if options.data else None
    store = Store(journal=journal, history=options.history)
    loaded = journal.load(store) if journal else 0
    catalog = Catalog()
    watches = Watches(store)
    deleter = Deleter(store, catalog, watches)
    writer = Writer(store, catalog, deleter)
    for stored in store.collection(DEFINITIONS.qualified).objects.values():
        catalog.add(from_definition(stored.content))
    if not loaded:
        _create_initial_objects(writer, kargo=not options.no_kargo)
    access = ApiAccess({}, anonymous_admin=options.anonymous_admin)
    if options.token_file:
        access.users, access.subjects = read_tokens(options.token_file)
    return (
        Api(
            catalog=catalog,
            store=store,
            access=access,
            watches=watches,
            writer=writer,
            deleter=deleter,
            faults=Faults(store, watches) if options.faults else None,
            bookmark_interval=options.bookmark_interval,
        ),
        journal,
    )


def _create_initial_objects(writer: Writer, *, kargo: bool) -> None:
    for definition in kargo_definitions() if kargo else ():
        writer.create_object(DEFINITIONS, definition)
    for name in DEFAULT_NAMESPACES + (KARGO_NAMESPACES if kargo else ()):
        writer.create_object(NAMESPACES, {"metadata": {"name": name}})


def reload_tokens(api: Api, path: Path) -> None:
    """Reload the token file. An invalid file changes nothing."""
    try:
        api.access.users, api.access.subjects = read_tokens(path)
    except (OSError, ValueError, KeyError) as error:
        logging.getLogger("demo.apiserver").error("cannot reload the token file: %s", error)  # noqa: TRY400 - says it all
    if api.faults is not None:
        api.faults.reloads += 1


def maintain(api: Api, journal: FileJournal | None) -> None:
    """Rewrite the journal if it has grown, and exempt stored objects from garbage collection.

    They have no reference cycles, and a full collection with 10,000 Warehouses takes 0.2 s.
    """
    if journal is not None and journal.needs_rewrite():
        journal.rewrite(api.store)
    gc.collect(1)
    gc.freeze()


async def serve(options: argparse.Namespace) -> None:
    """Serve until a signal. Once the server accepts requests, print its address as the first line of the output."""
    api, journal = build(options)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if options.token_file:
        loop.add_signal_handler(signal.SIGHUP, reload_tokens, api, options.token_file)
    tls = _server_context(options.certificate) if options.certificate else None
    server, connections = await listen(api.handle, options.host, options.port, tls)
    host, port = server.sockets[0].getsockname()[:2]
    print(f"{'https' if tls else 'http'}://{host}:{port}", flush=True)  # noqa: T201 - this line is the interface to who started us
    while not stop.is_set():
        maintain(api, journal)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(MAINTENANCE_INTERVAL):
                await stop.wait()
    server.close()
    api.watches.end()
    await asyncio.sleep(0)  # lets the watches write their last chunk
    for connection in tuple(connections):
        connection.close()
    if journal is not None:
        journal.close()


def _server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def main() -> int:
    """Run the command. Return the exit code."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s", level=logging.INFO)
    try:
        asyncio.run(serve(arguments().parse_args()))
    except (OSError, DataFileBusyError, ValueError) as error:
        sys.stderr.write(f"demo.apiserver: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
