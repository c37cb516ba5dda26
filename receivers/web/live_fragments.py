"""Parts of pages that HTMX asks for again and again.

A part is sent anew only when it has changed, so that nothing moves, and nothing that somebody has selected is lost.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from django.http import HttpResponse
from django.template.loader import render_to_string

STOP_POLLING: Final = 286
"""With this status HTMX puts the part in place and does not ask again (htmx.org/docs/#polling)."""

# How long ago something was changes every second, and the browser sees to it.
RELATIVE: Final = re.compile(r"(<time[^>]* data-relative>)[^<]*")


@dataclass(frozen=True, slots=True)
class Part:
    """A rendered part of a page; `seen` names its content, and comes back with HTMX's next request."""

    html: str
    seen: str


def part(request: Any, template: str, context: Mapping[str, Any]) -> Part:
    """Render a part. The element that it goes into is `_live.html`'s."""
    html = render_to_string(template, dict(context), request)
    return Part(html, hashlib.sha256(RELATIVE.sub(r"\1", html).encode()).hexdigest()[:16])


def answer(request: Any, found: Part, every: str = "3s", *, ended: bool = False) -> HttpResponse:
    """Answer HTMX's request for a part.

    The part itself asks with what it has `seen`, and gets 204, on which HTMX leaves the page alone, if that has not
    changed. A search form has seen nothing and gets the whole element, which asks by the form's address from then on.
    When it has `ended`, the last news comes with 286; a 204 stays one, for HTMX would put its nothing in their place.
    """
    if "seen" not in request.GET:
        context = {"part": found, "id": request.htmx.target, "every": every, "url": request.get_full_path()}
        return HttpResponse(render_to_string("components/_live.html", context, request))
    if request.GET["seen"] == found.seen:
        return HttpResponse(status=HTTPStatus.NO_CONTENT)
    status = STOP_POLLING if ended else HTTPStatus.OK
    return HttpResponse(render_to_string("components/_live_content.html", {"part": found}), status=status)
