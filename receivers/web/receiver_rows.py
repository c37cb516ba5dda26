"""Receivers as the pages of a project and of the cluster show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from receivers.health.checks import Check
from receivers.health.finding import Subject
from receivers.kargo.kinds import KINDS
from receivers.kargo.receiver_path import digest_suffix
from receivers.kargo.resources import PublishedUrl, Receiver, ReceiverConfig
from receivers.kargo.scopes import ReceiverKey
from receivers.web.finding_rows import FindingRow, Of

ABSENT: Final = Check.RECEIVER_WITHOUT_URL  # may be some seconds old, when the URL has just come


@dataclass(frozen=True, slots=True)
class ReceiverRow:
    """A receiver. `masked` is empty if it has no URL, `url` unless it is to be revealed.

    `project` is empty for a cluster receiver. `last` is the last push, None if there never was one. `findings` says
    what is wrong with it.
    """

    project: str
    name: str
    kind: str
    kind_title: str
    spoken: bool
    masked: str
    url: str
    last: Mapping[str, Any] | None
    findings: tuple[FindingRow, ...] = ()

    @property
    def waiting(self) -> bool:
        """Say whether the first push is still to come."""
        return self.spoken and bool(self.masked) and self.last is None


def receiver_rows(
    config: ReceiverConfig | None,
    last: Mapping[ReceiverKey, Mapping[str, Any]],
    revealed: str = "",
    findings: Mapping[Of, Sequence[FindingRow]] = MappingProxyType({}),
) -> list[ReceiverRow]:
    """Return the receivers of a specification in its order, the one named `revealed` with its URL."""
    if config is None:
        return []
    published = {url.name: url for url in config.published}
    return [
        _row(
            config.project,
            receiver,
            published.get(receiver.name),
            last=last.get((config.project, receiver.name)),
            revealed=receiver.name == revealed,
            findings=findings.get((Subject.RECEIVER, receiver.name), ()),
        )
        for receiver in config.receivers
    ]


def _row(
    project: str,
    receiver: Receiver,
    published: PublishedUrl | None,
    *,
    last: Mapping[str, Any] | None,
    revealed: bool,
    findings: Sequence[FindingRow],
) -> ReceiverRow:
    return ReceiverRow(
        project=project,
        name=receiver.name,
        kind=receiver.kind,
        kind_title=KINDS[receiver.kind].title if receiver.kind in KINDS else receiver.kind,
        spoken=receiver.kind in KINDS,
        masked=masked(published) if published else "",
        url=published.url if published and revealed else "",
        last=last,
        findings=tuple(one for one in findings if not (published and one.finding.check == ABSENT)),
    )


def masked(published: PublishedUrl) -> str:
    """Return a receiver URL without what makes it a credential: all of the digest but its end."""
    digest = published.digest
    start, found, _ = (published.url or published.path).partition(digest or " ")
    return f"{start}…{digest_suffix(digest)}" if found and digest else "…"
