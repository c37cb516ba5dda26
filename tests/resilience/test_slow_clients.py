"""Slow and silent clients, by the hundred, take nothing from pushes and probes."""

from __future__ import annotations

import pytest

from bench.processes import pss
from receivers.models import Delivery, Outcome
from tests.clusters import until
from tests.deliveries.rows import failed_delivery
from tests.delivery_rows import routed_project
from tests.resilience.slow_clients import clients, get, read_all, unfinished_post
from tests.users import create_session, create_user
from tests.worlds import image, push_body

pytestmark = pytest.mark.e2e

MANY = 200


def assert_unaffected(product, project):
    """Assert that a push, the probes and a page are answered on a new connection."""
    product.http.clear()
    assert product.post(project.path(), push_body("example/slow")).status == 200
    assert product.status("/healthz") == product.status("/readyz") == 200
    assert product.status("/sign-in") == 200


@pytest.fixture
def project(product, world):
    """A project whose Warehouse subscribes to example/slow."""
    return routed_project(product, world, image("example/slow"))


@pytest.mark.parametrize("path", ["/sign-in", "/theme", "/", "/admin/login/", "/dockerhub/" + "0" * 64])
def test_bodies_that_do_not_arrive_delay_nothing(product, project, path):
    with clients(product, MANY, unfinished_post(path)):
        assert_unaffected(product, project)


def test_pushes_that_do_not_arrive_delay_nothing(product, project):
    with clients(product, MANY, unfinished_post(project.path())):
        assert_unaffected(product, project)


def test_more_silent_connections_than_files_of_a_default_limit_delay_nothing(product, project):
    with clients(product, 1_030, b""):
        assert_unaffected(product, project)


def test_unfinished_headers_delay_nothing(product, project):
    with clients(product, MANY, b"GET / HTTP/1.1\r\nHost: "):
        assert_unaffected(product, project)


def test_a_page_whose_body_does_not_arrive_is_refused(product):
    with clients(product, 1, unfinished_post("/sign-in")) as [connection]:
        assert connection.recv(65_536).startswith(b"HTTP/1.1 403 ")


def test_a_push_whose_body_does_not_arrive_is_recorded(product, project):
    with clients(product, 1, unfinished_post(project.path(), b"{", 9)) as [connection]:
        assert connection.recv(65_536).startswith(b"HTTP/1.1 400 ")
    reason = "the body did not arrive within 10 s: 1 of 9 bytes"
    assert Delivery.objects.get(project=project.name, reason=reason).outcome == Outcome.INVALID_BODY


def test_http_2_is_refused(product):
    with clients(product, 1, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") as [connection]:
        assert not read_all(connection).startswith(b"HTTP/1.1 2")


def test_exports_that_are_not_read_delay_nothing(product, project, store_many):
    store_many(*(failed_delivery(project.name, n, pusher="p" * 200) for n in range(6_000)))
    request = get(f"/deliveries.json?project={project.name}", create_session(create_user("viewer")))
    with clients(product, 40, request, receive_buffer=4_096) as connections:
        assert_unaffected(product, project)
        statuses = {connection.recv(12) for connection in connections}
    assert statuses == {b"HTTP/1.1 200", b"HTTP/1.1 503"}


def test_large_bodies_take_little_memory(product, project):
    body = b'{"x": [' + b"[]," * 600_000 + b"[]]}"
    before = pss(product.pids[0])
    with clients(product, 32, unfinished_post(project.path(), body, len(body))) as connections:
        statuses = {connection.recv(12) for connection in connections}
        assert pss(product.pids[0]) - before < 250
    assert statuses <= {b"HTTP/1.1 200", b"HTTP/1.1 400", b"HTTP/1.1 503"}


def test_a_client_that_does_not_read_is_disconnected(product):
    # Many responses on one connection, more than fit into the buffers of both ends.
    requests = get("/static/kargoweb.js") * 1_000
    with clients(product, 1, requests, receive_buffer=4_096) as [connection]:
        until("the server closes the connection", lambda: not established(connection))


def established(connection):
    """Return whether the server still holds its end of a connection."""
    port = f"{connection.getsockname()[1]:04X}"
    with open("/proc/net/tcp") as table:
        return any(line.split()[2].endswith(f":{port}") and line.split()[3] == "01" for line in table)
