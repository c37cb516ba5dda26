"""The steps of a delivery's timeline."""

from __future__ import annotations

from datetime import timedelta

import pytest

from receivers.deliveries import timeline
from receivers.deliveries.outcomes import Tone
from receivers.kargo.refresh_outcomes import RefreshOutcome
from receivers.models import Outcome, Refresh
from tests.deliveries.rows import START, delivery


def event(seconds, name, text="", **fields):
    at = (START + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")
    return {"at": at, "event": name, "text": text, **fields}


def refresh(*history, **fields):
    return Refresh(project="shop", warehouse="main", history=list(history), **fields)


def as_tuples(steps):
    return [(step.label, step.text, step.after, step.tone) for step in steps]


def test_a_timeline_begins_with_the_request_and_the_response():
    row = delivery("shop", status=500, duration_ms=250, client_address="192.0.2.1")
    assert as_tuples(timeline.request_timeline(row)) == [
        ("received", "from 192.0.2.1", None, Tone.GOOD),
        ("saved", "before processing", None, Tone.GOOD),
        ("answered 500", "", 0.25, Tone.BAD),
    ]


@pytest.mark.parametrize(
    ("outcome", "label", "tone"),
    [
        (Outcome.PENDING, "being passed on", Tone.OPEN),
        (Outcome.FORWARDED, "passed on", Tone.GOOD),
        (Outcome.FORWARD_REFUSED, "passed on", Tone.BAD),
        (Outcome.FORWARD_FAILED, "not passed on", Tone.BAD),
    ],
)
def test_the_timeline_of_a_request_for_the_upstream_says_that_it_was_passed_on(outcome, label, tone):
    row = delivery("shop", outcome=outcome, passed_on=True)
    _, saved, passed_on = as_tuples(timeline.request_timeline(row))
    assert saved == ("saved", "before processing", None, Tone.GOOD)
    assert passed_on == (label, "to Kargo's own server", None, tone)


def test_a_redelivery_has_no_response():
    assert [step.label for step in timeline.request_timeline(delivery("shop"))] == ["received", "saved"]


def test_every_step_has_a_duration_and_the_last_step_has_the_result():
    row = refresh(
        event(1, "requested"),
        event(1.5, "attempt_failed", "the request timed out"),
        event(3, "retried", "the request timed out", cause="discovery_failed"),
        event(4, "discovered", "sha256:1234"),
        event(6, "freight_created", "Freight x contains it"),
        outcome=RefreshOutcome.FREIGHT_CREATED,
        freight="f00",
        freight_alias="brave-bear",
        ended_at=START + timedelta(seconds=6),
    )
    line = timeline.refresh_timeline(row, START)
    assert as_tuples(line.steps) == [
        ("refresh requested", "", 1.0, Tone.GOOD),
        ("failed", "the request timed out", 0.5, Tone.BAD),
        ("retried", "discovery failed", 1.5, Tone.OPEN),
        ("discovered", "", 1.0, Tone.GOOD),
        ("Freight brave-bear", "Freight x contains it", 2.0, Tone.GOOD),
    ]
    assert (line.steps[3].digest, line.seconds) == ("sha256:1234", 6.0)


def test_the_last_step_of_an_open_refresh_says_what_it_waits_for():
    row = refresh(event(1, "requested"), reason="the controller has not responded yet")
    line = timeline.refresh_timeline(row, START)
    assert as_tuples(line.steps)[-1] == ("waiting", "the controller has not responded yet", None, Tone.OPEN)
    assert line.seconds is None


def test_the_reason_of_a_scheduled_retry_is_not_repeated():
    row = refresh(
        event(1, "requested"),
        event(2, "attempt_failed", "not listed"),
        reason="not listed",
        next_attempt_at=START + timedelta(seconds=9),
    )
    assert as_tuples(timeline.refresh_timeline(row, START).steps)[1:] == [
        ("failed", "not listed", 1.0, Tone.BAD),
        ("next retry", "", None, Tone.OPEN),
    ]


def test_the_next_step_of_a_planned_refresh_is_no_retry():
    row = refresh(event(1, "planned", "catch-up"), reason="catch-up", next_attempt_at=START)
    assert as_tuples(timeline.refresh_timeline(row, START).steps) == [
        ("planned", "catch-up", 1.0, Tone.GOOD),
        ("refresh", "", None, Tone.OPEN),
    ]


def test_the_timeline_of_a_row_without_a_history_comes_from_its_times():
    at = [START + timedelta(seconds=n) for n in range(4)]
    row = refresh(
        requested_at=at[1],
        handled_at=at[2],
        ended_at=at[3],
        outcome=RefreshOutcome.NOT_NEWEST,
        reason="2 ranks higher",
    )
    assert as_tuples(timeline.refresh_timeline(row, START).steps) == [
        ("refresh requested", "", 1.0, Tone.GOOD),
        ("handled by Kargo", "", 1.0, Tone.GOOD),
        ("not the newest", "2 ranks higher", 1.0, Tone.PLAIN),
    ]


@pytest.mark.parametrize(
    ("outcome", "refreshes", "ended"),
    [
        (Outcome.PENDING, [], False),
        (Outcome.REFRESHED, [""], False),
        (Outcome.FAILED, ["", "freight_created"], False),
        (Outcome.NO_MATCH, [], True),
        (Outcome.FREIGHT_CREATED, ["freight_created", "freight_created"], True),
    ],
)
def test_a_delivery_has_ended_when_all_of_its_refreshes_have_ended(outcome, refreshes, ended):
    rows = [refresh(outcome=code) for code in refreshes]
    assert timeline.has_ended(delivery("shop", outcome=outcome), rows) == ended
