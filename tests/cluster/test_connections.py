"""Connections are reused, replaced when broken, and closed."""

from __future__ import annotations

import threading
import time

import pytest

from receivers.cluster.errors import Conflict, ServerError, TimedOut, Unreachable
from receivers.cluster.kubeconfig import load_configuration
from receivers.cluster.transport import ApiRequest, Transport
from receivers.kargo.resources import NAMESPACES, WAREHOUSES
from tests.cluster.servers import OK, LoopbackServer, connected_client
from tests.clusters import PATIENCE, until

ANNOTATION = {"metadata": {"annotations": {"a": "b"}}}


def annotate(cluster, body=ANNOTATION):
    return cluster.patch(WAREHOUSES, "w", "p", body)


def test_a_connection_is_reused(tmp_path):
    with connected_client(tmp_path, LoopbackServer.respond) as (server, cluster):
        for _ in range(5):
            assert annotate(cluster) == {"resourceVersion": "000042"}
        assert (server.connections, len(server.requests)) == (1, 5)


def test_a_request_has_the_path_headers_and_body_that_an_api_server_expects(tmp_path):
    with connected_client(tmp_path, LoopbackServer.respond) as (server, cluster):
        annotate(cluster)
        head, _, body = server.requests[0].partition(b"\r\n\r\n")
        request_line, *headers = head.decode().split("\r\n")
        assert request_line == "PATCH /apis/kargo.akuity.io/v1alpha1/namespaces/p/warehouses/w HTTP/1.1"
        assert {
            f"Host: 127.0.0.1:{server.port}",
            "Authorization: Bearer t0ken",
            "Content-Type: application/merge-patch+json",
            f"Content-Length: {len(body)}",
        } <= set(headers)
        assert body == b'{"metadata":{"annotations":{"a":"b"}}}'


def closing_after_a_request(server):
    return server.respond(times=1)


def test_a_patch_is_sent_although_the_server_has_closed_the_connection(tmp_path):
    with connected_client(tmp_path, closing_after_a_request) as (server, cluster):
        for _ in range(3):
            assert annotate(cluster)
        assert server.connections == 3


def closing_at_the_second_request(server):
    def behave(sock):
        server.respond(times=1)(sock)
        server.receive(sock)

    return behave


def test_a_patch_is_resent_if_a_reused_connection_breaks(tmp_path):
    with connected_client(tmp_path, closing_at_the_second_request) as (server, cluster):
        for _ in range(2):
            assert annotate(cluster)
        assert len(server.requests) == 3


@pytest.mark.parametrize(
    "send",
    [
        pytest.param(lambda cluster: cluster.create(NAMESPACES, {"metadata": {"name": "x"}}), id="create"),
        pytest.param(lambda cluster: cluster.delete(NAMESPACES, "x"), id="delete"),
        pytest.param(
            lambda cluster: annotate(cluster, {"metadata": {"resourceVersion": "1"}}), id="conditional patch"
        ),
    ],
)
def test_a_request_that_is_not_repeatable_is_sent_once(tmp_path, send):
    with connected_client(tmp_path, closing_at_the_second_request) as (server, cluster):
        annotate(cluster)
        with pytest.raises(Unreachable, match="closed the connection"):
            send(cluster)
        assert len(server.requests) == 2


def test_a_request_that_is_not_repeatable_uses_no_closed_connection(tmp_path):
    with connected_client(tmp_path, closing_after_a_request) as (server, cluster):
        annotate(cluster)
        until("the server has closed the connection", lambda: server.closed)
        assert cluster.create(NAMESPACES, {"metadata": {"name": "x"}})


def test_a_server_that_closes_every_connection_is_unreachable(tmp_path):
    with (
        connected_client(tmp_path, lambda _: lambda sock: None) as (_, cluster),
        pytest.raises(Unreachable) as error,
    ):
        annotate(cluster)
    assert error.value.transient


def test_a_truncated_response_is_an_error(tmp_path):
    with (
        connected_client(tmp_path, lambda server: server.respond(OK[:-10], times=1)) as (_, cluster),
        pytest.raises(Unreachable),
    ):
        annotate(cluster)


@pytest.mark.parametrize("body", [b"<html>sign in</html>", b"[]"])
def test_a_response_that_is_not_an_object_is_a_server_error(tmp_path, body):
    response = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    with (
        connected_client(tmp_path, lambda server: server.respond(response)) as (_, cluster),
        pytest.raises(ServerError, match="not"),
    ):
        annotate(cluster)


def test_a_silent_watch_times_out(tmp_path):
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with connected_client(tmp_path, lambda server: server.silent(head)) as (_, cluster):
        watch = cluster.watch(WAREHOUSES, resource_version="1", silence=1.0)
        with watch, pytest.raises(TimedOut):
            list(watch)


@pytest.mark.parametrize("started", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{"])
def test_closing_the_client_ends_a_request_in_progress(tmp_path, started):
    with connected_client(tmp_path, lambda server: server.silent(started)) as (server, cluster):
        ended = threading.Event()

        def request_version():
            with pytest.raises(Unreachable):
                cluster.version()
            ended.set()

        thread = threading.Thread(target=request_version)
        thread.start()
        while not server.requests:
            time.sleep(0.005)
        cluster.close()
        assert ended.wait(PATIENCE)
        thread.join()
        with pytest.raises(Unreachable, match="closed its connections"):
            cluster.version()


def test_the_connections_of_a_discarded_transport_are_closed(tmp_path):
    with connected_client(tmp_path, LoopbackServer.respond) as (server, _):
        transport = Transport(load_configuration(str(tmp_path / "kubeconfig")))
        transport.send(ApiRequest("GET", "/version"))
        del transport
        until("the connection is closed", lambda: server.closed)


def test_there_are_at_most_as_many_connections_as_threads(tmp_path):
    with connected_client(tmp_path, LoopbackServer.respond) as (server, cluster):
        threads = [threading.Thread(target=lambda: [annotate(cluster) for _ in range(20)]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(server.requests) == 160
        assert server.connections <= 8


def test_a_conditional_patch_of_a_changed_object_is_a_conflict(tmp_path):
    response = b"HTTP/1.1 409 Conflict\r\nContent-Length: 21\r\n\r\n" + b'{"message":"changed"}'
    with (
        connected_client(tmp_path, lambda server: server.respond(response)) as (_, cluster),
        pytest.raises(Conflict, match="could not patch Warehouse w: changed"),
    ):
        annotate(cluster)
