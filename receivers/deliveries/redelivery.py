"""Sends a delivery again: the same body to the same receiver, to whatever Warehouses there are today.

A redelivery is a row like any other, stored without an end. A serving process takes it up within a second or so
(`finishing`), so that pages and commands in other processes do the same, and none is lost with the process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Exists, OuterRef
from django.db.models.functions import Length
from django.utils import timezone

from receivers.deliveries.bulk_sql import insert
from receivers.deliveries.filters import DeliveryFilter
from receivers.deliveries.outcomes import Tone, tone
from receivers.deliveries.querysets import LONGEST_PAGE, delivery_log
from receivers.kargo.kinds import KINDS
from receivers.models import Delivery, Origin, Outcome, storable

RATE: Final = 5.0
"""Redeliveries a second, unless somebody wants another rate: Docker Hub limits how often Kargo may ask it."""

LOWEST_RATE: Final = 0.1  # a second: beyond, one would rather wait than send
HIGHEST_RATE: Final = 100.0  # a second: what one process takes up beside its pushes
MOST_AT_ONCE: Final = 1_000
"""Redeliveries of one call: three minutes at the usual rate. Called again, it goes on with what is left."""

MOST_PAGES: Final = (
    100  # that are looked through, 500,000 deliveries; what lies beyond is left for the next call
)
AT_A_TIME: Final = (
    50  # rows of one transaction: bodies may be large, and nobody should wait long for the lock
)
WORTHWHILE: Final = frozenset(one for one in Outcome if tone(one) is Tone.BAD) - {
    Outcome.INVALID_BODY,
    Outcome.TOO_LARGE,
    Outcome.UNSUPPORTED_KIND,
    Outcome.TEST_REFUSED,
}
"""Outcomes of which sending the same body again may make something better: what has failed, but not by itself."""

COPIED: Final = (
    "project", "receiver", "kind", "url_suffix", "repository", "tag", "media_type", "pusher", "pushed_at",
    "path", "headers",
)  # fmt: skip


class NotRedeliverable(ValueError):
    """A delivery that cannot be sent again; the text is a sentence that says why."""


@dataclass(frozen=True, slots=True)
class RedeliveryBatch:
    """What `redeliver_all` did, or would do.

    `originals` are sent again, oldest first, and `deliveries` are the new ones in the same order (none in a dry run);
    `refused` has the others, each with a sentence. `more`: there are others yet, for the next call.
    """

    originals: tuple[Delivery, ...]
    refused: tuple[tuple[Delivery, str], ...]
    more: bool
    deliveries: tuple[Delivery, ...] = ()


def redeliver(original: Delivery, actor: str) -> Delivery:
    """Have a delivery sent again by `actor` (a user's name), and return the new one, which is `pending`.

    Raises `NotRedeliverable`.
    """
    problem = refusal(original, len(original.body))
    if problem:
        raise NotRedeliverable(problem)
    delivery = _copy(original, actor, timezone.now())
    delivery.save(force_insert=True)
    return delivery


def redeliver_all(wanted: DeliveryFilter, actor: str, *, rate: float = RATE, dry_run: bool = False) -> RedeliveryBatch:
    """Have all deliveries that a filter asks for sent again, oldest first, `MOST_AT_ONCE` at most; do not wait for it.

    Of each push only its newest delivery, and none that was sent again already: its redelivery stands for it. They are
    taken up `rate` a second (`LOWEST_RATE` to `HIGHEST_RATE`, else ValueError), also if this process ends.
    """
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise ValueError(f"the rate is a number from {LOWEST_RATE:g} to {HIGHEST_RATE:g} a second")
    found, more = _candidates(wanted)
    sizes = _body_sizes(found)
    judged = [(one, refusal(one, sizes.get(one.pk, 0))) for one in found]
    originals = tuple(one for one, problem in judged if not problem)
    refused = tuple((one, problem) for one, problem in judged if problem)
    if dry_run:
        return RedeliveryBatch(originals, refused, more)
    deliveries = _store(originals, actor, rate)
    sent = {one.original_id for one in deliveries}
    refused += tuple((one, "it was sent again meanwhile") for one in originals if one.pk not in sent)
    return RedeliveryBatch(tuple(one for one in originals if one.pk in sent), refused, more, deliveries)


def refusal(original: Delivery, body_size: int) -> str:
    """Return why a delivery with a body of that many bytes cannot be sent again; empty if it can."""
    if original.kind not in KINDS:
        return f"kargoweb does not speak {original.kind}"
    if original.outcome == Outcome.PENDING:
        return "it is still being worked on"
    if original.outcome == Outcome.TOO_LARGE:
        return "its body was too large to be kept"
    if not body_size:
        return "nothing was kept of its body: it was empty, or did not come to its end"
    return ""


def _candidates(wanted: DeliveryFilter) -> tuple[list[Delivery], bool]:
    """Return the deliveries to send again, the oldest first, without their bodies; and whether there may be more."""
    again = Delivery.objects.filter(original=OuterRef("pk"))
    fresh = delivery_log().filter(~Exists(again))
    found: list[Delivery] = []
    after = ""
    for _ in range(MOST_PAGES):
        page = fresh.page(wanted, after=after, size=LONGEST_PAGE)
        found += page.rows
        after = page.next
        if not after or len(found) > MOST_AT_ONCE:
            break
    more = bool(after) or len(found) > MOST_AT_ONCE
    return found[:MOST_AT_ONCE][::-1], more


def _body_sizes(rows: Sequence[Delivery]) -> dict[UUID, int]:
    """Return how many bytes each body has, without reading the bodies."""
    stored = Delivery.objects.filter(pk__in=[row.pk for row in rows]).annotate(size=Length("body"))
    return dict(stored.values_list("pk", "size"))


def _store(originals: Sequence[Delivery], actor: str, rate: float) -> tuple[Delivery, ...]:
    """Store a redelivery of each; none is taken up before its turn."""
    now = timezone.now()
    turns = [now + timedelta(seconds=number / rate) for number in range(len(originals))]
    deliveries: list[Delivery] = []
    for start in range(0, len(originals), AT_A_TIME):
        ids = [one.pk for one in originals[start : start + AT_A_TIME]]
        with transaction.atomic():
            whole = _not_sent_again(ids)
            rows = [_copy(whole[pk], actor, now) for pk in ids if pk in whole]
            for row, turn in zip(rows, turns[start:], strict=False):
                row.claimed_until = turn
            insert(rows)
        deliveries += rows
    return tuple(deliveries)


def _not_sent_again(ids: Sequence[UUID]) -> Mapping[UUID, Delivery]:
    """Return those that nobody has sent again since they were chosen, and lock them: people click twice."""
    rows = Delivery.objects.filter(pk__in=ids).order_by("pk")
    if connection.features.has_select_for_update:
        rows = rows.select_for_update()
    whole = {row.pk: row for row in rows}
    again = Delivery.objects.filter(original__in=ids).values_list("original", flat=True)
    gone = set(again)
    return {pk: row for pk, row in whole.items() if pk not in gone}


def _copy(original: Delivery, actor: str, now: datetime) -> Delivery:
    copied = {name: getattr(original, name) for name in COPIED}
    delivery = Delivery(
        **copied,
        body=bytes(original.body),
        received_at=now,
        origin=Origin.REDELIVERY,
        original=original,
        actor=storable(actor),
    )
    delivery.push_id = delivery.pk  # it stands for itself, and is found by its repository while it waits
    return delivery
