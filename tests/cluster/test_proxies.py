"""Requests through a proxy use the official client's connections."""

from __future__ import annotations

import contextlib
import threading

import pytest
import yaml

from demo.apiserver.kubeconfig import kubeconfig
from receivers.cluster.client import connect
from receivers.cluster.errors import NotInstalled, TimedOut, Unreachable
from receivers.kargo.resources import WAREHOUSES
from tests.cluster.servers import LoopbackServer, connected_client, serving

API = "http://api.test:8080"
WATCHED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'36\r\n{"type":"ADDED","object":{"metadata":{"name":"w"}}}  \n\r\n'
)


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


def kubeconfig_file(directory, proxy=""):
    content = kubeconfig(API, token="t0ken")
    if proxy:
        content["clusters"][0]["cluster"]["proxy-url"] = proxy
    path = directory / "kubeconfig"
    path.write_text(yaml.safe_dump(content))
    return str(path)


@contextlib.contextmanager
def through_proxy(directory, script):
    with serving(script) as proxy:
        path = kubeconfig_file(directory, f"http://127.0.0.1:{proxy.port}")
        with contextlib.closing(connect(path)) as cluster:
            yield proxy, cluster


def test_the_proxy_of_the_environment_is_used(tmp_path, monkeypatch):
    with serving(LoopbackServer.respond) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        with contextlib.closing(connect(kubeconfig_file(tmp_path))) as cluster:
            cluster.version()
        assert proxy.requests[0].startswith(b"GET http://api.test:8080/version ")


def test_no_proxy_is_used_for_an_excluded_host(tmp_path, monkeypatch):
    with connected_client(tmp_path, LoopbackServer.respond) as (server, _):
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        with contextlib.closing(connect(str(tmp_path / "kubeconfig"))) as cluster:
            cluster.version()
        assert server.requests[0].startswith(b"GET /version ")


def test_a_patch_uses_the_proxy_of_the_kubeconfig(tmp_path):
    with through_proxy(tmp_path, LoopbackServer.respond) as (proxy, cluster):
        assert cluster.patch(WAREHOUSES, "w", "p", {"metadata": {}}) == {"resourceVersion": "000042"}
        request = b"".join(proxy.requests)
        assert request.startswith(
            b"PATCH http://api.test:8080/apis/kargo.akuity.io/v1alpha1/namespaces/p/warehouses/w "
        )
        assert b"Authorization: Bearer t0ken" in request


def test_a_watch_through_a_proxy_yields_events_and_can_be_closed(tmp_path):
    with through_proxy(tmp_path, lambda server: server.silent(WATCHED)) as (_, cluster):
        watch = cluster.watch(WAREHOUSES, resource_version="1")
        with watch:
            events = iter(watch)
            assert next(events) == ("ADDED", {"metadata": {"name": "w"}})
            closer = threading.Timer(0.05, watch.close)
            closer.start()
            assert list(events) == []
            closer.join()


def test_a_silent_watch_through_a_proxy_times_out(tmp_path):
    with through_proxy(tmp_path, lambda server: server.silent(WATCHED)) as (_, cluster):
        watch = cluster.watch(WAREHOUSES, resource_version="1", silence=1.0)
        with watch, pytest.raises(TimedOut):
            list(watch)


def test_a_rejected_watch_through_a_proxy_raises_its_error(tmp_path):
    response = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    with (
        through_proxy(tmp_path, lambda server: server.respond(response)) as (_, cluster),
        pytest.raises(NotInstalled),
    ):
        cluster.watch(WAREHOUSES, resource_version="1")


def test_a_missing_proxy_is_unreachable(tmp_path):
    with (
        contextlib.closing(connect(kubeconfig_file(tmp_path, "http://127.0.0.1:9"))) as cluster,
        pytest.raises(Unreachable),
    ):
        cluster.version()
