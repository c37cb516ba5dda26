"""TCP ports for the servers that tests start."""

from __future__ import annotations

import contextlib
import os
import random
import socket
from pathlib import Path
from typing import Final

_FIRST: Final = 11_000  # above 10080, which Chromium refuses to open
_LAST: Final = 60_999
_EPHEMERAL: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 on which nothing listens and which this process has not returned before.

    The port lies outside the range from which the kernel assigns ports to outgoing connections. A port from that range
    could be taken by another test's connection before the server binds it, or while the server restarts.
    """
    while True:
        port = next(_candidates)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port


def _shuffled_ports() -> list[int]:
    try:
        first_ephemeral, last_ephemeral = map(int, _EPHEMERAL.read_text().split())
    except (OSError, ValueError):  # not Linux: IANA's range
        first_ephemeral, last_ephemeral = 49_152, 65_535
    ports = [port for port in range(_FIRST, _LAST) if not first_ephemeral <= port <= last_ephemeral]
    # Each pytest-xdist worker has ports of its own; sessions that run side by side differ by chance.
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    ports = ports[worker::workers]
    random.SystemRandom().shuffle(ports)
    return ports


_candidates = iter(_shuffled_ports())
