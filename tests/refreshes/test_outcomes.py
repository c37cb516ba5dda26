"""Every outcome of a refresh, over real HTTP and with a controller that behaves as Kargo's does."""

from __future__ import annotations

import time

import pytest
from django.utils import timezone

from receivers.kargo.refresh_outcomes import RefreshOutcome, RefreshState
from receivers.kargo.resources import WAREHOUSES
from receivers.models import Outcome, Refresh
from receivers.web.delivery_summary import summarize
from tests.clusters import until
from tests.deliveries.rows import delivery, store
from tests.refreshes.shop import events
from tests.worlds import image

pytestmark = pytest.mark.usefixtures("database")


def test_a_push_becomes_freight(shop):
    main = shop()
    digest = main.put("1.1.0")
    refresh = main.ended_refresh(main.announce("1.1.0"))
    assert refresh.outcome == RefreshOutcome.FREIGHT_CREATED
    [freight] = [item for item in main.freight if item["images"][0]["tag"] == "1.1.0"]
    assert (refresh.freight, refresh.freight_alias) == (freight["metadata"]["name"], freight["alias"])
    assert refresh.digest == digest
    assert refresh.state == RefreshState.ENDED
    assert refresh.requested_at <= refresh.handled_at <= refresh.discovered_at <= refresh.ended_at
    assert events(refresh) == ["requested", "handled", "discovered", "freight_created"]
    assert refresh.attempts == 1


def test_a_refresh_is_retried_until_the_registry_lists_the_tag(shop):
    main = shop()
    main.put("1.1.0", lag=0.6)
    refresh = main.ended_refresh(main.announce("1.1.0"))
    assert refresh.outcome == RefreshOutcome.FREIGHT_CREATED
    assert "retried" in events(refresh)
    assert refresh.attempts > 1


def test_a_tag_that_never_appears_in_the_registry_ends_as_not_visible(shop):
    main = shop()
    refresh = main.ended_refresh(main.announce("1.1.0"))
    assert refresh.outcome == RefreshOutcome.TAG_NOT_VISIBLE
    assert events(refresh).count("retried") == 3
    assert main.repository in refresh.reason


def test_a_refresh_that_was_never_requested_and_has_no_planned_attempt_is_requested(shop):
    """No code stores one, but nothing else would ever end it."""
    main = shop()
    main.put("1.1.0")
    [row] = store(delivery(main.project, repository=main.repository, tag="1.1.0", outcome=Outcome.REFRESHED))
    refresh = Refresh(delivery=row, project=main.project, warehouse="main", state=RefreshState.WAITING)
    refresh.requested_at = timezone.now()
    refresh.save()
    assert main.ended_refresh(row).outcome == RefreshOutcome.FREIGHT_CREATED


def whole_second(token: str) -> str:
    """Return the token that Kargo writes at that time."""
    return token[: len("2026-05-05T12:00:00")] + "Z"


@pytest.mark.parametrize("token", [lambda _: "please", whole_second], ids=["no time", "whole seconds"])
def test_a_token_that_replaces_ours_before_kargo_sees_it_is_an_answer(shop, token):
    main = shop()
    main.behave("dead")
    delivery = main.push("1.1.0")
    main.request(token(main.annotation))
    main.behave(None)
    refresh = main.ended_refresh(delivery)
    assert refresh.outcome == RefreshOutcome.FREIGHT_CREATED
    assert refresh.attempts == 1


def test_a_test_passes_once_kargo_discovered_artifacts_although_its_tag_does_not_exist(shop):
    main = shop()
    delivery = main.test("1.1.0")
    refresh = main.ended_refresh(delivery)
    assert (refresh.outcome, refresh.attempts) == (RefreshOutcome.TEST_PASSED, 1)
    assert events(refresh) == ["requested", "handled", "test_passed"]
    delivery.refresh_from_db()
    summary = summarize(delivery, [refresh])
    assert (summary.happened, summary.why, summary.to_do) == ("Test passed: reached 1 Warehouse.", "", "")


def test_a_test_whose_tag_becomes_freight_passes_and_names_it(shop):
    main = shop()
    main.put("1.1.0")
    refresh = main.ended_refresh(main.test("1.1.0"))
    assert refresh.outcome == RefreshOutcome.TEST_PASSED
    assert refresh.freight
    assert refresh.freight_alias in refresh.reason


def test_a_test_fails_if_discovery_fails(shop):
    main = shop()
    main.behave("fail-discovery")
    refresh = main.ended_refresh(main.test("1.1.0"))
    assert (refresh.outcome, refresh.attempts) == (RefreshOutcome.DISCOVERY_FAILED, 1)


def test_a_discovery_whose_error_kargo_discards_is_retried(shop):
    main = shop()
    main.behave("fail-discovery-once")
    refresh = main.ended_refresh(main.push("1.1.0"))
    assert refresh.outcome == RefreshOutcome.FREIGHT_CREATED
    [retry] = [entry for entry in refresh.history if entry["event"] == "retried"]
    assert retry["cause"] == "rate_limited"
    assert "TOOMANYREQUESTS" in retry["text"]


def test_a_discovery_that_always_fails_ends_with_the_message_of_kargo_and_the_subscription(shop):
    main = shop()
    main.behave("fail-discovery")
    refresh = main.ended_refresh(main.push("1.1.0"))
    assert refresh.outcome == RefreshOutcome.DISCOVERY_FAILED
    assert f'"{main.repository}"' in refresh.reason
    assert "TOOMANYREQUESTS" in refresh.reason


def test_without_a_controller_a_refresh_ends_as_not_handled_until_late_freight_corrects_it(
    short_timeout_shop,
):
    main = short_timeout_shop()
    main.behave("dead")
    delivery = main.push("1.1.0")
    refresh = main.ended_refresh(delivery)
    assert refresh.outcome == RefreshOutcome.NOT_HANDLED
    assert refresh.attempts == 3
    main.behave(None)
    until(
        "the outcome is corrected",
        lambda: main.ended_refresh(delivery).outcome == RefreshOutcome.FREIGHT_CREATED,
    )
    assert main.ended_refresh(delivery).freight


def test_the_reason_names_a_shard_without_a_controller(short_timeout_shop):
    main = short_timeout_shop(shard="eu-west")
    refresh = main.ended_refresh(main.push("1.1.0"))
    assert refresh.outcome == RefreshOutcome.NOT_HANDLED
    assert "eu-west" in refresh.reason


def test_slow_discovery_is_not_retried(shop):
    main = shop()
    main.behave("slow=2.5")
    refresh = main.ended_refresh(main.push("1.1.0"))
    assert refresh.outcome == RefreshOutcome.FREIGHT_CREATED
    assert refresh.attempts == 1


def test_with_the_manual_creation_policy_a_refresh_ends_after_discovery(shop):
    main = shop(freightCreationPolicy="Manual")
    refresh = main.ended_refresh(main.push("1.1.0"))
    assert refresh.outcome == RefreshOutcome.MANUAL_CREATION_POLICY
    assert refresh.digest


def test_criteria_that_are_not_met_are_named_in_the_reason(shop):
    main = shop(freightCreationCriteria={"expression": "false"})
    refresh = main.ended_refresh(main.push("1.1.0"))
    assert refresh.outcome == RefreshOutcome.CRITERIA_NOT_MET
    assert "false" in refresh.reason


def test_criteria_that_cannot_be_evaluated_are_named_in_the_reason(shop):
    main = shop(freightCreationCriteria={"expression": "nonsense("})
    refresh = main.ended_refresh(main.push("1.1.0"))
    assert refresh.outcome == RefreshOutcome.CRITERIA_NOT_MET
    assert "nonsense" in refresh.reason


def test_a_tag_beyond_the_discovery_limit_is_not_retried(shop):
    main = shop(tags=("1.0.0", "2.0.0", "3.0.0"), image_fields={"discoveryLimit": 2})
    refresh = main.ended_refresh(main.push("1.5.0"))
    assert refresh.outcome == RefreshOutcome.BEYOND_DISCOVERY_LIMIT
    assert refresh.attempts == 1
    assert '"2.0.0"' in refresh.reason


def test_the_reason_names_the_newer_tag_if_a_tag_is_not_the_newest(shop):
    main = shop(tags=("1.0.0", "3.0.0"))
    refresh = main.ended_refresh(main.push("1.5.0"))
    assert refresh.outcome == RefreshOutcome.NOT_NEWEST
    assert '"3.0.0"' in refresh.reason


def test_a_push_of_existing_content_ends_with_its_existing_freight(shop):
    main = shop()
    [before] = until("there is Freight", lambda: main.freight)
    time.sleep(1.1)  # so that it is older than the next push: Kubernetes writes whole seconds
    refresh = main.ended_refresh(main.push("1.0.0", same_content=True))
    assert refresh.outcome == RefreshOutcome.ALREADY_CURRENT
    assert (refresh.freight, refresh.freight_alias) == (before["metadata"]["name"], before["alias"])
    assert refresh.attempts == 2  # the registry might have lagged


@pytest.mark.parametrize("seconds", [-1, 0], ids=["before its Freight", "after it"])
def test_freight_of_an_earlier_push_is_not_that_of_the_next_push_of_the_tag(shop, seconds):
    """The registry lags, so the content of the earlier push is discovered once more."""
    main = shop(tags=(), image_fields={"imageSelectionStrategy": "Digest", "constraint": "latest"})
    now = int(time.time())
    before = main.put("latest")
    first = main.ended_refresh(main.announce("latest", pushed_at=now - 5))
    assert (first.outcome, first.digest) == (RefreshOutcome.FREIGHT_CREATED, before)
    time.sleep(1.1)
    main.put("latest", lag=0.25)
    delivery = main.announce("latest", pushed_at=int(time.time()) if seconds == 0 else now - 1)
    second = main.ended_refresh(delivery)
    assert second.outcome == RefreshOutcome.FREIGHT_CREATED
    assert second.freight != first.freight
    assert second.digest != before


def test_a_push_of_content_that_has_freight_is_already_current_although_a_newer_tag_exists(shop):
    main = shop()
    [before] = until("there is Freight", lambda: main.freight)
    main.ended_refresh(main.push("2.0.0"))
    time.sleep(1.1)
    refresh = main.ended_refresh(main.push("1.0.0", same_content=True))
    assert (refresh.outcome, refresh.freight) == (
        RefreshOutcome.ALREADY_CURRENT,
        before["metadata"]["name"],
    )


def test_the_reason_says_that_equal_build_times_left_the_choice_to_the_tags(shop):
    main = shop(tags=("b",), image_fields={"imageSelectionStrategy": "NewestBuild"})
    main.put("b", created_at=0.0)
    refresh = main.ended_refresh(main.push("a", created_at=0.0))
    assert refresh.outcome == RefreshOutcome.NOT_NEWEST
    assert "built at the same time" in refresh.reason


def test_a_second_subscription_without_artifacts_prevents_freight(shop):
    main = shop(image("example/nothing-there"))
    refresh = main.ended_refresh(main.push("1.1.0"))
    assert refresh.outcome == RefreshOutcome.ARTIFACTS_MISSING
    assert "example/nothing-there" in refresh.reason


def test_deleting_the_warehouse_ends_the_refresh(shop):
    main = shop()
    main.behave("dead")
    delivery = main.push("1.1.0")
    main.world.cluster.delete(WAREHOUSES, "main", main.project)
    assert main.ended_refresh(delivery).outcome == RefreshOutcome.WAREHOUSE_DELETED


def test_a_push_without_a_tag_becomes_freight(shop):
    main = shop()
    main.put("1.1.0")
    refresh = main.ended_refresh(main.announce(None))
    assert refresh.outcome == RefreshOutcome.FREIGHT_CREATED
