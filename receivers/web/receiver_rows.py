"""Receivers as project pages show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from receivers.health.checks import Check
from receivers.health.finding import Subject
from receivers.health.provider_pages import PROVIDERS, ProviderPages
from receivers.kargo.kinds import KINDS
from receivers.kargo.receiver_path import digest_suffix
from receivers.kargo.resources import PublishedUrl, Receiver, ReceiverConfig
from receivers.kargo.scopes import ReceiverKey
from receivers.models import Delivery
from receivers.web.finding_rows import FindingRow, SubjectKey
from receivers.web.registrations import Checklist
from receivers.web.weeks import Week
from receivers.webhook.upstream import Upstream, passes_on

ABSENT: Final = (
    Check.RECEIVER_WITHOUT_URL
)  # may be outdated for some seconds after Kargo has published the URL


@dataclass(frozen=True, slots=True)
class ReceiverRow:
    """A receiver. `masked` is its URL without the secret part, empty if it has none; `url` is set only when revealed.

    `project` is empty for a cluster receiver. `last` is the last push, None if there was none. `week` is None if there
    were no pushes in the last seven days, and `checklist` if Docker Hub doesn't call the receiver. `provider` says how
    to set up the webhook; it is None for a kind that kargoweb doesn't support. `upstream` is the host of Kargo's own
    server if requests are passed on to it, otherwise empty.
    """

    project: str
    name: str
    kind: str
    supported: bool
    masked: str
    url: str
    last: Delivery | None
    findings: tuple[FindingRow, ...] = ()
    week: Week | None = None
    checklist: Checklist | None = None
    provider: ProviderPages | None = None
    upstream: str = ""

    @property
    def waiting(self) -> bool:
        """Return True if the receiver works but has not received a push yet."""
        return self.supported and bool(self.masked) and self.last is None


def receiver_rows(
    config: ReceiverConfig | None,
    last: Mapping[ReceiverKey, Delivery],
    revealed: str = "",
    findings: Mapping[SubjectKey, Sequence[FindingRow]] = MappingProxyType({}),
    *,
    upstream: Upstream | None,
) -> list[ReceiverRow]:
    """Return the receivers of a config in its order; the one named `revealed` has its URL."""
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
            upstream=upstream.host if upstream and passes_on(upstream, config.project, receiver) else "",
        )
        for receiver in config.receivers
    ]


def _row(
    project: str,
    receiver: Receiver,
    published: PublishedUrl | None,
    *,
    last: Delivery | None,
    revealed: bool,
    findings: Sequence[FindingRow],
    upstream: str,
) -> ReceiverRow:
    return ReceiverRow(
        project=project,
        name=receiver.name,
        kind=receiver.kind,
        supported=receiver.kind in KINDS,
        masked=masked(published) if published else "",
        url=published.url if published and revealed else "",
        last=last,
        provider=PROVIDERS.get(receiver.kind),
        findings=tuple(row for row in findings if not (published and row.finding.check == ABSENT)),
        upstream=upstream,
    )


def masked(published: PublishedUrl) -> str:
    """Return a receiver URL without its secret part: all of the digest but its last characters."""
    digest = published.digest
    start, separator, _ = (published.url or published.path).partition(digest or " ")
    return f"{start}…{digest_suffix(digest)}" if separator and digest else "…"
