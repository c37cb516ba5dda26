"""Process a push, from the request to the response. Independent of any HTTP framework.

The delivery is stored before its body is parsed and before any Warehouse is refreshed; the response is Kargo's.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Final
from uuid import UUID

from django.db import IntegrityError
from django.utils import timezone

from receivers.cluster.cache import ClusterCache
from receivers.cluster.snapshot import Route
from receivers.deliveries.deduplication import PushDeduplicator
from receivers.deliveries.log_writer import LogWriter, NotStored, Write
from receivers.deliveries.spool import NotKept, Spool
from receivers.kargo import responses
from receivers.kargo.kinds import KINDS, InvalidBody
from receivers.kargo.push import Push
from receivers.kargo.receiver_path import digest_suffix
from receivers.kargo.responses import WebhookResponse
from receivers.kargo.scopes import scope_name
from receivers.models import Delivery, Origin, Outcome, new_id, storable
from receivers.refreshes.rollup import update_deliveries
from receivers.refreshes.sender import RefreshSender
from receivers.refreshes.tracker import Tracker
from receivers.webhook.explain import explain
from receivers.webhook.recording import (
    IncomingRequest,
    IntakeResult,
    Target,
    new_delivery,
    parse_push,
    read_body,
    receivers_of,
    record_push,
    record_response,
    record_result,
    rejected_test,
    rejection,
)
from receivers.webhook.signed_test_tokens import USED, InvalidTestToken, verify
from receivers.webhook.unknown_urls import UnknownUrlCounter
from receivers.webhook.url_registry import UrlRegistry

# Verdicts stored with a delivery, the most relevant first: a cluster receiver may evaluate every Warehouse there is.
VERDICTS_KEPT: Final = 1_000
# Share of the response timeout for the database: the rest is for the Warehouses, whether or not the database answers.
STORAGE_SHARE: Final = 0.4

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reply:
    """What to send back. `delivery` is the id of the recorded delivery, None if there is none."""

    answer: WebhookResponse
    delivery: UUID | None = None


@dataclass(frozen=True, slots=True)
class Intake:
    """Processes requests. It gets all that it needs from outside; one instance serves every thread."""

    cache: ClusterCache
    writer: LogWriter
    spool: Spool
    sender: RefreshSender
    urls: UrlRegistry
    unknown: UnknownUrlCounter
    tracker: Tracker
    answer_timeout: float
    """Seconds until the response is due. Requests that haven't finished by then continue in the background."""
    replica: UUID
    """The process that holds the deliveries it works on."""
    deduplicator: PushDeduplicator = field(default_factory=PushDeduplicator)
    in_progress: set[UUID] = field(default_factory=set)
    """The deliveries that a thread of this process works on, or whose result is queued for the log."""

    def take(self, request: IncomingRequest) -> Reply:
        """Process a request and return the reply. Never raises for anything that a sender can do."""
        started = time.monotonic()
        if not self.cache.ready:
            # An empty cache knows no URL: senders would get a 404 for valid ones.
            return Reply(responses.UNAVAILABLE)
        target = self._target(request)
        if target is None:
            suffix = digest_suffix(request.digest)
            self.unknown.count(request.kind, suffix, request.client_address, request.user_agent)
            return Reply(responses.NOT_FOUND)
        delivery = new_delivery(request, target)
        result = self._early_result(request, target, delivery)
        try:
            result, spooled = self._store(delivery, result, started), False
        except NotStored as error:
            # Tests are never spooled: only the database can tell whether their token was used before.
            if error.refused or request.test_token or not self._keep(delivery, error):
                self.in_progress.discard(delivery.pk)
                return Reply(responses.UNAVAILABLE)
            spooled = True
        try:
            return Reply(self._respond(delivery, result, started, spooled=spooled), delivery.pk)
        except Exception as error:
            self.in_progress.discard(delivery.pk)
            if spooled:
                self.spool.settle(delivery.pk, error)  # the spool's reader will retry it
            raise

    def _respond(
        self, delivery: Delivery, result: IntakeResult | None, started: float, *, spooled: bool
    ) -> WebhookResponse:
        """Process a delivery that is safe in the database or the spool, unless it has a result; return the response."""
        if result is None:
            result = self._process(delivery, bytes(delivery.body), started + self.answer_timeout)
            if spooled and result.all_failed:
                # Neither the database nor the cluster is available. The spool will retry, but senders should, too.
                result.response = responses.UNAVAILABLE
            record_response(delivery, result, started)
            self._write_result(delivery, result, spooled=spooled)
        elif spooled:
            self._submit_result(Write(perhaps=(delivery,), can_wait=True), delivery, spooled=True)
        return result.response

    def finish(self, delivery: Delivery) -> None:
        """Process a pending delivery whose sender no longer waits for a response."""
        self.in_progress.add(delivery.pk)
        result = self._process(delivery, bytes(delivery.body), time.monotonic() + self.answer_timeout)
        self._write_result(delivery, result)

    def _target(self, request: IncomingRequest) -> Target | None:
        """Return what the URL leads to, or once led to."""
        route = self.cache.route(request.digest)
        if isinstance(route, Route) and route.kind != request.kind:
            return None
        return route or self.urls.retired(request.kind, request.digest)

    def _early_result(
        self, request: IncomingRequest, target: Target, delivery: Delivery
    ) -> IntakeResult | None:
        """Read the body. Return the result of a rejected request or a dry run; None if there is work to do."""
        unreadable = read_body(request, delivery)
        rejected = rejection(target) or unreadable
        if not request.test_token:
            return rejected
        try:
            token = verify(request.test_token, receivers_of(target), bytes(delivery.body))
        except InvalidTestToken as error:
            # Not treated as a push: a dry run must not refresh anything because its token has expired.
            return rejected or rejected_test(str(error))
        delivery.pk, delivery.origin, delivery.actor = token.delivery, Origin.TEST, storable(token.user)
        if push := parse_push(delivery):
            # Recorded at once: the user who sent the test opens its page before its result is written.
            record_push(delivery, push)
            delivery.push_id = delivery.pk
        return rejected or (self._dry_run(delivery) if token.dry_run else None)

    def _store(self, delivery: Delivery, result: IntakeResult | None, started: float) -> IntakeResult | None:
        """Store the delivery, with its result if it has one, and return the result. Raises `NotStored`."""
        if result is not None:
            # In one write: if this process dies now, recovery must not process a rejected push or a dry run.
            result.push = result.push or parse_push(delivery)
            record_response(delivery, result, started)
            record_result(delivery, result)
            self._set_push_id(delivery, result.push)
        else:
            delivery.held_by = self.replica
            self.in_progress.add(delivery.pk)
        if self.writer.stuck:
            raise NotStored("the database is locked or unavailable")
        try:
            self.writer.submit(Write(inserts=(delivery,))).wait(self.answer_timeout * STORAGE_SHARE)
        except NotStored as error:
            if delivery.origin != Origin.TEST or not isinstance(error.__cause__, IntegrityError):
                raise
            # The token was used before. This request is no test; it gets a row of its own that says so.
            delivery.pk, delivery.origin, delivery.actor = new_id(), Origin.PUSH, ""
            return self._store(delivery, rejected_test(USED), started)
        return result

    def _keep(self, delivery: Delivery, error: NotStored) -> bool:
        """Spool a delivery that could not be stored. Return False if that fails, too."""
        delivery.held_by = None
        try:
            self.spool.keep(delivery)
        except NotKept as spool_error:
            log.error(  # noqa: TRY400 - the message has both causes, and a traceback adds nothing
                "lost a delivery to %s/%s: %s; %s",
                scope_name(delivery.project),
                delivery.receiver,
                error,
                spool_error,
            )
            return False
        log.warning("delivery %s is spooled to disk: %s", delivery.pk, error)
        return True

    def _dry_run(self, delivery: Delivery) -> IntakeResult:
        """Match the push against every Warehouse in scope and refresh none."""
        try:
            push = KINDS[delivery.kind].parse(bytes(delivery.body))
        except InvalidBody as error:
            return IntakeResult(Outcome.INVALID_BODY, responses.INVALID_BODY, reason=str(error))
        report = explain(self.cache, push, delivery.project, most=VERDICTS_KEPT)
        reason = report.why_no_match or _would_refresh(len(report.to_refresh))
        return IntakeResult(Outcome.DRY_RUN, responses.refreshed(0), reason, push, report.verdicts)

    def _process(self, delivery: Delivery, body: bytes, deadline: float) -> IntakeResult:
        """Parse the body, match the push against every Warehouse in scope, and refresh those that match."""
        if delivery.origin == Origin.REDELIVERY and not self._receiver_exists(delivery):
            return IntakeResult(Outcome.RETIRED_URL, responses.NOT_FOUND, "the receiver no longer exists")
        try:
            push = KINDS[delivery.kind].parse(body)
        except InvalidBody as error:
            return IntakeResult(Outcome.INVALID_BODY, responses.INVALID_BODY, reason=str(error))
        report = explain(self.cache, push, delivery.project, most=VERDICTS_KEPT)
        if not report.to_refresh:
            reason = report.why_no_match_for_all
            return IntakeResult(Outcome.NO_MATCH, responses.refreshed(0), reason, push, report.verdicts)
        requests = self.sender.request(report.to_refresh, max(0.0, deadline - time.monotonic()))
        failures = [request for request in requests if request.attempt is None]
        if failures:
            response = responses.failed(len(failures), len(requests))
            reason = failures[0].error
            return IntakeResult(Outcome.FAILED, response, reason, push, report.verdicts, requests)
        response = responses.refreshed(len(requests))
        return IntakeResult(Outcome.REFRESHED, response, "", push, report.verdicts, requests)

    def _receiver_exists(self, delivery: Delivery) -> bool:
        """Say whether the receiver of a redelivery still exists; there is no URL that would tell."""
        config = self.cache.config(delivery.project)
        receivers = config.receivers if config else ()
        return any(
            (receiver.name, receiver.kind) == (delivery.receiver, delivery.kind) for receiver in receivers
        )

    def _write_result(self, delivery: Delivery, result: IntakeResult, *, spooled: bool = False) -> None:
        """Queue the result for the log. No one waits for the write, which is retried until the database takes it."""
        record_result(delivery, result)
        self._set_push_id(delivery, result.push)
        refreshes = self.tracker.track_new(delivery, result.requests, timezone.now())
        # A spooled delivery may be in the log after all, if the database was only slow.
        late = (delivery,) if spooled else ()
        # The refresh of a Warehouse that was just deleted has ended, and may have been the last open one.
        ended = any(refresh.outcome for refresh in refreshes)
        then = (partial(update_deliveries, {delivery.pk}),) if ended else ()
        write = Write(perhaps=late, inserts=refreshes, updates=(delivery,), then=then, can_wait=True)
        self._submit_result(write, delivery, spooled=spooled)

    def _submit_result(self, write: Write, delivery: Delivery, *, spooled: bool) -> None:
        def done(error: Exception | None) -> None:
            self.in_progress.discard(delivery.pk)
            if spooled:
                self.spool.settle(delivery.pk, error)

        write.when_done = done
        try:
            self.writer.submit(write)
        except NotStored as error:
            # The delivery stays pending; recovery finishes it when the database is back.
            log.warning("the result of delivery %s is not stored yet: %s", delivery.pk, error)
            done(error)

    def _set_push_id(self, delivery: Delivery, push: Push | None) -> None:
        """Set the id that deliveries of one push share. Tests and redeliveries are pushes of their own."""
        if push is None:
            return
        delivery.push_id = delivery.pk
        if delivery.origin == Origin.PUSH and delivery.repository:
            key = (delivery.project, delivery.receiver, delivery.repository, delivery.tag)
            delivery.push_id = self.deduplicator.push_id(key, delivery.pushed_at, delivery.received_at)


def _would_refresh(count: int) -> str:
    return f"{count} {'Warehouse' if count == 1 else 'Warehouses'} would have been refreshed"
