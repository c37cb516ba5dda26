"""Who may see and do what, as the views ask for it.

Roles come from Django's groups: `viewer`, `operator` and `admin` everywhere, `operator:storefront` in one project.
`manage.py grant` puts people into them; superusers are admins.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Final
from urllib.parse import urlsplit

from django.contrib.auth import get_user_model
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django_htmx.http import HttpResponseClientRefresh

from receivers.accounts.roles import Access, Action, Role, access

__all__ = ["Access", "Action", "Role", "access_of", "admin_names", "allowed", "may", "page"]

View = Callable[..., HttpResponse]


def access_of(user: Any) -> Access:
    """Return what a user may do. One query, the first time for this object."""
    known = getattr(user, "_kargoweb_access", None)
    if not isinstance(known, Access):
        active = user.is_authenticated and user.is_active
        groups = user.groups.values_list("name", flat=True) if active and not user.is_superuser else ()
        known = access(groups, superuser=active and user.is_superuser)
        user._kargoweb_access = known
    return known


def may(user: Any, action: Action, project: str | None = None) -> bool:
    """Say whether a user may do something in a project ("" for the cluster receivers), or (None) everywhere."""
    return access_of(user).may(action, project)


def page(view: View) -> View:
    """Let a view be for people who are signed in and have a role; nothing on the way keeps a copy.

    `request.access` is then what they may do; lists have to be filtered by `request.access.projects`.
    """

    def guarded(request: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        if not request.user.is_authenticated:
            # A part of a page has no room for the sign-in page.
            return HttpResponseClientRefresh() if request.htmx else redirect_to_login(_way_back(request))
        request.access = access_of(request.user)
        return no_role(request) if request.access.is_empty else view(request, *args, **kwargs)

    return never_cache(wraps(view)(guarded))


def _way_back(request: HttpRequest) -> str:
    """Return the page to open after signing in: what was asked for or, if that was an action, where it was pressed."""
    if request.method in {"GET", "HEAD"}:
        return request.get_full_path()
    origin = request.headers.get("Referer", "")
    known = url_has_allowed_host_and_scheme(origin, {request.get_host()}, require_https=request.is_secure())
    return urlsplit(origin)._replace(scheme="", netloc="", fragment="").geturl() if known else "/"


def allowed(request: HttpRequest, action: Action, project: str) -> None:
    """Raise `Http404` where the user may not even see the project, `PermissionDenied` where he may not act."""
    if not may(request.user, Action.SEE, project):
        raise Http404
    if not may(request.user, action, project):
        raise PermissionDenied


def no_role(request: HttpRequest) -> HttpResponse:
    """Tell somebody who may see nothing whom to ask."""
    return render(request, "accounts/no_role.html", {"admins": admin_names()}, status=403)


ADMINS_NAMED: Final = 5  # people to ask; a longer list helps nobody


def admin_names() -> list[str]:
    """Return the user names of some people who can give roles, sorted."""
    people = get_user_model()._default_manager.filter(is_active=True)
    admins = people.filter(Q(is_superuser=True) | Q(groups__name=Role.ADMIN.value)).distinct()
    return list(admins.order_by("username").values_list("username", flat=True)[:ADMINS_NAMED])
