"""HTTP/1.1 responses are read as RFC 9112 requires, in pieces of any size."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from receivers.cluster.http1 import HEAD_LIMIT, BadAnswer, HttpAnswer

CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;x=y\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\nT: v\r\n\r\n"
)


@contextlib.contextmanager
def responding(data: bytes, piece: int = 65_536, *, close: bool = True) -> Iterator[HttpAnswer]:
    """Yield the response of a server that sends `data` in pieces."""
    client, server = socket.socketpair()

    def write():
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for at in range(0, len(data), piece):
                server.sendall(data[at : at + piece])
        if close:
            server.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with client:
            client.settimeout(5 if close else 0.2)
            yield HttpAnswer(client)
    finally:
        writer.join()
        server.close()


@pytest.mark.parametrize("piece", [1, 7, 65_536])
@pytest.mark.parametrize(
    ("data", "body", "reusable"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", b"hello", True, id="length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"", True, id="empty"),
        pytest.param(CHUNKED, b"hello world", True, id="chunked with an extension and a trailer"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\nhello", b"hello", False, id="until the end"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 2\r\n\r\nhi",
            b"hi",
            False,
            id="connection close",
        ),
        pytest.param(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
            b"hi",
            True,
            id="continue",
        ),
    ],
)
def test_a_body_is_read_completely(data, body, reusable, piece):
    with responding(data, piece) as response:
        assert (response.status, response.read(), response.reusable) == (200, body, reusable)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Le", id="a truncated head"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", id="a truncated body"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n\r\nhello", id="an invalid length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello", id="a negative length"),
        pytest.param(CHUNKED[:-20], id="a truncated chunk"),
        pytest.param(CHUNKED.replace(b"hello", b"hello!"), id="a chunk that is too long"),
        pytest.param(b"SSH-2.0-OpenSSH\r\n\r\n", id="another protocol"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"x" * (HEAD_LIMIT + 70_000), id="an endless head"),
    ],
)
def test_incomplete_or_invalid_responses_are_rejected(data):
    with pytest.raises(BadAnswer), responding(data) as response:
        response.read()


def test_data_is_returned_as_it_arrives():
    with responding(CHUNKED[:60], close=False) as response:
        assert response.read_some() == b"hello"
        with pytest.raises(TimeoutError):
            response.read_some()
