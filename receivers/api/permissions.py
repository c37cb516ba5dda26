"""Who may use the API: users with a role, within the projects of their roles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rest_framework import status
from rest_framework.exceptions import APIException
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from receivers.accounts.access import Action, access_of, require_permission

if TYPE_CHECKING:  # `rest_framework.views` imports this module, which the settings name
    from rest_framework.views import APIView


class AccessUndecided(APIException):
    """503: Kubernetes can't decide at the moment what the user may do. `wait` becomes the header Retry-After."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "access_undecided"
    wait = 5  # seconds


class HasRole(BasePermission):
    """Permits what the roles of the user permit, as the pages do.

    An object with a `project` requires the view's `required_action` (`Action.SEE` by default) in that project.
    """

    message = "You need a role before you can see anything."
    code = "no_role"

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Return whether the user has any role. Raises `AccessUndecided` if Kubernetes can't decide that now."""
        access = access_of(request.user)
        if access.is_empty and access.problem:
            raise AccessUndecided(access.problem)
        return not access.is_empty

    def has_object_permission(self, request: Request, view: APIView, obj: Any) -> bool:
        """Return True. Raise `PermissionDenied`, or `Http404` if the user may not even see the object."""
        require_permission(request, getattr(view, "required_action", Action.SEE), obj.project)
        return True
