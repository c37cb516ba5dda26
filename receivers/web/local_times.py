"""Times as pages show them. `static/kargoweb.js` writes the same words in the browser's zone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, tzinfo
from typing import Final

FORMS: Final[Mapping[str, Callable[[datetime], str]]] = {
    "minutes": lambda at: f"{at:%H:%M}",
    "seconds": lambda at: f"{at:%H:%M:%S}",
    "exact": lambda at: f"{at:%H:%M:%S}.{at.microsecond // 1000:03d}",
    "date": lambda at: f"{at:%B} {at.day}, {at:%H:%M}",
}
"""The forms of a time: with minutes, seconds or milliseconds, and with the day."""


def text(at: datetime, zone: tzinfo, form: str) -> str:
    """Return a time in a zone, in one of `FORMS`."""
    return FORMS[form](at.astimezone(zone))


def full(at: datetime, zone: tzinfo) -> str:
    """Return the full date and time with the zone: `Thursday, March 12, 2026, 13:24:11 UTC+1`."""
    local = at.astimezone(zone)
    return f"{local:%A}, {local:%B} {local.day}, {local.year}, {local:%H:%M:%S} {offset(local)}"


def offset(local: datetime) -> str:
    """Return the zone of a time as its distance from UTC: `UTC`, `UTC+1`, `UTC-3:30`."""
    minutes = int((local.utcoffset() or datetime.resolution).total_seconds() // 60)
    if not minutes:
        return "UTC"
    hours, rest = divmod(abs(minutes), 60)
    return f"UTC{'-' if minutes < 0 else '+'}{hours}" + (f":{rest:02d}" if rest else "")


def day_title(day: date, today: date) -> str:
    """Return the heading of a day: `Today, March 12`; another year has its number."""
    title = f"{day:%A}" if day.year == today.year else f"{day.year}"
    names = {0: "Today", 1: "Yesterday"}
    return f"{names.get((today - day).days, title)}, {day:%B} {day.day}"
