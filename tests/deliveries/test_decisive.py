"""Which delivery has the outcome of a push."""

from __future__ import annotations

import random

import pytest

from receivers.deliveries.outcomes import decisive, urgency
from receivers.models import Outcome
from tests.deliveries.rows import delivery


def outcome_of(*rows):
    """Return the decisive outcome, which must not depend on the order of the deliveries."""
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert decisive(shuffled) is decisive(rows)
    return decisive(rows).outcome


def test_the_last_delivery_to_a_receiver_counts():
    failed = delivery("p", 1, outcome=Outcome.FAILED)
    again = delivery("p", 2, outcome=Outcome.FREIGHT_CREATED)
    assert outcome_of(failed, again) == Outcome.FREIGHT_CREATED


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ((Outcome.FREIGHT_CREATED, Outcome.NO_MATCH), Outcome.FREIGHT_CREATED),
        ((Outcome.FREIGHT_CREATED, Outcome.NOT_HANDLED), Outcome.NOT_HANDLED),
        ((Outcome.FREIGHT_CREATED, Outcome.REFRESHED), Outcome.REFRESHED),
        ((Outcome.REFRESHED, Outcome.RETIRED_URL), Outcome.RETIRED_URL),
        ((Outcome.TAG_NOT_VISIBLE, Outcome.NOT_HANDLED, Outcome.RETIRED_URL), Outcome.NOT_HANDLED),
        ((Outcome.NO_MATCH, Outcome.NOT_NEWEST), Outcome.NOT_NEWEST),
    ],
    ids=str,
)
def test_of_several_receivers_the_outcome_that_most_needs_action_decides(outcomes, expected):
    rows = [delivery("p", n, receiver=f"r-{n}", outcome=outcome) for n, outcome in enumerate(outcomes)]
    assert outcome_of(*rows) == expected
    assert min(outcomes, key=urgency) == expected


def test_a_duplicate_that_found_the_freight_does_not_hide_who_created_it():
    created = delivery("p", 1, outcome=Outcome.FREIGHT_CREATED)
    duplicate = delivery("p", 2, outcome=Outcome.ALREADY_CURRENT)
    assert outcome_of(created, duplicate) == Outcome.FREIGHT_CREATED
    assert outcome_of(duplicate) == Outcome.ALREADY_CURRENT


def test_of_equal_outcomes_the_newest_decides():
    rows = [delivery("p", n, receiver=f"r-{n}", outcome=Outcome.NO_MATCH) for n in range(3)]
    assert decisive(rows) is rows[-1]


def test_a_push_without_deliveries_is_an_error():
    with pytest.raises(ValueError, match="empty"):
        decisive([])
