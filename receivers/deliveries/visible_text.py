"""The texts that people may put into a push: without characters that can't be seen, which make two names look alike."""

from __future__ import annotations

import re
from typing import Final

CONTROL: Final = r"\x00-\x1f\x7f-\x9f"

# Patterns are also in the API's schema, and mean the same in Python and in ECMA-262. So this lists the characters
# instead of naming their categories, and has those beyond \uffff, which the two escape differently, as they are.
_SPACES: Final = r"\xa0\u1680\u2000-\u200a\u202f\u205f\u3000"  # they look like a space
_FORMATTING: Final = (
    r"\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    r"\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
)  # of zero width, and marks that change the direction of the text
# Without surrogates, which are no text: many implementations of patterns refuse them, and so do the fields of the API.
_NO_CHARACTERS: Final = r"\ue000-\uf8ff\ufdd0-\ufdef\ufffe\uffff"  # of private use, and never assigned
_TAGS: Final = "\U000e0000-\U000e0fff"
HIDDEN: Final = CONTROL + _SPACES + _FORMATTING + _NO_CHARACTERS + _TAGS
"""The characters, as in a character class of a regular expression."""

NO_VISIBLE_TEXT: Final = "can contain only printable characters"

_HIDDEN: Final = re.compile(f"[{HIDDEN}]")


def is_visible(text: str) -> bool:
    """Say whether a text has no hidden character."""
    return _HIDDEN.search(text) is None
