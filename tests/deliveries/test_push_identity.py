"""Which deliveries announce one push."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest

from receivers.deliveries.deduplication import WINDOW, starts_new_push, push_id

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
PLACE = ("demo", "hook", "example/app", "1.0.0")


def test_the_id_is_the_same_for_ever():
    assert push_id(PLACE, AT) == UUID("ebd4485d-405d-578f-a2d9-0cf3ec42cec6")


def test_the_zone_in_which_a_time_is_told_does_not_matter():
    assert push_id(PLACE, AT.astimezone(timezone(timedelta(hours=5)))) == push_id(PLACE, AT)


@pytest.mark.parametrize(
    "place",
    [
        ("", "hook", "example/app", "1.0.0"),
        ("demo", "other", "example/app", "1.0.0"),
        ("demo", "hook", "example/other", "1.0.0"),
        ("demo", "hook", "example/app", "1.0.1"),
        ("demohook", "", "example/app", "1.0.0"),
        ('demo", "hook', "example/app", "1.0.0", ""),
    ],
)
def test_another_place_is_another_push(place):
    assert push_id(place, AT) != push_id(PLACE, AT)


def test_another_second_is_another_push():
    assert push_id(PLACE, AT + timedelta(seconds=1)) != push_id(PLACE, AT)


@pytest.mark.parametrize(
    ("opened", "opens"),
    [
        (None, True),
        (AT, False),
        (AT - WINDOW, False),
        (AT - WINDOW - timedelta(seconds=1), True),
        (AT + timedelta(seconds=5), False),
        (AT + WINDOW * 2, True),
    ],
)
def test_without_a_time_a_push_lasts_for_a_window(opened, opens):
    assert starts_new_push(opened, AT) is opens
