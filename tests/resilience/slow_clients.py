"""Clients that attack a server with connections on which little or nothing happens."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.product import Product


@contextmanager
def clients(
    product: Product, count: int, data: bytes, receive_buffer: int = 0
) -> Iterator[list[socket.socket]]:
    """Open `count` connections and send `data` over each; yield the connections, which nobody reads from."""
    with ExitStack() as stack:
        connections = []
        for _ in range(count):
            connection = stack.enter_context(socket.socket())
            if receive_buffer:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            connection.settimeout(60)
            connection.connect(("127.0.0.1", product.port))
            connection.sendall(data)
            connections.append(connection)
        yield connections


def unfinished_post(path: str, sent: bytes = b"a", length: int = 1_000) -> bytes:
    """Return a POST request of which only the first bytes of the body are sent.

    It has a CSRF cookie, without which Django refuses a form before it reads the body.
    """
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    return f"{head}Cookie: csrftoken={'c' * 32}\r\nContent-Length: {length}\r\n\r\n".encode() + sent


def get(path: str, session: str = "") -> bytes:
    """Return a GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie: sessionid={session}\r\n\r\n".encode()


def read_all(connection: socket.socket) -> bytes:
    """Return what the server sends until it closes the connection."""
    data = b""
    while chunk := connection.recv(65_536):
        data += chunk
    return data
