"""Fragments of pages that HTMX polls.

A fragment is sent again only when it has changed, so nothing moves on the page and no selected text is lost.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

from receivers.web.page_view import PageRequest

STOP_POLLING: Final = 286
"""A response status on which HTMX swaps in the content and stops polling. Source: htmx.org/docs/#polling."""

# Relative times change every second. The browser updates them, so they don't count as a change.
RELATIVE: Final = re.compile(r"(<time[^>]* data-relative>)[^<]*")


@dataclass(frozen=True, slots=True)
class Fragment:
    """A rendered fragment. `seen` is a hash of its content, which HTMX sends back with the next request."""

    html: str
    seen: str


def render_fragment(request: HttpRequest, template: str, context: Mapping[str, Any]) -> Fragment:
    """Render a fragment. `components/_live.html` is the element around it."""
    html = render_to_string(template, dict(context), request)
    return Fragment(html, hashlib.sha256(RELATIVE.sub(r"\1", html).encode()).hexdigest()[:16])


def respond(
    request: PageRequest, fragment: Fragment, every: str = "3s", *, ended: bool = False
) -> HttpResponse:
    """Return the response to HTMX's request for a fragment.

    A polling fragment sends the hash it has `seen` and gets 204 if nothing changed; HTMX then leaves the page alone.
    A search form sends no hash and gets the whole element, which polls the form's address from then on. If polling
    has `ended`, the last content is sent with 286. A 204 is never replaced by 286: HTMX would swap in its empty body.
    """
    if "seen" not in request.GET:
        context = {
            "part": fragment,
            "id": request.htmx.target,
            "every": every,
            "url": request.get_full_path(),
        }
        return HttpResponse(render_to_string("components/_live.html", context, request))
    if request.GET["seen"] == fragment.seen:
        return HttpResponse(status=HTTPStatus.NO_CONTENT)
    status = STOP_POLLING if ended else HTTPStatus.OK
    return HttpResponse(render_to_string("components/_live_content.html", {"part": fragment}), status=status)
