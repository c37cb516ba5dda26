"""Pushes whose deliveries name no time are remembered for a while, and not without bound."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from receivers.deliveries.deduplication import REMEMBERED, PushDeduplicator
from receivers.deliveries.deduplication import WINDOW, push_id

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
PLACE = ("demo", "hook", "example/app", "1.0.0")


def test_two_processes_agree_where_the_time_is_known():
    assert (
        PushDeduplicator().push_id(PLACE, AT, AT)
        == PushDeduplicator().push_id(PLACE, AT, AT + WINDOW * 9)
        == push_id(PLACE, AT)
    )


def test_without_a_time_the_first_delivery_opens_a_window_that_the_next_do_not_prolong():
    grouping = PushDeduplicator()
    steps = [
        grouping.push_id(PLACE, None, AT + timedelta(seconds=seconds)) for seconds in (0, 40, 60, 61, 100)
    ]
    assert [steps.index(one) for one in steps] == [0, 0, 0, 3, 3]


def test_places_do_not_share_a_window():
    grouping = PushDeduplicator()
    assert grouping.push_id(PLACE, None, AT) != grouping.push_id(("", *PLACE[1:]), None, AT)


def test_the_oldest_are_forgotten_when_there_are_too_many():
    grouping = PushDeduplicator()
    first = grouping.push_id(PLACE, None, AT)
    later = AT + timedelta(seconds=1)
    for number in range(REMEMBERED):
        grouping.push_id(("demo", "hook", "example/app", str(number)), None, later)
    assert grouping.push_id(PLACE, None, later) != first
