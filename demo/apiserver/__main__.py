"""`python -m demo.apiserver`: serve until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import signal
import sys
from pathlib import Path
from typing import Final

from demo.apiserver.access import Access, read_tokens
from demo.apiserver.api import Api
from demo.apiserver.deleting import Deleter
from demo.apiserver.faults import Faults
from demo.apiserver.kargo_types import kargo_definitions
from demo.apiserver.persistence import DataFileBusyError, FileJournal
from demo.apiserver.reading import BOOKMARK_INTERVAL, Watches
from demo.apiserver.resource_types import DEFINITIONS, NAMESPACES, Catalog, from_definition
from demo.apiserver.storage import HISTORY, Store
from demo.apiserver.wire import listen
from demo.apiserver.writing import Writer

FIRST_NAMESPACES: Final = ("default", "kube-system")
KARGO_NAMESPACES: Final = (
    "kargo",
    "kargo-system-resources",
)  # the chart's, and where cluster Secrets are kept
HOUSEKEEPING: Final = 5.0  # seconds


def arguments() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(prog="python -m demo.apiserver", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8001, help="port to listen on; 0 takes a free one")
    parser.add_argument(
        "--data", type=Path, help="file that keeps the state; without it the state ends with us"
    )
    parser.add_argument("--token-file", type=Path, help="bearer tokens and what they may do (JSON)")
    parser.add_argument("--anonymous-admin", action="store_true", help="serve local programs without a token")
    parser.add_argument("--no-kargo", action="store_true", help="start without Kargo's resource types")
    parser.add_argument(
        "--faults", action="store_true", help="let anybody make requests fail through /faults"
    )
    parser.add_argument(
        "--history", type=int, default=HISTORY, help="changes per type that a watch can go back"
    )
    parser.add_argument("--bookmark-interval", type=float, default=BOOKMARK_INTERVAL, help="seconds")
    return parser


def build(options: argparse.Namespace) -> tuple[Api, FileJournal | None]:
    """Put the server together. Raises what reading its files raises."""
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
        _furnish(writer, kargo=not options.no_kargo)
    users = read_tokens(options.token_file) if options.token_file else {}
    return (
        Api(
            catalog=catalog,
            store=store,
            access=Access(users, anonymous_admin=options.anonymous_admin),
            watches=watches,
            writer=writer,
            deleter=deleter,
            faults=Faults(store, watches) if options.faults else None,
            bookmark_interval=options.bookmark_interval,
        ),
        journal,
    )


def _furnish(writer: Writer, *, kargo: bool) -> None:
    for definition in kargo_definitions() if kargo else ():
        writer.create_object(DEFINITIONS, definition)
    for name in FIRST_NAMESPACES + (KARGO_NAMESPACES if kargo else ()):
        writer.create_object(NAMESPACES, {"metadata": {"name": name}})


def reread_tokens(api: Api, path: Path) -> None:
    """Take over the token file as it is now; one that cannot be understood changes nothing."""
    try:
        api.access.users = read_tokens(path)
    except (OSError, ValueError, KeyError) as error:
        logging.getLogger("demo.apiserver").error("the token file is not taken over: %s", error)  # noqa: TRY400
    if api.faults is not None:
        api.faults.reloads += 1


def keep_house(api: Api, journal: FileJournal | None) -> None:
    """Rewrite the journal if it is time, and take what is stored out of the garbage collector's sight.

    Stored objects hold no cycles, and a full collection over those of 10,000 Warehouses takes 0.2 s.
    """
    if journal is not None and journal.overgrown():
        journal.rewrite(api.store)
    gc.collect(1)
    gc.freeze()


async def serve(options: argparse.Namespace) -> None:
    """Serve until told to stop; the first line on standard output is the address, once requests are answered."""
    api, journal = build(options)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if options.token_file:
        loop.add_signal_handler(signal.SIGHUP, reread_tokens, api, options.token_file)
    server, connections = await listen(api.handle, options.host, options.port)
    host, port = server.sockets[0].getsockname()[:2]
    print(f"http://{host}:{port}", flush=True)  # noqa: T201 - this line is the interface to who started us
    while not stop.is_set():
        keep_house(api, journal)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HOUSEKEEPING):
                await stop.wait()
    server.close()
    api.watches.end()
    await asyncio.sleep(0)  # lets the watches write their last chunk
    for connection in tuple(connections):
        connection.close()
    if journal is not None:
        journal.close()


def main() -> int:
    """Run the command; returns the exit status."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s", level=logging.INFO)
    try:
        asyncio.run(serve(arguments().parse_args()))
    except (OSError, DataFileBusyError, ValueError) as error:
        sys.stderr.write(f"demo.apiserver: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
