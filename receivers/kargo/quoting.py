"""Puts values and clauses into the sentences of verdicts, errors and findings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

MAX_QUOTE_LENGTH: Final = 128  # characters; no tag is longer, but a body can hold anything
_MAX_LISTED: Final = 3


def quoted(text: str) -> str:
    """Return the text in quotes, on one line: truncated, and with unprintable characters escaped."""
    if len(text) > MAX_QUOTE_LENGTH:
        text = text[: MAX_QUOTE_LENGTH - 1] + "…"
    return '"' + "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text) + '"'


def listed(texts: Sequence[str]) -> str:
    """Return the first few texts in quotes, and the number of the others."""
    others = len(texts) - _MAX_LISTED
    first = ", ".join(map(quoted, texts[:_MAX_LISTED]))
    return f"{first} and {others} more" if others > 0 else first


def upper_first(clause: str) -> str:
    """Return a clause as the start of a sentence; only its first letter changes."""
    return clause[:1].upper() + clause[1:]


def lower_first(sentence: str) -> str:
    """Return the start of a sentence as a clause; only its first letter changes."""
    return sentence[:1].lower() + sentence[1:]
