"""Where a delivery or a refresh ended, or stands: the words that the log, the pages and the API share."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """Where a delivery ended."""

    PENDING = "pending"
    """Stored, and no end yet: it is being worked on, or the process died and it is to be finished."""

    REFRESHED = "refreshed"
    """At least one Warehouse matched, and every one that did was asked to refresh."""

    NO_MATCH = "no match"
    """Understood, but no Warehouse in scope selects this push; the verdicts say why."""

    INVALID_BODY = "invalid body"
    """The body is not what this kind of sender posts; the reason is kept with the delivery."""

    TOO_LARGE = "too large"
    """The body was longer than `answers.MAX_BODY`; only its beginning was read."""

    RETIRED_URL = "retired URL"
    """The digest belonged to a receiver once: its Secret was rotated, or it was renamed or removed."""

    UNSUPPORTED_KIND = "unsupported kind"
    """The receiver is of a kind that Kargo knows and kargoweb does not speak."""

    COLLISION = "collision"
    """Two receivers share the digest, so nobody can say which one was meant; nothing was refreshed."""

    FAILED = "failed"
    """One or more of the Warehouses that matched could not be asked; they are tried again in the background."""

    UNAVAILABLE = "unavailable"
    """It could not be worked on at all (not synced yet, or nothing to keep it in); the sender was told so."""


class RefreshState(StrEnum):
    """How far the refresh of one Warehouse is."""

    WAITING = "waiting"
    """To be requested, now or at the next attempt."""

    REQUESTED = "requested"
    """The API server took the annotation."""

    FAILED = "failed"
    """Given up: refused for good, or tried for a day."""
