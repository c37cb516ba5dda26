"""How values stand in sentences for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

LONGEST_QUOTE: Final = 128  # characters; no tag is longer, and a body may hold anything
_MOST_LISTED: Final = 3


def quoted(text: str) -> str:
    """Return text in quotes: on one line, unprintable characters escaped, cut off where no tag or name goes on."""
    if len(text) > LONGEST_QUOTE:
        text = text[: LONGEST_QUOTE - 1] + "…"
    return '"' + "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text) + '"'


def visible(text: str) -> str:
    """Return text with everything escaped that is not visible: ESC, newlines, marks that turn the text around."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()


def listed(texts: Sequence[str]) -> str:
    """Return the first few texts in quotes, and how many more there are."""
    more = len(texts) - _MOST_LISTED
    first = ", ".join(map(quoted, texts[:_MOST_LISTED]))
    return f"{first} and {more} more" if more > 0 else first
