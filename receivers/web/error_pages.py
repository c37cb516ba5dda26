"""What is shown when a page cannot be made."""

from __future__ import annotations

import sys
from typing import Any

from django.db import InterfaceError, OperationalError
from django.http import HttpResponse
from django.template.loader import render_to_string

RETRY_AFTER = "5"  # seconds; a lock is held for less, a database that restarts needs about that


def server_error(request: Any) -> HttpResponse:
    """Answer 503 where the database is locked or away, which passes, and 500 for a fault of ours. No query."""
    if isinstance(sys.exc_info()[1], OperationalError | InterfaceError):
        headers = {"Retry-After": RETRY_AFTER}
        return HttpResponse(render_to_string("503.html"), status=503, headers=headers)
    return HttpResponse(render_to_string("500.html"), status=500)
