"""Invisible characters in untrusted text are escaped before it is shown."""

from __future__ import annotations

import pytest

from receivers.deliveries.escaping import escape_invisible


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain é 漢", "plain é 漢"),
        ("a\u202eb", "a\\u202eb"),
        ("a\nb\x1b[0m", "a\\nb\\x1b[0m"),
        ("\ud800", "\\ud800"),
        ("", ""),
    ],
    ids=["text", "right-to-left override", "control characters", "lone surrogate", "empty"],
)
def test_invisible_characters_are_escaped(text: str, escaped: str) -> None:
    assert escape_invisible(text) == escaped
