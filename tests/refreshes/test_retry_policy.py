"""When a refresh is retried, and how often."""

from __future__ import annotations

import pytest

from receivers.deliveries.outcomes import Tone, summary, tone
from receivers.kargo.progress_states import RefreshPhase
from receivers.kargo.refresh_outcomes import RefreshOutcome, RetryCause
from receivers.models import Outcome
from receivers.refreshes.retry_policy import MAX_RETRIES, RetryPolicy, seconds_to_next_request

POLICY = RetryPolicy(
    handled_within=10.0,
    discovered_within=900.0,
    freight_within=120.0,
    discovery_delays=(3.0,),
    rate_limit_delays=(60.0,),
    lag_delays=(1.0, 2.0),
)


@pytest.mark.parametrize(
    ("cause", "times", "delay"),
    [
        (RetryCause.NOT_VISIBLE, 0, 1.0),
        (RetryCause.NOT_VISIBLE, 1, 2.0),
        (RetryCause.NOT_VISIBLE, 2, None),
        (RetryCause.DISCOVERY_FAILED, 0, 3.0),
        (RetryCause.RATE_LIMITED, 0, 60.0),
        (RetryCause.SAME_CONTENT, 0, 1.0),
        (RetryCause.SAME_CONTENT, 1, None),
        (RetryCause.NOT_HANDLED, 0, 0.0),
        (RetryCause.NOT_HANDLED, 2, None),
    ],
)
def test_the_delay_depends_on_the_cause_and_the_retry(
    cause: RetryCause, times: int, delay: float | None
) -> None:
    assert POLICY.delay(cause, times, times) == delay


def test_the_total_number_of_retries_is_limited() -> None:
    assert POLICY.delay(RetryCause.NOT_VISIBLE, 0, MAX_RETRIES) is None


def test_the_timeout_doubles_with_every_retry() -> None:
    assert [POLICY.timeout(RefreshPhase.HANDLING, times) for times in range(3)] == [10, 20, 40]


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([], None),
        (["freight_created", ""], None),
        (["freight_created", "freight_created"], Outcome.FREIGHT_CREATED),
        (["freight_created", "already_current"], Outcome.FREIGHT_CREATED),
        (["freight_created", "not_handled", "not_newest"], Outcome.NOT_HANDLED),
        (["discovery_failed", "not_requested"], Outcome.NOT_REQUESTED),
    ],
)
def test_a_delivery_has_the_outcome_of_the_refresh_that_most_needs_action(
    outcomes: list[str], expected: Outcome | None
) -> None:
    assert summary(outcomes) == expected


def test_every_outcome_of_a_refresh_is_also_an_outcome_of_deliveries_and_has_a_tone() -> None:
    assert {outcome.value for outcome in RefreshOutcome} <= {outcome.value for outcome in Outcome}
    assert {outcome for outcome in Outcome if tone(outcome) is Tone.OPEN} == {
        Outcome.PENDING,
        Outcome.REFRESHED,
    }
    assert tone(RefreshOutcome.FREIGHT_CREATED) is Tone.GOOD
    assert tone(Outcome.NOT_HANDLED) is Tone.BAD
    assert tone(Outcome.NO_MATCH) is Tone.PLAIN


@pytest.mark.parametrize(
    ("left", "cause", "retries", "soon"),
    [
        (-1.0, RetryCause.NOT_VISIBLE, 0, True),
        (0.5, RetryCause.NOT_VISIBLE, 0, True),
        (0.6, RetryCause.NOT_VISIBLE, 0, False),
        (1.0, RetryCause.NOT_VISIBLE, 1, True),
        (1.1, RetryCause.NOT_VISIBLE, 1, False),
        (30.0, RetryCause.RATE_LIMITED, 0, True),
        (31.0, RetryCause.RATE_LIMITED, 0, False),
        (0.1, RetryCause.NOT_HANDLED, 0, False),
    ],
)
def test_a_retry_is_made_early_only_in_the_second_half_of_its_delay(
    left: float, cause: RetryCause, retries: int, soon: bool
) -> None:
    """Otherwise the pushes of a busy repository would use up each other's retries before the registry lists a tag."""
    assert POLICY.is_soon(left, cause, retries, retries) is soon


@pytest.mark.parametrize(
    ("failed", "retry_after", "seconds"), [(1, 0.0, 1.0), (1, 7.0, 7.0), (5, 7.0, 600.0), (1, 1e300, 3600.0)]
)
def test_a_server_can_put_off_the_next_request_up_to_an_hour(
    failed: int, retry_after: float, seconds: float
) -> None:
    assert seconds_to_next_request(failed, retry_after) == seconds
