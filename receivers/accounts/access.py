"""Check what a user may see and do.

Roles come from Django groups: `viewer`, `operator` and `admin` apply everywhere, `operator:storefront` in one project.
`manage.py grant` adds users to these groups. Superusers are admins. With `KARGOWEB_ACCESS=kubernetes`, users of the
provider or the proxy have the roles that Kubernetes grants, and those of their groups in `KARGOWEB_OIDC_ROLES` or
`KARGOWEB_PROXY_ROLES`.
"""

from __future__ import annotations

from typing import Any, Final

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import Http404, HttpRequest

from receivers.accounts.external_users import PROXY
from receivers.accounts.kubernetes_access import NOT_SERVING, KubernetesAccess, ReviewSubject, subject_of
from receivers.accounts.roles import Access, Action, Role, access_from_groups
from receivers.models import ProviderIdentity

__all__ = [
    "Access",
    "Action",
    "Role",
    "access_of",
    "admin_names",
    "kubernetes_decides",
    "kubernetes_subject",
    "may",
    "require_permission",
    "use",
]

ADMINS_NAMED: Final = 5  # on the page for users without a role; a longer list does not help


def access_of(user: Any) -> Access:
    """Return what a user may do. Runs one query and caches the result on `user`."""
    access = getattr(user, "_kargoweb_access", None)
    if not isinstance(access, Access):
        active = user.is_authenticated and user.is_active
        if active and user.is_superuser:
            access = access_from_groups((), superuser=True)
        else:
            access = _granted(user) if active else Access()
        user._kargoweb_access = access
    return access


def kubernetes_decides(user: Any) -> bool:
    """Return whether Kubernetes decides about the access of a user, which it doesn't for local accounts."""
    return settings.KARGOWEB.access.by_kubernetes and _identity(user) is not None


def kubernetes_subject(user: Any) -> ReviewSubject | None:
    """Return how Kubernetes knows a user whose access it decides; None if the name can't be one there."""
    identity = _identity(user)
    return _subject(identity) if identity else None


def use(reviews: KubernetesAccess | None) -> None:
    """Let Kubernetes decide in this process from now on; None ends that."""
    global _reviews  # noqa: PLW0603 - one per process, set at its start
    _reviews = reviews


_reviews: KubernetesAccess | None = None


def _granted(user: Any) -> Access:
    if settings.KARGOWEB.access.by_kubernetes and (identity := _identity(user)):
        return _granted_to(identity)
    return access_from_groups(user.groups.values_list("name", flat=True))


def _identity(user: Any) -> ProviderIdentity | None:
    return ProviderIdentity.objects.filter(user_id=user.pk).first()


def _granted_to(identity: ProviderIdentity) -> Access:
    """Return what Kubernetes and the roles of the groups grant, which change while nobody signs in."""
    configuration = settings.KARGOWEB
    if identity.issuer == PROXY:
        known, roles = bool(configuration.proxy.addresses), configuration.proxy.roles
    else:
        known, roles = identity.issuer == configuration.oidc.issuer, configuration.oidc.roles
    if not known:  # its names are another's now
        return Access()
    mapped = access_from_groups(role for group in identity.groups for role in roles.get(group, ()))
    return mapped if mapped.everywhere is Role.ADMIN else mapped.joined(_reviewed(identity))


def _reviewed(identity: ProviderIdentity) -> Access:
    subject = _subject(identity)
    if subject is None:
        return Access()
    return _reviews.access_of(subject) if _reviews else Access(problem=NOT_SERVING)


def _subject(identity: ProviderIdentity) -> ReviewSubject | None:
    access = settings.KARGOWEB.access
    return subject_of(
        identity.name,
        identity.groups,
        username_prefix=access.username_prefix,
        groups_prefix=access.groups_prefix,
    )


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
