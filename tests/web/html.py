"""Read values and text from the HTML of pages."""

from __future__ import annotations

import re
from html import unescape
from typing import Final

CSRF_FIELD: Final = re.compile(r'name="csrfmiddlewaretoken" value="(\w+)"')
SEEN_FIELD: Final = re.compile(r'name="seen" value="(\w+)"')


def csrf_token(page: str) -> str:
    """Return the CSRF token of the first form."""
    field = CSRF_FIELD.search(page)
    assert field, "the page has no form with a CSRF token"
    return field[1]


def seen_version(page: str) -> str:
    """Return the version of the first live fragment, which HTMX sends as `seen` with the next request."""
    field = SEEN_FIELD.search(page)
    assert field, "the page has no live fragment"
    return field[1]


def visible_text(page: str) -> str:
    """Return the text without tags, with single spaces. A place where a name may wrap is no space."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", page.replace("<wbr>", ""))).split())
