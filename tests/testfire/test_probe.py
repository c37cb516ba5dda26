"""A URL that cannot be reached is told of by the step that failed. Every server here is a real socket."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading

import pytest

from receivers.testfire.probe import AT_ONCE, LONGEST_ANSWER, NotReached, Step, TooManyCalls, post
from tests.cluster.servers import serving
from tests.cluster.test_tls import CA, SERVER
from tests.clusters import until
from tests.product import free_port

BODY = b'{"push_data":{"tag":"1.0.0"}}'
HEADERS = {"Content-Type": "application/json", "X-Kargoweb-Test": "t1cket"}
SECRET = "/dockerhub/" + "a1" * 32


def reply(*headers: str, status: str = "200 OK", body: bytes = b"{}") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def failed(url: str, seconds: float = 5.0) -> NotReached:
    with pytest.raises(NotReached) as caught:
        post(url, BODY, HEADERS, seconds)
    assert SECRET not in str(caught.value)
    assert "a1a1" not in str(caught.value)
    return caught.value


def test_what_is_sent_is_a_post_with_the_body_and_the_headers():
    with serving(lambda server: server.answer(reply("Server: shop", "X-Kargoweb-Delivery: abc"))) as server:
        heard = post(f"http://127.0.0.1:{server.port}{SECRET}", BODY, HEADERS)
    assert (heard.status, heard.body, heard.delivery, heard.server) == (200, "{}", "abc", "shop")
    request = b"".join(server.requests)  # head and body may come apart
    assert request.startswith(f"POST {SECRET} HTTP/1.1\r\n".encode())
    assert f"Host: 127.0.0.1:{server.port}".encode() in request
    assert b"X-Kargoweb-Test: t1cket" in request
    assert request.endswith(b"\r\n\r\n" + BODY)


@pytest.mark.parametrize("name", ["nobody.invalid", "a" * 64 + ".example", "a..b"])
def test_a_name_without_an_address(name):
    error = failed(f"http://{name}{SECRET}")
    assert error.step is Step.NAME
    assert "the host name has no address" in str(error)


@pytest.mark.parametrize("url", [SECRET, f"ftp://localhost{SECRET}", f"http://{SECRET}", ""])
def test_a_url_that_is_none(url):
    error = failed(url)
    assert (error.step, str(error)) == (Step.NAME, "the published URL is no address that could be called")


def test_nothing_listens():
    port = free_port()
    error = failed(f"http://127.0.0.1:{port}{SECRET}")
    assert error.step is Step.CONNECT
    assert str(error) == f"the connection was refused: nothing listens at 127.0.0.1, port {port}"


def test_nobody_takes_the_connection():
    """A full queue of connections drops what comes, as a firewall does."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        error = failed(f"http://127.0.0.1:{listener.getsockname()[1]}{SECRET}", seconds=0.5)
    assert error.step is Step.CONNECT
    assert "nobody answered" in str(error)


@pytest.mark.parametrize(
    ("host", "trusted", "reason"),
    [
        pytest.param("127.0.0.1", False, "the certificate's authority is not a known one", id="authority"),
        pytest.param("localhost", True, "the certificate is for another name", id="name"),
    ],
)
def test_a_certificate_that_is_not_good(monkeypatch, host, trusted, reason):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(SERVER)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(CA))
    with serving(lambda server: server.answer(reply()), tls=tls) as server:
        error = failed(f"https://{host}:{server.port}{SECRET}")
    assert error.step is Step.TLS
    assert str(error).startswith(reason)
    assert server.requests == []


def test_a_certificate_of_a_known_authority_is_fine(monkeypatch):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(SERVER)
    monkeypatch.setenv("SSL_CERT_FILE", str(CA))
    with serving(lambda server: server.answer(reply()), tls=tls) as server:
        assert post(f"https://127.0.0.1:{server.port}{SECRET}", BODY, HEADERS).status == 200


def test_plain_http_where_tls_is_expected():
    with serving(lambda server: server.answer(reply(status="400 Bad Request"))) as server:
        error = failed(f"https://127.0.0.1:{server.port}{SECRET}")
    assert (error.step, str(error)) == (Step.TLS, "what answers there does not speak TLS")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"", "the connection was closed without an answer", id="closed"),
        pytest.param(b"SSH-2.0-OpenSSH_9.9\r\n", "what answers there does not speak HTTP", id="SSH"),
    ],
)
def test_no_http(data, reason):
    with serving(lambda server: server.answer(data, times=1)) as server:
        error = failed(f"http://127.0.0.1:{server.port}{SECRET}")
    assert error.step is Step.HTTP
    assert reason in str(error)


def test_an_answer_that_never_comes():
    with serving(lambda server: server.silent()) as server:
        error = failed(f"http://127.0.0.1:{server.port}{SECRET}", seconds=0.5)
    assert (error.step, str(error)) == (Step.HTTP, "the connection was made, and no answer came within 0.5 s")


def test_an_answer_that_comes_byte_by_byte_has_a_deadline_too():
    def trickle(sock: socket.socket) -> None:
        sock.recv(65_536)
        with contextlib.suppress(OSError):
            while True:
                sock.sendall(b"X")
                threading.Event().wait(0.05)

    with serving(lambda server: trickle) as server:
        error = failed(f"http://127.0.0.1:{server.port}{SECRET}", seconds=0.5)
    assert error.step is Step.HTTP
    until("its thread has ended", lambda: not _calls())


def test_a_redirect_is_not_followed():
    data = reply("Location: https://elsewhere.example/", status="301 Moved Permanently")
    with serving(lambda server: server.answer(data)) as server:
        heard = post(f"http://127.0.0.1:{server.port}{SECRET}", BODY, HEADERS)
    assert (heard.status, heard.location) == (301, "https://elsewhere.example/")
    assert server.connections == 1


def test_of_a_long_answer_the_beginning_is_read():
    with serving(lambda server: server.answer(reply(body=b"x" * 1_000_000))) as server:
        heard = post(f"http://127.0.0.1:{server.port}{SECRET}", BODY, HEADERS)
    assert heard.body == "x" * LONGEST_ANSWER


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
def test_a_proxy_in_the_environment_is_not_used(monkeypatch, variable):
    monkeypatch.setenv(variable, f"http://127.0.0.1:{free_port()}")
    with serving(lambda server: server.answer(reply())) as server:
        assert post(f"http://127.0.0.1:{server.port}{SECRET}", BODY, HEADERS).status == 200


def test_only_a_few_calls_are_under_way_at_once():
    with serving(lambda server: server.silent()) as server:
        url = f"http://127.0.0.1:{server.port}{SECRET}"
        threads = [threading.Thread(target=failed, args=(url, 2.0)) for _ in range(AT_ONCE)]
        for thread in threads:
            thread.start()
        until("they are under way", lambda: len(_calls()) == AT_ONCE)
        with pytest.raises(TooManyCalls):
            post(url, BODY, HEADERS)
        for thread in threads:
            thread.join()
    until("they have ended", lambda: not _calls())
    with serving(lambda server: server.answer(reply())) as server:
        assert post(f"http://127.0.0.1:{server.port}{SECRET}", BODY, HEADERS).status == 200


def _calls() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name == "call-of-a-test"]
