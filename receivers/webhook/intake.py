"""Process a push, from the request to the response: identify, read, save, match, refresh, answer.

Independent of any HTTP framework. The delivery is saved before its body is parsed and before any Warehouse is
refreshed; the response is Kargo's. `event_processor.py` matches and refreshes.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Final
from uuid import UUID

from django.utils import timezone

from kargoweb import tracing
from receivers.cluster.cache import ClusterCache
from receivers.cluster.secret_cache import SecretCache, SecretNotRead
from receivers.cluster.snapshot import Route
from receivers.deliveries.cluster_pushes import project_deliveries
from receivers.deliveries.store import AlreadySaved, DeliveryStore, NotSaved
from receivers.kargo import responses
from receivers.kargo.kinds import KINDS, Headers, Refused, WebhookRequest
from receivers.kargo.push import Push
from receivers.kargo.receiver_path import digest_suffix
from receivers.kargo.resources import Receiver
from receivers.kargo.responses import WebhookResponse
from receivers.models import Delivery, Origin, Outcome
from receivers.refreshes.retry_policy import seconds_to_next_request
from receivers.refreshes.rollup import update_ended
from receivers.refreshes.tracker import Tracker
from receivers.webhook import api_refresh, results
from receivers.webhook.catch_up import RefusedPushes
from receivers.webhook.event_processor import EventProcessor
from receivers.webhook.incoming import (
    BodyNotRead,
    IncomingRequest,
    Target,
    find_target,
    identify_test,
    new_delivery,
    read_body,
)
from receivers.webhook.match_report import concerned_projects
from receivers.webhook.rate_limit import RateLimiter
from receivers.webhook.results import IntakeResult
from receivers.webhook.signed_test_tokens import USED
from receivers.webhook.unknown_urls import UnknownUrlCounter
from receivers.webhook.upstream import Upstream, pass_on, pass_on_again
from receivers.webhook.url_registry import UrlRegistry

log = logging.getLogger(__name__)

# These have a request that a receiver got.
_RECEIVED: Final = frozenset({Origin.PUSH, Origin.TEST, Origin.REDELIVERY})


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
    processor: EventProcessor
    urls: UrlRegistry
    unknown: UnknownUrlCounter
    tracker: Tracker
    limiter: RateLimiter
    secrets: SecretCache
    answer_timeout: float
    """Seconds until the response is due. Requests that haven't finished by then continue in the background."""
    refused: RefusedPushes = field(default_factory=RefusedPushes)
    upstream: Upstream | None = None
    """Kargo's own server, which processes the requests to some receivers."""

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
        with tracing.span("receive delivery") as span:
            return self._receive(request, target, started, span)

    def _receive(self, request: IncomingRequest, target: Target, started: float, span: tracing.Span) -> Reply:
        body, unreadable = read_body(request)
        test, invalid_test = identify_test(request, target, body)
        delivery = new_delivery(request, target, body, test)
        rejection = target.rejection or unreadable or invalid_test
        # A dry run stays here: Kargo's server would refresh.
        upstream = self._upstream(target.routes[0]) if not rejection and not (test and test.dry_run) else None
        webhook = self._webhook_request(target.routes[0], body, Headers(request.headers), request.query)
        if not upstream:  # which checks signatures itself, with a Secret that kargoweb may not read
            rejection = rejection or self._authenticate(target.routes[0], webhook)
        # The signature is that of the received body; everything else is read from what is stored.
        webhook = replace(webhook, body=delivery.body)
        try:
            if rejection:
                reply = self._record(delivery, self._explained(delivery, rejection), started)
            elif upstream:
                reply = self._pass_on(upstream, delivery, request, body, started)
            else:
                reply = self._accept(delivery, webhook, started, dry_run=bool(test and test.dry_run))
        except AlreadySaved:
            # The test token was used before. This request isn't a test; its own row says so.
            delivery = new_delivery(request, target, body)
            reply = self._record(delivery, results.refused_test(USED), started)
        span.set(_attributes(delivery))
        return reply

    def _authenticate(self, route: Route, request: WebhookRequest) -> IntakeResult | None:
        """Return the result of a request that does not come from the receiver's provider; None for others."""
        receiver, kind = self._receiver(route.project, route.receiver), KINDS.get(route.kind)
        if receiver is None or kind is None:
            return None
        try:
            secret = self.secrets.read(route.project, receiver) if kind.signs else b""
            kind.authenticate(request, secret)
        except SecretNotRead as error:
            return results.secret_unreadable(str(error))
        except Refused as refusal:
            return results.refused(refusal)
        return None

    def _record(self, delivery: Delivery, result: IntakeResult, started: float) -> Reply:
        """Save a delivery that refreshes nothing, with its result, and answer.

        In one write: if this process dies now, recovery must not process a rejected request or a dry run.
        """
        self._note_push(delivery)
        if result.outcome in {Outcome.UNAUTHORIZED, Outcome.SECRET_UNREADABLE}:
            _detach(delivery)
        results.record_response(delivery, result.response, started)
        results.record_result(delivery, result)
        self._save(delivery)
        _log(delivery)
        return Reply(result.response, delivery.pk)

    def _pass_on(
        self, upstream: Upstream, delivery: Delivery, request: IncomingRequest, body: bytes, started: float
    ) -> Reply:
        """Save a delivery, pass its request on unchanged, and answer as Kargo's own server does."""
        self._note_push(delivery)
        delivery.passed_on, delivery.authenticated = True, not KINDS[delivery.kind].signs

        def answered(deadline: float) -> IntakeResult:
            result = pass_on(upstream, request, body, deadline)
            if result.outcome == Outcome.FORWARDED:
                delivery.authenticated = True
                return result
            _detach(delivery)
            if not delivery.authenticated:
                # If it came from the provider, it can be redelivered once Kargo's server is back.
                route = Route(delivery.project, delivery.receiver, delivery.kind)
                webhook = self._webhook_request(route, body, Headers(request.headers), request.query)
                delivery.authenticated = self._authenticate(route, webhook) is None
            return result

        return self._deliver(delivery, answered, started)

    def _explained(self, delivery: Delivery, rejection: IntakeResult) -> IntakeResult:
        """Add to a rejection what the push would have matched, if only its URL is to blame."""
        if rejection.outcome != Outcome.RETIRED_URL or delivery.kind not in KINDS:
            return rejection
        return self.processor.explained(delivery, self._stored_request(delivery), rejection)

    def _note_push(self, delivery: Delivery) -> None:
        """Set the push in the body, if its kind can read one, on a delivery that isn't processed, or not yet."""
        if delivery.kind in KINDS:
            self.processor.note_push(delivery, self._stored_request(delivery))

    def _accept(self, delivery: Delivery, request: WebhookRequest, started: float, *, dry_run: bool) -> Reply:
        """Process a request that has not been rejected."""
        if dry_run:
            return self._record(delivery, self.processor.evaluate(delivery, request), started)
        return self._deliver(delivery, partial(self.processor.process, delivery, request), started)

    def _deliver(self, delivery: Delivery, process: Callable[[float], IntakeResult], started: float) -> Reply:
        """Save a delivery, process it until the deadline that `process` gets, and answer."""
        if delivery.origin == Origin.TEST:
            self._note_push(delivery)  # the user who sent the test opens its page before the result is stored
        # First, so that recovery finds the delivery if this process dies from here on.
        self._save(delivery)
        try:
            result = process(started + self.answer_timeout)
            response = result.response
            if result.all_failed and self.store.is_only_on_disk(delivery):
                # Neither the database nor the cluster is available. Both are retried, but senders should retry, too.
                response = responses.UNAVAILABLE
            if delivery.origin == Origin.API:
                response = api_refresh.ANSWER
            results.record_response(delivery, response, started)
            self._finish(delivery, result)
        except Exception:
            # Recovery takes it up like one whose process died.
            self.store.abandon(delivery)
            raise
        _log(delivery)
        return Reply(response, delivery.pk)

    def _save(self, delivery: Delivery) -> None:
        """Make a delivery durable. Raises `AlreadySaved` for a test whose token was used before, or `NotSaved`."""
        self.store.save(delivery, must_be_new=delivery.origin == Origin.TEST)

    def _finish(self, delivery: Delivery, result: IntakeResult) -> None:
        """Record the result, track the refreshes, and queue both for the database."""
        if result.retry_after is not None and self._plan_retry(delivery, result, result.retry_after):
            self.store.finish(delivery, ())
            return
        results.record_result(delivery, result)
        refreshes = self.tracker.track_new(delivery, result.requests, timezone.now())
        projects = (*(request.key[0] for request in result.requests), *concerned_projects(result.verdicts))
        inserts = [*refreshes, *project_deliveries(delivery, projects)]
        # A Warehouse may have been deleted, or the tracker may be faster than the database.
        self.store.finish(delivery, inserts, (partial(update_ended, refreshes),))

    def _plan_retry(self, delivery: Delivery, result: IntakeResult, retry_after: float) -> bool:
        """Leave a delivery pending until its next attempt, and return True; return False after the last one."""
        failed = delivery.details.get("failed_requests", 0) + 1
        seconds = seconds_to_next_request(failed, retry_after)
        if seconds is None:
            return False
        results.record_failed_attempt(delivery, result, failed, timezone.now() + timedelta(seconds=seconds))
        return True

    def refresh(self, delivery: Delivery) -> None:
        """Process a delivery that `api_refresh.new_delivery` made. Raises `NotSaved`."""
        process = partial(self.processor.process, delivery, self._stored_request(delivery))
        self._deliver(delivery, process, time.monotonic())

    def finish(self, delivery: Delivery) -> None:
        """Process a pending delivery whose sender no longer waits for a response."""
        with tracing.span("resume delivery", link=delivery.traceparent) as span:
            self._resume(delivery)
            span.set(_attributes(delivery))

    def _resume(self, delivery: Delivery) -> None:
        self.store.resume(delivery)
        try:
            self._finish(delivery, self._resumed(delivery, time.monotonic() + self.answer_timeout))
        except Exception:
            self.store.abandon(delivery)
            raise

    def _resumed(self, delivery: Delivery, deadline: float) -> IntakeResult:
        """Process a stored delivery, or pass it on."""
        route = Route(delivery.project, delivery.receiver, delivery.kind)
        if delivery.origin == Origin.REDELIVERY and not self._receiver_exists(delivery):
            return self._explained(delivery, results.retired_url("the receiver no longer exists"))
        if not delivery.authenticated:
            # Its signature is not stored, and kargoweb must not sign it.
            _detach(delivery)
            return results.forward_interrupted()
        if delivery.origin in _RECEIVED and (upstream := self._upstream(route)):
            return self._pass_on_again(upstream, delivery, route, deadline)
        delivery.passed_on = False  # the configuration may have changed since it was saved
        return self.processor.process(delivery, self._stored_request(delivery), deadline)

    def _pass_on_again(
        self, upstream: Upstream, delivery: Delivery, route: Route, deadline: float
    ) -> IntakeResult:
        """Pass a stored delivery on, signed with today's Secret."""
        request = self._stored_request(delivery)
        receiver, kind = self._receiver(route.project, route.receiver), KINDS.get(route.kind)
        signature: Mapping[str, str] = {}
        if receiver and kind and kind.signs:
            try:
                secret = self.secrets.read(route.project, receiver)
            except SecretNotRead as error:
                return results.secret_unreadable(str(error))
            push = Push(delivery.repository, delivery.tag)
            signature = kind.compose_headers(push, request.body, secret)
        delivery.passed_on = True
        return pass_on_again(upstream, self.cache, delivery, signature, deadline)

    def _upstream(self, route: Route) -> Upstream | None:
        """Return Kargo's own server if requests to a receiver are passed on to it."""
        return self.upstream if self.upstream and self.upstream.serves(route) else None

    def _webhook_request(self, route: Route, body: bytes, headers: Headers, query: str) -> WebhookRequest:
        """Return what the kind of a receiver reads of a request."""
        receiver = self._receiver(route.project, route.receiver)
        options = json.loads(receiver.options) if receiver and receiver.options else {}
        return WebhookRequest(body, headers, options, query, route.project)

    def _stored_request(self, delivery: Delivery) -> WebhookRequest:
        """Return the request of a stored delivery. Its headers have no credentials any more."""
        route = Route(delivery.project, delivery.receiver, delivery.kind)
        headers = Headers((name, value) for name, value in delivery.headers)
        return self._webhook_request(route, delivery.body, headers, delivery.path.partition("?")[2])

    def _receiver(self, project: str, name: str) -> Receiver | None:
        """Return a receiver in the spec, or None."""
        config = self.cache.config(project)
        return next((each for each in config.receivers if each.name == name), None) if config else None

    def _receiver_exists(self, delivery: Delivery) -> bool:
        """Say whether the receiver of a redelivery still exists; there is no URL that would tell."""
        receiver = self._receiver(delivery.project, delivery.receiver)
        return receiver is not None and receiver.kind == delivery.kind


def _detach(delivery: Delivery) -> None:
    """Make a delivery a push of its own: a sender who is not the provider must not change what is known of another."""
    if delivery.push_id:
        delivery.push_id = delivery.pk


def _attributes(delivery: Delivery) -> dict[str, tracing.Value]:
    """Return what a span says about a delivery."""
    return {
        "kargoweb.delivery.id": str(delivery.pk),
        "kargoweb.delivery.origin": delivery.origin,
        "kargoweb.delivery.outcome": delivery.outcome,
        "kargoweb.push.id": str(delivery.push_id or ""),
        "kargoweb.receiver": delivery.receiver_name,
        "kargoweb.repository": delivery.repository,
        "kargoweb.tag": delivery.tag,
    }


def _log(delivery: Delivery) -> None:
    """Write the log line of a delivery that has been answered."""
    fields = {
        "delivery": str(delivery.pk),
        "origin": delivery.origin,
        "receiver": delivery.receiver_name,
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
