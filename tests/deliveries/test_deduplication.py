"""Deliveries of the same push share an id, in every process."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest

from receivers.deliveries.deduplication import (
    REMEMBERED,
    WINDOW,
    PushDeduplicator,
    push_id,
    starts_new_push,
)

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = ("example/app", "1.0.0")


def test_the_id_is_the_same_in_every_version():
    assert push_id(KEY, AT) == UUID("c8eb9f06-57c8-59f7-9020-a2e3ce8ab062")


def test_the_time_zone_does_not_matter():
    assert push_id(KEY, AT.astimezone(timezone(timedelta(hours=5)))) == push_id(KEY, AT)


@pytest.mark.parametrize(
    "key",
    [
        ("example/other", "1.0.0"),
        ("example/app", "1.0.1"),
        ("example/app1.0.0", ""),
        ('example/app", "1.0.0', ""),
    ],
)
def test_a_different_key_is_a_different_push(key):
    assert push_id(key, AT) != push_id(KEY, AT)


def test_a_different_second_is_a_different_push():
    assert push_id(KEY, AT + timedelta(seconds=1)) != push_id(KEY, AT)


@pytest.mark.parametrize(
    ("window_start", "starts"),
    [
        (None, True),
        (AT, False),
        (AT - WINDOW, False),
        (AT - WINDOW - timedelta(seconds=1), True),
        (AT + timedelta(seconds=5), False),
        (AT + WINDOW * 2, True),
    ],
)
def test_deliveries_without_a_time_are_one_push_within_a_window(window_start, starts):
    assert starts_new_push(window_start, AT) is starts


def test_processes_agree_if_the_push_has_a_time():
    assert (
        PushDeduplicator().push_id(KEY, AT, AT)
        == PushDeduplicator().push_id(KEY, AT, AT + WINDOW * 9)
        == push_id(KEY, AT)
    )


def test_later_deliveries_do_not_extend_the_window():
    deduplicator = PushDeduplicator()
    ids = [
        deduplicator.push_id(KEY, None, AT + timedelta(seconds=seconds)) for seconds in (0, 40, 60, 61, 100)
    ]
    assert [ids.index(push) for push in ids] == [0, 0, 0, 3, 3]


def test_each_key_has_its_own_window():
    deduplicator = PushDeduplicator()
    assert deduplicator.push_id(KEY, None, AT) != deduplicator.push_id(("example/other", KEY[1]), None, AT)


def test_the_oldest_windows_are_dropped_beyond_the_limit():
    deduplicator = PushDeduplicator()
    first = deduplicator.push_id(KEY, None, AT)
    later = AT + timedelta(seconds=1)
    for number in range(REMEMBERED):
        deduplicator.push_id(("example/app", str(number)), None, later)
    assert deduplicator.push_id(KEY, None, later) != first
