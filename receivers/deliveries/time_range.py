"""Time ranges in words: `2h`, `yesterday`, `last monday`, `2026-03-01 to now`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final

ACCEPTED: Final = (
    "must be a time such as 2h, yesterday, last monday or 2026-03-01, or a range: yesterday to now"
)
"""The grammar, as the message of an error. `read_time_range` explains it."""

WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_AGE: Final = re.compile(r"(\d{1,6}) ?([smhdw])")
AGE_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_WEEKDAY: Final = re.compile(rf"(?:last )?({'|'.join(WEEKDAYS)})")
_DAY: Final = timedelta(days=1)
_INSTANT: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class TimeRange:
    """A time range; both ends are inclusive and in UTC, and None where it is open."""

    since: datetime | None = None
    until: datetime | None = None


def read_time_range(text: str, now: datetime, zone: tzinfo) -> TimeRange:
    """Parse a time range. Days start at midnight in `zone`, which times without a zone are in, too.

    A moment is `now`, an age (`90s`, `30m`, `2h`, `7d`, `1w`), a day (`today`, `yesterday`, `monday` or `last monday`
    for the last one before today, `2026-03-01`), or a time (ISO 8601). An age alone means from then on, a day alone
    that day, a time alone from then on. `A to B` means from the start of A to the end of B. Raises ValueError with
    `ACCEPTED`.
    """
    words = " ".join(text.lower().split())
    first, to, last = words.partition(" to ")
    try:
        since, end = _moment(first, now, zone)
        if not to:
            return TimeRange(since, end)
        start, until = _moment(last, now, zone)
    except (ValueError, OverflowError):
        raise ValueError(ACCEPTED) from None
    until = until or start
    if until < since:
        raise ValueError("must not end before it starts")
    return TimeRange(since, until)


def _moment(word: str, now: datetime, zone: tzinfo) -> tuple[datetime, datetime | None]:
    """Return the start of a moment, and its end if it is a day."""
    if word == "now":
        return now, None
    if age := _AGE.fullmatch(word):
        return now - timedelta(**{AGE_UNITS[age[2]]: int(age[1])}), None
    day = _day(word, now.astimezone(zone).date())
    if day is not None:
        return _midnight(day, zone), _midnight(day + _DAY, zone) - _INSTANT
    moment = datetime.fromisoformat(word.upper())
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC), None


def _day(word: str, today: date) -> date | None:
    if word == "today":
        return today
    if word == "yesterday":
        return today - _DAY
    if weekday := _WEEKDAY.fullmatch(word):
        return today - timedelta(days=(today.weekday() - WEEKDAYS.index(weekday[1]) - 1) % 7 + 1)
    try:
        return date.fromisoformat(word)
    except ValueError:
        return None


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)
