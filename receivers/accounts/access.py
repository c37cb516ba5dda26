"""Check what a user may see and do.

Roles come from Django groups: `viewer`, `operator` and `admin` apply everywhere, `operator:storefront` in one project.
`manage.py grant` adds users to these groups. Superusers are admins.
"""

from __future__ import annotations

from typing import Any, Final

from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import Http404, HttpRequest

from receivers.accounts.roles import Access, Action, Role, access_from_groups

__all__ = ["Access", "Action", "Role", "access_of", "admin_names", "may", "require_permission"]

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


def require_permission(request: HttpRequest, action: Action, project: str) -> None:
    """Raise `PermissionDenied` if the user may not do `action` in a project, `Http404` if they may not even see it.

    A 403 would confirm that the project exists.
    """
    if not may(request.user, Action.SEE, project):
        raise Http404
    if not may(request.user, action, project):
        raise PermissionDenied


def admin_names() -> list[str]:
    """Return the user names of at most `ADMINS_NAMED` active admins, sorted."""
    users = get_user_model()._default_manager.filter(is_active=True)
    admins = users.filter(Q(is_superuser=True) | Q(groups__name=Role.ADMIN.value)).distinct()
    return list(admins.order_by("username").values_list("username", flat=True)[:ADMINS_NAMED])
