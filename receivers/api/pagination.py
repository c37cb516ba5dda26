"""The list of deliveries: which of them a request selects, and the page that it gets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rest_framework.exceptions import ValidationError
from rest_framework.filters import BaseFilterBackend
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from receivers.accounts.access import access_of
from receivers.api.serializers import PageQuery
from receivers.deliveries import visibility
from receivers.deliveries.filters import DeliveryFilter, DeliveryFilterForm
from receivers.deliveries.pagination import DeliveryPage, InvalidCursor
from receivers.deliveries.querysets import DeliveryQuerySet


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
        form = DeliveryFilterForm(request.query_params)
        if form.wanted is None:
            raise ValidationError(
                {field: [str(problem) for problem in problems] for field, problems in form.errors.items()}
            )
        wanted = visibility.limited(form.wanted, access_of(request.user))
        return SelectedDeliveries(queryset, wanted, form.each_push_once)


class DeliveryPagination(BasePagination):
    """Pages of the delivery list, newest first, each found by a bounded scan of an index.

    DRF's `CursorPagination` would scan until it has enough rows.
    """

    def paginate_queryset(self, queryset: Any, request: Request, view: APIView | None = None) -> list[Any]:
        """Return the rows of the page that `size` and `after` ask for. Raise `ValidationError`."""
        query = PageQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        try:
            self.page: DeliveryPage = queryset.page(**query.validated_data)
        except InvalidCursor as error:
            raise ValidationError({"after": [str(error)]}) from None
        return list(self.page.rows)

    def get_paginated_response(self, data: Any) -> Response:
        """Return the page with the cursor of the next one."""
        return Response({"deliveries": data, "next": self.page.next, "looked_to": self.page.looked_to})
