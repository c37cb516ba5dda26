"""Previews of request bodies: JSON, other text or binary, of any size."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from receivers.deliveries.escaping import escape_invisible
from receivers.models import Delivery, Outcome

LONGEST_SHOWN: Final = (
    64 << 10
)  # bytes; Docker Hub's bodies have 1 to 10 KB, and megabytes make a browser slow
BYTES_SHOWN: Final = 256  # of binary content


@dataclass(frozen=True, slots=True)
class BodyPreview:
    """A body as a page shows it. `size` is in bytes.

    `pretty` is formatted JSON, empty if the body is not JSON. `raw` has invisible characters escaped. `note` says what
    is not shown, and why.
    """

    size: int
    pretty: str
    raw: str
    note: str


def preview(delivery: Delivery) -> BodyPreview:
    """Return the preview of the body of a delivery, or why it has none."""
    if delivery.body_dropped:
        return BodyPreview(
            delivery.body_size,
            "",
            "",
            "The body was dropped because of its age or the quota for stored bodies.",
        )
    body = delivery.body
    if not body:
        too_large = delivery.outcome == Outcome.TOO_LARGE
        return BodyPreview(
            0, "", "", "The body was too large to be saved." if too_large else "The body was not saved."
        )
    part = body[:LONGEST_SHOWN]
    try:
        # The cut may be in the middle of a character.
        text = part.decode("utf-8", "strict" if part == body else "ignore")
    except UnicodeDecodeError:
        return BodyPreview(len(body), "", body[:BYTES_SHOWN].hex(" "), _binary_note(body))
    if part != body:
        return BodyPreview(
            len(body), "", _lines(text), f"Only the first {LONGEST_SHOWN >> 10} KiB are shown."
        )
    return BodyPreview(len(body), _pretty(text), _lines(text), "")


def _binary_note(body: bytes) -> str:
    part = f"first {BYTES_SHOWN} bytes" if len(body) > BYTES_SHOWN else "shown"
    return f"Binary content, {part} in hexadecimal."


def _pretty(text: str) -> str:
    try:
        return _lines(json.dumps(json.loads(text), indent=2, ensure_ascii=False))
    except (ValueError, RecursionError):  # a body may be thousands of brackets
        return ""


def _lines(text: str) -> str:
    return "\n".join(escape_invisible(line.replace("\t", "    ")) for line in text.split("\n"))
