"""The audit log, newest first."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Final

from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from receivers.accounts.access import Action, require_permission
from receivers.deliveries.filters import read_moment
from receivers.models import Audit
from receivers.web.page_view import PageRequest, page_view

PAGE_SIZE: Final = 50
EVERYWHERE: Final = ""  # the log covers all projects, so only an admin of all projects may read it


@page_view
@require_safe
def audit(request: PageRequest) -> HttpResponse:
    """Show a page. `before` is the last entry of the previous page, so new entries don't shift the pages."""
    require_permission(request, Action.READ_AUDIT_LOG, EVERYWHERE)
    entries = Audit.objects.order_by("-at", "-id")
    if before := _cursor(request.GET.get("before", "")):
        at, pk = before
        entries = entries.filter(Q(at__lt=at) | Q(at=at, id__lt=pk))
    shown = list(entries[: PAGE_SIZE + 1])
    has_more = len(shown) > PAGE_SIZE
    shown = shown[:PAGE_SIZE]
    context = {
        "entries": shown,
        "next": f"{shown[-1].at.isoformat()}~{shown[-1].pk}" if has_more else "",
        "later": bool(before),
    }
    return render(request, "accounts/audit.html", context)


def _cursor(text: str) -> tuple[datetime, uuid.UUID] | None:
    """Parse the cursor that `next` contained. Return None if it is invalid."""
    at, _, pk = text.partition("~")
    try:
        return read_moment(at), uuid.UUID(pk)
    except ValueError:
        return None
