"""What a client that waits for a push learns."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from receivers.api.wait_rules import WaitState, judge
from receivers.deliveries.outcomes import decisive
from receivers.deliveries.push_record import PushRecord
from receivers.kargo.stage_states import StageJourney, StageNode, StageProgress, StageState
from receivers.kargo.stages import FreightName
from receivers.models import Delivery, Outcome, Refresh
from receivers.web.push_results import PushResults, WarehouseResult

NOW = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
FREIGHT = FreightName("f" * 40, "calm-lemur")


def delivery(outcome: Outcome, warehouses: int = 1) -> Delivery:
    """Return an unsaved delivery."""
    return Delivery(
        received_at=NOW, project="shop", receiver="hook", repository="example/shop", tag="1.2.3", outcome=outcome,
        warehouses=warehouses, push_id=uuid.uuid4(),
    )  # fmt: skip


def result(
    outcome: Outcome | str, name: str = "api", stages: list[StageNode] | None = None, **options
) -> WarehouseResult:
    """Return the result of the push in a Warehouse."""
    has_freight = outcome in {Outcome.FREIGHT_CREATED, Outcome.ALREADY_CURRENT}
    refresh = Refresh(
        project="shop", warehouse=name, outcome=outcome, reason="because", requested_at=NOW, discovered_at=NOW,
        ended_at=NOW + timedelta(seconds=2) if outcome else None, freight=FREIGHT.name if has_freight else "",
        freight_alias=FREIGHT.alias if has_freight else "",
    )  # fmt: skip
    journey = None if stages is None else StageJourney("shop", name, FREIGHT, tuple(stages))
    return WarehouseResult("shop", name, refresh, (refresh,), journey, **options)


def stage(name: str, state: StageState, **progress) -> StageNode:
    """Return a Stage of a journey."""
    return StageNode(name, (), 0, StageProgress("shop", name, FREIGHT, state, **progress), is_last=True)


def judged(outcome: Outcome, *results: WarehouseResult, follows: bool = True, **wanted: str):
    """Return what a client learns about a push with this outcome."""
    row = delivery(outcome, len(results))
    refreshes = tuple(each.refresh for each in results)
    for refresh in refreshes:
        refresh.delivery_id = row.pk
    record = PushRecord(row.pk, (row,), refreshes, (), decisive([row]))
    return judge(record, PushResults(results, 0, follows), **wanted)


def state_and_code(outcome: Outcome, *results: WarehouseResult, follows: bool = True, **wanted: str):
    """Return the state and the code of it."""
    verdict = judged(outcome, *results, follows=follows, **wanted)
    assert verdict.sentence
    return verdict.state, verdict.code


class TestFreight:
    @pytest.mark.parametrize(
        ("outcomes", "expected"),
        [
            ([Outcome.FREIGHT_CREATED], (WaitState.REACHED, Outcome.FREIGHT_CREATED)),
            (
                [Outcome.FREIGHT_CREATED, Outcome.CRITERIA_NOT_MET],
                (WaitState.REACHED, Outcome.FREIGHT_CREATED),
            ),
            ([Outcome.FREIGHT_CREATED, ""], (WaitState.WAITING, Outcome.REFRESHED)),
            (
                [Outcome.FREIGHT_CREATED, Outcome.DISCOVERY_FAILED],
                (WaitState.FAILED, Outcome.DISCOVERY_FAILED),
            ),
            (["", Outcome.DISCOVERY_FAILED], (WaitState.FAILED, Outcome.DISCOVERY_FAILED)),
            ([Outcome.NOT_NEWEST, Outcome.CRITERIA_NOT_MET], (WaitState.FAILED, Outcome.CRITERIA_NOT_MET)),
        ],
    )
    def test_the_warehouse_that_most_needs_action_decides(self, outcomes, expected):
        results = [result(outcome, f"w{number}") for number, outcome in enumerate(outcomes)]
        assert state_and_code(Outcome.REFRESHED, *results) == expected

    def test_one_warehouse_can_be_chosen(self):
        results = [result(Outcome.DISCOVERY_FAILED, "api"), result(Outcome.FREIGHT_CREATED, "web")]
        assert state_and_code(Outcome.DISCOVERY_FAILED, *results, warehouse="web")[0] is WaitState.REACHED
        assert (
            state_and_code(Outcome.DISCOVERY_FAILED, *results, warehouse="shop/web")[0] is WaitState.REACHED
        )
        expected = (WaitState.FAILED, "not_refreshed")
        assert state_and_code(Outcome.DISCOVERY_FAILED, *results, warehouse="other") == expected

    @pytest.mark.parametrize(
        ("outcome", "state"),
        [
            (Outcome.PENDING, WaitState.WAITING),
            (Outcome.NO_MATCH, WaitState.FAILED),
            (Outcome.INVALID_BODY, WaitState.FAILED),
            (Outcome.FORWARDED, WaitState.FAILED),
        ],
    )
    def test_without_warehouses_the_delivery_decides(self, outcome, state):
        assert state_and_code(outcome) == (state, outcome)
        if outcome is Outcome.PENDING:
            assert state_and_code(outcome, warehouse="api") == (state, outcome)

    def test_a_push_that_was_passed_on_says_so_whatever_it_is_waited_for(self):
        verdict = judged(Outcome.FORWARDED, stage="prod")
        assert (verdict.state, verdict.code) == (WaitState.FAILED, Outcome.FORWARDED)
        assert verdict.sentence.startswith("1.2.3 was passed on. Kargo's own server processed the request")


class TestStage:
    @pytest.mark.parametrize(
        ("state", "expected"),
        [
            (StageState.CURRENT, WaitState.REACHED),
            (StageState.REPLACED, WaitState.REACHED),
            (StageState.PASSED, WaitState.REACHED),
            (StageState.VERIFYING, WaitState.WAITING),
            (StageState.UNHEALTHY, WaitState.WAITING),
            (StageState.AWAITING_PROMOTION, WaitState.WAITING),
            (StageState.HELD, WaitState.WAITING),
            (StageState.PROMOTING, WaitState.WAITING),
            (StageState.FAILED, WaitState.FAILED),
            (StageState.ABORTED, WaitState.FAILED),
            (StageState.VERIFICATION_FAILED, WaitState.FAILED),
            (StageState.SUPERSEDED, WaitState.FAILED),
        ],
    )
    def test_the_state_of_the_stage_decides(self, state, expected):
        verdict = state_and_code(
            Outcome.FREIGHT_CREATED,
            result(Outcome.FREIGHT_CREATED, stages=[stage("prod", state, since=NOW)]),
            stage="prod",
        )
        assert verdict == (expected, state)

    def test_a_failure_says_what_kargo_says(self):
        failed = stage("prod", StageState.FAILED, message="exit status 1", step_alias="push", since=NOW)
        verdict = judged(
            Outcome.FREIGHT_CREATED, result(Outcome.FREIGHT_CREATED, stages=[failed]), stage="prod"
        )
        assert verdict.sentence.startswith("prod: ")
        assert "exit status 1" in verdict.sentence

    @pytest.mark.parametrize(
        ("causes", "all_upstreams", "expected"),
        [
            ((StageState.FAILED,), False, WaitState.FAILED),
            ((StageState.FAILED, StageState.PROMOTING), False, WaitState.WAITING),
            ((StageState.FAILED, StageState.PROMOTING), True, WaitState.FAILED),
            ((StageState.PROMOTING,), True, WaitState.WAITING),
        ],
    )
    def test_a_failure_upstream_is_a_failure_if_there_is_no_other_way(self, causes, all_upstreams, expected):
        progress = tuple(StageProgress("shop", f"s{n}", FREIGHT, state) for n, state in enumerate(causes))
        node = stage(
            "prod", StageState.NOT_REACHED, causes=progress, all_upstreams=all_upstreams, upstreams=("s0",)
        )
        verdict = state_and_code(
            Outcome.FREIGHT_CREATED, result(Outcome.FREIGHT_CREATED, stages=[node]), stage="prod"
        )
        assert verdict[0] is expected

    def test_an_unknown_stage_fails_and_names_those_that_exist(self):
        nodes = [stage("test", StageState.CURRENT), stage("uat", StageState.CURRENT)]
        row = result(Outcome.FREIGHT_CREATED, stages=nodes)
        verdict = judged(Outcome.FREIGHT_CREATED, row, stage="prod")
        assert (verdict.state, verdict.code) == (WaitState.FAILED, "unknown_stage")
        assert "test and uat" in verdict.sentence

    def test_stages_that_are_not_known_yet_are_waited_for(self):
        row = result(Outcome.FREIGHT_CREATED, looked=False)
        assert state_and_code(Outcome.FREIGHT_CREATED, row, stage="prod")[0] is WaitState.WAITING

    def test_without_following_stages_it_fails(self):
        row = result(Outcome.FREIGHT_CREATED)
        verdict = state_and_code(Outcome.FREIGHT_CREATED, row, follows=False, stage="prod")
        assert verdict == (WaitState.FAILED, "stages_not_followed")

    def test_deleted_freight_gets_nowhere(self):
        row = result(Outcome.FREIGHT_CREATED, deleted=True)
        verdict = state_and_code(Outcome.FREIGHT_CREATED, row, stage="prod")
        assert verdict == (WaitState.FAILED, "freight_deleted")

    def test_what_does_not_become_freight_does_not_get_into_a_stage(self):
        expected = (WaitState.FAILED, Outcome.DISCOVERY_FAILED)
        assert (
            state_and_code(Outcome.DISCOVERY_FAILED, result(Outcome.DISCOVERY_FAILED), stage="prod")
            == expected
        )
