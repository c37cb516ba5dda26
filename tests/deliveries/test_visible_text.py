"""Which texts may be put into a push, in forms and in the API."""

from __future__ import annotations

import sys
import unicodedata

import pytest

from receivers.deliveries.visible_text import is_visible

UNSEEN = {"Cc", "Cf", "Zl", "Zp", "Co"}  # controls, formatting, line breaks, private use


def test_characters_that_cannot_be_seen_are_refused():
    characters = (chr(code) for code in range(0x10000))
    seen = [char for char in characters if unicodedata.category(char) in UNSEEN and is_visible(char)]
    # Signs of ancient scripts that Unicode counts as formatting; fonts show them.
    assert {f"{ord(char):04x}" for char in seen} <= {"0890", "0891", "08e2"}
    assert not any(is_visible(chr(code)) for code in range(0xE0000, 0xE0080))


def test_spaces_other_than_the_usual_one_are_refused():
    spaces = [chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) == "Zs"]
    assert [space for space in spaces if is_visible(space)] == [" "]


@pytest.mark.parametrize(
    "text", ["", "example/repo", "v1.2.3-rc.1+5", "feature/größer", "リリース/一", "a b", "🚀"]
)
def test_what_can_be_seen_is_accepted(text):
    assert is_visible(text)
