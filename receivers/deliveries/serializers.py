"""Deliveries and their refreshes as JSON values, for the API, exports and commands. Times are ISO 8601, in UTC."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Any, Final

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from receivers.deliveries.actions import actions_of
from receivers.deliveries.outcomes import tone
from receivers.deliveries.visibility import DeliveryDetails
from receivers.kargo.matching import MatchResult
from receivers.kargo.scopes import scope_name
from receivers.models import Delivery, Refresh

STEPS: Final = ("requested", "handled", "discovered", "ended")
"""The steps of a refresh whose times are stored, in order."""

_TIME: Final = serializers.DateTimeField()


def isoformat(at: datetime | None) -> str | None:
    """Return a time as the serializers do, or None."""
    return _TIME.to_representation(at)  # type: ignore[arg-type]  # the stubs do not know that it takes None


class DeliverySerializer(serializers.ModelSerializer[Delivery]):
    """A delivery as in lists.

    `project` is `cluster` for a cluster receiver. `repeats` is None for a delivery that does not come from a list.
    """

    project = serializers.SerializerMethodField()
    tone = serializers.SerializerMethodField()
    repeats = serializers.IntegerField(read_only=True, default=None, allow_null=True)
    original = serializers.PrimaryKeyRelatedField[Delivery](
        read_only=True, allow_null=True, pk_field=serializers.UUIDField()
    )

    class Meta:
        model = Delivery
        fields = (
            "id", "received_at", "origin", "project", "receiver", "kind", "repository", "tag", "media_type", "pusher",
            "pushed_at", "outcome", "tone", "reason", "ended_at", "status", "duration_ms", "warehouses", "with_freight",
            "push_id", "repeats", "original", "actor",
        )  # fmt: skip

    def get_project(self, delivery: Delivery) -> str:
        """Return the name of the scope."""
        return scope_name(delivery.project)

    def get_tone(self, delivery: Delivery) -> str:
        """Return the group of the outcome."""
        return tone(delivery.outcome).value


class RequestSerializer(serializers.ModelSerializer[Delivery]):
    """The request of a delivery. If the body is not UTF-8, `body` is null and `body_base64` contains it.

    If the body was dropped because of its age or a quota, `body_dropped` is true, `body` is empty, and `body_size` is
    that of the original body.
    """

    headers = serializers.ListField(child=serializers.ListField(child=serializers.CharField()))
    body = serializers.SerializerMethodField()
    body_base64 = serializers.SerializerMethodField()

    class Meta:
        model = Delivery
        fields = (
            "client_address", "user_agent", "path", "headers", "body", "body_base64", "body_size", "body_dropped",
        )  # fmt: skip

    def get_body(self, delivery: Delivery) -> str | None:
        """Return the body as text."""
        try:
            return delivery.body.decode()
        except UnicodeDecodeError:
            return None

    def get_body_base64(self, delivery: Delivery) -> str | None:
        """Return the body in base64."""
        if self.get_body(delivery) is not None:
            return None
        return base64.b64encode(delivery.body).decode()


class RefreshSerializer(serializers.ModelSerializer[Refresh]):
    """The refresh of one Warehouse. `seconds` has the time from the delivery to each step."""

    seconds = serializers.SerializerMethodField()
    history = serializers.ListField(child=serializers.DictField())

    class Meta:
        model = Refresh
        fields = (
            "project", "warehouse", "state", "outcome", "reason", "error", "attempts", "next_attempt_at", "token",
            "digest", "freight", "freight_alias", "requested_at", "handled_at", "discovered_at", "ended_at", "seconds",
            "history",
        )  # fmt: skip

    def get_seconds(self, refresh: Refresh) -> dict[str, float]:
        """Return the seconds from the delivery to each step."""
        times = {step: getattr(refresh, f"{step}_at") for step in STEPS}
        received_at = refresh.delivery.received_at
        return {step: (at - received_at).total_seconds() for step, at in times.items() if at}


class VerdictSerializer(serializers.Serializer[Any]):
    """The verdict of a subscription on a push: `result`, the code of the `rule` that decided, and the reason.

    `position` is the index of the subscription in the Warehouse, from 0; `subscription` is its name, often empty.
    """

    project = serializers.CharField()
    warehouse = serializers.CharField()
    position = serializers.IntegerField(min_value=0)
    subscription = serializers.CharField()
    kind = serializers.CharField()
    repo_url = serializers.CharField()
    result = serializers.ChoiceField(choices=[each.value for each in MatchResult])
    rule = serializers.CharField()
    reason = serializers.CharField()


class ActionTargetSerializer(serializers.Serializer[Any]):
    """A target of an action. `success`: the first request to refresh it was accepted."""

    kind = serializers.CharField()
    project = serializers.CharField()
    name = serializers.CharField()
    success = serializers.BooleanField()


class ActionSerializer(serializers.Serializer[Any]):
    """The result of an action of a generic receiver. `position` counts from 1, `more` the targets that are left out.

    `result` is the word in the response, empty for an unknown action. `failed`: the action needs action by someone;
    refreshes of Warehouses that failed are retried, and do not count.
    """

    position = serializers.IntegerField(min_value=1)
    action = serializers.CharField()
    result = serializers.CharField()
    failed = serializers.BooleanField()
    problem = serializers.CharField()
    targets = ActionTargetSerializer(many=True)
    more = serializers.IntegerField(min_value=0)


class DeliveryDetailsSerializer(serializers.Serializer[DeliveryDetails]):
    """All data of a delivery: the fields of `DeliverySerializer`, and these."""

    request = RequestSerializer(source="delivery")
    answer = serializers.CharField(source="delivery.answer")
    verdicts = VerdictSerializer(many=True)
    actions = serializers.SerializerMethodField()
    refreshes = RefreshSerializer(many=True)
    redeliveries = serializers.PrimaryKeyRelatedField[Delivery](
        many=True, read_only=True, pk_field=serializers.UUIDField()
    )

    @extend_schema_field(ActionSerializer(many=True))
    def get_actions(self, details: DeliveryDetails) -> Any:
        """Return the actions of a generic receiver; none of other kinds."""
        return ActionSerializer(actions_of(details.delivery), many=True).data

    def to_representation(self, instance: DeliveryDetails) -> dict[str, Any]:
        """Return the JSON values."""
        return {**DeliverySerializer(instance.delivery).data, **super().to_representation(instance)}
