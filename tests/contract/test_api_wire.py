"""HTTP/1.1 on the wire: fragments, chunks, pipelining, malformed requests, local access without a token. Demo only."""

from __future__ import annotations

import json
import re
import socket

import pytest

from demo.apiserver.messages import is_loopback
from tests.clusters import PATIENCE, DemoCluster, until

SECRET = {"metadata": {"name": "one"}, "stringData": {"a": "b"}}
PATH = "/api/v1/namespaces/default/secrets"


@pytest.fixture(scope="module")
def open_demo(tmp_path_factory):
    with DemoCluster(tmp_path_factory.mktemp("open"), anonymous_admin=True) as cluster:
        yield cluster


@pytest.fixture
def connection(open_demo):
    host, port = open_demo.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), PATIENCE) as connection:
        yield connection


def exchange(connection: socket.socket, *pieces: bytes) -> bytes:
    """Send the pieces one by one, then read until the other side closes."""
    for piece in pieces:
        connection.sendall(piece)
    response = b""
    while received := connection.recv(65536):
        response += received
    return response


def request(method: str, path: str, *headers: str, body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def statuses(response: bytes) -> list[int]:
    return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3}) ", response)]


def test_a_request_can_arrive_byte_by_byte(connection):
    whole = request("GET", "/version")

    assert statuses(exchange(connection, *(whole[at : at + 1] for at in range(len(whole))))) == [200]


def test_requests_can_be_pipelined(connection):
    first = b"GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n"

    assert statuses(exchange(connection, first + first + request("GET", "/nothing"))) == [200, 200, 404]


def test_a_body_can_be_chunked(connection):
    body = json.dumps(SECRET).encode()
    head = request("POST", PATH, "Content-Type: application/json", "Transfer-Encoding: chunked")
    chunks = b"5;x=y\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (body[:5], len(body) - 5, body[5:])

    response = exchange(connection, head, chunks[:9], chunks[9:])

    assert statuses(response) == [201]


def test_a_client_can_expect_100_continue(connection):
    head = request(
        "POST",
        PATH,
        "Content-Type: application/json",
        "Content-Length: 2",
        "Expect: 100-continue",
        body=b"{}",
    )

    assert statuses(exchange(connection, head)) == [100, 422]


def test_head_has_no_body(connection):
    head, _, body = exchange(connection, request("HEAD", "/version")).partition(b"\r\n\r\n")

    assert (statuses(head), body) == ([200], b"")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET /version SPDY/3\r\n\r\n", 400),
        (b"GET /version HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"POST /x HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /x HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n", 413),
        (b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFF\r\n", 413),
        (b"GET /" + b"x" * 70_000, 431),
    ],
    ids=["no line", "protocol", "header", "length", "long", "chunk", "long chunk", "long head"],
)
def test_malformed_requests_are_rejected_and_close_the_connection(connection, sent, status):
    assert statuses(exchange(connection, sent)) == [status]


def test_the_watch_of_a_disconnected_client_is_removed(open_demo, connection):
    connection.sendall(b"GET /api/v1/namespaces?watch=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert connection.recv(10)
    connection.close()

    open_demo.faults(dropWatches=True)
    until("the server still responds", lambda: open_demo.api.get("/version").status == 200)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (["Content-Type: application/json"], 422),
        (["Content-Type: application/json; charset=utf-8"], 422),
        ([], 422),
        (["Content-Type: text/plain"], 415),
        (["Content-Type: application/x-www-form-urlencoded"], 415),
        (["Content-Type: application/json", "Origin: https://example.com"], 403),
        (["Origin: null"], 403),
        (["Content-Type: application/json", "Host: example.com"], 403),
    ],
    ids=["JSON", "with charset", "none", "text", "form", "foreign page", "sandboxed page", "foreign name"],
)
def test_requests_without_a_token_must_come_from_local_programs(connection, headers, status):
    sent = request("POST", PATH, *headers, "Content-Length: 2", body=b"{}")

    assert statuses(exchange(connection, sent)) == [status]


def test_requests_with_a_foreign_host_name_are_rejected(connection):
    assert statuses(exchange(connection, request("GET", "/api/v1/namespaces", "Host: example.com"))) == [403]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("localhost:8001", True),
        ("127.0.0.1:8001", True),
        ("[::1]:8001", True),
        ("LOCALHOST", True),
        ("", False),
        ("localhost.example.com", False),
        ("127.0.0.1.example.com:8001", False),
        ("[::2]", False),
    ],
)
def test_only_local_names_are_loopback(host, expected):
    assert is_loopback(host) is expected


def test_requests_and_watches_work_over_tls(tmp_path):
    with DemoCluster(tmp_path / "tls", tls=True) as cluster:
        assert cluster.url.startswith("https://")
        version = cluster.api.get(PATH).body["metadata"]["resourceVersion"]
        with cluster.api.watch(PATH, resourceVersion=version) as events:
            assert cluster.api.post(PATH, SECRET).status == 201
            assert next(events)["object"]["metadata"]["name"] == "one"
