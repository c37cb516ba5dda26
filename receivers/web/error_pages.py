"""The pages shown when a view raises an exception, or when no view has the address."""

from __future__ import annotations

import sys
from typing import Final

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views import defaults

from receivers.accounts.access import access_of, admin_names
from receivers.web.theme import look_of

EVERYWHERE: Final = frozenset(
    {"cluster", "cluster-receiver", "cluster-test", "cluster-registration", "status", "audit"}
)
"""URL names of the pages that require a role in all projects."""

RETRY_AFTER: Final = "5"  # seconds; longer than locks are held, and about what a database needs to restart


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Return the 404 page. To users with roles in some projects only, say that a role may be missing.

    They get the same page for what they may not see and for what does not exist, so it confirms neither.
    """
    user, match = getattr(request, "user", None), request.resolver_match
    projects = access_of(user).projects if user is not None and user.is_authenticated else None
    name = match.kwargs.get("name", "") if match else ""
    if not projects or match is None or match.namespace or name in projects:
        return defaults.page_not_found(request, exception)
    context = {
        "is_project": bool(name),
        "everywhere": match.url_name in EVERYWHERE,
        "admins": admin_names(),
        "projects": sorted(projects),
    }
    return render(request, "accounts/no_project.html", context, status=404)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Return the 400 page. Runs no query, and doesn't trust the host name."""
    return HttpResponse(render_to_string("400.html", look_of(request)), status=400)


def server_error(request: HttpRequest) -> HttpResponse:
    """Return 503 if the database is locked or unreachable, which is temporary, and 500 otherwise. Runs no query."""
    # Not the whole context of a page, which has the user and their access, and would fail for the same reason.
    look = look_of(request)
    if isinstance(sys.exc_info()[1], OperationalError | InterfaceError):
        headers = {"Retry-After": RETRY_AFTER}
        return HttpResponse(render_to_string("503.html", look), status=503, headers=headers)
    return HttpResponse(render_to_string("500.html", look), status=500)
