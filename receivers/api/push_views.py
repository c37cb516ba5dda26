"""Pushes: what providers announced, the results, and what a push would do."""

from __future__ import annotations

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from receivers.accounts.access import Action, require_permission
from receivers.api.base import ApiView
from receivers.api.filter_parameters import FILTER_SCHEMAS, filter_form
from receivers.api.pagination import DeliveryFilterBackend
from receivers.api.push_serializers import PushDetailsSerializer, PushSerializer, push_details
from receivers.api.queries import LogPageQuery, PushQuery, filter_of
from receivers.api.schema import page_of
from receivers.deliveries import visibility
from receivers.deliveries.push_record import find_push
from receivers.deliveries.pushes import push_page
from receivers.deliveries.serializers import VerdictSerializer
from receivers.kargo.scopes import scope_name
from receivers.webhook.match_report import explain


class PushListView(ApiView):
    """`GET /api/v1/pushes`."""

    filter_backends = (DeliveryFilterBackend,)

    @extend_schema(
        operation_id="list_pushes",
        tags=["Pushes"],
        parameters=[LogPageQuery],
        responses=page_of("pushes", PushSerializer, looked_to=True),
        filters=True,
    )
    def get(self, request: Request) -> Response:
        """Return a page of pushes, newest first, each once, whatever the number of its deliveries."""
        query = self.parsed_query(LogPageQuery, FILTER_SCHEMAS)
        wanted = visibility.limited(filter_of(filter_form(request.query_params)), self.access)
        page = push_page(wanted, **query.validated_data)
        rows = PushSerializer(page.rows, many=True, context={"request": request}).data
        return Response({"pushes": rows, "next": page.next, "looked_to": page.looked_to})


class PushDetailView(ApiView):
    """`GET /api/v1/pushes/<id>`."""

    @extend_schema(operation_id="get_push", tags=["Pushes"], responses=PushDetailsSerializer)
    def get(self, request: Request, push_id: UUID) -> Response:
        """Return a push with its journey: receivers, Warehouses, Freight and Stages."""
        record = find_push(self.access, push_id)
        if record is None:
            raise NotFound
        details = push_details(record, self.runtime.stages)
        return Response(PushDetailsSerializer(details, context={"request": request}).data)


class WarehouseKeySerializer(serializers.Serializer[dict[str, str]]):
    """A Warehouse that a push would refresh."""

    project = serializers.CharField()
    warehouse = serializers.CharField()


class ExplanationSerializer(serializers.Serializer[dict[str, object]]):
    """What a push would refresh, and why. `left_out` is how many more verdicts there are."""

    project = serializers.CharField()
    repository = serializers.CharField()
    tag = serializers.CharField()
    media_type = serializers.CharField()
    to_refresh = WarehouseKeySerializer(many=True)
    why_no_match = serializers.CharField()
    verdicts = VerdictSerializer(many=True)
    left_out = serializers.IntegerField(min_value=0)


class ExplainView(ApiView):
    """`GET /api/v1/explain?project=&repository=&tag=&media_type=`."""

    @extend_schema(
        operation_id="explain", tags=["Pushes"], parameters=[PushQuery], responses=ExplanationSerializer
    )
    def get(self, request: Request) -> Response:
        """Return the verdict of every subscription in scope on a push. Refreshes nothing."""
        query = self.parsed_query(PushQuery)
        project, push = query.validated_data["project"], query.push
        require_permission(request, Action.SEE, project)
        report = explain(self.synced_runtime().cache, push, project)
        all_verdicts = [verdict.as_dict() for verdict in report.verdicts]
        verdicts = visibility.verdicts_of(all_verdicts, self.access)
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
