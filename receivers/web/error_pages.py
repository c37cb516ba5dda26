"""The page shown when a view raises an exception."""

from __future__ import annotations

import sys

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

RETRY_AFTER = "5"  # seconds; longer than locks are held, and about what a database needs to restart


def server_error(request: HttpRequest) -> HttpResponse:
    """Return 503 if the database is locked or unreachable, which is temporary, and 500 otherwise. Runs no query."""
    if isinstance(sys.exc_info()[1], OperationalError | InterfaceError):
        headers = {"Retry-After": RETRY_AFTER}
        return HttpResponse(render_to_string("503.html"), status=503, headers=headers)
    return HttpResponse(render_to_string("500.html"), status=500)
