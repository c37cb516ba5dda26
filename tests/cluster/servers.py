"""A server on a loopback socket whose behavior the tests script."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from demo.apiserver.kubeconfig import write_kubeconfig
from receivers.cluster.client import KubernetesClient, connect
from tests.clusters import PATIENCE

OK = b'HTTP/1.1 200 OK\r\nContent-Length: 41\r\n\r\n{"metadata":{"resourceVersion":"000042"}}'

Behavior = Callable[[socket.socket], None]
Script = Callable[["LoopbackServer"], Behavior]


@dataclass
class LoopbackServer:
    """Uses one behavior per connection, in order, and the last one for all further connections."""

    port: int
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    closed: int = 0

    def respond(self, data: bytes = OK, times: int = 1_000_000) -> Behavior:
        """Send `data` in response to `times` requests of a connection, then close it."""

        def behave(sock: socket.socket) -> None:
            for _ in range(times):
                if not self.receive(sock):
                    return
                sock.sendall(data)

        return behave

    def silent(self, data: bytes = b"") -> Behavior:
        """Send `data` after the request, then nothing until the client closes the connection."""

        def behave(sock: socket.socket) -> None:
            self.receive(sock)
            sock.sendall(data)
            while sock.recv(65_536):
                pass

        return behave

    def receive(self, sock: socket.socket) -> bytes:
        """Read a request; empty if the client has closed the connection."""
        data = b""
        while part := sock.recv(65_536):
            data += part
            head, separator, body = data.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
            if separator and len(body) >= (int(length[1]) if length else 0):
                self.requests.append(data)
                return data
        return b""


@contextlib.contextmanager
def serving(*scripts: Script, tls: ssl.SSLContext | None = None) -> Iterator[LoopbackServer]:
    """Run a server until the block ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = LoopbackServer(listener.getsockname()[1])
    behaviors = [script(server) for script in scripts]
    threads: list[threading.Thread] = []

    def handle(sock: socket.socket, behave: Behavior) -> None:
        with contextlib.suppress(OSError), sock:
            sock.settimeout(PATIENCE)
            with tls.wrap_socket(sock, server_side=True) if tls else sock as wrapped:
                behave(wrapped)
        server.closed += 1

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                behave = behaviors[min(server.connections, len(behaviors) - 1)]
                server.connections += 1
                threads.append(threading.Thread(target=handle, args=(sock, behave)))
                threads[-1].start()

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield server
    finally:
        socket.socket.shutdown(listener, socket.SHUT_RDWR)
        listener.close()
        acceptor.join()
        for thread in threads:
            thread.join()


@contextlib.contextmanager
def connected_client(directory: Path, *scripts: Script) -> Iterator[tuple[LoopbackServer, KubernetesClient]]:
    """Run a server, and connect a client to it."""
    path = directory / "kubeconfig"
    with serving(*scripts) as server:
        write_kubeconfig(path, f"http://127.0.0.1:{server.port}", token="t0ken")
        with contextlib.closing(connect(str(path))) as cluster:
            yield server, cluster
