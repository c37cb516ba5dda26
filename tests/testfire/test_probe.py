"""A failed probe names the step that failed. Every server here is a real socket."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading

import pytest

from receivers.testfire.probe import MAX_BODY, MAX_CONCURRENT, ProbeError, ProbeStep, TooManyProbes, post
from tests.certificates import CA, SERVER
from tests.cluster.servers import serving
from tests.clusters import until
from tests.ports import free_port

BODY = b'{"push_data":{"tag":"1.0.0"}}'
HEADERS = {"Content-Type": "application/json", "X-Kargoweb-Test": "t1cket"}
SECRET = "/dockerhub/" + "a1" * 32


def reply(*headers: str, status: str = "200 OK", body: bytes = b"{}") -> bytes:
    """Return an HTTP response."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def failed_probe(url: str, timeout: float = 5.0) -> ProbeError:
    """Probe a URL and return the error, which must not contain the receiver URL."""
    with pytest.raises(ProbeError) as caught:
        post(url, BODY, HEADERS, timeout)
    assert SECRET not in str(caught.value)
    assert "a1a1" not in str(caught.value)
    return caught.value


def test_a_probe_is_a_post_with_the_body_and_the_headers():
    with serving(lambda server: server.respond(reply("Server: shop", "X-Kargoweb-Delivery: abc"))) as server:
        response = post(f"http://127.0.0.1:{server.port}{SECRET}", BODY, HEADERS)
    assert (response.status, response.body, response.delivery, response.server) == (200, "{}", "abc", "shop")
    request = b"".join(server.requests)  # head and body may arrive separately
    assert request.startswith(f"POST {SECRET} HTTP/1.1\r\n".encode())
    assert f"Host: 127.0.0.1:{server.port}".encode() in request
    assert b"X-Kargoweb-Test: t1cket" in request
    assert request.endswith(b"\r\n\r\n" + BODY)


@pytest.mark.parametrize("name", ["nobody.invalid", "a" * 64 + ".example", "a..b"])
def test_a_name_that_does_not_resolve_fails_at_dns(name):
    error = failed_probe(f"http://{name}{SECRET}")
    assert error.step is ProbeStep.DNS
    assert str(error)


@pytest.mark.parametrize("url", [SECRET, f"ftp://localhost{SECRET}", f"http://{SECRET}", ""])
def test_an_invalid_url_fails_at_dns(url):
    error = failed_probe(url)
    assert (error.step, str(error)) == (ProbeStep.DNS, "the published URL is not a valid HTTP URL")


def test_a_refused_connection_fails_at_connect():
    port = free_port()
    error = failed_probe(f"http://127.0.0.1:{port}{SECRET}")
    assert error.step is ProbeStep.CONNECT
    assert str(error) == f"connection refused at 127.0.0.1, port {port}"
    assert [each.step for each in error.times] == [ProbeStep.DNS, ProbeStep.CONNECT]


def test_a_connection_that_is_never_accepted_fails_at_connect():
    """A full backlog drops new connections, like a firewall does."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        error = failed_probe(f"http://127.0.0.1:{listener.getsockname()[1]}{SECRET}", timeout=2.0)
    assert error.step is ProbeStep.CONNECT
    assert "connection timed out" in str(error) or "no connection was established" in str(error)


@pytest.mark.parametrize(
    ("host", "trusted", "reason"),
    [
        pytest.param("127.0.0.1", False, "the certificate is signed by an unknown authority", id="authority"),
        pytest.param("localhost", True, "the certificate is for a different host name", id="name"),
    ],
)
def test_an_invalid_certificate_fails_at_tls(monkeypatch, host, trusted, reason):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(SERVER)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(CA))
    with serving(lambda server: server.respond(reply()), tls=tls) as server:
        error = failed_probe(f"https://{host}:{server.port}{SECRET}")
    assert error.step is ProbeStep.TLS
    assert str(error).startswith(reason)
    assert server.requests == []


def test_a_certificate_of_a_trusted_authority_is_accepted(monkeypatch):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(SERVER)
    monkeypatch.setenv("SSL_CERT_FILE", str(CA))
    with serving(lambda server: server.respond(reply()), tls=tls) as server:
        response = post(f"https://127.0.0.1:{server.port}{SECRET}", BODY, HEADERS)
    assert response.status == 200
    assert [each.step for each in response.times] == list(ProbeStep)
    assert all(each.seconds >= 0 for each in response.times)


def test_plain_http_instead_of_tls_fails_at_tls():
    def reject(sock: socket.socket) -> None:
        sock.recv(65_536)  # the beginning of a TLS handshake, which is no HTTP request
        sock.sendall(reply(status="400 Bad Request"))

    with serving(lambda server: reject) as server:
        error = failed_probe(f"https://127.0.0.1:{server.port}{SECRET}")
    assert (error.step, str(error)) == (ProbeStep.TLS, "the server doesn't respond with TLS")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"", "the server closed the connection without a response", id="closed"),
        pytest.param(b"SSH-2.0-OpenSSH_9.9\r\n", "the server doesn't respond with HTTP", id="SSH"),
    ],
)
def test_a_response_that_is_not_http_fails_at_http(data, reason):
    with serving(lambda server: server.respond(data, times=1)) as server:
        error = failed_probe(f"http://127.0.0.1:{server.port}{SECRET}")
    assert error.step is ProbeStep.HTTP
    assert reason in str(error)


def test_a_response_that_never_arrives_fails_at_http():
    with serving(lambda server: server.silent()) as server:
        error = failed_probe(f"http://127.0.0.1:{server.port}{SECRET}", timeout=2.0)
    assert (error.step, str(error)) == (
        ProbeStep.HTTP,
        "the server accepted the connection but did not respond within 2 s",
    )


def test_a_response_that_arrives_too_slowly_fails_at_http():
    def trickle(sock: socket.socket) -> None:
        sock.recv(65_536)
        with contextlib.suppress(OSError):
            while True:
                sock.sendall(b"X")
                threading.Event().wait(0.05)

    with serving(lambda server: trickle) as server:
        error = failed_probe(f"http://127.0.0.1:{server.port}{SECRET}", timeout=2.0)
    assert error.step is ProbeStep.HTTP
    until("the probe has ended", lambda: not _probes())


def test_a_redirect_is_not_followed():
    data = reply("Location: https://elsewhere.example/", status="301 Moved Permanently")
    with serving(lambda server: server.respond(data)) as server:
        response = post(f"http://127.0.0.1:{server.port}{SECRET}", BODY, HEADERS)
    assert (response.status, response.location) == (301, "https://elsewhere.example/")
    assert server.connections == 1


def test_only_the_beginning_of_a_long_response_is_read():
    with serving(lambda server: server.respond(reply(body=b"x" * 1_000_000))) as server:
        response = post(f"http://127.0.0.1:{server.port}{SECRET}", BODY, HEADERS)
    assert response.body == "x" * MAX_BODY


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
def test_a_proxy_in_the_environment_is_not_used(monkeypatch, variable):
    monkeypatch.setenv(variable, f"http://127.0.0.1:{free_port()}")
    with serving(lambda server: server.respond(reply())) as server:
        assert post(f"http://127.0.0.1:{server.port}{SECRET}", BODY, HEADERS).status == 200


def test_concurrent_probes_are_limited():
    with serving(lambda server: server.silent()) as server:
        url = f"http://127.0.0.1:{server.port}{SECRET}"
        threads = [threading.Thread(target=failed_probe, args=(url, 2.0)) for _ in range(MAX_CONCURRENT)]
        for thread in threads:
            thread.start()
        until("all probes are in progress", lambda: len(_probes()) == MAX_CONCURRENT)
        with pytest.raises(TooManyProbes):
            post(url, BODY, HEADERS)
        for thread in threads:
            thread.join()
    until("all probes have ended", lambda: not _probes())
    with serving(lambda server: server.respond(reply())) as server:
        assert post(f"http://127.0.0.1:{server.port}{SECRET}", BODY, HEADERS).status == 200


def _probes() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "test-push-probe"]
