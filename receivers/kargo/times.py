"""Times as Kubernetes and Kargo write them."""

from __future__ import annotations

from datetime import UTC, datetime


def parse_time(text: str) -> datetime | None:
    """Return the time, in UTC, that RFC 3339 text says; None for any other text."""
    try:
        at = datetime.fromisoformat(text)
        # A zone may lead out of the years that there are.
        return at.astimezone(UTC) if at.tzinfo else None
    except (ValueError, OverflowError):
        return None


def whole_second(at: datetime) -> datetime:
    """Return the second that `at` lies in: Kargo and Kubernetes write no fractions."""
    return at.replace(microsecond=0)
