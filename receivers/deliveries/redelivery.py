"""Redeliver deliveries: the same body to the same receiver, matched against the current Warehouses.

A redelivery is a pending delivery. A serving process recovers it within about a second (`webhook.recovery`), so it
makes no difference which process stored it, and none is lost if a process dies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from kargoweb import tracing
from receivers.deliveries.bulk_sql import insert
from receivers.deliveries.filters import DeliveryFilter
from receivers.deliveries.outcomes import Tone, tone
from receivers.deliveries.querysets import MAX_PAGE_SIZE, delivery_log
from receivers.kargo.kinds import KINDS
from receivers.models import TESTS, Delivery, Origin, Outcome, storable

RATE: Final = 5.0
"""Default redeliveries per second: Docker Hub limits the rate of Kargo's requests."""

LOWEST_RATE: Final = 0.1  # per second
HIGHEST_RATE: Final = 100.0  # per second; what one process can do beside its pushes
MOST_AT_ONCE: Final = 1_000
"""Redeliveries of one call: three minutes at the default rate. The next call continues with the rest."""

MOST_PAGES: Final = 100  # of one call, or 500,000 deliveries; the next call continues with the rest
BATCH: Final = 50  # rows of one transaction: bodies may be large, and the lock must be short
HOPELESS: Final = frozenset(
    {
        Outcome.INVALID_BODY, Outcome.NO_REPOSITORY, Outcome.TOO_LARGE, Outcome.UNSUPPORTED_KIND,
        Outcome.UNAUTHORIZED, Outcome.SECRET_UNREADABLE, Outcome.UNSUPPORTED_EVENT, Outcome.IGNORED,
    }
)  # fmt: skip
"""Outcomes that no redelivery changes: their cause is in the request itself."""

WORTHWHILE: Final = (
    frozenset(outcome for outcome in Outcome if tone(outcome) is Tone.BAD) - HOPELESS - {Outcome.TEST_REFUSED}
)
"""Outcomes that a redelivery may improve."""

COPIED: Final = (
    "project", "receiver", "kind", "url_suffix", "repository", "tag", "media_type", "pusher", "pushed_at",
    "path", "headers", "body_size", "stored_bytes", "stored_body",
)  # fmt: skip

OF_RESULT: Final = frozenset({"actions", "failed_requests"})
"""What the details of a delivery have of its result, not of its push."""


class NotRedeliverable(ValueError):
    """A delivery that can't be redelivered; the text says why."""


@dataclass(frozen=True, slots=True)
class RedeliveryBatch:
    """What `redeliver_all` did, or would do.

    `originals` are redelivered, oldest first; `deliveries` are the new ones in the same order, empty in a dry run.
    `refused` has the others, each with the reason. `more` says whether the next call has more to do.
    """

    originals: tuple[Delivery, ...]
    refused: tuple[tuple[Delivery, str], ...]
    more: bool
    deliveries: tuple[Delivery, ...] = ()


def redeliver(original: Delivery, actor: str) -> Delivery:
    """Redeliver a delivery on behalf of `actor` (a user name). Return the new delivery, which is pending.

    Raises `NotRedeliverable`.
    """
    problem = refusal(original)
    if problem:
        raise NotRedeliverable(problem)
    delivery = _copy(original, actor, timezone.now())
    delivery.save(force_insert=True)
    return delivery


def redeliver_all(
    wanted: DeliveryFilter, actor: str, *, rate: float = RATE, dry_run: bool = False
) -> RedeliveryBatch:
    """Schedule redeliveries of up to `MOST_AT_ONCE` deliveries that a filter selects, oldest first; don't wait.

    Only the newest delivery of each push is redelivered, none that was redelivered before, no test, and none that can
    never succeed (`HOPELESS`). They are processed at
    `rate` per second, even if this process ends. Raises ValueError if `rate` isn't between `LOWEST_RATE` and
    `HIGHEST_RATE`.
    """
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise ValueError(f"the rate must be a number from {LOWEST_RATE:g} to {HIGHEST_RATE:g} per second")
    candidates, more = _candidates(wanted)
    checked = [(original, refusal(original)) for original in candidates]
    originals = tuple(original for original, problem in checked if not problem)
    refused = tuple((original, problem) for original, problem in checked if problem)
    if dry_run:
        return RedeliveryBatch(originals, refused, more)
    deliveries = _store(originals, actor, rate)
    sent = {delivery.original_id for delivery in deliveries}
    skipped = (original for original in originals if original.pk not in sent)
    refused += tuple(
        (original, "it has been redelivered, or its body dropped, meanwhile") for original in skipped
    )
    redelivered = tuple(original for original in originals if original.pk in sent)
    return RedeliveryBatch(redelivered, refused, more, deliveries)


def refusal(original: Delivery) -> str:
    """Return why a delivery can't be redelivered; empty if it can. Doesn't read its body."""
    if original.origin == Origin.API:
        return "it came from the API; send the request again instead"
    if original.kind not in KINDS:
        return f"kargoweb does not support {original.kind} receivers"
    if original.origin == Origin.TEST or original.outcome == Outcome.TEST_REFUSED:
        return "it is a test; send another one instead"
    # A redelivery is signed with the Secret, and the sender must not get that for a body of its choice.
    if not original.authenticated or original.outcome in {Outcome.UNAUTHORIZED, Outcome.SECRET_UNREADABLE}:
        return "it was not authenticated; let the provider send it again"
    if original.outcome == Outcome.PENDING:
        return "it is still in progress"
    return "" if original.stored_bytes else _why_without_body(original)


def _why_without_body(original: Delivery) -> str:
    if original.outcome == Outcome.TOO_LARGE:
        return "its body was too large to be stored"
    if original.body_dropped:
        return "its body was dropped because of its age or the quota for stored bodies"
    return "its body is empty or incomplete"


def _candidates(wanted: DeliveryFilter) -> tuple[list[Delivery], bool]:
    """Return the deliveries to redeliver, oldest first, without their bodies; and whether there may be more."""
    redelivered = Delivery.objects.filter(original=OuterRef("pk"))
    remaining = delivery_log().filter(~Exists(redelivered)).exclude(TESTS).exclude(outcome__in=HOPELESS)
    candidates: list[Delivery] = []
    after = ""
    for _ in range(MOST_PAGES):
        # A delivery to a cluster receiver would be redelivered to every project.
        page = remaining.page(wanted, after=after, size=MAX_PAGE_SIZE, with_cluster=False)
        candidates += page.rows
        after = page.next
        if not after or len(candidates) > MOST_AT_ONCE:
            break
    more = bool(after) or len(candidates) > MOST_AT_ONCE
    return candidates[:MOST_AT_ONCE][::-1], more


def _store(originals: Sequence[Delivery], actor: str, rate: float) -> tuple[Delivery, ...]:
    """Store a redelivery of each original, scheduled at `rate` per second."""
    now = timezone.now()
    due = [now + timedelta(seconds=number / rate) for number in range(len(originals))]
    deliveries: list[Delivery] = []
    for start in range(0, len(originals), BATCH):
        ids = [original.pk for original in originals[start : start + BATCH]]
        with transaction.atomic():
            whole = _lock_remaining(ids)
            rows = [_copy(whole[pk], actor, now) for pk in ids if pk in whole]
            for row, at in zip(rows, due[start:], strict=False):
                row.due_at = at
            insert(rows)
        deliveries += rows
    return tuple(deliveries)


def _lock_remaining(ids: Sequence[UUID]) -> Mapping[UUID, Delivery]:
    """Lock and return those that have not been redelivered since they were selected: people click twice.

    Those whose body was dropped meanwhile are left out, too.
    """
    rows = Delivery.objects.filter(pk__in=ids, stored_bytes__gt=0).order_by("pk")
    if connection.features.has_select_for_update:
        rows = rows.select_for_update()
    whole = {row.pk: row for row in rows}
    redelivered = set(Delivery.objects.filter(original__in=ids).values_list("original", flat=True))
    return {pk: row for pk, row in whole.items() if pk not in redelivered}


def _copy(original: Delivery, actor: str, now: datetime) -> Delivery:
    copied = {name: getattr(original, name) for name in COPIED}
    delivery = Delivery(
        **copied,
        details={name: value for name, value in original.details.items() if name not in OF_RESULT},
        received_at=now,
        origin=Origin.REDELIVERY,
        original=original,
        actor=storable(actor),
        traceparent=tracing.traceparent(),
    )
    delivery.push_id = (
        delivery.pk
    )  # a push of its own, so that lists by repository find it while it is pending
    return delivery
