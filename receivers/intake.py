"""The story of a push, from the request to the answer. Knows no HTTP framework.

DESIGN: the delivery is on record before anything is parsed and before any Warehouse is touched; the answer is Kargo's.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import IntegrityError

from receivers.explaining import explain
from receivers.following import Follower
from receivers.grouping import Grouping
from receivers.kargo import Collision, Mirror, Route
from receivers.log_writer import LogWriter, NotStored, Write
from receivers.models import ADDRESS_LENGTH, PATH_LENGTH, Delivery, Origin, Refresh, new_id, storable
from receivers.receiver_urls import Former, ReceiverUrls
from receivers.refreshing import Asked, RefreshSender
from receivers.retrying import note_attempt
from receivers.rules import answers
from receivers.rules.answers import Answer
from receivers.rules.kinds import KINDS, InvalidBody
from receivers.rules.matching import Verdict
from receivers.rules.outcomes import Outcome
from receivers.rules.push import Push
from receivers.rules.redaction import redact, redact_headers
from receivers.tickets import USED, BadTicket, read
from receivers.tokens import utc_now
from receivers.unknown_calls import UnknownCalls

# Characters of a digest that may be shown: enough to tell two apart, far too few to guess one.
URL_SUFFIX: Final = 6
# On one delivery, what tells most first; a cluster receiver may judge every Warehouse there is.
VERDICTS_KEPT: Final = 1_000


log = logging.getLogger(__name__)


class BodyTooLarge(Exception):
    """The body has more than `answers.MAX_BODY` bytes."""


class BodyIncomplete(Exception):
    """The sender hung up in mid-body; the text says after how many bytes."""


@dataclass(frozen=True, slots=True)
class Call:
    """One POST to something that looks like a receiver URL.

    `read_body` reads the body, once, and raises `BodyTooLarge` or `BodyIncomplete`; it is only called for known URLs.
    `ticket` is what says that the call is a test (see `tickets`), empty for all others; it is not among the headers.
    """

    kind: str
    digest: str
    path: str
    headers: Sequence[tuple[str, str]]
    client_address: str
    user_agent: str
    read_body: Callable[[], bytes]
    ticket: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """What to send back; `delivery` is the id under which the call is on record, if it is."""

    answer: Answer
    delivery: UUID | None = None


@dataclass(slots=True)
class _End:
    """How a delivery ended, before it is written down."""

    outcome: Outcome
    answer: Answer
    reason: str = ""
    push: Push | None = None
    verdicts: Sequence[Verdict] = ()
    asked: Sequence[Asked] = ()


@dataclass(frozen=True, slots=True)
class Intake:
    """Takes calls. Everything it needs is handed in; one instance serves every thread."""

    mirror: Mirror
    writer: LogWriter
    sender: RefreshSender
    urls: ReceiverUrls
    unknown: UnknownCalls
    follower: Follower
    answer_timeout: float
    """Seconds until we answer at the latest; what is not done by then goes on in the background."""
    grouping: Grouping = field(default_factory=Grouping)

    def take(self, call: Call) -> Reply:
        """Take one call from the first byte to the answer. Never raises for anything a sender can do."""
        started = time.monotonic()
        if not self.mirror.ready:
            # An empty mirror would call every good URL unknown.
            return Reply(answers.UNAVAILABLE)
        target = self._target(call)
        if target is None:
            self.unknown.count(call.kind, call.digest[-URL_SUFFIX:], call.client_address, call.user_agent)
            return Reply(answers.NOT_FOUND)
        delivery = _on_paper(call, target)
        try:
            end = self._store(delivery, self._early_end(call, target, delivery), started)
        except NotStored:
            return Reply(answers.UNAVAILABLE)
        if end is not None:
            return Reply(end.answer, delivery.pk)
        end = self._work(delivery, bytes(delivery.body), started + self.answer_timeout)
        _note_answer(delivery, end, started)
        self._write_end(delivery, end)
        return Reply(end.answer, delivery.pk)

    def finish(self, delivery: Delivery) -> None:
        """Do the work of a delivery that is on record without an end; nobody waits for an answer any more."""
        end = self._work(delivery, bytes(delivery.body), time.monotonic() + self.answer_timeout)
        self._write_end(delivery, end)

    def _target(self, call: Call) -> Route | Collision | Former | None:
        """Return the receiver that the URL belongs to, now or once."""
        route = self.mirror.route(call.digest)
        if isinstance(route, Route) and route.kind != call.kind:
            return None
        return route or self.urls.former(call.kind, call.digest)

    def _early_end(self, call: Call, target: Route | Collision | Former, delivery: Delivery) -> _End | None:
        """Read the body; return the end of a call that is refused or only tries out; None if there is work."""
        unread = _read_body(call, delivery)
        refusal = _refusal(target) or unread
        if not call.ticket:
            return refusal
        try:
            ticket = read(call.ticket, _owners(target), bytes(delivery.body))
        except BadTicket as error:
            # Not taken for a push: what was to refresh nothing must not do so because it came late.
            return refusal or _refused_test(str(error))
        delivery.pk, delivery.origin, delivery.actor = ticket.delivery, Origin.TEST, storable(ticket.user)
        if push := _understood(delivery):
            # Known from the first moment on: whoever fired it looks at it before its end is written.
            _note_push(delivery, push)
            delivery.push_id = delivery.pk
        return refusal or (self._dry_run(delivery) if ticket.dry_run else None)

    def _store(self, delivery: Delivery, end: _End | None, started: float) -> _End | None:
        """Put the call on record, with its end if it has one, and return that. Raises `NotStored`."""
        if end is not None:
            # Its end is stored with it: should we die now, nobody may take it for a push that is still to be worked on.
            end.push = end.push or _understood(delivery)
            _note_answer(delivery, end, started)
            _note_end(delivery, end)
            self._note_group(delivery, end.push)
        try:
            self.writer.submit(Write(inserts=(delivery,))).wait(self.answer_timeout)
        except NotStored as error:
            if delivery.origin != Origin.TEST or not isinstance(error.__cause__, IntegrityError):
                raise
            # There is a delivery of this ticket already. This one is no test, and gets a row of its own that says so.
            delivery.pk, delivery.origin, delivery.actor = new_id(), Origin.PUSH, ""
            return self._store(delivery, _refused_test(USED), started)
        return end

    def _dry_run(self, delivery: Delivery) -> _End:
        """Judge every Warehouse in scope and ask none."""
        try:
            push = KINDS[delivery.kind].parse(bytes(delivery.body))
        except InvalidBody as error:
            return _End(Outcome.INVALID_BODY, answers.INVALID_BODY, reason=str(error))
        told = explain(self.mirror, push, delivery.project, most=VERDICTS_KEPT)
        reason = told.why_no_match or f"it would have refreshed {len(told.to_refresh)} Warehouse(s)"
        return _End(Outcome.DRY_RUN, answers.refreshed(0), reason, push, told.verdicts)

    def _work(self, delivery: Delivery, body: bytes, deadline: float) -> _End:
        """Understand the body, judge every Warehouse in scope, ask those that match."""
        if delivery.origin == Origin.REDELIVERY and not self._exists(delivery):
            return _End(Outcome.RETIRED_URL, answers.NOT_FOUND, "the receiver does not exist any more")
        try:
            push = KINDS[delivery.kind].parse(body)
        except InvalidBody as error:
            return _End(Outcome.INVALID_BODY, answers.INVALID_BODY, reason=str(error))
        told = explain(self.mirror, push, delivery.project, most=VERDICTS_KEPT)
        judged = told.verdicts
        if not told.to_refresh:
            return _End(Outcome.NO_MATCH, answers.refreshed(0), told.why_no_match_for_all, push, judged)
        asked = self.sender.ask(told.to_refresh, max(0.0, deadline - time.monotonic()))
        failures = [one for one in asked if one.requested_at is None]
        if failures:
            answer = answers.failed(len(failures), len(asked))
            return _End(Outcome.FAILED, answer, failures[0].error, push, judged, asked)
        return _End(Outcome.REFRESHED, answers.refreshed(len(asked)), "", push, judged, asked)

    def _exists(self, delivery: Delivery) -> bool:
        """Say whether the receiver is one today: a redelivery comes by no URL that would tell."""
        config = self.mirror.config(delivery.project)
        found = config.receivers if config else ()
        return any((one.name, one.kind) == (delivery.receiver, delivery.kind) for one in found)

    def _write_end(self, delivery: Delivery, end: _End) -> None:
        """Write the end down. Nobody waits for it: it is kept until the database takes it."""
        _note_end(delivery, end)
        self._note_group(delivery, end.push)
        now = utc_now()
        refreshes = [_refresh(delivery, asked, now) for asked in end.asked]
        self.follower.follow_new(delivery, refreshes)
        try:
            self.writer.submit(Write(inserts=refreshes, updates=(delivery,), can_wait=True))
        except NotStored as error:
            # It stays on record without an end, and is finished when the database is back.
            log.warning("the end of delivery %s is not stored yet: %s", delivery.pk, error)

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


def _on_paper(call: Call, target: Route | Collision | Former) -> Delivery:
    """Return the row that puts the call on record, with nothing in it that is a credential."""
    route = target.routes[0] if isinstance(target, Collision) else target
    return Delivery(
        received_at=utc_now(),
        project=route.project,
        receiver=route.receiver,
        kind=call.kind,
        url_suffix=call.digest[-URL_SUFFIX:],
        client_address=storable(call.client_address, ADDRESS_LENGTH),
        user_agent=storable(call.user_agent),
        path=storable(redact(call.path), PATH_LENGTH),
        headers=redact_headers(call.headers),
    )


def _refusal(target: Route | Collision | Former) -> _End | None:
    """Return the end of a call whose URL names no receiver that could take it; None if it does."""
    if isinstance(target, Former):
        return _End(
            Outcome.RETIRED_URL,
            answers.NOT_FOUND,
            "this URL was the receiver's until its Secret or name changed",
        )
    if isinstance(target, Collision):
        names = ", ".join(f"{route.project or 'cluster'}/{route.receiver}" for route in target.routes)
        return _End(Outcome.COLLISION, answers.NOT_FOUND, f"these receivers share one URL: {names}")
    if target.kind not in KINDS:
        return _End(Outcome.UNSUPPORTED_KIND, answers.NOT_FOUND, f"kargoweb does not speak {target.kind}")
    return None


def _refused_test(reason: str) -> _End:
    return _End(Outcome.REFUSED_TEST, answers.refused_test(reason), reason)


def _owners(target: Route | Collision | Former) -> list[tuple[str, str]]:
    """Return project and name of every receiver that the URL belongs to, or did."""
    owners = target.routes if isinstance(target, Collision) else (target,)
    return [(owner.project, owner.receiver) for owner in owners]


def _read_body(call: Call, delivery: Delivery) -> _End | None:
    """Read the body into the delivery; return the end of a call whose body cannot be read whole."""
    try:
        delivery.body = call.read_body()
    except BodyTooLarge:
        return _End(Outcome.TOO_LARGE, answers.TOO_LARGE, f"the body has more than {answers.MAX_BODY} bytes")
    except BodyIncomplete as error:
        return _End(Outcome.INVALID_BODY, answers.INVALID_BODY, str(error))
    return None


def _understood(delivery: Delivery) -> Push | None:
    """Return what was pushed, as far as a call tells that is refused: it shows whose webhook has an old URL."""
    try:
        return KINDS[delivery.kind].parse(bytes(delivery.body)) if delivery.kind in KINDS else None
    except InvalidBody:
        return None


def _note_answer(delivery: Delivery, end: _End, started: float) -> None:
    delivery.status, delivery.answer = end.answer.status, end.answer.body.decode().rstrip("\n")
    delivery.duration_ms = (time.monotonic() - started) * 1000


def _note_end(delivery: Delivery, end: _End) -> None:
    delivery.outcome, delivery.reason = end.outcome, storable(end.reason)
    delivery.warehouses = len(end.asked)
    if not end.asked:
        delivery.ended_at = utc_now()
    delivery.verdicts = [_storable_verdict(verdict) for verdict in end.verdicts]
    if end.push is not None:
        _note_push(delivery, end.push)


def _note_push(delivery: Delivery, push: Push) -> None:
    delivery.repository, delivery.tag = storable(push.repository), storable(push.tag)
    delivery.media_type, delivery.pusher = storable(push.media_type), storable(push.pusher)
    delivery.pushed_at = push.pushed_at


def _refresh(delivery: Delivery, asked: Asked, now: datetime) -> Refresh:
    project, warehouse = asked.key
    # By its id: a refresh is kept while it is followed, and must not keep the body.
    refresh = Refresh(delivery_id=delivery.pk, project=project, warehouse=warehouse)
    note_attempt(refresh, asked, now)
    return refresh


def _storable_verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        key: storable(value) if isinstance(value, str) else value for key, value in verdict.as_dict().items()
    }
