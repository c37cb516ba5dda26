"""TLS settings of the kubeconfig: authority, server name, client certificate, no verification."""

from __future__ import annotations

import base64
import contextlib
import ssl
import threading

import pytest
import yaml

from demo.apiserver.kubeconfig import kubeconfig
from receivers.cluster.client import connect
from receivers.cluster.errors import ClusterError, Unreachable, Untrusted
from receivers.kargo.resources import WAREHOUSES
from tests.certificates import CA, CLIENT, SERVER
from tests.cluster.servers import LoopbackServer, serving


@contextlib.contextmanager
def tls_client(
    directory,
    script=LoopbackServer.respond,
    *,
    user=None,
    client_certificate=False,
    host="127.0.0.1",
    **cluster,
):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(SERVER)
    if client_certificate:
        tls.load_verify_locations(CA)
        tls.verify_mode = ssl.CERT_REQUIRED
    with serving(script, tls=tls) as server:
        content = kubeconfig(f"https://{host}:{server.port}", token="t0ken")
        content["clusters"][0]["cluster"].update(cluster)
        content["users"][0]["user"].update(user or {})
        path = directory / "kubeconfig"
        path.write_text(yaml.safe_dump(content))
        with contextlib.closing(connect(str(path))) as client:
            yield client


TRUSTED = [
    pytest.param({"certificate-authority": str(CA)}, id="file of the authority"),
    pytest.param(
        {"certificate-authority-data": base64.b64encode(CA.read_bytes()).decode()}, id="data of the authority"
    ),
    pytest.param({"certificate-authority": str(CA), "tls-server-name": "api.test"}, id="another server name"),
    pytest.param(
        {"insecure-skip-tls-verify": True},
        id="no verification",
        marks=pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning"),
    ),
    pytest.param(
        {"certificate-authority": str(CA), "host": "localhost", "tls-server-name": "127.0.0.1"}, id="by IP"
    ),
]


@pytest.mark.parametrize("cluster", TRUSTED)
def test_a_trusted_server_is_accepted(tmp_path, cluster):
    with tls_client(tmp_path, **cluster) as client:
        assert client.version() == ""


@pytest.mark.parametrize(
    ("cluster", "reason"),
    [
        pytest.param({}, "unable to get local issuer", id="an unknown authority"),
        pytest.param(
            {"certificate-authority": str(CA), "host": "localhost"}, "Hostname mismatch", id="another name"
        ),
        pytest.param(
            {"certificate-authority": str(CA), "tls-server-name": "other.test"},
            "Hostname mismatch",
            id="another configured name",
        ),
    ],
)
def test_an_untrusted_server_is_rejected(tmp_path, cluster, reason):
    with tls_client(tmp_path, **cluster) as client, pytest.raises(Untrusted, match=reason):
        client.version()


def test_a_client_certificate_is_presented(tmp_path):
    user = {"client-certificate": str(CLIENT), "client-key": str(CLIENT)}
    with tls_client(
        tmp_path, user=user, client_certificate=True, **{"certificate-authority": str(CA)}
    ) as client:
        assert client.version() == ""


def test_a_missing_client_certificate_is_a_cluster_error(tmp_path):
    with (
        tls_client(tmp_path, client_certificate=True, **{"certificate-authority": str(CA)}) as client,
        pytest.raises(ClusterError),
    ):
        client.version()


WATCHED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'31\r\n{"type":"ADDED","object":{"metadata":{"a":"b"}}}\n\r\n'
)


def test_a_watch_can_be_closed_by_another_thread(tmp_path):
    with tls_client(
        tmp_path, lambda server: server.silent(WATCHED), **{"certificate-authority": str(CA)}
    ) as client:
        watch = client.watch(WAREHOUSES, resource_version="1")
        with watch:
            events = iter(watch)
            assert next(events) == ("ADDED", {"metadata": {"a": "b"}})
            closer = threading.Timer(0.05, watch.close)
            closer.start()
            assert list(events) == []
            closer.join()


def closing_in_the_handshake(_):
    def behave(sock):
        sock.recv(65_536)

    return behave


def test_a_connection_that_ends_in_the_handshake_says_nothing_about_trust(tmp_path):
    with serving(closing_in_the_handshake) as server:
        path = tmp_path / "kubeconfig"
        path.write_text(yaml.safe_dump(kubeconfig(f"https://127.0.0.1:{server.port}", token="t0ken")))
        with contextlib.closing(connect(str(path))) as client, pytest.raises(Unreachable) as error:
            client.version()
    assert not isinstance(error.value, Untrusted)
