"""Process a push, from the request to the response: identify, read, save, match, refresh, answer.

Independent of any HTTP framework. The delivery is saved before its body is parsed and before any Warehouse is
refreshed; the response is Kargo's.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final
from uuid import UUID

from django.utils import timezone

from receivers.cluster.cache import ClusterCache
from receivers.deliveries.cluster_pushes import project_deliveries
from receivers.deliveries.deduplication import PushDeduplicator
from receivers.deliveries.store import AlreadySaved, DeliveryStore, NotSaved
from receivers.kargo import responses
from receivers.kargo.kinds import KINDS, InvalidBody, WebhookRequest
from receivers.kargo.push import Push
from receivers.kargo.receiver_path import digest_suffix
from receivers.kargo.responses import WebhookResponse
from receivers.kargo.scopes import scope_name
from receivers.models import Delivery, Origin, Outcome
from receivers.refreshes.rollup import update_ended
from receivers.refreshes.sender import RefreshSender
from receivers.refreshes.tracker import Tracker
from receivers.webhook import results
from receivers.webhook.catch_up import RefusedPushes
from receivers.webhook.explain import MatchReport, concerned_projects, explain
from receivers.webhook.incoming import (
    BodyNotRead,
    IncomingRequest,
    find_target,
    identify_test,
    new_delivery,
    read_body,
)
from receivers.webhook.rate_limit import RateLimiter
from receivers.webhook.results import IntakeResult
from receivers.webhook.signed_test_tokens import USED
from receivers.webhook.unknown_urls import UnknownUrlCounter
from receivers.webhook.url_registry import UrlRegistry

log = logging.getLogger(__name__)

# Verdicts stored with a delivery, the most relevant first: a cluster receiver may evaluate every Warehouse there is.
VERDICTS_KEPT: Final = 1_000


@dataclass(frozen=True, slots=True)
class Reply:
    """What to send back.

    `delivery` is the id of the recorded delivery, None if there is none. `retry_after` are the seconds until a sender
    that was refused may try again, otherwise 0.
    """

    answer: WebhookResponse
    delivery: UUID | None = None
    retry_after: float = 0.0


@dataclass(frozen=True, slots=True)
class Intake:
    """Processes requests. It gets all that it needs from outside; one instance serves every thread."""

    cache: ClusterCache
    store: DeliveryStore
    sender: RefreshSender
    urls: UrlRegistry
    unknown: UnknownUrlCounter
    tracker: Tracker
    limiter: RateLimiter
    answer_timeout: float
    """Seconds until the response is due. Requests that haven't finished by then continue in the background."""
    deduplicator: PushDeduplicator = field(default_factory=PushDeduplicator)
    refused: RefusedPushes = field(default_factory=RefusedPushes)

    def knows(self, kind: str, digest: str) -> bool:
        """Say whether the body of a request is worth reading: whether its URL is or was one of a receiver."""
        return self.cache.ready and find_target(self.cache, self.urls, kind, digest) is not None

    def take(self, request: IncomingRequest) -> Reply:
        """Process a request and return the reply. Never raises for anything that a sender can do."""
        if not self.cache.ready:
            # An empty cache knows no URL: senders would get a 404 for valid ones.
            self.refused.add(request.digest)
            return Reply(responses.UNAVAILABLE)
        try:
            return self._take(request, time.monotonic())
        except NotSaved:
            return Reply(responses.UNAVAILABLE)
        except BodyNotRead:
            # The URL became known while the request waited for a thread, for example during a start.
            self.refused.add(request.digest)
            return Reply(responses.UNAVAILABLE)

    def _take(self, request: IncomingRequest, started: float) -> Reply:
        target = find_target(self.cache, self.urls, request.kind, request.digest)
        if target is None:
            suffix = digest_suffix(request.digest)
            self.unknown.count(request.kind, suffix, request.client_address, request.user_agent)
            return Reply(responses.NOT_FOUND)
        if wait := self.limiter.wait((target.receivers[0], request.client_address)):
            return Reply(responses.TOO_MANY, retry_after=wait)
        body, unreadable = read_body(request)
        test, invalid_test = identify_test(request, target, body)
        delivery = new_delivery(request, target, body, test)
        rejection = target.rejection or unreadable or invalid_test
        try:
            if rejection:
                return self._record(delivery, self._explained(delivery, rejection), started)
            if test and test.dry_run:
                return self._record(delivery, self._evaluate(delivery), started)
            return self._deliver(delivery, started)
        except AlreadySaved:
            # The test token was used before. This request is no test; it gets a row of its own that says so.
            refusal = results.refused_test(USED)
            return self._record(new_delivery(request, target, body), refusal, started)

    def finish(self, delivery: Delivery) -> None:
        """Process a pending delivery whose sender no longer waits for a response."""
        self.store.resume(delivery)
        try:
            if delivery.origin == Origin.REDELIVERY and not self._receiver_exists(delivery):
                result = self._explained(delivery, results.retired_url("the receiver no longer exists"))
            else:
                result = self._process(delivery, time.monotonic() + self.answer_timeout)
            self._finish(delivery, result)
        except Exception:
            self.store.abandon(delivery)
            raise

    def _record(self, delivery: Delivery, result: IntakeResult, started: float) -> Reply:
        """Save a delivery that refreshes nothing, with its result, and answer.

        In one write: if this process dies now, recovery must not process a rejected request or a dry run.
        """
        self._note_push(delivery)
        results.record_response(delivery, result.response, started)
        results.record_result(delivery, result)
        self._save(delivery)
        _log(delivery)
        return Reply(result.response, delivery.pk)

    def _deliver(self, delivery: Delivery, started: float) -> Reply:
        """Save a delivery, refresh the Warehouses that it matches, and answer."""
        if delivery.origin == Origin.TEST:
            self._note_push(delivery)  # the user who sent the test opens its page before the result is stored
        self._save(delivery)
        try:
            result = self._process(delivery, started + self.answer_timeout)
            response = result.response
            if result.all_failed and self.store.is_only_on_disk(delivery):
                # Neither the database nor the cluster is available. Both are retried, but senders should retry, too.
                response = responses.UNAVAILABLE
            results.record_response(delivery, response, started)
            self._finish(delivery, result)
        except Exception:
            self.store.abandon(delivery)
            raise
        _log(delivery)
        return Reply(response, delivery.pk)

    def _save(self, delivery: Delivery) -> None:
        """Make a delivery durable. Raises `AlreadySaved` for a test whose token was used before, or `NotSaved`."""
        self.store.save(delivery, must_be_new=delivery.origin == Origin.TEST)

    def _process(self, delivery: Delivery, deadline: float) -> IntakeResult:
        """Match the push against every Warehouse in scope, and refresh those that match."""
        push = self._read_push(delivery)
        if isinstance(push, IntakeResult):
            return push
        report = self._match(push, delivery.project)
        if not report.to_refresh:
            return results.no_match(report)
        requests = self.sender.request(report.to_refresh, max(0.0, deadline - time.monotonic()))
        return results.refreshed(report, requests)

    def _evaluate(self, delivery: Delivery) -> IntakeResult:
        """Match the push against every Warehouse in scope, and refresh none."""
        push = self._read_push(delivery)
        if isinstance(push, IntakeResult):
            return push
        return results.dry_run(self._match(push, delivery.project))

    def _explained(self, delivery: Delivery, rejection: IntakeResult) -> IntakeResult:
        """Add to the result of a request to an old URL what its push would have matched."""
        if rejection.outcome != Outcome.RETIRED_URL or delivery.kind not in KINDS:
            return rejection
        push = self._read_push(delivery)
        if isinstance(push, IntakeResult):
            return rejection
        return results.explained(rejection, self._match(push, delivery.project))

    def _read_push(self, delivery: Delivery) -> Push | IntakeResult:
        """Return the push in the body, or the result of a delivery whose body has none."""
        try:
            push = self._parse(delivery)
        except InvalidBody as error:
            return results.invalid_body(str(error), delivery.body)
        return push if push.repository else results.no_repository(delivery.body)

    def _match(self, push: Push, project: str) -> MatchReport:
        """Match a push against every Warehouse in the scope of a receiver of `project`."""
        return explain(self.cache, push, project, most=VERDICTS_KEPT)

    def _parse(self, delivery: Delivery) -> Push:
        """Return the push in the body, and set it on the delivery. Raises `InvalidBody`."""
        push = KINDS[delivery.kind].read(WebhookRequest(delivery.body))
        results.record_push(delivery, push)
        delivery.push_id = self._push_id(delivery)
        return push

    def _note_push(self, delivery: Delivery) -> None:
        """Set the push in the body, if there is one, on a delivery that isn't processed, or not yet.

        For example, it shows which webhook has an outdated URL.
        """
        if delivery.kind in KINDS:
            with suppress(InvalidBody):
                self._parse(delivery)

    def _push_id(self, delivery: Delivery) -> UUID:
        """Return the id that deliveries of one push share, whichever receivers got them.

        Tests and redeliveries are pushes of their own.
        """
        if delivery.origin != Origin.PUSH or not delivery.repository:
            return delivery.pk
        key = (delivery.repository, delivery.tag)
        return self.deduplicator.push_id(key, delivery.pushed_at, delivery.received_at)

    def _finish(self, delivery: Delivery, result: IntakeResult) -> None:
        """Record the result, track the refreshes, and queue both for the database."""
        results.record_result(delivery, result)
        refreshes = self.tracker.track_new(delivery, result.requests, timezone.now())
        projects = (*(request.key[0] for request in result.requests), *concerned_projects(result.verdicts))
        inserts = [*refreshes, *project_deliveries(delivery, projects)]
        # A Warehouse may have been deleted, or the tracker may be faster than the database.
        self.store.finish(delivery, inserts, (partial(update_ended, refreshes),))

    def _receiver_exists(self, delivery: Delivery) -> bool:
        """Say whether the receiver of a redelivery still exists; there is no URL that would tell."""
        config = self.cache.config(delivery.project)
        receivers = config.receivers if config else ()
        return any(
            (receiver.name, receiver.kind) == (delivery.receiver, delivery.kind) for receiver in receivers
        )


def _log(delivery: Delivery) -> None:
    """Write the log line of a delivery that has been answered."""
    fields = {
        "delivery": str(delivery.pk),
        "origin": delivery.origin,
        "receiver": f"{scope_name(delivery.project)}/{delivery.receiver}",
        "repository": delivery.repository,
        "tag": delivery.tag,
        "outcome": delivery.outcome,
        "warehouses": delivery.warehouses,
        "status": delivery.status,
        "milliseconds": round(delivery.duration_ms or 0, 1),
    }
    log.info(
        "delivery %(delivery)s to %(receiver)s: %(repository)s:%(tag)s, %(outcome)s, %(warehouses)d Warehouses, "
        "%(status)s in %(milliseconds)s ms",
        fields,
        extra={"fields": fields},
    )
