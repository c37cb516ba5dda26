"""Invalid input never causes a 500, a traceback or growing memory."""

from __future__ import annotations

import contextlib
import json
import random
import socket
from itertools import product
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from receivers.models import UnknownCall
from tests.clusters import until
from tests.delivery_rows import routed_project
from tests.product import Product
from tests.users import create_session, create_user
from tests.worlds import World, image, push_body

LIMIT = 2 << 20
DEEP = 100_000
ACCEPTABLE = {200, 400, 404, 405, 413, 431}


@pytest.fixture(scope="module")
def path(shared_product, demo_cluster):
    """The URL path of a receiver."""
    with World(demo_cluster.kubeconfig) as world:
        return routed_project(shared_product, world, image("example/garbage")).path()


@pytest.fixture(autouse=True)
def no_traceback(shared_product):
    """Fail if a test leaves a traceback in the log."""
    before = len(shared_product.log())
    yield
    assert "Traceback" not in shared_product.log()[before:]


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(body=st.binary(max_size=300))
def test_random_bytes_cause_no_server_error(shared_product, path, body):
    assert shared_product.post(path, body).status in {200, 400}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(tag=json_values, name=json_values, pushed_at=json_values, pusher=json_values, media_type=json_values)
def test_fields_of_the_wrong_type_cause_no_server_error(
    shared_product, path, tag, name, pushed_at, pusher, media_type
):
    push_data = {"tag": tag, "pushed_at": pushed_at, "pusher": pusher, "media_type": media_type}
    body = json.dumps({"push_data": push_data, "repository": {"repo_name": name}})
    assert shared_product.post(path, body.encode()).status in {200, 400}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b"[" * DEEP, 400, id="open brackets"),
        pytest.param(b'{"a":' * DEEP + b"1" + b"}" * DEEP, 400, id="deep objects"),
        pytest.param(b"[" * LIMIT, 400, id="2 MiB of open brackets"),
        pytest.param(b"1" * LIMIT, 400, id="a number of 2 MiB"),
        pytest.param(b'{"a":' + b"9" * 1_000_000 + b"}", 200, id="a huge unknown number"),
        pytest.param(push_body("x/" + "y" * 1_000_000), 200, id="a repository name of a million"),
        pytest.param(push_body("example/garbage", "t\x00g"), 200, id="NUL in the tag"),
        pytest.param(
            b'{"push_data":{"tag":"\\ud800"},"repository":{"repo_name":"a/b"}}', 200, id="lone surrogate"
        ),
        pytest.param(push_body("example/garbage", pushed_at=10**30), 200, id="a date beyond all dates"),
        pytest.param(b"\xff\xfe{\x00}\x00", 400, id="UTF-16"),
    ],
)
def test_bodies_that_are_expensive_to_parse_cause_no_server_error(shared_product, path, body, status):
    assert shared_product.post(path, body).status == status


def send_raw(product: Product, *pieces: bytes) -> bytes:
    """Send bytes on a new connection, piece by piece; return the start of the response."""
    with socket.create_connection(("127.0.0.1", product.port), timeout=20) as connection:
        # The server may close the connection before it has everything.
        with contextlib.suppress(OSError):
            for piece in pieces:
                connection.sendall(piece)
            connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            return connection.recv(4096)
    return b""


def request_head(path: str, *headers: str) -> bytes:
    """Return the request line and headers of a POST."""
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode("latin-1")


def test_an_incomplete_body_does_not_stop_the_server(shared_product, path):
    body = push_body("example/garbage")
    send_raw(shared_product, request_head(path, f"Content-Length: {len(body) + 10}"), body)
    assert shared_product.status("/healthz") == 200


@pytest.mark.parametrize(
    "headers",
    [
        ("Content-Length: -1",),
        ("Content-Length: 99999999999999999999",),
        ("Content-Length: 5", "Content-Length: 7"),
        ("Transfer-Encoding: chunked", "Content-Length: 5"),
        ("Transfer-Encoding: chunked, nonsense",),
        ("X-" + "y" * 60_000 + ": z",),
        ("User-Agent: \xff\xfe\xfd",),
        ("X-Forwarded-For: " + "1," * 5_000,),
        ("Host: evil.example",),
    ],
    ids=lambda headers: headers[0][:30],
)
def test_invalid_headers_cause_no_server_error(shared_product, path, headers):
    response = send_raw(shared_product, request_head(path, *headers), b"hello")
    assert not response.startswith(b"HTTP/1.1 5")
    assert shared_product.status("/healthz") == 200


def test_slow_requests_do_not_block_others(shared_product, path):
    body = push_body("example/garbage")
    slow = [socket.create_connection(("127.0.0.1", shared_product.port)) for _ in range(20)]
    try:
        for connection in slow:
            connection.sendall(request_head(path, f"Content-Length: {len(body)}") + body[:20])
        assert shared_product.post(path, body).status == 200
        for connection in slow:
            connection.sendall(body[20:])
        assert all(connection.recv(100).startswith(b"HTTP/1.1 200") for connection in slow)
    finally:
        for connection in slow:
            connection.close()


@pytest.mark.parametrize(
    "invalid_path",
    [
        "/",
        "/dockerhub",
        "/dockerhub/",
        "/dockerhub/x",
        "/%2e%2e/dockerhub/" + "0" * 64,
        "/\x7f%00%ff",
        "/?" + "a" * 9000,
    ],
)
def test_invalid_paths_cause_no_server_error(shared_product, invalid_path):
    # The server may close the connection without reading the body; the next request on it would fail.
    response = shared_product.post(invalid_path, b"{}", {"Connection": "close"})
    assert response.status in ACCEPTABLE | {302, 403, 414}


@pytest.mark.parametrize("group", [None, "admin"])
def test_names_in_page_addresses_cause_no_server_error(shared_product, group):
    headers = {"Cookie": f"sessionid={create_session(create_user(group))}"} if group else {}
    for project, name in product(("%0Ax", "%00", "%E2%80%A8", "%ff", "x"), ("0" * 64, "%0A", "%00")):
        url = f"{shared_product.url}/projects/{project}/receivers/{name}"
        response = shared_product.http.request("GET", url, headers=headers, redirect=False)
        # A receiver may be named like a digest: its page is no receiver URL, to which a GET is answered with 405.
        assert response.status == (404 if group or "%00" in url else 302)


def resident_memory(pid: int) -> int:
    """Return the resident memory of a process in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) // 1024
    raise AssertionError("no VmRSS")


@pytest.mark.e2e
def test_memory_does_not_grow_with_rejected_requests(shared_product, path, seed):
    worker = shared_product.pids[-1]
    generator = random.Random(seed)
    too_large = b"x" * (LIMIT + 1)
    # The server closes a connection with an unread body, so it can't be reused.
    close = {"Connection": "close"}

    def flood() -> int:
        for _ in range(60):
            shared_product.post(path, iter([too_large]), close)
            shared_product.post(f"/dockerhub/{generator.randbytes(32).hex()}", b"{}", close)
            shared_product.post(path, generator.randbytes(2000), close)
        return resident_memory(worker)

    for _ in range(3):
        flood()
    before = flood()
    assert min(flood() for _ in range(4)) <= before + 30


def test_requests_to_unknown_urls_are_counted(shared_product):
    for _ in range(3):
        shared_product.post(
            "/dockerhub/" + "ab" * 32, push_body("example/app"), headers={"User-Agent": "old hook"}
        )
    row = until(
        "the count is stored", lambda: UnknownCall.objects.filter(url_suffix="ababab", count__gte=3).first()
    )
    assert (row.kind, row.user_agent) == ("dockerhub", "old hook")
