"""Refresh tokens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from receivers.kargo.times import parse_time
from receivers.refreshes.refresh_tokens import Tokens, format_token

NOW = datetime(2026, 5, 5, 12, 0, 0, 7, tzinfo=UTC)


def tokens_at(*times: datetime) -> Tokens:
    remaining = iter(times)
    return Tokens(clock=lambda: next(remaining))


def test_a_token_is_rfc_3339_in_utc_with_microseconds():
    assert format_token(NOW) == "2026-05-05T12:00:00.000007Z"
    assert parse_time(format_token(NOW)) == NOW


@pytest.mark.parametrize(
    "text",
    ["", "soon", "2026-05-05T12:00:00", "9999-12-31T23:59:59-08:00"],
    ids=["empty", "words", "no zone", "out of range"],
)
def test_an_annotation_that_is_not_a_time_has_no_time(text):
    assert parse_time(text) is None


def test_a_token_written_by_kargo_is_a_time():
    assert parse_time("2026-05-05T12:00:00Z") == datetime(2026, 5, 5, 12, tzinfo=UTC)


def test_a_token_is_later_than_the_current_token_of_the_warehouse():
    ahead = NOW + timedelta(minutes=5)
    assert tokens_at(NOW).create(format_token(ahead)) == ahead + timedelta(microseconds=1)


def test_a_token_from_the_far_future_is_ignored():
    assert tokens_at(NOW).create("2999-01-01T00:00:00Z") == NOW


def test_tokens_increase_within_one_microsecond_and_after_the_clock_is_set_back():
    tokens = tokens_at(NOW, NOW, NOW - timedelta(days=1), NOW + timedelta(seconds=1))
    created = [tokens.create("") for _ in range(4)]
    assert created == sorted(set(created))


def test_a_clock_that_is_ahead_affects_only_its_own_warehouse():
    tokens = tokens_at(NOW, NOW, NOW)
    ahead = format_token(NOW + timedelta(minutes=59))
    first, second = tokens.create(ahead), tokens.create(ahead)
    assert NOW + timedelta(minutes=59) < first < second
    assert tokens.create("") < NOW + timedelta(seconds=1)
