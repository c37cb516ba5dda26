"""The delay before a retry."""

from __future__ import annotations

import pytest

from receivers.cluster.backoff import Backoff
from receivers.cluster.errors import Forbidden, NotInstalled, Throttled, Unreachable

BACKOFF = Backoff(first=1.0, longest=20.0, forbidden=30.0, retry_after_limit=60.0)
UNREACHABLE = Unreachable("down")


@pytest.mark.parametrize(
    ("failures", "error", "low", "high"),
    [
        pytest.param(0, None, 0, 0, id="no failure"),
        pytest.param(1, UNREACHABLE, 0.5, 1, id="first failure"),
        pytest.param(3, UNREACHABLE, 2, 4, id="third failure"),
        pytest.param(1_000, UNREACHABLE, 10, 20, id="many failures"),
        pytest.param(2, None, 1, 2, id="watch that ended too early"),
        pytest.param(1, Forbidden("no"), 15, 30, id="forbidden"),
        pytest.param(1, NotInstalled("no"), 15, 30, id="not installed"),
        pytest.param(1, Throttled("slow", retry_after=7.0), 7, 7, id="as requested by the server"),
        pytest.param(1, Throttled("slow", retry_after=9e9), 60, 60, id="at most the limit"),
        pytest.param(9, Throttled("slow", retry_after=1.0), 10, 20, id="longer than requested by the server"),
    ],
)
def test_the_delay_depends_on_the_error_and_the_number_of_failures(failures, error, low, high):
    # Delays have a random part.
    assert all(low <= BACKOFF.after(failures, error) <= high for _ in range(50))
