"""The delay before a retry."""

from __future__ import annotations

import pytest

from receivers.cluster.backoff import Backoff
from receivers.cluster.errors import Forbidden, NotInstalled, Throttled, Unreachable

BACKOFF = Backoff(first=1.0, longest=20.0, forbidden=30.0, retry_after_limit=60.0)
GONE = Unreachable("gone")


def between(low: float, high: float, failures: int, error) -> bool:
    return all(low <= BACKOFF.after(failures, error) <= high for _ in range(50))


@pytest.mark.parametrize(
    ("failures", "error", "low", "high"),
    [
        pytest.param(0, None, 0, 0, id="none"),
        pytest.param(1, GONE, 0.5, 1, id="the first"),
        pytest.param(3, GONE, 2, 4, id="the third"),
        pytest.param(1_000, GONE, 10, 20, id="many"),
        pytest.param(2, None, 1, 2, id="a watch that ended too early"),
        pytest.param(1, Forbidden("no"), 15, 30, id="forbidden"),
        pytest.param(1, NotInstalled("no"), 15, 30, id="not installed"),
        pytest.param(1, Throttled("slow", retry_after=7.0), 7, 7, id="as long as the server asks"),
        pytest.param(1, Throttled("slow", retry_after=9e9), 60, 60, id="but not for ever"),
        pytest.param(9, Throttled("slow", retry_after=1.0), 10, 20, id="longer than it asks"),
    ],
)
def test_the_delay_depends_on_the_error(failures, error, low, high):
    assert between(low, high, failures, error)
