"""The views of the JSON API: the same reads and actions as the pages, with the same permissions."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.utils.decorators import method_decorator
from django.views.decorators.cache import cache_control
from rest_framework import status
from rest_framework.exceptions import NotFound
from rest_framework.generics import GenericAPIView
from rest_framework.mixins import ListModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from receivers.accounts import audit
from receivers.accounts.access import Action, access_of, require_permission
from receivers.api.errors import Conflict, Unavailable
from receivers.api.pagination import DeliveryFilterBackend, DeliveryPagination
from receivers.api.serializers import PushQuery
from receivers.deliveries import visibility
from receivers.deliveries.querysets import DeliveryQuerySet, delivery_log
from receivers.deliveries.redelivery import NotRedeliverable, redeliver
from receivers.deliveries.serializers import DeliveryDetailsSerializer, DeliverySerializer
from receivers.kargo.scopes import scope_name
from receivers.models import ApiToken, Delivery
from receivers.ops.middleware import runtime_of
from receivers.webhook.explain import explain

not_stored = method_decorator(cache_control(no_store=True), name="dispatch")
"""Forbids caches to store the responses of a view."""


@not_stored
class DeliveryView(GenericAPIView[Delivery]):
    """A view of deliveries. `REST_FRAMEWORK` in the settings has what all views share: users, roles and errors."""

    serializer_class = DeliverySerializer

    def get_queryset(self) -> DeliveryQuerySet:
        """Return the delivery log. `HasRole` checks a single delivery, and the filter limits a list."""
        return delivery_log()


class DeliveryListView(ListModelMixin, DeliveryView):
    """`GET /api/v1/deliveries`: takes the filters of the page, `size`, `every` and `after` (a `next`)."""

    filter_backends = (DeliveryFilterBackend,)
    pagination_class = DeliveryPagination

    def get(self, request: Request) -> Response:
        """Return a page of deliveries, newest first."""
        return self.list(request)


class DeliveryDetailView(DeliveryView):
    """`GET /api/v1/deliveries/<id>`."""

    def get(self, request: Request, pk: UUID) -> Response:
        """Return all data of a delivery."""
        access = access_of(request.user)
        delivery = visibility.find(access, pk)
        if delivery is None:
            raise NotFound
        details = visibility.details(access, delivery)
        return Response(DeliveryDetailsSerializer(details).data)


class RedeliveryView(DeliveryView):
    """`POST /api/v1/deliveries/<id>/redeliver`."""

    required_action = Action.REDELIVER

    def post(self, request: Request, pk: UUID) -> Response:
        """Redeliver a delivery and return the new one, which is pending."""
        original = self.get_object()
        try:
            new = redeliver(original, request.user.get_username())
        except NotRedeliverable as error:
            raise Conflict(f"This delivery can't be redelivered: {error}.") from None
        by = f", by API token {request.auth}" if isinstance(request.auth, ApiToken) else ""
        audit.record_about(request, Action.REDELIVER, original, f"as {new.pk}{by}")
        return Response(self.get_serializer(new).data, status.HTTP_201_CREATED)


@not_stored
class ExplainView(APIView):
    """`GET /api/v1/explain?project=&repository=&tag=&media_type=`; `project` is `cluster` for a cluster receiver."""

    def get(self, request: Request) -> Response:
        """Return the verdict of every Warehouse in scope on a push. Refreshes nothing."""
        query = PushQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        project, push = query.validated_data["project"], query.push
        require_permission(request, Action.SEE, project)
        cache = runtime_of(request).cache
        if not cache.ready:
            raise Unavailable("The initial cluster sync hasn't finished.")
        report = explain(cache, push, project)
        all_verdicts = [verdict.as_dict() for verdict in report.verdicts]
        verdicts = visibility.verdicts_of(all_verdicts, access_of(request.user))
        hidden = len(verdicts) < len(all_verdicts)
        return Response(
            {
                "project": scope_name(project),
                "repository": push.repository,
                "tag": push.tag,
                "media_type": push.media_type,
                "to_refresh": [{"project": key[0], "warehouse": key[1]} for key in report.to_refresh],
                "why_no_match": report.why_no_match if hidden else report.why_no_match_anywhere,
                "verdicts": verdicts,
                "left_out": report.left_out,
            }
        )


@not_stored
class NotFoundView(APIView):
    """Every other path under `/api/`."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Raise `NotFound` once the user is authenticated and has a role."""
        super().initial(request, *args, **kwargs)
        raise NotFound
