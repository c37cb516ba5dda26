"""The steps of a delivery's story."""

from __future__ import annotations

from datetime import timedelta

import pytest

from receivers.deliveries import timeline
from receivers.deliveries.outcomes import Tone
from receivers.kargo.outcomes import RefreshOutcome
from receivers.models import Outcome, Refresh
from tests.deliveries.rows import START, delivery


def event(seconds, name, text="", **more):
    at = (START + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")
    return {"at": at, "event": name, "text": text, **more}


def refresh(*story, **fields):
    return Refresh(project="shop", warehouse="main", story=list(story), **fields)


def told(line):
    return [(one.word, one.text, one.after, one.tone) for one in line.steps]


def test_it_begins_before_any_warehouse():
    row = delivery("shop", status=500, duration_ms=250, client_address="192.0.2.1")
    assert [(one.word, one.text, one.after, one.tone) for one in timeline.beginning(row)] == [
        ("received", "from 192.0.2.1", None, Tone.GOOD),
        ("stored", "before anything else was done", None, Tone.GOOD),
        ("answered 500", "", 0.25, Tone.BAD),
    ]


def test_a_redelivery_has_no_answer():
    assert [one.word for one in timeline.beginning(delivery("shop"))] == ["received", "stored"]


def test_every_step_says_how_long_it_took_and_the_last_one_what_came_of_it():
    row = refresh(
        event(1, "requested"),
        event(1.5, "lost", "it was swallowed"),
        event(3, "asked again", "it was swallowed", cause="discovery_failed"),
        event(4, "discovered", "sha256:1234"),
        event(6, "freight_created", "Freight x holds it"),
        outcome=RefreshOutcome.FREIGHT_CREATED,
        freight="f00",
        freight_alias="brave-bear",
        ended_at=START + timedelta(seconds=6),
    )
    line = timeline.line(row, START)
    assert told(line) == [
        ("refresh requested", "", 1.0, Tone.GOOD),
        ("in vain", "it was swallowed", 0.5, Tone.BAD),
        ("asked again", "discovery failed", 1.5, Tone.OPEN),
        ("discovered", "", 1.0, Tone.GOOD),
        ("Freight brave-bear", "Freight x holds it", 2.0, Tone.GOOD),
    ]
    assert (line.steps[3].digest, line.seconds) == ("sha256:1234", 6.0)


def test_what_has_not_ended_says_what_it_waits_for():
    row = refresh(event(1, "requested"), reason="the controller has not answered yet")
    line = timeline.line(row, START)
    assert told(line)[-1] == ("waiting", "the controller has not answered yet", None, Tone.OPEN)
    assert line.seconds is None


def test_what_is_waited_for_is_not_said_twice():
    row = refresh(
        event(1, "requested"),
        event(2, "lost", "not listed"),
        reason="not listed",
        next_attempt_at=START + timedelta(seconds=9),
    )
    assert told(timeline.line(row, START))[1:] == [
        ("in vain", "not listed", 1.0, Tone.BAD),
        ("to be asked again", "", None, Tone.OPEN),
    ]


def test_a_row_without_a_story_tells_what_its_times_tell():
    at = [START + timedelta(seconds=n) for n in range(4)]
    row = refresh(
        requested_at=at[1],
        handled_at=at[2],
        ended_at=at[3],
        outcome=RefreshOutcome.NOT_NEWEST,
        reason="2 is before it",
    )
    assert told(timeline.line(row, START)) == [
        ("refresh requested", "", 1.0, Tone.GOOD),
        ("handled by Kargo", "", 1.0, Tone.GOOD),
        ("not the newest", "2 is before it", 1.0, Tone.PLAIN),
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
def test_a_delivery_has_ended_when_all_its_refreshes_have(outcome, refreshes, ended):
    rows = [refresh(outcome=one) for one in refreshes]
    assert timeline.has_ended(delivery("shop", outcome=outcome), rows) == ended
