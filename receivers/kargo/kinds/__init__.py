"""The receiver kinds that kargoweb supports. A new kind is one file here and one line in `KINDS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from receivers.kargo.kinds import (
    artifactory,
    azure,
    bitbucket,
    dockerhub,
    generic,
    gitea,
    github,
    gitlab,
    harbor,
    quay,
)
from receivers.kargo.kinds.events import Event, Refused
from receivers.kargo.kinds.invalid_body import InvalidBody
from receivers.kargo.kinds.webhook_request import Headers, WebhookRequest
from receivers.kargo.push import Push

__all__ = [
    "KINDS",
    "Headers",
    "InvalidBody",
    "ReceiverKind",
    "Refused",
    "WebhookRequest",
    "kind_title",
]


def _by_url(request: WebhookRequest, secret: bytes) -> None:
    """Accept every request: the URL, which is computed with the Secret, is the only credential."""


@dataclass(frozen=True, slots=True)
class ReceiverKind:
    """A kind of receiver.

    `name` is the key in `spec.webhookReceivers[]` and the second to last segment of the receiver path; `title` is the
    name for people. The digest includes the bytes of the Secret's `secret_key`; `without_key` is Kargo's message if the
    Secret has no such key.

    A request is first authenticated and then read. `authenticate(request, secret)` does what Kargo does before it
    decodes the body, which includes the check of an event's header: it raises `Refused`, or returns. It is not called
    again for redeliveries and after a restart. If `signs` is False it doesn't use the Secret, which then isn't read:
    the URL is the only credential.

    `read(request)` decodes the body and returns an `Event`: a `Push`, `PullRequest`, `NothingToDo` or `Selection` (see
    `kinds.events`). It raises `InvalidBody` where Kargo responds with 400 `invalid request body`, and `Refused` for
    every other refusal. Where headers matter, it gets those that are stored, without signatures and tokens.

    `compose` returns the body that the sender sends for a push, for test pushes; None if the kind has no such body.
    `compose_headers(push, body, secret)` returns the headers that the sender sends with it.
    """

    name: str
    title: str
    secret_key: str
    without_key: str
    read: Callable[[WebhookRequest], Event]
    compose: Callable[[Push], bytes]
    compose_headers: Callable[[Push, bytes, bytes], Mapping[str, str]] = lambda push, body, secret: {}
    authenticate: Callable[[WebhookRequest, bytes], None] = _by_url
    signs: bool = False

    @property
    def is_git(self) -> bool:
        """Say whether its pushes are those of commits. Azure and GitHub also send pushes of images."""
        return self.name in GIT_KINDS

    def composed(self, push: Push, secret: bytes) -> WebhookRequest:
        """Return the request that the sender sends for a push, signed with the Secret."""
        body = self.compose(push)
        return WebhookRequest(body, Headers(self.compose_headers(push, body, secret).items()))


GIT_KINDS: Final = frozenset({"bitbucket", "gitea", "github", "gitlab"})


KINDS: Final[Mapping[str, ReceiverKind]] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            ReceiverKind(
                "artifactory", "Artifactory", "secret-token",
                "secret data is not valid for a Artifactory WebhookReceiver",
                artifactory.read, artifactory.compose, artifactory.compose_headers, artifactory.authenticate,
                signs=True,
            ),
            ReceiverKind(
                "azure", "Azure", "secret",
                'missing data key "secret" for Azure WebhookReceiver',
                azure.read, azure.compose, azure.compose_headers, azure.authenticate,
            ),
            ReceiverKind(
                "bitbucket", "Bitbucket", "secret",
                'missing data key "secret" for Bitbucket WebhookReceiver',
                bitbucket.read, bitbucket.compose, bitbucket.compose_headers, bitbucket.authenticate, signs=True,
            ),
            ReceiverKind(
                "dockerhub", "Docker Hub", "secret",
                'missing data key "secret" for DockerHub WebhookReceiver',
                dockerhub.read, dockerhub.compose_push,
            ),
            ReceiverKind(
                "generic", "Generic", "secret",
                'missing data key "secret" for Generic WebhookReceiver',
                generic.read, generic.compose,
            ),
            ReceiverKind(
                "gitea", "Gitea", "secret",
                "secret data is not valid for a Gitea WebhookReceiver",
                gitea.read, gitea.compose, gitea.compose_headers, gitea.authenticate, signs=True,
            ),
            ReceiverKind(
                "github", "GitHub", "secret",
                'missing "secret" data key for GitHub WebhookReceiver',
                github.read, github.compose, github.compose_headers, github.authenticate, signs=True,
            ),
            ReceiverKind(
                "gitlab", "GitLab", "secret-token",
                'missing data key "secret-token" for GitLab WebhookReceiver',
                gitlab.read, gitlab.compose, gitlab.compose_headers, gitlab.authenticate, signs=True,
            ),
            ReceiverKind(
                "harbor", "Harbor", "auth-header",
                'missing data key "auth-header" for Harbor WebhookReceiver',
                harbor.read, harbor.compose, harbor.compose_headers, harbor.authenticate, signs=True,
            ),
            ReceiverKind(
                "quay", "Quay", "secret",
                'missing "secret" data key for Quay.io WebhookReceiver',
                quay.read, quay.compose,
            ),
        )
    }
)  # fmt: skip


def kind_title(kind: str) -> str:
    """Return the name of a receiver kind for people; one that isn't supported has only the name in its resource."""
    return KINDS[kind].title if kind in KINDS else kind
