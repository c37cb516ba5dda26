"""The receiver kinds that kargoweb supports. A new kind is one file here and one line in `KINDS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from receivers.kargo.kinds import dockerhub
from receivers.kargo.kinds.invalid_body import InvalidBody
from receivers.kargo.push import Push

__all__ = ["KARGO_KINDS", "KINDS", "InvalidBody", "Kind"]


@dataclass(frozen=True, slots=True)
class ReceiverKind:
    """A kind of receiver.

    `name` is the key in `spec.webhookReceivers[]` and the second to last segment of the receiver path; `title` is the
    name for people, and `kargo_title` the one in Kargo's messages. The digest includes the bytes of the Secret's
    `secret_key`. `parse` decodes a body to a push or raises `InvalidBody`; `compose` returns the body that the sender
    sends for a push, for test pushes.
    """

    name: str
    title: str
    kargo_title: str
    secret_key: str
    parse: Callable[[bytes], Push]
    compose: Callable[[Push], bytes]


KINDS: Final[Mapping[str, ReceiverKind]] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            ReceiverKind(
                "dockerhub",
                "Docker Hub",
                "DockerHub",
                "secret",
                parse=dockerhub.parse,
                compose=dockerhub.compose_push,
            ),
        )
    }
)

KARGO_KINDS: Final = (
    "artifactory", "azure", "bitbucket", "dockerhub", "generic",
    "gitea", "github", "gitlab", "harbor", "quay",
)  # fmt: skip
"""Every kind in Kargo (`WebhookReceiverConfig` in its `api/v1alpha1`), supported here or not."""
