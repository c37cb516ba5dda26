"""How far Freight is in a Stage: the decision, row by row."""

from __future__ import annotations

from datetime import timedelta

import pytest

from receivers.kargo.stage_states import StageState
from tests.kargo.pipelines import Pipelines, at, text


@pytest.fixture
def line() -> Pipelines:
    """Return test (automatic), uat (automatic, soak of 10 s) and prod (manual), with Freight 1 that is in none."""
    line = Pipelines("test", "uat")
    line.stage("test", direct=True).stage("uat", "test", soak="10s").stage("prod", "uat")
    return line.freight("1", 0)


def state(pipeline: Pipelines, freight: str, stage: str) -> StageState:
    return pipeline.assess(freight, stage).state


class TestOtherStages:
    def test_a_stage_that_does_not_request_the_freight(self, line):
        line.stage("other", direct=True, warehouse="another").stage("live", "other")
        assert "other" not in [node.name for node in line.journey("1").nodes]
        progress = line.assess("1", "live")
        assert progress.state is StageState.NOT_REACHED
        assert [cause.state for cause in progress.causes] == [StageState.NOT_REQUESTED]

    def test_a_control_flow_stage_is_passed_when_the_freight_is_verified_there(self, line):
        line.stage("gate", "test", flow=True).freight("1", 0, verifiedIn={"gate": {"verifiedAt": text(9)}})
        progress = line.assess("1", "gate")
        assert (progress.state, progress.since) == (StageState.PASSED, at(9))

    def test_before_that_it_waits_as_any_other(self, line):
        line.stage("gate", "test", flow=True)
        assert state(line, "1", "gate") is StageState.NOT_REACHED


class TestActivePromotions:
    def test_a_running_promotion_without_steps_has_started(self, line):
        line.promote("test", "1", "Running", 5)
        progress = line.assess("1", "test")
        assert (progress.state, progress.since, progress.step) == (StageState.PROMOTING, at(5), 0)

    def test_a_running_promotion_says_which_step_it_is_at(self, line):
        results = [{"alias": "clone", "status": "Succeeded"}, {"alias": "commit", "status": "Running"}]
        line.promote("test", "1", "Running", 5, currentStep=1, stepExecutionMetadata=results)
        progress = line.assess("1", "test")
        assert (progress.step, progress.steps, progress.step_alias) == (2, 3, "commit")

    def test_the_first_step_has_no_number_in_the_status(self, line):
        line.promote(
            "test", "1", "Running", 5, stepExecutionMetadata=[{"alias": "clone", "status": "Running"}]
        )
        assert line.assess("1", "test").step == 1

    def test_a_step_that_waits_for_a_pull_request(self, line):
        results = [{"alias": "clone", "status": "Running"}]
        line.promote("test", "1", "Running", 5, stepExecutionMetadata=results)
        (promotion,) = line.promotions.values()
        promotion["spec"]["steps"][0]["uses"] = "git-wait-for-pr"
        assert state(line, "1", "test") is StageState.WAITING_FOR_PULL_REQUEST

    def test_a_pending_promotion_is_queued_behind_the_running_one(self, line):
        line.freight("2", 9).promote("test", "1", "Running", 5).promote("test", "2", "Pending", 10)
        progress = line.assess("2", "test")
        assert (progress.state, progress.since) == (StageState.QUEUED, at(10))
        assert progress.other is not None
        assert progress.other.name == "1"

    def test_the_running_one_may_not_name_its_freight_yet(self, line):
        line.freight("2", 9).promote("test", "1", "Running", 5).promote("test", "2", "", 10)
        del line.stages["test"]["status"]["currentPromotion"]["freight"]
        progress = line.assess("2", "test")
        assert progress.other is not None
        assert progress.other.name == "1"

    def test_without_a_running_one_it_waits_for_the_verification_of_what_is_in_the_stage(self, line):
        line.freight("2", 9).enter("test", "1", 5, verified=False).promote("test", "2", "Pending", 10)
        progress = line.assess("2", "test")
        assert (progress.state, progress.other) == (StageState.QUEUED, None)
        assert progress.in_stage is not None
        assert progress.in_stage.name == "1"

    @pytest.mark.parametrize(
        ("phase", "again"),
        [
            ("Pending", StageState.QUEUED),
            ("Running", StageState.PROMOTING),
            ("Failed", StageState.FAILED),
            ("Aborted", StageState.ABORTED),
            ("Succeeded", None),
        ],
    )
    def test_freight_that_is_promoted_again_is_still_there(self, line, phase, again):
        progress = line.enter("test", "1", 5).promote("test", "1", phase, 20).assess("1", "test")
        assert (progress.state, progress.since, progress.again) == (StageState.CURRENT, at(5), again)


class TestFreightInTheStage:
    def test_since_when_and_verified_when(self, line):
        progress = line.enter("test", "1", 5).assess("1", "test")
        assert (progress.state, progress.since, progress.verified_at) == (StageState.CURRENT, at(5), at(6))

    def test_not_yet_verified(self, line):
        progress = line.enter("test", "1", 5, verified=False).assess("1", "test")
        assert (progress.state, progress.stuck) == (StageState.VERIFYING, False)

    @pytest.mark.parametrize("phase", ["Failed", "Error", "Aborted", "Inconclusive"])
    def test_the_verification_failed(self, line, phase):
        line.enter("test", "1", 5, verified=False)
        verification = {"phase": phase, "message": "3 of 5 failed"}
        line.stages["test"]["status"]["freightHistory"][0]["verificationHistory"] = [verification]
        progress = line.assess("1", "test")
        assert (progress.state, progress.message) == (StageState.VERIFICATION_FAILED, "3 of 5 failed")
        assert progress.stuck

    def test_not_healthy(self, line):
        line.enter("test", "1", 5).status("test", health={"status": "Unhealthy", "issues": ["down", "out"]})
        progress = line.assess("1", "test")
        assert (progress.state, progress.message) == (StageState.UNHEALTHY, "down; out")

    def test_another_freight_failed_to_replace_it(self, line):
        line.freight("2", 9).enter("test", "1", 5).promote("test", "2", "Failed", 20)
        progress = line.assess("1", "test")
        assert progress.state is StageState.CURRENT
        assert progress.failed_other is not None
        assert progress.failed_other.name == "2"

    def test_after_such_a_failure_nothing_is_verified(self, line):
        line.freight("2", 9).enter("test", "1", 5, verified=False).promote("test", "2", "Failed", 20)
        progress = line.assess("1", "test")
        assert (progress.state, progress.stuck) == (StageState.VERIFYING, True)

    def test_freight_of_another_warehouse_that_failed_does_not_matter(self, line):
        line.enter("test", "1", 5).promote("test", "x", "Failed", 20)
        line.stages["test"]["status"]["lastPromotion"]["status"]["freight"] = {"origin": {"name": "other"}}
        assert line.assess("1", "test").failed_other is None


class TestEndedPromotions:
    @pytest.mark.parametrize("phase", ["Failed", "Errored"])
    def test_failed_at_a_step(self, line, phase):
        results = [
            {"alias": "clone", "status": "Succeeded"},
            {"alias": "commit", "status": phase, "message": "no"},
            {"alias": "push", "status": "Skipped"},
        ]
        line.promote("test", "1", phase, 5, currentStep=2, message="no", stepExecutionMetadata=results)
        progress = line.assess("1", "test")
        assert (progress.state, progress.since) == (StageState.FAILED, at(5))
        assert (progress.step, progress.steps, progress.step_alias) == (2, 3, "commit")
        assert progress.message == "no"
        assert progress.stuck

    def test_the_stage_says_it_when_promotions_are_not_known(self, line):
        line.promote("test", "1", "Failed", 5, message="no").promotions.clear()
        assert state(line, "1", "test") is StageState.FAILED

    def test_a_promotion_whose_end_only_the_stage_knows_yet_has_ended(self, line):
        line.promote("test", "1", "Succeeded", 5).enter("test", "1", 5, promotion=False)
        (promotion,) = line.promotions.values()
        promotion["status"] = {"phase": "Running"}
        assert state(line, "1", "test") is StageState.CURRENT

    def test_aborted(self, line):
        line.promote("test", "1", "Aborted", 5)
        assert state(line, "1", "test") is StageState.ABORTED

    def test_only_the_newest_counts(self, line):
        line.promote("test", "1", "Failed", 5).enter("test", "1", 9)
        assert state(line, "1", "test") is StageState.CURRENT

    def test_it_failed_after_another_replaced_it(self, line):
        line.freight("2", 9).enter("test", "1", 5).enter("test", "2", 20)
        progress = line.promote("test", "1", "Failed", 30).assess("1", "test")
        assert (progress.state, progress.since) == (StageState.FAILED, at(30))

    def test_newer_freight_is_in_the_stage(self, line):
        line.freight("2", 9).promote("test", "1", "Failed", 5)
        assert line.assess("1", "test").other is None
        progress = line.enter("test", "2", 20).assess("1", "test")
        assert progress.state is StageState.FAILED
        assert progress.other is not None
        assert progress.other.name == "2"

    def test_succeeded_but_not_in_the_stage_yet(self, line):
        line.promote("test", "1", "Succeeded", 5)
        line.stages["test"]["status"].clear()
        assert state(line, "1", "test") is StageState.ARRIVING


class TestFreightThatLeft:
    def test_replaced_when_and_by_what(self, line):
        progress = line.freight("2", 9).enter("test", "1", 5).enter("test", "2", 20).assess("1", "test")
        assert (progress.state, progress.since, progress.until) == (StageState.REPLACED, at(5), at(20))
        assert progress.other is not None
        assert (progress.other.name, progress.other.tag, progress.other.alias) == ("2", "2", "alias-2")

    @pytest.mark.parametrize("phase", ["Succeeded", "Failed", "Aborted"])
    def test_a_promotion_while_it_was_there_does_not_shorten_its_stay(self, line, phase):
        line.freight("2", 9).enter("test", "1", 5).promote("test", "1", phase, 12)
        progress = line.enter("test", "2", 20).assess("1", "test")
        assert (progress.state, progress.since, progress.until) == (StageState.REPLACED, at(5), at(20))

    def test_the_last_stay_counts(self, line):
        line.freight("2", 9).freight("3", 19)
        line.enter("test", "1", 5).enter("test", "2", 20).enter("test", "1", 30).enter("test", "3", 40)
        progress = line.assess("1", "test")
        assert (progress.since, progress.until) == (at(30), at(40))

    def test_the_next_one_replaced_it_not_the_last(self, line):
        line.freight("2", 9).freight("3", 19)
        progress = (
            line.enter("test", "1", 5).enter("test", "2", 20).enter("test", "3", 30).assess("1", "test")
        )
        assert progress.until == at(20)

    def test_without_promotions_the_history_and_the_freight_in_the_stage_say_it(self, line):
        line.freight("2", 9).enter("test", "1", 5).enter("test", "2", 20)
        line.promotions.clear()
        progress = line.assess("1", "test")
        assert (progress.state, progress.until) == (StageState.REPLACED, at(20))

    def test_long_ago_nothing_but_the_verification_is_left(self, line):
        line.freight("1", 0, verifiedIn={"test": {"verifiedAt": text(6)}})
        progress = line.assess("1", "test")
        assert (progress.state, progress.until, progress.other) == (StageState.REPLACED, None, None)
        assert progress.verified_at == at(6)


class TestAvailability:
    def test_freight_that_is_in_no_upstream_has_not_got_there(self, line):
        progress = line.assess("1", "uat")
        assert (progress.state, progress.upstreams) == (StageState.NOT_REACHED, ("test",))
        assert progress.causes[0].state is StageState.IMMINENT

    def test_waiting_for_verification_upstream(self, line):
        progress = line.enter("test", "1", 5, verified=False).assess("1", "uat")
        assert (progress.state, progress.stuck) == (StageState.WAITING_FOR_VERIFICATION, False)

    def test_a_failed_verification_upstream_ends_the_way(self, line):
        line.enter("test", "1", 5, verified=False)
        line.stages["test"]["status"]["freightHistory"][0]["verificationHistory"] = [{"phase": "Error"}]
        assert line.assess("1", "uat").stuck
        assert line.assess("1", "prod").stuck

    def test_replaced_upstream_before_it_was_verified(self, line):
        line.freight("2", 9).enter("test", "1", 5, verified=False).enter("test", "2", 20)
        progress = line.assess("1", "uat")
        assert (progress.state, progress.stuck) == (StageState.NOT_REACHED, True)

    def test_waiting_for_soak_time(self, line):
        line.now = 8
        progress = line.enter("test", "1", 5).assess("1", "uat")
        assert (progress.state, progress.until) == (StageState.WAITING_FOR_SOAK, at(15))
        assert (progress.soak, progress.soaked) == (timedelta(seconds=10), timedelta(seconds=3))

    def test_left_before_the_soak_time_was_over(self, line):
        line.freight("2", 9).enter("test", "1", 5).enter("test", "2", 9)
        progress = line.assess("1", "uat")
        assert (progress.state, progress.soaked) == (StageState.SOAK_CUT_SHORT, timedelta(seconds=4))
        assert progress.stuck

    def test_an_earlier_stay_counts_if_it_was_long_enough(self, line):
        line.freight("2", 90).enter("test", "1", 5).enter("test", "2", 95)
        assert state(line, "1", "uat") is not StageState.SOAK_CUT_SHORT

    def test_soak_time_never_passes_in_a_control_flow_stage(self, line):
        line.stage("gate", "test", flow=True).stage("eu", "gate", soak="5s")
        line.freight("1", 0, verifiedIn={"gate": {"verifiedAt": text(9)}})
        assert state(line, "1", "eu") is StageState.SOAK_IMPOSSIBLE

    def test_a_deleted_stage_leaves_its_name_on_the_freight(self, line):
        verified = {"test": {"verifiedAt": text(1)}}
        line.freight("1", 0, currentlyIn={"test": {"since": text(0)}}, verifiedIn=verified)
        del line.stages["test"]
        assert state(line, "1", "uat") is StageState.SOAK_CUT_SHORT

    def test_one_of_several_upstreams_suffices(self, line):
        line.stage("qa", direct=True).stage("live", "test", "qa").enter("test", "1", 5)
        assert state(line, "1", "live") is StageState.AWAITING_PROMOTION

    def test_unless_all_are_required(self, line):
        line.stage("qa", direct=True).stage("live", "test", "qa", availabilityStrategy="All")
        progress = line.enter("test", "1", 5).assess("1", "live")
        assert (progress.state, progress.upstreams) == (StageState.NOT_REACHED, ("qa",))

    def test_approval_makes_freight_available(self, line):
        line.freight("1", 0, approvedFor={"prod": {"approvedAt": text(3)}})
        assert state(line, "1", "prod") is StageState.AWAITING_PROMOTION

    def test_a_cycle_of_stages_ends(self):
        line = Pipelines().stage("a", "b").stage("b", "a").freight("1")
        assert state(line, "1", "a") is StageState.NOT_REACHED
        assert line.assess("1", "a").stuck


class TestAvailableFreight:
    def test_waits_for_a_person_where_nothing_is_automatic(self, line):
        progress = line.enter("uat", "1", 5).assess("1", "prod")
        assert (progress.state, progress.automatic) == (StageState.AWAITING_PROMOTION, False)

    def test_a_newer_one_in_the_stage_makes_it_unlikely(self, line):
        line.freight("2", 9).enter("uat", "1", 5).enter("prod", "2", 20)
        progress = line.assess("1", "prod")
        assert progress.other is not None
        assert progress.other.name == "2"

    def test_an_older_one_does_not(self, line):
        line.freight("0", -9).enter("uat", "1", 5).enter("prod", "0", 1)
        assert line.assess("1", "prod").other is None

    def test_a_hold(self, line):
        hold = {"freightName": "0", "actor": "kubernetes:jane", "createdAt": text(7)}
        line.freight("0", -9).status("test", effectiveAutoPromotionHolds={"Warehouse/app": hold})
        progress = line.assess("1", "test")
        assert (progress.state, progress.actor, progress.since) == (StageState.HELD, "jane", at(7))
        assert progress.other is not None
        assert progress.other.name == "0"

    def test_newer_freight_supersedes_it(self, line):
        progress = line.freight("2", 9).assess("1", "test")
        assert progress.state is StageState.SUPERSEDED
        assert progress.other is not None
        assert progress.other.name == "2"

    def test_but_only_if_that_is_available(self, line):
        line.freight("2", 9).enter("test", "1", 5).now = 500
        assert state(line, "1", "uat") is StageState.IMMINENT

    def test_of_the_same_age_the_name_decides(self, line):
        line.freight("2", 0)
        assert state(line, "1", "test") is StageState.SUPERSEDED
        assert state(line, "2", "test") is StageState.IMMINENT

    def test_match_upstream_wants_what_is_in_the_upstream_stage_now(self):
        line = Pipelines("eu").stage("test", direct=True)
        line.stage("eu", "test", autoPromotionOptions={"selectionPolicy": "MatchUpstream"})
        line.freight("1").freight("2", 9).enter("test", "2", 5).enter("test", "1", 20)
        assert state(line, "1", "eu") is StageState.IMMINENT
        assert state(line, "2", "eu") is StageState.SUPERSEDED

    def test_an_error(self, line):
        error = {"type": "Ready", "status": "False", "reason": "ReconcileError", "message": "cannot"}
        progress = line.status("test", conditions=[error]).assess("1", "test")
        assert (progress.state, progress.message) == (StageState.RECONCILE_ERROR, "cannot")

    def test_a_closed_window(self, line):
        window = {"closed": True, "reason": "weekend", "nextOpen": text(99)}
        progress = line.status("test", promotionWindowStatus=window).assess("1", "test")
        assert (progress.state, progress.until) == (StageState.WINDOW_CLOSED, at(99))

    def test_otherwise_kargo_will_promote_it(self, line):
        assert state(line, "1", "test") is StageState.IMMINENT


class TestJourney:
    def test_stages_are_in_the_order_of_the_way(self, line):
        journey = line.stage("canary", "uat").journey("1")
        assert [(node.name, node.depth) for node in journey.nodes] == [
            ("test", 0),
            ("uat", 1),
            ("canary", 2),
            ("prod", 2),
        ]
        assert [node.name for node in journey.nodes if node.is_last] == ["canary", "prod"]

    def test_a_stage_comes_after_the_last_of_its_upstreams(self, line):
        journey = line.stage("live", "test", "prod").journey("1")
        assert journey.nodes[-1].name == "live"
        assert journey.nodes[-1].parents == ("test", "prod")

    def test_cycles_and_missing_upstreams_do_not_matter(self, line):
        line.stage("a", "test", "c", "missing").stage("b", "a").stage("c", "b")
        journey = line.journey("1")
        assert [node.name for node in journey.nodes] == ["test", "a", "uat", "b", "prod", "c"]

    def test_stages_of_other_warehouses_are_left_out(self, line):
        names = [node.name for node in line.stage("x", direct=True, warehouse="y").journey("1").nodes]
        assert "x" not in names
