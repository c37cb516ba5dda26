"""Durations and relative times as text. `static/kargoweb.js` implements `ago` with the same words."""

from __future__ import annotations

from typing import Final

MINUTE: Final = 60
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR


def duration(seconds: float) -> str:
    """Return a duration with at most two units: `840 ms`, `4.2 s`, `3 min 5 s`, `2 h 5 min`, `3 d 4 h`."""
    if seconds < 1:
        return f"{round(seconds * 1000)} ms" if round(seconds * 1000) < 1000 else "1.0 s"
    if round(seconds, 1) < MINUTE:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < HOUR:
        return _pair(whole, MINUTE, "min", 1, "s")
    return _pair(whole, HOUR, "h", MINUTE, "min") if whole < DAY else _pair(whole, DAY, "d", HOUR, "h")


def ago(seconds: float) -> str:
    """Return a relative time, in the future if negative: `now`, `12 s ago`, `in 5 min`."""
    size = abs(seconds)
    if size < 1:
        return "now"
    unit, name = next(
        (unit for unit in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")) if size >= unit[0]), (1, "s")
    )
    text = f"{int(size // unit)} {name}"
    return f"{text} ago" if seconds > 0 else f"in {text}"


def _pair(whole: int, large: int, large_name: str, small: int, small_name: str) -> str:
    rest = whole % large // small
    return f"{whole // large} {large_name}" + (f" {rest} {small_name}" if rest else "")
