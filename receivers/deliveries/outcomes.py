"""What outcomes mean for a list: their tone, and what several refreshes add up to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import models

from receivers.kargo.quoting import lower_first
from receivers.kargo.refresh_outcomes import RefreshOutcome
from receivers.models import Delivery, Outcome, Refresh


class Tone(models.TextChoices):
    """How an outcome reads in a list."""

    GOOD = "good", "Succeeded"
    PLAIN = "plain", "Skipped by configuration"
    """No Freight, and nothing is wrong."""

    BAD = "bad", "Needs action"
    OPEN = "open", "In progress"


_TONES: Final = {
    Tone.OPEN: {Outcome.PENDING, Outcome.REFRESHED},
    Tone.GOOD: {
        Outcome.FREIGHT_CREATED, Outcome.ALREADY_CURRENT, Outcome.TEST_PASSED, Outcome.PROMOTIONS_REFRESHED,
        Outcome.FORWARDED,
    },
    Tone.PLAIN: {
        Outcome.NO_MATCH, Outcome.DRY_RUN, Outcome.BEYOND_DISCOVERY_LIMIT, Outcome.CRITERIA_NOT_MET,
        Outcome.MANUAL_CREATION_POLICY, Outcome.NOT_NEWEST, Outcome.NO_LONGER_SELECTED, Outcome.UNSUPPORTED_EVENT,
        Outcome.IGNORED,
    },
}  # fmt: skip

_REFRESH_ORDER: Final[dict[str, int]] = {code.value: place for place, code in enumerate(RefreshOutcome)}

NOT_EVALUATED: Final = frozenset(
    {
        Outcome.NO_REPOSITORY, Outcome.INVALID_BODY, Outcome.TOO_LARGE, Outcome.RETIRED_URL, Outcome.UNSUPPORTED_KIND,
        Outcome.COLLISION, Outcome.TEST_REFUSED, Outcome.UNAUTHORIZED, Outcome.SECRET_UNREADABLE,
        Outcome.UNSUPPORTED_EVENT, Outcome.IGNORED, Outcome.PROMOTIONS_REFRESHED, Outcome.PROMOTIONS_FAILED,
        Outcome.ACTION_FAILED, Outcome.FORWARDED, Outcome.FORWARD_REFUSED, Outcome.FORWARD_FAILED,
    }
)  # fmt: skip
"""The outcomes of requests for which no subscription is evaluated."""

NO_PUSHES: Final = frozenset(
    {Outcome.UNSUPPORTED_EVENT, Outcome.IGNORED, Outcome.PROMOTIONS_REFRESHED, Outcome.PROMOTIONS_FAILED}
)
"""The outcomes of requests that announce no push, such as pings and closed pull requests."""


def tone(outcome: str) -> Tone:
    """Return the tone of an `Outcome` or a `RefreshOutcome`; BAD for everything that is neither."""
    return next((tone for tone, outcomes in _TONES.items() if outcome in outcomes), Tone.BAD)


_DECISIVE_TONES: Final = (Tone.BAD, Tone.OPEN, Tone.GOOD, Tone.PLAIN)


def urgency(outcome: str) -> tuple[int, int]:
    """Return the sort key of an outcome among those of one push: the smallest one decides.

    What needs action comes first, then what is in progress, then what succeeded; one receiver without a match hides
    nothing. Within a tone, the order is that of `RefreshOutcome`, from the most urgent to the least.
    """
    place = _REFRESH_ORDER.get(outcome, len(_REFRESH_ORDER))
    return _DECISIVE_TONES.index(tone(outcome)), place


def decisive(deliveries: Iterable[Delivery]) -> Delivery:
    """Return the delivery that has the outcome of a push, given all deliveries of the push, in any order.

    For each receiver its last delivery counts, so that a redelivery replaces what it repeats. A delivery that found
    the Freight of an earlier one succeeded, too: the one that created it counts. Of several receivers, the
    outcome that most needs action decides (`urgency`), and of equal ones the newest. Raises ValueError without any.
    """
    by_receiver: dict[tuple[str, str], list[Delivery]] = {}
    for delivery in sorted(deliveries, key=_newest_last):
        by_receiver.setdefault((delivery.project, delivery.receiver), []).append(delivery)
    candidates = [_counting(rows) for rows in by_receiver.values()]
    return min(sorted(candidates, key=_newest_last, reverse=True), key=lambda row: urgency(row.outcome))


def _counting(deliveries: Sequence[Delivery]) -> Delivery:
    """Return the delivery to one receiver that counts, given all to it, the newest last."""
    last = deliveries[-1]
    if last.outcome != Outcome.ALREADY_CURRENT:
        return last
    created = (row for row in reversed(deliveries) if row.outcome == Outcome.FREIGHT_CREATED)
    return next(created, last)


def _newest_last(delivery: Delivery) -> tuple[datetime, UUID]:
    return delivery.received_at, delivery.pk


def label(code: str) -> str:
    """Return the label of an `Outcome` or a `RefreshOutcome`; any other code with spaces for its underscores."""
    return Outcome(code).label if code in Outcome.values else code.replace("_", " ")


def lower_label(code: str) -> str:
    """Return the label with a lowercase letter at its start, for the middle of a sentence."""
    return lower_first(label(code))


def headline_of(delivery: Delivery) -> str:
    """Return the headline of a delivery."""
    return headline(delivery.outcome, delivery.with_freight, delivery.warehouses)


def headline(outcome: str, with_freight: int, warehouses: int) -> str:
    """Return the label of a delivery's outcome, or in how many of its Warehouses there is Freight if it is in some.

    The outcome is the one that most needs action, which alone would hide the others.
    """
    if 0 < with_freight < warehouses:
        return f"Freight in {with_freight} of {warehouses} Warehouses"
    return label(outcome)


def named_results(refreshes: Sequence[Refresh], most: int) -> str:
    """Return the result of each Warehouse in one line: first those with Freight, `most` by name, then the others."""
    several_projects = len({refresh.project for refresh in refreshes}) > 1
    groups: tuple[list[str], list[str]] = ([], [])
    for refresh in refreshes:
        name = f"{refresh.project}/{refresh.warehouse}" if several_projects else refresh.warehouse
        groups[tone(refresh.outcome) is not Tone.GOOD].append(f"{name}: {_result(refresh)}")
    return "; ".join(named for group in groups for named in _first(group, most))


def _result(refresh: Refresh) -> str:
    """Return the outcome of a refresh with its Freight or its reason; a refresh that has not ended is in progress."""
    freight = refresh.freight_alias or refresh.freight
    if refresh.outcome == RefreshOutcome.FREIGHT_CREATED and freight:
        return f"Freight {freight}"
    words = lower_label(refresh.outcome or Tone.OPEN.label)
    details = f"Freight {freight}" if freight else refresh.reason
    return f"{words} ({details})" if details else words


def _first(texts: Sequence[str], most: int) -> list[str]:
    left_out = len(texts) - most
    return [*texts[:most], f"and {left_out} more"] if left_out > 0 else list(texts)


def summary(outcomes: Iterable[str]) -> Outcome | None:
    """Return the outcome of a delivery from those of its refreshes: the one that most needs action.

    Return None if there is no refresh, or if one of them has not ended (its outcome is empty).
    """
    distinct = set(outcomes)
    if not distinct or "" in distinct:
        return None
    # RefreshOutcome lists the codes from the most urgent to the least.
    return Outcome(next(code.value for code in RefreshOutcome if code in distinct))
