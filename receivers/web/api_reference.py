"""The reference of the JSON API, made by Swagger UI from its schema."""

from __future__ import annotations

from csp.constants import UNSAFE_INLINE
from csp.decorators import csp_update
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from receivers.web.page_view import PageRequest, page_view


@require_safe
def _reference(request: PageRequest) -> HttpResponse:
    """Show the reference."""
    return render(request, "api/reference.html")


# Swagger UI sets the style of elements, and its style sheet contains images.
reference = csp_update({"img-src": ["data:"], "style-src": [UNSAFE_INLINE]})(page_view(_reference))
