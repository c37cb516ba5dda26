"""The API server's address and TLS settings, as in the official client."""

from __future__ import annotations

import socket
import ssl
from urllib.parse import urlsplit

from kubernetes.client import Configuration
from kubernetes.utils.keepalive import tcp_keepalive_socket_options
from urllib3.util.ssl_ import ALPN_PROTOCOLS, create_urllib3_context

from receivers.cluster.errors import KubeconfigError
from receivers.cluster.transport import CONNECT_TIMEOUT


class Endpoint:
    """The address of the API server, and how to connect to it."""

    def __init__(self, configuration: Configuration) -> None:
        url = urlsplit(configuration.host)
        if url.scheme not in {"http", "https"} or not url.hostname:
            raise KubeconfigError(f"{configuration.host!r} is not the address of a Kubernetes API server")
        self.prefix = url.path.rstrip("/")
        self.host_header = url.netloc.rpartition("@")[2]
        self._address = (url.hostname, url.port or (443 if url.scheme == "https" else 80))
        self._server_name = configuration.tls_server_name or url.hostname
        self._tls = _tls_context(configuration) if url.scheme == "https" else None

    def dial(self) -> socket.socket:
        """Return a connected socket. Raises OSError."""
        sock = socket.create_connection(self._address, CONNECT_TIMEOUT)
        try:
            for option in tcp_keepalive_socket_options():
                sock.setsockopt(*option)
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_hostname=self._server_name)
        except BaseException:
            sock.close()
            raise
        return sock


def _tls_context(configuration: Configuration) -> ssl.SSLContext:
    try:
        context = create_urllib3_context(
            cert_reqs=ssl.CERT_REQUIRED if configuration.verify_ssl else ssl.CERT_NONE
        )
        if configuration.ssl_ca_cert:
            context.load_verify_locations(cafile=configuration.ssl_ca_cert)
        else:
            context.load_default_certs()
        if configuration.cert_file:
            context.load_cert_chain(configuration.cert_file, configuration.key_file)
        context.set_alpn_protocols(ALPN_PROTOCOLS)
    except (OSError, ValueError) as error:
        raise KubeconfigError(f"cannot use the certificates of the kubeconfig: {error}") from error
    return context
