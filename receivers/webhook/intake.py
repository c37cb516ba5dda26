"""Process a push, from the request to the response: identify, read, save, match, refresh, answer.

Independent of any HTTP framework. The delivery is saved before its body is parsed and before any Warehouse is
refreshed; the response is Kargo's.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final
from uuid import UUID

from django.utils import timezone

from kargoweb import tracing
from receivers.cluster.cache import ClusterCache
from receivers.cluster.errors import ClusterError
from receivers.cluster.secret_cache import SecretCache, SecretNotRead
from receivers.cluster.snapshot import Route
from receivers.deliveries.cluster_pushes import project_deliveries
from receivers.deliveries.deduplication import PushDeduplicator
from receivers.deliveries.store import AlreadySaved, DeliveryStore, NotSaved
from receivers.kargo import responses
from receivers.kargo.kinds import KINDS, Headers, InvalidBody, Refused, WebhookRequest
from receivers.kargo.kinds.events import Event, NothingToDo, PullRequest, Selection
from receivers.kargo.push import Push
from receivers.kargo.receiver_path import digest_suffix
from receivers.kargo.resources import Receiver
from receivers.kargo.responses import WebhookResponse
from receivers.models import Delivery, Origin, Outcome
from receivers.refreshes.promotion_refresher import PromotionRefresher
from receivers.refreshes.rollup import update_ended
from receivers.refreshes.sender import RefreshSender, RequestResult
from receivers.refreshes.tracker import Tracker
from receivers.webhook import api_refresh, results
from receivers.webhook.catch_up import RefusedPushes
from receivers.webhook.explain import MatchReport, concerned_projects, explain
from receivers.webhook.incoming import (
    BodyNotRead,
    IncomingRequest,
    Target,
    find_target,
    identify_test,
    new_delivery,
    read_body,
)
from receivers.webhook.rate_limit import RateLimiter
from receivers.webhook.results import IntakeResult
from receivers.webhook.signed_test_tokens import USED
from receivers.webhook.unknown_urls import UnknownUrlCounter
from receivers.webhook.upstream import Upstream, pass_on, pass_on_again
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
    secrets: SecretCache
    promotions: PromotionRefresher
    answer_timeout: float
    """Seconds until the response is due. Requests that haven't finished by then continue in the background."""
    deduplicator: PushDeduplicator = field(default_factory=PushDeduplicator)
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

    def refresh(self, delivery: Delivery) -> None:
        """Process a delivery that `api_refresh.new_delivery` made. Raises `NotSaved`."""
        self._deliver(delivery, self._stored_request(delivery), time.monotonic())

    def finish(self, delivery: Delivery) -> None:
        """Process a pending delivery whose sender no longer waits for a response."""
        with tracing.span("resume delivery", link=delivery.traceparent) as span:
            self._resume(delivery)
            span.set(_attributes(delivery))

    def _resume(self, delivery: Delivery) -> None:
        self.store.resume(delivery)
        try:
            route = Route(delivery.project, delivery.receiver, delivery.kind)
            if delivery.origin == Origin.REDELIVERY and not self._receiver_exists(delivery):
                result = self._explained(delivery, results.retired_url("the receiver no longer exists"))
            elif upstream := self._upstream(route):
                result = self._pass_on_again(upstream, delivery, route)
            else:
                result = self._process(
                    delivery, self._stored_request(delivery), time.monotonic() + self.answer_timeout
                )
            self._finish(delivery, result)
        except Exception:
            self.store.abandon(delivery)
            raise

    def _receive(self, request: IncomingRequest, target: Target, started: float, span: tracing.Span) -> Reply:
        body, unreadable = read_body(request)
        test, invalid_test = identify_test(request, target, body)
        delivery = new_delivery(request, target, body, test)
        rejection = target.rejection or unreadable or invalid_test
        upstream = self._upstream(target.routes[0]) if not rejection and not (test and test.dry_run) else None
        webhook = self._webhook_request(target.routes[0], body, Headers(request.headers), request.query)
        if not upstream:
            rejection = rejection or self._authenticate(target.routes[0], webhook)
        # The signature is that of the body as it came; everything else is read from what is stored.
        webhook = replace(webhook, body=delivery.body)
        try:
            if rejection:
                reply = self._record(delivery, self._explained(delivery, rejection), started)
            elif upstream:
                answer = pass_on(upstream, request, body, started + self.answer_timeout)
                reply = self._record_answer(delivery, answer, started)
            else:
                reply = self._accept(delivery, webhook, started, dry_run=bool(test and test.dry_run))
        except AlreadySaved:
            # The test token was used before. This request isn't a test; its own row says so.
            delivery = new_delivery(request, target, body)
            reply = self._record(delivery, results.refused_test(USED), started)
        span.set(_attributes(delivery))
        return reply

    def _record(self, delivery: Delivery, result: IntakeResult, started: float) -> Reply:
        """Save a delivery that refreshes nothing, with its result, and answer.

        In one write: if this process dies now, recovery must not process a rejected request or a dry run.
        """
        self._note_push(delivery)
        if result.outcome in {Outcome.UNAUTHORIZED, Outcome.SECRET_UNREADABLE} and delivery.push_id:
            delivery.push_id = delivery.pk  # the sender must not be able to change a push
        results.record_response(delivery, result.response, started)
        results.record_result(delivery, result)
        self._save(delivery)
        _log(delivery)
        return Reply(result.response, delivery.pk)

    def _accept(self, delivery: Delivery, request: WebhookRequest, started: float, *, dry_run: bool) -> Reply:
        """Process a request that has not been rejected."""
        if dry_run:
            return self._record(delivery, self._evaluate(delivery, request), started)
        return self._deliver(delivery, request, started)

    def _record_answer(self, delivery: Delivery, result: IntakeResult, started: float) -> Reply:
        """As `_record`, for a request that Kargo's own server has processed: its answer counts in any case."""
        try:
            return self._record(delivery, result, started)
        except NotSaved:
            return Reply(result.response)

    def _upstream(self, route: Route) -> Upstream | None:
        """Return Kargo's own server if requests to a receiver are passed on to it."""
        return self.upstream if self.upstream and self.upstream.serves(route) else None

    def _pass_on_again(self, upstream: Upstream, delivery: Delivery, route: Route) -> IntakeResult:
        """Pass a redelivery on, signed with today's Secret."""
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
        return pass_on_again(
            upstream, self.cache, delivery, signature, time.monotonic() + self.answer_timeout
        )

    def _deliver(self, delivery: Delivery, request: WebhookRequest, started: float) -> Reply:
        """Save a delivery, refresh the Warehouses that it matches, and answer."""
        if delivery.origin == Origin.TEST:
            self._note_push(delivery)  # the user who sent the test opens its page before the result is stored
        self._save(delivery)
        try:
            result = self._process(delivery, request, started + self.answer_timeout)
            response = result.response
            if result.all_failed and self.store.is_only_on_disk(delivery):
                # Neither the database nor the cluster is available. Both are retried, but senders should retry, too.
                response = responses.UNAVAILABLE
            if delivery.origin == Origin.API:
                response = api_refresh.ANSWER
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

    def _process(self, delivery: Delivery, request: WebhookRequest, deadline: float) -> IntakeResult:
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
        try:
            keys, waiting = selection.targets(warehouses, self.promotions.in_scope(project))
        except ClusterError as error:
            return results.promotions_unknown(error)
        requests: tuple[RequestResult, ...] = ()
        if keys:
            requests = self.sender.request(sorted(keys), max(0.0, deadline - time.monotonic()))
        promotions = self.promotions.refresh(waiting)
        failed = [request.key for request in requests if request.attempt is None]
        response = selection.response(failed, promotions.failed)
        return results.selected(response, requests, promotions, selection.reason)

    def _evaluate(self, delivery: Delivery, request: WebhookRequest) -> IntakeResult:
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

    def _explained(self, delivery: Delivery, rejection: IntakeResult) -> IntakeResult:
        """Add to the result of a request to an old URL what its push would have matched."""
        if rejection.outcome != Outcome.RETIRED_URL or delivery.kind not in KINDS:
            return rejection
        push = self._read_event(delivery, self._stored_request(delivery))
        if not isinstance(push, Push):
            return rejection
        return results.explained(rejection, self._match(push, delivery.project))

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

    def _note_push(self, delivery: Delivery) -> None:
        """Set the push in the body, if there is one, on a delivery that isn't processed, or not yet.

        For example, it shows which webhook has an outdated URL.
        """
        if delivery.kind in KINDS:
            with suppress(InvalidBody, Refused):
                self._parse(delivery, self._stored_request(delivery))

    def _push_id(self, delivery: Delivery) -> UUID:
        """Return the id that deliveries of one push share, whichever receivers got them.

        Tests and redeliveries are pushes of their own.
        """
        if delivery.origin != Origin.PUSH or not delivery.repository:
            return delivery.pk
        # Pushes to a branch differ in their commit only.
        key = (delivery.repository, f"{delivery.tag} {delivery.details.get('commit', '')}".strip())
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
        receiver = self._receiver(delivery.project, delivery.receiver)
        return receiver is not None and receiver.kind == delivery.kind

    def _receiver(self, project: str, name: str) -> Receiver | None:
        """Return a receiver in the spec, or None."""
        config = self.cache.config(project)
        return next((each for each in config.receivers if each.name == name), None) if config else None


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
