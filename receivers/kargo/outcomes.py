"""Where a delivery or a refresh ended, or stands: the words that the log, the pages and the API share."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final


class RefreshState(StrEnum):
    """How far the refresh of one Warehouse is. They come in this order; none but the first and the last must be met."""

    WAITING = "waiting"
    """To be requested, now or at the next attempt."""

    REQUESTED = "requested"
    """The API server took the annotation."""

    HANDLED = "handled"
    """Kargo says that it has handled our token, or a later one."""

    DISCOVERED = "discovered"
    """Kargo has discovered artifacts since we asked, and the pushed tag is among them."""

    ENDED = "ended"
    """The refresh has an outcome."""


class RefreshOutcome(StrEnum):
    """Where the refresh of one Warehouse ended, from what needs somebody most to what needs nobody."""

    NOT_REQUESTED = "not requested"
    """The API server refused the annotation for good, or for a day."""

    NOT_HANDLED = "not handled"
    """No controller answered in time, however often it was asked: a shard without a controller, or Kargo is down."""

    DISCOVERY_FAILED = "discovery failed"
    """Kargo could not list the artifacts, however often it was asked; the reason has its message."""

    FREIGHT_FAILED = "Freight failed"
    """The tag was discovered, and Kargo could not make Freight of it; the reason has its message."""

    TAG_NOT_VISIBLE = "tag not visible"
    """Kargo listed the repository's tags, more than once, and the pushed one was never among them."""

    WAREHOUSE_DELETED = "Warehouse deleted"
    """The Warehouse went away before the story ended."""

    NO_LONGER_SELECTED = "no longer selected"
    """The Warehouse was changed meanwhile: none of its subscriptions selects the push any more."""

    ARTIFACTS_MISSING = "artifacts missing"
    """Freight needs an artifact of every subscription, and another one of this Warehouse has none."""

    BEYOND_LIMIT = "beyond the discovery limit"
    """The tag is valid, and not among the newest ones that the subscription's discoveryLimit lets Kargo keep."""

    CRITERIA_NOT_MET = "criteria not met"
    """The Freight creation criteria of the Warehouse are false for what was discovered."""

    MANUAL_POLICY = "manual creation policy"
    """The tag was discovered; Freight is made of it when somebody does so by hand."""

    NOT_NEWEST = "not the newest"
    """The tag was discovered, and the subscription puts another one first, of which Freight is made."""

    ALREADY_CURRENT = "already current"
    """Freight with this very content existed before the push."""

    FREIGHT = "Freight"
    """There is Freight that holds what was pushed."""


class Outcome(StrEnum):
    """Where a delivery ended, or stands. Once all its refreshes have ended it is that of the one that needs most."""

    PENDING = "pending"
    """Stored, and no end yet: it is being worked on, or the process died and it is to be finished."""

    REFRESHED = "refreshed"
    """Every Warehouse that matched was asked to refresh; whether Freight comes of it is being followed."""

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

    """It could not be worked on at all (not synced yet, or nothing to keep it in); the sender was told so."""

    REFUSED_TEST = "test refused"
    """It was to be a test, and its ticket was not good for it, as the reason says; nothing was refreshed."""

    DRY_RUN = "dry run"
    """A test that was to refresh nothing; the verdicts say what it would have refreshed."""

    NOT_REQUESTED = RefreshOutcome.NOT_REQUESTED.value
    NOT_HANDLED = RefreshOutcome.NOT_HANDLED.value
    DISCOVERY_FAILED = RefreshOutcome.DISCOVERY_FAILED.value
    FREIGHT_FAILED = RefreshOutcome.FREIGHT_FAILED.value
    TAG_NOT_VISIBLE = RefreshOutcome.TAG_NOT_VISIBLE.value
    WAREHOUSE_DELETED = RefreshOutcome.WAREHOUSE_DELETED.value
    NO_LONGER_SELECTED = RefreshOutcome.NO_LONGER_SELECTED.value
    ARTIFACTS_MISSING = RefreshOutcome.ARTIFACTS_MISSING.value
    BEYOND_LIMIT = RefreshOutcome.BEYOND_LIMIT.value
    CRITERIA_NOT_MET = RefreshOutcome.CRITERIA_NOT_MET.value
    MANUAL_POLICY = RefreshOutcome.MANUAL_POLICY.value
    NOT_NEWEST = RefreshOutcome.NOT_NEWEST.value
    ALREADY_CURRENT = RefreshOutcome.ALREADY_CURRENT.value
    FREIGHT = RefreshOutcome.FREIGHT.value


class Tone(StrEnum):
    """What an outcome means to whoever looks at a list."""

    GOOD = "good"
    """As one wishes."""

    PLAIN = "plain"
    """As configured: nothing came of it, and nothing is wrong."""

    BAD = "bad"
    """Somebody should look."""

    OPEN = "open"
    """It has not ended yet."""


_TONES: Final = {
    Tone.OPEN: {Outcome.PENDING, Outcome.REFRESHED},
    Tone.GOOD: {Outcome.FREIGHT, Outcome.ALREADY_CURRENT},
    Tone.PLAIN: {
        Outcome.NO_MATCH, Outcome.DRY_RUN, Outcome.BEYOND_LIMIT, Outcome.CRITERIA_NOT_MET,
        Outcome.MANUAL_POLICY, Outcome.NOT_NEWEST, Outcome.NO_LONGER_SELECTED,
    },
}  # fmt: skip


def tone(outcome: str) -> Tone:
    """Return the tone of an `Outcome` or a `RefreshOutcome`; BAD for everything that is neither."""
    return next((tone for tone, outcomes in _TONES.items() if outcome in outcomes), Tone.BAD)


def summary(outcomes: Iterable[str]) -> Outcome | None:
    """Return what a delivery comes to whose refreshes have these outcomes: the one that needs somebody most.

    An empty outcome is that of a refresh which has not ended: then there is no summary yet, None, as for no refresh.
    """
    found = set(outcomes)
    if not found or "" in found:
        return None
    return Outcome(next(one.value for one in RefreshOutcome if one in found))
