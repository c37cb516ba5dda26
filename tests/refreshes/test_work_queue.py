"""Which refreshes a change concerns, however many are open, and what is remembered of the attempts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from receivers.kargo.push import Push
from receivers.kargo.refresh_outcomes import RefreshState
from receivers.kargo.resources import Condition, Warehouse, decode_warehouse
from receivers.models import Refresh
from receivers.refreshes.attempts import NEVER, Attempt, TrackedRefresh
from receivers.refreshes.refresh_tokens import format_token
from receivers.refreshes.work_queue import SETTLE_SECONDS, DueWarehouse, WorkQueue

KEY = ("shop", "main")
START = datetime(2026, 5, 5, 12, tzinfo=UTC)
FAILED = Condition("Healthy", "False", "DiscoveryFailed", "no such host")
DISCOVERING = Condition("Reconciling", "True", "ScheduledDiscovery", "")
IDLE: Warehouse = decode_warehouse({"metadata": {"name": "main", "namespace": "shop", "generation": 1}})


def attempt(number: int) -> Attempt:
    """Return the attempt that was sent `number` seconds after the start."""
    at = START + timedelta(seconds=number)
    return Attempt(KEY, format_token(at), at, at)


def tracked(of: Attempt | None, tag: str = "1.0.0", **fields: Any) -> TrackedRefresh:
    """Return a refresh for a push of the tag."""
    refresh = Refresh(project=KEY[0], warehouse=KEY[1], state=RefreshState.REQUESTED, **fields)
    return TrackedRefresh(refresh, Push("example/app", tag, "", "", None), START, True, of)


def handled(of: Attempt | None, **changes: Any) -> Warehouse:
    """Return the Warehouse after Kargo has handled an attempt."""
    assert of
    return replace(IDLE, last_handled_refresh=of.token, **changes)


@pytest.fixture
def queue() -> WorkQueue:
    return WorkQueue(lambda key: IDLE)


def requested(queue: WorkQueue, number: int, tag: str = "1.0.0") -> TrackedRefresh:
    """Track a refresh with an attempt of its own."""
    sent = attempt(number)
    queue.begin(sent)
    refresh = tracked(sent, tag)
    queue.add(refresh, NEVER)
    return refresh


def planned(queue: WorkQueue, number: int, tag: str) -> TrackedRefresh:
    """Track a refresh whose attempt is handled, and whose next attempt is planned for the next day."""
    refresh = requested(queue, number, tag)
    refresh.refresh.next_attempt_at = START + timedelta(days=1)
    queue.settle(refresh, NEVER)
    return refresh


def due(queue: WorkQueue) -> DueWarehouse | None:
    """Return the Warehouse if it is due after a change."""
    return next(iter(queue.take_due(1, 2 * SETTLE_SECONDS)), None)


def due_refreshes(queue: WorkQueue) -> list[TrackedRefresh]:
    """Return the refreshes that are due after a change."""
    warehouse = due(queue)
    return warehouse.refreshes if warehouse else []


def token_of(refresh: TrackedRefresh) -> str:
    """Return the token of the last attempt."""
    assert refresh.attempt
    return refresh.attempt.token


class TestChanges:
    @pytest.mark.parametrize("count", [1, 100, 1_000])
    def test_a_change_that_handles_no_attempt_concerns_no_refresh(self, queue, count):
        for number in range(count):
            requested(queue, number)
        queue.add_change(KEY, IDLE, replace(IDLE, discovered_at="2026-05-05T11:00:00Z"))
        assert due(queue) is None

    @pytest.mark.parametrize("token", ["please", "2026-05-05T12:00:00Z"])
    def test_a_token_of_others_that_replaced_ours_handles_both(self, queue, token):
        replaced, later = (requested(queue, number) for number in (1, 2))
        queue.add_annotation(KEY, token_of(replaced))
        queue.add_annotation(KEY, token)
        theirs = replace(IDLE, refresh_token=token)
        queue.add_change(KEY, theirs, replace(theirs, last_handled_refresh=token))
        assert due_refreshes(queue) == [replaced]
        assert later.attempt is not None
        assert later.attempt.handled_at is None

    @pytest.mark.parametrize("token", ["please", "2026-05-05T12:00:00Z"])
    def test_a_token_of_others_that_ours_replaced_handles_only_itself(self, queue, token):
        ours = requested(queue, 1)
        queue.add_annotation(KEY, token)
        queue.add_annotation(KEY, token_of(ours))
        queue.add_change(KEY, IDLE, replace(IDLE, refresh_token=token_of(ours), last_handled_refresh=token))
        assert due(queue) is None

    def test_a_token_that_others_wrote_before_is_no_answer_to_ours(self, queue):
        requested(queue, 1)
        before = replace(IDLE, refresh_token="please", last_handled_refresh="please")
        queue.add_change(KEY, before, replace(before, discovered_at="2026-05-05T11:00:00Z"))
        assert due(queue) is None

    def test_what_was_seen_once_stays_seen(self, queue):
        refresh = requested(queue, 1)
        ours = handled(refresh.attempt, refresh_token=token_of(refresh))
        queue.add_change(KEY, IDLE, ours)
        queue.add_change(KEY, ours, replace(ours, refresh_token="please", last_handled_refresh="please"))
        assert due_refreshes(queue) == [refresh]
        assert refresh.attempt is not None
        assert refresh.attempt.handled_at is not None

    def test_a_change_concerns_the_refreshes_of_the_attempts_that_it_handles(self, queue):
        refreshes = [requested(queue, number) for number in range(5)]
        queue.add_change(KEY, IDLE, handled(refreshes[2].attempt))
        batch = due(queue)
        assert batch
        assert batch.refreshes == refreshes[:3]
        assert [each.attempt is not None and bool(each.attempt.handled_at) for each in refreshes] == [
            True
        ] * 3 + [False] * 2

    def test_refreshes_that_share_an_attempt_are_concerned_together(self, queue):
        first = requested(queue, 0)
        second = tracked(first.attempt)
        queue.add(second, NEVER)
        queue.add_change(KEY, IDLE, handled(first.attempt))
        batch = due(queue)
        assert batch
        assert batch.refreshes == [first, second]

    def test_every_change_concerns_refreshes_whose_attempt_is_handled(self, queue):
        refresh = requested(queue, 0)
        before = handled(refresh.attempt)
        queue.add_change(KEY, IDLE, before)
        assert due(queue)
        refresh.refresh.handled_at = START
        queue.settle(refresh, NEVER)
        queue.add_change(KEY, before, replace(before, conditions=(FAILED,)))
        batch = due(queue)
        assert batch
        assert batch.refreshes == [refresh]

    def test_only_the_first_change_during_a_discovery_concerns_unhandled_refreshes(self, queue):
        refresh = requested(queue, 0)
        discovering = replace(IDLE, conditions=(DISCOVERING,))
        queue.add_change(KEY, IDLE, discovering)
        batch = due(queue)
        assert batch
        assert batch.refreshes == [refresh]
        queue.settle(refresh, NEVER)
        queue.add_change(KEY, discovering, replace(discovering, conditions=(DISCOVERING, FAILED)))
        assert due(queue) is None
        # It still learns of the end of the discovery.
        queue.add_change(KEY, discovering, handled(refresh.attempt))
        assert due(queue)

    def test_a_deleted_warehouse_and_a_changed_spec_concern_all_refreshes(self, queue):
        refreshes = [requested(queue, 0), planned(queue, 1, "2.0.0")]
        for new in (replace(IDLE, generation=2), None):
            queue.add_change(KEY, IDLE, new)
            batch = due(queue)
            assert batch
            assert batch.refreshes == refreshes


class TestPlanned:
    def test_planned_refreshes_are_found_by_their_tag(self, queue):
        refreshes = [planned(queue, number, f"1.0.{number}") for number in range(20)]
        chart = planned(queue, 20, "1.0.0_build")
        queue.add_change(KEY, IDLE, replace(IDLE, discovered_at="2026-05-05T13:00:00Z"))
        batch = due(queue)
        assert batch
        assert (batch.refreshes, batch.tags_changed) == ([], True)
        assert queue.planned(KEY, {"1.0.7", "9.9.9"}) == [refreshes[7]]
        assert queue.planned(KEY, {"1.0.0+build"}) == [chart]

    def test_freight_concerns_the_planned_refreshes_with_its_tags(self, queue):
        refreshes = [planned(queue, number, f"1.0.{number}") for number in range(20)]
        queue.add_freight(KEY, {"1.0.3"})
        batch = due(queue)
        assert batch
        assert batch.refreshes == [refreshes[3]]

    def test_the_next_attempt_serves_those_that_are_planned_until_then(self, queue):
        soon, later = planned(queue, 0, "1.0.0"), planned(queue, 1, "2.0.0")
        soon.refresh.next_attempt_at = START
        assert queue.planned_until(KEY, START) == [soon]
        assert queue.planned_until(KEY, START + timedelta(days=1)) == [soon, later]


class TestAnswers:
    def answers(self, queue: WorkQueue, refresh: TrackedRefresh) -> tuple[bool | None, str]:
        """Return whether artifacts were discovered since the attempt, and the failure since then."""
        batch = due(queue)
        assert batch
        assert refresh.attempt
        return batch.attempts.rediscovered(refresh.attempt), batch.attempts.failure(refresh.attempt)

    def test_what_kargo_does_before_the_refresh_is_tracked_is_not_missed(self, queue):
        """Kargo may be faster than the response to the patch; it keeps a failed discovery for milliseconds."""
        sent = attempt(0)
        queue.begin(sent)
        failed = handled(sent, conditions=(FAILED,))
        queue.add_change(KEY, IDLE, failed)
        queue.add_change(KEY, failed, handled(sent))
        refresh = tracked(sent)
        queue.add(refresh, NEVER)
        assert self.answers(queue, refresh) == (False, "no such host")

    def test_a_discovery_together_with_the_handling_or_after_it_counts(self, queue):
        refresh = requested(queue, 0)
        discovered = {"discovered_at": "2026-05-05T12:00:01Z"}
        queue.add_change(KEY, IDLE, handled(refresh.attempt))
        assert self.answers(queue, refresh) == (False, "")
        refresh.refresh.handled_at = START
        queue.settle(refresh, NEVER)
        queue.add_change(KEY, handled(refresh.attempt), handled(refresh.attempt, **discovered))
        assert self.answers(queue, refresh) == (True, "")

    def test_a_failure_before_the_handling_does_not_count(self, queue):
        refresh = requested(queue, 0)
        failed = replace(IDLE, conditions=(FAILED,))
        queue.add_change(KEY, IDLE, failed)
        queue.add_change(KEY, failed, handled(refresh.attempt, discovered_at="2026-05-05T12:00:01Z"))
        assert self.answers(queue, refresh) == (True, "")

    def test_an_attempt_that_was_handled_while_no_process_watched_is_handled(self):
        sent = attempt(0)
        queue = WorkQueue(lambda key: handled(sent))
        queue.restore(sent)
        refresh = tracked(sent)
        queue.add(refresh, NEVER)
        assert self.answers(queue, refresh) == (None, "")
        assert sent.handled_at


class TestRoom:
    def test_a_warehouse_without_refreshes_is_forgotten(self, queue):
        sent = attempt(0)
        queue.restore(sent)
        refresh = tracked(sent)
        queue.add(refresh, NEVER)
        assert (len(queue), queue.ids()) == (1, [refresh.refresh.pk])
        queue.remove_ids({refresh.refresh.pk})
        queue.add_change(KEY, IDLE, None)
        assert (len(queue), queue.ids(), due(queue)) == (0, [], None)

    def test_a_refresh_is_tracked_once(self, queue):
        refresh = requested(queue, 0)
        queue.add(tracked(attempt(0), id=refresh.refresh.pk), NEVER)
        assert queue.ids() == [refresh.refresh.pk]
