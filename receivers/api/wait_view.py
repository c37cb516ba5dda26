"""Wait until a push is Freight, or in a Stage. No client that waits holds a thread (`kargoweb.gateway`)."""

from __future__ import annotations

import re
import time
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from kargoweb.gateway import WAIT_HEADER, WAITING_SINCE
from receivers.accounts.access import Access, Action, Role, require_permission
from receivers.api.authentication import TokenThrottle
from receivers.api.base import ApiView
from receivers.api.push_serializers import PushDetails, PushSerializer, push_details
from receivers.api.queries import TimeOrAgeField
from receivers.api.strict_fields import (
    ObjectNameField,
    PatternField,
    ScopeField,
    TextField,
    WholeNumberField,
)
from receivers.api.wait_rules import NOT_RECEIVED, WaitResult, WaitState, judge
from receivers.deliveries.push_record import PushRecord, find_push, newest_push
from receivers.models import NAME_LENGTH
from receivers.ops.push_waiters import WaitKey, header

LONGEST: Final = 300  # seconds; longer than most proxies keep a silent connection
SHORT: Final = 30  # seconds, by default: shorter than the time-outs of most proxies
RECENT: Final = timedelta(hours=1)  # a push before that is not the one that CI has just made
FREIGHT: Final = "freight"
_STAGE: Final = re.compile(r"stage:(?P<name>[a-z0-9.-]{1,253})")


class WaitQuery(serializers.Serializer[dict[str, Any]]):
    """The push to wait for, and how far it must get."""

    repository = TextField(required=True, help_text="As the provider sends it, such as `example/repo`.")
    tag = TextField(required=True)
    until = PatternField(
        f"^(freight|{_STAGE.pattern.replace('?P<name>', '?:')})$",
        default=FREIGHT,
        help_text="`freight`, or `stage:<name>`: in that Stage, and verified if the Stage verifies Freight.",
        error_messages={"pattern": "It must be freight, or stage: and the name of a Stage."},
    )
    timeout = WholeNumberField(
        min_value=0,
        max_value=LONGEST,
        default=SHORT,
        help_text="The longest time until the response, in seconds.",
    )
    since = TimeOrAgeField(
        required=False,
        help_text="Ignore pushes before this time, or older than this age, such as `10m`; 1 hour by default.",
    )
    project = ScopeField(
        required=False, default=None, help_text="Consider only the Warehouses of this project."
    )
    warehouse = ObjectNameField(
        max_length=2 * NAME_LENGTH,
        allow_blank=True,
        default="",
        help_text="Consider only this Warehouse: `name` or `project/name`.",
    )


class WaitSerializer(serializers.Serializer[Any]):
    """How far the push is.

    `result` is `waiting` after the timeout. `code` is an outcome, the state of a Stage, or one of `not_received`,
    `not_refreshed`, `unknown_stage`, `stages_not_followed` and `freight_deleted`. `sentence` explains it to people.
    """

    result = serializers.ChoiceField(choices=[each.value for each in WaitState])
    code = serializers.CharField()
    sentence = serializers.CharField()
    until = serializers.CharField()
    push = PushSerializer(allow_null=True)


class WaitThrottle(TokenThrottle):
    """Limits the requests of each token. The repeated checks of a waiting request do not count."""

    scope = "wait"

    def get_cache_key(self, request: Request, view: object) -> str | None:
        """Return the key of the token's counter, None for a repetition."""
        key = super().get_cache_key(request, view)
        repeated = getattr(request.META.get(WAITING_SINCE), "repeated", False)
        return f"{key}-wait" if key and not repeated else None


class WaitView(ApiView):
    """`GET /api/v1/pushes/wait`."""

    throttle_classes = (WaitThrottle,)

    @extend_schema(
        operation_id="wait_for_push", tags=["Pushes"], parameters=[WaitQuery], responses=WaitSerializer
    )
    def get(self, request: Request) -> Response:
        """Return how far the newest push of a tag is, once it got there or cannot get there, or after the timeout."""
        looked_at = time.monotonic()
        query = self.parsed_query(WaitQuery)
        values = query.validated_data
        access = self.access
        if values["project"] is not None:
            require_permission(request, Action.SEE, values["project"])
            access = access.limited(Role.ADMIN, values["project"]) if values["project"] else access
        details = self._find(access, values)
        stage = _STAGE.fullmatch(values["until"])
        result = _judged(details, stage["name"] if stage else "", values["warehouse"])
        left = self._seconds_left(request, values["timeout"])
        body = {
            "result": result.state,
            "code": str(result.code),
            "sentence": result.sentence,
            "until": values["until"],
            "push": details,
        }
        response = Response(WaitSerializer(body, context={"request": request}).data)
        if result.state is WaitState.WAITING and left > 0:
            key = WaitKey(values["repository"], values["tag"], _projects(details) if stage else ())
            response.headers[WAIT_HEADER] = header(left, looked_at, key)
        return response

    def _find(self, access: Access, values: dict[str, Any]) -> PushDetails | None:
        """Return the newest push of the tag that the user may see and that is recent."""
        push_id: UUID | None = newest_push(access, [(values["repository"], values["tag"])])
        record: PushRecord | None = find_push(access, push_id) if push_id else None
        since = values.get("since") or timezone.now() - RECENT
        if record is None or record.deliveries[-1].received_at < since:
            return None
        return push_details(record, self.runtime.stages)

    def _seconds_left(self, request: Request, timeout: int) -> float:
        """Return how long the client waits yet; 0 if the server can't let it wait."""
        waiting = request.META.get(WAITING_SINCE)
        return timeout - (time.monotonic() - waiting.since) if waiting else 0.0


def _judged(details: PushDetails | None, stage: str, warehouse: str) -> WaitResult:
    if details is None:
        return NOT_RECEIVED
    return judge(details.record, details.results, stage=stage, warehouse=warehouse)


def _projects(details: PushDetails | None) -> tuple[str, ...]:
    """Return the projects whose Stages matter."""
    return tuple(sorted({refresh.project for refresh in details.refreshes})) if details else ()
