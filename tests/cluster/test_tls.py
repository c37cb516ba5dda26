"""TLS settings of the kubeconfig: authority, server name, client certificate, no verification."""

from __future__ import annotations

import base64
import contextlib
import ssl

import pytest
import yaml

from demo.apiserver.kubeconfig import kubeconfig
from receivers.cluster.client import connect
from receivers.cluster.errors import ClusterError, Untrusted
from tests.certificates import CA, CLIENT, SERVER
from tests.cluster.servers import LoopbackServer, serving


@contextlib.contextmanager
def tls_client(directory, *, user=None, client_certificate=False, host="127.0.0.1", **cluster):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(SERVER)
    if client_certificate:
        tls.load_verify_locations(CA)
        tls.verify_mode = ssl.CERT_REQUIRED
    with serving(LoopbackServer.respond, tls=tls) as server:
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
    pytest.param({"insecure-skip-tls-verify": True}, id="no verification"),
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
