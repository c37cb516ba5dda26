"""The story of a push, from the request to the answer. Knows no HTTP framework.

DESIGN: the delivery is on record before anything is parsed and before any Warehouse is touched; the answer is Kargo's.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Final
from uuid import UUID

from django.db import IntegrityError
from django.utils import timezone

from receivers.cluster.cache import Mirror
from receivers.cluster.snapshot import Route
from receivers.deliveries.deduplication import PushDeduplicator
from receivers.deliveries.log_writer import LogWriter, NotStored, Write
from receivers.deliveries.spool import NotKept, Spool
from receivers.kargo import responses
from receivers.kargo.kinds import KINDS, InvalidBody
from receivers.kargo.push import Push
from receivers.kargo.responses import WebhookResponse
from receivers.models import Delivery, Origin, Outcome, new_id, storable
from receivers.refreshes.rollup import close_deliveries
from receivers.refreshes.sender import RefreshSender
from receivers.refreshes.tracker import Follower
from receivers.webhook.explain import explain
from receivers.webhook.recording import (
    URL_SUFFIX,
    IncomingRequest,
    IntakeResult,
    Target,
    new_refresh,
    note_answer,
    note_end,
    note_push,
    new_delivery,
    owners,
    read_body,
    refusal_of,
    refused_test,
    understood,
)
from receivers.webhook.test_tokens import USED, InvalidTestToken, read
from receivers.webhook.unknown_urls import UnknownUrlCounter
from receivers.webhook.url_registry import UrlRegistry

# On one delivery, what tells most first; a cluster receiver may judge every Warehouse there is.
VERDICTS_KEPT: Final = 1_000
# Of the time until the answer, for the database: the rest is for the Warehouses, whether or not it answers.
STORING: Final = 0.4

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reply:
    """What to send back; `delivery` is the id under which the call is on record, if it is."""

    answer: WebhookResponse
    delivery: UUID | None = None


@dataclass(frozen=True, slots=True)
class Intake:
    """Takes calls. Everything it needs is handed in; one instance serves every thread."""

    mirror: Mirror
    writer: LogWriter
    spool: Spool
    sender: RefreshSender
    urls: UrlRegistry
    unknown: UnknownUrlCounter
    follower: Follower
    answer_timeout: float
    """Seconds until we answer at the latest; what is not done by then goes on in the background."""
    finish_after: float
    """Seconds for which what we took is ours to finish, whatever slows us down; then others may."""
    grouping: PushDeduplicator = field(default_factory=PushDeduplicator)

    def take(self, call: IncomingRequest) -> Reply:
        """Take one call from the first byte to the answer. Never raises for anything a sender can do."""
        started = time.monotonic()
        if not self.mirror.ready:
            # An empty mirror would call every good URL unknown.
            return Reply(responses.UNAVAILABLE)
        target = self._target(call)
        if target is None:
            self.unknown.count(call.kind, call.digest[-URL_SUFFIX:], call.client_address, call.user_agent)
            return Reply(responses.NOT_FOUND)
        delivery = new_delivery(call, target)
        end = self._early_end(call, target, delivery)
        try:
            end, spooled = self._store(delivery, end, started), False
        except NotStored as error:
            # Not a test: without the database nobody knows whether its ticket was used.
            if error.refused or call.ticket or not self._keep(delivery, error):
                return Reply(responses.UNAVAILABLE)
            spooled = True
        try:
            return Reply(self._answer(delivery, end, started, spooled=spooled), delivery.pk)
        except Exception as error:
            if spooled:
                self.spool.settle(delivery.pk, error)  # it is worked on again, from the disk
            raise

    def _answer(self, delivery: Delivery, end: IntakeResult | None, started: float, *, spooled: bool) -> WebhookResponse:
        """Do the work of a delivery that is on record or on disk, if there is any, and return what to answer."""
        if end is None:
            end = self._work(delivery, bytes(delivery.body), started + self.answer_timeout)
            if spooled and end.asked_in_vain:
                # Neither the database nor the cluster: it goes on from the disk, but nobody should count on that.
                end.answer = responses.UNAVAILABLE
            note_answer(delivery, end, started)
            self._write_end(delivery, end, spooled=spooled)
        elif spooled:
            self._submit_end(Write(perhaps=(delivery,), can_wait=True), delivery, spooled=True)
        return end.answer

    def finish(self, delivery: Delivery) -> None:
        """Do the work of a delivery that is on record without an end; nobody waits for an answer any more."""
        end = self._work(delivery, bytes(delivery.body), time.monotonic() + self.answer_timeout)
        self._write_end(delivery, end)

    def _target(self, call: IncomingRequest) -> Target | None:
        """Return the receiver that the URL belongs to, now or once."""
        route = self.mirror.route(call.digest)
        if isinstance(route, Route) and route.kind != call.kind:
            return None
        return route or self.urls.former(call.kind, call.digest)

    def _early_end(self, call: IncomingRequest, target: Target, delivery: Delivery) -> IntakeResult | None:
        """Read the body; return the end of a call that is refused or only tries out; None if there is work."""
        unread = read_body(call, delivery)
        refusal = refusal_of(target) or unread
        if not call.ticket:
            return refusal
        try:
            ticket = read(call.ticket, owners(target), bytes(delivery.body))
        except InvalidTestToken as error:
            # Not taken for a push: what was to refresh nothing must not do so because it came late.
            return refusal or refused_test(str(error))
        delivery.pk, delivery.origin, delivery.actor = ticket.delivery, Origin.TEST, storable(ticket.user)
        if push := understood(delivery):
            # Known from the first moment on: whoever fired it looks at it before its end is written.
            note_push(delivery, push)
            delivery.push_id = delivery.pk
        return refusal or (self._dry_run(delivery) if ticket.dry_run else None)

    def _store(self, delivery: Delivery, end: IntakeResult | None, started: float) -> IntakeResult | None:
        """Put the call on record, with its end if it has one, and return that. Raises `NotStored`."""
        if end is not None:
            # Its end is stored with it: should we die now, nobody may take it for a push that is still to be worked on.
            end.push = end.push or understood(delivery)
            note_answer(delivery, end, started)
            note_end(delivery, end)
            self._note_group(delivery, end.push)
        else:
            delivery.claimed_until = timezone.now() + timedelta(seconds=self.finish_after)
        if self.writer.stuck:
            raise NotStored("the database is locked or away")
        try:
            self.writer.submit(Write(inserts=(delivery,))).wait(self.answer_timeout * STORING)
        except NotStored as error:
            if delivery.origin != Origin.TEST or not isinstance(error.__cause__, IntegrityError):
                raise
            # There is a delivery of this ticket already. This one is no test, and gets a row of its own that says so.
            delivery.pk, delivery.origin, delivery.actor = new_id(), Origin.PUSH, ""
            return self._store(delivery, refused_test(USED), started)
        return end

    def _keep(self, delivery: Delivery, error: NotStored) -> bool:
        """Keep on disk what the database could not take; say whether that was done."""
        try:
            self.spool.keep(delivery)
        except NotKept as why:
            log.error("a delivery to %s/%s is lost: %s; %s", delivery.project, delivery.receiver, error, why)  # noqa: TRY400
            return False
        log.warning("delivery %s is kept on disk: %s", delivery.pk, error)
        return True

    def _dry_run(self, delivery: Delivery) -> IntakeResult:
        """Judge every Warehouse in scope and ask none."""
        try:
            push = KINDS[delivery.kind].parse(bytes(delivery.body))
        except InvalidBody as error:
            return IntakeResult(Outcome.INVALID_BODY, responses.INVALID_BODY, reason=str(error))
        told = explain(self.mirror, push, delivery.project, most=VERDICTS_KEPT)
        reason = told.why_no_match or f"it would have refreshed {len(told.to_refresh)} Warehouse(s)"
        return IntakeResult(Outcome.DRY_RUN, responses.refreshed(0), reason, push, told.verdicts)

    def _work(self, delivery: Delivery, body: bytes, deadline: float) -> IntakeResult:
        """Understand the body, judge every Warehouse in scope, ask those that match."""
        if delivery.origin == Origin.REDELIVERY and not self._exists(delivery):
            return IntakeResult(Outcome.RETIRED_URL, responses.NOT_FOUND, "the receiver does not exist any more")
        try:
            push = KINDS[delivery.kind].parse(body)
        except InvalidBody as error:
            return IntakeResult(Outcome.INVALID_BODY, responses.INVALID_BODY, reason=str(error))
        told = explain(self.mirror, push, delivery.project, most=VERDICTS_KEPT)
        judged = told.verdicts
        if not told.to_refresh:
            return IntakeResult(Outcome.NO_MATCH, responses.refreshed(0), told.why_no_match_for_all, push, judged)
        asked = self.sender.ask(told.to_refresh, max(0.0, deadline - time.monotonic()))
        failures = [one for one in asked if one.requested_at is None]
        if failures:
            answer = responses.failed(len(failures), len(asked))
            return IntakeResult(Outcome.FAILED, answer, failures[0].error, push, judged, asked)
        return IntakeResult(Outcome.REFRESHED, responses.refreshed(len(asked)), "", push, judged, asked)

    def _exists(self, delivery: Delivery) -> bool:
        """Say whether the receiver is one today: a redelivery comes by no URL that would tell."""
        config = self.mirror.config(delivery.project)
        found = config.receivers if config else ()
        return any((one.name, one.kind) == (delivery.receiver, delivery.kind) for one in found)

    def _write_end(self, delivery: Delivery, end: IntakeResult, *, spooled: bool = False) -> None:
        """Write the end down. Nobody waits for it: it is kept until the database takes it."""
        note_end(delivery, end)
        self._note_group(delivery, end.push)
        now = timezone.now()
        refreshes = [new_refresh(delivery, asked, now) for asked in end.asked]
        self.follower.follow_new(delivery, refreshes)
        # A delivery on disk may have got into the log after all, if the database was only slow.
        late = (delivery,) if spooled else ()
        # One whose Warehouse has just gone has ended already, and may be the last.
        ended = any(one.outcome for one in refreshes)
        then = (partial(close_deliveries, {delivery.pk}),) if ended else ()
        write = Write(perhaps=late, inserts=refreshes, updates=(delivery,), then=then, can_wait=True)
        self._submit_end(write, delivery, spooled=spooled)

    def _submit_end(self, write: Write, delivery: Delivery, *, spooled: bool) -> None:
        if spooled:
            write.when_done = partial(self.spool.settle, delivery.pk)
        try:
            self.writer.submit(write)
        except NotStored as error:
            # It stays on record without an end, and is finished when the database is back.
            log.warning("the end of delivery %s is not stored yet: %s", delivery.pk, error)
            if spooled:
                self.spool.settle(delivery.pk, error)

    def _note_group(self, delivery: Delivery, push: Push | None) -> None:
        """Note which push Docker Hub announces; what was sent again, or as a test, stands for itself."""
        if push is None:
            return
        place = (delivery.project, delivery.receiver, delivery.repository, delivery.tag)
        announced = delivery.origin == Origin.PUSH and delivery.repository
        grouped = (
            self.grouping.push_id(place, delivery.pushed_at, delivery.received_at) if announced else None
        )
        delivery.push_id = grouped or delivery.pk
