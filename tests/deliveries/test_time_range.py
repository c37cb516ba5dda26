"""Time ranges in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from receivers.deliveries.time_range import read_time_range

NOW = datetime(2026, 3, 11, 23, 30, tzinfo=UTC)  # a Wednesday, and in Berlin already Thursday
BERLIN = ZoneInfo("Europe/Berlin")
LAST = timedelta(microseconds=1)


def day(number, hours=0):
    """Return the start of a day in March, and its last instant, `hours` before UTC."""
    start = datetime(2026, 3, number, tzinfo=UTC) - timedelta(hours=hours)
    return start, start + timedelta(days=1) - LAST


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2h", (NOW - timedelta(hours=2), None)),
        ("30 m", (NOW - timedelta(minutes=30), None)),
        ("today", day(11)),
        ("Yesterday", day(10)),
        ("monday", day(9)),
        ("last  wednesday", day(4)),
        ("2026-03-01", day(1)),
        ("2026-03-01T09:30", (datetime(2026, 3, 1, 9, 30, tzinfo=UTC), None)),
        ("2026-03-01T09:30+02:00", (datetime(2026, 3, 1, 7, 30, tzinfo=UTC), None)),
        ("yesterday to now", (day(10)[0], NOW)),
        ("last monday to yesterday", (day(9)[0], day(10)[1])),
        ("7d to 2h", (NOW - timedelta(days=7), NOW - timedelta(hours=2))),
    ],
)
def test_words_and_times(text, expected):
    result = read_time_range(text, NOW, UTC)
    assert (result.since, result.until) == expected


def test_days_are_those_of_the_zone():
    result = read_time_range("yesterday", NOW, BERLIN)
    assert (result.since, result.until) == day(11, hours=1)
    assert read_time_range("2026-03-01T09:30", NOW, BERLIN).since == datetime(2026, 3, 1, 8, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["", "soon", "2h to", "to now", "2x", "999999w", "0000-01-01", "9999-12-31", "2026-13-01", "\x00"]
)
def test_anything_else_is_an_error(text):
    with pytest.raises(ValueError, match="must be a time such as 2h"):
        read_time_range(text, NOW, BERLIN)


def test_a_range_does_not_end_before_it_starts():
    with pytest.raises(ValueError, match="must not end before"):
        read_time_range("now to yesterday", NOW, UTC)
