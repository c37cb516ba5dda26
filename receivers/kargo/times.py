"""Times as Kubernetes and Kargo write them."""

from __future__ import annotations

from datetime import UTC, datetime


def parse_time(text: str) -> datetime | None:
    """Parse RFC 3339 text to a time in UTC. Return None for any other text."""
    try:
        at = datetime.fromisoformat(text)
        # Converting the zone overflows at the ends of the supported years.
        return at.astimezone(UTC) if at.tzinfo else None
    except (ValueError, OverflowError):
        return None


def whole_second(at: datetime) -> datetime:
    """Return `at` without its fraction of a second: Kargo and Kubernetes write none."""
    return at.replace(microsecond=0)
