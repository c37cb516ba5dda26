"""The objects that the API returns, as JSON values. Times are ISO 8601, in UTC."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from receivers.accounts.access import Action, access_of
from receivers.deliveries.figures import Figures, FigureSpan
from receivers.deliveries.serializers import DeliverySerializer
from receivers.health.finding import Finding, Severity, Subject
from receivers.health.report import Muted
from receivers.kargo.scopes import scope_name
from receivers.models import Audit, AuditAction, Outcome
from receivers.testfire.probe import ProbeStep, StepTime
from receivers.testfire.send import TestResult
from receivers.web.warehouse_rows import SubscriptionRow

Row = TypeVar("Row")

PROBE_STEPS: Final = [(step.value, step.value) for step in ProbeStep]


class ScopeNameField(serializers.CharField):
    """A project, `cluster` for the cluster scope."""

    def to_representation(self, value: Any) -> str:
        """Return the name."""
        return scope_name(str(value))


@dataclass(frozen=True, slots=True)
class ProjectResource:
    """A project and its figures. `name` is empty for the cluster receivers."""

    name: str
    receivers: Sequence[str]
    warehouses: int
    problems: int
    median_seconds: float | None
    last_delivery_at: datetime | None


class ProjectSerializer(serializers.Serializer[Any]):
    """A project. `problems` counts what needs action; `median_seconds` is the time from a push to its Freight."""

    name = ScopeNameField()
    receivers = serializers.ListField(child=serializers.CharField())
    warehouses = serializers.IntegerField(min_value=0)
    problems = serializers.IntegerField(min_value=0)
    median_seconds = serializers.FloatField(allow_null=True)
    last_delivery_at = serializers.DateTimeField(allow_null=True)


class ReceiverSerializer(serializers.Serializer[Any]):
    """A receiver. `masked_url` ends with the last characters of the secret part; it is empty if there is no URL yet.

    `upstream` is the host of Kargo's own server if requests are passed on to it, otherwise empty.
    """

    project = ScopeNameField()
    name = serializers.CharField()
    kind = serializers.CharField()
    supported = serializers.BooleanField()
    masked_url = serializers.CharField(source="masked")
    upstream = serializers.CharField()
    last_push_at = serializers.DateTimeField(source="last.received_at", default=None, allow_null=True)
    last_outcome = serializers.ChoiceField(
        source="last.outcome", choices=Outcome.choices, default=None, allow_null=True
    )


class ReceiverUrlSerializer(serializers.Serializer[Any]):
    """The URL of a receiver, which is a credential."""

    url = serializers.CharField()


class SubscriptionSerializer(serializers.Serializer[SubscriptionRow]):
    """A subscription: what it selects, and the receivers that get pushes to its repository, as `project/name`."""

    kind = serializers.CharField(source="subscription.kind")
    name = serializers.CharField(source="subscription.name")
    repo_url = serializers.CharField(source="subscription.repo_url")
    criteria = serializers.SerializerMethodField()
    on_docker_hub = serializers.BooleanField()
    receivers = serializers.SerializerMethodField()

    def get_criteria(self, row: SubscriptionRow) -> list[str]:
        """Return what selects tags, in a few words each."""
        return [" ".join(filter(None, pair)) for pair in row.criteria]

    def get_receivers(self, row: SubscriptionRow) -> list[str]:
        """Return the names of the receivers."""
        return [f"{scope_name(project)}/{name}" for project, name in row.covered_by]


class FreightSerializer(serializers.Serializer[Any]):
    """A piece of Freight."""

    name = serializers.CharField()
    alias = serializers.CharField()
    created_at = serializers.DateTimeField(source="at", allow_null=True)


class WarehouseSerializer(serializers.Serializer[Any]):
    """A Warehouse. `manual`: Kargo creates no Freight by itself. `last_push` is the last one that refreshed it."""

    name = serializers.CharField()
    manual = serializers.BooleanField()
    subscriptions = SubscriptionSerializer(many=True)
    last_push = DeliverySerializer(source="push", allow_null=True)
    freight = FreightSerializer(allow_null=True)
    median_seconds = serializers.FloatField(source="median", allow_null=True)
    unmatched_pushes = serializers.IntegerField(source="unmatched.count", default=0)


class MutedSerializer(serializers.Serializer[Muted]):
    """Who muted a finding, when and why."""

    user = serializers.CharField()
    at = serializers.DateTimeField()
    note = serializers.CharField()


class FindingSerializer(serializers.Serializer[Finding]):
    """A problem, or a fact worth knowing. `key` changes if the finding changes; `warehouses` are `project/name`."""

    key = serializers.CharField()
    check = serializers.CharField(source="check.value")
    title = serializers.CharField(source="check.label")
    severity = serializers.ChoiceField(choices=[each.value for each in Severity])
    project = ScopeNameField()
    subject = serializers.ChoiceField(choices=Subject.values)
    name = serializers.CharField()
    reason = serializers.CharField()
    remedy = serializers.CharField()
    command = serializers.CharField()
    warehouses = serializers.SerializerMethodField()
    muted = serializers.SerializerMethodField()
    may_mute = serializers.SerializerMethodField()

    def get_warehouses(self, finding: Finding) -> list[str]:
        """Return the Warehouses that share the problem."""
        return ["/".join(key) for key in finding.warehouses]

    @extend_schema_field(MutedSerializer(allow_null=True))
    def get_muted(self, finding: Finding) -> Any:
        """Return the mute of the finding, None if it is not muted."""
        muted = self.context["mutes"].get(finding.mute_key)
        return MutedSerializer(muted).data if muted else None

    def get_may_mute(self, finding: Finding) -> bool:
        """Return whether the user may mute the finding."""
        return access_of(self.context["request"].user).may(Action.MUTE, finding.project)


class AuditSerializer(serializers.ModelSerializer[Audit]):
    """An entry of the audit log. `project` and `receiver` are empty if the action concerns neither."""

    action = serializers.ChoiceField(choices=AuditAction.values)

    class Meta:
        model = Audit
        fields = ("id", "at", "user", "action", "project", "receiver", "delivery", "detail", "address")


class SpanSerializer(serializers.Serializer[FigureSpan]):
    """The pushes of some time, by outcome, and the seconds until they were Freight. `until` is exclusive."""

    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    pushes = serializers.IntegerField()
    matched = serializers.IntegerField()
    became_freight = serializers.IntegerField()
    p50_seconds = serializers.FloatField(source="p50", allow_null=True)
    p95_seconds = serializers.FloatField(source="p95", allow_null=True)
    outcomes = serializers.SerializerMethodField()

    def get_outcomes(self, span: FigureSpan) -> dict[str, int]:
        """Return the number of pushes by outcome."""
        return {measure: count for measure, count in span.measures.items() if measure in Outcome.values}


class StatisticsSerializer(serializers.Serializer[Figures]):
    """The figures of a range: in total, by column (the oldest first), and of the range before."""

    range = serializers.CharField(source="range.value")
    total = SpanSerializer(source="whole")
    before = SpanSerializer()
    columns = SpanSerializer(many=True)


class StepTimeSerializer(serializers.Serializer[StepTime]):
    """A step on the way to the receiver URL, and how long it took."""

    step = serializers.ChoiceField(choices=PROBE_STEPS)
    seconds = serializers.FloatField()


class TestResultSerializer(serializers.Serializer[TestResult]):
    """The result of a test push. `recorded`: it arrived, as delivery `delivery`. `problem` says what went wrong."""

    delivery = serializers.UUIDField()
    recorded = serializers.BooleanField()
    problem = serializers.CharField()
    steps = StepTimeSerializer(source="times", many=True)
    failed_step = serializers.ChoiceField(choices=PROBE_STEPS, allow_null=True)


class RefusedRedeliverySerializer(serializers.Serializer[Any]):
    """A delivery that is not redelivered, and why."""

    id = serializers.UUIDField()
    reason = serializers.CharField()


class BulkRedeliverySerializer(serializers.Serializer[Any]):
    """What was redelivered: the originals, and the new deliveries in the same order (none in a dry run).

    `more`: there are more deliveries than one request redelivers; send it again.
    """

    originals = serializers.ListField(child=serializers.UUIDField())
    deliveries = serializers.ListField(child=serializers.UUIDField())
    refused = RefusedRedeliverySerializer(many=True)
    more = serializers.BooleanField()


class AccessSerializer(serializers.Serializer[Any]):
    """Who sends the request, and what they may do: the role everywhere (None: no such role), and roles by project."""

    user = serializers.CharField()
    token = serializers.CharField(allow_null=True)
    everywhere = serializers.CharField(allow_null=True)
    projects = serializers.DictField(child=serializers.CharField())


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """A page of a list. `next` is the cursor of the next one, empty on the last."""

    rows: Sequence[Row]
    next: str = ""


def page_after(rows: Sequence[Row], keys: Sequence[str], after: str, size: int) -> Page[Row]:
    """Return the page of sorted rows after the one with the key `after`, or after its place if it is gone.

    The keys are unique and sorted; the cursor is the key of the last row.
    """
    start = sum(key <= after for key in keys) if after else 0
    shown = rows[start : start + size]
    last = start + len(shown)
    return Page(shown, keys[last - 1] if shown and last < len(rows) else "")
