"""Check what a user may see and do, for views.

Roles come from Django groups: `viewer`, `operator` and `admin` apply everywhere, `operator:storefront` in one project.
`manage.py grant` adds users to these groups. Superusers are admins.
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
from django_htmx.middleware import HtmxDetails

from receivers.accounts.roles import Access, Action, Role, access_from_groups

__all__ = [
    "Access", "Action", "PageRequest", "Role", "access_of", "admin_names", "may", "page_view", "require_permission",
]  # fmt: skip

View = Callable[..., HttpResponse]


class PageRequest(HttpRequest):
    """The request of a page: what the HTMX middleware and `page_view` add to Django's."""

    htmx: HtmxDetails
    access: Access


ADMINS_NAMED: Final = 5  # on the page for users without a role; a longer list does not help


def access_of(user: Any) -> Access:
    """Return what a user may do. Runs one query and caches the result on `user`."""
    access = getattr(user, "_kargoweb_access", None)
    if not isinstance(access, Access):
        active = user.is_authenticated and user.is_active
        groups = user.groups.values_list("name", flat=True) if active and not user.is_superuser else ()
        access = access_from_groups(groups, superuser=active and user.is_superuser)
        user._kargoweb_access = access
    return access


def may(user: Any, action: Action, project: str | None = None) -> bool:
    """Return whether a user may do `action` in a project ("" for cluster receivers) or, with None, everywhere."""
    return access_of(user).may(action, project)


def page_view(view: View) -> View:
    """Restrict a view to signed-in users who have a role, and forbid caches to store its responses.

    Sets `request.access` to what the user may do. The view must filter lists by `request.access.projects`.
    """

    def guarded(request: PageRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not request.user.is_authenticated:
            # HTMX would swap the sign-in page into a fragment of the current page, so reload the whole page.
            return HttpResponseClientRefresh() if request.htmx else redirect_to_login(_return_path(request))
        request.access = access_of(request.user)
        return no_role(request) if request.access.is_empty else view(request, *args, **kwargs)

    return never_cache(wraps(view)(guarded))


def _return_path(request: HttpRequest) -> str:
    """Return the page to open after signing in: the requested one or, for a form, the page that contains the form."""
    if request.method in {"GET", "HEAD"}:
        return request.get_full_path()
    referrer = request.headers.get("Referer", "")
    hosts = {request.get_host()}
    if not url_has_allowed_host_and_scheme(referrer, hosts, require_https=request.is_secure()):
        return "/"
    return urlsplit(referrer)._replace(scheme="", netloc="", fragment="").geturl()


def require_permission(request: HttpRequest, action: Action, project: str) -> None:
    """Raise `PermissionDenied` if the user may not do `action` in a project, `Http404` if they may not even see it.

    A 403 would confirm that the project exists.
    """
    if not may(request.user, Action.SEE, project):
        raise Http404
    if not may(request.user, action, project):
        raise PermissionDenied


def no_role(request: HttpRequest) -> HttpResponse:
    """Render the page for a user without a role, which names the admins to ask."""
    return render(request, "accounts/no_role.html", {"admins": admin_names()}, status=403)


def admin_names() -> list[str]:
    """Return the user names of at most `ADMINS_NAMED` active admins, sorted."""
    users = get_user_model()._default_manager.filter(is_active=True)
    admins = users.filter(Q(is_superuser=True) | Q(groups__name=Role.ADMIN.value)).distinct()
    return list(admins.order_by("username").values_list("username", flat=True)[:ADMINS_NAMED])
