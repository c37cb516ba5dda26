"""Findings and their mutes, statistics, the audit log, and what the caller may do."""

from __future__ import annotations

from typing import Any

from django.db.models import Q
from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.response import Response

from receivers.accounts import audit
from receivers.accounts.access import Action, require_permission
from receivers.api.base import ApiView
from receivers.api.queries import FindingQuery, LogPageQuery, MuteQuery, StatisticsQuery
from receivers.api.schema import page_of
from receivers.api.serializers import (
    AccessSerializer,
    AuditSerializer,
    FindingSerializer,
    StatisticsSerializer,
    page_after,
)
from receivers.deliveries.delivery_page import Position
from receivers.deliveries.figures import Range, figures
from receivers.health import mutes
from receivers.health.finding import Finding
from receivers.health.report import HealthReport
from receivers.kargo.scopes import CLUSTER_SCOPE
from receivers.models import ApiToken, Audit, AuditAction


class FindingListView(ApiView):
    """`GET /api/v1/findings`."""

    @extend_schema(
        operation_id="list_findings",
        tags=["Findings"],
        parameters=[FindingQuery],
        responses=page_of("findings", FindingSerializer),
    )
    def get(self, request: Request) -> Response:
        """Return a page of findings, most urgent first."""
        query = self.parsed_query(FindingQuery)
        values = query.validated_data
        report = self.runtime.health.report()
        open_, muted = report.open_and_muted(self.access.projects)
        by_key = {
            _cursor_of(finding): finding
            for finding in (muted if values["muted"] else open_)
            if (values["project"] is None or values["project"] in finding.projects)
            and values["severity"] in {None, finding.severity.value}
            and values["check"] in {None, finding.check.value}
        }
        keys = sorted(by_key)
        page = page_after([by_key[key] for key in keys], keys, values["after"], values["size"])
        return Response({"findings": _findings(request, page.rows, report), "next": page.next})


class OneFindingView(ApiView):
    """A view of one finding."""

    def find(self, report: HealthReport, key: str) -> Finding:
        """Return the finding. Raise `Http404` if it is resolved, has changed, or is not visible."""
        finding = report.find(key, self.access.projects)
        if finding is None:
            raise Http404
        return finding


class FindingView(OneFindingView):
    """`GET /api/v1/findings/<key>`."""

    @extend_schema(operation_id="get_finding", tags=["Findings"], responses=FindingSerializer)
    def get(self, request: Request, key: str) -> Response:
        """Return a finding. Returns 404 once it is resolved or has changed."""
        report = self.runtime.health.report()
        return Response(_findings(request, [self.find(report, key)], report)[0])


class MuteView(OneFindingView):
    """`PUT` and `DELETE /api/v1/findings/<key>/mute`."""

    parser_classes = (JSONParser,)

    @extend_schema(
        operation_id="mute_finding", tags=["Findings"], request=MuteQuery, responses=FindingSerializer
    )
    def put(self, request: Request, key: str) -> Response:
        """Mute a finding, and those with the same cause, until it changes."""
        finding = self._permitted(request, key)
        query = self.parsed_body(MuteQuery)
        self._change(request, finding, AuditAction.MUTE, query.validated_data["note"])
        return Response(_findings(request, [finding], self.runtime.health.report())[0])

    @extend_schema(
        operation_id="unmute_finding", tags=["Findings"], responses={status.HTTP_204_NO_CONTENT: None}
    )
    def delete(self, request: Request, key: str) -> Response:
        """Unmute a finding, and those with the same cause."""
        self._change(request, self._permitted(request, key), AuditAction.UNMUTE)
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _permitted(self, request: Request, key: str) -> Finding:
        """Return the finding if the user may mute it."""
        finding = self.find(self.runtime.health.report(), key)
        require_permission(request, Action.MUTE, finding.project)
        return finding

    def _change(self, request: Request, finding: Finding, action: AuditAction, note: str = "") -> None:
        if action is AuditAction.MUTE:
            mutes.mute(finding, self.user_name, note)
        else:
            mutes.unmute(finding)
        audit.record(request, action, project=finding.project, detail=f"{finding.check} of {finding.name}")
        self.runtime.health.reload_mutes()


class StatisticsView(ApiView):
    """`GET /api/v1/statistics`."""

    @extend_schema(
        operation_id="get_statistics",
        tags=["Operations"],
        parameters=[StatisticsQuery],
        responses=StatisticsSerializer,
    )
    def get(self, request: Request) -> Response:
        """Return the number of pushes by outcome, and the times to Freight, for a day, a week or a month."""
        query = self.parsed_query(StatisticsQuery)
        values = query.validated_data
        if values["project"] is not None:
            require_permission(request, Action.SEE, values["project"])
        statistics = figures(
            Range(values["range"]),
            timezone.now(),
            projects=self.access.projects,
            project=values["project"],
            receiver=values["receiver"],
        )
        return Response(StatisticsSerializer(statistics).data)


class AuditView(ApiView):
    """`GET /api/v1/audit`."""

    @extend_schema(
        operation_id="list_audit_entries",
        tags=["Operations"],
        parameters=[LogPageQuery],
        responses=page_of("entries", AuditSerializer),
    )
    def get(self, request: Request) -> Response:
        """Return a page of the audit log, newest first. For admins of all projects."""
        # The log covers all projects.
        require_permission(request, Action.READ_AUDIT_LOG, CLUSTER_SCOPE)
        query = self.parsed_query(LogPageQuery)
        size = query.validated_data["size"]
        entries = Audit.objects.order_by("-at", "-id")
        if query.validated_data["after"]:
            after = Position.read(query.validated_data["after"])
            entries = entries.filter(Q(at__lt=after.received_at) | Q(at=after.received_at, id__lt=after.id))
        rows = list(entries[: size + 1])
        has_more, rows = len(rows) > size, rows[:size]
        following = Position(rows[-1].at, rows[-1].pk).cursor() if has_more else ""
        return Response({"entries": AuditSerializer(rows, many=True).data, "next": following})


class AccessView(ApiView):
    """`GET /api/v1/access`."""

    @extend_schema(operation_id="get_access", tags=["Operations"], responses=AccessSerializer)
    def get(self, request: Request) -> Response:
        """Return who you are and what you may do: with a token, what that permits."""
        token = request.auth if isinstance(request.auth, ApiToken) else None
        access = self.access
        return Response(
            AccessSerializer(
                {
                    "user": self.user_name,
                    "token": token.name if token else None,
                    "everywhere": access.everywhere,
                    "projects": dict(access.by_project),
                }
            ).data
        )


def _findings(request: Request, findings: Any, report: HealthReport) -> Any:
    context = {"request": request, "mutes": report.mutes}
    return FindingSerializer(findings, many=True, context=context).data


def _cursor_of(finding: Finding) -> str:
    """Return a text by which findings sort as `most_urgent_first` does, and that no two of them share."""
    parts = (
        str(finding.severity.rank), finding.project, finding.subject, finding.name, finding.check, finding.key,
    )  # fmt: skip
    return "~".join(parts)
