"""Read the Secrets of receivers. They are used to compute digests and are never stored."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from receivers.cluster.client import KubernetesClient
from receivers.cluster.errors import Forbidden, NotFound, Rejected
from receivers.kargo.kinds import KINDS
from receivers.kargo.resources import SECRETS, Receiver


class ReceiverError(Exception):
    """A receiver has no URL. The message is the one that Kargo writes in that case."""


class SecretUnreadable(ReceiverError):
    """The Secret may exist, but kargoweb may not read it. A URL that was published before may still be right."""


def read_secret(cluster: KubernetesClient, project: str, receiver: Receiver, system_namespace: str) -> bytes:
    """Return the secret of a receiver of a kind in `KINDS`; `project` is empty for a cluster receiver.

    It is part of the receiver's digest. Raises `ReceiverError` if there is none, `SecretUnreadable` if it must not be
    read, `ClusterError` if it cannot be read now. Source: `NewReceiver` in Kargo's `pkg/webhook/external/receiver.go`.
    """
    kind, name, namespace = KINDS[receiver.kind], receiver.secret_name, project or system_namespace
    where = f'Secret "{name}" in namespace "{namespace}"'
    if not name:
        # Kargo's client refuses it with these words, ours with others.
        raise ReceiverError(f"error getting {where}: resource name may not be empty")
    try:
        data: Mapping[str, Any] = cluster.get(SECRETS, name, namespace).get("data") or {}
    except NotFound:
        raise ReceiverError(f'error getting {where}: secrets "{name}" not found') from None
    except (Forbidden, Rejected) as error:
        raise SecretUnreadable(f"error getting {where}: {error}") from None
    if kind.secret_key not in data:
        raise ReceiverError(f"error extracting secret values from {where}: {kind.without_key}")
    return base64.b64decode(data[kind.secret_key])
