"""Rows of refreshes: their history, their leases, the outcome of their delivery, and corrections by late Freight."""

from __future__ import annotations

import threading
import uuid
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from receivers.deliveries.history_events import HistoryEvent
from receivers.deliveries.log_writer import LogWriter, Write
from receivers.deliveries.spool import Spool
from receivers.deliveries.store import DeliveryStore
from receivers.kargo.artifacts import Artifact, Freight
from receivers.kargo.refresh_outcomes import RefreshOutcome, RefreshState, RetryCause
from receivers.models import Delivery, Origin, Outcome, Refresh, Replica, new_id
from receivers.refreshes.attempts import Attempt
from receivers.refreshes.history import MAX_EVENTS, append_event, end_refresh, record_request
from receivers.refreshes.late_freight import COMPARE_AGAIN_SECONDS, LateFreightMatcher
from receivers.refreshes.leases import ReplicaLease
from receivers.refreshes.refresh_tokens import format_token
from receivers.refreshes.retry_policy import MAX_REQUESTS
from receivers.refreshes.rollup import close_left_over, update_deliveries, update_ended
from receivers.refreshes.sender import RequestResult
from tests.clusters import PATIENCE
from tests.deliveries.rows import delivery, store, unique_name

KEY = ("shop", "main")


def refresh_of(row=None, **fields):
    """Return an unsaved refresh of a delivery, requested a minute ago."""
    at = timezone.now() - timedelta(minutes=1)
    defaults: dict[str, Any] = {"project": "shop", "warehouse": "main", "state": RefreshState.REQUESTED}
    defaults |= {"token": format_token(at), "requested_at": at, "attempts": 1}
    return Refresh(delivery=row or delivery("shop"), **(defaults | fields))


class TestHistory:
    def test_a_full_history_drops_failed_attempts(self):
        now = timezone.now()
        row = refresh_of(next_attempt_at=now, retry_cause=RetryCause.SAME_CONTENT)
        for _ in range(2 * MAX_EVENTS):
            append_event(row, now, HistoryEvent.ATTEMPT_FAILED, "nothing new")
        record_request(row, RequestResult(KEY, Attempt(KEY, format_token(now), now, now)), now)
        assert row.retries == {RetryCause.SAME_CONTENT: 1}
        assert len(row.history) == MAX_EVENTS + 1

    def test_a_refresh_ends_if_the_api_server_rejects_it_for_a_day(self):
        row = refresh_of(next_attempt_at=timezone.now())
        refused = RequestResult(KEY, error="denied by policy")
        for _ in range(MAX_REQUESTS - 1):
            record_request(row, refused, timezone.now())
            assert row.next_attempt_at is not None
        record_request(row, refused, timezone.now())
        assert row.outcome == RefreshOutcome.NOT_REQUESTED
        assert (row.reason, row.next_attempt_at) == ("denied by policy", None)
        assert [entry["event"] for entry in row.history[:2]] == [HistoryEvent.REQUEST_FAILED] * 2


@pytest.mark.usefixtures("database")
class TestLeases:
    def test_a_process_with_an_interrupted_lease_takes_over_no_refreshes_of_other_processes(self):
        other, own = (ReplicaLease(uuid.uuid4(), "test") for _ in range(2))
        other.renew()
        Replica.objects.filter(pk=other.id).update(seen_at=timezone.now() - timedelta(minutes=1))
        [row] = store(delivery(unique_name(), outcome=Outcome.REFRESHED))
        owned, free = (refresh_of(row, held_by=holder) for holder in (other.id, None))
        owned.save()
        free.save()
        assert own.renew()
        taken = [row.pk for row in own.claim(Refresh.objects.filter(outcome=""), 10_000)]
        assert owned.pk not in taken
        assert free.pk in taken
        assert not own.renew()
        Replica.objects.filter(pk__in=[other.id, own.id]).delete()
        Refresh.objects.filter(held_by=own.id).update(held_by=None, outcome=RefreshOutcome.NOT_HANDLED)
        Delivery.objects.filter(pk=row.pk).delete()

    def test_the_refreshes_that_other_processes_hold_are_recognized(self):
        own, other = ReplicaLease(uuid.uuid4(), "test"), uuid.uuid4()
        [row] = store(delivery(unique_name(), outcome=Outcome.FREIGHT_CREATED))
        rows = [
            refresh_of(row, held_by=holder, outcome=RefreshOutcome.FREIGHT_CREATED)
            for holder in (own.id, other, None)
        ]
        for refresh in rows:
            refresh.save()
        assert own.held_by_others([refresh.pk for refresh in rows]) == {rows[1].pk}


@pytest.mark.usefixtures("database")
class TestRollup:
    def test_a_delivery_ends_in_the_commit_that_stores_the_end_of_its_refresh(self):
        """The tracker may end a refresh after an earlier state of it was queued, and before that is committed."""
        [row] = store(delivery(unique_name(), outcome=Outcome.REFRESHED, warehouses=1))
        refresh = refresh_of(row)
        writer = LogWriter()
        writer.submit(Write(inserts=[refresh], then=(partial(update_ended, [refresh]),), can_wait=True))
        end_refresh(refresh, RefreshOutcome.NOT_HANDLED, "no response", None, timezone.now())
        writer.start()
        writer.stop()
        row.refresh_from_db()
        assert (row.outcome, row.ended_at) == (Outcome.NOT_HANDLED, refresh.ended_at)

    def test_the_store_ends_a_delivery_whose_refresh_ended_before_it_is_inserted(self, tmp_path):
        [row] = store(delivery(unique_name(), outcome=Outcome.REFRESHED, warehouses=1))
        refresh = refresh_of(row)
        writer = LogWriter()
        deliveries = DeliveryStore(writer, Spool(tmp_path), PATIENCE, uuid.uuid4())
        deliveries.finish(row, [refresh], (partial(update_ended, [refresh]),))
        end_refresh(refresh, RefreshOutcome.NOT_HANDLED, "no response", None, timezone.now())
        writer.start()
        writer.stop()
        stored = Delivery.objects.get(pk=row.pk)
        assert (stored.outcome, stored.ended_at) == (Outcome.NOT_HANDLED, refresh.ended_at)

    def test_what_was_left_open_is_closed_and_nothing_else(self):
        ended, failed, half, none = store(
            *(
                delivery(unique_name(), outcome=outcome, warehouses=1)
                for outcome in (Outcome.REFRESHED, Outcome.FAILED, Outcome.REFRESHED, Outcome.REFRESHED)
            )
        )
        created = {"outcome": RefreshOutcome.FREIGHT_CREATED, "state": RefreshState.ENDED}
        for row in (ended, failed, half):
            refresh_of(row, **created, ended_at=timezone.now()).save()
        refresh_of(half, warehouse="other").save()
        close_left_over()
        outcomes = [Delivery.objects.get(pk=row.pk).outcome for row in (ended, failed, half, none)]
        assert outcomes == [
            Outcome.FREIGHT_CREATED,
            Outcome.FREIGHT_CREATED,
            Outcome.REFRESHED,
            Outcome.REFRESHED,
        ]

    def test_the_reason_names_each_warehouse_those_with_freight_first(self):
        [row] = store(delivery(unique_name(), outcome=Outcome.REFRESHED, warehouses=6))
        created = {"outcome": RefreshOutcome.FREIGHT_CREATED, "state": RefreshState.ENDED}
        missing = {"outcome": RefreshOutcome.ARTIFACTS_MISSING, "state": RefreshState.ENDED}
        ended_at = timezone.now()
        refresh_of(row, warehouse="api", **missing, reason="No references", ended_at=ended_at).save()
        for number in range(1, 6):
            refresh_of(
                row, warehouse=f"web-{number}", **created, freight_alias=f"bear-{number}", ended_at=ended_at
            ).save()
        with transaction.atomic():
            update_deliveries({row.pk})
        row.refresh_from_db()
        assert (row.outcome, row.with_freight) == (Outcome.ARTIFACTS_MISSING, 5)
        assert row.reason == (
            "web-1: Freight bear-1; web-2: Freight bear-2; web-3: Freight bear-3; and 2 more; "
            "api: artifacts missing (No references)"
        )

    def test_an_action_that_failed_is_not_hidden_by_one_that_led_to_freight(self):
        actions = [
            {"position": 1, "failed": True, "problem": "whenExpression fails"},
            {"position": 2, "failed": False, "problem": ""},
        ]
        [row] = store(
            delivery(
                unique_name(),
                kind="generic",
                outcome=Outcome.REFRESHED,
                warehouses=2,
                details={"actions": actions},
            )
        )
        created = {"outcome": RefreshOutcome.FREIGHT_CREATED, "state": RefreshState.ENDED}
        ended_at = timezone.now()
        refresh_of(row, warehouse="web", **created, freight_alias="bear", ended_at=ended_at).save()
        other = refresh_of(row, warehouse="api")
        other.save()

        def rolled_up():
            with transaction.atomic():
                update_deliveries({row.pk})
            row.refresh_from_db()
            return row.outcome, row.reason

        problem = "action 1: whenExpression fails"
        assert rolled_up() == (Outcome.REFRESHED, problem)
        Refresh.objects.filter(pk=other.pk).update(**created, freight_alias="wolf", ended_at=ended_at)
        freight = "web: Freight bear; api: Freight wolf"
        assert rolled_up() == (Outcome.ACTION_FAILED, f"{problem}; {freight}")
        assert row.with_freight == 2
        Refresh.objects.filter(pk=other.pk).update(outcome=RefreshOutcome.NOT_HANDLED, freight_alias="")
        assert rolled_up()[0] == Outcome.NOT_HANDLED

    def test_a_delivery_ends_if_two_processes_end_its_refreshes_at_the_same_time(self):
        if connection.vendor != "postgresql":
            pytest.skip("SQLite has one writer")
        [row] = store(delivery(unique_name(), outcome=Outcome.REFRESHED))
        refreshes = [refresh_of(row, warehouse=name) for name in ("one", "two")]
        for refresh in refreshes:
            refresh.save()
        written = threading.Barrier(2)

        def end(refresh):
            with transaction.atomic():
                ended = {
                    "outcome": RefreshOutcome.FREIGHT_CREATED,
                    "state": RefreshState.ENDED,
                    "ended_at": timezone.now(),
                }
                Refresh.objects.filter(pk=refresh.pk).update(**ended)
                written.wait(PATIENCE)
                update_deliveries({row.pk})
            connection.close()

        threads = [threading.Thread(target=end, args=(refresh,)) for refresh in refreshes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        row.refresh_from_db()
        assert row.outcome == Outcome.FREIGHT_CREATED
        assert row.ended_at is not None


class Clock:
    """A clock that a test sets, in seconds since its start."""

    seconds = 0.0

    def __call__(self):
        return self.seconds


@pytest.mark.usefixtures("database")
class TestLateFreight:
    @pytest.fixture
    def clock(self):
        return Clock()

    @pytest.fixture
    def matcher(self, clock):
        writer = LogWriter()
        writer.start()
        yield LateFreightMatcher(lambda: pytest.fail("nothing is looked up"), writer, clock)
        writer.stop()

    def ended_without_freight(self, project, push_id, seconds, **fields):
        [row] = store(
            delivery(project, seconds, tag="latest", push_id=push_id, outcome=Outcome.TAG_NOT_VISIBLE)
        )
        ended = {
            "outcome": RefreshOutcome.TAG_NOT_VISIBLE,
            "state": RefreshState.ENDED,
            "ended_at": timezone.now(),
            "requested_at": row.received_at,
            "token": format_token(row.received_at),
        }
        refresh = refresh_of(row, project=project, **ended, **fields)
        refresh.save()
        return refresh

    def freight(self, project):
        artifact = Artifact("image", "example/app", "latest", "sha256:" + "1" * 64)
        return Freight(project, "f00", "brave-bear", "main", timezone.now(), (artifact,))

    def test_freight_of_a_mutable_tag_is_attributed_only_to_its_last_push(self, matcher):
        project, last = unique_name(), new_id()
        earlier = self.ended_without_freight(project, new_id(), 0)
        # Two deliveries announce the last push.
        pushes = [self.ended_without_freight(project, last, seconds) for seconds in (3600, 3601)]
        matcher.correct([self.freight(project)])
        outcomes = [Refresh.objects.get(pk=row.pk).outcome for row in (earlier, *pushes)]
        assert outcomes[0] == RefreshOutcome.TAG_NOT_VISIBLE
        assert outcomes[1:] == [RefreshOutcome.FREIGHT_CREATED] * 2

    def test_a_test_is_neither_corrected_nor_a_later_push(self, matcher):
        project = unique_name()
        push, test = (self.ended_without_freight(project, new_id(), seconds) for seconds in (0, 3600))
        Delivery.objects.filter(pk=test.delivery_id).update(origin=Origin.TEST)
        Refresh.objects.filter(pk=test.pk).update(outcome=RefreshOutcome.TEST_PASSED)
        matcher.correct([self.freight(project)])
        outcomes = [Refresh.objects.get(pk=row.pk).outcome for row in (push, test)]
        assert outcomes == [RefreshOutcome.FREIGHT_CREATED, RefreshOutcome.TEST_PASSED]

    def test_the_last_push_is_the_last_received_even_if_its_id_is_lower(self, matcher):
        """The ids from two processes do not show which row was created first."""
        project, lower, higher = unique_name(), new_id(), new_id()
        earlier = self.ended_without_freight(project, new_id(), 0, id=higher)
        later = self.ended_without_freight(project, new_id(), 3600, id=lower)
        matcher.correct([self.freight(project)])
        outcomes = [Refresh.objects.get(pk=row.pk).outcome for row in (earlier, later)]
        assert outcomes == [RefreshOutcome.TAG_NOT_VISIBLE, RefreshOutcome.FREIGHT_CREATED]

    def test_an_outcome_that_is_stored_just_after_the_comparison_with_its_freight_is_corrected(
        self, clock, matcher
    ):
        project = unique_name()
        matcher.on_freight(self.freight(project))
        matcher.work()
        row = self.ended_without_freight(project, new_id(), 0)
        matcher.work()
        assert Refresh.objects.get(pk=row.pk).outcome == RefreshOutcome.TAG_NOT_VISIBLE
        clock.seconds += COMPARE_AGAIN_SECONDS
        matcher.work()
        assert Refresh.objects.get(pk=row.pk).outcome == RefreshOutcome.FREIGHT_CREATED
