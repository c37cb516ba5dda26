"""Where a push got to, as marks and in words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from receivers.kargo.stage_states import StageJourney, StageNode, StageProgress, StageState
from receivers.kargo.stages import FreightName
from receivers.models import Outcome, Refresh
from receivers.web.reach import MOST_MARKS, reach_of
from tests.deliveries.rows import delivery

FREIGHT = FreightName("f" * 40, "calm-lemur")
SINCE = datetime(2026, 3, 12, 13, 40, tzinfo=UTC)


def reached(outcome: Outcome, *states: StageState) -> tuple[list[str], str]:
    """Return the shapes and words of a push with this outcome, and Freight in these Stages, one after the other."""
    row = delivery("p", outcome=outcome)
    refreshes, journeys = [], {}
    if states:
        refreshes = [
            Refresh(
                delivery=row,
                project="p",
                warehouse="w",
                freight=FREIGHT.name,
                outcome=Outcome.FREIGHT_CREATED,
            )
        ]
        nodes = tuple(
            StageNode(
                f"s{depth}",
                (),
                depth,
                StageProgress("p", f"s{depth}", FREIGHT, state, since=SINCE, step=3, steps=5),
                is_last=depth == len(states) - 1,
            )
            for depth, state in enumerate(states)
        )
        journeys = {("p", "w", FREIGHT.name): StageJourney("p", "w", FREIGHT, nodes)}
    reach = reach_of(row, refreshes, journeys, UTC)
    return [mark.shape for mark in reach.marks], reach.words


@pytest.mark.parametrize(
    ("outcome", "shapes", "words"),
    [
        (Outcome.REFRESHED, ["good", "run"], "received"),
        (Outcome.NOT_HANDLED, ["good", "bad"], "received"),
        (Outcome.NO_MATCH, ["good", "todo"], "received"),
        (Outcome.NOT_NEWEST, ["good", "plain"], "skipped"),
        (Outcome.FREIGHT_CREATED, ["good", "good"], "Freight"),
        (Outcome.DRY_RUN, ["good", "todo"], "test"),
    ],
)
def test_without_stages_it_is_received_or_freight(outcome, shapes, words):
    assert reached(outcome) == (shapes, words)


@pytest.mark.parametrize(
    ("states", "shapes", "words"),
    [
        ((StageState.CURRENT, StageState.CURRENT), ["good", "good"], "live in s1 since March 12, 13:40"),
        ((StageState.CURRENT, StageState.AWAITING_PROMOTION), ["good", "open"], "s1 waits for promotion"),
        ((StageState.CURRENT, StageState.PROMOTING), ["good", "run"], "s1: step 3 of 5"),
        ((StageState.CURRENT, StageState.FAILED), ["good", "bad"], "s1: failed"),
        ((StageState.CURRENT, StageState.WAITING_FOR_SOAK), ["good", "open"], "live in s0"),
        ((StageState.REPLACED, StageState.NOT_REACHED), ["plain", "todo"], "replaced in s0"),
    ],
)
def test_with_stages_it_is_the_farthest_or_what_needs_action(states, shapes, words):
    assert reached(Outcome.FREIGHT_CREATED, *states) == (["good", "good", *shapes], words)


def test_many_stages_have_a_bounded_number_of_marks():
    states = [StageState.CURRENT] * 10 + [StageState.FAILED]
    shapes, words = reached(Outcome.FREIGHT_CREATED, *states)
    assert (len(shapes), shapes[-1], words) == (MOST_MARKS, "bad", "s10: failed")
