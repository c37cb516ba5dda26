"""What is said about Freight in the scenes of recorded watches of a real Kargo."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from receivers.kargo.stage_states import StageJourney, StageProgress
from tests.kargo.recorded_watches import Replay


def said(tag: str, stage: str, *scenes: str) -> list[str]:
    """Return the states that the Freight with a tag had in a Stage during these scenes."""
    replay, states = Replay(), list[str]()
    for _, project in replay.scenes(*scenes):
        journey = replay.journey(project, tag)
        nodes = journey.nodes if journey else ()
        state = next((str(node.progress.state) for node in nodes if node.name == stage), "")
        if state and states[-1:] != [state]:
            states.append(state)
    return states


def at_the_end_of(scene: str, tag: str) -> StageJourney:
    replay = Replay()
    projects = [project for _, project in replay.scenes(scene)]
    journey = replay.journey(projects[-1], tag)
    assert journey is not None
    return journey


def node(journey: StageJourney, stage: str) -> StageProgress:
    return next(node.progress for node in journey.nodes if node.name == stage)


def time(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-25T{text}Z").astimezone(UTC)


PROMOTED = ["queued", "promoting", "arriving", "verifying", "current"]


@pytest.mark.parametrize(
    ("scene", "tag", "stage", "states"),
    [
        ("1a", "1.0.0", "test", ["imminent", *PROMOTED]),
        ("1b", "1.0.0", "uat", ["waiting_for_soak"]),
        ("1b", "1.0.0", "prod", ["not_reached"]),
        ("1c", "1.0.0", "uat", PROMOTED),
        ("1c", "1.0.0", "prod", ["not_reached", "waiting_for_verification", "awaiting_promotion"]),
        ("1d", "1.0.0", "prod", PROMOTED),
        ("2a", "1.1.0", "test", ["imminent", *PROMOTED, "replaced"]),
        (
            "2a",
            "1.1.0",
            "uat",
            ["not_reached", "waiting_for_verification", "waiting_for_soak", "soak_cut_short"],
        ),
        ("2b", "1.2.0", "uat", ["imminent", *PROMOTED]),
        ("2b", "1.0.0", "uat", ["current", "replaced"]),
        ("3a", "1.2.0", "prod", ["queued", "promoting", "failed"]),
        ("3b", "1.2.0", "prod", PROMOTED),
        ("4", "1.0.0", "dev", ["imminent", "queued", "promoting", "failed"]),
        ("4", "1.0.0", "dev-verified", ["imminent", *PROMOTED[:-1], "verification_failed"]),
        ("5", "1.0.0", "gate", ["not_reached", "waiting_for_verification", "imminent", "passed"]),
        ("6a", "1.1.0", "dev", ["imminent", "queued", "promoting"]),
        ("6b", "1.2.0", "dev", ["imminent", *PROMOTED]),
        ("6b", "1.1.0", "dev", ["promoting", *PROMOTED[2:], "replaced"]),
        ("7", "1.1.0", "us", ["awaiting_promotion", *PROMOTED]),
        ("8", "1.3.0", "dev", ["held"]),
        ("9", "1.3.0", "dev", ["queued", "promoting", "aborted"]),
        ("9", "1.2.0", "dev", ["replaced", "queued", "aborted"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_states_of_a_scene(scene, tag, stage, states):
    assert said(tag, stage, scene) == states


def test_live_since_and_verified():
    test = node(at_the_end_of("1a", "1.0.0"), "test")
    assert (test.since, test.verified_at) == (time("14:26:25"), time("14:26:25"))


def test_the_end_of_the_soak_time():
    uat = node(at_the_end_of("1b", "1.0.0"), "uat")
    assert (uat.until, uat.soak) == (time("14:26:35"), timedelta(seconds=10))
    assert uat.automatic


def test_what_left_too_early_was_replaced():
    journey = at_the_end_of("2a", "1.1.0")
    test, uat = node(journey, "test"), node(journey, "uat")
    assert test.other is not None
    assert (test.other.tag, test.since, test.until) == ("1.2.0", time("14:32:10"), time("14:32:14"))
    assert uat.soaked == timedelta(seconds=4.172193)
    assert uat.stuck
    assert node(journey, "prod").stuck


def test_a_failure_names_the_step_and_the_message():
    prod = node(at_the_end_of("3a", "1.2.0"), "prod")
    assert (prod.step, prod.steps, prod.step_alias, prod.actor) == (2, 3, "deploy", "admin")
    assert "quota exceeded" in prod.message
    assert prod.promotion == "prod.01m89hz94j4ewqgbcdpg555h10.86d2399"


def test_the_freight_that_stays_says_what_failed_to_replace_it():
    prod = node(at_the_end_of("3a", "1.0.0"), "prod")
    assert prod.state == "current"
    assert prod.failed_other is not None
    assert prod.failed_other.tag == "1.2.0"


def test_verification_is_impossible_without_argo_rollouts():
    stage = node(at_the_end_of("4", "1.0.0"), "dev-verified")
    assert "Rollouts integration is disabled" in stage.message


def test_the_step_of_a_promotion_that_polls():
    dev = node(at_the_end_of("6a", "1.1.0"), "dev")
    assert (dev.step, dev.steps) == (2, 2) or dev.step_alias == "deploy"


def test_a_promotion_in_the_queue_names_what_is_before_it():
    replay, ahead = Replay(), set()
    for _, project in replay.scenes("6b"):
        journey = replay.journey(project, "1.2.0")
        dev = node(journey, "dev") if journey else None
        if dev and dev.state == "queued" and dev.other:
            ahead.add(dev.other.tag)
    assert ahead == {"1.1.0"}


def test_a_hold_names_who_paused_and_what_is_pinned():
    dev = node(at_the_end_of("8", "1.3.0"), "dev")
    assert dev.actor == "admin"
    assert dev.other is not None
    assert dev.other.tag == "1.1.0"


def test_who_aborted():
    assert "kubernetes:admin" in node(at_the_end_of("9", "1.3.0"), "dev").message


def test_kargos_failed_attempts_before_the_soak_time_is_over_are_no_error():
    replay, states = Replay(), set()
    for _, project in replay.scenes("10"):
        # Only prod was recorded. The Freight has been in uat all the time.
        item = {
            "name": "86d23999976be32e91c16cba7b25135bc2148039",
            "origin": {"kind": "Warehouse", "name": "app"},
        }
        status = {"freightHistory": [{"items": {"Warehouse/app": item}}]}
        uat = {"metadata": {"namespace": project, "name": "uat"}, "status": status}
        replay.objects["Stage"][project, "uat"] = uat
        prod = replay.pipeline(project).stages.get("prod")
        ready = prod.condition("Ready") if prod else None
        journey = replay.journey(project, "1.2.0")
        if journey and ready and ready.reason == "ReconcileError":
            states.add(str(node(journey, "prod").state))
    assert "waiting_for_soak" in states
    assert "reconcile_error" not in states
