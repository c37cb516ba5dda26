"""The contents of a message: what began and what ended, and its notations for Slack, webhooks and e-mail."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from receivers.models import Alert

MOST_ITEMS: Final = 20  # in one message; the others are counted
EVENT_TYPE: Final = "kargoweb.alerts"
TEST_TITLE: Final = "Test alert from kargoweb"


@dataclass(frozen=True, slots=True)
class Item:
    """One alert in a message. `url` is absolute; `ended_at` is set if it is over."""

    id: UUID
    kind: str
    severity: str
    project: str
    title: str
    text: str
    url: str
    opened_at: datetime
    ended_at: datetime | None = None

    @classmethod
    def of(cls, alert: Alert, base_url: str, *, resolved: bool) -> Item:
        """Return the item for an alert, as one that began or (`resolved`) ended."""
        return cls(
            alert.pk,
            alert.kind,
            alert.severity,
            alert.project,
            alert.title,
            alert.text,
            base_url + alert.path,
            alert.opened_at,
            alert.ended_at if resolved else None,
        )

    @property
    def heading(self) -> str:
        """Return the title after a word that says what happened."""
        if self.ended_at is not None:
            return f"Resolved: {self.title}"
        return f"{self.severity.capitalize()}: {self.title}"


@dataclass(frozen=True, slots=True)
class Bulletin:
    """The contents of a message, which has at least one item. `omitted` counts those beyond `MOST_ITEMS`."""

    id: UUID
    items: tuple[Item, ...]
    omitted: int
    base_url: str

    @classmethod
    def of(cls, id_: UUID, items: Sequence[Item], base_url: str) -> Bulletin:
        """Return a message with these items, those that began first."""
        ordered = sorted(items, key=lambda item: (item.ended_at is not None, item.opened_at))
        return cls(id_, tuple(ordered[:MOST_ITEMS]), max(0, len(ordered) - MOST_ITEMS), base_url)

    @classmethod
    def test(cls, id_: UUID, channel: str, now: datetime, base_url: str) -> Bulletin:
        """Return the message of the button that tests a channel."""
        text = f"The channel {channel} works. Nothing is wrong."
        item = Item(id_, "test", "warning", "", TEST_TITLE, text, f"{base_url}/alerts", now, now)
        return cls(id_, (item,), 0, base_url)

    @property
    def title(self) -> str:
        """Return one line: the only alert, or how many there are."""
        first, total = self.items[0], len(self.items) + self.omitted
        if first.kind == "test":
            return TEST_TITLE
        return first.heading if total == 1 else f"{first.heading} (and {total - 1} more)"

    @property
    def more(self) -> str:
        """Return a sentence about the alerts that are left out; empty if none are."""
        return f"And {self.omitted} more: {self.base_url}/alerts" if self.omitted else ""

    def slack(self) -> dict[str, Any]:
        """Return the body for a Slack-compatible webhook. Source: Slack's "Formatting text for app surfaces"."""
        lines = [
            f"*<{item.url}|{_escaped(item.heading)}>*" + (f"\n{_escaped(item.text)}" if item.text else "")
            for item in self.items
        ]
        return {"text": "\n\n".join([*lines, *filter(None, [self.more])])}

    def webhook(self) -> dict[str, Any]:
        """Return the body of a signed webhook, in the form that standardwebhooks.com recommends."""
        return {
            "type": EVENT_TYPE,
            "timestamp": _time(max(item.ended_at or item.opened_at for item in self.items)),
            "data": {"alerts": [_fields(item) for item in self.items], "omitted": self.omitted},
        }

    def text(self) -> str:
        """Return the body of an e-mail."""
        blocks = ["\n".join(filter(None, [item.heading, item.text, item.url])) for item in self.items]
        footer = f"-- \nSent by kargoweb, {self.base_url}/alerts"
        return "\n\n".join([*blocks, *filter(None, [self.more]), footer]) + "\n"


def as_json(body: dict[str, Any]) -> bytes:
    """Return the bytes to send, and to sign."""
    return json.dumps(body, ensure_ascii=False).encode()


def _fields(item: Item) -> dict[str, Any]:
    return {
        "id": str(item.id),
        "status": "firing" if item.ended_at is None else "resolved",
        "kind": item.kind,
        "severity": item.severity,
        "project": item.project,
        "title": item.title,
        "text": item.text,
        "url": item.url,
        "started_at": _time(item.opened_at),
        "ended_at": _time(item.ended_at) if item.ended_at else None,
    }


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _escaped(text: str) -> str:
    """Return text that Slack shows as it is: no links, mentions or markup can come from the names in a push."""
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(character, entity)
    return text.replace("|", "¦")
