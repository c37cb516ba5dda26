"""The events in the history of a refresh, as codes; the ends are `RefreshOutcome`s."""

from __future__ import annotations

from enum import StrEnum


class HistoryEvent(StrEnum):
    """What happened to a refresh before it ended."""

    PLANNED = "planned"
    """The first patch is planned for later; the text says why. Only refreshes that no push caused are planned."""

    REQUESTED = "requested"
    """The API server accepted the first patch."""

    REQUEST_FAILED = "request_failed"
    """The API server did not accept a patch; the text is its error."""

    ATTEMPT_FAILED = "attempt_failed"
    """Kargo did not get there by this attempt, and a retry is scheduled; the text says why."""

    RETRIED = "retried"
    """The API server accepted another patch; `cause` is the `RetryCause`."""

    HANDLED = "handled"
    """Kargo handled the token."""

    DISCOVERED = "discovered"
    """Kargo discovered artifacts since the request; the text is the digest of the pushed tag."""
