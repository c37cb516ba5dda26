"""The JSON API: the same reads and actions as the pages, with the same permissions."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import Http404
from rest_framework import status
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import APIException, NotAuthenticated
from rest_framework.parsers import FormParser, JSONParser
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from receivers.accounts import audit
from receivers.accounts.access import Access, Action, access_of, require_permission
from receivers.deliveries import serializers, visibility
from receivers.deliveries.filters import DeliveryFilterForm
from receivers.deliveries.form_fields import ShortTextField, form_errors
from receivers.deliveries.pagination import InvalidCursor
from receivers.deliveries.querysets import MAX_PAGE_SIZE, delivery_log
from receivers.deliveries.redelivery import NotRedeliverable, redeliver
from receivers.kargo.push import Push
from receivers.kargo.scopes import parse_scope, scope_name
from receivers.models import Delivery
from receivers.ops import runtime
from receivers.webhook.explain import explain

PAGE_SIZE: Final = 50  # rows by default; `size` changes it
MESSAGES: Final = {404: "not found", 403: "permission denied"}


class ApiError(Exception):
    """An error response: a status code and a message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class DeliveryListForm(DeliveryFilterForm):
    """The parameters of the list: the filter, the size of the page, and the cursor of the previous one."""

    after = forms.CharField(required=False)
    size = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=MAX_PAGE_SIZE,
        error_messages=dict.fromkeys(
            ("invalid", "min_value", "max_value"), f"must be a number from 1 to {MAX_PAGE_SIZE}"
        ),
    )


class ExplainForm(forms.Form):
    """The parameters of an explanation."""

    project = ShortTextField()
    repository = ShortTextField()
    tag = ShortTextField(required=False)
    media_type = ShortTextField(required=False)


class ApiView(APIView):
    """The base view: requires a session cookie, and for POST Django's CSRF token as well."""

    authentication_classes = (SessionAuthentication,)
    permission_classes = (IsAuthenticated,)
    renderer_classes = (JSONRenderer,)
    parser_classes = (JSONParser, FormParser)  # bodies are not read, but a form may contain the CSRF token

    def access(self, request: Request) -> Access:
        """Return the access of the user. Raise `ApiError` if they have no role."""
        access = access_of(request.user)
        if access.is_empty:
            raise ApiError(status.HTTP_403_FORBIDDEN, "you need a role first")
        return access

    def delivery(self, request: Request, pk: UUID) -> Delivery:
        """Return a visible delivery. Raise `Http404` if there is none with this id."""
        found = visibility.find(self.access(request), pk)
        if found is None:
            raise Http404
        return found

    def handle_exception(self, exc: Exception) -> Response:
        """Return errors as `{"error": "..."}`. Unexpected exceptions go to Django, which logs them."""
        if isinstance(exc, ApiError):
            return Response({"error": str(exc)}, exc.code)
        if isinstance(exc, Http404 | PermissionDenied):
            code = 404 if isinstance(exc, Http404) else 403
            return Response({"error": MESSAGES[code]}, code)
        if isinstance(exc, NotAuthenticated):  # 401 requires a WWW-Authenticate challenge (RFC 9110)
            return Response({"error": "sign in first"}, status.HTTP_403_FORBIDDEN)
        if isinstance(exc, APIException):
            return Response({"error": str(exc.detail)}, exc.status_code)
        raise exc

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        """Forbid caches to store the response."""
        response["Cache-Control"] = "no-store"
        return super().finalize_response(request, response, *args, **kwargs)


class DeliveryListView(ApiView):
    """`GET /api/deliveries`: takes the filters of the page, `size`, `every`, and `after` (the `next` of a response)."""

    def get(self, request: Request) -> Response:
        """Return a page of deliveries, newest first."""
        access, form = self.access(request), DeliveryListForm(request.query_params)
        if form.wanted is None:
            raise ApiError(status.HTTP_400_BAD_REQUEST, form_errors(form)[0])
        try:
            found = delivery_log().page(
                visibility.limited(form.wanted, access),
                after=form.cleaned_data["after"],
                size=form.cleaned_data["size"] or PAGE_SIZE,
                each_push_once=form.each_push_once,
            )
        except InvalidCursor as error:
            raise ApiError(status.HTTP_400_BAD_REQUEST, str(error)) from None
        rows = [serializers.delivery_summary(row) for row in found.rows]
        return Response(
            {"deliveries": rows, "next": found.next, "looked_to": serializers.isoformat(found.looked_to)}
        )


class DeliveryDetailView(ApiView):
    """`GET /api/deliveries/<id>`."""

    def get(self, request: Request, pk: UUID) -> Response:
        """Return all data of a delivery."""
        details = visibility.details(self.access(request), self.delivery(request, pk))
        everything = serializers.delivery_details(details.delivery, details.refreshes, details.redeliveries)
        return Response({**everything, "verdicts": details.verdicts})


class RedeliveryView(ApiView):
    """`POST /api/deliveries/<id>/redeliver`."""

    def post(self, request: Request, pk: UUID) -> Response:
        """Redeliver a delivery and return the new one, which is pending."""
        found = self.delivery(request, pk)
        require_permission(request, Action.REDELIVER, found.project)
        try:
            new = redeliver(found, request.user.get_username())
        except NotRedeliverable as error:
            raise ApiError(status.HTTP_409_CONFLICT, f"this delivery can't be redelivered: {error}") from None
        audit.record_about(request, Action.REDELIVER, found, f"as {new.pk}")
        return Response(serializers.delivery_summary(new), status.HTTP_201_CREATED)


class ExplainView(ApiView):
    """`GET /api/explain?project=&repository=&tag=&media_type=`; `project` is `cluster` for a cluster receiver."""

    def get(self, request: Request) -> Response:
        """Return the verdict of every Warehouse in scope on a push. Refreshes nothing."""
        access = self.access(request)
        form = ExplainForm(request.query_params)
        if not form.is_valid():
            raise ApiError(status.HTTP_400_BAD_REQUEST, form_errors(form)[0])
        project = parse_scope(form.cleaned_data["project"])
        push = Push(*(form.cleaned_data[name] for name in ("repository", "tag", "media_type")))
        require_permission(request, Action.SEE, project)
        cache = runtime.current().cache
        if not cache.ready:
            raise ApiError(status.HTTP_503_SERVICE_UNAVAILABLE, "the initial cluster sync hasn't finished")
        report = explain(cache, push, project)
        verdicts = visibility.verdicts_of([verdict.as_dict() for verdict in report.verdicts], access)
        hidden = len(verdicts) < len(report.verdicts)
        return Response(
            {
                "project": scope_name(project),
                "repository": push.repository,
                "tag": push.tag,
                "media_type": push.media_type,
                "to_refresh": [{"project": key[0], "warehouse": key[1]} for key in report.to_refresh],
                "why_no_match": report.why_no_match_for_all if hidden else report.why_no_match,
                "verdicts": verdicts,
                "left_out": report.left_out,
            }
        )


class NotFoundView(ApiView):
    """Every other path under `/api/`."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Raise `Http404` once the user is authenticated."""
        super().initial(request, *args, **kwargs)
        raise Http404
