"""Durations as Go formats them."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import lru_cache
from typing import Final

_PART: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(h|ms|us|µs|μs|ns|m|s)")
_SECONDS: Final = {
    "h": 3600.0,
    "m": 60.0,
    "s": 1.0,
    "ms": 1e-3,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ns": 1e-9,
}
_MAX_LENGTH: Final = 64  # characters; Go formats at most 25


@lru_cache  # ten thousand Warehouses share a few intervals
def parse_duration(text: str) -> timedelta | None:
    """Parse a duration such as `5m0s`. Return None if it is invalid or negative. Source: Go's `time.ParseDuration`."""
    if not text or len(text) > _MAX_LENGTH or _PART.sub("", text):
        return timedelta() if text == "0" else None
    try:
        return timedelta(seconds=sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text)))
    except OverflowError:
        return None


def format_duration(duration: timedelta) -> str:
    """Return a duration, in whole seconds, as Go formats it: `5m0s`."""
    minutes, seconds = divmod(int(duration.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{seconds}s"
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"
