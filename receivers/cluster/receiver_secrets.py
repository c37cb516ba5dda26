"""Read the Secrets of receivers. They are used to compute digests and are never stored."""

from __future__ import annotations

import base64
import logging
from collections.abc import Mapping
from typing import Any

from receivers.cluster.client import KubernetesClient
from receivers.cluster.errors import NotFound
from receivers.kargo.kinds import KINDS
from receivers.kargo.resources import SECRETS, Receiver

log = logging.getLogger(__name__)


class ReceiverError(Exception):
    """A receiver has no URL. The message is the one that Kargo writes in that case."""


def read_secret(cluster: KubernetesClient, project: str, receiver: Receiver, system_namespace: str) -> bytes:
    """Return the secret of a receiver, which is part of its digest; `project` is empty for a cluster receiver.

    Raises `ReceiverError` if there is none, `ClusterError` if it cannot be read. Source: `NewReceiver` in Kargo's
    `pkg/webhook/external/receiver.go`.
    """
    if receiver.kind not in KINDS:
        supported = ", ".join(sorted(KINDS))
        raise ReceiverError(f'kargoweb does not support "{receiver.kind}" receivers, only {supported}')
    kind, name, namespace = KINDS[receiver.kind], receiver.secret_name, project or system_namespace
    where = f'Secret "{name}" in namespace "{namespace}"'
    try:
        data: Mapping[str, Any] = cluster.get(SECRETS, name, namespace).get("data") or {}
    except NotFound:
        raise ReceiverError(f'error getting {where}: secrets "{name}" not found') from None
    if kind.secret_key not in data:
        missing = f'missing data key "{kind.secret_key}" for {kind.title} WebhookReceiver'
        raise ReceiverError(f"error extracting secret values from {where}: {missing}")
    return base64.b64decode(data[kind.secret_key])
