"""Reads the destination of a channel from a Kubernetes Secret that is meant for it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any, Final

from receivers.cluster.client import KubernetesClient
from receivers.cluster.errors import ClusterError
from receivers.kargo.resources import SECRETS
from receivers.models import AlertChannel, ChannelKind
from receivers.ops.alerts.sending import Destination, NoDestination

LABEL: Final = "kargoweb/alert-channel"
"""With the value "true". Without it, anyone who may edit channels could send any Secret of the namespace anywhere."""

ADDRESS_KEYS: Final = {ChannelKind.EMAIL: "to"}
URL_KEY: Final = "url"
SIGNING_KEY: Final = "signing-key"


class SecretLookup:
    """Looks destinations up in the project's namespace, or for channels of all projects in `system_namespace`."""

    def __init__(self, cluster: Callable[[], KubernetesClient], system_namespace: str) -> None:
        self._cluster = cluster
        self._system_namespace = system_namespace

    def __call__(self, channel: AlertChannel) -> Destination:
        """Return the destination. Raises `NoDestination`."""
        namespace = channel.project or self._system_namespace
        where = f"Secret {channel.secret} in namespace {namespace}"
        try:
            secret: dict[str, Any] = dict(self._cluster().get(SECRETS, channel.secret, namespace))
        except ClusterError as error:
            raise NoDestination(f"{where}: {error}") from None
        if ((secret.get("metadata") or {}).get("labels") or {}).get(LABEL) != "true":
            raise NoDestination(f"{where} doesn't have the label {LABEL}=true")
        data = secret.get("data") or {}
        address_key = ADDRESS_KEYS.get(ChannelKind(channel.kind), URL_KEY)
        address = _value(data, address_key)
        if not address:
            raise NoDestination(f"{where} has no key {address_key}")
        return Destination(address, _value(data, SIGNING_KEY))


def _value(data: dict[str, Any], key: str) -> str:
    try:
        return base64.b64decode(data.get(key) or "").decode().strip()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""
