"""Escapes untrusted text, such as the body of a delivery, before pages and terminals show it."""

from __future__ import annotations


def escape_invisible(text: str) -> str:
    """Return the text with invisible characters escaped: ESC, newlines, marks that reverse the text direction."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()
