"""How far the refresh of a Warehouse is, why it is retried, and where it ended, as codes."""

from __future__ import annotations

from enum import StrEnum


class RefreshState(StrEnum):
    """How far the refresh of one Warehouse is. The order is fixed; only the first and the last are always reached."""

    WAITING = "waiting"
    """Not requested yet, or waiting for the next attempt."""

    REQUESTED = "requested"
    """The API server accepted the annotation."""

    HANDLED = "handled"
    """Kargo has handled our token, or a later one."""

    DISCOVERED = "discovered"
    """Kargo has discovered artifacts since the request, and the pushed tag is among them."""

    ENDED = "ended"
    """The refresh has an outcome."""


class RefreshOutcome(StrEnum):
    """How the refresh of a Warehouse ended, the most urgent outcome first."""

    NOT_REQUESTED = "not_requested"
    """The API server rejected the annotation permanently, or for 24 hours."""

    NOT_HANDLED = "not_handled"
    """No controller responded, despite retries: Kargo is down, or the shard has no controller."""

    DISCOVERY_FAILED = "discovery_failed"
    """Kargo could not discover artifacts, despite retries; the reason has its message."""

    FREIGHT_FAILED = "freight_failed"
    """Kargo discovered the tag but could not create Freight; the reason has its message."""

    TAG_NOT_VISIBLE = "tag_not_visible"
    """Kargo never saw the tag in the registry, despite retries."""

    WAREHOUSE_DELETED = "warehouse_deleted"
    """The Warehouse was deleted before the refresh ended."""

    NO_LONGER_SELECTED = "no_longer_selected"
    """The Warehouse changed after the push: none of its subscriptions selects the push any more."""

    ARTIFACTS_MISSING = "artifacts_missing"
    """Another subscription in this Warehouse has no artifact yet, and Freight needs one of each."""

    BEYOND_DISCOVERY_LIMIT = "beyond_discovery_limit"
    """The tag is not among the best ones that the subscription's discoveryLimit lets Kargo keep."""

    CRITERIA_NOT_MET = "criteria_not_met"
    """The discovered artifacts do not meet the Freight creation criteria of the Warehouse."""

    MANUAL_CREATION_POLICY = "manual_creation_policy"
    """Kargo discovered the tag; Freight must be created manually."""

    NOT_NEWEST = "not_newest"
    """Kargo discovered the tag but creates Freight from one that ranks higher."""

    TEST_PASSED = "test_passed"
    """Kargo discovered artifacts for a test, whose tag need not exist."""

    FREIGHT_CREATED = "freight_created"
    """Freight holds the pushed artifact."""

    ALREADY_CURRENT = "already_current"
    """Freight with this content existed before the push."""


class RetryCause(StrEnum):
    """Why a Warehouse must be refreshed again."""

    NOT_HANDLED = "not_handled"
    DISCOVERY_FAILED = "discovery_failed"
    RATE_LIMITED = "rate_limited"
    NOT_VISIBLE = "tag_not_visible"
    SAME_CONTENT = "same_content"
