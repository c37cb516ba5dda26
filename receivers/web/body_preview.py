"""The body of a request, as a page can show it: whatever it is, and however large."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from receivers.kargo.quoting import visible
from receivers.models import Outcome

LONGEST_SHOWN: Final = (
    64 << 10
)  # bytes; Docker Hub's bodies have 1 to 10 KB, and a browser chokes on megabytes
BYTES_SHOWN: Final = 256  # of what is no text


@dataclass(frozen=True, slots=True)
class Body:
    """`pretty` is empty for what is no JSON, `raw` is text without anything invisible, `note` says what is missing."""

    size: int
    pretty: str
    raw: str
    note: str


def shown(body: bytes, outcome: str) -> Body:
    """Return what to show of a body; `outcome` is the delivery's, which says why there may be none."""
    if not body:
        too_large = outcome == Outcome.TOO_LARGE
        return Body(0, "", "", "It was too large to be kept." if too_large else "Nothing of it was kept.")
    part = body[:LONGEST_SHOWN]
    try:
        # Cut in the middle of a character, it is text all the same.
        text = part.decode("utf-8", "strict" if part == body else "ignore")
    except UnicodeDecodeError:
        return Body(len(body), "", body[:BYTES_SHOWN].hex(" "), _no_text(body))
    if part != body:
        return Body(len(body), "", _lines(text), f"Only the first {LONGEST_SHOWN >> 10} KiB are shown.")
    return Body(len(body), _pretty(text), _lines(text), "")


def _no_text(body: bytes) -> str:
    beginning = f"; its first {BYTES_SHOWN} bytes" if len(body) > BYTES_SHOWN else ""
    return f"It is no text. Shown in hexadecimal{beginning}."


def _pretty(text: str) -> str:
    try:
        return _lines(json.dumps(json.loads(text), indent=2, ensure_ascii=False))
    except (ValueError, RecursionError):  # a body may be thousands of brackets
        return ""


def _lines(text: str) -> str:
    return "\n".join(visible(line.replace("\t", "    ")) for line in text.split("\n"))
