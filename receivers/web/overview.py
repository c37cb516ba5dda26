"""The overview: whether all is well, the figures, what needs action, and the last failures."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from receivers.web.page_view import PageRequest, page_view


@page_view
@require_safe
def overview(request: PageRequest) -> HttpResponse:
    """Show the overview."""
    return render(request, "overview/overview.html", {})
