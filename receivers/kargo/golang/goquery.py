"""Query strings as Go's `net/url.ParseQuery` reads them."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


def parse_query(query: str) -> dict[str, list[bytes]]:
    """Return the values of each parameter. Go leaves out parameters with a semicolon or an invalid escape."""
    values: dict[str, list[bytes]] = {}
    for pair in query.split("&"):
        if not pair or ";" in pair or _BAD_ESCAPE.search(pair):
            continue
        name, _, value = pair.replace("+", " ").partition("=")
        key = unquote_to_bytes(name).decode("utf-8", "surrogateescape")
        values.setdefault(key, []).append(unquote_to_bytes(value))
    return values
