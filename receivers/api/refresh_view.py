"""Refresh Warehouses without a webhook: for registries and scripts that send none."""

from __future__ import annotations

from django.conf import settings
from drf_spectacular.utils import OpenApiExample, PolymorphicProxySerializer, extend_schema
from rest_framework import status
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.response import Response

from receivers.accounts import audit
from receivers.accounts.access import Action
from receivers.accounts.client_address import client_address
from receivers.api.base import ApiView
from receivers.api.problems import Unavailable
from receivers.api.queries import PushRefreshQuery, WarehouseRefreshQuery
from receivers.deliveries.serializers import DeliverySerializer
from receivers.deliveries.store import NotSaved
from receivers.kargo.scopes import scope_name
from receivers.webhook import api_refresh
from receivers.webhook.api_refresh import WantedRefresh


class RefreshView(ApiView):
    """`POST /api/v1/refresh`."""

    parser_classes = (JSONParser,)

    @extend_schema(
        operation_id="refresh",
        tags=["Pushes"],
        request=PolymorphicProxySerializer(
            component_name="RefreshBody",
            serializers=[PushRefreshQuery, WarehouseRefreshQuery],
            resource_type_field_name=None,
        ),
        responses={status.HTTP_201_CREATED: DeliverySerializer},
        examples=[
            OpenApiExample(
                "A push",
                {"project": "storefront", "repository": "example/repo", "tag": "1.2.3"},
                request_only=True,
            ),
            OpenApiExample("A Warehouse", {"project": "storefront", "warehouse": "api"}, request_only=True),
        ],
    )
    def post(self, request: Request) -> Response:
        """Refresh the Warehouses of a project that select a push, or one Warehouse. Returns the recorded delivery.

        kargoweb tracks and retries the refreshes, as for a push.
        """
        of_warehouse = isinstance(request.data, dict) and "warehouse" in request.data
        if of_warehouse and "repository" in request.data:
            raise ValidationError({"repository": ["Name either a repository or a Warehouse."]})
        wanted = WantedRefresh(
            **self.parsed_body(WarehouseRefreshQuery if of_warehouse else PushRefreshQuery).validated_data
        )
        self.require_project(Action.REFRESH, wanted.project)
        runtime = self.runtime
        delivery = api_refresh.new_delivery(
            wanted,
            self.user_name,
            client_address(request.META, settings.KARGOWEB.forwarded_hops),
            request.headers.get("User-Agent", ""),
        )
        try:
            runtime.intake.refresh(delivery)
        except NotSaved:
            raise Unavailable from None
        what = f"Warehouse {wanted.warehouse}" if wanted.warehouse else f"{wanted.repository}:{wanted.tag}"
        audit.record_about(request, Action.REFRESH, delivery, f"{what} in {scope_name(wanted.project)}")
        return Response(DeliverySerializer(delivery).data, status.HTTP_201_CREATED)
