"""The lengths of columns that several tables share, and text that fits into them."""

from __future__ import annotations

NAME_LENGTH = 253  # a DNS-1123 subdomain, the longest name Kubernetes takes
PATH_LENGTH = 1024
ADDRESS_LENGTH = 64
OUTCOME_LENGTH = 32
TRACEPARENT_LENGTH = 55  # of version 00
REASON_LENGTH = 1024  # a message of Kargo's, which may hold the addresses and errors of several registries
TEXT_LENGTH = 255  # what people and registries write; longer text is clipped, the raw body keeps it whole


def storable(text: str, length: int = TEXT_LENGTH) -> str:
    """Return `text` cut to `length` characters and without NUL, which PostgreSQL rejects."""
    text = text.replace("\x00", "\N{REPLACEMENT CHARACTER}")
    return text if len(text) <= length else text[: length - 1] + "…"
