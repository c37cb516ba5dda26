"""The list of deliveries: which of them a request selects, and the page that it gets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rest_framework.filters import BaseFilterBackend
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from receivers.accounts.access import access_of
from receivers.api.filter_parameters import FILTER_SCHEMAS, filter_form
from receivers.api.queries import LogPageQuery, filter_of
from receivers.api.strict_fields import refuse_unknown
from receivers.deliveries import visibility
from receivers.deliveries.delivery_page import CURSOR, DeliveryPage
from receivers.deliveries.filters import DeliveryFilter
from receivers.deliveries.querysets import MAX_PAGE_SIZE, DeliveryQuerySet


@dataclass(frozen=True, slots=True)
class SelectedDeliveries:
    """The deliveries that a filter selects. Not a queryset: the filter also decides which index a page scans."""

    log: DeliveryQuerySet
    wanted: DeliveryFilter
    each_push_once: bool

    def page(self, after: str, size: int) -> DeliveryPage:
        """Return a page; see `DeliveryQuerySet.page`."""
        return self.log.page(self.wanted, after=after, size=size, each_push_once=self.each_push_once)


class DeliveryFilterBackend(BaseFilterBackend):
    """The filters of the delivery list and `every`, which shows duplicates, among what the user may see."""

    def filter_queryset(self, request: Request, queryset: Any, view: APIView) -> Any:
        """Return the selected deliveries. Raise `ValidationError`."""
        form = filter_form(request.query_params)
        wanted = visibility.limited(filter_of(form), access_of(request.user))
        return SelectedDeliveries(queryset, wanted, form.each_push_once)

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        """Return the filters for the OpenAPI schema."""
        return [{"name": name, "in": "query", "schema": each} for name, each in FILTER_SCHEMAS.items()]


class DeliveryPagination(BasePagination):
    """Pages of the delivery list, newest first, each found by a bounded scan of an index.

    DRF's `CursorPagination` would scan until it has enough rows.
    """

    def paginate_queryset(self, queryset: Any, request: Request, view: APIView | None = None) -> list[Any]:
        """Return the rows of the page that `size` and `after` ask for. Raise `ValidationError`."""
        given = request.query_params.dict()
        query = LogPageQuery(data=given)
        refuse_unknown(given, [*query.fields, *FILTER_SCHEMAS])
        query.is_valid(raise_exception=True)
        self.page: DeliveryPage = queryset.page(**query.validated_data)
        return list(self.page.rows)

    def get_paginated_response(self, data: Any) -> Response:
        """Return the page with the cursor of the next one."""
        return Response({"deliveries": data, "next": self.page.next, "looked_to": self.page.looked_to})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return the OpenAPI schema of a page."""
        return {
            "type": "object",
            "required": ["deliveries", "next", "looked_to"],
            "properties": {
                "deliveries": schema,
                "next": {
                    "type": "string",
                    "description": "The cursor of the next page; empty on the last one.",
                },
                "looked_to": {
                    "type": ["string", "null"],
                    "format": "date-time",
                    "description": "The time back to which the search has read; null if it is complete.",
                },
            },
        }

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        """Return the parameters for the OpenAPI schema."""
        return [
            {
                "name": "size",
                "in": "query",
                "schema": {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE},
            },
            {"name": "after", "in": "query", "schema": {"type": "string", "pattern": f"^({CURSOR})?$"}},
        ]
