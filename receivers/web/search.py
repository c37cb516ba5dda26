"""Search: everything that a text may name, grouped."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from receivers.web.page_view import PageRequest, page_view


@page_view
@require_safe
def search(request: PageRequest) -> HttpResponse:
    """Show what a text may name."""
    return render(request, "search/search.html", {"search_query": request.GET.get("q", "")})
