"""The sentence, the journey and the open issues of a push whose Freight goes through Stages."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from receivers.accounts.roles import access_from_groups
from receivers.deliveries.push_record import PushRecord
from receivers.kargo.stage_states import StageJourney, StageNode, StageProgress, StageState
from receivers.kargo.stages import FreightName
from receivers.models import Origin, Outcome, Refresh
from receivers.web.journey import Journey, journey
from receivers.web.push_results import PushResults, WarehouseResult
from receivers.web.push_story import open_issues, push_sentence
from tests.deliveries.rows import delivery

AT = datetime(2026, 3, 12, 13, 31, tzinfo=UTC)
FREIGHT = FreightName("f00d" * 10, "calm-lemur", "1.2.3")
VIEWER = access_from_groups(["viewer"])


def node(name: str, state: StageState, *parents: str, depth: int = 0, last: bool = False, **fields: Any):
    progress = StageProgress("shop", name, FREIGHT, state, **fields)
    return StageNode(name, parents, depth, progress, is_last=last)


def chain(prod: StageState = StageState.AWAITING_PROMOTION, **fields: Any) -> tuple[StageNode, ...]:
    """Return test and uat, in which the Freight is, and prod."""
    return (
        node("test", StageState.CURRENT, since=AT),
        node("uat", StageState.CURRENT, "test", depth=1, since=AT),
        node("prod", prod, "uat", depth=2, last=True, **fields),
    )


def result(warehouse: str, *nodes: StageNode, **fields: Any) -> WarehouseResult:
    defaults: dict[str, Any] = {
        "outcome": "freight_created",
        "freight": FREIGHT.name,
        "freight_alias": FREIGHT.alias,
    }
    defaults |= {"requested_at": AT, "ended_at": AT}
    refresh = Refresh(project="shop", warehouse=warehouse, **(defaults | fields))
    stages = StageJourney("shop", warehouse, FREIGHT, nodes) if refresh.freight else None
    return WarehouseResult("shop", warehouse, refresh, (refresh,), stages)


def record_of(*results: WarehouseResult, **fields: Any) -> PushRecord:
    row = delivery("shop", tag="1.2.3", outcome=Outcome.FREIGHT_CREATED, warehouses=len(results), **fields)
    return PushRecord(row.pk, (row,), tuple(each.refresh for each in results), (), row)


def results_of(*results: WarehouseResult) -> PushResults:
    return PushResults(results, 0, follows_stages=True)


def sentence(*results: WarehouseResult) -> str:
    return str(push_sentence(record_of(*results), results_of(*results), UTC))


def only_lane(picture: Journey) -> Any:
    """Return the lane of a journey through one Warehouse."""
    [lane] = picture.lanes
    return lane


def outline(lane: Any) -> list[Any]:
    """Return the names of the stops of a lane: a list for each place where it branches."""

    def name(entry: Any) -> Any:
        return outline(entry) if hasattr(entry, "columns") else entry.name

    return [
        name(column[0]) if len(column) == 1 else [name(entry) for entry in column] for column in lane.columns
    ]


NO_FREIGHT = {"outcome": "artifacts_missing", "freight": "", "freight_alias": "", "reason": "no chart yet"}


def test_the_sentence_says_in_which_stages_the_freight_is_and_what_is_missing():
    assert sentence(result("api", *chain()), result("all", **NO_FREIGHT)) == (
        '1.2.3 is Freight "calm-lemur" in 1 of 2 Warehouses, live in test and uat. '
        "prod is ready for manual promotion."
    )


def test_without_any_stage_reached_the_sentence_goes_on_with_what_happens():
    text = sentence(result("api", node("test", StageState.PROMOTING, last=True)))
    assert text == '1.2.3 is Freight "calm-lemur". test is being promoted.'


def test_without_freight_the_sentence_names_the_warehouse_that_decides():
    api, web = result("api", **NO_FREIGHT), result("web", **NO_FREIGHT | {"outcome": "not_newest"})
    record = record_of(web, api)
    record.decisive.outcome = Outcome.ARTIFACTS_MISSING
    assert (
        str(push_sentence(record, results_of(web, api), UTC)) == "No Freight from 1.2.3. api: no chart yet."
    )
    alone = record_of(api)
    alone.decisive.outcome = Outcome.ARTIFACTS_MISSING
    assert str(push_sentence(alone, results_of(api), UTC)) == "No Freight from 1.2.3: no chart yet."


def test_freight_that_was_deleted():
    deleted = replace(result("api"), journey=None, deleted=True)
    assert sentence(deleted) == '1.2.3 was Freight "calm-lemur", which has been deleted.'
    assert sentence(deleted, result("web", *chain())).startswith(
        '1.2.3 is Freight "calm-lemur" in 2 Warehouses, live in test and uat.'
    )
    lane = only_lane(journey(VIEWER, record_of(deleted), results_of(deleted)))
    stop = lane.columns[-1][0]
    assert (stop.name, stop.tone, stop.word, stop.url) == ("calm-lemur", "gone", "Deleted", "")


def test_without_stages_the_sentence_ends_with_the_freight():
    assert sentence(result("api")) == '1.2.3 is Freight "calm-lemur".'


def test_the_stages_of_two_warehouses_are_listed_one_after_the_other():
    prod = node("prod", StageState.FAILED, last=True)
    assert sentence(result("api", *chain()), result("web", prod)) == (
        '1.2.3 is Freight "calm-lemur" in 2 Warehouses. '
        "api: live in test and uat. prod is ready for manual promotion. web: the promotion to prod failed."
    )


def test_the_stages_of_many_warehouses_are_counted():
    text = sentence(*(result(name, *chain()) for name in ("a", "b", "c")))
    assert text == '1.2.3 is Freight "calm-lemur" in 3 Warehouses, live in 6 of 9 Stages.'


class TestJourney:
    def test_each_distance_from_the_warehouse_is_a_column(self):
        stages = (
            *chain()[:2],
            node("prod-eu", StageState.FAILED, "uat", depth=2, last=True, since=AT, step_alias="git-push"),
            node("prod-us", StageState.PROMOTING, "uat", depth=2, last=True, step=2, steps=4),
        )
        api = result("api", *stages)
        picture = journey(VIEWER, record_of(api), results_of(api))
        lane = only_lane(picture)
        assert [[stop.name for stop in column] for column in lane.columns] == [
            ["api"], ["calm-lemur"], ["test"], ["uat"], ["prod-eu", "prod-us"],
        ]  # fmt: skip
        assert (picture.columns, picture.downwards) == (5, False)
        failed, promoting = lane.columns[-1]
        assert (failed.tone, failed.word, failed.is_now) == ("bad", "Failed", True)
        assert (promoting.tone, promoting.is_now) == ("run", True)
        assert promoting.meter is not None
        assert (promoting.meter.value, promoting.meter.most) == (1.5, 4)
        assert [stop.on for column in lane.columns[:4] for stop in column] == [True] * 4

    def test_a_stage_with_other_parents_than_the_column_before_names_them(self):
        stages = (
            node("test", StageState.CURRENT),
            node("uat", StageState.NOT_REACHED, "test", depth=1),
            node("perf", StageState.NOT_REACHED, "test", depth=1),
            node("prod", StageState.NOT_REACHED, "uat", depth=2, last=True),
        )
        api = result("api", *stages)
        lane = only_lane(journey(VIEWER, record_of(api), results_of(api)))
        assert "after uat" in str(lane.columns[-1][0].detail)
        assert "after" not in str(lane.columns[-2][0].detail)

    def test_a_long_way_is_a_tree_in_which_each_stage_follows_an_upstream_stage(self):
        waiting = StageState.NOT_REACHED
        stages = (
            node("test", StageState.CURRENT),
            node("perf", waiting, "test", depth=1, last=True),
            node("uat", waiting, "test", depth=1),
            node("prod", waiting, "uat", "gone", depth=2),
            node("eu", waiting, "prod", depth=3, last=True),
            node("us", waiting, "prod", "uat", depth=3, last=True),
        )
        api = result("api", *stages)
        picture = journey(VIEWER, record_of(api), results_of(api))
        assert picture.downwards
        lane = only_lane(picture)
        assert outline(lane) == ["api", "calm-lemur", "test", ["perf", ["uat", "prod", ["eu", "us"]]]]
        [perf, branch] = lane.columns[-1]
        assert "after" not in str(perf.detail)
        assert "after uat, gone" in str(branch.columns[1][0].detail)
        assert "after prod, uat" in str(branch.columns[2][1].detail)

    def test_a_cycle_of_stages_is_drawn_without_an_end(self):
        stages = [
            node(f"stage-{depth}", StageState.CURRENT, f"stage-{(depth + 1) % 4}", depth=depth)
            for depth in range(4)
        ]
        api = result("api", *stages)
        lane = only_lane(journey(VIEWER, record_of(api), results_of(api)))
        assert outline(lane)[2:] == [[["stage-0", "stage-3"], "stage-1", "stage-2"]]

    @pytest.mark.parametrize(
        ("fields", "stop"),
        [
            ({"kind": "dockerhub", "repository": "example/repo"}, ("Docker Hub", "example/repo", True)),
            ({"kind": "quay", "repository": "quay.io/acme/agent"}, ("Quay", "quay.io/acme/agent", False)),
            ({"kind": "", "origin": Origin.API, "actor": "jane"}, ("API", "example/app", False)),
        ],
    )
    def test_it_starts_at_the_provider_of_the_push(self, fields, stop):
        api = result("api")
        source = journey(VIEWER, record_of(api, **fields), results_of(api)).source
        assert (source.kind, source.name, bool(source.url)) == stop

    def test_a_push_that_matches_nothing_ends_with_the_reason(self):
        record = record_of()
        record = replace(record, decisive=delivery("shop", outcome=Outcome.NO_MATCH, reason="no such tag"))
        lane = only_lane(journey(VIEWER, record, results_of()))
        [[stop]] = lane.columns
        assert (stop.word, str(stop.detail), stop.is_now) == ("No match", "No such tag.", True)

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"outcome": "", "reason": "looking"}, ["Refreshed", "In progress"]),
            ({"outcome": "", "next_attempt_at": AT + timedelta(minutes=5)}, ["Refreshed", "No Freight yet"]),
            ({"outcome": "", "requested_at": None, "error": "timeout"}, ["Not refreshed yet"]),
            ({"outcome": "not_handled"}, ["Not handled"]),
            ({"outcome": "artifacts_missing"}, ["Refreshed", "No Freight"]),
            ({"outcome": "already_current", "freight": "f00d"}, ["Refreshed", "Already current"]),
        ],
    )
    def test_a_warehouse_without_new_freight_says_how_far_it_is(self, fields, words):
        refresh = {"freight": "", "freight_alias": ""} | fields
        api = result("api", **refresh)
        lane = only_lane(journey(VIEWER, record_of(api), results_of(api)))
        assert [stop.word for column in lane.columns for stop in column] == words


class TestIssues:
    def test_failures_come_first_and_each_has_its_next_step(self, settings):
        settings.KARGOWEB = replace(settings.KARGOWEB, kargo_url="https://kargo.example.com")
        soak = node(
            "prod-eu", StageState.WAITING_FOR_SOAK, "uat", depth=2, until=AT, upstreams=("uat",), last=True
        )
        failed = node("prod-us", StageState.FAILED, "uat", depth=2, message="branch is protected", last=True)
        api = result("api", *chain()[:2], soak, failed)
        issues = open_issues(results_of(api, result("all", **NO_FREIGHT)))
        assert [(issue.tone, str(issue.title).partition(":")[0]) for issue in issues] == [
            ("bad", "api, prod-us"), ("bad", "all"), ("open", "api, prod-eu"),
        ]  # fmt: skip
        assert issues[0].message == "branch is protected"
        assert issues[0].url == (
            f"https://kargo.example.com/project/shop/promote/freight/{FREIGHT.name}/stage/prod-us"
        )

    def test_nothing_is_missing_once_the_freight_is_in_the_last_stage(self):
        assert open_issues(results_of(result("api", *chain(StageState.CURRENT)))) == []

    def test_an_unhealthy_stage_is_an_issue(self):
        stages = (
            *chain(StageState.CURRENT)[:2],
            node("prod", StageState.UNHEALTHY, last=True, message="no pods"),
        )
        [issue] = open_issues(results_of(result("api", *stages)))
        assert (issue.tone, issue.message) == ("bad", "no pods")
