"""How far the refresh of a Warehouse is, and where it ended: codes for the log, the pages, the API and metrics."""

from __future__ import annotations

from enum import StrEnum


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

    NOT_REQUESTED = "not_requested"
    """The API server refused the annotation for good, or for a day."""

    NOT_HANDLED = "not_handled"
    """No controller answered in time, however often it was asked: a shard without a controller, or Kargo is down."""

    DISCOVERY_FAILED = "discovery_failed"
    """Kargo could not list the artifacts, however often it was asked; the reason has its message."""

    FREIGHT_FAILED = "freight_failed"
    """The tag was discovered, and Kargo could not make Freight of it; the reason has its message."""

    TAG_NOT_VISIBLE = "tag_not_visible"
    """Kargo listed the repository's tags, more than once, and the pushed one was never among them."""

    WAREHOUSE_DELETED = "warehouse_deleted"
    """The Warehouse went away before the story ended."""

    NO_LONGER_SELECTED = "no_longer_selected"
    """The Warehouse was changed meanwhile: none of its subscriptions selects the push any more."""

    ARTIFACTS_MISSING = "artifacts_missing"
    """Freight needs an artifact of every subscription, and another one of this Warehouse has none."""

    BEYOND_DISCOVERY_LIMIT = "beyond_discovery_limit"
    """The tag is valid, and not among the newest ones that the subscription's discoveryLimit lets Kargo keep."""

    CRITERIA_NOT_MET = "criteria_not_met"
    """The Freight creation criteria of the Warehouse are false for what was discovered."""

    MANUAL_CREATION_POLICY = "manual_creation_policy"
    """The tag was discovered; Freight is made of it when somebody does so by hand."""

    NOT_NEWEST = "not_newest"
    """The tag was discovered, and the subscription puts another one first, of which Freight is made."""

    ALREADY_CURRENT = "already_current"
    """Freight with this very content existed before the push."""

    FREIGHT_CREATED = "freight_created"
    """There is Freight that holds what was pushed."""
