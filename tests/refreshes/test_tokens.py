"""Refresh tokens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from receivers.kargo.times import parse_time
from receivers.refreshes.tokens import Tokens, format_token

NOW = datetime(2026, 5, 5, 12, 0, 0, 7, tzinfo=UTC)


def tokens_at(*times: datetime) -> Tokens:
    left = iter(times)
    return Tokens(clock=lambda: next(left))


def test_a_token_is_rfc_3339_in_utc_with_microseconds():
    assert format_token(NOW) == "2026-05-05T12:00:00.000007Z"
    assert parse_time(format_token(NOW)) == NOW


@pytest.mark.parametrize(
    "text",
    ["", "soon", "2026-05-05T12:00:00", "9999-12-31T23:59:59-08:00"],
    ids=["empty", "words", "no zone", "beyond all years"],
)
def test_any_text_may_be_a_token_but_not_every_token_is_a_time(text):
    assert parse_time(text) is None


def test_kargos_own_tokens_are_times_too():
    assert parse_time("2026-05-05T12:00:00Z") == datetime(2026, 5, 5, 12, tzinfo=UTC)


def test_a_token_is_later_than_the_one_the_warehouse_carries():
    ahead = NOW + timedelta(minutes=5)
    assert tokens_at(NOW).make(format_token(ahead)) == ahead + timedelta(microseconds=1)


def test_a_token_from_the_far_future_is_not_followed():
    assert tokens_at(NOW).make("2999-01-01T00:00:00Z") == NOW


def test_tokens_grow_within_one_microsecond_and_after_the_clock_went_back():
    tokens = tokens_at(NOW, NOW, NOW - timedelta(days=1), NOW + timedelta(seconds=1))
    made = [tokens.make("") for _ in range(4)]
    assert made == sorted(set(made))


def test_a_clock_that_is_ahead_elsewhere_puts_nobody_else_ahead():
    tokens = tokens_at(NOW, NOW, NOW)
    ahead = format_token(NOW + timedelta(minutes=59))
    first, again = tokens.make(ahead), tokens.make(ahead)
    assert NOW + timedelta(minutes=59) < first < again
    assert tokens.make("") < NOW + timedelta(seconds=1)
