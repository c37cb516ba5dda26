"""Pushes as JSON values: what a provider announced, and its result."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any
from uuid import UUID

from django.urls import reverse
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from receivers.cluster.stage_watch import StageWatch
from receivers.deliveries.outcomes import Tone, tone
from receivers.deliveries.push_record import PushRecord
from receivers.deliveries.pushes import PushEntry
from receivers.deliveries.serializers import DeliverySerializer, RefreshSerializer, VerdictSerializer
from receivers.kargo.stage_states import StageNode, StageState
from receivers.models import Delivery, Origin, Outcome, Refresh
from receivers.web import stage_sentences
from receivers.web.push_results import PushResults, WarehouseResult, push_results
from receivers.web.push_rows import reason_of
from receivers.web.push_story import OpenIssue, open_issues, push_sentence


class PushFreightSerializer(serializers.Serializer[Any]):
    """Freight that contains the pushed artifact."""

    project = serializers.CharField()
    warehouse = serializers.CharField()
    name = serializers.CharField(source="freight")
    alias = serializers.CharField(source="freight_alias")


class PushSerializer(serializers.Serializer[Any]):
    """A push as in lists. `outcome` and `reason` are those of the receiver that most needs action."""

    id = serializers.UUIDField(source="push_id")
    url = serializers.SerializerMethodField(help_text="The page of the push.")
    received_at = serializers.DateTimeField(source="first.received_at")
    origin = serializers.ChoiceField(source="first.origin", choices=Origin.choices)
    repository = serializers.CharField(source="first.repository")
    tag = serializers.CharField(source="first.tag")
    media_type = serializers.CharField(source="first.media_type")
    pusher = serializers.CharField(source="first.pusher")
    pushed_at = serializers.DateTimeField(source="first.pushed_at", allow_null=True)
    outcome = serializers.ChoiceField(source="decisive.outcome", choices=Outcome.choices)
    tone = serializers.SerializerMethodField()
    reason = serializers.SerializerMethodField()
    receivers = serializers.SerializerMethodField()
    warehouses = serializers.SerializerMethodField()
    freight = serializers.SerializerMethodField()

    def get_url(self, push: PushEntry | PushDetails) -> str:
        """Return the address of the page."""
        return str(self.context["request"].build_absolute_uri(reverse("push", args=[push.push_id])))

    @extend_schema_field(serializers.ChoiceField(choices=Tone.values))
    def get_tone(self, push: PushEntry | PushDetails) -> str:
        """Return the group of the outcome."""
        return tone(push.decisive.outcome).value

    def get_reason(self, push: PushEntry | PushDetails) -> str:
        """Return why the push has its outcome."""
        own = [refresh for refresh in push.refreshes if refresh.delivery_id == push.decisive.pk]
        return reason_of(push.decisive, own, UTC)

    def get_receivers(self, push: PushEntry | PushDetails) -> list[str]:
        """Return the receivers that got the push, as `project/name`."""
        return _receivers(push.deliveries)

    def get_warehouses(self, push: PushEntry | PushDetails) -> list[str]:
        """Return the Warehouses that the push refreshed, as `project/name`."""
        return sorted({f"{refresh.project}/{refresh.warehouse}" for refresh in push.refreshes})

    @extend_schema_field(PushFreightSerializer(many=True))
    def get_freight(self, push: PushEntry | PushDetails) -> Any:
        """Return the Freight that contains the pushed artifact, one for each Warehouse."""
        return PushFreightSerializer(_with_freight(push.refreshes), many=True).data


class StageSerializer(serializers.Serializer[Any]):
    """How far the Freight is in a Stage. `live`: it is there now; `reached`: it is or was there.

    `sentence` describes this in words; `message` is Kargo's message.
    """

    name = serializers.CharField()
    parents = serializers.ListField(child=serializers.CharField())
    state = serializers.ChoiceField(
        source="progress.state.value", choices=[each.value for each in StageState]
    )
    live = serializers.BooleanField(source="progress.is_live")
    reached = serializers.BooleanField(source="progress.is_reached")
    since = serializers.DateTimeField(source="progress.since", allow_null=True)
    until = serializers.DateTimeField(source="progress.until", allow_null=True)
    verified_at = serializers.DateTimeField(source="progress.verified_at", allow_null=True)
    promotion = serializers.CharField(source="progress.promotion")
    message = serializers.CharField(source="progress.message")
    sentence = serializers.SerializerMethodField()

    def get_sentence(self, node: StageNode) -> str:
        """Return how far the Freight is, such as `Live since 09:30`."""
        parts = (stage_sentences.word(node.progress), str(stage_sentences.sentence(node.progress)))
        return " ".join(filter(None, parts))


class WarehouseResultSerializer(serializers.Serializer[WarehouseResult]):
    """The result of a push in a Warehouse. `stages` is null if Stages are not followed or there is no Freight."""

    project = serializers.CharField()
    warehouse = serializers.CharField()
    refresh = RefreshSerializer()
    freight_deleted = serializers.BooleanField(source="deleted")
    stages = serializers.SerializerMethodField()

    @extend_schema_field(StageSerializer(many=True, allow_null=True))
    def get_stages(self, result: WarehouseResult) -> Any:
        """Return the Stages, upstream ones first."""
        return StageSerializer(result.journey.nodes, many=True).data if result.journey else None


class IssueSerializer(serializers.Serializer[OpenIssue]):
    """Why the push is not everywhere yet, and where one can act (`url`, which may be empty)."""

    title = serializers.CharField()
    message = serializers.CharField()
    text = serializers.CharField()
    url = serializers.CharField()


@dataclass(frozen=True, slots=True)
class PushDetails:
    """A push and its result."""

    record: PushRecord
    results: PushResults

    @property
    def push_id(self) -> UUID:
        """Return the id of the push."""
        return self.record.push_id

    @property
    def deliveries(self) -> tuple[Delivery, ...]:
        """Return the visible deliveries, the oldest first."""
        return self.record.deliveries

    @property
    def refreshes(self) -> tuple[Refresh, ...]:
        """Return the refreshes of the visible deliveries and projects."""
        return self.record.refreshes

    @property
    def first(self) -> Delivery:
        """Return the delivery that came first."""
        return self.record.first

    @property
    def decisive(self) -> Delivery:
        """Return the delivery that has the outcome of the push."""
        return self.record.decisive

    @property
    def sentence(self) -> str:
        """Return whether the push is Freight, in which Stages, and what it waits for; or why it is not."""
        return str(push_sentence(self.record, self.results, UTC))

    @property
    def issues(self) -> list[OpenIssue]:
        """Return what is missing until the push is in the last Stages, or until it is Freight."""
        return open_issues(self.results)


def push_details(record: PushRecord, stages: StageWatch | None) -> PushDetails:
    """Return a push and its result."""
    by_id = {delivery.pk: delivery for delivery in record.deliveries}
    for refresh in record.refreshes:
        refresh.delivery = by_id[refresh.delivery_id]  # or each would be queried
    return PushDetails(record, push_results(record, stages))


class PushDetailsSerializer(PushSerializer):
    """All about a push. `sentence` says where it is and what it waits for; `issues` say why it isn't everywhere yet."""

    sentence = serializers.CharField()
    issues = IssueSerializer(many=True)
    results = WarehouseResultSerializer(source="results.shown", many=True)
    deliveries = DeliverySerializer(many=True)
    verdicts = VerdictSerializer(source="record.verdicts", many=True)


def _receivers(deliveries: Iterable[Delivery]) -> list[str]:
    ordered = sorted(deliveries, key=lambda row: (row.received_at, row.pk))
    return list(dict.fromkeys(row.receiver_name for row in ordered))


def _with_freight(refreshes: Sequence[Refresh]) -> list[Refresh]:
    """Return the newest refresh with Freight of each Warehouse, sorted by Warehouse."""
    newest = {(refresh.project, refresh.warehouse): refresh for refresh in refreshes if refresh.freight}
    return [newest[key] for key in sorted(newest)]
