"""What a request asks for, done or only evaluated: read its body, match, refresh.

Nothing is saved here. `intake.py` does that before and afterwards, and answers.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final
from uuid import UUID

from kargoweb import tracing
from receivers.cluster.cache import ClusterCache
from receivers.cluster.errors import ClusterError
from receivers.deliveries.deduplication import PushDeduplicator
from receivers.kargo.kinds import KINDS, InvalidBody, Refused, WebhookRequest
from receivers.kargo.kinds.events import Event, NothingToDo, PullRequest, Selection, TargetsUnknown
from receivers.kargo.promotion_targets import PromotionTarget
from receivers.kargo.push import Push
from receivers.models import Delivery, Origin
from receivers.refreshes.promotion_refresher import PromotionRefresher
from receivers.refreshes.sender import RefreshSender, RequestResult
from receivers.webhook import api_refresh, results
from receivers.webhook.match_report import MatchReport, explain
from receivers.webhook.results import IntakeResult

# Verdicts stored with a delivery, the most relevant first: a cluster receiver may evaluate every Warehouse there is.
VERDICTS_KEPT: Final = 1_000


@dataclass(frozen=True, slots=True)
class EventProcessor:
    """Does what requests ask for. One instance serves every thread."""

    cache: ClusterCache
    sender: RefreshSender
    promotions: PromotionRefresher
    deduplicator: PushDeduplicator = field(default_factory=PushDeduplicator)

    def process(self, delivery: Delivery, request: WebhookRequest, deadline: float) -> IntakeResult:
        """Do what the request asks for: refresh the Warehouses that match a push, or Promotions."""
        if delivery.origin == Origin.API:
            return self._refreshed(self._wanted(delivery), deadline)
        event = self._read_event(delivery, request)
        match event:
            case IntakeResult():
                return event
            case Push():
                return self._refreshed(self._match(event, delivery.project), deadline)
            case NothingToDo():
                return results.nothing_to_do(event)
            case PullRequest():
                return self._refresh_promotions(event, delivery.project)
            case _:
                return self._select(event, delivery.project, deadline)

    def evaluate(self, delivery: Delivery, request: WebhookRequest) -> IntakeResult:
        """Match the push against every Warehouse in scope, and refresh none."""
        event = self._read_event(delivery, request)
        match event:
            case IntakeResult():
                return event
            case Push():
                return results.dry_run(self._match(event, delivery.project))
            case NothingToDo() | PullRequest():
                return results.dry_run_without_push(event)
            case _:
                return results.dry_run_of(event, self.cache.warehouses(delivery.project or None))

    def explained(self, delivery: Delivery, request: WebhookRequest, rejection: IntakeResult) -> IntakeResult:
        """Add to the result of a request to an old URL what its push would have matched."""
        push = self._read_event(delivery, request)
        if not isinstance(push, Push):
            return rejection
        return results.explained(rejection, self._match(push, delivery.project))

    def note_push(self, delivery: Delivery, request: WebhookRequest) -> None:
        """Set the push in the body, if there is one, on a delivery that isn't processed, or not yet.

        For example, it shows which webhook has an outdated URL.
        """
        with suppress(InvalidBody, Refused):
            self._parse(delivery, request)

    def _refreshed(self, report: MatchReport, deadline: float) -> IntakeResult:
        """Refresh the Warehouses that match."""
        if not report.to_refresh:
            return results.no_match(report)
        requests = self.sender.request(report.to_refresh, max(0.0, deadline - time.monotonic()))
        return results.refreshed(report, requests)

    def _wanted(self, delivery: Delivery) -> MatchReport:
        """Return what a request of the API wants to refresh."""
        wanted = api_refresh.read(delivery)
        if wanted.key is None:
            return self._match(wanted.push, delivery.project)
        exists = self.cache.warehouse(*wanted.key) is not None
        return MatchReport((wanted.key,) if exists else (), ())

    def _refresh_promotions(self, pull_request: PullRequest, project: str) -> IntakeResult:
        """Refresh the Promotions that wait for a closed pull request."""
        try:
            refreshed = self.promotions.refresh_waiting(pull_request.url, project)
        except ClusterError as error:
            return results.promotions_unknown(error)
        return results.promotions(pull_request.url, refreshed)

    def _select(self, selection: Selection, project: str, deadline: float) -> IntakeResult:
        """Refresh what a request selects itself."""
        warehouses = self.cache.warehouses(project or None)
        keys, waiting = selection.targets(warehouses, partial(self._promotions_in_scope, project))
        requests: tuple[RequestResult, ...] = ()
        if keys:
            requests = self.sender.request(sorted(keys), max(0.0, deadline - time.monotonic()))
        promotions = self.promotions.refresh(waiting)
        failed = [request.key for request in requests if request.attempt is None]
        return results.selected(
            selection.response(failed, promotions.failed),
            requests,
            promotions,
            selection.actions(failed, promotions.failed),
        )

    def _promotions_in_scope(self, project: str) -> list[PromotionTarget]:
        """Return the Promotions that a receiver may select. Raises `TargetsUnknown`."""
        try:
            return list(self.promotions.in_scope(project))
        except ClusterError as error:
            raise TargetsUnknown(f"Promotions can't be listed: {error}") from error

    def _read_event(self, delivery: Delivery, request: WebhookRequest) -> Event | IntakeResult:
        """Return what the request asks for, or the result of a delivery whose body asks for nothing."""
        try:
            event = self._parse(delivery, request)
        except InvalidBody as error:
            return results.invalid_body(str(error), delivery.body, delivery.kind)
        except Refused as refusal:
            return results.refused(refusal)
        if isinstance(event, Push) and not event.names:
            return results.no_repository(delivery.body, delivery.kind)
        return event

    def _match(self, push: Push, project: str) -> MatchReport:
        """Match a push against every Warehouse in the scope of a receiver of `project`."""
        with tracing.span("match push") as span:
            report = explain(self.cache, push, project, most=VERDICTS_KEPT)
            span.set({"kargoweb.warehouses.matched": len(report.to_refresh)})
            return report

    def _parse(self, delivery: Delivery, request: WebhookRequest) -> Event:
        """Return what the body asks for, and set it on the delivery. Raises `InvalidBody` or `Refused`."""
        event = KINDS[delivery.kind].read(request)
        if isinstance(event, Push):
            results.record_push(delivery, event)
            delivery.push_id = self._push_id(delivery)
        elif not isinstance(event, NothingToDo | PullRequest):
            delivery.push_id = delivery.pk  # it refreshes Warehouses, so it is among the pushes
        return event

    def _push_id(self, delivery: Delivery) -> UUID:
        """Return the id that deliveries of one push share, whichever receivers got them.

        Tests and redeliveries are pushes of their own.
        """
        if delivery.origin != Origin.PUSH or not delivery.repository:
            return delivery.pk
        # Pushes to a branch differ in their commit only.
        key = (delivery.repository, f"{delivery.tag} {delivery.details.get('commit', '')}".strip())
        return self.deduplicator.push_id(key, delivery.pushed_at, delivery.received_at)
