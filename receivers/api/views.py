"""Deliveries for programs, as JSON: the same reads and actions as the pages, under the same permissions."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

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
from receivers.deliveries.filters import DeliveryFilter, InvalidFilter
from receivers.deliveries.pagination import InvalidCursor
from receivers.deliveries.querysets import LONGEST_PAGE, delivery_log
from receivers.deliveries.redelivery import NotRedeliverable, redeliver
from receivers.kargo.push import Push
from receivers.kargo.scopes import parse_scope, scope_name
from receivers.models import TEXT_LENGTH, Delivery
from receivers.ops import runtime
from receivers.webhook.explain import explain

PAGE_SIZE: Final = 50  # rows, unless `size` asks for others
SENTENCES: Final = {404: "there is nothing here", 403: "you may not do this"}


class Refused(Exception):
    """A request that is not worked on: a status and a sentence that says why."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class Api(APIView):
    """For who is signed in, with the session's cookie; POST takes Django's CSRF token as well."""

    authentication_classes = (SessionAuthentication,)
    permission_classes = (IsAuthenticated,)
    renderer_classes = (JSONRenderer,)
    parser_classes = (JSONParser, FormParser)  # nothing is read of a body, but the token may stand in a form

    def access(self, request: Request) -> Access:
        """Return what the user may do. Raises `Refused` where that is nothing."""
        access = access_of(request.user)
        if access.is_empty:
            raise Refused(status.HTTP_403_FORBIDDEN, "you have no role yet")
        return access

    def delivery(self, request: Request, pk: UUID) -> Delivery:
        """Return a delivery that may be seen. Raises `Http404`."""
        found = visibility.find(self.access(request), pk)
        if found is None:
            raise Http404
        return found

    def handle_exception(self, exc: Exception) -> Response:
        """Answer what is refused with `{"error": "..."}`; a fault of ours goes on to Django, and into the log."""
        if isinstance(exc, Refused):
            return Response({"error": str(exc)}, exc.code)
        if isinstance(exc, Http404 | PermissionDenied):
            code = 404 if isinstance(exc, Http404) else 403
            return Response({"error": SENTENCES[code]}, code)
        if isinstance(
            exc, NotAuthenticated
        ):  # 401 is for those who can be told how to authenticate (RFC 9110)
            return Response({"error": "sign in first"}, status.HTTP_403_FORBIDDEN)
        if isinstance(exc, APIException):
            return Response({"error": str(exc.detail)}, exc.status_code)
        raise exc

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Let nothing on the way keep a copy."""
        response["Cache-Control"] = "no-store"
        return super().finalize_response(request, response, *args, **kwargs)


class Deliveries(Api):
    """`GET /api/deliveries`: the filters of the page, `size`, `every`, and `after`, which takes what `next` was."""

    def get(self, request: Request) -> Response:
        """Return a page of the list, newest first."""
        access, given = self.access(request), request.query_params
        try:
            wanted = visibility.limited(DeliveryFilter.parse(given), access)
            found = delivery_log().page(
                wanted,
                after=given.get("after", ""),
                size=_size(given.get("size", "")),
                each_push_once="every" not in given and wanted.push is None,
            )
        except (InvalidFilter, InvalidCursor) as error:
            raise Refused(status.HTTP_400_BAD_REQUEST, str(error)) from None
        rows = [serializers.summary(row) for row in found.rows]
        return Response(
            {"deliveries": rows, "next": found.next, "looked_to": serializers.moment(found.looked_to)}
        )


class OneDelivery(Api):
    """`GET /api/deliveries/<id>`."""

    def get(self, request: Request, pk: UUID) -> Response:
        """Return everything about a delivery."""
        told = visibility.everything(self.access(request), self.delivery(request, pk))
        everything = serializers.everything(told.delivery, told.refreshes, told.redeliveries)
        return Response({**everything, "verdicts": told.verdicts})


class Redelivery(Api):
    """`POST /api/deliveries/<id>/redeliver`."""

    def post(self, request: Request, pk: UUID) -> Response:
        """Have a delivery sent again; return the new one, which is pending."""
        found = self.delivery(request, pk)
        require_permission(request, Action.REDELIVER, found.project)
        try:
            new = redeliver(found, request.user.get_username())
        except NotRedeliverable as error:
            raise Refused(status.HTTP_409_CONFLICT, f"this delivery cannot be sent again: {error}") from None
        audit.record_about(request, Action.REDELIVER, found, f"as {new.pk}")
        return Response(serializers.summary(new), status.HTTP_201_CREATED)


class Explanation(Api):
    """`GET /api/explain?project=&repository=&tag=&media_type=`; `project` is `cluster` for a cluster receiver."""

    def get(self, request: Request) -> Response:
        """Return what every Warehouse in scope would say about a push. Refreshes nothing."""
        access = self.access(request)
        project, push = _imagined(request.query_params)
        require_permission(request, Action.SEE, project)
        cache = runtime.current().cache
        if not cache.ready:
            raise Refused(status.HTTP_503_SERVICE_UNAVAILABLE, "the cluster has not been read yet")
        told = explain(cache, push, project)
        verdicts = visibility.verdicts_of([one.as_dict() for one in told.verdicts], access)
        hidden = len(verdicts) < len(told.verdicts)
        return Response(
            {
                "project": scope_name(project),
                "repository": push.repository,
                "tag": push.tag,
                "media_type": push.media_type,
                "to_refresh": [{"project": key[0], "warehouse": key[1]} for key in told.to_refresh],
                "why_no_match": told.why_no_match_for_all if hidden else told.why_no_match,
                "verdicts": verdicts,
                "left_out": told.left_out,
            }
        )


class NothingHere(Api):
    """Everything else under `/api/`."""

    def initial(self, request: Any, *args: Any, **kwargs: Any) -> None:
        """Answer 404 in JSON to whoever is signed in."""
        super().initial(request, *args, **kwargs)
        raise Http404


def _size(text: str) -> int:
    if not text:
        return PAGE_SIZE
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:6]) <= LONGEST_PAGE):
        raise Refused(status.HTTP_400_BAD_REQUEST, f"size takes a number from 1 to {LONGEST_PAGE}")
    return int(text[:6])


def _imagined(given: Any) -> tuple[str, Push]:
    """Return the project and the push that a request asks about. Raises `Refused`."""
    values = {name: given.get(name, "").strip() for name in ("project", "repository", "tag", "media_type")}
    for name, value in values.items():
        if len(value) > TEXT_LENGTH:
            raise Refused(status.HTTP_400_BAD_REQUEST, f"{name} takes at most {TEXT_LENGTH} characters")
    for name in ("project", "repository"):
        if not values[name]:
            raise Refused(status.HTTP_400_BAD_REQUEST, f"{name} is missing")
    project = parse_scope(values["project"])
    return project, Push(values["repository"], values["tag"], values["media_type"])
