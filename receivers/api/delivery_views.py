"""Deliveries: requests of providers, and what kargoweb responded and did."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import status
from rest_framework.exceptions import NotFound
from rest_framework.generics import GenericAPIView
from rest_framework.mixins import ListModelMixin
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.response import Response

from receivers.accounts import audit
from receivers.accounts.access import Action, require_permission
from receivers.api.base import ApiView
from receivers.api.pagination import DeliveryFilterBackend, DeliveryPagination
from receivers.api.problems import StateConflict
from receivers.api.queries import BulkRedeliveryQuery
from receivers.api.serializers import BulkRedeliverySerializer
from receivers.deliveries import visibility
from receivers.deliveries.querysets import DeliveryQuerySet, delivery_log
from receivers.deliveries.redelivery import NotRedeliverable, redeliver, redeliver_all
from receivers.deliveries.serializers import DeliveryDetailsSerializer, DeliverySerializer
from receivers.models import Delivery


class DeliveryView(ApiView, GenericAPIView[Delivery]):
    """A view of deliveries."""

    serializer_class = DeliverySerializer

    def get_queryset(self) -> DeliveryQuerySet:
        """Return the delivery log. `HasRole` checks a single delivery, and the filter limits a list."""
        return delivery_log()


class DeliveryListView(ListModelMixin, DeliveryView):
    """`GET /api/v1/deliveries`: takes the filters of the page, `size`, `every` and `after` (a `next`)."""

    filter_backends = (DeliveryFilterBackend,)
    pagination_class = DeliveryPagination

    @extend_schema(operation_id="list_deliveries", tags=["Deliveries"])
    def get(self, request: Request) -> Response:
        """Return a page of deliveries, newest first."""
        return self.list(request)


class DeliveryDetailView(DeliveryView):
    """`GET /api/v1/deliveries/<id>`."""

    @extend_schema(operation_id="get_delivery", tags=["Deliveries"], responses=DeliveryDetailsSerializer)
    def get(self, request: Request, pk: UUID) -> Response:
        """Return all data of a delivery: request, response, verdicts, and the result of each refresh."""
        delivery = visibility.find(self.access, pk)
        if delivery is None:
            raise NotFound
        details = visibility.details(self.access, delivery)
        return Response(DeliveryDetailsSerializer(details).data)


class RedeliveryView(DeliveryView):
    """`POST /api/v1/deliveries/<id>/redeliver`."""

    required_action = Action.REDELIVER

    @extend_schema(
        operation_id="redeliver",
        tags=["Deliveries"],
        request=None,
        responses={status.HTTP_201_CREATED: DeliverySerializer},
    )
    def post(self, request: Request, pk: UUID) -> Response:
        """Redeliver a delivery and return the new one, which is pending."""
        original = self.get_object()
        try:
            new = redeliver(original, self.user_name)
        except NotRedeliverable as error:
            raise StateConflict(f"This delivery can't be redelivered: {error}.") from None
        audit.record_about(request, Action.REDELIVER, original, f"as {new.pk}")
        return Response(self.get_serializer(new).data, status.HTTP_201_CREATED)


class BulkRedeliveryView(ApiView):
    """`POST /api/v1/deliveries/redeliver`."""

    parser_classes = (JSONParser,)

    @extend_schema(
        operation_id="redeliver_many",
        tags=["Deliveries"],
        request=BulkRedeliveryQuery,
        responses=BulkRedeliverySerializer,
        examples=[
            OpenApiExample(
                "Failures of the last two hours",
                {"filter": {"outcome": "bad", "since": "2h"}, "rate": 5, "dry_run": True},
                request_only=True,
            )
        ],
    )
    def post(self, request: Request) -> Response:
        """Redeliver up to 1,000 deliveries that a filter selects, oldest first, at a limited rate.

        Tests, deliveries that were redelivered before, and those that can never succeed are left out.
        """
        query = self.parsed_body(BulkRedeliveryQuery)
        wanted, rate, dry_run = (query.validated_data[name] for name in ("filter", "rate", "dry_run"))
        if wanted.project is not None:
            require_permission(request, Action.REDELIVER, wanted.project)
        wanted = visibility.limited(wanted, self.access, Action.REDELIVER)
        if wanted.seen == frozenset():
            raise PermissionDenied
        # Deliveries that arrive meanwhile are not part of it.
        wanted = replace(wanted, until=wanted.until or timezone.now())
        batch = redeliver_all(wanted, self.user_name, rate=rate, dry_run=dry_run)
        if batch.deliveries:
            detail = f"{len(batch.deliveries)} at {rate:g} a second: {query.initial_data['filter'] or 'all'}"
            audit.record(request, Action.REDELIVER, project=wanted.project or "", detail=detail)
        result = {
            "originals": [original.pk for original in batch.originals],
            "deliveries": [delivery.pk for delivery in batch.deliveries],
            "refused": [{"id": original.pk, "reason": reason} for original, reason in batch.refused],
            "more": batch.more,
        }
        return Response(BulkRedeliverySerializer(result).data)
