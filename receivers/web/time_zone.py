"""The reader's time zone. The browser sends it in a cookie; without one, times are in UTC."""

from __future__ import annotations

from datetime import UTC, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from django.http import HttpRequest

COOKIE: Final = "zone"
LONGEST: Final = 64  # characters; the longest names of the time zone database have about 32


def zone_of(request: HttpRequest) -> tzinfo:
    """Return the reader's time zone, UTC by default. `kargoweb.js` sets the cookie."""
    name = request.COOKIES.get(COOKIE, "")
    return _zone(name) if name else UTC


@lru_cache(maxsize=256)
def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name) if len(name) <= LONGEST else UTC
    except (KeyError, ValueError, OSError):  # no zone, a path, or a directory of the database
        return UTC
