"""Formatted durations and relative times."""

from __future__ import annotations

import pytest

from receivers.web.durations import ago, duration

DURATIONS = [
    (0, "0 ms"), (0.0004, "0 ms"), (0.84, "840 ms"), (0.9996, "1.0 s"), (1, "1.0 s"), (4.25, "4.2 s"),
    (59.94, "59.9 s"), (59.96, "1 min"), (60, "1 min"), (185, "3 min 5 s"), (3599.6, "1 h"),
    (7500, "2 h 5 min"), (86_399, "23 h 59 min"), (86_400, "1 d"), (273_600, "3 d 4 h"),
]  # fmt: skip
AGO = [
    (0, "now"), (0.9, "now"), (-0.9, "now"), (1, "1 s ago"), (59.9, "59 s ago"), (60, "1 min ago"),
    (3599, "59 min ago"), (3600, "1 h ago"), (172_800, "2 d ago"), (-30, "in 30 s"), (-599, "in 9 min"),
]  # fmt: skip


@pytest.mark.parametrize(("seconds", "text"), DURATIONS)
def test_a_duration_has_two_units_at_most(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), AGO)
def test_a_time_is_shown_relative_to_now(seconds: float, text: str) -> None:
    assert ago(seconds) == text
