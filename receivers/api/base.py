"""What all views of the API share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from django.http import Http404
from django.utils.decorators import method_decorator
from django.views.decorators.cache import cache_control
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from receivers.accounts.access import Access, Action, access_of, require_permission
from receivers.api.problems import Unavailable
from receivers.api.strict_fields import refuse_unknown
from receivers.ops.middleware import runtime_of
from receivers.ops.runtime import Runtime

not_stored = method_decorator(cache_control(no_store=True), name="dispatch")
"""Forbids caches to store the responses of a view."""


Query = TypeVar("Query", bound=Serializer[Any])


@not_stored
class ApiView(APIView):
    """A view of the API. `REST_FRAMEWORK` in the settings has what all share: users, roles and errors."""

    @property
    def access(self) -> Access:
        """Return what the user or the token may do."""
        return access_of(self.request.user)

    @property
    def user_name(self) -> str:
        """Return the name of the user, who is the owner of the token if the request has one."""
        return str(self.request.user.get_username())

    @property
    def runtime(self) -> Runtime:
        """Return the parts of the serving process."""
        return runtime_of(self.request)

    def parsed_query(self, query: type[Query], also: Iterable[str] = ()) -> Query:
        """Return the valid parameters of the address, which has no others but `also`. Raise `ValidationError`.

        With a misspelled filter, a list would have everything.
        """
        # As a dict: DRF takes an empty parameter of a `QueryDict` for one that is missing.
        given = self.request.query_params.dict()
        parameters = query(data=given)
        refuse_unknown(given, [*parameters.fields, *also])
        return self._valid(parameters)

    def parsed_body(self, query: type[Query]) -> Query:
        """Return the valid body. Raise `ValidationError`, also if anything is in the address instead."""
        refuse_unknown(self.request.query_params, ())
        return self._valid(query(data=self.request.data))

    def _valid(self, query: Query) -> Query:
        query.is_valid(raise_exception=True)
        return query

    def require_project(self, action: Action, project: str) -> None:
        """Raise `PermissionDenied` if the user may not do `action` in a project.

        Raise `Http404` if it doesn't exist or the user may not see it, `Unavailable` until the cluster has been read.
        """
        require_permission(self.request, action, project)
        cache = self.synced_runtime().cache
        exists = not project or cache.config(project) is not None
        if not exists and all(known.name != project for known in cache.projects()):
            raise Http404

    def synced_runtime(self) -> Runtime:
        """Return the parts of the serving process. Raise `Unavailable` until the cluster has been read."""
        if not self.runtime.cache.ready:
            raise Unavailable("The initial cluster sync hasn't finished.")
        return self.runtime


class NotFoundView(ApiView):
    """Every other path under `/api/`."""

    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Raise `NotFound` once the user is authenticated and has a role."""
        super().initial(request, *args, **kwargs)
        raise NotFound
