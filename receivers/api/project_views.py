"""Projects, their receivers and Warehouses, and test pushes."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.response import Response

from receivers.accounts import audit
from receivers.accounts.access import Action
from receivers.accounts.client_address import client_address
from receivers.api.base import ApiView
from receivers.api.problems import StateConflict
from receivers.api.queries import PageQuery, ProjectQuery, TestPushQuery
from receivers.api.schema import page_of
from receivers.api.serializers import (
    ProjectResource,
    ProjectSerializer,
    ReceiverSerializer,
    ReceiverUrlSerializer,
    TestResultSerializer,
    WarehouseSerializer,
    page_after,
)
from receivers.deliveries import statistics
from receivers.kargo.scopes import parse_scope, scope_name
from receivers.models import Delivery
from receivers.testfire.send import TargetNotTestable, TestRequest, find_target, send_test
from receivers.web.project_list import ProjectSummary, project_summaries
from receivers.web.receiver_rows import ReceiverRow, receiver_rows
from receivers.web.warehouse_rows import warehouse_rows


class ProjectView(ApiView):
    """A view of one project, `cluster` for the cluster receivers. Sets `project` to the project of the address."""

    required_action = Action.SEE

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Raise `PermissionDenied`, or `Http404` if the project doesn't exist or the user may not see it."""
        super().initial(request, *args, **kwargs)
        self.project = parse_scope(kwargs["project"])
        self.require_project(self.required_action, self.project)

    def receivers(self, revealed: str = "") -> list[ReceiverRow]:
        """Return the receivers of the project; the one named `revealed` has its URL. One query."""
        config = self.runtime.cache.config(self.project)
        keys = [(self.project, receiver.name) for receiver in config.receivers] if config else []
        return receiver_rows(
            config,
            statistics.last_deliveries([self.project], keys, pushes=True),
            revealed=revealed,
            upstream=self.runtime.intake.upstream,
        )


class ProjectListView(ApiView):
    """`GET /api/v1/projects`."""

    @extend_schema(
        operation_id="list_projects",
        tags=["Projects"],
        parameters=[ProjectQuery],
        responses=page_of("projects", ProjectSerializer),
    )
    def get(self, request: Request) -> Response:
        """Return a page of the projects that you may see, by name; `cluster` stands for the cluster receivers."""
        query = self.parsed_query(ProjectQuery)
        text = query.validated_data["q"].lower()
        summaries = [
            summary
            for summary in project_summaries(self.synced_runtime(), self.access)
            if text in scope_name(summary.name)
        ]
        keys = [summary.name for summary in summaries]
        # The cluster receivers have an empty name, which sorts first and stands for the first page as a cursor.
        page = page_after(summaries, keys, query.validated_data["after"], query.validated_data["size"])
        return Response({"projects": _projects(page.rows), "next": page.next})


class ProjectDetailView(ProjectView):
    """`GET /api/v1/projects/<project>`."""

    @extend_schema(operation_id="get_project", tags=["Projects"], responses=ProjectSerializer)
    def get(self, request: Request, project: str) -> Response:
        """Return a project."""
        summaries = project_summaries(self.runtime, self.access)
        [row] = _projects([summary for summary in summaries if summary.name == self.project]) or [None]
        if row is None:  # the cluster scope without receivers
            row = ProjectSerializer(ProjectResource(self.project, (), 0, 0, None, None)).data
        return Response(row)


class ReceiverListView(ProjectView):
    """`GET /api/v1/projects/<project>/receivers`."""

    @extend_schema(
        operation_id="list_receivers",
        tags=["Projects"],
        responses=page_of("receivers", ReceiverSerializer, pages=False),
    )
    def get(self, request: Request, project: str) -> Response:
        """Return the receivers of a project in the order of its ProjectConfig, without their URLs."""
        return Response({"receivers": ReceiverSerializer(self.receivers(), many=True).data})


class ReceiverUrlView(ProjectView):
    """`POST /api/v1/projects/<project>/receivers/<receiver>/reveal-url`."""

    required_action = Action.REVEAL_URL

    @extend_schema(
        operation_id="reveal_receiver_url", tags=["Projects"], request=None, responses=ReceiverUrlSerializer
    )
    def post(self, request: Request, project: str, receiver: str) -> Response:
        """Return the URL of a receiver, which is a credential. The audit log says who asked for it."""
        row = next((row for row in self.receivers(receiver) if row.name == receiver), None)
        if row is None or not row.url:
            raise Http404
        audit.record(request, Action.REVEAL_URL, project=row.project, receiver=row.name)
        return Response(ReceiverUrlSerializer(row).data)


class TestPushView(ProjectView):
    """`POST /api/v1/projects/<project>/receivers/<receiver>/test-pushes`."""

    __test__ = False  # not a test class for pytest
    parser_classes = (JSONParser,)
    required_action = Action.TEST_FIRE

    @extend_schema(
        operation_id="send_test_push",
        tags=["Projects"],
        request=TestPushQuery,
        responses={status.HTTP_201_CREATED: TestResultSerializer},
    )
    def post(self, request: Request, project: str, receiver: str) -> Response:
        """Send a test push, as the receiver's provider would send it, and return how far it got."""
        query = self.parsed_body(TestPushQuery)
        values = query.validated_data
        try:
            target = find_target(self.runtime.cache, self.project, receiver)
        except LookupError:
            raise Http404 from None
        except TargetNotTestable as error:
            raise StateConflict(str(error)) from None
        what = TestRequest(
            values["repository"],
            values["tag"],
            values["media_type"],
            self.user_name,
            client_address(request.META, settings.KARGOWEB.forwarded_hops),
            values["dry_run"],
            tuple(values["files"]),
        )
        intake = self.runtime.intake
        result = send_test(target, what, intake.secrets, intake if values["inside"] else None)
        audit.record(
            request,
            Action.TEST_FIRE,
            project=self.project,
            receiver=receiver,
            delivery=result.delivery if result.recorded else None,
            detail=f"{'dry run' if what.dry_run else 'test'} of {what.repository}:{what.tag}",
        )
        return Response(TestResultSerializer(result).data, status.HTTP_201_CREATED)


class WarehouseListView(ProjectView):
    """`GET /api/v1/projects/<project>/warehouses`."""

    @extend_schema(
        operation_id="list_warehouses",
        tags=["Projects"],
        parameters=[PageQuery],
        responses=page_of("warehouses", WarehouseSerializer),
    )
    def get(self, request: Request, project: str) -> Response:
        """Return a page of the Warehouses of a project, by name: subscriptions, last push, newest Freight."""
        query = self.parsed_query(PageQuery)
        cache = self.runtime.cache
        # The cluster scope has no Warehouses of its own.
        all_ = cache.warehouses(self.project) if self.project else ()
        page = page_after(
            all_,
            [warehouse.name for warehouse in all_],
            query.validated_data["after"],
            query.validated_data["size"],
        )
        configs = [each for each in (cache.config(self.project), cache.config("")) if each is not None]
        rows = warehouse_rows(self.project, page.rows, configs, {}, self.runtime.newest_freight.of)
        return Response({"warehouses": WarehouseSerializer(rows, many=True).data, "next": page.next})


def _projects(summaries: Any) -> Any:
    """Return projects with their figures. Two queries for all."""
    shown: list[ProjectSummary] = list(summaries)
    names = [summary.name for summary in shown]
    keys = [(summary.name, receiver) for summary in shown for receiver in summary.receivers]
    last: dict[str, Delivery] = {}
    for (project, _), row in statistics.last_deliveries(names, keys).items():
        if project not in last or row.received_at > last[project].received_at:
            last[project] = row
    medians = statistics.push_to_freight(names)
    return ProjectSerializer(
        [
            ProjectResource(
                summary.name,
                summary.receivers,
                summary.warehouses,
                summary.action_count,
                medians.get(summary.name),
                last[summary.name].received_at if summary.name in last else None,
            )
            for summary in shown
        ],
        many=True,
    ).data
