"""Receivers as the pages of a project and of the cluster show them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from receivers.reads import ReceiverKey
from receivers.rules.kinds import KINDS
from receivers.rules.resources import PublishedUrl, Receiver, ReceiverConfig

SUFFIX_SHOWN: Final = (
    6  # characters of the digest, as everywhere: enough to tell URLs apart, useless to call them
)
NOT_PUBLISHED: Final = "Kargo has not published a URL for this receiver yet."


@dataclass(frozen=True, slots=True)
class ReceiverRow:
    """A receiver. `url` is empty unless it is to be revealed, `problem` says why there is no URL, if there is none.

    `project` is empty for a cluster receiver. `last` is the last delivery, None if there never was one.
    """

    project: str
    name: str
    kind: str
    kind_title: str
    spoken: bool
    masked: str
    url: str
    problem: str
    last: Mapping[str, Any] | None

    @property
    def waiting(self) -> bool:
        """Say whether the first push is still to come."""
        return self.spoken and not self.problem and self.last is None


def receiver_rows(
    config: ReceiverConfig | None, last: Mapping[ReceiverKey, Mapping[str, Any]], revealed: str = ""
) -> list[ReceiverRow]:
    """Return the receivers of a specification in its order, the one named `revealed` with its URL."""
    if config is None:
        return []
    published = {url.name: url for url in config.published}
    not_ready = (one.message for one in config.conditions if one.type == "Ready" and one.status != "True")
    problem = next(not_ready, "") or NOT_PUBLISHED
    return [
        _row(
            config.project,
            receiver,
            published.get(receiver.name),
            problem=problem,
            last=last.get((config.project, receiver.name)),
            revealed=receiver.name == revealed,
        )
        for receiver in config.receivers
    ]


def _row(
    project: str,
    receiver: Receiver,
    published: PublishedUrl | None,
    *,
    problem: str,
    last: Mapping[str, Any] | None,
    revealed: bool,
) -> ReceiverRow:
    return ReceiverRow(
        project=project,
        name=receiver.name,
        kind=receiver.kind,
        kind_title=KINDS[receiver.kind].title if receiver.kind in KINDS else receiver.kind,
        spoken=receiver.kind in KINDS,
        masked=masked(published) if published else "",
        url=published.url if published and revealed else "",
        problem="" if published else problem,
        last=last,
    )


def masked(published: PublishedUrl) -> str:
    """Return a receiver URL without what makes it a credential: all of the digest but its end."""
    start, slash, digest = (published.url or published.path).rpartition("/")
    return f"{start}{slash}…{digest[-SUFFIX_SHOWN:]}"
