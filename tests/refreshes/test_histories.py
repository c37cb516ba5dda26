"""Rows of stories: what is told, counted, shared among processes, and corrected."""

from __future__ import annotations

import threading
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from receivers.deliveries.log_writer import LogWriter
from receivers.kargo.artifacts import Artifact, Freight
from receivers.kargo.outcomes import RefreshOutcome, RefreshState
from receivers.models import Delivery, Outcome, Refresh, Replica, new_id
from receivers.refreshes.history import LOST, MOST_EVENTS, NOT_REQUESTED, Followed, note_asked_again, tell
from receivers.refreshes.late_freight import Corrector
from receivers.refreshes.leases import Owner
from receivers.refreshes.retry_policy import MOST_ATTEMPTS
from receivers.refreshes.rollup import close_deliveries
from receivers.refreshes.sender import Asked
from receivers.refreshes.tokens import format_token
from tests.deliveries.rows import delivery, some_name, store

KEY = ("shop", "main")


def story(row=None, **fields):
    """Return the refresh of a delivery, requested a minute ago, and not stored."""
    at = timezone.now() - timedelta(minutes=1)
    defaults: dict[str, Any] = {"project": "shop", "warehouse": "main", "state": RefreshState.REQUESTED}
    defaults |= {"token": format_token(at), "requested_at": at, "attempts": 1}
    return Refresh(delivery=row or delivery("shop"), **(defaults | fields))


def followed(**fields):
    row = delivery("shop")
    return Followed.of(story(row, **fields), row)


class TestTelling:
    def test_what_was_lost_often_does_not_hide_how_often_it_was_asked_again(self):
        one = followed(next_attempt_at=timezone.now())
        one.cause = "same_content"
        for _ in range(2 * MOST_EVENTS):
            tell(one.refresh, timezone.now(), LOST, "nothing new")
        note_asked_again(one, Asked(KEY, timezone.now(), "token"), timezone.now())
        assert one.times_asked_again("same content") == 1
        assert len(one.refresh.story) == MOST_EVENTS + 1

    def test_an_api_server_that_refuses_for_a_day_is_an_end(self):
        one = followed(next_attempt_at=timezone.now())
        for _ in range(MOST_ATTEMPTS - 1):
            note_asked_again(one, Asked(KEY, error="denied by policy"), timezone.now())
            assert one.refresh.next_attempt_at is not None
        note_asked_again(one, Asked(KEY, error="denied by policy"), timezone.now())
        assert one.refresh.outcome == RefreshOutcome.NOT_REQUESTED
        assert (one.refresh.reason, one.refresh.next_attempt_at) == ("denied by policy", None)
        assert [line["event"] for line in one.refresh.story[:2]] == [NOT_REQUESTED] * 2


@pytest.mark.usefixtures("database")
class TestOwners:
    def test_who_was_away_himself_takes_nothing_from_others(self):
        other, mine = (Owner(uuid.uuid4(), "test") for _ in range(2))
        other.show_life()
        Replica.objects.filter(pk=other.id).update(seen_at=timezone.now() - timedelta(minutes=1))
        [row] = store(delivery(some_name(), outcome=Outcome.REFRESHED))
        theirs, nobodys = (story(row, owner=owner) for owner in (other.id, None))
        theirs.save()
        nobodys.save()
        assert mine.show_life()
        taken = [one.refresh.pk for one in mine.take_over(10_000)]
        assert theirs.pk not in taken
        assert nobodys.pk in taken
        assert not mine.show_life()
        Replica.objects.filter(pk__in=[other.id, mine.id]).delete()
        Refresh.objects.filter(owner=mine.id).update(owner=None, outcome=RefreshOutcome.NOT_HANDLED)
        Delivery.objects.filter(pk=row.pk).delete()

    def test_it_learns_what_others_follow_by_now(self):
        mine, others = Owner(uuid.uuid4(), "test"), uuid.uuid4()
        [row] = store(delivery(some_name(), outcome=Outcome.FREIGHT_CREATED))
        rows = [
            story(row, owner=owner, outcome=RefreshOutcome.FREIGHT_CREATED)
            for owner in (mine.id, others, None)
        ]
        for one in rows:
            one.save()
        assert mine.taken_by_others([one.pk for one in rows]) == {rows[1].pk}


@pytest.mark.usefixtures("database")
class TestClosing:
    def test_two_processes_that_end_the_two_refreshes_of_a_delivery_end_the_delivery(self):
        if connection.vendor != "postgresql":
            pytest.skip("SQLite has one writer")
        [row] = store(delivery(some_name(), outcome=Outcome.REFRESHED))
        refreshes = [story(row, warehouse=name) for name in ("one", "two")]
        for one in refreshes:
            one.save()
        written = threading.Barrier(2)

        def end(refresh):
            with transaction.atomic():
                ended = {
                    "outcome": RefreshOutcome.FREIGHT_CREATED,
                    "state": RefreshState.ENDED,
                    "ended_at": timezone.now(),
                }
                Refresh.objects.filter(pk=refresh.pk).update(**ended)
                written.wait(10)
                close_deliveries({row.pk})
            connection.close()

        threads = [threading.Thread(target=end, args=(one,)) for one in refreshes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        row.refresh_from_db()
        assert row.outcome == Outcome.FREIGHT_CREATED
        assert row.ended_at is not None


@pytest.mark.usefixtures("database")
class TestCorrecting:
    @pytest.fixture
    def corrector(self):
        writer = LogWriter()
        writer.start()
        yield Corrector(lambda: pytest.fail("nothing is looked up"), writer)
        writer.stop()

    def ended_in_vain(self, project, push_id, seconds, **fields):
        [row] = store(
            delivery(project, seconds, tag="latest", push_id=push_id, outcome=Outcome.TAG_NOT_VISIBLE)
        )
        ended = {
            "outcome": RefreshOutcome.TAG_NOT_VISIBLE,
            "state": RefreshState.ENDED,
            "ended_at": timezone.now(),
        }
        refresh = story(row, project=project, requested_at=row.received_at, **ended, **fields)
        refresh.token = format_token(row.received_at)
        refresh.save()
        return refresh

    def made(self, project):
        artifact = Artifact("image", "example/app", "latest", "sha256:" + "1" * 64)
        return Freight(project, "f00", "brave-bear", "main", timezone.now(), (artifact,))

    def test_freight_of_a_moving_tag_is_the_end_of_its_last_push_and_of_no_earlier_one(self, corrector):
        project, last = some_name(), new_id()
        earlier = self.ended_in_vain(project, new_id(), 0)
        # Announced twice, which is one push.
        pushes = [self.ended_in_vain(project, last, seconds) for seconds in (3600, 3601)]
        corrector.correct([self.made(project)])
        outcomes = [Refresh.objects.get(pk=one.pk).outcome for one in (earlier, *pushes)]
        assert outcomes == [
            RefreshOutcome.TAG_NOT_VISIBLE,
            RefreshOutcome.FREIGHT_CREATED,
            RefreshOutcome.FREIGHT_CREATED,
        ]

    def test_the_last_push_is_the_one_that_was_received_last_whatever_the_ids_say(self, corrector):
        """Two processes give no order to the ids of one millisecond, and their clocks differ by some."""
        project = some_name()
        lower, higher = new_id(), new_id()
        earlier = self.ended_in_vain(project, new_id(), 0, id=higher)
        later = self.ended_in_vain(project, new_id(), 3600, id=lower)
        corrector.correct([self.made(project)])
        outcomes = [Refresh.objects.get(pk=row.pk).outcome for row in (earlier, later)]
        assert outcomes == [RefreshOutcome.TAG_NOT_VISIBLE, RefreshOutcome.FREIGHT_CREATED]
